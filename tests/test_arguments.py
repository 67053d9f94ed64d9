"""Arguments are checked once, and everything that is counted or dated has a stated most."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_forecast.arguments import MOST_COUNT, MOST_DRAWS, count_of, draws_of, finite_number, number_of, parse_day
from clv_forecast.errors import DomainError


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), float("nan"), np.inf, None, True, "1", [1.0]])
def test_numbers_that_are_none(value: Any) -> None:
    with pytest.raises(DomainError, match="share must be"):
        finite_number(value, "share")


@pytest.mark.parametrize("value", [0, -1, MOST_COUNT + 1, 10**400, 1.0, 1e400, "3", True, float("nan")])
def test_counts_that_are_none(value: Any) -> None:
    for check in (count_of, number_of):
        with pytest.raises(DomainError, match="chunk must be a whole number of at least 1 and at most") as refused:
            check(value, "chunk")
        assert len(str(refused.value)) < 150


def test_only_where_it_may_a_count_is_left_out() -> None:
    assert count_of(None, "chunk") is None
    assert number_of(np.int64(7), "top_k") == 7
    with pytest.raises(DomainError, match="top_k"):
        number_of(None, "top_k")


@pytest.mark.parametrize("value", [99, MOST_DRAWS + 1, 10**9, 100.5, None])
def test_draws_have_a_least_and_a_most(value: Any) -> None:
    with pytest.raises(DomainError, match="draws must be a whole number of at least 100 and at most 100,000"):
        draws_of(value)


@pytest.mark.parametrize("value", ["1900-01-01", "2200-12-31", datetime.date(2000, 2, 29), pd.Timestamp("1999-12-31")])
def test_days_of_three_centuries(value: Any) -> None:
    assert parse_day(value, "as_of") == pd.Timestamp(value).date()


@pytest.mark.parametrize(
    "value",
    [
        *("", "nan", "NaT", "now", "today", "0000-01-01", "0000-00-00", "2262-04-12", "9999-12-31", "10000-01-01"),
        *("1899-12-31", "2201-01-01", "1e400", 1e400, 10**400, 0, float("nan"), pd.NaT, None, True),
        *(datetime.date.min, datetime.date.max, pd.Timestamp("2262-04-12"), np.datetime64("99999-01-01")),
    ],
)
def test_days_beyond_are_refused(value: Any) -> None:
    with pytest.raises(DomainError, match="as_of must be a day"):
        parse_day(value, "as_of")
