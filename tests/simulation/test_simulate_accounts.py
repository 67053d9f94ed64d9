"""Shapes, reproducibility and limits of the simulated tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError
from clv_forecast.simulation import SimulatedAccounts, simulate_accounts

TABLES = ("transactions", "accounts", "events", "future", "truth", "acquisition_cost")


@pytest.fixture(scope="module")
def sim() -> SimulatedAccounts:
    return simulate_accounts(2_000, rng=1)


def test_one_row_per_account_and_every_account_has_ordered(sim: SimulatedAccounts) -> None:
    ids = sim.accounts["customer_id"]
    assert len(ids) == 2_000
    assert ids.is_unique
    assert (ids == sim.truth["customer_id"]).all()
    assert set(sim.transactions["customer_id"]) == set(ids)
    assert set(sim.future["customer_id"]) < set(ids)
    assert set(sim.events["customer_id"]) < set(ids)


def test_the_log_ends_with_as_of_and_the_future_follows(sim: SimulatedAccounts) -> None:
    assert list(sim.transactions.columns) == list(sim.future.columns)
    assert sim.transactions["date"].max() == sim.as_of == pd.Timestamp("2024-12-31")
    assert sim.transactions["date"].min() == pd.Timestamp("2022-01-01")
    assert sim.future["date"].min() == pd.Timestamp("2025-01-01")
    assert sim.future["date"].max() == pd.Timestamp("2025-12-31")


def test_a_purchase_history_keeps_customers_and_money(sim: SimulatedAccounts) -> None:
    history = clv.purchase_history(
        sim.transactions,
        as_of=sim.as_of,
        customers=sim.accounts,
        order_id="order_id",
        category="category",
        margin="margin",
    )
    # an account whose only order came back whole is no customer
    left = 2_000 - len(history.table)
    net = sim.transactions.groupby("customer_id")["amount"].sum()
    assert left == (net <= 0.0).sum() < 20
    kept = net[net > 0.0].sum()
    assert history.table["total_revenue"].sum() == pytest.approx(kept, rel=1e-9)


def test_returns_belong_to_a_line_sold_before(sim: SimulatedAccounts) -> None:
    log = pd.concat([sim.transactions, sim.future])
    keys = ["customer_id", "order_id", "category"]
    sold, back = log[log["amount"] > 0.0], log[log["amount"] < 0.0]
    assert not sold.duplicated(keys).any()
    both = back.merge(sold, on=keys, how="left", suffixes=("_back", "_sold"))
    assert len(both) == len(back)
    assert (both["date_back"] > both["date_sold"]).all()
    assert (-both["amount_back"] <= both["amount_sold"]).all()
    assert len(back) / len(sold) == pytest.approx(0.03, abs=0.005)


def test_without_mess_nothing_comes_back_and_the_same_orders_are_made(sim: SimulatedAccounts) -> None:
    clean = simulate_accounts(2_000, rng=1, messy=False)
    assert (clean.transactions["amount"] > 0.0).all()
    sold = sim.transactions[sim.transactions["amount"] > 0.0]
    columns = ["customer_id", "order_id", "date", "category"]
    pd.testing.assert_frame_equal(
        sold[columns].sort_values(columns, ignore_index=True),
        clean.transactions[columns].sort_values(columns, ignore_index=True),
    )


def test_referrals_point_to_accounts_acquired_earlier(sim: SimulatedAccounts) -> None:
    acquired = sim.accounts.set_index("customer_id")["acquired_on"]
    referred = sim.accounts.dropna(subset="referred_by")
    assert 0.15 < len(referred) / 2_000 < 0.35
    assert (acquired.loc[referred["referred_by"]].to_numpy() < referred["acquired_on"].to_numpy()).all()
    assert referred["referred_by"].value_counts().max() >= 3


def test_parents_have_no_parent(sim: SimulatedAccounts) -> None:
    child = sim.accounts.dropna(subset="parent_id")
    assert 20 < len(child) < 120
    assert not set(child["parent_id"]) & set(child["customer_id"])


def test_some_of_everything(sim: SimulatedAccounts) -> None:
    accounts = sim.accounts
    assert accounts["owner"].nunique() == 50
    assert accounts[["region", "segment", "channel"]].nunique().tolist() == [4, 5, 3]
    assert sim.transactions["category"].nunique() == 7
    assert 0.001 < (accounts["margin"] < 0.0).mean() < 0.05
    assert accounts["advocacy"].dropna().between(0, 10).all()
    for column in ("wallet", "contracted_annual_value", "advocacy", "contract_end"):
        assert accounts[column].notna().any()
        assert accounts[column].isna().any()
    for column in ("big_logo", "lighthouse", "innovation"):
        assert set(accounts[column]) == {True, False}
    bound = accounts["contracted_annual_value"].notna()
    assert (bound == accounts["contract_end"].notna()).all()
    assert sim.truth.loc[bound, ["regular", "alive"]].to_numpy().all()
    first = sim.transactions.groupby("customer_id")["date"].min().reindex(accounts["customer_id"])
    assert (accounts["acquired_on"].to_numpy() <= first.to_numpy()).all()


def test_the_given_wallet_is_noisy_and_its_limits_hold_it_four_times_in_five() -> None:
    sim = simulate_accounts(4_000, rng=3)
    known = sim.accounts["wallet"].notna()
    note, wallet = sim.accounts[known], sim.truth.loc[known, "wallet"]
    held = (wallet > note["wallet_low"]) & (wallet < note["wallet_high"])
    assert known.mean() == pytest.approx(0.15, abs=0.02)
    assert held.mean() == pytest.approx(0.80, abs=0.05)


def test_money_has_two_decimals_and_margins_follow_the_rate(sim: SimulatedAccounts) -> None:
    log = sim.transactions
    for column in ("amount", "margin"):
        assert np.abs(log[column] * 100 - (log[column] * 100).round()).max() < 1e-3
    sums = log.groupby("customer_id")[["amount", "margin"]].sum()
    rate = sim.truth.set_index("customer_id")["margin"]
    large = sums["amount"] > 50_000
    assert np.abs((sums["margin"] / sums["amount"] - rate)[large]).max() < 0.05


def test_the_same_seed_gives_the_same_tables(sim: SimulatedAccounts) -> None:
    again = simulate_accounts(2_000, rng=1)
    for table in TABLES:
        pd.testing.assert_frame_equal(getattr(sim, table), getattr(again, table))
    assert not sim.accounts.equals(simulate_accounts(2_000, rng=2).accounts)


def test_a_generator_is_a_source_of_seeds() -> None:
    generator = np.random.default_rng(4)
    first, second = (simulate_accounts(5, rng=generator) for _ in range(2))
    assert first.transactions.equals(simulate_accounts(5, rng=np.random.default_rng(4)).transactions)
    assert not first.transactions.equals(second.transactions)


@pytest.mark.parametrize(
    "options",
    [{}, {"categories": 1}, {"years": 0.25, "future_years": 0.01}, {"growing": 1.0}, {"growing": 0.0, "messy": False}],
)
@pytest.mark.parametrize("n", [1, 2])
def test_few_accounts(n: int, options: dict[str, Any]) -> None:
    for seed in range(20):
        sim = simulate_accounts(n, rng=seed, **options)
        assert len(sim.accounts) == len(sim.truth) == sim.transactions["customer_id"].nunique() == n
        assert (sim.accounts["referred_by"].dropna() != "A000001").sum() == 0 or n > 1
        assert not (sim.accounts["parent_id"] == sim.accounts["customer_id"]).any()
        assert sim.transactions["date"].max() <= sim.as_of


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be a whole number"),
        ({"n": 2.0}, "n must be a whole number"),
        ({"n": None}, "n must be a whole number"),
        ({"rng": -1}, "rng must be"),
        ({"as_of": "yesterday-ish"}, "as_of must be a day"),
        ({"as_of": None}, "as_of must be a day"),
        ({"as_of": "now"}, "as_of must be a day"),
        ({"as_of": "9999-12-31"}, "years 1900 to 2200"),
        ({"as_of": "2024-12-31T00:00+01:00"}, "time zone"),
        ({"n": 10**7}, "at most 1,000,000"),
        ({"years": 101}, "years must be at least"),
        ({"future_years": 1e308}, "future_years must be above 0"),
        ({"own_wallet_sd": 1e9}, "own_wallet_sd must not be negative, and at most 3"),
        ({"years": 0.2}, "years must be at least"),
        ({"years": float("nan")}, "years must be finite"),
        ({"future_years": 0.0}, "future_years must be above 0"),
        ({"growing": 1.1}, "growing must lie"),
        ({"growing": -0.1}, "growing must lie"),
        ({"own_wallet_sd": -0.1}, "own_wallet_sd must not be negative"),
        ({"own_wallet_sd": float("inf")}, "own_wallet_sd must be finite"),
        ({"categories": 0}, "categories must be"),
        ({"categories": 1001}, "categories must be"),
    ],
)
def test_arguments_outside_their_domain(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        simulate_accounts(**({"n": 3} | options))


@pytest.mark.slow
def test_fifty_thousand_accounts() -> None:
    sim = simulate_accounts(50_000, rng=1)
    assert len(sim.accounts) == 50_000
    assert len(sim.transactions) > 500_000
