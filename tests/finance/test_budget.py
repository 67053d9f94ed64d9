"""Budgets: against brute force and the conditions of an optimum, and what a bad one is refused for."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clv_forecast as clv
from clv_forecast.errors import DomainError, InputError
from clv_forecast.finance.budget import Budget, allocate_budget
from clv_forecast.finance.budget_solvers import AT_COST
from clv_forecast.finance.spend import CONFIDENCES, AllowableSpend, level_column


def spend_of(
    worth: Any, *, eligible: Any = True, basis: str = "retain", target_roi: float = 0.2, ids: Any = None, **more: Any
) -> AllowableSpend:
    """A spend on accounts of known value: cautious values a half (pooled, two groups) and a quarter (single) of it."""
    worth = np.asarray(worth, dtype=float)
    count = len(worth)
    ids = [f"c{i}" for i in range(count)] if ids is None else ids
    group = np.where(np.arange(count) % 2 == 0, "even", "odd")
    table = pd.DataFrame({"customer_id": ids, "group": group, "value_at_stake": worth})
    levels = table.rename(columns={"value_at_stake": "expected"}).assign(eligible=eligible)
    for confidence in CONFIDENCES:
        levels[level_column(confidence)] = 0.25 * worth
    sharing = np.where(levels["eligible"] & (worth > 0.0), worth, 0.0)
    levels["share_before"], levels["share_upto"], pools = 0.0, 0.0, []
    for name in ("even", "odd"):
        rows = np.flatnonzero((group == name) & (sharing > 0.0))
        climbed = np.cumsum(sharing[rows])
        if len(rows):
            levels.loc[rows, "share_upto"] = climbed / climbed[-1]
            levels.loc[rows, "share_before"] = np.concatenate([[0.0], climbed[:-1]]) / climbed[-1]
        pools += [{"group": name, "confidence": c, "reached": 0.5 * sharing[rows].sum()} for c in CONFIDENCES]
    fields = {
        "table": table, "totals": pd.DataFrame(), "zeros": pd.DataFrame(), "levels": levels,
        "pools": pd.DataFrame(pools),
        "basis": basis, "horizon": "12 months", "target_roi": target_roi, "confidence": 0.8,
        "payback_limit_months": None,
        "assumptions": {"uplift": 0.1}, "notes": (), "as_of": pd.Timestamp("2024-12-31"), "currency": "EUR",
    }  # fmt: skip
    return AllowableSpend(**(fields | more))


def allotted(budget: Budget) -> np.ndarray:
    return budget.table["allocated"].to_numpy()


def curve(worth: np.ndarray, cost: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    return worth * (1.0 - np.exp(-amounts / cost)) / (1.0 - np.exp(-1.0))


@given(
    worth=st.lists(st.floats(-5.0, 60.0), min_size=3, max_size=3),
    cost=st.lists(st.floats(0.5, 9.0), min_size=3, max_size=3),
    least=st.lists(st.integers(0, 2), min_size=3, max_size=3),
    room=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    total=st.integers(6, 20),
)
@settings(max_examples=40)
def test_nothing_on_a_grid_brings_more(
    worth: list[float], cost: list[float], least: list[int], room: list[int], total: int
) -> None:
    worth_, cost_, low = np.array(worth), np.array(cost), np.array(least, dtype=float)
    high = low + np.array(room)
    ids = ["c0", "c1", "c2"]
    budget = allocate_budget(
        spend_of(worth_), total, cost=dict(zip(ids, cost, strict=True)), least=pd.Series(low, ids),
        most=pd.Series(high, ids), resource="hours",
    )  # fmt: skip
    found = allotted(budget)
    assert budget.spent <= total and (found >= low).all() and (found <= high + 1e-9).all()
    grids = [np.arange(a, b + 0.5, 0.5) for a, b in zip(low, high, strict=True)]
    tried = np.array([s for s in itertools.product(*grids) if sum(s) <= total])
    best = max(curve(worth_, cost_, s).sum() for s in tried)
    assert budget.incremental_value >= best - 1e-7 * max(abs(best), 1.0)
    assert budget.incremental_value == pytest.approx(curve(worth_, cost_, found).sum())


@given(
    worth=st.lists(st.floats(-5.0, 60.0), min_size=8, max_size=8),
    cost=st.lists(st.floats(0.5, 20.0), min_size=8, max_size=8),
    total=st.floats(0.0, 90.0),
    forced=st.integers(0, 8),
)
@settings(max_examples=40)
def test_no_choice_of_whole_measures_brings_more(
    worth: list[float], cost: list[float], total: float, forced: int
) -> None:
    ids = [f"c{i}" for i in range(8)]
    cents, budget_cents = np.ceil(np.array(cost) * 100 - 1e-7), np.floor(total * 100 + 1e-7)
    least = {"c3": 0.1} if forced == 3 and cents[3] <= budget_cents else {}
    budget = allocate_budget(
        spend_of(worth), total, cost=dict(zip(ids, cost, strict=True)), least=least, returns="whole"
    )
    best = -np.inf
    for chosen in itertools.product([False, True], repeat=8):
        taken = np.array(chosen)
        pays = np.array(worth) >= 1.2 * cents / 100
        asked = np.flatnonzero(taken) == (3 if least else -1)
        if cents[taken].sum() <= budget_cents and (pays[taken] | asked).all() and asked.sum() == len(least):
            best = max(best, np.array(worth)[taken].sum())
    assert budget.incremental_value >= best - 1e-5 * max(abs(best), 1.0)
    assert budget.spent <= total
    assert set(np.unique(np.round(allotted(budget) * 100))) <= {0.0, *cents}


def test_whole_measures_of_many_accounts_are_within_the_gap_of_the_best() -> None:
    """Settling most measures beforehand changes nothing: HiGHS on all of them finds no better choice."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    for seed in range(3):
        spend, cost = random_case(seed, 80)
        total, worth = 0.3 * cost.sum(), spend.table["value_at_stake"].to_numpy()
        budget = allocate_budget(spend, total, cost=cost, returns="whole", resource="hours")
        best = milp(
            -worth, integrality=np.ones(80), bounds=Bounds(0, 1), options={"mip_rel_gap": 1e-9},
            constraints=LinearConstraint(cost.to_numpy()[None, :], -np.inf, total),
        )  # fmt: skip
        assert budget.incremental_value >= -best.fun * (1.0 - 2e-6)
        assert budget.assumptions["gap"] <= 2e-6 and budget.spent <= total
    alike = allocate_budget(spend_of(np.arange(1000.0)), 70.0, cost=7.03, returns="whole", resource="hours")
    assert np.flatnonzero(allotted(alike)).tolist() == list(range(991, 1000))
    assert alike.assumptions["gap"] == 0.0


