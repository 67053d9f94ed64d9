"""Each finding fires on a log made to have the fault, and stays quiet on one made without."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from clv_forecast.history.audit import Finding
from clv_forecast.history.diagnostics import (
    FEWEST_CUSTOMERS,
    FEWEST_REPEAT_PURCHASES,
    MOST_K,
    already_there,
    diagnose,
    monthly_repeats,
    one_time_buyers,
    regularity,
    season,
    silence_before_as_of,
    small_numbers,
)
from clv_forecast.history.purchase_history import purchase_history
from clv_forecast.history.spend_diagnostics import (
    PurchaseLog,
    day_number,
    drift_of_spend,
    large_orders,
    purchase_log,
    spend_and_frequency,
)

START = pd.Timestamp("2021-01-01")
Rate = Callable[[NDArray[Any]], NDArray[Any]]


def made_up_log(
    customers: int,
    *,
    seed: int,
    days: int = 365,
    rate: float = 0.02,
    erlang: int = 1,
    keep: Rate | None = None,
    arrivals: int | None = None,
) -> tuple[pd.DataFrame, pd.Timestamp]:
    """Purchase-days of customers who came evenly over ``arrivals`` days; never gone, Gamma rates and amounts.

    ``erlang`` counts random events per purchase (2 and more are regular); ``keep`` is the chance by day that a
    repeat purchase stands.
    """
    rng = np.random.default_rng(seed)
    first = rng.integers(0, arrivals if arrivals is not None else days, customers).astype(float)
    rates = rng.gamma(2.0, rate / 2.0, customers)
    expected = int(rates.max() * days + 8 * np.sqrt(rates.max() * days) + 8)
    gaps = rng.gamma(erlang, 1.0 / (erlang * rates)[:, None], (customers, expected))
    times = np.hstack([first[:, None], first[:, None] + np.cumsum(gaps, axis=1)])
    stands = times < days
    if keep is not None:
        stands[:, 1:] &= rng.uniform(size=gaps.shape) < keep(times[:, 1:])
    who, _ = np.nonzero(stands)
    scale = rng.gamma(4.0, 10.0, customers)
    frame = pd.DataFrame({"customer_id": who, "date": START + pd.to_timedelta(np.floor(times[stands]), unit="D")})
    frame["amount"] = rng.gamma(4.0, scale[who] / 4.0) + 1e-6
    frame = frame.groupby(["customer_id", "date"], as_index=False)["amount"].first()
    return frame, START + pd.Timedelta(days=days - 1)


def summary(purchases: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The columns that the diagnostics read, in days."""
    by = purchases.groupby("customer_id")
    first, last = by["date"].min(), by["date"].max()
    repeats = purchases[purchases["date"] > purchases["customer_id"].map(first)]
    table = pd.DataFrame({"customer_id": first.index, "frequency": by.size().to_numpy() - 1})
    table["recency"], table["T"] = (last - first).dt.days.to_numpy(float), (as_of - first).dt.days.to_numpy(float)
    table["monetary_value"] = repeats.groupby("customer_id")["amount"].mean().reindex(first.index).to_numpy()
    return table.assign(already_there=False)


def found(finding: Finding | None) -> Finding:
    assert finding is not None
    return finding


# --- the log as arrays


def test_the_log_is_sorted_and_the_order_of_rows_does_not_matter() -> None:
    frame, as_of = made_up_log(200, seed=1)
    shuffled = frame.sample(frac=1.0, random_state=2)
    log = purchase_log(shuffled)
    assert log.amount.tolist() == frame["amount"].tolist()
    assert log.count.tolist() == frame.groupby("customer_id").size().tolist()
    assert log.position.tolist() == frame.groupby("customer_id").cumcount().tolist()
    straight = diagnose(summary(frame, as_of), frame, as_of=as_of, unit="day", observed_from=None)
    assert diagnose(summary(frame, as_of), shuffled, as_of=as_of, unit="day", observed_from=None) == straight


def test_the_type_of_ids_does_not_matter() -> None:
    frame, _ = made_up_log(200, seed=1)
    log = purchase_log(frame)
    named = purchase_log(frame.assign(customer_id=[f"{i:03d}" for i in frame["customer_id"]]))
    assert named.customer.tolist() == log.customer.tolist()
    assert named.amount.tolist() == log.amount.tolist()


# --- numbers


def table_of(customers: int, repeats: int, days: float) -> pd.DataFrame:
    frequency = np.zeros(customers, dtype=int)
    frequency[0] = repeats
    return pd.DataFrame({"frequency": frequency, "T": days})


