"""What winning the simulated accounts cost: labels that the cohorts take, and amounts as told."""

from __future__ import annotations

import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.history.observations import opening_end
from clv_forecast.simulation import simulate_accounts
from clv_forecast.simulation.parameters import CHANNELS
from clv_forecast.simulation.simulated_accounts import COST_OF_ONE

TRANSACTIONS = 4_800_526.75
FUTURE = 1_751_857.03


def quarters(cost: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(cost["cohort"]))


def test_every_channel_in_every_quarter_after_the_opening() -> None:
    cost = simulate_accounts(300, rng=2).acquisition_cost
    assert cost.columns.tolist() == ["cohort", "channel", "amount"]
    assert quarters(cost) == [f"{year}Q{quarter}" for year in (2023, 2024) for quarter in (1, 2, 3, 4)]
    assert not cost.duplicated(["cohort", "channel"]).any()
    assert set(cost["channel"]) == set(CHANNELS) == set(COST_OF_ONE)
    assert (cost["amount"] > 0.0).all()


def test_one_costs_about_what_is_told() -> None:
    sim = simulate_accounts(6_000, rng=3)
    came = sim.accounts[sim.accounts["acquired_on"] >= "2023-01-01"]["channel"].value_counts()
    spent = sim.acquisition_cost.groupby("channel")["amount"].sum()
    for channel, each in COST_OF_ONE.items():
        assert spent[channel] / came[channel] == pytest.approx(each, rel=0.12)


def test_the_other_tables_do_not_hang_on_it() -> None:
    """Numbers of the tables that were there before it, as they were."""
    sim = simulate_accounts(50, rng=1)
    assert sim.transactions["amount"].sum() == pytest.approx(TRANSACTIONS, rel=1e-9)
    assert sim.future["amount"].sum() == pytest.approx(FUTURE, rel=1e-9)


@pytest.mark.parametrize(("n", "years"), [(3, 3.0), (40, 1.0), (60, 0.25)])
def test_the_labels_are_those_of_cohorts_by_default(n: int, years: float) -> None:
    sim = simulate_accounts(n, rng=5, years=years)
    history = clv.purchase_history(sim.transactions, as_of=sim.as_of, order_id="order_id", category="category")
    opening = opening_end(history.table, history.as_of.date())
    known = [str(each) for each in pd.period_range(pd.Timestamp(opening), sim.as_of, freq="Q")]
    assert quarters(sim.acquisition_cost) == known
