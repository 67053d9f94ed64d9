"""Whitespace: against its definition account by account, on both sides of each rule, and against simulated truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking.whitespace import Whitespace, whitespace

NAMES = ["customer_id", "category", "peers_share", "typical_revenue", "whitespace", "rank"]


def made_up(n: int, seed: int = 1, categories: int = 6) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Purchases by category, revenue, group and weight of accounts 0 .. n - 1."""
    rng = np.random.default_rng([seed, n])
    group = rng.integers(0, 2, n)
    buys = rng.random((n, categories)) < np.where(group[:, None] == 0, 0.7, 0.3) * np.linspace(1.2, 0.4, categories)
    buys[:, 0] |= ~buys.any(axis=1)
    account, category = np.nonzero(buys)
    log = pd.DataFrame({"customer_id": account, "category": np.array(list("abcdefgh"))[category]})
    log["revenue"] = rng.lognormal(3.0, 1.0, len(log))
    return log, rng.lognormal(6.0, 1.0, n), np.array(["n", "s"])[group], rng.beta(2.0, 1.0, n)


def by_definition(
    log: pd.DataFrame, i: int, revenue: np.ndarray, peers: np.ndarray, weight: np.ndarray
) -> dict[str, tuple[float, float]]:
    """peers_share and typical_revenue of account ``i`` by category it does not buy; peers by place."""
    spend = log.pivot_table(index="customer_id", columns="category", values="revenue", aggfunc="sum").fillna(0.0)
    share = spend.div(spend.sum(axis=1), axis=0)
    peers = np.array([p for p in peers if p != i and p in spend.index])
    found = {}
    for name in spend.columns[(spend.loc[i] == 0.0).to_numpy()]:
        buyers = [p for p in peers if spend.loc[p, name] > 0.0]
        if buyers:
            order = sorted(buyers, key=lambda p: share.loc[p, name])
            sums = np.cumsum(weight[order])
            typical = share.loc[order[int(np.searchsorted(sums, 0.5 * sums[-1]))], name]
            found[name] = (weight[buyers].sum() / weight[peers].sum(), typical * revenue[i])
    return found


def same(one: Whitespace, other: Whitespace) -> None:
    pd.testing.assert_frame_equal(one.table, other.table)
    np.testing.assert_allclose(one.wallet, other.wallet, rtol=1e-12)


def test_by_definition() -> None:
    log, revenue, group, weight = made_up(60)
    found = whitespace(log, range(60), revenue, groups=group, weight=weight, keep=6)
    assert list(found.table.columns) == NAMES
    assert found.on_offer == 6
    np.testing.assert_array_equal(found.bought, log.groupby("customer_id").size())
    for i in range(0, 60, 3):
        expected = by_definition(log, i, revenue, np.flatnonzero(group == group[i]), weight)
        rows = found.table[found.table["customer_id"] == i].set_index("category")
        assert set(rows.index) == set(expected)
        for name, (share, typical) in expected.items():
            assert rows.loc[name, "peers_share"] == pytest.approx(share)
            assert rows.loc[name, "typical_revenue"] == pytest.approx(typical)
            assert rows.loc[name, "whitespace"] == pytest.approx(share * typical)
        assert found.wallet[i] == pytest.approx(revenue[i] + sum(a * b for a, b in expected.values()))
        assert rows["whitespace"].is_monotonic_decreasing
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))