def random_case(seed: int, count: int = 300) -> tuple[AllowableSpend, pd.Series]:
    rng = np.random.default_rng(seed)
    worth = rng.lognormal(4.0, 1.5, count) * rng.choice([-1.0, 1.0], count, p=[0.1, 0.9])
    return spend_of(worth), pd.Series(rng.lognormal(2.0, 1.0, count), [f"c{i}" for i in range(count)])


@pytest.mark.parametrize("seed", range(4))
def test_a_further_unit_brings_the_same_everywhere_inside_the_bounds(seed: int) -> None:
    spend, cost = random_case(seed)
    low, high = (cost * 0.1).where(cost > 8.0, 0.0), (cost * 0.9).where(cost < 4.0)
    budget = allocate_budget(spend, 1500.0, cost=cost, least=low, most=high, resource="hours")
    table = budget.table
    slope, amount, price = table["last_unit_buys"], table["allocated"], budget.last_unit_buys
    good = table["value_of_measure"] > 0.0
    inside = good & (amount > table["least"] + 1e-9) & (amount < table["most"] - 1e-9)
    assert inside.sum() > 20
    np.testing.assert_allclose(slope[inside], price, rtol=1e-9)
    assert (slope[good & (amount <= table["least"])] <= price * (1 + 1e-9)).all()
    assert (slope[good & (amount >= table["most"])] >= price * (1 - 1e-9)).all()
    assert (amount[~good] == table["least"][~good]).all()
    assert budget.spent == pytest.approx(1500.0, rel=1e-12) and budget.spent <= 1500.0
    assert budget.net is None


