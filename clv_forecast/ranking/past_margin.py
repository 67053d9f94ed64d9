"""What accounts left after costs so far: from the log's margins, else from the rate in the accounts' table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import InputError
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.ranking.trailing_sums import LATEST, TrailingSums

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