def test_the_table_keeps_the_largest_and_the_wallet_sums_all() -> None:
    log, revenue, group, weight = made_up(60)
    everything = whitespace(log, range(60), revenue, groups=group, weight=weight, keep=6)
    some = whitespace(log, range(60), revenue, groups=group, weight=weight, keep=2)
    np.testing.assert_array_equal(some.wallet, everything.wallet)
    assert some.table["rank"].max() == 2
    top = everything.table[everything.table["rank"] <= 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(some.table, top)


def test_what_an_account_buys_changes_only_what_it_lacks() -> None:
    log, revenue, group, weight = made_up(60)
    before = whitespace(log, range(60), revenue, groups=group, weight=weight, keep=6).table
    louder = log.assign(revenue=log["revenue"].where(log["customer_id"] != 7, 1e6 * log["revenue"]))
    after = whitespace(louder, range(60), revenue, groups=group, weight=weight, keep=6).table
    pd.testing.assert_frame_equal(before[before["customer_id"] == 7], after[after["customer_id"] == 7])


def test_order_of_rows_and_ids_as_text_do_not_matter() -> None:
    log, revenue, group, weight = made_up(60)
    straight = whitespace(log, range(60), revenue, groups=group, weight=weight)
    same(whitespace(log.iloc[::-1], range(60), revenue, groups=group, weight=weight), straight)
    order = np.random.default_rng(3).permutation(60)
    turned = whitespace(log, order, revenue[order], groups=group[order], weight=weight[order])
    np.testing.assert_array_equal(turned.wallet, straight.wallet[order])
    assert turned.table["customer_id"].drop_duplicates().tolist() == [
        i for i in order if i in set(straight.table["customer_id"])
    ]
    text = whitespace(
        log.assign(customer_id=log["customer_id"].map("A{}".format)),
        [f"A{i}" for i in range(60)],
        revenue,
        groups=group,
        weight=weight,
    )
    np.testing.assert_allclose(text.wallet, straight.wallet, rtol=1e-12)


def test_categories_of_mixed_types() -> None:
    log, revenue, group, _ = made_up(60)
    names = {"a": 1, "b": 2.5, "c": "c", "d": "4", "e": 4, "f": "f"}
    found = whitespace(
        log.assign(category=log["category"].map(names).astype("object")), range(60), revenue, groups=group
    )
    straight = whitespace(log, range(60), revenue, groups=group)
    np.testing.assert_allclose(found.wallet, straight.wallet, rtol=1e-12)
    assert found.table["category"].tolist() == straight.table["category"].map(names).tolist()


def test_lines_of_one_category_add_up_and_what_is_no_purchase_is_dropped() -> None:
    log, revenue, group, _ = made_up(60)
    straight = whitespace(log, range(60), revenue, groups=group)
    halves = pd.concat([log.assign(revenue=0.25 * log["revenue"]), log.assign(revenue=0.75 * log["revenue"])])
    none = pd.DataFrame({"customer_id": [0, 1, 2], "category": ["z", "z", None], "revenue": [0.0, -5.0, 9.0]})
    same(whitespace(pd.concat([halves, none]), range(60), revenue, groups=group), straight)
    refunded = pd.DataFrame({"customer_id": [0], "category": ["z"], "revenue": [9.0]})
    returned = pd.concat([log, refunded, refunded.assign(revenue=-9.0)])
    same(whitespace(returned, range(60), revenue, groups=group), straight)


def test_accounts_with_no_known_category_are_absent_not_zero() -> None:
    log, revenue, group, _ = made_up(60)
    rest = log[log["customer_id"] >= 2]
    found = whitespace(rest, range(60), revenue, groups=group)
    assert np.isnan(found.wallet[:2]).all()
    assert np.isfinite(found.wallet[2:]).all()
    assert found.bought[:2].tolist() == [0, 0]
    assert not set(found.table["customer_id"]) & {0, 1}
    assert any("No purchase in a known category of 2 accounts" in note for note in found.notes)
    alone = whitespace(rest, range(2, 60), revenue[2:], groups=group[2:])
    np.testing.assert_allclose(found.wallet[2:], alone.wallet, rtol=1e-12)
    assert alone.notes == ()


def test_customers_who_are_no_accounts_are_left_out() -> None:
    log, revenue, group, _ = made_up(60)
    found = whitespace(log, range(30), revenue[:30], groups=group[:30])
    same(found, whitespace(log[log["customer_id"] < 30], range(30), revenue[:30], groups=group[:30]))
    assert any("30 customers who are not among" in note for note in found.notes)


def test_small_groups_have_the_whole_base_as_peers() -> None:
    log, revenue, _, _ = made_up(60)
    whole = whitespace(log, range(60), revenue)
    for size, small in ((19, True), (20, False)):
        group = np.array(["few"] * size + ["many"] * (60 - size))
        found = whitespace(log, range(60), revenue, groups=group)
        few = found.table[found.table["customer_id"] < size]
        of_whole = whole.table[whole.table["customer_id"] < size]
        assert few["peers_share"].tolist() == of_whole["peers_share"].tolist() or not small
        assert (few["peers_share"].tolist() == of_whole["peers_share"].tolist()) is small
        assert any("19 accounts in groups of fewer than 20" in note for note in found.notes) is small


def test_missing_groups_are_a_group() -> None:
    log, revenue, group, _ = made_up(80)
    missing = np.where(group == "n", group, None)
    same(whitespace(log, range(80), revenue, groups=missing), whitespace(log, range(80), revenue, groups=group))
    text = pd.array(missing, dtype="string")
    same(whitespace(log, range(80), revenue, groups=text), whitespace(log, range(80), revenue, groups=group))


def test_weight_zero_is_no_peer_but_has_whitespace() -> None:
    log, revenue, _, _ = made_up(60)
    weight = np.where(np.arange(60) < 30, 0.0, 1.0)
    found = whitespace(log, range(60), revenue, weight=weight)
    half = whitespace(log[log["customer_id"] >= 30], range(30, 60), revenue[30:])
    np.testing.assert_allclose(found.wallet[30:], half.wallet, rtol=1e-12)
    assert (found.wallet[:30] >= revenue[:30]).all()
    assert (found.wallet[:30] > revenue[:30]).any()


def test_rare_categories_are_never_whitespace_but_count() -> None:
    log, revenue, group, _ = made_up(60)
    two = log.groupby("category")["revenue"].sum().nlargest(2).index
    found = whitespace(log, range(60), revenue, groups=group, most_categories=2, keep=6)
    assert set(found.table["category"]) <= set(two)
    assert found.on_offer == 6
    np.testing.assert_array_equal(found.bought, log.groupby("customer_id").size())
    everything = whitespace(log, range(60), revenue, groups=group, keep=6).table
    of_two = everything[everything["category"].isin(two)].drop(columns="rank").reset_index(drop=True)
    pd.testing.assert_frame_equal(found.table.drop(columns="rank"), of_two)
    assert any("2 categories with the most revenue" in note for note in found.notes)


def test_scales_with_the_account_and_not_with_the_log() -> None:
    log, revenue, group, _ = made_up(60)
    found = whitespace(log, range(60), revenue, groups=group)
    larger = whitespace(log.assign(revenue=3.0 * log["revenue"]), range(60), 2.0 * revenue, groups=group)
    np.testing.assert_allclose(larger.wallet, 2.0 * found.wallet, rtol=1e-12)
    revenue[0] = 0.0
    assert whitespace(log, range(60), revenue, groups=group).wallet[0] == 0.0


def test_an_account_that_buys_all_and_one_category_for_all() -> None:
    log, revenue, _, _ = made_up(60)
    full = pd.DataFrame({"customer_id": 0, "category": list("abcdef"), "revenue": 1.0})
    found = whitespace(pd.concat([log, full]), range(60), revenue)
    assert found.wallet[0] == revenue[0]
    assert found.bought[0] == 6
    one = whitespace(log.assign(category="a"), range(60), revenue)
    np.testing.assert_array_equal(one.wallet, revenue)
    assert one.table.empty
    assert list(one.table.columns) == NAMES


def test_few_accounts_and_none() -> None:
    log, revenue, _, _ = made_up(60)
    for n in (0, 1, 9, 10):
        found = whitespace(log[log["customer_id"] < n], range(n), revenue[:n])
        assert (np.isfinite(found.wallet) == (n >= 10)).all()
        assert any("are needed" in note for note in found.notes) is (n < 10)
        assert list(found.table.columns) == NAMES
    empty = whitespace(log.iloc[:0], range(60), revenue)
    assert np.isnan(empty.wallet).all()
    assert empty.on_offer == 0


def test_nothing_is_changed() -> None:
    log, revenue, group, weight = made_up(60)
    copies = log.copy(), revenue.copy(), weight.copy()
    found = whitespace(log, range(60), revenue, groups=group, weight=weight)
    pd.testing.assert_frame_equal(log, copies[0])
    np.testing.assert_array_equal(revenue, copies[1])
    np.testing.assert_array_equal(weight, copies[2])
    with pytest.raises(ValueError, match="read-only"):
        found.wallet[0] = 1.0
    assert "6 categories on offer, known of 60 of 60" in repr(found)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"revenue": [-1.0] * 60}, InputError, "at least 0"),
        ({"revenue": [1.0]}, DomainError, "one entry per id"),
        ({"ids": [1] * 60}, InputError, "id of its own"),
        ({"groups": ["a"]}, DomainError, "one label per id"),
        ({"weight": [2.0] * 60}, InputError, "probability"),
        ({"keep": 0}, DomainError, "keep"),
        ({"most_categories": 1.5}, DomainError, "most_categories"),
        ({"bought": pd.DataFrame({"customer_id": [1]})}, DomainError, "needs the columns category, revenue"),
        ({"bought": pd.DataFrame({"customer_id": [1], "category": ["a"], "revenue": ["much"]})}, InputError, "finite"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    log, revenue, group, _ = made_up(60)
    call: dict[str, Any] = {"bought": log, "ids": range(60), "revenue": revenue, "groups": group} | change
    with pytest.raises(error, match=message):
        whitespace(**call)


def hidden_demand(seed: int, *, shuffled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Whitespace told of a category hidden from the log, and what accounts really spend on it.

    By kind, accounts have a taste for categories; a tenth of the purchases of each category is hidden.
    """
    rng = np.random.default_rng(seed)
    n, size = 4000, 8
    kind = rng.integers(0, 3, n)
    taste = rng.uniform(0.1, 0.9, (3, size))
    taste[:, 0] = 1.0
    wants = rng.random((n, size)) < taste[kind]
    level = rng.lognormal(5.0, 1.0, n)
    spend = wants * level[:, None] * rng.gamma(20.0, 0.05, (n, size)) * np.linspace(1.5, 0.5, size)
    hidden = wants & (rng.random((n, size)) < 0.1)
    hidden[:, 0] = False
    account, category = np.nonzero(wants & ~hidden)
    log = pd.DataFrame({"customer_id": account, "category": category, "revenue": spend[account, category]})
    group = rng.permutation(kind) if shuffled else kind
    seen = (spend * ~hidden).sum(axis=1)
    table = whitespace(log, range(n), seen, groups=group, keep=size).table
    return table["whitespace"].to_numpy(), (spend * hidden)[table["customer_id"], table["category"]]


@pytest.mark.slow
def test_whitespace_finds_hidden_demand_and_shuffled_groups_find_less() -> None:
    gains = []
    for seed in range(5):
        captured = []
        for shuffled in (False, True):
            told, real = hidden_demand(seed, shuffled=shuffled)
            top = np.argsort(-told, kind="stable")[: told.size // 5]
            captured.append(real[top].sum() / real.sum())
        gains.append(captured)
    mean = np.mean(gains, axis=0)
    print(mean)
    assert mean[0] > mean[1] + 0.02
    assert mean[1] > 0.3  # size alone: large accounts have larger gaps


@pytest.mark.slow
def test_a_large_base() -> None:
    import time

    rng = np.random.default_rng(1)
    account, category = np.nonzero(rng.random((100_000, 50)) < rng.uniform(0.02, 0.4, 50))
    log = pd.DataFrame({"customer_id": account, "category": category, "revenue": rng.lognormal(size=account.size)})
    start = time.perf_counter()
    found = whitespace(log, range(100_000), rng.lognormal(size=100_000), groups=rng.integers(0, 5, 100_000))
    print(f"{time.perf_counter() - start:.1f} s")
    assert time.perf_counter() - start < 20.0
    assert len(found.table) > 400_000