def test_the_last_unit_is_what_one_more_brings() -> None:
    spend, cost = random_case(9)
    for resource, step in (("hours", 1e-3), ("money", 1.0)):
        low, high = (
            allocate_budget(spend, 900.0 + d, cost=cost, resource=resource, caution="pooled") for d in (-step, step)
        )
        middle = allocate_budget(spend, 900.0, cost=cost, resource=resource, caution="pooled")
        gained = (high.incremental_value - low.incremental_value) / (2 * step)
        assert gained == pytest.approx(middle.last_unit_buys, rel=1e-3)


def test_more_money_never_brings_less_and_stops_where_it_does_not_come_back() -> None:
    spend, cost = random_case(2)
    for returns in ("diminishing", "whole"):
        totals = [0.0, 0.01, 10.0, 333.33, 2000.0, 1e5, 1e6]
        budgets = [allocate_budget(spend, t, cost=cost, most=1e9, returns=returns) for t in totals]
        assert (np.diff([b.incremental_value for b in budgets]) >= -1e-3).all()
        assert (np.diff([b.last_unit_buys for b in budgets]) <= 1e-9).all()
        assert all(b.spent <= b.total and b.spent + b.unspent == pytest.approx(b.total) for b in budgets)
        assert budgets[-1].unspent > 9e5 and budgets[-1].last_unit_buys == 0.0
        assert budgets[-1].spent == budgets[-2].spent
        assert budgets[3].last_unit_buys > 1.2
        assert budgets[-1].net == pytest.approx(budgets[-1].incremental_value - budgets[-1].spent)
    used = budgets[-1].table[budgets[-1].table["allocated"] > 0.0]
    assert (used["incremental_value"] >= 1.2 * used["cost"] * (1 - 1e-9)).all()
    marginal = allocate_budget(spend, 1e6, cost=cost, most=1e9).table.query("allocated > 0")["last_unit_buys"]
    assert marginal.to_numpy() == pytest.approx(1.2, rel=0.02) and (marginal >= 1.2 * (1 - 1e-9)).all()


def test_what_an_account_is_spared_earns_its_return_when_asked_for_more() -> None:
    spent = [
        allocate_budget(spend_of([100.0] * 4, target_roi=roi), 1e4, cost=20.0, most=1e9).spent
        for roi in (-0.5, 0.0, 0.2, 1.0)
    ]
    assert spent == sorted(spent, reverse=True) and len(set(spent)) == 4
    assert spent[1] == pytest.approx(4 * 20.0 * np.log(5.0 / AT_COST), abs=0.04)


@pytest.mark.parametrize("total", [0.01, 0.07, 10.0, 99.99, 1034.56])
def test_money_is_in_whole_cents_and_no_cent_is_lost(total: float) -> None:
    spend, cost = random_case(5, 97)
    budget = allocate_budget(spend, total, cost=cost, most=1e9, least={"c1": 0.001})
    cents = allotted(budget) * 100.0
    np.testing.assert_allclose(cents, np.rint(cents), atol=1e-9)
    assert np.rint(cents).sum() == round(total * 100) and budget.unspent == 0.0
    assert budget.table.loc[1, "allocated"] >= 0.01  # the minimum in whole cents


@pytest.mark.parametrize("returns", ["diminishing", "whole"])
@pytest.mark.parametrize("resource", ["money", "hours"])
def test_without_an_effect_only_minimums_are_spent(returns: str, resource: str) -> None:
    budget = allocate_budget(
        spend_of(np.zeros(6)), 100.0, cost=5.0, least={"c2": 5.0}, resource=resource, returns=returns
    )
    assert allotted(budget).tolist() == [0.0, 0.0, 5.0, 0.0, 0.0, 0.0]
    assert (budget.unspent, budget.incremental_value, budget.last_unit_buys) == (95.0, 0.0, 0.0)
    assert allocate_budget(spend_of([50.0]), 100.0, cost=5.0).spent > 0.0  # with one, they are not all


def test_losers_get_what_is_asked_for_and_no_more() -> None:
    spend = spend_of([500.0, 500.0, -40.0, np.nan], eligible=[True, False, True, True])
    budget = allocate_budget(spend, 60.0, cost=10.0, most=1e9, least={"c2": 2.0}, resource="hours")
    assert allotted(budget) == pytest.approx([58.0, 0.0, 2.0, 0.0])
    assert budget.table["note"].tolist() == [
        "", "Its expected value is below 0.", "The measure brings nothing here.",
        "What the measure brings on it is not known.",
    ]  # fmt: skip
    assert budget.table.loc[2, "incremental_value"] < 0.0
    assert any("1 accounts get more than the measure costs" in note for note in budget.notes)


