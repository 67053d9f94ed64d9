"""Reachable revenue from peers: never from the account itself, right given attributes, honest where peers are few."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from threadpoolctl import threadpool_limits

from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking.peers import FROM_BASE, FROM_PEERS, FROM_SEGMENT, left_out_quantile, reachable_revenue
from clv_forecast.simulation import simulate_accounts

QUANTILE = 0.8
NAMES = np.array(["bank", "school", "shop", "farm", "port"])


def made_up(
    n: int, seed: int = 1, *, shuffled: bool = False
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame, np.ndarray]:
    """Revenue, weight, attributes, and the logarithm of the true quantile given attributes."""
    rng = np.random.default_rng([seed, n])
    kind, region = rng.choice(5, n, p=[0.35, 0.25, 0.2, 0.15, 0.05]), rng.integers(0, 4, n)
    country = rng.choice(20, n, p=1.0 / np.arange(1, 21) / (1.0 / np.arange(1, 21)).sum())
    employees = np.exp(rng.normal(4.0, 1.3, n))
    spread = np.array([0.5, 0.7, 0.8, 0.9, 1.1])[kind]
    middle = 8.0 + rng.normal(0, 0.6, 5)[kind] + rng.normal(0, 0.3, 4)[region] + rng.normal(0, 0.25, 20)[country]
    middle += 0.5 * (np.log(employees) - 4.0)
    table = pd.DataFrame(
        {"kind": NAMES[kind], "region": region, "country": [f"c{c}" for c in country], "employees": employees}
    )
    if shuffled:
        table = table.iloc[rng.permutation(n)].reset_index(drop=True)
    revenue = np.exp(middle + spread * rng.normal(size=n))
    return revenue, rng.beta(2.0, 1.0, n), table, middle + spread * stats.norm.ppf(QUANTILE)


def share_below(revenue: np.ndarray, wallet: np.ndarray, weight: np.ndarray) -> float:
    return float(np.average(revenue <= wallet, weights=weight))


def level_errors(revenue: np.ndarray, wallet: np.ndarray, weight: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """Standard errors by which the share below misses the quantile, for every level of at least 50 accounts."""
    below, found = revenue <= wallet, []
    for name in ("kind", "region", "country"):
        for _, rows in table.groupby(name).indices.items():
            w = weight[rows]
            if rows.size >= 50:
                error = np.sqrt(QUANTILE * (1 - QUANTILE) * (w**2).sum()) / w.sum()
                found.append((np.average(below[rows], weights=w) - QUANTILE) / error)
    return np.array(found)


@pytest.mark.parametrize(("n", "source"), [(15, FROM_BASE), (60, FROM_SEGMENT), (150, FROM_PEERS)])
def test_own_revenue_never_enters_its_own_wallet(n: int, source: str) -> None:
    revenue, weight, table, _ = made_up(n)
    table["kind"] = np.where(np.arange(n) % 2 == 0, "a", "b")
    before = reachable_revenue(revenue, weight, table, ids=range(n), segment="kind")
    assert set(before.source) == {source}
    others = []
    for factor in (1000.0, 0.0):
        changed = revenue.copy()
        changed[4] *= factor
        after = reachable_revenue(changed, weight, table, ids=range(n), segment="kind")
        rounding = 0.0 if source == FROM_PEERS else 1e-12  # sums of weights with and without it
        assert after.wallet[4] == pytest.approx(before.wallet[4], rel=rounding, abs=0.0)
        assert after.log_sd[4] == pytest.approx(before.log_sd[4], rel=rounding, abs=0.0)
        others.append(np.array_equal(np.delete(after.wallet, 4), np.delete(before.wallet, 4)))
    assert not all(others)


@pytest.mark.parametrize("n", [60, 200])
def test_order_of_rows_and_columns_does_not_matter(n: int) -> None:
    revenue, weight, table, _ = made_up(n)
    ids = np.array([f"A{i}" for i in range(n)])
    straight = reachable_revenue(revenue, weight, table, ids=ids)
    order = np.random.default_rng(5).permutation(n)
    turned = reachable_revenue(revenue[order], weight[order], table.iloc[order, ::-1], ids=ids[order])
    for name in ("wallet", "log_sd", "source", "peers"):
        np.testing.assert_array_equal(getattr(turned, name), getattr(straight, name)[order])


def test_number_of_threads_does_not_matter() -> None:
    revenue, weight, table, _ = made_up(400)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(reachable_revenue(revenue, weight, table, ids=range(400)))
    np.testing.assert_array_equal(found[0].wallet, found[1].wallet)
    np.testing.assert_array_equal(found[0].log_sd, found[1].log_sd)


def test_the_seed_parts_the_accounts_anew_and_moves_wallets_within_their_error() -> None:
    revenue, weight, table, _ = made_up(1000)
    one, same, other = (reachable_revenue(revenue, weight, table, ids=range(1000), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.wallet, same.wallet)
    moved = np.log(other.wallet / one.wallet) / one.log_sd
    assert 0.0 < np.sqrt(np.mean(moved**2)) < 0.6


def test_arguments_stay_as_they_are_and_results_cannot_be_changed() -> None:
    revenue, weight, table, _ = made_up(120)
    copies = revenue.copy(), weight.copy(), table.copy()
    found = reachable_revenue(revenue, weight, table, ids=range(120))
    np.testing.assert_array_equal(revenue, copies[0])
    np.testing.assert_array_equal(weight, copies[1])
    pd.testing.assert_frame_equal(table, copies[2])
    with pytest.raises(ValueError, match="read-only"):
        found.wallet[0] = 1.0
    assert repr(found) == "<Peers: reachable revenue of 120 of 120 accounts>"


@pytest.mark.parametrize("n", [60, 300])
def test_the_unit_of_money_and_of_numbers_does_not_matter(n: int) -> None:
    revenue, weight, table, _ = made_up(n)
    revenue[:3] = 0.0
    found = reachable_revenue(revenue, weight, table, ids=range(n))
    other = reachable_revenue(100.0 * revenue, weight, table.assign(employees=np.log(table["employees"])), ids=range(n))
    np.testing.assert_allclose(other.wallet, 100.0 * found.wallet, rtol=1e-6)
    np.testing.assert_allclose(other.log_sd, found.log_sd, rtol=1e-5)


@pytest.mark.parametrize("quantile", [0.5, 0.8, 0.95])
def test_share_below_is_the_quantile(quantile: float) -> None:
    revenue, weight, table, _ = made_up(2000, seed=3)
    found = reachable_revenue(revenue, weight, table, ids=range(2000), quantile=quantile)
    assert share_below(revenue, found.wallet, weight) == pytest.approx(quantile, abs=0.012)
    assert set(found.source) == {FROM_PEERS}
    assert (found.peers == 1800).all()


def test_share_below_is_the_quantile_within_levels_and_not_so_for_one_quantile_of_all() -> None:
    revenue, weight, table, _ = made_up(4000, seed=3)
    found = reachable_revenue(revenue, weight, table, ids=range(4000))
    errors = level_errors(revenue, found.wallet, weight, table)
    assert errors.size > 15
    assert np.abs(errors).max() < 2.5
    control = reachable_revenue(revenue, weight, pd.DataFrame(index=range(4000)), ids=range(4000))
    assert share_below(revenue, control.wallet, weight) == pytest.approx(QUANTILE, abs=0.002)
    assert np.abs(level_errors(revenue, control.wallet, weight, table)).max() > 5.0


def test_a_likely_lost_account_counts_little() -> None:
    revenue, _, table, _ = made_up(300)
    table = table.assign(kind=np.where(np.arange(300) % 2 == 0, "a", "b"))
    high = revenue.copy()
    high[150:] *= 50.0
    gone = np.where(np.arange(300) < 150, 1.0, 1e-6)
    light = reachable_revenue(high, gone, table, ids=range(300)).wallet[:150]
    alike = reachable_revenue(revenue, gone, table, ids=range(300)).wallet[:150]
    equal = reachable_revenue(high, np.ones(300), table, ids=range(300)).wallet[:150]
    assert np.median(light / alike) == pytest.approx(1.0, abs=0.1)
    assert np.median(equal / alike) > 5.0


@pytest.mark.parametrize("n", [40, 300])
def test_weight_zero_is_no_peer_but_has_some(n: int) -> None:
    revenue, weight, table, _ = made_up(n)
    weight[::4] = 0.0
    other = revenue.copy()
    other[::4] = 1e9
    found, changed = (reachable_revenue(r, weight, table, ids=range(n)) for r in (revenue, other))
    np.testing.assert_array_equal(found.wallet, changed.wallet)
    assert np.isfinite(found.wallet).all()
    assert (found.peers[::4] > 0).all()


def test_few_accounts() -> None:
    revenue, weight, table, _ = made_up(300)
    for n, source in ((9, None), (10, FROM_BASE), (39, FROM_BASE), (99, FROM_SEGMENT), (100, FROM_PEERS)):
        some = table.iloc[:n].assign(kind=["a"] * (n // 2) + ["b"] * (n - n // 2))[["kind"]]
        found = reachable_revenue(revenue[:n], weight[:n], some, ids=range(n))
        known = source is not None
        assert (np.isfinite(found.wallet) == known).all()
        assert (np.isfinite(found.log_sd) == known).all()
        assert (found.peers > 0).all() == known
        if n != 39:  # 19 and 20 accounts by kind: one falls back, the other does not
            assert set(found.source) == {source}
        else:
            assert list(found.source) == [FROM_BASE] * 19 + [FROM_SEGMENT] * 20
            assert set(found.peers) == {38, 19}
        assert any("are needed" in note for note in found.notes) == (not known)


def test_no_attributes_and_useless_ones_give_the_whole_base() -> None:
    revenue, weight, _, _ = made_up(200)
    bare = pd.DataFrame(index=range(200))
    useless = bare.assign(
        same="x", name=[f"n{i}" for i in range(200)], none=None, day=pd.date_range("2020-01-01", periods=200)
    )
    found = [reachable_revenue(revenue, weight, table, ids=range(200)) for table in (bare, useless)]
    assert set(found[0].source) == set(found[1].source) == {FROM_BASE}
    np.testing.assert_array_equal(found[0].wallet, found[1].wallet)
    assert [note.split()[0] for note in found[1].notes] == ["day", "name"]


def test_no_accounts_and_one() -> None:
    for n in (0, 1):
        found = reachable_revenue(np.ones(n), np.ones(n), pd.DataFrame({"kind": ["a"] * n}), ids=range(n))
        assert found.wallet.shape == (n,)
        assert np.isnan(found.wallet).all()


def test_the_segment_is_the_label_with_most_large_levels_unless_named() -> None:
    revenue = np.arange(1.0, 81.0)
    table = pd.DataFrame({"four": list("abcd") * 20, "two": ["x"] * 40 + ["y"] * 40, "size": np.arange(80) // 40})
    default = reachable_revenue(revenue, np.ones(80), table, ids=range(80))
    by_two = reachable_revenue(revenue, np.ones(80), table, ids=range(80), segment="two")
    by_number = reachable_revenue(revenue, np.ones(80), table, ids=range(80), segment="size")
    assert set(default.peers) == {19}
    assert set(by_two.peers) == {39}
    np.testing.assert_array_equal(by_two.wallet, by_number.wallet)
    assert by_two.wallet[:40].max() < by_two.wallet[40:].min()


@pytest.mark.parametrize("n", [60, 400])
def test_all_ties_and_no_spend(n: int) -> None:
    _, weight, table, _ = made_up(n)
    equal = reachable_revenue(np.full(n, 250.0), weight, table, ids=range(n))
    np.testing.assert_allclose(equal.wallet, 250.0, rtol=1e-3)
    assert equal.log_sd.max() < 0.01
    none = reachable_revenue(np.zeros(n), weight, table, ids=range(n))
    assert (none.wallet == 0.0).all()
    assert (none.log_sd == 0.0).all()


@pytest.mark.parametrize("spending", [0, 8, 9, 30, 60])
def test_a_small_base_that_hardly_spends_has_a_finite_band(spending: int) -> None:
    revenue = np.where(np.arange(60) < spending, np.linspace(100.0, 200.0, 60), 0.0)
    found = reachable_revenue(revenue, np.ones(60), pd.DataFrame(index=range(60)), ids=range(60))
    assert (found.log_sd >= 0.0).all()
    assert (found.log_sd < 8.0).all()
    assert (found.wallet > 0.0).all() == (spending > 12)
    assert (found.log_sd[found.wallet == 0.0] == 0.0).all()


def test_a_segment_that_never_spends_reaches_nothing() -> None:
    revenue, weight, table, _ = made_up(600)
    table = table.assign(kind=np.where(np.arange(600) % 2 == 0, "spends", "never"))
    revenue[1::2] = 0.0
    found = reachable_revenue(revenue, weight, table, ids=range(600))
    assert (found.wallet[1::2] == 0.0).mean() > 0.95
    assert share_below(revenue[::2], found.wallet[::2], weight[::2]) == pytest.approx(QUANTILE, abs=0.03)


def test_missing_attributes_are_a_level_of_their_own() -> None:
    revenue, weight, table, _ = made_up(1200)
    hidden = np.arange(1200) % 3 == 0
    revenue[hidden] *= 20.0
    for column, missing in (("kind", None), ("employees", np.nan)):
        gaps = table.drop(columns="country").assign(**{column: table[column].where(~hidden, missing)})
        found = reachable_revenue(revenue, weight, gaps, ids=range(1200))
        for part in (hidden, ~hidden):
            below = share_below(revenue[part], found.wallet[part], weight[part])
            assert below == pytest.approx(QUANTILE, abs=0.03)


def test_labels_seen_once_and_infinite_numbers() -> None:
    revenue, weight, table, _ = made_up(300)
    table.loc[0, "kind"] = "only one"
    table.loc[1, "employees"] = np.inf
    found = reachable_revenue(revenue, weight, table, ids=range(300))
    assert np.isfinite(found.wallet).all()
    assert found.log_sd[0] > np.median(found.log_sd)


def test_more_labels_than_are_told_apart() -> None:
    rng = np.random.default_rng(2)
    revenue, weight, _, _ = made_up(2000)
    table = pd.DataFrame({"town": [f"t{t}" for t in rng.integers(0, 400, 2000)], "kind": rng.choice(NAMES, 2000)})
    found = reachable_revenue(revenue, weight, table, ids=range(2000))
    assert any("most frequent" in note for note in found.notes)
    assert share_below(revenue, found.wallet, weight) == pytest.approx(QUANTILE, abs=0.015)


def test_attributes_that_tell_only_together_are_named() -> None:
    rng = np.random.default_rng(4)
    left, right = rng.integers(0, 2, 1000), rng.integers(0, 2, 1000)
    table = pd.DataFrame({"left": np.array(["a", "b"])[left], "right": np.array(["x", "y"])[right]})
    revenue = np.exp(5.0 + 2.0 * (left == right) + 0.5 * rng.normal(size=1000))
    found = reachable_revenue(revenue, np.ones(1000), table, ids=range(1000))
    ratio = np.median(found.wallet[left == right]) / np.median(found.wallet[left != right])
    assert ratio == pytest.approx(np.exp(2.0), rel=0.15)
    assert any("left with right" in note for note in found.notes)
    apart = reachable_revenue(np.exp(rng.normal(size=1000)), np.ones(1000), table, ids=range(1000))
    assert not any("left with right" in note for note in apart.notes)


def test_progress_is_told() -> None:
    revenue, weight, table, _ = made_up(120)
    seen: list[tuple[str, int, int]] = []
    reachable_revenue(revenue, weight, table, ids=range(120), progress=lambda *report: seen.append(report))
    assert seen[-1] == ("peers", 10, 10)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"revenue": [-1.0] + [1.0] * 19}, InputError, "at least 0"),
        ({"revenue": [np.nan] + [1.0] * 19}, InputError, "at least 0"),
        ({"weight": [1.5] + [1.0] * 19}, InputError, "probability"),
        ({"weight": [np.nan] + [1.0] * 19}, InputError, "probability"),
        ({"ids": [1] * 20}, InputError, "id of its own"),
        ({"revenue": [1.0]}, DomainError, "one entry per id"),
        ({"quantile": 1.0}, DomainError, "between 0 and 1"),
        ({"quantile": "high"}, DomainError, "quantile"),
        ({"seed": -1}, DomainError, "seed"),
        ({"segment": "nowhere"}, DomainError, "column of the attributes"),
        ({"attributes": pd.DataFrame([[1, 2]] * 20, columns=["a", "a"])}, DomainError, "name of its own"),
    ],
)
def test_errors(change: dict[str, object], error: type[Exception], message: str) -> None:
    given_ = {"revenue": [1.0] * 20, "weight": [1.0] * 20, "attributes": pd.DataFrame({"kind": ["a"] * 20})}
    given_ |= {"ids": range(20)} | change
    options = {name: given_.pop(name) for name in ("ids", "quantile", "segment", "seed") if name in given_}
    with pytest.raises(error, match=message):
        reachable_revenue(*given_.values(), **options)


@given(st.integers(2, 12), st.integers(0, 10_000), st.sampled_from([0.2, 0.5, 0.8, 0.95]))
def test_left_out_quantile_by_definition(n: int, seed: int, quantile: float) -> None:
    rng = np.random.default_rng(seed)
    values, weight = np.round(rng.normal(size=n), 1), rng.uniform(0.1, 1.0, n)
    found = left_out_quantile(values, weight, quantile)
    for at in range(n):
        others = np.delete(np.arange(n), at)
        others = others[np.argsort(values[others], kind="stable")]
        expected = np.interp(quantile * weight.sum(), np.cumsum(weight[others]), values[others])
        assert found[at] == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "seeds", "low", "high"), [(300, 40, 0.70, 0.90), (2000, 12, 0.74, 0.92), (20000, 3, 0.70, 0.95)]
)
def test_band_covers_the_true_quantile_and_shuffled_attributes_tell_nothing(
    n: int, seeds: int, low: float, high: float
) -> None:
    rows = []
    for seed in range(seeds):
        revenue, weight, table, truth = made_up(n, seed)
        found = reachable_revenue(revenue, weight, table, ids=range(n))
        miss = np.log(found.wallet) - truth
        errors = level_errors(revenue, found.wallet, weight, table)
        _, _, shuffled, _ = made_up(n, seed, shuffled=True)
        control = reachable_revenue(revenue, weight, shuffled, ids=range(n))
        one = reachable_revenue(revenue, weight, table[[]], ids=range(n))
        rows.append(
            {
                "covered": (np.abs(miss) < stats.norm.ppf(0.9) * found.log_sd).mean(),
                "error": np.sqrt(np.mean(miss**2)),
                "below": share_below(revenue, found.wallet, weight),
                "levels": np.mean(errors**2),
                "control error": np.sqrt(np.mean((np.log(control.wallet) - truth) ** 2)),
                "control covered": (np.abs(np.log(control.wallet) - truth) < 1.2816 * control.log_sd).mean(),
                "control levels": np.mean(level_errors(revenue, control.wallet, weight, table) ** 2),
                "one error": np.sqrt(np.mean((np.log(one.wallet) - truth) ** 2)),
            }
        )
    mean = pd.DataFrame(rows).mean()
    print(n, mean.round(3).to_dict())
    assert low < mean["covered"] < high
    assert mean["below"] == pytest.approx(QUANTILE, abs=0.012)
    assert mean["levels"] < 1.2
    assert mean["error"] < 0.5 * mean["one error"]
    assert mean["control error"] > 0.97 * mean["one error"]
    assert mean["control covered"] < 0.5
    assert mean["control levels"] > 2.0


@pytest.mark.slow
def test_closer_to_the_truth_than_boosted_trees() -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    ours, trees = [], []
    with threadpool_limits(1):
        for seed in range(4):
            revenue, weight, table, truth = made_up(1500, seed)
            codes = table.apply(lambda c: c if c.name == "employees" else pd.factorize(c)[0]).to_numpy(dtype=float)
            told = np.zeros((3, 1500))
            for part in range(6):
                inside = np.random.default_rng(part // 2).permutation(1500) % 2 == part % 2
                model = HistGradientBoostingRegressor(
                    loss="quantile", quantile=QUANTILE, max_iter=60, max_leaf_nodes=6, early_stopping=False,
                    categorical_features=table.columns != "employees", random_state=1,
                )  # fmt: skip
                model.fit(codes[~inside], np.log(revenue[~inside]), sample_weight=weight[~inside])
                told[part // 2, inside] = model.predict(codes[inside])
            trees.append(np.sqrt(np.mean((told.mean(axis=0) - truth) ** 2)))
            found = reachable_revenue(revenue, weight, table, ids=range(1500))
            ours.append(np.sqrt(np.mean((np.log(found.wallet) - truth) ** 2)))
    print(np.round(ours, 3), np.round(trees, 3))
    assert np.mean(ours) < 0.8 * np.mean(trees)


@pytest.mark.slow
def test_the_segments_band_covers_its_quantile() -> None:
    covered, below = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        revenue = np.exp(rng.normal(size=60) + np.repeat([0.0, 1.0], 30))
        table = pd.DataFrame({"kind": np.repeat(["a", "b"], 30)})
        found = reachable_revenue(revenue, np.ones(60), table, ids=range(60))
        truth = stats.norm.ppf(QUANTILE) + np.repeat([0.0, 1.0], 30)
        covered.append((np.abs(np.log(found.wallet) - truth) < stats.norm.ppf(0.9) * found.log_sd).mean())
        below.append((revenue <= found.wallet).mean())
    print(np.mean(covered), np.mean(below))
    assert 0.72 < np.mean(covered) < 0.88
    assert np.mean(below) == pytest.approx(QUANTILE, abs=0.01)


@pytest.mark.slow
def test_simulated_accounts_below_their_wallet_by_every_attribute() -> None:
    simulated = simulate_accounts(4000, rng=3)
    accounts, truth = simulated.accounts, simulated.truth
    revenue = truth["annual_revenue_now"].to_numpy()
    attributes = accounts[["region", "segment", "channel", "employees"]]
    found = reachable_revenue(revenue, np.ones(4000), attributes, ids=accounts["customer_id"])
    sizes = pd.qcut(accounts["employees"], 5, labels=False)
    for by in (accounts["region"], accounts["segment"], accounts["channel"], sizes):
        for rows in by.groupby(by).indices.values():
            assert (revenue[rows] <= found.wallet[rows]).mean() == pytest.approx(QUANTILE, abs=0.04)
    told = np.corrcoef(np.log(found.wallet), np.log(truth["wallet"]))[0, 1]
    shuffled = attributes.sample(frac=1.0, random_state=1).reset_index(drop=True)
    control = reachable_revenue(revenue, np.ones(4000), shuffled, ids=accounts["customer_id"])
    print(told, np.std(np.log(found.wallet)), np.std(np.log(control.wallet)))
    assert told > 0.6
    assert np.std(np.log(control.wallet)) < 0.15 * np.std(np.log(found.wallet))
    assert abs(np.corrcoef(np.log(control.wallet), np.log(truth["wallet"]))[0, 1]) < 0.1


@pytest.mark.slow
def test_a_large_base() -> None:
    revenue, weight, table, truth = made_up(100_000)
    start = time.perf_counter()
    found = reachable_revenue(revenue, weight, table, ids=range(100_000))
    print(f"{time.perf_counter() - start:.1f} s")
    assert time.perf_counter() - start < 15.0
    assert np.sqrt(np.mean((np.log(found.wallet) - truth) ** 2)) < 0.05