@pytest.mark.parametrize(
    ("customers", "repeats", "days", "missing"),
    [
        (FEWEST_CUSTOMERS, FEWEST_REPEAT_PURCHASES, 84.0, None),
        (FEWEST_CUSTOMERS - 1, FEWEST_REPEAT_PURCHASES, 84.0, "few customers"),
        (FEWEST_CUSTOMERS, FEWEST_REPEAT_PURCHASES - 1, 84.0, "few repeat purchases"),
        (FEWEST_CUSTOMERS, FEWEST_REPEAT_PURCHASES, 83.9, "few weeks"),
    ],
)
def test_small_numbers_on_both_sides(customers: int, repeats: int, days: float, missing: str | None) -> None:
    finding = small_numbers(table_of(customers, repeats, days), "day")
    assert finding.level == ("info" if missing is None else "caution")
    assert (missing or "enough to fit") in finding.sentence


def test_weeks_are_counted_from_any_unit() -> None:
    assert small_numbers(table_of(1, 1, 2.0), "year").values["weeks"] == pytest.approx(104.355)
    assert small_numbers(table_of(1, 1, 2.0), "week").values["weeks"] == pytest.approx(2.0)


def test_one_time_buyers_on_both_sides() -> None:
    table = pd.DataFrame({"frequency": [0, 0, 1, 2, 3], "T": [10.0, 30.0, 50.0, 50.0, 50.0]})
    few = one_time_buyers(table, "week")
    assert few.level == "info"
    assert "2 of 5 customers (40.0%) bought once, half of them 20.0 weeks ago" in few.sentence
    many = one_time_buyers(table[:4], "week")
    assert many.level == "caution"
    assert "P(alive) = 1" in many.sentence
    none = one_time_buyers(table[2:], "week")
    assert none.values["share"] == 0.0
    assert "alive" not in none.sentence


def test_already_there_on_both_sides() -> None:
    table = pd.DataFrame({"already_there": [True] + [False] * 9})
    finding = found(already_there(table, pd.Timestamp("2024-02-01")))
    assert finding.level == "caution"
    assert "1 of 10 customers (10.0%)" in finding.sentence
    assert "first seen before 2024-02-01" in finding.sentence
    assert found(already_there(pd.concat([table, table[1:]]), None)).level == "info"
    assert already_there(table[1:], None) is None


@pytest.mark.parametrize(("silent", "level"), [(0, "info"), (3, "info"), (40, "caution")])
def test_a_log_that_ends_before_as_of(silent: int, level: str) -> None:
    frame, as_of = made_up_log(500, seed=3)
    cut = frame[frame["date"] <= as_of - pd.Timedelta(days=silent)]
    # Nobody buys for three days now and then, so three silent days at the end are nothing new
    cut = cut[~cut["date"].dt.day.isin([10, 11, 12])]
    finding = silence_before_as_of(purchase_log(cut), as_of)
    assert finding.level == level
    assert finding.values["silent_days"] == silent


def test_a_slow_log_may_be_silent_by_chance() -> None:
    frame = pd.DataFrame(
        {"customer_id": [1, 2, 3], "date": START + pd.to_timedelta([0, 9, 80], unit="D"), "amount": 1.0}
    )
    assert silence_before_as_of(purchase_log(frame), START + pd.Timedelta(days=100)).level == "info"
    assert silence_before_as_of(purchase_log(frame[:1]), START + pd.Timedelta(days=100)).level == "caution"


# --- spend


