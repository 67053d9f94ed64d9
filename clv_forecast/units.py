"""Time units, horizons and discounting: the only module that converts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import pandas as pd

from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError

TimeUnit = Literal["hour", "day", "week", "month", "year"]

DAYS_PER_YEAR: Final = 365.2425
DAYS_PER_UNIT: Final[dict[str, float]] = {
    "hour": 1.0 / 24.0,
    "day": 1.0,
    "week": 7.0,
    "month": DAYS_PER_YEAR / 12.0,
    "year": DAYS_PER_YEAR,
}
LIFETIME_YEARS: Final = 10.0
MOST_YEARS: Final = 100.0
"""Longest horizon, also of a lifetime: beyond it a discounted value is nothing, and days end."""
_ROUNDING: Final = 1e-9
_LENGTH = re.compile(r"^\s*(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>hour|day|week|month|year)s?\s*$", re.IGNORECASE)


def check_unit(unit: str) -> TimeUnit:
    """Return ``unit`` when it is one of hour, day, week, month, year.

    Raises
    ------
    DomainError
        Otherwise.

    Examples
    --------
    >>> check_unit("week")
    'week'
    """
    if unit not in get_args(TimeUnit):
        raise DomainError(f"The unit must be one of {', '.join(get_args(TimeUnit))}.", value=repr(unit))
    return unit  # type: ignore[return-value]


def units_per_year(unit: TimeUnit) -> float:
    """How many of ``unit`` make a year of 365.2425 days (52.1775 weeks).

    Examples
    --------
    >>> units_per_year("week")
    52.1775
    """
    return DAYS_PER_YEAR / DAYS_PER_UNIT[unit]


def years_back(day: pd.Timestamp, years: int = 1) -> pd.Timestamp:
    """The same calendar day so many years earlier, after which the trailing years begin (29 February: the 28th).

    Examples
    --------
    >>> years_back(pd.Timestamp("2024-12-31")), years_back(pd.Timestamp("2024-02-29"), 2)
    (Timestamp('2023-12-31 00:00:00'), Timestamp('2022-02-28 00:00:00'))
    """
    return pd.Timestamp(day - pd.DateOffset(years=years))


def month_in(unit: TimeUnit) -> float:
    """Length of a month, a twelfth of a year, in a time unit.

    Examples
    --------
    >>> round(month_in("day"), 3)
    30.437
    """
    return DAYS_PER_UNIT["month"] / DAYS_PER_UNIT[unit]


def discount_per_unit(annual: float, unit: TimeUnit) -> float:
    """Continuous discount rate per ``unit`` for an annual rate: ``ln(1 + annual) / units_per_year``.

    Raises
    ------
    DomainError
        If ``annual`` is negative, at least 10 (a rate of 1000 %), or not finite.

    Examples
    --------
    >>> round(discount_per_unit(0.10, "week"), 9)
    0.001826653
    """
    if not 0.0 <= finite_number(annual, "discount_rate_annual") < 10.0:
        raise DomainError(
            "discount_rate_annual must be a yearly rate between 0 and 10 (0.10 is 10 % a year).", value=annual
        )
    return math.log1p(annual) / units_per_year(unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """A length of future time: its label and its length in years.

    Examples
    --------
    >>> Horizon.parse("12 months").in_unit("week")
    52.1775
    >>> Horizon.parse("lifetime").years
    10.0
    """

    label: str
    years: float

    @classmethod
    def parse(cls, text: str | Sequence[str], *, lifetime_years: float = LIFETIME_YEARS) -> Horizon:
        """Read ``"39 weeks"``, ``"12 months"``, ``"1.5 years"`` or ``"lifetime"`` (capped at ``lifetime_years``).

        Raises
        ------
        DomainError
            If the text, or the only one of a list, is none of these, or a length is not positive or above 100 years.
        """
        if isinstance(text, (list, tuple)):
            if len(text) != 1:
                raise DomainError(
                    "One horizon belongs here.", value=list(text), remedy="Name one, such as '12 months'."
                )
            (text,) = text
        if not isinstance(text, str):
            raise DomainError(
                "A horizon is text such as '12 months', '39 weeks' or 'lifetime'.",
                value=repr(text),
                remedy="Name the unit: a bare number would not say whether it counts weeks or months.",
            )
        if text.strip().casefold() == "lifetime":
            return cls(label="lifetime", years=check_lifetime(lifetime_years))
        match = _LENGTH.match(text)
        if match is None or float(match["count"]) <= 0:
            raise DomainError(
                "A horizon is a positive number with hours, days, weeks, months or years, or 'lifetime'.",
                value=repr(text),
                remedy="Write for example '12 months'.",
            )
        years = float(match["count"]) * DAYS_PER_UNIT[match["unit"].lower()] / DAYS_PER_YEAR
        if not years <= MOST_YEARS * (1.0 + _ROUNDING):
            raise DomainError(f"A horizon is at most {MOST_YEARS:g} years long.", value=repr(text[:40]))
        return cls(label=" ".join(text.split()).casefold(), years=years)

    def in_unit(self, unit: TimeUnit) -> float:
        """Length in ``unit``."""
        return self.years * units_per_year(unit)


def check_lifetime(years: float) -> float:
    """Return the length at which a lifetime is cut off.

    Raises
    ------
    DomainError
        If it is no positive number of years, or above 100.

    Examples
    --------
    >>> check_lifetime(10)
    10.0
    """
    if not 0.0 < finite_number(years, "lifetime_years") <= MOST_YEARS:
        raise DomainError(f"lifetime_years must be positive and at most {MOST_YEARS:g}.", value=years)
    return float(years)