def test_caution_counts_what_is_reached() -> None:
    spend, cost = random_case(7)
    found = {c: allocate_budget(spend, 1e6, cost=cost, caution=c) for c in ("expected", "pooled", "single")}
    worth = {c: b.table["value_of_measure"].clip(lower=0.0) for c, b in found.items()}
    np.testing.assert_allclose(worth["pooled"], 0.5 * worth["expected"])
    np.testing.assert_allclose(worth["single"], 0.25 * worth["expected"])
    assert found["expected"].spent > found["pooled"].spent > found["single"].spent > 0.0
    hopeless = spend_of([10.0, 20.0])
    hopeless.levels[level_column(80)] = 0.0
    budget = allocate_budget(hopeless, 10.0, cost=1.0, caution="single")
    assert budget.spent == 0.0 and "brings nothing anywhere" in budget.notes[0]


def test_hours_with_a_price_are_spent_while_they_pay() -> None:
    spend = spend_of([1000.0, 100.0], target_roi=0.0)
    free, priced = (allocate_budget(spend, 40.0, cost=4.0, most=1e9, resource="hours", price=p) for p in (None, 50.0))
    assert free.spent == pytest.approx(40.0) and free.unspent == pytest.approx(0.0, abs=1e-9)
    assert priced.spent < 10.0 and priced.last_unit_buys == 0.0
    assert priced.net == pytest.approx(priced.incremental_value - 50.0 * priced.spent)
    assert priced.table["last_unit_buys"].iloc[0] == pytest.approx(50.0)
    assert allotted(priced)[1] == 0.0


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_hours_are_shared_alike_whatever_the_size_of_the_money(scale: float) -> None:
    spend, cost = random_case(3)
    large = spend_of(spend.table["value_at_stake"] * scale)
    found = [allotted(allocate_budget(s, 700.0, cost=cost, resource="hours")) for s in (spend, large)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("returns", ["diminishing", "whole"])
def test_extreme_values_stay_finite_and_within_bounds(returns: str) -> None:
    worth = [1e-12, 1e12, 3.0, 1e300, 5e-324, 7.0]
    cost = {"c0": 1e-6, "c1": 1e6, "c2": 1.0, "c3": 1e3, "c4": 1.0, "c5": 1e12}
    for resource, total in itertools.product(("money", "hours"), (0.0, 1.0, 1e4, 1e7)):
        budget = allocate_budget(spend_of(worth), total, cost=cost, resource=resource, returns=returns)
        assert np.isfinite(budget.table[["allocated", "incremental_value", "last_unit_buys"]].to_numpy()).all()
        assert (allotted(budget) >= 0.0).all() and 0.0 <= budget.spent <= total
        assert allotted(budget)[3] == (min(total, 1e3) if total >= 1e3 else 0.0) or returns == "diminishing"


def test_rows_in_any_order_and_ids_of_any_kind() -> None:
    spend, cost = random_case(4, 40)
    found = allocate_budget(spend, 100.0, cost=cost, resource="hours")
    shuffled = allocate_budget(spend, 100.0, cost=cost.sample(frac=1.0, random_state=1), resource="hours")
    pd.testing.assert_frame_equal(found.table, shuffled.table)
    numbered = spend_of(spend.table["value_at_stake"], ids=np.arange(40) * 7)
    by_number = {int(k) * 7: v for k, v in enumerate(cost)}
    assert (
        allotted(allocate_budget(numbered, 100.0, cost=by_number, resource="hours")).tolist()
        == allotted(found).tolist()
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"spend": spend_of([1.0], basis="ceiling")}, DomainError, "incremental value.*'ceiling'.*'retain' or 'grow'"),
        ({"spend": 3}, DomainError, "made by allowable_spend"),
        ({"total": -1.0}, DomainError, "total must not be negative. Got: -1"),
        ({"total": "much"}, DomainError, "total must be one number"),
        ({"cost": 0.0}, InputError, "cost must be a finite number above 0. Got: 0.0. First customers: c0, c1"),
        ({"cost": {"c0": 1.0, "c1": -4.0}}, InputError, "above 0. Got: -4.0. First customers: c1"),
        ({"cost": {"c0": 1.0}}, InputError, "every account. First customers: c1. most=0"),
        ({"cost": {"c0": 1.0, "c1": 1.0, "x": 1.0}}, InputError, "does not have. First customers: x"),
        ({"cost": {"c0": "dear", "c1": 1.0}}, InputError, "cost must hold numbers"),
        ({"least": pd.Series([1.0, 2.0], ["c0", "c0"])}, InputError, "each account once. First customers: c0"),
        ({"least": -1.0}, InputError, "least must be finite and not negative"),
        ({"most": -1.0}, InputError, "most must not be negative"),
        (
            {"least": 3.0, "most": {"c1": 2.0}},
            InputError,
            "least must not be above most. Got: 3.0. First customers: c1",
        ),
        ({"least": 6.0}, InputError, "must not exceed the total. Got: 12.00 of minimums, 10.00 in all"),
        ({"least": 1.0, "returns": "whole", "cost": 9.0}, InputError, "18.00 of minimums, 10.00 in all"),
        ({"least": 1.0, "most": 2.0, "returns": "whole", "cost": 3.0}, InputError, "whole measure must lie within"),
        ({"resource": "days"}, DomainError, "Unknown resource. Got: 'days'. Known: money, hours"),
        ({"caution": "brave"}, DomainError, "Unknown caution"),
        ({"returns": "linear"}, DomainError, "Unknown returns"),
        ({"price": 5.0}, DomainError, "price is money per hour"),
        ({"price": -5.0, "resource": "hours"}, DomainError, "price must not be negative"),
    ],
)
def test_what_is_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given_ = {"spend": spend_of([5.0, 6.0]), "total": 10.0, "cost": 1.0} | change
    with pytest.raises(error, match=message):
        allocate_budget(given_.pop("spend"), given_.pop("total"), **given_)


