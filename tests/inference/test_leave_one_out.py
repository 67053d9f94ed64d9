import warnings
from dataclasses import replace

import numpy as np
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError
from clv_forecast.history import load_cdnow, purchase_history
from clv_forecast.inference import loo as loo_module
from clv_forecast.inference.draws import POINT, POSTERIOR
from clv_forecast.inference.fit import fit
from clv_forecast.inference.hierarchical.chains import Chains
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.structure import assign, learn_structure
from clv_forecast.inference.hierarchy import Hierarchy
from clv_forecast.inference.leave_one_out import loo
from clv_forecast.inference.loo import loo_rows
from clv_forecast.inference.model import FittedRows
from clv_forecast.inference.predictive_checks import posterior_predictive_check
from clv_forecast.inference.sufficient import compress, spend_data
from clv_forecast.models import bg_nbd, gamma_gamma, names_of


@pytest.fixture(scope="module")
def fitted(order_history):
    return fit(order_history, method="laplace", draws=500, compare=False)


@pytest.fixture(scope="module")
def result(fitted):
    return loo(fitted)


def by_arviz(model, part):
    import arviz as az

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return az.loo(clv.to_datatree(model, per_customer=True), var_name=part)


@pytest.mark.parametrize("part", ["purchases", "spend"])
def test_it_equals_arviz_on_the_expanded_tree(fitted, result, part):
    ours, theirs = getattr(result, part), by_arviz(fitted, part)
    assert ours.customers == theirs.n_data_points
    np.testing.assert_allclose([ours.elpd, ours.se, ours.p_loo], [theirs.elpd, theirs.se, theirs.p], rtol=1e-8)


def test_the_right_model_has_about_its_number_of_parameters(result):
    assert result.purchases.p_loo == pytest.approx(4.0, abs=1.5)
    assert result.spend.p_loo == pytest.approx(3.0, abs=1.0)
    assert result.purchases.unreliable == result.spend.unreliable == 0


def test_a_worse_model_is_worse(order_history, fitted, result):
    """All customers alike: parameters that the fit knows, and that leaving one out shows to be wrong."""
    e = fitted.draws.purchases
    alike = replace(fitted.draws, purchases=type(e)(50.0 * e.r, 50.0 * e.alpha, e.a, e.b))
    assert loo(replace(fitted, draws=alike)).purchases.elpd < result.purchases.elpd - 20.0


def test_draws_of_maximum_likelihood_stand_in_and_say_so(model, result):
    approximate = loo(model)
    assert approximate.purchases.elpd == pytest.approx(result.purchases.elpd, abs=0.5)
    assert "stand in for a posterior" in approximate.sentences[-1]
    assert "purchases and spend" in approximate.sentences[-1]
    assert result.notes == ()


def test_a_chain_that_moves_slowly_counts_for_less(fitted):
    """Draws in four chains, each sorted: ArviZ's own efficiency of them is used."""
    import arviz as az

    e = fitted.draws.purchases
    order = np.concatenate([chain[np.argsort(e.r[chain, 0])] for chain in np.array_split(np.arange(500), 4)])
    slow = type(e)(e.r[order], e.alpha[order], e.a[order], e.b[order])
    chains = Chains(variables={"r": slow.r.reshape(4, -1)}, dims={"r": ()}, coords={}, sample_stats={})
    sampled = replace(fitted.draws, purchases=slow, spend=None, kind=POSTERIOR, spend_kind=None)
    rows = replace(fitted.rows, spend=None)
    model = replace(fitted, draws=sampled, spend=None, purchase_chains=chains, rows=rows)
    names = ("r", "alpha", "a", "b")
    efficiency = np.mean([az.ess(getattr(slow, name).reshape(4, -1), method="mean") for name in names]) / 500
    assert efficiency < 0.5
    slowly, as_told = loo(model), loo(model, r_eff=efficiency)
    assert slowly.purchases.elpd == as_told.purchases.elpd
    assert slowly.purchases.elpd != loo(model, r_eff=1.0).purchases.elpd


def test_blocks_and_progress(fitted, result, monkeypatch):
    monkeypatch.setattr(loo_module, "_CELLS_AT_ONCE", 100_000)
    told = []
    again = loo(fitted, progress=lambda *report: told.append(report))
    assert again.purchases.elpd == pytest.approx(result.purchases.elpd, rel=1e-13)
    assert told[-1][0] == "loo spend"
    assert told[-1][1] == told[-1][2] == fitted.rows.spend.weights.size
    assert len(told) > 4


