"""Windows: whole days, origins, and what is counted in them."""

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.evaluation.windows import (
    Lengths,
    check_windows,
    choose_origins,
    first_purchase,
    origin_days,
    outcome_of,
)

ORIGIN = pd.Timestamp("2024-03-31")


@pytest.mark.parametrize(
    ("horizon", "days"),
    [("39 weeks", [273]), ("12 months", [365]), (["13 weeks", "1 year", "3 months"], [91, 365]), ("36 hours", [1])],
)
def test_whole_days_rounded_down(horizon, days):
    if len(days) < (1 if isinstance(horizon, str) else len(horizon)):
        with pytest.raises(clv.DomainError, match="no two alike"):
            Lengths.parse(horizon)
    else:
        assert Lengths.parse(horizon).days.tolist() == days


@pytest.mark.parametrize("horizon", ["lifetime", "12 hours", "39", ["13 weeks", "13 weeks"]])
def test_refused_lengths(horizon):
    with pytest.raises(clv.DomainError):
        Lengths.parse(horizon)


@pytest.mark.parametrize("horizon", ["13 weeks", "39 weeks", "2 months", "12 months", "10 days"])
def test_periods_end_with_their_horizon(horizon):
    lengths = Lengths.parse([horizon, "18 months"])
    for days, periods in zip(lengths.days, lengths.periods, strict=True):
        assert periods[-1] == days and (np.diff(periods) > 0).all()
        length = np.diff(periods, prepend=0)
        assert length.max() <= 1.25 * 30.44 + 1 and (len(length) == 1 or length.min() >= 0.24 * 30.44)
        assert set(periods) <= set(lengths.ends)
    assert lengths.steps[-1] == lengths.longest


def test_origins_chosen_do_not_overlap_and_leave_a_calibration():
    lengths = Lengths.parse(["4 weeks", "13 weeks"])
    first, as_of = pd.Timestamp("2022-01-01"), pd.Timestamp("2024-03-31")
    chosen = choose_origins(first, as_of, lengths)
    assert len(chosen) == 5 and chosen[-1] == as_of - pd.Timedelta(days=91)
    assert set(np.diff(chosen)) == {pd.Timedelta(days=91)}
    assert len(choose_origins(first, first + pd.Timedelta(days=3 * 91 - 1), lengths)) == 2
    assert len(choose_origins(first, first + pd.Timedelta(days=2 * 91 - 1), lengths)) == 1
    with pytest.raises(clv.DomainError, match="too short"):
        choose_origins(first, first + pd.Timedelta(days=2 * 91 - 2), lengths)


def test_given_origins():
    lengths = Lengths.parse("13 weeks")
    as_of = ORIGIN + pd.Timedelta(days=91)
    assert origin_days("2024-03-31") == (ORIGIN,)
    assert origin_days(["2024-03-31", ORIGIN - pd.Timedelta(days=3)])[-1] == ORIGIN
    check_windows([ORIGIN], ORIGIN, as_of, lengths=lengths)
    with pytest.raises(clv.DomainError, match=r"ends on 2024-07-01.*shorter horizon of at most 2 months\."):
        check_windows(origin_days(["2024-04-01"]), ORIGIN, as_of, lengths=lengths)
    with pytest.raises(clv.DomainError, match=r"or a shorter horizon\."):
        check_windows([as_of], ORIGIN, as_of, lengths=lengths)
    with pytest.raises(clv.DomainError, match="once"):
        origin_days(["2024-03-30", "2024-03-30"])
    with pytest.raises(clv.DomainError, match="at least one"):
        origin_days([])


@pytest.fixture
def outcome():
    """The window holds the days 1 to 28 after the origin; one customer comes later."""
    days = {"a": [-40, -2, 1, 28, 29], "b": [-30, 0], "c": [-7, 14, 14], "new": [5, 6]}
    rows = [(c, ORIGIN + pd.Timedelta(days=d), 100.0 + d) for c, listed in days.items() for d in listed]
    log = pd.DataFrame(rows, columns=["customer_id", "date", "amount"])
    split = clv.purchase_history(log, as_of="2024-06-30").split(ORIGIN)
    return outcome_of(split, 28)


def test_what_counts_in_a_window(outcome):
    count, money = outcome.upto(np.array([1, 14, 28]))
    assert count.tolist() == [[1, 1, 2], [0, 0, 0], [0, 1, 1]]
    assert money[0].tolist() == [101.0, 101.0, 229.0] and money[2].tolist() == [0.0, 228.0, 228.0]
    assert outcome.last_day(28).tolist() == [28, 0, 14]
    assert outcome.last_day(20).tolist() == [1, 0, 14]


def test_later_customers_are_counted_apart(outcome):
    assert outcome.newcomers(28) == (1, 2, 211.0)
    assert outcome.newcomers(5) == (1, 1, 105.0)
    assert outcome.newcomers(4) == (0, 0, 0.0)


def test_the_past_ends_with_the_origin(outcome):
    assert outcome.past.customers == 3
    assert sorted(outcome.past.day.tolist()) == [-40, -30, -7, -2, 0]
    assert outcome.past.between(-7, 0)[0].tolist() == [1, 1, 0]


def test_a_summary_has_no_windows():
    frame = pd.DataFrame({"customer_id": [1], "frequency": [1], "recency": [2.0], "T": [3.0]})
    with pytest.raises(clv.InputError, match="summary"):
        first_purchase(clv.history_from_summary(frame, unit="week", as_of=ORIGIN, monetary_value=None))
