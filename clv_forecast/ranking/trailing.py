"""Revenue and margin of the latest two years by customer and category: read once, for every measure that needs them.

What accounts bring now: revenue of the latest stretch of the log.

What accounts left after costs so far: from the log's margins, else from the rate in the accounts' table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import InputError
from clv_forecast.history.net_lines import net_lines, stretch_sums
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.history.spend_diagnostics import day_number
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.units import DAYS_PER_YEAR, years_back


def trailing_revenue(
    history: PurchaseHistory, years: float = 1.0, *, purchases: pd.DataFrame | None = None
) -> NDArray[np.float64] | None:
    """Net revenue of each customer in the ``years`` up to and including ``as_of``.

    Parameters
    ----------
    history : PurchaseHistory
    years : float
        Whole years are counted by the calendar, to the same day so many years earlier; parts of one in days.
    purchases : DataFrame, optional
        ``history.purchases()``, when it was fetched already.

    Returns
    -------
    ndarray, shape (customer,), or None
        In the row order of the history; 0 for customers who bought nothing. None where the log is shorter than
        that, or the history was made from a summary: what is not known is not zero.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1998-06-30")
    >>> float(trailing_revenue(history, 0.5).sum().round(2)), trailing_revenue(history, 2.0)
    (43593.11, None)
    """
    if history.events is None:
        return None
    in_days = pd.Timedelta(days=round(years * DAYS_PER_YEAR))
    start = years_back(history.as_of, int(years)) if float(years).is_integer() else history.as_of - in_days
    if history.table[columns.FIRST_PURCHASE].min() > start + pd.Timedelta(days=1):
        return None
    rows = history.purchases() if purchases is None else purchases
    recent = rows[rows[columns.DATE] > start]
    return revenue_by_customer(history, recent)


def revenue_by_customer(history: PurchaseHistory, purchases: pd.DataFrame) -> NDArray[np.float64]:
    """Sum of the amounts of purchases by customer, in the row order of the history; 0 for the others."""
    place = pd.Index(history.table[columns.CUSTOMER_ID]).get_indexer(pd.Index(purchases[columns.CUSTOMER_ID]))
    known = place >= 0
    amounts = purchases[columns.AMOUNT].to_numpy(dtype=np.float64)[known]
    return np.bincount(place[known], weights=amounts, minlength=len(history.table))


def carried_forward(history: PurchaseHistory, days: int) -> NDArray[np.float64]:
    """What the past alone says of the next ``days``: the last year's revenue, scaled to them.

    Parameters
    ----------
    history : PurchaseHistory
        Made from orders.
    days : int

    Returns
    -------
    ndarray, shape (customer,)
        Where the log is shorter than a year, revenue of the last ``days``; where it is shorter than that, all of it,
        scaled from the days observed.
    """
    purchases = history.purchases()
    year = trailing_revenue(history, 1.0, purchases=purchases)
    if year is not None:
        return np.asarray(year * days / DAYS_PER_YEAR)
    window = trailing_revenue(history, days / DAYS_PER_YEAR, purchases=purchases)
    if window is not None:
        return window
    observed = (history.as_of - history.table[columns.FIRST_PURCHASE].min()).days + 1
    return np.asarray(revenue_by_customer(history, purchases) * days / observed)


LATEST: Final = "latest"
BEFORE: Final = "before"
EVER: Final = "ever"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrailingSums:
    """Sums by customer and category, and how far back the log reaches.

    Parameters
    ----------
    table : DataFrame
        From ``stretch_sums``: ``latest`` are the trailing 12 months (the whole log, if it is shorter), ``before``
        the 12 months before, ``ever`` everything.
    place : ndarray of intp, shape (row of table,)
        Row of the customer in the history; -1 for customers whom refunds left nothing.
    first : ndarray of int64, shape (customer,)
        Day of each customer's first purchase, as days since 1970-01-01.
    log_start, year, two_years : int
        First day of the log; the last days before the trailing 12 and 24 months.
    has_category, has_margin : bool
        Whether the log has these columns.
    """

    table: pd.DataFrame
    place: NDArray[np.intp]
    first: NDArray[np.int64]
    log_start: int
    year: int
    two_years: int
    has_category: bool
    has_margin: bool

    @property
    def has_year(self) -> bool:
        """Whether the log holds the trailing 12 months."""
        return self.log_start <= self.year + 1

    @property
    def has_two_years(self) -> bool:
        """Whether it holds the 12 months before, too."""
        return self.log_start <= self.two_years + 1


def trailing_sums(history: PurchaseHistory) -> TrailingSums:
    """Sum what customers bought by category, in the trailing 12 months, in those before, and ever.

    Parameters
    ----------
    history : PurchaseHistory

    Returns
    -------
    TrailingSums

    Raises
    ------
    InputError
        If the history was made from a summary.

    Examples
    --------
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({"customer_id": 1, "date": ["2023-03-01", "2024-02-01"], "amount": [4.0, 6.0]})
    >>> found = trailing_sums(purchase_history(log, as_of="2024-12-31"))
    >>> found.table[["before_revenue", "latest_revenue"]], found.has_two_years
    (   before_revenue  latest_revenue
    0             4.0             6.0, False)
    """
    lines = net_lines(history)
    year, two_years = (day_number(years_back(history.as_of, years)) for years in (1, 2))
    first = history.table[columns.FIRST_PURCHASE].to_numpy(dtype="datetime64[D]").astype(np.int64)
    log_start = int(first.min())
    latest = year if log_start <= year + 1 else None
    table = stretch_sums(lines, {LATEST: (latest, None), BEFORE: (two_years, year), EVER: (None, None)})
    ids = pd.Index(history.table[columns.CUSTOMER_ID])
    return TrailingSums(
        table=table,
        place=ids.get_indexer(pd.Index(table[columns.CUSTOMER_ID])),
        first=first,
        log_start=log_start,
        year=year,
        two_years=two_years,
        has_category=lines.has(columns.CATEGORY),
        has_margin=lines.has(columns.MARGIN),
    )


Floats = NDArray[np.float64]

LOG: Final = "log"
RATE: Final = "rate"
_LEAST_RATE: Final = -10.0
_LARGEST_RATE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PastMargin:
    """Margin of each account in money; arrays of shape (account,), NaN where unknown.

    Parameters
    ----------
    to_date : ndarray
    trailing : ndarray, optional
        Of the trailing 12 months; None where their revenue is unknown.
    rate : ndarray, optional
        Trailing margin over trailing revenue; where there was none, the rate given.
    source : ndarray of object
        "log" or "rate" (of the accounts' table); missing where neither is known.
    """

    to_date: Floats
    trailing: Floats | None
    rate: Floats | None
    source: NDArray[np.object_]


def past_margin(
    history: PurchaseHistory,
    accounts: Accounts,
    *,
    sums: TrailingSums | None,
    trailing: Floats | None,
) -> PastMargin | None:
    """Margin so far and of the trailing 12 months.

    Parameters
    ----------
    history : PurchaseHistory
    accounts : Accounts
        Its ``margin`` column is a rate, taken where the log's own margin is unknown.
    sums : TrailingSums or None
        With the log's margins; None where they are not to be used.
    trailing : ndarray of shape (account,), or None
        Revenue of the trailing 12 months.

    Returns
    -------
    PastMargin, or None
        None where no margin is known at all.

    Raises
    ------
    InputError
        If a rate is outside [-10, 1].
    """
    rates = _rates(accounts)
    from_log = sums is not None and sums.has_margin
    if rates is None and not from_log:
        return None
    size = len(history.table)
    given = np.full(size, np.nan) if rates is None else rates
    revenue = history.table[columns.TOTAL_REVENUE].to_numpy(dtype=np.float64)
    total = np.full(size, np.nan)
    if from_log and columns.TOTAL_MARGIN in history.table.columns:
        total = history.table[columns.TOTAL_MARGIN].to_numpy(dtype=np.float64, na_value=np.nan)
    logged = np.isfinite(total)
    recent, rate = None, None
    if trailing is not None:
        in_log = np.full(size, np.nan) if sums is None or not from_log else _trailing(sums)
        logged |= np.isfinite(in_log) & (trailing > 0.0)
        recent = np.where(np.isfinite(in_log), in_log, given * trailing)
        rate = np.where(trailing > 0.0, recent / np.where(trailing > 0.0, trailing, 1.0), given)
    source = np.full(size, None, dtype=np.object_)
    source[np.isfinite(given)] = RATE
    source[logged] = LOG
    to_date = np.where(np.isfinite(total), total, given * revenue)
    return PastMargin(to_date=to_date, trailing=recent, rate=rate, source=source)


def _rates(accounts: Accounts) -> Floats | None:
    rates = accounts.numbers(columns.MARGIN, least=_LEAST_RATE)
    if rates is None:
        return None
    over = rates > _LARGEST_RATE
    if over.any():
        raise InputError(
            "margin of the accounts' table must be a rate of at most 1 (0.3 is 30 %).",
            value=float(rates[over][0]),
            customer_ids=accounts.ids[over],
            remedy="Divide percentages by 100; margins in money belong into the log.",
        )
    return rates


def _trailing(sums: TrailingSums) -> Floats:
    """Margin of the trailing 12 months: 0 for accounts without a purchase, NaN where some margin is unknown."""
    known = sums.place >= 0  # customers whom refunds left nothing are not in the history
    margin = sums.table[f"{LATEST}_margin"].to_numpy(dtype=np.float64)
    return np.bincount(sums.place[known], weights=margin[known], minlength=len(sums.first)).astype(np.float64)
