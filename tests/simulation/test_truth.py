"""The truth beside the data is the truth of the data: expectations, leaving, growth, and what tells them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clv_forecast.simulation import SimulatedAccounts, simulate_accounts


@pytest.fixture(scope="module")
def sim() -> SimulatedAccounts:
    return simulate_accounts(20_000, rng=5)


@pytest.fixture(scope="module")
def stationary() -> SimulatedAccounts:
    return simulate_accounts(20_000, rng=6, growing=0.0)


def z_of(gap: pd.Series) -> float:
    """How many standard errors a sum lies from 0."""
    return float(gap.sum() / np.sqrt((gap**2).sum()))


def trailing(sim: SimulatedAccounts, first: int, last: int) -> pd.Series:
    """Revenue from ``first`` to ``last`` days before the end of the log, per account."""
    days = (sim.as_of - sim.transactions["date"]).dt.days
    rows = sim.transactions[(days < first) & (days >= last)]
    return rows.groupby("customer_id")["amount"].sum().reindex(sim.truth["customer_id"], fill_value=0.0)


def residual(values: pd.Series, sim: SimulatedAccounts) -> np.ndarray:
    """What region, segment and size leave unexplained."""
    labels = pd.get_dummies(sim.accounts[["region", "segment"]], dtype=float)
    design = np.column_stack([np.ones(len(labels)), labels, np.log(sim.accounts["employees"])])[values.index]
    return values.to_numpy() - design @ np.linalg.lstsq(design, values.to_numpy(), rcond=None)[0]


def test_next_revenue_is_the_sum_of_the_future(sim: SimulatedAccounts) -> None:
    sums = sim.future.groupby("customer_id")["amount"].sum().reindex(sim.truth["customer_id"], fill_value=0.0)
    np.testing.assert_allclose(sim.truth["next_revenue"], sums, atol=1e-6)


@pytest.mark.parametrize("who", ["all", "growing", "steady", "regular", "irregular", "new", "complained", "left"])
def test_realised_revenue_agrees_with_the_expected(sim: SimulatedAccounts, who: str) -> None:
    truth = sim.truth
    late = sim.events[sim.events["kind"].eq("complaint") & sim.events["date"].between("2024-09-01", sim.as_of)]
    part = {
        "all": np.full(len(truth), True),
        "growing": truth["growing"],
        "steady": ~truth["growing"],
        "regular": truth["regular"],
        "irregular": truth["irregular"],
        "new": sim.accounts["acquired_on"] > "2024-01-01",
        "complained": truth["customer_id"].isin(late["customer_id"]),
        "left": ~truth["alive"],
    }[who]
    some = truth[part]
    if who == "left":  # nothing but returns of the last orders
        assert some["next_revenue"].max() <= 0.0
        assert (some["expected_next_revenue"] == 0.0).all()
        return
    assert len(some) > 500
    assert abs(z_of(some["next_revenue"] - some["expected_next_revenue"])) < 3.0


def test_the_same_expectation_at_a_wrong_share_is_found_out(sim: SimulatedAccounts) -> None:
    growing = sim.truth[sim.truth["growing"]]
    assert z_of(growing["next_revenue"] - growing["stationary_next_revenue"]) > 5.0


def test_staying_is_calibrated(sim: SimulatedAccounts) -> None:
    truth = sim.truth[sim.truth["alive"]]
    stayed = truth["left_on"].isna()
    error = np.sqrt((truth["stays"] * (1.0 - truth["stays"])).sum())
    assert abs((stayed - truth["stays"]).sum()) < 3.0 * error
    third = pd.qcut(truth["stays"], 3)
    gap = (stayed - truth["stays"]).groupby(third, observed=True).mean()
    assert gap.abs().max() < 0.025
    assert truth.groupby(third, observed=True)["stays"].mean().diff().min() > 0.02


def test_nobody_orders_after_leaving(sim: SimulatedAccounts) -> None:
    log = pd.concat([sim.transactions, sim.future])
    last = log[log["amount"] > 0.0].groupby("customer_id")["date"].max().reindex(sim.truth["customer_id"])
    left = sim.truth["left_on"]
    assert not (last.to_numpy() > left.to_numpy()).any()
    assert (sim.truth["alive"] == ~(left <= sim.as_of)).all()


@pytest.mark.parametrize(("kind", "raises"), [("complaint", True), ("late delivery", True), ("survey", False)])
def test_what_raises_the_hazard_of_leaving(sim: SimulatedAccounts, kind: str, raises: bool) -> None:
    truth = sim.truth[sim.truth["alive"]]
    rows = sim.events[sim.events["kind"].eq(kind) & sim.events["date"].between("2024-07-01", sim.as_of)]
    had = truth["customer_id"].isin(rows["customer_id"])
    # leaving within the half-year in which an event counts most
    gone = truth["left_on"] < "2025-07-01"
    p = stats.fisher_exact(pd.crosstab(had, gone), alternative="greater").pvalue
    assert (p < 1e-3) if raises else (p > 0.02)


def test_growth_is_none_in_a_stationary_base(stationary: SimulatedAccounts) -> None:
    truth = stationary.truth
    assert (truth["expected_growth"] == 0.0).all()
    assert not truth["growing"].any()
    assert abs(z_of(truth["next_revenue"] - truth["stationary_next_revenue"])) < 3.0


def test_the_share_that_grows_is_the_one_asked_for(sim: SimulatedAccounts) -> None:
    assert sim.truth["growing"].mean() == pytest.approx(0.35, abs=0.015)
    assert simulate_accounts(300, rng=1, growing=1.0).truth["growing"].all()


def test_attributes_tell_most_of_the_wallet_and_own_revenue_tells_more() -> None:
    sim = simulate_accounts(20_000, rng=5, own_wallet_sd=0.4)
    wallet = np.log(sim.truth["wallet"])
    assert 0.6 < 1.0 - residual(wallet, sim).var() / wallet.var() < 0.9
    revenue = trailing(sim, 365, 0).reset_index(drop=True)
    active = revenue[sim.truth["alive"] & (revenue > 0.0)]
    own = residual(np.log(active), sim)
    assert np.corrcoef(own, residual(wallet[active.index], sim))[0, 1] > 0.3


@pytest.mark.parametrize("own", [0.0, 0.4, 0.8])
def test_what_attributes_leave_of_the_wallet_is_what_was_asked_for(own: float) -> None:
    sim = simulate_accounts(4_000, rng=7, own_wallet_sd=own)
    left = residual(np.log(sim.truth["wallet"]), sim)
    assert left.std() == pytest.approx(own, abs=0.03)


def test_growth_shows_in_attributes(sim: SimulatedAccounts) -> None:
    alive = sim.truth["alive"]
    sums = sim.truth[alive].groupby(sim.accounts["segment"])[["expected_growth", "stationary_next_revenue"]].sum()
    rate = sums["expected_growth"] / sums["stationary_next_revenue"]
    assert rate[["health", "industry"]].min() > 3.0 * rate[["public", "retail"]].max()


def growth_after(sim: SimulatedAccounts) -> tuple[float, float]:
    """Realised growth over today's level: accounts with an upward trend, and the others."""
    recent, earlier = (trailing(sim, *days).reset_index(drop=True) for days in ((365, 0), (730, 365)))
    known = sim.truth["alive"] & (sim.accounts["acquired_on"] < "2023-01-01") & (earlier > 0.0)
    upward = recent > 1.5 * earlier
    gap = sim.truth["next_revenue"] - sim.truth["stationary_next_revenue"]
    level = sim.truth["stationary_next_revenue"]
    rates = [float(gap[part].sum() / level[part].sum()) for part in (known & upward, known & ~upward)]
    return rates[0], rates[1]


