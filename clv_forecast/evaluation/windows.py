"""The windows of a backtest: whole days after an origin, and what came in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import parse_day
from clv_forecast.errors import DomainError, InputError
from clv_forecast.evaluation.baselines import PastPurchases
from clv_forecast.evaluation.common_shock import PERIOD
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.history.purchase_history import PurchaseHistory, Split
from clv_forecast.units import DAYS_PER_UNIT, DAYS_PER_YEAR, Horizon, TimeUnit

Floats = NDArray[np.float64]
Days = NDArray[np.int64]

MOST_ORIGINS: Final = 5
PERIOD_DAYS: Final = Horizon.parse(PERIOD).years * DAYS_PER_YEAR
"""Length of a period of the common shock."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lengths:
    """How far the windows reach, in whole days: a horizon's length rounded down, which is exact for weeks.

    Parameters
    ----------
    labels : tuple of str
        The horizons, ascending.
    days : ndarray of int, shape (horizon,)
    periods : tuple of ndarray of int, one per horizon
        Ends of the common shock's periods in the horizon; the last may be shorter and ends with it.
    steps : ndarray of int, shape (step,)
        Ends of the weeks up to the longest horizon (months, if that is more than two years).
    step : {"week", "month"}
    """

    labels: tuple[str, ...]
    days: Days
    periods: tuple[Days, ...]
    steps: Days
    step: TimeUnit

    @classmethod
    def parse(cls, horizon: str | Sequence[str]) -> Lengths:
        """Read one or several horizons.

        Raises
        ------
        DomainError
            If one is no length of time, is shorter than a day, is ``"lifetime"``, or stands twice.

        Examples
        --------
        >>> Lengths.parse(["12 months", "13 weeks"]).days
        array([ 91, 365])
        """
        parsed = Horizons.parse(horizon)
        if "lifetime" in parsed.labels:
            raise DomainError("A backtest needs horizons that end, such as '39 weeks'.", value="'lifetime'")
        days = np.array([int(years * DAYS_PER_YEAR + _ROUNDING) for years in parsed.years], dtype=np.int64)
        if days[0] < 1 or (np.diff(days) == 0).any():
            raise DomainError(
                "The horizons of a backtest are whole days: at least one, and no two alike.", value=parsed.labels
            )
        longest = int(days[-1])
        step: TimeUnit = "week" if longest <= 2 * DAYS_PER_YEAR else "month"
        return cls(
            labels=parsed.labels,
            days=days,
            periods=tuple(_ends(PERIOD_DAYS, int(length)) for length in days),
            steps=_ends(DAYS_PER_UNIT[step], longest),
            step=step,
        )

    @property
    def ends(self) -> Days:
        """All days at which a horizon or a period ends."""
        return np.unique(np.concatenate([self.days, *self.periods]))

    @property
    def longest(self) -> int:
        """Days of the longest horizon."""
        return int(self.days[-1])

    @property
    def years(self) -> Floats:
        """Lengths of the horizons in years."""
        return np.asarray(self.days / DAYS_PER_YEAR)


def _ends(length: float, longest: int) -> Days:
    """Ends of equal periods in whole days, the last one cut at ``longest``; no period of less than a quarter."""
    count = max(1, int(np.ceil(longest / length - _ROUNDING)))
    ends = np.floor(np.arange(1, count + 1) * length + _ROUNDING).astype(np.int64)
    ends[-1] = longest
    if count > 1 and longest - ends[-2] < 0.25 * length:
        ends = np.delete(ends, -2)
    return np.unique(ends)


def choose_origins(first: pd.Timestamp, as_of: pd.Timestamp, lengths: Lengths) -> tuple[pd.Timestamp, ...]:
    """Ends of calibrations for windows of the longest horizon that do not overlap: at most five, the latest ones.

    Each calibration is at least as long as the horizon.

    Raises
    ------
    DomainError
        If not even one fits.

    Examples
    --------
    >>> first, as_of = pd.Timestamp("1997-01-01"), pd.Timestamp("1998-06-30")
    >>> [str(day.date()) for day in choose_origins(first, as_of, Lengths.parse("26 weeks"))]
    ['1997-07-01', '1997-12-30']
    """
    found: list[pd.Timestamp] = []
    origin = as_of - pd.Timedelta(days=lengths.longest)
    while len(found) < MOST_ORIGINS and (origin - first).days + 1 >= lengths.longest:
        found.append(origin)
        origin -= pd.Timedelta(days=lengths.longest)
    if not found:
        raise DomainError(
            f"The log is too short to test {lengths.labels[-1]}: the calibration should be at least as long.",
            value=f"first purchase {first.date()}, as of {as_of.date()}",
            remedy=f"The longest horizon that it allows is {longest_horizon(first, as_of)}. Or name the origins.",
        )
    return tuple(reversed(found))


def longest_horizon(first: pd.Timestamp, as_of: pd.Timestamp, origin: pd.Timestamp | None = None) -> str:
    """The longest horizon that a log lets a backtest test, in whole months, or weeks or days if short.

    It is half of the log, or what came after ``origin`` where the last origin is named.

    Raises
    ------
    DomainError
        If that is less than a day.

    Examples
    --------
    >>> longest_horizon(pd.Timestamp("1997-01-01"), pd.Timestamp("1998-06-30"))
    '9 months'
    """
    days = ((as_of - first).days + 1) // 2 if origin is None else (as_of - origin).days
    for unit in ("month", "week", "day"):
        count = int((days + 1 - _ROUNDING) / DAYS_PER_UNIT[unit])
        if count > 1 or (count == 1 and unit == "day"):
            return f"{count} {unit}s" if count > 1 else f"{count} {unit}"
    where = f"first purchase {first.date()}" if origin is None else f"origin {origin.date()}"
    raise DomainError("The log is too short for a backtest.", value=f"{where}, as of {as_of.date()}")


