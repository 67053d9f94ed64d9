"""The horizons of a forecast: their labels, lengths and ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import DomainError
from clv_forecast.units import DAYS_PER_YEAR, LIFETIME_YEARS, Horizon, TimeUnit, check_lifetime, units_per_year

DEFAULT_HORIZONS = ("12 months", "36 months", "lifetime")
GRID_PERIODS = ("week", "month", "quarter", "year")
_SAME = 1e-9  # of the logarithm: "1 year" and "12 months" are one length
_CALENDAR = {"week": "W", "month": "M", "quarter": "Q", "year": "Y"}
_GRID_YEARS = {"week": 7.0 / DAYS_PER_YEAR, "month": 1.0 / 12.0, "quarter": 0.25, "year": 1.0}


def either_name[T](horizons: T | None, horizon: T | None, default: T) -> T:
    """What a verb that takes several horizons was given, by one name of the argument or the other.

    Raises
    ------
    DomainError
        If it was given by both.

    Examples
    --------
    >>> either_name(None, "12 months", "lifetime")
    '12 months'
    """
    if horizons is not None and horizon is not None:
        raise DomainError("horizon and horizons are one thing.", remedy="Give one of both.")
    given = horizon if horizons is None else horizons
    return default if given is None else given


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizons:
    """Horizons in ascending order of length.

    Examples
    --------
    >>> Horizons.parse(["lifetime", "12 months"]).labels
    ('12 months', 'lifetime')
    """

    labels: tuple[str, ...]
    years: tuple[float, ...]

    @classmethod
    def parse(cls, texts: str | Iterable[str], *, lifetime_years: float = LIFETIME_YEARS) -> Horizons:
        """Read one or several horizons; see ``Horizon.parse``.

        Raises
        ------
        DomainError
            If there is none, one stands twice, or one is no length of time, or ``lifetime_years`` is none.
        """
        if not isinstance(texts, (str, Iterable)):
            raise DomainError(
                "A horizon is text such as '12 months', '39 weeks' or 'lifetime'.",
                value=repr(texts),
                remedy="Name the unit: a bare number would not say whether it counts weeks or months.",
            )
        listed = [texts] if isinstance(texts, str) else list(texts)
        check_lifetime(lifetime_years)
        parsed = sorted((Horizon.parse(t, lifetime_years=lifetime_years) for t in listed), key=lambda h: h.years)
        if not parsed:
            raise DomainError("A forecast needs at least one horizon.", remedy="Give horizons=['12 months'].")
        lengths = [h.years for h in parsed]
        if len(set(lengths)) < len(lengths):
            raise DomainError("Each length may stand once among the horizons.", value=[h.label for h in parsed])
        return cls(labels=tuple(h.label for h in parsed), years=tuple(lengths))

    @classmethod
    def grid(cls, period: str, *, years: float) -> Horizons:
        """Ends of equal periods (week, month, quarter, year) up to ``years``, labelled 1, 2, ...

        The last one is shorter where the length is no multiple of the period.

        Raises
        ------
        DomainError
            If the period is unknown.
        """
        if period not in _GRID_YEARS:
            raise DomainError(f"A grid counts in one of {', '.join(GRID_PERIODS)}.", value=repr(period))
        step = _GRID_YEARS[period]
        count = max(1, int(np.ceil(years / step - 1e-9)))
        ends = tuple(min(step * k, years) for k in range(1, count + 1))
        return cls(labels=tuple(str(k) for k in range(1, count + 1)), years=ends)

    @classmethod
    def calendar(cls, period: str, *, years: float, as_of: pd.Timestamp) -> Horizons:
        """Ends of calendar periods (week, month, quarter, year) after ``as_of``, up to ``years``, labelled 1, 2, ...

        Weeks end on Sundays. The first period begins on the day after ``as_of`` and the last ends with ``years``, so
        both may be shorter.

        Raises
        ------
        DomainError
            If the period is unknown.

        Examples
        --------
        >>> quarters = Horizons.calendar("quarter", years=1.0, as_of=pd.Timestamp("2024-05-31"))
        >>> [f"{end:%Y-%m-%d}" for end in quarters.ends(pd.Timestamp("2024-05-31"))]
        ['2024-06-30', '2024-09-30', '2024-12-31', '2025-03-31', '2025-05-31']
        """
        if period not in _CALENDAR:
            raise DomainError(f"A grid counts in one of {', '.join(GRID_PERIODS)}.", value=repr(period))
        last = as_of + pd.Timedelta(days=round(years * DAYS_PER_YEAR))
        first = as_of + pd.Timedelta(days=1)
        whole = pd.period_range(first, last, freq=_CALENDAR[period]).end_time.normalize()
        ends = (*((day - as_of).days / DAYS_PER_YEAR for day in whole if day < last), years)
        return cls(labels=tuple(str(k) for k in range(1, len(ends) + 1)), years=ends)

    def boundaries(self, unit: TimeUnit) -> NDArray[np.float64]:
        """Lengths in ``unit``, shape (horizon,)."""
        return np.array(self.years) * units_per_year(unit)

    def ends(self, as_of: pd.Timestamp) -> list[pd.Timestamp]:
        """Calendar dates at which the horizons end."""
        return [as_of + pd.Timedelta(days=round(y * DAYS_PER_YEAR)) for y in self.years]

    def one(self, horizon: str | Sequence[str], *, of: str = "The forecast") -> str:
        """The label of the horizon that is meant: the one of that name, or of that length.

        Raises
        ------
        DomainError
            If it is not among them; the error names those that are, and the nearest.

        Examples
        --------
        >>> Horizons.parse(["12 months", "lifetime"]).one("1 year")
        '12 months'
        """
        listed = [horizon] if isinstance(horizon, str) else horizon
        if isinstance(listed, (list, tuple)) and len(listed) == 1 and listed[0] in self.labels:
            return str(listed[0])
        wanted = Horizon.parse(horizon)
        away = [abs(math.log(years / wanted.years)) for years in self.years]
        nearest = self.labels[away.index(min(away))]
        if min(away) > _SAME or wanted.label == "lifetime":
            raise DomainError(
                f"{of} has the horizons {', '.join(self.labels)}.",
                value=repr(wanted.label),
                remedy=f"Nearest: {nearest}.",
            )
        return nearest

    def only(self, labels: str | Iterable[str] | None) -> Horizons:
        """Some of the horizons, each named as `one` reads it.

        Raises
        ------
        DomainError
            If one is not among them, or none is named.
        """
        if labels is None:
            return self
        wanted = [self.one(label) for label in ([labels] if isinstance(labels, str) else labels)]
        if not wanted:
            raise DomainError(f"Name one of the forecast's horizons: {', '.join(self.labels)}.")
        kept = [(label, year) for label, year in zip(self.labels, self.years, strict=True) if label in wanted]
        return Horizons(labels=tuple(k[0] for k in kept), years=tuple(k[1] for k in kept))
