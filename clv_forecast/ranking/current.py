"""What accounts bring now: revenue of the latest stretch of the log."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.history.purchase_history import PurchaseHistory
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