def origin_days(origins: Any) -> tuple[pd.Timestamp, ...]:
    """Days given as origins, ascending.

    Raises
    ------
    DomainError
        If there is none, or one stands twice.
    """
    listed = [origins] if isinstance(origins, str) or not isinstance(origins, Iterable) else list(origins)
    if not listed:
        raise DomainError("A backtest needs at least one origin.", remedy="Leave origins out to have them chosen.")
    days = sorted(pd.Timestamp(parse_day(origin, "origins")) for origin in listed)
    if len(set(days)) < len(days):
        raise DomainError("Each origin may stand once.", value=[str(day.date()) for day in days])
    return tuple(days)


def check_windows(days: Sequence[pd.Timestamp], first: pd.Timestamp, as_of: pd.Timestamp, *, lengths: Lengths) -> None:
    """Refuse origins, ascending, whose windows end after ``as_of``.

    Raises
    ------
    DomainError
        If one does; it names the longest horizon that would end in time, if any.
    """
    last = days[-1] + pd.Timedelta(days=lengths.longest)
    if last > as_of:
        longest = f" of at most {longest_horizon(first, as_of, days[-1])}" if days[-1] < as_of else ""
        raise DomainError(
            f"The window of an origin must end by as_of, {as_of.date()}: what came later is not known.",
            value=f"{days[-1].date()} with {lengths.labels[-1]} ends on {last.date()}",
            remedy=f"Take an earlier origin, or a shorter horizon{longest}.",
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What came after an origin, and what was there before.

    Parameters
    ----------
    customer : ndarray of int, shape (purchase,)
        Position in the calibration's table of who bought.
    day : ndarray of int, shape (purchase,)
        Days after the origin, from 1.
    amount : ndarray, shape (purchase,)
    new_day, new_amount : ndarray
        The same of customers who were not known at the origin.
    new_customer : ndarray of int
        Number of each of these customers.
    past : PastPurchases
        Of the calibration.
    """

    customer: NDArray[np.intp]
    day: Days
    amount: Floats
    new_day: Days
    new_amount: Floats
    new_customer: NDArray[np.intp]
    past: PastPurchases

    def upto(self, ends: Days) -> tuple[Floats, Floats]:
        """Purchases and revenue of each customer from the origin to each day; both (customer, end)."""
        shape = (self.past.customers, len(ends))
        place = np.searchsorted(ends, self.day)
        kept = place < len(ends)
        cell = self.customer[kept] * len(ends) + place[kept]
        count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
        money = np.bincount(cell, weights=self.amount[kept], minlength=shape[0] * shape[1]).reshape(shape)
        return np.cumsum(count, axis=1), np.cumsum(money, axis=1)

    def last_day(self, end: int) -> Days:
        """Day of each customer's last purchase up to ``end``, 0 without one."""
        found = np.zeros(self.past.customers, dtype=np.int64)
        kept = self.day <= end
        np.maximum.at(found, self.customer[kept], self.day[kept])
        return found

    def newcomers(self, end: int) -> tuple[int, int, float]:
        """Number, purchases and revenue up to ``end`` of customers who were not known at the origin."""
        kept = self.new_day <= end
        return len(np.unique(self.new_customer[kept])), int(kept.sum()), float(self.new_amount[kept].sum())


def outcome_of(split: Split, longest: int) -> Outcome:
    """Read what came within ``longest`` days off a split.

    Raises
    ------
    InputError
        If the calibration is made from a summary.
    """
    calibration, origin = split.calibration, split.calibration.as_of
    ids = pd.Index(calibration.table[columns.CUSTOMER_ID])
    held, before = split.holdout_orders, calibration.purchases()
    day = _days_after(held, origin)
    kept = day <= longest
    new_day = _days_after(split.new_customer_orders, origin)
    new_kept = new_day <= longest
    new_code, _ = pd.factorize(split.new_customer_orders[columns.CUSTOMER_ID])
    return Outcome(
        customer=_places(ids, held[columns.CUSTOMER_ID])[kept],
        day=day[kept],
        amount=held[columns.AMOUNT].to_numpy(dtype=float)[kept],
        new_day=new_day[new_kept],
        new_amount=split.new_customer_orders[columns.AMOUNT].to_numpy(dtype=float)[new_kept],
        new_customer=new_code[new_kept].astype(np.intp),
        past=PastPurchases(
            customer=_places(ids, before[columns.CUSTOMER_ID]),
            day=_days_after(before, origin),
            amount=before[columns.AMOUNT].to_numpy(dtype=float),
            customers=len(ids),
        ),
    )


def first_purchase(history: PurchaseHistory) -> pd.Timestamp:
    """Day of the first purchase of all.

    Raises
    ------
    InputError
        If the history was made from a summary.
    """
    if history.events is None:
        raise InputError(
            "A history made from a summary has no orders, so it cannot be split for a backtest.",
            remedy="Make the history from the order log with purchase_history.",
        )
    return pd.Timestamp(history.table[columns.FIRST_PURCHASE].min())


def _days_after(orders: pd.DataFrame, origin: pd.Timestamp) -> Days:
    return np.asarray((orders[columns.DATE] - origin).dt.days.to_numpy(), dtype=np.int64)


def _places(ids: pd.Index[Any], customers: pd.Series[Any]) -> NDArray[np.intp]:
    return np.asarray(ids.get_indexer(pd.Index(customers)), dtype=np.intp)
