"""Which customers the models describe: rules on both sides of their limits, and false alarms by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from clv_forecast.history import history_from_summary, purchase_history
from clv_forecast.ranking.accounts import accounts_of
from clv_forecast.ranking.model_fit import MODEL_FIT, model_fit, regularity_p_value, regularity_shape

AS_OF = "2024-12-31"


def log(orders: dict[object, tuple[list[int], list[float]]]) -> pd.DataFrame:
    """Orders by customer: days since 2020-01-01 and amounts."""
    rows = [
        (customer, pd.Timestamp("2020-01-01") + pd.Timedelta(days=day), amount)
        for customer, (days, amounts) in orders.items()
        for day, amount in zip(days, amounts, strict=True)
    ]
    return pd.DataFrame(rows, columns=["customer_id", "date", "amount"])


def kinds(orders: dict[object, tuple[list[int], list[float]]], **accounts: list[object]) -> dict[object, str]:
    history = purchase_history(log(orders), as_of=AS_OF)
    table = None
    if accounts:
        table = pd.DataFrame({"customer_id": list(orders), **accounts})
    found = model_fit(history, accounts_of(history, table))
    return dict(zip(history.table["customer_id"], found["model_fit"], strict=True))


UNEVEN = [0, 3, 100, 130, 400, 401, 900, 1300]
EVEN = [0, 30, 61, 92, 121, 152, 181, 212]
SAME = [10.0] * 8


def test_each_kind_is_told_apart() -> None:
    found = kinds(
        {
            "even": (EVEN, SAME),
            "few": ([0, 9], [1.0, 2.0]),
            "large": (UNEVEN, [*[10.0] * 7, 500.0]),
            "ok": (UNEVEN, SAME),
            "under contract": (EVEN, SAME),
        },
        contracted_annual_value=[None, None, None, None, 1000.0],
    )
    assert found == {
        "even": "regular",
        "few": "too few orders",
        "large": "irregular large orders",
        "ok": "ok",
        "under contract": "contracted",
    }
    assert set(found.values()) == set(MODEL_FIT)


def test_the_first_that_holds() -> None:
    large = [*[10.0] * 7, 500.0]
    orders = {1: (EVEN, large), 2: ([0], [1.0]), 3: (UNEVEN, large)}
    assert kinds(orders) == {1: "regular", 2: "too few orders", 3: "irregular large orders"}
    assert set(kinds(orders, contracted_annual_value=[5.0, 5.0, 5.0]).values()) == {"contracted"}


@pytest.mark.parametrize(
    ("value", "end", "contracted"),
    [
        (None, AS_OF, True),
        (None, "2024-12-30", False),
        (None, "2026-01-01", True),
        (1.0, None, True),
        (0.0, None, False),
        (1.0, "2024-12-30", False),  # it has ended
        (1.0, "2025-06-30", True),
    ],
)
def test_contracts(value: object, end: object, contracted: bool) -> None:
    found = kinds(
        {"a": (UNEVEN, SAME), "other": (UNEVEN, SAME)},
        contracted_annual_value=[value, 0.0],
        contract_end=[end, "2000-01-01"],
    )
    assert found == {"a": "contracted" if contracted else "ok", "other": "ok"}


def test_cautions_are_sentences() -> None:
    history = purchase_history(
        log(
            {
                "a": (EVEN, SAME),
                "b": ([0], [1.0]),
                "c": (UNEVEN, [*[10.0] * 7, 500.0]),
                "d": (UNEVEN, SAME),
                "e": (EVEN, SAME),
                "f": ([0, 5], [1.0, 1.0]),
            }
        ),
        as_of=AS_OF,
    )
    table = pd.DataFrame({"customer_id": ["e"], "contract_end": ["2025-06-30"]})
    found = model_fit(history, accounts_of(history, table))
    assert list(found) == ["model_fit", "caution"]
    assert found["caution"].tolist() == [
        "Orders come evenly, about every 30 days (shape above 20): a silence clearly longer than that means more than "
        "P(alive) shows, a shorter one less.",
        "1 purchase so far: its forecast is mostly that of customers like it.",
        "One of 8 purchases makes 88% of its revenue, 50 times its median: its level of spend is not known from its "
        "past.",
        "",
        "Under contract until 2025-06-30: P(alive) is read from orders and does not know it.",
        "2 purchases so far: its forecast is mostly that of customers like it.",
    ]


@pytest.mark.parametrize(
    ("amounts", "large"),
    [
        ([10.0, 10.0, 10.0, 51.0], True),
        ([10.0, 10.0, 10.0, 50.0], False),  # 5 times the median
        ([10.0, 10.0, 51.0], False),  # three purchases
        ([10.0] * 6 + [60.0], False),  # half of all
        ([10.0] * 6 + [61.0], True),
        ([1.0, 9.0, 11.0, 99.0], True),  # the median of four is between two
        ([10.0, 51.0, 51.0, 10.0, 10.0], False),
    ],
)
def test_limits_of_large_orders(amounts: list[float], large: bool) -> None:
    days = [0, 3, 100, 130, 400, 401, 900][: len(amounts)]
    found = kinds({"a": (days, amounts), "b": (UNEVEN, SAME)})
    assert found == {"a": "irregular large orders" if large else "ok", "b": "ok"}


@pytest.mark.parametrize("unit", ["day", "week", "month", "year"])
def test_the_unit_does_not_matter(unit: str) -> None:
    orders = log({"a": (EVEN, SAME), "b": (UNEVEN, SAME)})
    found = model_fit(purchase_history(orders, as_of=AS_OF, unit=unit))
    assert found["model_fit"].tolist() == ["regular", "ok"]
    assert "every 30 days" in found["caution"][0]


def test_ids_and_rows_in_any_order() -> None:
    orders = log({30: (EVEN, SAME), 4: (UNEVEN, [*[10.0] * 7, 500.0]), 100: ([0], [1.0])})
    history = purchase_history(orders, as_of=AS_OF)
    mixed = purchase_history(orders.sample(frac=1.0, random_state=1), as_of=AS_OF)
    assert history.table["customer_id"].tolist() == [4, 30, 100]
    found = model_fit(history)
    assert found["model_fit"].tolist() == ["irregular large orders", "regular", "too few orders"]
    pd.testing.assert_frame_equal(found, model_fit(mixed))
    shuffled = history.purchases().sample(frac=1.0, random_state=2)
    pd.testing.assert_frame_equal(found, model_fit(history, purchases=shuffled))


def test_of_a_summary_only_counts_are_known() -> None:
    table = pd.DataFrame({"customer_id": [1, 2], "frequency": [0, 9], "recency": [0.0, 90.0], "T": [99.0, 99.0]})
    history = history_from_summary(table, unit="day", as_of=AS_OF, monetary_value=None)
    assert model_fit(history)["model_fit"].tolist() == ["too few orders", "ok"]


def spread_of(gaps: np.ndarray) -> np.ndarray:
    return np.maximum(np.log(gaps.mean(axis=1)) - np.log(gaps).mean(axis=1), 0.0)


def flagged(gaps: np.ndarray) -> float:
    counts = np.full(len(gaps), gaps.shape[1])
    return float((regularity_p_value(counts, gaps.mean(axis=1), spread_of(gaps)) < 0.01).mean())


@pytest.mark.parametrize("n", [4, 6, 15, 60])
@pytest.mark.parametrize("mean", [4.0, 7.0, 30.0, 300.0])
def test_random_buyers_are_rarely_called_regular(n: int, mean: float) -> None:
    """Whole days between orders at random times: never clearly above 1 %, and close to it where gaps are long."""
    size = 20_000
    share = flagged(np.random.default_rng(1).geometric(1.0 / mean, (size, n)).astype(float))
    error = np.sqrt(0.01 * 0.99 / size)
    assert share < 0.0103 + 3 * error
    if mean == 300.0:
        assert share > 0.01 - 4 * error


def test_whole_days_would_make_random_buyers_look_regular() -> None:
    """The control: the test for gaps of any length calls most of these buyers regular."""
    gaps = np.random.default_rng(1).geometric(1.0 / 4.0, (4000, 30)).astype(float)
    u = 30 * spread_of(gaps)
    naive = stats.chi2.cdf(2.0 * u / (1.0 + 31.0 / 180.0), 29)
    assert (naive < 0.01).mean() > 0.2
    assert flagged(gaps) < 0.01


def test_clumped_buyers_are_never_called_regular_and_regular_ones_are_found() -> None:
    rng = np.random.default_rng(2)

    def share(shape: float, n: int) -> float:
        return flagged(np.maximum(np.ceil(rng.gamma(shape, 30.0 / shape, (4000, n))), 1.0))

    assert share(0.4, 12) == 0.0
    assert share(3.0, 12) > 0.3
    assert share(8.0, 8) > 0.8
    assert share(8.0, 30) == 1.0


def test_random_times_in_whole_histories() -> None:
    """From orders on days to the flag, customers leaving at any time: no more than 1 % of random buyers."""
    rng = np.random.default_rng(3)
    customers = 1500
    left = rng.uniform(200, 1800, customers)
    waits = rng.exponential(1.0, (customers, 400)) / rng.gamma(2.0, 0.02, (customers, 1))
    days = np.floor(np.cumsum(waits, axis=1))
    place, order = np.nonzero(days < left[:, None])
    orders = pd.DataFrame({"customer_id": place, "day": days[place, order]}).drop_duplicates()
    orders["date"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(orders["day"], unit="D")
    history = purchase_history(orders.assign(amount=10.0)[["customer_id", "date", "amount"]], as_of=AS_OF)
    found = model_fit(history)["model_fit"]
    tested = int((history.table["frequency"] >= 4).sum())
    assert tested > 1000
    assert 0 < (found == "regular").sum() < 0.01 * tested + 3 * np.sqrt(0.01 * tested)


def test_too_little_to_tell() -> None:
    counts, spread = np.array([3, 4, 4, 4]), np.array([0.0, 0.0, 0.0, np.nan])
    p = regularity_p_value(counts, np.array([30.0, 3.99, 4.0, 30.0]), spread)
    np.testing.assert_array_equal(np.isnan(p), [True, True, False, True])
    assert p[2] == 0.0


def test_shape_is_the_most_likely() -> None:
    """The likelihood of the gaps' shares of their sum has its maximum there."""
    gaps = np.random.default_rng(4).gamma(3.0, 10.0, (3, 12))
    found = regularity_shape(np.full(3, 12), spread_of(gaps))
    for row, shape in zip(gaps, found, strict=True):
        shares = row / row.sum()

        def likelihood(k: float, shares: np.ndarray = shares) -> float:
            return float(special.gammaln(12 * k) - 12 * special.gammaln(k) + (k - 1) * np.log(shares).sum())

        assert likelihood(shape) > max(likelihood(1.01 * shape), likelihood(0.99 * shape))


def test_shape_is_recovered_on_average() -> None:
    for true in (0.5, 1.0, 4.0):
        gaps = np.random.default_rng(5).gamma(true, 1.0, (3000, 20))
        found = regularity_shape(np.full(3000, 20), spread_of(gaps))
        assert np.median(found) == pytest.approx(true, rel=0.1)
    assert np.isinf(regularity_shape(np.array([5]), np.array([0.0])))[0]
    assert np.isnan(regularity_shape(np.array([5]), np.array([np.nan])))[0]
