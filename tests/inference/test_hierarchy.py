"""Parameters of customers under a hierarchical fit, from made-up draws: no sampler is needed."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError, InputError
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.structure import assign, learn_structure
from clv_forecast.inference.hierarchy import Hierarchy
from clv_forecast.models import bg_nbd, gamma_gamma, names_of

DRAWS = 120


def made_up(names, structure, rng, spread):
    k, terms = len(names), structure.groups
    return EffectDraws(
        coordinates=names,
        terms=[term.name for term in terms],
        intercept=rng.normal(0.0, 0.1, (DRAWS, k)) + 0.5,
        effects=[rng.normal(0.0, spread, (DRAWS, len(term.levels), k)) for term in terms],
        factors=[np.tile(np.eye(k) * spread, (DRAWS, 1, 1)) for _ in terms],
        coefficients=rng.normal(0.0, 0.2, (DRAWS, len(structure.columns), k)),
    )


def history_of(customers):
    log = clv.load_cdnow("1/10")
    return clv.purchase_history(
        log[log["customer_id"].isin(customers["customer_id"])], as_of="1997-09-30", customers=customers
    )


@pytest.fixture(scope="module")
def customers():
    ids = clv.load_cdnow("1/10")["customer_id"].unique()[:400]
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "customer_id": ids,
            "region": rng.choice(["north", "south", "west"], len(ids)),
            "age": rng.integers(20, 60, len(ids)),
        }
    )


@pytest.fixture(scope="module")
def history(customers):
    return history_of(customers)


@pytest.fixture(scope="module")
def hierarchy(history):
    structure = learn_structure(history, groups="region", covariates="age")
    rng = np.random.default_rng(4)
    return Hierarchy(
        structure=structure,
        purchases=made_up(names_of(bg_nbd.COORDINATES), structure, rng, 0.3),
        spend=made_up(names_of(gamma_gamma.COORDINATES), structure, rng, 0.2),
        model="bg_nbd",
        time_scale=31.0,
        money_scale=38.0,
        seed=1,
    )


@pytest.fixture(scope="module")
def grouped(hierarchy, history):
    """A pooled fit whose draws are replaced by the made-up ones."""
    model = clv.fit(history, draws=DRAWS, compare=False)
    draws = dataclasses.replace(
        model.draws,
        purchases=hierarchy.typical_purchases(),
        spend=hierarchy.typical_spend(),
        kind="posterior",
        spend_kind="posterior",
        hierarchy=hierarchy,
    )
    rows = dataclasses.replace(model.rows, assignment=assign(hierarchy.structure, history))
    return dataclasses.replace(model, draws=draws, rows=rows, method="nuts", time_scale=31.0, money_scale=38.0)


def test_each_customer_has_the_sum_of_its_effects(hierarchy, history, customers):
    parameters = hierarchy.for_history(history)
    table = history.table.merge(customers, on="customer_id")
    for position in (0, 17, 395):
        row = table.iloc[position]
        level = hierarchy.structure.groups[0].levels.index(row["region"])
        age = (row["age"] - table["age"].mean()) / table["age"].std(ddof=0)
        effects = hierarchy.purchases
        theta = effects.intercept + effects.effects[0][:, level] + age * effects.coefficients[:, 0]
        got = parameters.purchases(parameters.cell[[position]])
        np.testing.assert_allclose(got.alpha[:, 0], np.exp(theta[:, 1] - theta[:, 0]) * 31.0, rtol=1e-12)
        np.testing.assert_allclose(got.a[:, 0] / (got.a + got.b)[:, 0], 1 / (1 + np.exp(-theta[:, 2])), rtol=1e-12)
        spend = parameters.spend(parameters.cell[[position]])
        effects = hierarchy.spend
        mean = effects.intercept + effects.effects[0][:, level] + age * effects.coefficients[:, 0]
        np.testing.assert_allclose((spend.p * spend.v / (spend.q - 1.0))[:, 0], 38.0 * np.exp(mean[:, 0]), rtol=1e-12)


def test_forecasts_follow_the_groups(grouped, history, customers):
    fc = clv.forecast(grouped, history, horizons=["26 weeks"], by="region", draws=DRAWS)
    parts = fc.totals.set_index("group")
    assert parts.loc[["north", "south", "west"], "value"].sum() == pytest.approx(parts.loc["all", "value"])
    x, recency, T = (history.table[name].to_numpy(float) for name in ("frequency", "recency", "T"))
    parameters = grouped.draws.for_history(history)
    params = parameters.purchases(parameters.cell)
    expected = bg_nbd.expected_purchases(params, x, recency, T, horizon=26.0).mean(axis=0)
    np.testing.assert_allclose(fc.customers["expected_purchases"], expected, rtol=1e-6)


def test_the_same_draws_one_by_one_and_after_a_save(grouped, history, tmp_path):
    fc = clv.forecast(grouped, history, horizons=["26 weeks"], draws=DRAWS)
    blocks = list(fc.iter_value_draws(by="draw", chunk=50))
    together = fc.value_draws(history.table["customer_id"])
    np.testing.assert_array_equal(np.concatenate([block.value for block in blocks]), together.value)
    clv.save(grouped, tmp_path / "model")
    again = clv.load_model(tmp_path / "model")
    assert again.draws.hierarchy.structure == grouped.draws.hierarchy.structure
    assert (clv.forecast(again, history, horizons=["26 weeks"], draws=DRAWS).customers["value"].to_numpy()
            == fc.customers["value"].to_numpy()).all()  # fmt: skip
    np.testing.assert_array_equal(again.rows.assignment.labels, grouped.rows.assignment.labels)


def test_an_unseen_group_is_drawn_from_the_population_and_said(grouped, customers):
    changed = customers.assign(region=np.where(customers["age"] < 25, "east", customers["region"]))
    fc = clv.forecast(grouped, history_of(changed), horizons=["26 weeks"], draws=DRAWS)
    young = int((customers["age"] < 25).sum())
    assert any(
        f"{young} customers of group 'east'" in note and "drawn from the population" in note for note in fc.notes
    )
    parameters = grouped.draws.for_history(history_of(changed))
    cell = np.flatnonzero(parameters.assignment.labels[:, 0] == "east")[:1]
    drawn = bg_nbd.unconstrain(parameters.purchases(cell))[:, 0] + np.log(31.0)
    effects = grouped.draws.hierarchy.purchases
    centre = effects.intercept[:, 0] + parameters.assignment.design[cell[0], 0] * effects.coefficients[:, 0, 0]
    assert 0.2 < np.std(drawn - centre) < 0.4  # the population's standard deviation is 0.3
    blocks = list(fc.iter_value_draws(by="draw", chunk=37))
    together = fc.value_draws(fc.customers["customer_id"].unique())
    np.testing.assert_array_equal(np.concatenate([block.value for block in blocks]), together.value)


def test_rate_and_spend_of_an_unseen_group_are_drawn_apart(hierarchy):
    parameters = hierarchy.for_new_customers({"age": 40}, 1)
    rate = np.log(parameters.purchases(parameters.cell).r / parameters.purchases(parameters.cell).alpha)[:, 0]
    spend = parameters.spend(parameters.cell)
    mean = np.log(spend.p * spend.v / (spend.q - 1.0))[:, 0]
    assert abs(np.corrcoef(rate, mean)[0, 1]) < 0.3  # 120 draws: three standard errors; it was 0.9


def test_a_history_without_the_attribute_is_refused(grouped):
    bare = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30")
    with pytest.raises(DomainError, match="'region' is not a column of the customers"):
        clv.forecast(grouped, bare, draws=DRAWS)


def test_new_customers_of_a_group(grouped):
    north, south = (
        clv.new_customer_value(grouped, horizons="12 months", attributes={"region": name, "age": 40})
        for name in ("north", "south")
    )
    anywhere = clv.new_customer_value(grouped, horizons="12 months", attributes={"age": 40})
    assert north["value"].iloc[0] != south["value"].iloc[0]
    width = anywhere["value_mean_upper"] - anywhere["value_mean_lower"]
    assert width.iloc[0] > (north["value_mean_upper"] - north["value_mean_lower"]).iloc[0]
    with pytest.raises(DomainError, match=r"unknown \['town'\], missing \['age'\]"):
        clv.new_customer_value(grouped, attributes={"town": "x"})
    with pytest.raises(InputError, match="age"):
        clv.new_customer_value(grouped, attributes={"age": float("nan")})


def test_a_pooled_model_takes_no_attributes(history):
    model = clv.fit(history, draws=100, compare=False)
    with pytest.raises(DomainError, match="do not depend on attributes"):
        clv.new_customer_value(model, attributes={"region": "north"})
