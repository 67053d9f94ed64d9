"""Units, horizons and discounting: the only conversions of the package."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_forecast.errors import DomainError
from clv_forecast.units import (
    DAYS_PER_UNIT,
    MOST_YEARS,
    Horizon,
    TimeUnit,
    check_unit,
    discount_per_unit,
    units_per_year,
)

UNITS = get_args(TimeUnit)
PER_YEAR = {"hour": 8765.82, "day": 365.2425, "week": 52.1775, "month": 12.0, "year": 1.0}
lengths = st.floats(min_value=0.01, max_value=MOST_YEARS).map(lambda x: round(x, 3)).filter(lambda x: x > 0)


@pytest.mark.parametrize("unit", UNITS)
def test_units_per_year(unit: TimeUnit) -> None:
    assert units_per_year(unit) == pytest.approx(PER_YEAR[unit], rel=1e-14)
    assert check_unit(unit) == unit


def test_every_unit_has_a_length() -> None:
    assert set(UNITS) == set(DAYS_PER_UNIT) == set(PER_YEAR)


@pytest.mark.parametrize("unit", ["weeks", "Week", "W", "", "quarter"])
def test_an_unknown_unit_is_refused_with_the_known_ones(unit: str) -> None:
    with pytest.raises(DomainError, match="hour, day, week, month, year"):
        check_unit(unit)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("annual", [0.0, 0.1, 1.0, 9.999])
def test_a_year_of_discounting_is_the_annual_rate(unit: TimeUnit, annual: float) -> None:
    assert math.exp(discount_per_unit(annual, unit) * units_per_year(unit)) == pytest.approx(1.0 + annual, rel=1e-12)


@pytest.mark.parametrize("annual", [-1e-12, 10.0, 10.1, math.inf, -math.inf, math.nan])
def test_a_rate_outside_its_domain_is_refused(annual: float) -> None:
    with pytest.raises(DomainError, match="discount_rate_annual"):
        discount_per_unit(annual, "week")


@pytest.mark.parametrize(
    ("text", "unit", "length"),
    [
        ("39 weeks", "week", 39.0),
        ("1 week", "day", 7.0),
        ("12 months", "week", 52.1775),
        ("1.5 years", "month", 18.0),
        ("48hours", "day", 2.0),
        ("  2   Days ", "hour", 48.0),
        ("lifetime", "year", 10.0),
        (" Lifetime ", "year", 10.0),
        (["1 year"], "month", 12.0),
    ],
)
def test_horizons_read(text: str | list[str], unit: TimeUnit, length: float) -> None:
    horizon = Horizon.parse(text)
    assert horizon.in_unit(unit) == pytest.approx(length, rel=1e-14)
    assert horizon.label == " ".join("".join(text).split()).lower()


@pytest.mark.parametrize(
    "text", ["12", "0 weeks", "0.0 years", "-3 weeks", "weeks", "3 fortnights", "1e3 days", "1,5 years", ""]
)
def test_horizons_refused(text: str) -> None:
    with pytest.raises(DomainError, match="positive number"):
        Horizon.parse(text)


@pytest.mark.parametrize("text", ["100 years", "1200 months", "5217.75 weeks", "36524.25 days", "876582 hours"])
def test_the_longest_horizon_is_a_century(text: str) -> None:
    assert Horizon.parse(text).years == pytest.approx(MOST_YEARS, rel=1e-12)


@pytest.mark.parametrize("text", ["100.01 years", "1201 months", f"{'9' * 400} weeks", "1000000000000 hours"])
def test_longer_horizons_are_refused(text: str) -> None:
    with pytest.raises(DomainError, match="at most 100 years") as refused:
        Horizon.parse(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "text", ["1e308 months", "inf years", "0 months", "-1 years", "nan weeks", f"0.{'0' * 400}1 years", "1e400 years"]
)
def test_lengths_that_are_none(text: str) -> None:
    with pytest.raises(DomainError, match="positive number"):
        Horizon.parse(text)


@pytest.mark.parametrize("number", [12, 12.0, None])
def test_a_bare_number_has_no_unit(number: object) -> None:
    with pytest.raises(DomainError, match="bare number"):
        Horizon.parse(number)  # type: ignore[arg-type]


@pytest.mark.parametrize("cap", [0.0, -1.0, math.inf, math.nan, 100.1, 1e308, 10**400])
def test_the_cap_of_a_lifetime_is_positive_and_finite(cap: float) -> None:
    with pytest.raises(DomainError, match="lifetime_years"):
        Horizon.parse("lifetime", lifetime_years=cap)
    assert Horizon.parse("3 years", lifetime_years=cap).years == pytest.approx(3.0)


def test_the_cap_moves_only_the_lifetime() -> None:
    assert Horizon.parse("lifetime", lifetime_years=4.0).years == 4.0
    assert Horizon.parse("20 years", lifetime_years=4.0).years == pytest.approx(20.0, rel=1e-14)


@given(length=lengths, written=st.sampled_from(UNITS), read=st.sampled_from(UNITS))
def test_a_length_is_the_same_in_any_unit(length: float, written: TimeUnit, read: TimeUnit) -> None:
    expected = length * PER_YEAR[read] / PER_YEAR[written]
    assert Horizon.parse(f"{length} {written}s").in_unit(read) == pytest.approx(expected, rel=1e-12)