def repeaters(power: float, seed: int, customers: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frequency = rng.poisson(rng.gamma(1.5, 3.0, customers))
    mean = 30.0 * (1.0 + frequency) ** power * rng.gamma(10.0, 0.1, customers)
    return pd.DataFrame({"frequency": frequency, "monetary_value": np.where(frequency > 0, mean, np.nan)})


@pytest.mark.parametrize(("power", "sign"), [(0.3, 1), (-0.3, -1)])
def test_spend_that_goes_with_frequency(power: float, sign: int) -> None:
    table = repeaters(power, seed=4)
    finding = found(spend_and_frequency(table))
    assert finding.level == "caution"
    assert np.sign(finding.values["effect"]) == np.sign(finding.values["spearman"]) == sign
    x, m = (table.loc[table["frequency"] > 0, name] for name in ("frequency", "monetary_value"))
    assert finding.values["effect"] == pytest.approx((x * m).sum() / (x.sum() * m.mean()) - 1.0)


def test_spend_apart_from_frequency() -> None:
    assert found(spend_and_frequency(repeaters(0.0, seed=5))).level == "info"


def test_the_standard_error_of_the_effect_is_what_repetition_shows() -> None:
    runs = [found(spend_and_frequency(repeaters(0.2, seed, 500))).values for seed in range(200)]
    effects = np.array([run["effect"] for run in runs], dtype=float)
    errors = np.array([run["effect_standard_error"] for run in runs], dtype=float)
    # A standard deviation from 200 runs has a relative error of 5 %
    assert errors.mean() == pytest.approx(effects.std(ddof=1), rel=0.15)


@pytest.mark.parametrize(
    "table",
    [
        repeaters(0.0, seed=6, customers=25),
        pd.DataFrame({"frequency": [2] * 50, "monetary_value": np.linspace(1, 2, 50)}),
        pd.DataFrame({"frequency": range(1, 51), "monetary_value": 3.0}),
        pd.DataFrame({"frequency": [0] * 50, "monetary_value": np.nan}),
    ],
)
def test_nothing_is_said_of_spend_and_frequency_where_nothing_can_be(table: pd.DataFrame) -> None:
    assert spend_and_frequency(table) is None


@pytest.mark.parametrize("yearly", [-0.2, 0.25])
def test_drift_is_found_and_measured(yearly: float) -> None:
    frame, as_of = made_up_log(1500, seed=7, days=730)
    years = (frame["date"] - START).dt.days / 365.2425
    frame["amount"] *= (1.0 + yearly) ** years
    finding = found(drift_of_spend(purchase_log(frame), as_of))
    assert finding.level == "caution"
    error = float(finding.values["log_per_year_standard_error"])
    assert finding.values["log_per_year"] == pytest.approx(np.log1p(yearly), abs=3.0 * error)
    repeats = frame[frame["date"] > frame.groupby("customer_id")["date"].transform("min")]
    distance = (as_of - repeats["date"].mean()).total_seconds() / 86400.0 / 365.2425 + 0.5
    effect = float(finding.values["effect_next_year"])
    assert np.log1p(effect) == pytest.approx(float(finding.values["log_per_year"]) * distance, rel=1e-9)


def test_no_drift_where_only_the_first_order_or_the_kind_of_customer_differs() -> None:
    frame, as_of = made_up_log(1500, seed=8, days=730)
    first = frame.groupby("customer_id")["date"].transform("min")
    frame.loc[frame["date"] == first, "amount"] *= 0.3
    frame["amount"] *= np.exp((first - START).dt.days / 365.2425)  # later customers spend more, each steadily
    assert found(drift_of_spend(purchase_log(frame), as_of)).level == "info"


def test_the_standard_error_of_drift_is_right_with_clusters() -> None:
    z = []
    for seed in range(100):
        frame, as_of = made_up_log(150, seed=seed, days=400)
        rng = np.random.default_rng(seed)
        # Within a customer noise comes in runs, so that an error which took rows as independent would be too small
        days = (frame["date"] - START).dt.days
        slope = rng.normal(0.0, 1.0, 150)[frame["customer_id"]] * (days - 200) / 200
        frame["amount"] *= np.exp(slope)
        values = found(drift_of_spend(purchase_log(frame), as_of)).values
        z.append(float(values["log_per_year"]) / float(values["log_per_year_standard_error"]))
    assert np.std(z) == pytest.approx(1.0, abs=0.25)


def test_too_few_customers_for_drift() -> None:
    frame, as_of = made_up_log(20, seed=9)
    assert drift_of_spend(purchase_log(frame), as_of) is None


def test_freak_orders_are_found_and_a_gamma_makes_none() -> None:
    frame, _ = made_up_log(1000, seed=10)
    quiet = found(large_orders(purchase_log(frame)))
    assert (quiet.level, quiet.values["freak_customers"]) == ("info", 0)
    assert quiet.values["shape_within_customer"] == pytest.approx(4.0, rel=0.1)
    counts = frame["customer_id"].value_counts()
    buyers = counts.index[counts >= 5][:10]
    rows = frame.drop_duplicates("customer_id", keep="last")
    frame.loc[rows.index[rows["customer_id"].isin(buyers)], "amount"] *= 200.0
    loud = found(large_orders(purchase_log(frame)))
    assert loud.level == "caution"
    assert loud.values["freak_customers"] == 10
    assert "10 of" in loud.sentence


def test_a_single_freak_is_named_but_does_not_matter() -> None:
    frame, _ = made_up_log(5000, seed=12)
    counts = frame["customer_id"].value_counts()
    customer = counts.index[counts == 8][0]
    frame.loc[frame.index[frame["customer_id"] == customer][0], "amount"] *= 60.0
    finding = found(large_orders(purchase_log(frame)))
    assert (finding.level, finding.values["freak_customers"]) == ("info", 1)
    assert "too little to matter" in finding.sentence


def test_false_alarms_of_freak_orders_are_rare() -> None:
    logs = (purchase_log(made_up_log(500, seed=seed)[0]) for seed in range(40))
    # 0.01 are expected in each log, 0.4 in all; more than 4 would come about in 1 of 16,000 tries
    assert sum(int(found(large_orders(log)).values["freak_customers"]) for log in logs) <= 4


def test_nothing_is_said_of_large_orders_where_nothing_can_be() -> None:
    frame, _ = made_up_log(200, seed=12)
    assert large_orders(purchase_log(frame.assign(amount=5.0))) is None
    assert large_orders(purchase_log(frame[frame["customer_id"] < 10])) is None


# --- timing


def test_random_timing_is_random() -> None:
    finding = found(regularity(purchase_log(made_up_log(2000, seed=13)[0])))
    assert finding.level == "info"
    assert finding.values["k"] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("erlang", [2, 4])
def test_regular_purchases_are_found_and_measured(erlang: int) -> None:
    frame, _ = made_up_log(4000, seed=14, days=1500, arrivals=1, erlang=erlang)
    finding = found(regularity(purchase_log(frame)))
    assert finding.level == "caution"
    assert finding.values["k"] == pytest.approx(erlang, rel=0.15)
    assert "more regular" in finding.sentence


def test_clumped_purchases_are_found() -> None:
    def in_bursts(day: NDArray[Any]) -> NDArray[Any]:
        return np.where(day % 90.0 < 6.0, 1.0, 0.02)

    frame, _ = made_up_log(2000, seed=15, days=1500, rate=0.3, keep=in_bursts)
    finding = found(regularity(purchase_log(frame)))
    assert finding.level == "caution"
    assert "clumps" in finding.sentence


@pytest.mark.parametrize("rate", [0.01, 0.5])
def test_whole_days_do_not_pass_for_regularity(rate: float) -> None:
    """At a purchase every other day the textbook variance 1/12 would be wrong by a third."""
    z = [
        float(found(regularity(purchase_log(made_up_log(300, seed=seed, days=300, rate=rate)[0]))).values["z"])
        for seed in range(150)
    ]
    assert np.mean(z) == pytest.approx(0.0, abs=4.0 / np.sqrt(150))
    assert np.std(z) == pytest.approx(1.0, abs=0.2)


def test_too_few_gaps_for_regularity() -> None:
    assert regularity(purchase_log(made_up_log(15, seed=16)[0])) is None
    everyday = pd.DataFrame({"customer_id": np.repeat(range(50), 4), "amount": 1.0})
    everyday["date"] = START + pd.to_timedelta(np.tile(range(4), 50), unit="D")
    assert regularity(purchase_log(everyday)) is None  # gaps of one day and one day can say nothing


def yearly_wave(day: NDArray[Any]) -> NDArray[Any]:
    return 0.7 + 0.3 * np.cos(2.0 * np.pi * day / 365.2425)


def test_a_season_is_found_and_measured() -> None:
    frame, as_of = made_up_log(2000, seed=17, days=1096, keep=yearly_wave)
    finding = found(season(purchase_log(frame), as_of))
    assert finding.level == "caution"
    assert finding.values["swing"] == pytest.approx(1.0 / 0.4 - 1.0, rel=0.2)
    assert any(name in finding.sentence for name in ("(December)", "(January)"))


def declining(day: NDArray[Any]) -> NDArray[Any]:
    return np.exp(-day / 800.0)


def one_odd_month(day: NDArray[Any]) -> NDArray[Any]:
    return np.where((day >= 600) & (day < 631), 1.0, 0.5)


@pytest.mark.parametrize("keep", [None, declining, one_odd_month])
def test_neither_chance_nor_a_trend_nor_one_odd_month_is_a_season(keep: Rate | None) -> None:
    frame, as_of = made_up_log(2000, seed=18, days=1096, keep=keep)
    assert found(season(purchase_log(frame), as_of)).level == "info"


def after_the_trial(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Repeat purchases that thin out with the customer's age."""
    age = (frame["date"] - frame.groupby("customer_id")["date"].transform("min")).dt.days
    return frame[(age == 0) | (np.random.default_rng(seed).uniform(size=len(frame)) < np.exp(-age / 100.0))]


def test_decline_after_a_trial_is_no_season() -> None:
    frame, as_of = made_up_log(4000, seed=19, days=540, arrivals=90, rate=0.05)
    finding = found(season(purchase_log(after_the_trial(frame, 19)), as_of))
    assert finding.level == "info"
    assert "two full years" in finding.sentence


def test_months_that_move_in_a_short_log_are_not_called_a_season() -> None:
    frame, as_of = made_up_log(4000, seed=20, days=540, arrivals=300, keep=yearly_wave)
    finding = found(season(purchase_log(frame), as_of))
    assert finding.level == "caution"
    assert "two full years to be told from a trend" in finding.sentence
    assert "p_value" in finding.values
    assert "swing" not in finding.values


def test_nothing_is_said_of_season_where_nothing_can_be() -> None:
    one_cohort, as_of = made_up_log(1000, seed=21, days=730, arrivals=20)
    assert season(purchase_log(one_cohort), as_of) is None
    sparse, as_of = made_up_log(10, seed=22, days=730)
    assert season(purchase_log(sparse), as_of) is None


def test_a_regression_that_does_not_settle_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, as_of = made_up_log(500, seed=17, days=1096)
    assert season(purchase_log(frame), as_of) is not None
    monkeypatch.setattr("clv_forecast.history.diagnostics._ITERATIONS", 1)
    assert season(purchase_log(frame), as_of) is None


def test_false_alarms_of_season_are_rare() -> None:
    p_values = []
    for seed in range(40):
        frame, as_of = made_up_log(400, seed=100 + seed, days=800)
        p_values.append(float(found(season(purchase_log(frame), as_of)).values["p_value"]))
    assert np.mean(np.array(p_values) < 0.05) < 0.19  # four standard errors above 5 % in 40 runs
    assert stats.kstest(p_values, "uniform", alternative="greater").pvalue > 1e-3  # not too small as a whole


def test_monthly_exposure_is_every_customer_day_after_the_first() -> None:
    frame, as_of = made_up_log(300, seed=23, days=500)
    log = purchase_log(frame)
    cells = monthly_repeats(log, as_of)
    assert cells.exposure.sum() == (day_number(as_of) - log.first_day()).sum()
    assert cells.repeats.sum() == len(frame) - 300
    own = (cells.cohort == 612) & (cells.month == 614)  # came in January 2021, March 2021 has 31 days
    came = int((log.first_day() < day_number(pd.Timestamp("2021-02-01"))).sum())
    assert cells.exposure[own] == [31.0 * came]


# --- all together


def test_diagnose_says_everything_once_and_in_order() -> None:
    frame, as_of = made_up_log(2000, seed=24, days=800)
    table = summary(frame, as_of).assign(already_there=True)
    findings = diagnose(table, frame, as_of=as_of, unit="day", observed_from=None)
    assert [finding.name for finding in findings] == [
        "small_numbers",
        "one_time_buyers",
        "already_there",
        "spend_and_frequency",
        "silence_before_as_of",
        "drift_of_spend",
        "large_orders",
        "regularity",
        "season",
    ]
    assert all(finding.sentence.endswith(".") and finding.values for finding in findings)
    assert {finding.name for finding in findings if finding.level == "caution"} == {"already_there"}


def test_diagnose_of_a_summary_and_of_nothing() -> None:
    frame, as_of = made_up_log(200, seed=25)
    table = summary(frame, as_of)
    names = [f.name for f in diagnose(table, None, as_of=as_of, unit="day", observed_from=None)]
    assert names == ["small_numbers", "one_time_buyers", "spend_and_frequency"]
    assert diagnose(table[:0], frame[:0], as_of=as_of, unit="day", observed_from=None) == ()


def test_diagnose_changes_nothing_it_is_given() -> None:
    frame, as_of = made_up_log(200, seed=26)
    table = summary(frame, as_of)
    copies = frame.copy(), table.copy()
    diagnose(table, frame, as_of=as_of, unit="day", observed_from=None)
    pd.testing.assert_frame_equal(frame, copies[0])
    pd.testing.assert_frame_equal(table, copies[1])


@pytest.mark.slow
def test_a_million_purchases() -> None:
    frame, as_of = made_up_log(100_000, seed=27, days=1096)
    assert len(frame) > 800_000
    table = summary(frame, as_of)
    start = time.perf_counter()
    findings = diagnose(table, frame, as_of=as_of, unit="day", observed_from=None)
    print(f"{len(frame):,} purchase-days diagnosed in {time.perf_counter() - start:.2f} s")
    assert len(findings) == 8


def test_a_log_is_frozen() -> None:
    log: PurchaseLog = purchase_log(made_up_log(5, seed=28)[0])
    with pytest.raises(AttributeError):
        log.day = log.day  # type: ignore[misc]


def rhythm(step: int, amount: Callable[[int, int], float] = lambda i, k: 10.0 + i % 7) -> pd.DataFrame:
    """80 customers who buy up to 13 times, every so many days exactly."""
    rows = [
        (i, START + pd.Timedelta(days=7 * (i % 40) + step * k), amount(i, k))
        for i in range(80)
        for k in range(2 + i % 12)
    ]
    return pd.DataFrame(rows, columns=["customer_id", "date", "amount"])


def dated(rows: list[tuple[int, int, float]]) -> pd.DataFrame:
    """Customer, day and amount."""
    frame = pd.DataFrame(rows, columns=["customer_id", "date", "amount"])
    return frame.assign(date=START + pd.to_timedelta(frame["date"], unit="D"))


def of_all_sizes(i: int, k: int) -> float:
    return round(10.0 ** ((7 * i + 5 * k) % 18 - 6), 6)


EXTREME = {
    "every day": rhythm(1),
    "every other day": rhythm(2),
    "every week": rhythm(7),
    "every 28 days": rhythm(28),
    "every 28 days, one amount": rhythm(28, lambda i, k: 10.0),
    "every 28 days, the smallest amount": rhythm(28, lambda i, k: 1e-6),
    "every 28 days, the largest amounts": rhythm(28, lambda i, k: 999_999_999_999.0),
    "every 28 days, amounts of all sizes": rhythm(28, of_all_sizes),
    "every day, amounts of all sizes": rhythm(1, of_all_sizes),
    "every year": rhythm(365),
    "every quarter": dated([(i, 90 * k + i % 8 * 91, 10.0) for i in range(80) for k in range(9)]),
    "up within days": dated([(i, i % 20 + k, a) for i in range(40) for k, a in enumerate((1e-4, 1.0, 1e5))]),
    "down within days": dated([(i, i % 20 + k, a) for i in range(40) for k, a in enumerate((1e9, 1.0, 1e-6))]),
    "one customer": dated([(1, 3 * k, 5.0 + k) for k in range(50)]),
    "one purchase": dated([(1, 0, 5.0)]),
    "one day": dated([(i, 0, 1.0 + i) for i in range(60)]),
    "two days": dated([(i, k, 1.0 + i) for i in range(60) for k in range(2)]),
}


@pytest.mark.parametrize("days_after", [0, 60_000])
@pytest.mark.parametrize("name", EXTREME)
def test_every_number_of_the_findings_is_finite(name: str, days_after: int) -> None:
    frame = EXTREME[name]
    as_of = (frame["date"].max() + pd.Timedelta(days=days_after)).date()
    for finding in purchase_history(frame, as_of=as_of).audit.findings:
        numbers = [value for value in finding.values.values() if not isinstance(value, str)]
        assert np.isfinite(np.array(numbers, dtype=float)).all(), finding
        words = finding.sentence.replace("(", " ").split()
        assert not {"inf", "nan", "+inf%", "+nan%"} & set(words), finding.sentence
        assert all(len(word) < 16 for word in words if "%" in word), finding.sentence


@pytest.mark.parametrize("step", [2, 7, 28, 365])
def test_an_exact_rhythm_is_regular_up_to_a_bound(step: int) -> None:
    finding = found(regularity(purchase_log(rhythm(step))))
    assert finding.values["k"] == MOST_K and finding.level == "caution"
    assert "k 100 or more, a fixed rhythm" in finding.sentence


def test_growth_of_days_is_told_up_to_a_thousandfold() -> None:
    frame = EXTREME["up within days"]
    finding = found(drift_of_spend(purchase_log(frame), frame["date"].max() + pd.Timedelta(days=20)))
    assert finding.values["percent_per_year"] == 99_900.0 and finding.values["effect_next_year"] == 999.0
    assert "changes by +99,900% or more a year" in finding.sentence


def test_months_without_any_purchase_have_a_finite_swing() -> None:
    frame = EXTREME["every quarter"]
    values = found(season(purchase_log(frame), frame["date"].max())).values
    assert values["lowest_factor"] == 0.0 and values["swing"] == pytest.approx(999.0)
