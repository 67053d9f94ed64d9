"""Growth of an account's business: whole years, no nonsense from a zero base, intervals that cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.history import history_from_summary, purchase_history
from clv_forecast.ranking.growth import (
    NO_SPREAD_KNOWN,
    full_years,
    growth_of_business,
    growth_ratio,
    spread_of_amounts,
)

AS_OF = "2024-12-31"


def growth_of(rows: list[tuple[Any, str, float]], **options: Any) -> pd.DataFrame:
    log = pd.DataFrame(rows, columns=["customer_id", "date", "amount"])
    return growth_of_business(purchase_history(log, as_of=AS_OF), **options).set_index("customer_id")


def test_by_hand() -> None:
    found = growth_of(
        [
            ("a", "2021-12-01", 999.0),  # the first purchase lies before the first full year
            ("a", "2022-02-01", 100.0),
            ("a", "2023-02-01", 5.0),
            ("a", "2024-02-01", 121.0),
            ("b", "2022-12-01", 7.0),
            ("b", "2023-01-01", 10.0),  # the first day of its first full year
            ("b", "2024-01-01", 20.0),  # the first day of the latest, which has 366
        ]
    )
    assert found.loc["a", "cagr"] == pytest.approx(0.1)
    assert found.loc["a", "cagr_years"] == 3
    assert found.loc["b", "cagr_years"] == 2
    assert found.loc["b", "cagr"] == pytest.approx(1.0)


def test_both_sides_of_the_first_day_of_a_year() -> None:
    bought = [("2022-06-01", 1.0), ("2024-06-01", 20.0)]
    inside = growth_of([("a", day, amount) for day, amount in [*bought, ("2023-01-01", 10.0)]])
    outside = growth_of([("a", day, amount) for day, amount in [*bought, ("2022-12-31", 10.0)]])
    assert inside.loc["a", "cagr"] == pytest.approx(1.0)
    assert np.isnan(outside.loc["a", "cagr"])
    latest = growth_of([("a", day, amount) for day, amount in [*bought, ("2023-03-01", 10.0), ("2023-12-31", 5.0)]])
    assert latest.loc["a", "cagr"] == pytest.approx(20.0 / 15.0 - 1.0)  # the same day a year back is the year before


def test_zero_base_one_year_and_stopped() -> None:
    found = growth_of(
        [
            ("zero base", "2022-06-01", 50.0),
            ("zero base", "2024-06-01", 50.0),
            ("one year", "2023-06-01", 50.0),
            ("one year", "2024-06-01", 50.0),
            ("stopped", "2021-06-01", 50.0),
            ("stopped", "2022-06-01", 50.0),
        ]
    )
    rates = ["cagr", "cagr_lower", "cagr_upper"]
    assert found.loc[["zero base", "one year"], rates].isna().all().all()
    assert found["cagr_years"].tolist() == [1, 3, 2]
    stopped = found.loc["stopped", rates]
    assert stopped["cagr"] == -1.0
    assert -1.0 <= stopped["cagr_lower"] < -0.5 < stopped["cagr_upper"] < 2.5


def test_an_account_acquired_earlier_has_the_years_of_the_log() -> None:
    rows = [
        ("old", "2022-01-01", 1.0),  # the log's first day, 1,095 days back: its year is a whole one
        ("a", "2022-03-01", 100.0),
        ("a", "2023-03-01", 7.0),
        ("a", "2024-03-01", 144.0),
    ]
    history = purchase_history(pd.DataFrame(rows, columns=["customer_id", "date", "amount"]), as_of=AS_OF)

    def years_and_rate(acquired: list[Any] | None) -> tuple[int, float]:
        dates = None if acquired is None else pd.Series(pd.to_datetime(acquired))
        found = growth_of_business(history, acquired=dates).iloc[0]
        return int(found["cagr_years"]), float(found["cagr"])

    assert years_and_rate(["2015-01-01", None]) == (3, pytest.approx(0.2))
    seen = years_and_rate(None)
    assert seen == (2, pytest.approx(144.0 / 7.0 - 1.0))
    assert years_and_rate([None, None]) == seen
    assert years_and_rate(["2022-02-01", None]) == seen  # 1,064 days are not three years
    assert years_and_rate(["2024-06-01", None]) == seen  # later than its first purchase: the log knows better


def test_row_order_ids_and_given_purchases_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    log = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 40, 900),
            "date": pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 1460, 900), unit="D"),
            "amount": rng.gamma(2.0, 20.0, 900).round(2) + 0.01,
        }
    )
    history = purchase_history(log, as_of=AS_OF)
    found = growth_of_business(history)
    known = found[found["cagr"].notna()]
    assert len(known) > 30
    assert (known["cagr_lower"] < known["cagr"]).all()
    assert (known["cagr"] < known["cagr_upper"]).all()
    shuffled = purchase_history(log.sample(frac=1.0, random_state=2), as_of=AS_OF)
    pd.testing.assert_frame_equal(found, growth_of_business(shuffled, purchases=shuffled.purchases()))
    wider = growth_of_business(history, prob=0.99)
    assert (wider["cagr_upper"] > found["cagr_upper"])[known.index].all()
    assert (wider["cagr_lower"] < found["cagr_lower"])[known.index].all()


def test_money_in_cents_changes_nothing() -> None:
    rows = [
        ("a", f"{year}-{month:02d}-15", 10.0 * year * month) for year in range(2021, 2025) for month in range(1, 13)
    ]
    cents = [(who, day, 100.0 * amount) for who, day, amount in rows]
    pd.testing.assert_frame_equal(growth_of(rows), growth_of(cents))


@pytest.mark.parametrize("prob", [0.0, 1.0, float("nan"), "0.9"])
def test_probability(prob: Any) -> None:
    with pytest.raises(DomainError, match="prob"):
        growth_of([("a", "2024-01-01", 1.0)], prob=prob)


def test_from_a_summary() -> None:
    table = pd.DataFrame({"customer_id": [1], "frequency": [1], "recency": [2.0], "T": [4.0], "monetary_value": [3.0]})
    with pytest.raises(InputError, match="made from a summary"):
        growth_of_business(history_from_summary(table, unit="week", as_of=AS_OF))


def test_leap_years_are_counted() -> None:
    assert full_years(np.array([364, 365, 1460, 1461, 36523, 36524]), pd.Timestamp("2023-12-31")).tolist() == [
        *[0, 1, 3, 4, 99, 99]
    ]


def test_spread_without_any_repeated_order() -> None:
    nobody = np.zeros(0, dtype=np.int64)
    assert spread_of_amounts(nobody, nobody, np.zeros(0), customers=2).tolist() == [NO_SPREAD_KNOWN] * 2
    one_each = spread_of_amounts(np.array([0, 1]), np.array([0, 0]), np.array([1.0, 99.0]), customers=2)
    assert one_each.tolist() == [NO_SPREAD_KNOWN] * 2


def test_growth_between_years_is_no_spread() -> None:
    customer, year = np.zeros(20, dtype=np.int64), np.repeat([0, 1], 10)
    assert spread_of_amounts(customer, year, np.where(year == 0, 50.0, 5.0), customers=1)[0] == pytest.approx(1.0)
    assert spread_of_amounts(customer, year * 0, np.where(year == 0, 50.0, 5.0), customers=1)[0] > 1.3


def two_years(
    seed: int, *, rate: float, ratio: float, variation: float, accounts: int = 3000, heavy: bool
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Orders and revenue of a year and of a later one in which ``ratio`` times as many are expected."""
    rng = np.random.default_rng(seed)
    count = np.column_stack([rng.poisson(rate * ratio, accounts), rng.poisson(rate, accounts)])
    customer = np.repeat(np.arange(accounts).repeat(2), count.ravel())
    year = np.repeat(np.tile([0, 1], accounts), count.ravel())
    if heavy:
        sigma = np.sqrt(np.log1p(variation**2))
        amount = rng.lognormal(-(sigma**2) / 2, sigma, customer.size)
    else:
        amount = rng.gamma(variation**-2, variation**2, customer.size)
    spread = spread_of_amounts(customer, year, amount, customers=accounts)
    sums = np.zeros((accounts, 2))
    np.add.at(sums, (customer, year), amount)
    counts = count.astype(np.float64)
    return (counts[:, 1], sums[:, 1]), (counts[:, 0], sums[:, 0]), spread