@pytest.fixture(scope="module")
def grouped():
    """A fit on CDNOW whose cohorts are given effects: the first buys far more often than the last."""
    history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    pooled = fit(history, method="laplace", draws=200, compare=False)
    structure = learn_structure(history, groups="cohort_month")
    assignment = assign(structure, history)
    parts = {}
    for part, module, params in (
        ("purchases", bg_nbd, pooled.draws.purchases),
        ("spend", gamma_gamma, pooled.draws.spend),
    ):
        intercept = module.unconstrain(params)
        effect = np.zeros((200, 3, intercept.shape[1]))
        effect[:, :, 0] = np.linspace(0.8, -0.8, 3)
        parts[part] = EffectDraws(
            coordinates=names_of(module.COORDINATES),
            intercept=intercept,
            terms=["cohort_month"],
            effects=[effect],
            factors=[np.zeros((200, intercept.shape[1], intercept.shape[1]))],
        )
    hierarchy = Hierarchy(structure=structure, **parts, model="bg_nbd", time_scale=1.0, money_scale=1.0, seed=1)
    table = history.table
    rows = FittedRows(
        purchases=compress(table["frequency"], table["recency"], table["T"], cell=assignment.cell),
        spend=spend_data(table, "auto", cell=assignment.cell).rows,
        assignment=assignment,
    )
    return history, replace(pooled, draws=replace(pooled.draws, hierarchy=hierarchy), rows=rows)


def test_every_customer_is_left_out_under_the_parameters_of_its_group(grouped, monkeypatch):
    history, model = grouped
    table, parameters = history.table, model.draws.for_history(history)
    values = bg_nbd.log_likelihood(
        parameters.purchases(parameters.cell), table["frequency"], table["recency"], table["T"]
    )
    expanded = loo_rows(values, np.ones(len(table)))
    buyers = table["spend_count_repeat"].to_numpy() > 0
    spent = gamma_gamma.log_likelihood_orders(
        parameters.spend(parameters.cell[buyers]),
        *(table[f"spend_{name}_repeat"][buyers] for name in ("count", "sum", "sum_log")),
    )
    expanded_spend = loo_rows(spent, np.ones(int(buyers.sum())))
    monkeypatch.setattr(loo_module, "_CELLS_AT_ONCE", 20_000)
    result = loo(model)
    for ours, theirs in ((result.purchases, expanded), (result.spend, expanded_spend)):
        np.testing.assert_allclose([ours.elpd, ours.se, ours.p_loo], [theirs.elpd, theirs.se, theirs.p_loo], rtol=1e-9)
    pooled = loo(replace(model, draws=replace(model.draws, hierarchy=None)))
    assert result.purchases.elpd < pooled.purchases.elpd - 50.0
    assert result.spend.elpd < pooled.spend.elpd - 50.0


def test_a_check_simulates_every_customer_under_the_parameters_of_its_group(grouped):
    """Wrong effects of the cohorts show where the pooled fit has none."""
    history, model = grouped
    wrong = posterior_predictive_check(model, history, draws=100).table.set_index("statistic")
    pooled = replace(model, draws=replace(model.draws, hierarchy=None))
    right = posterior_predictive_check(pooled, history, draws=100).table.set_index("statistic")
    statistic = "variance of repeat purchases"
    assert right.loc[statistic, "p"] > 0.05
    assert wrong.loc[statistic, "p"] <= 0.02
    assert wrong.loc["sd of customers' mean orders", "p"] <= 0.02


def test_table_and_text(result, order_history):
    table = result.table.set_index("part")
    assert table.loc["purchases", "looic"] == -2.0 * result.purchases.elpd
    assert table.loc["spend", "customers"] == (order_history.table["frequency"] > 0).sum()
    assert str(result).startswith("Purchases: elpd ")
    assert "Spend: elpd " in str(result)
    assert "<table" in result._repr_html_()
    assert "; spend elpd" in repr(result)
    assert set(replace(result, spend=None).table["part"]) == {"purchases"}


def test_what_it_refuses(fitted, model):
    with pytest.raises(DomainError, match="fitted elsewhere has none"):
        loo(replace(fitted, rows=None))
    with pytest.raises(DomainError, match="point estimate"):
        loo(replace(model, draws=replace(model.draws, kind=POINT)))
    with pytest.raises(DomainError, match="made by fit"):
        loo("bg_nbd")
    with pytest.raises(DomainError, match="r_eff must be positive"):
        loo(fitted, r_eff=-1.0)
