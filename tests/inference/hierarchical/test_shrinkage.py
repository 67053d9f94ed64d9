from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.shrinkage import COLUMNS, shrinkage_table
from clv_forecast.inference.hierarchical.structure import GroupTerm, Structure
from tests.inference.hierarchical.made_up import attributed
from tests.inference.hierarchical.simulated_groups import GROUPS, LOG_RATE, LOG_SPEND, LOGIT_DROPOUT, simulated_groups

DRAWS, TIME, MONEY = 300, 7.0, 20.0


def effects(coordinates, level_effects, intercept):
    """Draws with hardly any spread, so that medians are known."""
    k = len(coordinates)
    noise = 1e-6 * np.random.default_rng(1).normal(size=(DRAWS, 1, k))
    values = np.zeros((DRAWS, len(level_effects), k)) + noise
    values[:, :, 0] += level_effects
    return EffectDraws(
        coordinates=coordinates,
        terms=["region"],
        intercept=np.tile(intercept, (DRAWS, 1)),
        effects=[values],
        factors=[np.zeros((DRAWS, k, k))],
    )


@pytest.fixture(scope="module")
def history():
    made = simulated_groups(400, seed=41).history
    few = made.customers["region"].eq("f") & (np.arange(len(made.customers)) % 400 >= 8)
    return attributed(
        made.customers[~few].drop(columns=columns.CUSTOMER_ID).reset_index(drop=True),
        table=made.table[~few].reset_index(drop=True),
    )


@pytest.fixture(scope="module")
def model():
    structure = Structure(groups=(GroupTerm(name="region", levels=GROUPS, dated=False),))
    purchases = effects(
        ("log_rate", "log_shape", "logit_dropout", "log_concentration"),
        LOG_RATE - LOG_RATE.mean(),
        np.array([LOG_RATE.mean() + np.log(TIME), -0.2, -1.1, 0.8]),
    )
    spend = effects(
        ("log_mean_spend", "log_p", "log_q_minus_1"),
        LOG_SPEND - LOG_SPEND.mean(),
        np.array([LOG_SPEND.mean() - np.log(MONEY), 1.0, 1.0]),
    )
    return SimpleNamespace(
        draws=SimpleNamespace(hierarchy=SimpleNamespace(structure=structure, purchases=purchases, spend=spend)),
        purchases="bg_nbd",
        spend_from="repeat",
        unit="week",
        currency="EUR",
        seed=1,
        time_scale=TIME,
        money_scale=MONEY,
    )


@pytest.fixture(scope="module")
def table(model, history):
    return shrinkage_table(model, history)


def test_one_row_per_group_and_quantity_in_the_users_units(table):
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 6 * 3
    rates = table[table["quantity"] == "mean_purchase_rate"]
    assert rates["group"].tolist() == list(GROUPS)
    assert set(rates["unit"]) == {"per week"}
    assert rates["customers"].tolist() == [400] * 5 + [8]
    np.testing.assert_allclose(rates["partial"], np.exp(LOG_RATE), rtol=1e-4)
    spend = table[table["quantity"] == "mean_spend"]
    assert set(spend["unit"]) == {"EUR"}
    np.testing.assert_allclose(spend["partial"], np.exp(LOG_SPEND), rtol=1e-4)
    assert table["pooled"].groupby(table["quantity"]).nunique().eq(1).all()


def test_own_estimates_are_the_groups(table):
    for quantity, truth in (
        ("mean_purchase_rate", np.exp(LOG_RATE)),
        ("mean_dropout_probability", 1.0 / (1.0 + np.exp(-LOGIT_DROPOUT))),
        ("mean_spend", np.exp(LOG_SPEND)),
    ):
        own = table[(table["quantity"] == quantity) & table["own"].notna()]
        truth = truth[: len(own)]
        # age moves rates within a group, so that the group's mean rate is somewhat above that of the average age
        inside = (own["own_lower"] < truth * 1.05) & (truth * 0.95 < own["own_upper"])
        assert inside.sum() >= len(own) - 1, quantity
        assert (own["own_lower"] < own["own"]).all()
        assert (own["own"] < own["own_upper"]).all()


def test_a_group_that_says_too_little_has_no_estimate_of_its_own(table):
    small = table[(table["group"] == "f") & (table["part"] == "purchases")]
    assert small["own"].isna().all()
    assert small["weight"].isna().all()
    assert small["note"].str.contains("of 8 customers bought again").all()
    assert small["partial"].notna().all()


def test_the_weight_is_the_share_of_the_way_on_the_free_scale(table):
    for quantity, free in (
        ("mean_purchase_rate", np.log),
        ("mean_dropout_probability", lambda p: np.log(p) - np.log1p(-p)),
        ("mean_spend", np.log),
    ):
        rows = table[(table["quantity"] == quantity) & table["weight"].notna()]
        assert len(rows) >= 2
        way = (free(rows["partial"]) - free(rows["pooled"])) / (free(rows["own"]) - free(rows["pooled"]))
        np.testing.assert_allclose(rows["weight"], way, rtol=1e-6)
    rates = table[(table["quantity"] == "mean_purchase_rate") & table["weight"].notna()]
    assert rates["weight"].iloc[0] == pytest.approx(1.0, abs=0.3)  # partial estimates at the truth, far from pooled


def test_a_fit_without_groups_has_no_shrinkage(model, history):
    nothing = SimpleNamespace(draws=SimpleNamespace(hierarchy=None))
    with pytest.raises(DomainError, match="groups"):
        shrinkage_table(nothing, history)
    with pytest.raises(DomainError, match="prob"):
        shrinkage_table(model, history, prob=95)


def test_the_figure_can_draw_it(table):
    needed = {"group", "customers", "quantity", "unit", "prob"}
    needed |= {f"{kind}{end}" for kind in ("own", "partial", "pooled") for end in ("", "_lower", "_upper")}
    assert needed <= set(table.columns)
    assert isinstance(table, pd.DataFrame)