def test_growth_shows_in_the_trend_and_only_where_accounts_grow(
    sim: SimulatedAccounts, stationary: SimulatedAccounts
) -> None:
    upward, others = growth_after(sim)
    assert upward > others + 0.02
    upward, others = growth_after(stationary)
    assert abs(upward) < 0.03
    assert abs(others) < 0.03


def test_regular_accounts_order_at_even_gaps(sim: SimulatedAccounts) -> None:
    sold = sim.transactions[sim.transactions["amount"] > 0.0].drop_duplicates("order_id")
    steady = sim.truth[~sim.truth["growing"]].set_index("customer_id")["regular"]
    gaps = sold.groupby("customer_id")["date"].diff().dt.days.dropna()
    by = sold.loc[gaps.index, "customer_id"]
    table = gaps.groupby(by).agg(["mean", "std", "size"])
    table = table[table["size"] >= 20].join(steady, how="inner")
    spread = (table["std"] / table["mean"]).groupby(table["regular"]).median()
    assert spread[True] == pytest.approx(1.0 / np.sqrt(5.0), abs=0.06)
    assert spread[False] == pytest.approx(1.0, abs=0.08)


def test_more_categories_at_a_larger_share(sim: SimulatedAccounts) -> None:
    recent = sim.transactions[sim.transactions["date"] > "2024-01-01"]
    bought = recent.groupby("customer_id")["category"].nunique()
    orders = recent.groupby("customer_id")["order_id"].nunique()
    truth = sim.truth.set_index("customer_id").loc[bought.index]
    busy = truth["alive"] & (orders >= 8)
    assert stats.spearmanr(bought[busy], truth.loc[busy, "penetration"]).statistic > 0.5