def coverage(first: Any, last: Any, spread: np.ndarray, ratio: float) -> float:
    _, lower, upper = growth_ratio(first, last, spread, prob=0.9)
    known = ~np.isnan(lower)
    return float(((lower <= ratio) & (ratio <= upper))[known].mean())


CASES = [
    (rate, ratio, variation, heavy)
    for rate, ratio in [(2.0, 1.0), (2.0, 2.0), (6.0, 0.5), (25.0, 1.3)]
    for variation, heavy in [(0.5, False), (1.0, False), (1.0, True)]
]


@pytest.mark.parametrize(("rate", "ratio", "variation", "heavy"), CASES)
def test_intervals_cover(rate: float, ratio: float, variation: float, heavy: bool) -> None:
    first, last, spread = two_years(5, rate=rate, ratio=ratio, variation=variation, heavy=heavy)
    assert 0.83 < coverage(first, last, spread, ratio) < 0.94


def test_without_the_spread_of_amounts_they_would_not() -> None:
    for rate, ratio in [(2.0, 1.0), (6.0, 1.0), (25.0, 1.3)]:
        first, last, spread = two_years(6, rate=rate, ratio=ratio, variation=1.0, heavy=False)
        assert coverage(first, last, np.ones_like(spread), ratio) < 0.78


def test_a_wrong_ratio_is_missed() -> None:
    first, last, spread = two_years(7, rate=25.0, ratio=1.5, variation=0.5, heavy=False)
    assert coverage(first, last, spread, 1.5) > 0.85
    assert coverage(first, last, spread, 1.0) < 0.7