def test_in_words() -> None:
    budget = allocate_budget(spend_of([100.0, 40.0, 0.5]), 50.0, cost=10.0, most={"c0": 12.0}, returns="whole")
    assert str(budget).splitlines() == [
        "Budget of 50.00 EUR (retain, 12 months, whole returns)",
        "  20.00 go to 2 of 3 accounts, 30.00 stay unspent",
        "  it brings 140.00 EUR, 120.00 more than it costs, counting expected value",
        "  one more unit of the budget would bring 0.00 EUR",
        "  Note: The rest stays unspent: a further unit brings back less than the 1.20 required.",
    ]
    assert budget.table["note"].tolist() == ["", "", "What it brings is below the required return."]
    assert repr(budget) == "<Budget of 50.00 (money) over 3 accounts>"
    assert {"total", "cost", "least", "most", "required_per_unit", "uplift", "gap"} <= set(budget.assumptions)


def test_of_a_real_forecast(forecast) -> None:
    spend = clv.allowable_spend(forecast, basis="retain", uplift=0.3)
    before = spend.table.copy(deep=True), spend.levels.copy(deep=True)
    for caution in ("expected", "pooled"):
        budget = allocate_budget(spend, 20.0, cost=0.4, caution=caution)
        assert budget.spent == 20.0 and budget.last_unit_buys > 1.2
        assert budget.table["customer_id"].tolist() == spend.table["customer_id"].tolist()
        pool = spend.pools.query("confidence == 80")["reached"].sum()
        expected = {"expected": spend.table["value_at_stake"].sum(), "pooled": max(pool, 0.0)}[caution]
        assert budget.table["value_of_measure"].sum() == pytest.approx(expected)
    pd.testing.assert_frame_equal(spend.table, before[0])
    pd.testing.assert_frame_equal(spend.levels, before[1])


def test_nothing_is_spent_beyond_what_the_measure_costs_unless_allowed() -> None:
    spend = spend_of([1000.0, 900.0, 1.0])
    budget = allocate_budget(spend, 100.0, cost=10.0)
    assert allotted(budget).tolist() == [10.0, 10.0, 0.0] and budget.unspent == 80.0
    assert allotted(allocate_budget(spend, 100.0, cost=10.0, most=60.0)).sum() > 80.0
