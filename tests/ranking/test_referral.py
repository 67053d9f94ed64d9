"""Referral chains: who is credited with what, and what may never be added."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.ranking.referral import (
    Referrals,
    check_credit,
    expected_counts,
    gamma_of_rates,
    referral_table,
    referrals_of,
)


def accounts(referred_by: dict[object, object], **more: list[object]) -> Accounts:
    table = pd.DataFrame({"customer_id": list(referred_by), "referred_by": list(referred_by.values())})
    return Accounts(table=table.assign(**more))


CHAIN = accounts({"a": None, "b": "a", "c": "b", "d": "c", "e": "a", "f": None})


def test_the_worked_example() -> None:
    """100,000 own and 40,000 referred rank below 30,000 own and 250,000 referred."""
    base = accounts({"A": None, "B": None, "a": "A", "b1": "B", "b2": "B"})
    own = np.array([100e3, 30e3, 40e3, 150e3, 100e3])
    found = referral_table(base, revenue_to_date=own).set_index("customer_id")
    assert found.loc[["A", "B"], "referred_revenue_to_date"].tolist() == [40e3, 250e3]
    assert found.loc[["A", "B"], "revenue_with_referrals"].tolist() == [140e3, 280e3]
    assert own[0] > own[1]  # by its own revenue A is ahead
    assert found["revenue_with_referrals"].idxmax() == "B"


def test_credit_by_depth() -> None:
    value = np.array([1.0, 10.0, 100.0, 1000.0, 5.0, 7.0])
    chain = referrals_of(CHAIN)
    assert chain.depth.tolist() == [0, 1, 2, 3, 1, 0]
    np.testing.assert_allclose(chain.sums(value, (0.5,)), [7.5, 50, 500, 0, 0, 0])
    np.testing.assert_allclose(chain.sums(value, (0.5, 0.1)), [17.5, 150, 500, 0, 0, 0])
    np.testing.assert_allclose(chain.sums(value, (0.0, 0.1)), [10, 100, 0, 0, 0, 0])
    np.testing.assert_allclose(chain.sums_below(value), [1115, 1100, 1000, 0, 0, 0])
    np.testing.assert_allclose(chain.sums(value, (1.0,) * 9), chain.sums_below(value))
    assert chain.credited((1.0, 1.0)).toarray().tolist()[0] == [0, 1, 1, 0, 1, 0]
    assert chain.credited(()).nnz == 0


def test_draws_are_credited_as_values_are() -> None:
    draws = np.random.default_rng(1).normal(size=(6, 4))
    chain = referrals_of(CHAIN)
    together, below = chain.sums(draws, (0.3, 0.2)), chain.sums_below(draws)
    for d in range(4):
        np.testing.assert_allclose(together[:, d], chain.sums(draws[:, d], (0.3, 0.2)))
        np.testing.assert_allclose(below[:, d], chain.sums_below(draws[:, d]))


def test_an_unknown_value_stays_with_those_it_concerns() -> None:
    value = np.array([1.0, 10.0, 100.0, np.nan, 5.0, 7.0])
    chain = referrals_of(CHAIN)
    np.testing.assert_array_equal(np.isnan(chain.sums(value, (1.0,))), [False, False, True, False, False, False])
    np.testing.assert_array_equal(np.isnan(chain.sums(value, (0.0, 1.0))), [False, True, False, False, False, False])
    np.testing.assert_array_equal(np.isnan(chain.sums_below(value)), [True, True, True, False, False, False])


def test_sums_against_a_walk_up_a_random_forest() -> None:
    rng = np.random.default_rng(3)
    size = 300
    above = [None if i == 0 or rng.random() < 0.2 else int(rng.integers(0, i)) for i in range(size)]
    order = rng.permutation(size)  # rows in no order of descent
    base = accounts({int(i): above[i] for i in order})
    value = dict(zip(range(size), rng.normal(size=size), strict=True))
    credit = (0.7, 0.4, 0.1)
    wanted, below = dict.fromkeys(range(size), 0.0), dict.fromkeys(range(size), 0.0)
    for i in range(size):
        reached, depth = above[i], 0
        while reached is not None:
            below[reached] += value[i]
            wanted[reached] += value[i] * (credit[depth] if depth < 3 else 0.0)
            reached, depth = above[reached], depth + 1
    rows = np.array([value[i] for i in order])
    found = referrals_of(base)
    assert found.depth.max() > 4
    np.testing.assert_allclose(found.sums(rows, credit), [wanted[i] for i in order], atol=1e-12)
    np.testing.assert_allclose(found.sums_below(rows), [below[i] for i in order], atol=1e-12)


@pytest.mark.parametrize("credit", [None, 0.0, 0.5, (1.0, 1.0, 1.0)])
def test_the_portfolio_is_the_sum_of_own_values(credit: object) -> None:
    """Credit moves nothing: own values are untouched, and the credited ones count them a second time."""
    own = np.array([1.0, 10.0, 100.0, 1000.0, 5.0, 7.0])
    before = own.copy()
    found = referral_table(CHAIN, value=own, revenue_to_date=own, credit=credit)
    np.testing.assert_array_equal(own, before)
    assert "value" not in found
    total = (found["revenue_with_referrals"] - found["referred_revenue_to_date"]).sum()
    assert total == pytest.approx(1123.0)
    assert found["revenue_with_referrals"].sum() > 1123.0  # so that nobody sums the column


def test_without_credit_direct_referrals_are_shown_in_full() -> None:
    own = np.array([1.0, 10.0, 100.0, 1000.0, 5.0, 7.0])
    shown = referral_table(CHAIN, value=own)["forward_referral_value"]
    assert shown.tolist() == [15, 100, 1000, 0, 0, 0]
    assert referral_table(CHAIN, value=own, credit=0.1)["forward_referral_value"].tolist() == [1.5, 10, 100, 0, 0, 0]


def test_absent_is_absent() -> None:
    plain = Accounts(table=pd.DataFrame({"customer_id": [1, 2]}))
    found = referral_table(plain, value=[1.0, 2.0], revenue_to_date=[1.0, 2.0], years_observed=[1, 1], horizon_years=1)
    assert list(found) == ["customer_id"]
    assert not referrals_of(plain).known
    assert "column with the referrer's id" in referrals_of(plain).notes[0]
    assert list(referral_table(CHAIN)) == ["customer_id", "referred_accounts", "referred_all"]
    counted = referral_table(CHAIN, years_observed=np.ones(6), horizon_years=1.0)
    assert "expected_future_referral_value" not in counted
    assert "expected_future_referrals" in counted
    one = Accounts(table=pd.DataFrame({"customer_id": ["only"], "referred_by": ["elsewhere"]}))
    assert referral_table(one, value=[3.0])["forward_referral_value"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("referred_by", "circle"),
    [
        ({"a": "a"}, "a -> a"),
        ({"a": "b", "b": "a", "c": "a"}, "a -> b -> a"),
        ({"x": "y", "y": "z", "z": "w", "w": "y", "v": None}, "y -> z -> w -> y"),
        ({1: 3, 2: 1, 3: 2}, "1 -> 3 -> 2 -> 1"),
    ],
)
def test_circles_are_named(referred_by: dict[object, object], circle: str) -> None:
    with pytest.raises(InputError, match=rf"circle. Got: {circle} \(each referred by the next\)"):
        referrals_of(accounts(referred_by))


def test_a_long_chain_is_no_circle_and_a_long_circle_is_cut() -> None:
    size = 20_000
    chain: dict[object, object] = {i: i - 1 if i else None for i in range(size)}
    found = referrals_of(accounts(chain))
    assert found.depth.tolist() == list(range(size))
    assert found.sums_below(np.ones(size))[0] == size - 1
    with pytest.raises(InputError, match=r"0 -> 19999 -> .* -> \.\.\. \(20,000 accounts\) -> 0"):
        referrals_of(accounts(chain | {0: size - 1}))


def test_ids_of_every_kind() -> None:
    numbers = referrals_of(accounts({30: None, 10: 30, 20: 10}))  # the column became floats
    texts = referrals_of(accounts({"30": "", "10": "30", "20": "10"}))
    assert numbers.parent.tolist() == texts.parent.tolist() == [-1, 0, 1]
    assert numbers.notes == texts.notes == ()
    assert referrals_of(accounts({1: None, 2: "1"})).parent.tolist() == [-1, 0]
    padded = referrals_of(accounts({1: None, 2: "01"}))
    assert padded.parent.tolist() == [-1, -1]
    assert "compare the ids" in padded.notes[0]


def test_referrers_from_outside_are_told() -> None:
    found = referrals_of(accounts({"a": "nobody", "b": "a", "c": None}))
    assert found.parent.tolist() == [-1, 0, -1]
    assert found.notes == (
        "1 of 2 referred accounts was referred from outside the base (first: nobody): credited to nobody.",
    )


def test_referred_before_the_referrer_came() -> None:
    days = ["2020-01-02", "2020-01-01", None]
    found = referrals_of(accounts({"a": None, "b": "a", "c": "a"}, acquired_on=days))
    assert found.notes == (
        "1 referred account was acquired before the account that is said to have referred it (first: b).",
    )
    assert referrals_of(accounts({"a": None, "b": "a"}, acquired_on=["2020-01-01"] * 2)).notes == ()


def test_credit_is_checked() -> None:
    assert check_credit(None) is None
    assert check_credit(1) == check_credit(np.array([1.0])) == (1.0,)
    assert check_credit((0.5, 0.25)) == (0.5, 0.25)
    for bad in (-0.1, 1.1, (), "0.5", True, [0.5, np.nan], [[0.5]]):
        with pytest.raises(DomainError, match="referral_credit"):
            check_credit(bad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"value": [1.0]}, "value must have one value per account"),
        ({"years_observed": -np.ones(6)}, "years_observed must be at least 0"),
        ({"horizon_years": -1.0}, "horizon_years must be at least 0"),
        ({"newcomer_value": np.inf, "years_observed": np.ones(6), "horizon_years": 1.0}, "newcomer_value"),
    ],
)
def test_bad_arguments(options: dict[str, object], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        referral_table(CHAIN, **options)


def test_results_cannot_be_changed() -> None:
    found = referrals_of(CHAIN)
    assert isinstance(found, Referrals)
    with pytest.raises(ValueError, match="read-only"):
        found.parent[0] = 3


def drawn(shape: float, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rate = np.full(size, 0.3) if np.isinf(shape) else rng.gamma(shape, 0.3 / shape, size)
    years = rng.uniform(0.5, 5.0, size)
    return rate, years, rng.poisson(rate * years)


def test_rates_of_referral_are_recovered() -> None:
    _, years, counts = drawn(0.4, 6000, np.random.default_rng(5))
    shape, mean = gamma_of_rates(counts, years)
    assert shape == pytest.approx(0.4, rel=0.12)
    assert mean == pytest.approx(0.3, rel=0.08)


def test_the_fit_is_the_maximum() -> None:
    _, years, counts = drawn(0.7, 500, np.random.default_rng(6))

    def likelihood(shape: float, mean: float) -> float:
        rate = shape / mean
        return float(stats.nbinom.logpmf(counts, shape, rate / (rate + years)).sum())

    shape, mean = gamma_of_rates(counts, years)
    best = likelihood(shape, mean)
    for other in ((1.03, 1), (0.97, 1), (1, 1.03), (1, 0.97)):
        assert likelihood(shape * other[0], mean * other[1]) < best


def test_expected_referrals_foretell_the_next_year() -> None:
    """Drawn toward the base they are right in every class of past counts; raw counts are not."""
    rng = np.random.default_rng(7)
    rate, years, counts = drawn(0.4, 40_000, rng)
    coming = rng.poisson(rate)
    expected = expected_counts(counts, years, np.ones_like(years))
    raw = counts / years
    for low, high in ((0, 0), (1, 1), (2, 3), (4, 99)):
        chosen = (counts >= low) & (counts <= high)
        assert expected[chosen].mean() == pytest.approx(
            coming[chosen].mean(), abs=4 * coming[chosen].std() / np.sqrt(chosen.sum())
        )
    many = counts >= 4
    assert raw[many].mean() > 1.15 * coming[many].mean()


def test_equal_rates_leave_one_rate_for_all() -> None:
    rng = np.random.default_rng(8)
    years = np.full(50, 2.0)
    even = np.ones(50, dtype=int)
    assert gamma_of_rates(even, years) == (np.inf, 0.5)
    np.testing.assert_allclose(expected_counts(even, years, np.full(50, 3.0)), 1.5)
    spread = []
    for _ in range(20):
        _, years, counts = drawn(np.inf, 2000, rng)
        found = expected_counts(counts, years, np.ones(2000))
        spread.append(found.std() / found.mean())
    assert np.median(spread) < 0.15
    _, years, counts = drawn(0.4, 2000, rng)
    found = expected_counts(counts, years, np.ones(2000))
    assert found.std() / found.mean() > 0.6


def test_no_referrals_and_no_time() -> None:
    assert expected_counts(np.zeros(3, int), np.ones(3), np.ones(3)).tolist() == [0.0, 0.0, 0.0]
    found = expected_counts(np.array([0, 2, 1]), np.array([np.nan, 0.0, 3.0]), np.ones(3))
    assert np.isnan(found[0])
    assert np.isfinite(found[1:]).all()
    assert expected_counts(np.array([3, 0, 0]), np.ones(3), np.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_rates_that_hardly_differ_are_one_rate() -> None:
    """A shape beyond a thousand is no difference between accounts that one could tell."""
    counts = np.repeat(np.arange(6), [38_000, 36_000, 18_000, 6_000, 2_000, 5])
    excess = (np.square(counts - counts.mean()) - counts).sum()
    assert excess > 0.0
    assert gamma_of_rates(counts, np.ones(len(counts))) == (np.inf, pytest.approx(counts.mean()))


def test_years_are_given_by_account() -> None:
    with pytest.raises(DomainError, match="years_observed must have one value per account"):
        referral_table(CHAIN, years_observed=2.0, horizon_years=1.0)
    found = referral_table(
        CHAIN, years_observed=np.full(6, 2.0), horizon_years=[0.0, 1, 1, 1, 1, 2], newcomer_value=5.0
    )
    assert found["expected_future_referrals"][0] == 0.0
    assert found["expected_future_referrals"][5] == 2 * found["expected_future_referrals"][4]
    np.testing.assert_allclose(found["expected_future_referral_value"], 5.0 * found["expected_future_referrals"])
