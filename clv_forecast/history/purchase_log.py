"""Purchase-days as sorted arrays: what the diagnostics of spend and of timing read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns as c


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseLog:
    """Purchase-days in order of customer, then day; one entry per purchase-day.

    Parameters
    ----------
    customer : ndarray of int64, shape (purchase,)
        Number of the customer in the order of ids, 0, 1, 2, ... without holes.
    day : ndarray of int64, shape (purchase,)
        Days since 1970-01-01.
    amount : ndarray of float64, shape (purchase,)
        Net money of the day, > 0.
    position : ndarray of int64, shape (purchase,)
        0 for a customer's first purchase-day, 1 for the next, and so on.
    count : ndarray of int64, shape (customer,)
        Purchase-days of each customer.
    """

    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    amount: NDArray[np.float64]
    position: NDArray[np.int64]
    count: NDArray[np.int64]

    def first_day(self) -> NDArray[np.int64]:
        """Day of each customer's first purchase, shape (customer,)."""
        first: NDArray[np.int64] = self.day[self.position == 0]
        return first


def purchase_log(purchases: pd.DataFrame) -> PurchaseLog:
    """Sort purchase-days into arrays.

    Parameters
    ----------
    purchases : DataFrame
        Columns customer_id, date, amount; one row per customer and day, in any order.

    Returns
    -------
    PurchaseLog

    Examples
    --------
    >>> days = pd.to_datetime(["2024-01-05", "2024-01-01", "2024-01-03"])
    >>> purchase_log(pd.DataFrame({"customer_id": ["b", "a", "b"], "date": days, "amount": [1.0, 2.0, 3.0]})).amount
    array([2., 3., 1.])
    """
    codes, ids = pd.factorize(purchases[c.CUSTOMER_ID], sort=True)  # so that no sum depends on the order of rows
    day = purchases[c.DATE].to_numpy(dtype="datetime64[D]").astype(np.int64)
    order = np.lexsort((day, codes))
    customer = codes[order].astype(np.int64)
    count = np.bincount(customer, minlength=len(ids)).astype(np.int64)
    position = np.arange(customer.size) - np.repeat(np.cumsum(count) - count, count)
    amount = purchases[c.AMOUNT].to_numpy(dtype=np.float64)[order]
    return PurchaseLog(customer=customer, day=day[order], amount=amount, position=position, count=count)


def day_number(date: pd.Timestamp) -> int:
    """Days from 1970-01-01 to ``date``.

    Examples
    --------
    >>> day_number(pd.Timestamp("1970-01-11 18:00"))
    10
    """
    return int(date.to_datetime64().astype("datetime64[D]").astype(np.int64))
