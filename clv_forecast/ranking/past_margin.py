"""What accounts left after costs so far: from the log's margins, else from the rate in the accounts' table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import InputError
from clv_forecast.history.cleaning import DAY, MONEY
from clv_forecast.history.net_lines import MARGIN_UNKNOWN, NetLines
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.history.purchase_log import day_number
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.units import DAYS_PER_YEAR

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
    lines: NetLines | None,
    trailing: Floats | None,
) -> PastMargin | None:
    """Margin so far and of the trailing 12 months.

    Parameters
    ----------
    history : PurchaseHistory
    accounts : Accounts
        Its ``margin`` column is a rate, taken where the log's own margin is unknown.
    lines : NetLines or None
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
    from_log = lines is not None and lines.has(columns.MARGIN)
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
        in_log = np.full(size, np.nan) if lines is None or not from_log else _trailing(history, lines)
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


def _trailing(history: PurchaseHistory, lines: NetLines) -> Floats:
    """Margin of the lines of the trailing 12 months: 0 for accounts without one, NaN where some margin is unknown."""
    table = lines.table.filter(lines.table[DAY] > day_number(history.as_of) - round(DAYS_PER_YEAR))
    sums = table.group_by(columns.CUSTOMER_ID).agg(
        margin=table[columns.MARGIN].sum().cast(MONEY).cast("float64"), unknown=table[MARGIN_UNKNOWN].any()
    )
    fetched = lines.source.fetch(sums.order_by(columns.CUSTOMER_ID))
    found = np.zeros(len(history.table))
    place = pd.Index(history.table[columns.CUSTOMER_ID]).get_indexer(
        pd.Index(lines.source.ids(fetched[columns.CUSTOMER_ID]))
    )
    margin = fetched["margin"].to_numpy().astype(np.float64)
    known = place >= 0  # customers whose refunds left them nothing are not in the history
    found[place[known]] = np.where(fetched["unknown"].to_numpy(), np.nan, margin)[known]
    return found
