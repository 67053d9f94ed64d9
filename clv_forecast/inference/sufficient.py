"""Compression of customers to distinct rows: identical rows share one likelihood evaluation, with a weight.

Which amounts the spend model is fitted to, and at which level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRows:
    """Distinct (frequency, recency, T), how many customers share each, and the row of every customer.

    Parameters
    ----------
    frequency, recency, T : ndarray, shape (row,)
        In lexicographic order, so that the order of the customers does not matter.
    weights : ndarray, shape (row,)
        Customers in the row.
    row : ndarray of int, shape (customer,)
        ``frequency[row]`` gives the customers back.
    cell : ndarray of int, shape (row,)
        Which parameters the row's customers share; zeros when all share the same.
    """

    frequency: Floats
    recency: Floats
    T: Floats
    weights: Floats
    row: NDArray[np.intp]
    cell: NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendRows:
    """Distinct (n, total, sum_log) of customers with at least one amount; see `PurchaseRows`.

    Parameters
    ----------
    n, total, sum_log : ndarray, shape (row,)
        Number of amounts, their sum, and the sum of their logarithms (NaN when only means are known).
    weights : ndarray, shape (row,)
        Customers in the row.
    row : ndarray of int, shape (customer,)
        Row of each customer given.
    cell : ndarray of int, shape (row,)
    """

    n: Floats
    total: Floats
    sum_log: Floats
    weights: Floats
    row: NDArray[np.intp]
    cell: NDArray[np.intp]


def compress(frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, cell: ArrayLike | None = None) -> PurchaseRows:
    """Compress customers to distinct purchase rows.

    Parameters
    ----------
    frequency, recency, T : array_like, shape (customer,)
    cell : array_like of int, shape (customer,), optional
        Customers share a row only within a cell.

    Returns
    -------
    PurchaseRows

    Raises
    ------
    InputError
        If there are no customers, the lengths differ, or a value is not finite.

    Examples
    --------
    >>> rows = compress([1, 0, 1], [2.0, 0.0, 2.0], [9.0, 9.0, 9.0])
    >>> rows.frequency, rows.weights, rows.row
    (array([0., 1.]), array([1., 2.]), array([1, 0, 1]))
    """
    columns = _columns(_cells(frequency, cell), frequency, recency, T)
    _require_finite(*columns)
    distinct, weights, row = _distinct(columns)
    return PurchaseRows(
        frequency=distinct[1], recency=distinct[2], T=distinct[3], weights=weights, row=row, cell=_index(distinct[0])
    )


def compress_spend(
    n: ArrayLike, total: ArrayLike, sum_log: ArrayLike | None = None, *, cell: ArrayLike | None = None
) -> SpendRows:
    """Compress customers to distinct spend rows.

    Parameters
    ----------
    n, total : array_like, shape (customer,)
        Number of amounts (at least one) and their sum.
    sum_log : array_like, shape (customer,), optional
        Sum of the logarithms of the amounts; without it only means are known and the column is NaN.
    cell : array_like of int, shape (customer,), optional
        Customers share a row only within a cell.

    Returns
    -------
    SpendRows

    Raises
    ------
    InputError
        If there are no customers, the lengths differ, or a value is not finite.

    Examples
    --------
    >>> compress_spend([2, 1, 2], [30.0, 5.0, 30.0]).weights
    array([1., 2.])
    """
    known = [] if sum_log is None else [sum_log]
    columns = _columns(_cells(n, cell), n, total, *known)
    _require_finite(*columns)
    distinct, weights, row = _distinct(columns)
    unknown = np.full(weights.shape, np.nan)
    unknown.flags.writeable = False
    return SpendRows(
        n=distinct[1],
        total=distinct[2],
        sum_log=distinct[3] if known else unknown,
        weights=weights,
        row=row,
        cell=_index(distinct[0]),
    )


def _cells(customers: ArrayLike, cell: ArrayLike | None) -> ArrayLike:
    return np.zeros(np.shape(customers)) if cell is None else cell


def _index(cell: Floats) -> NDArray[np.intp]:
    index = cell.astype(np.intp)
    index.flags.writeable = False
    return index


def _columns(*columns: ArrayLike) -> list[Floats]:
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    if any(array.ndim != 1 or array.shape != arrays[0].shape for array in arrays):
        raise InputError("The columns of a summary must be one-dimensional and equally long.")
    if arrays[0].size == 0:
        raise InputError("There are no customers to fit.", remedy="Check the filters of the purchase history.")
    return arrays


def _require_finite(*columns: Floats) -> None:
    for column in columns:
        bad = ~np.isfinite(column)
        if bad.any():
            raise InputError("The columns of a summary must be finite.", value=column[bad][0])


def _distinct(columns: list[Floats]) -> tuple[list[Floats], Floats, NDArray[np.intp]]:
    """Sort by the first column, then the second, ...; group equal neighbours; index back."""
    columns = [column + 0.0 for column in columns]  # -0.0 becomes 0.0
    order = np.lexsort(columns[::-1])
    changes = np.zeros(order.size, dtype=bool)
    for column in columns:
        ordered = column[order]
        changes[1:] |= ordered[1:] != ordered[:-1]
    group = np.cumsum(changes)
    row = np.empty(order.size, dtype=np.intp)
    row[order] = group
    first = np.flatnonzero(np.concatenate(([True], changes[1:])))
    distinct = [column[order[first]] for column in columns]
    weights = np.bincount(group).astype(np.float64)
    for array in (*distinct, weights, row):
        array.flags.writeable = False
    return distinct, weights, row


REPEAT_AND_FIRST: Final = "repeat+first"
SPEND_FROM: Final = ("auto", "repeat", "all", REPEAT_AND_FIRST)
AUTO: Final = REPEAT_AND_FIRST  # benchmarks/spend_from.py prints the table behind it
MINIMUM_CUSTOMERS: Final = 10

_COLUMNS: Final = {
    "repeat": (columns.SPEND_COUNT_REPEAT, columns.SPEND_SUM_REPEAT, columns.SPEND_SUM_LOG_REPEAT),
    "all": (columns.SPEND_COUNT_ALL, columns.SPEND_SUM_ALL, columns.SPEND_SUM_LOG_ALL),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpendData:
    """Distinct spend rows and the choices behind them.

    Parameters
    ----------
    rows : SpendRows
    spend_from : str
        ``"repeat"``, ``"all"`` or ``"repeat+first"``.
    level : str
        ``"orders"`` or ``"means"``.
    notes : tuple of str
        Sentences for the report.
    """

    rows: SpendRows
    spend_from: str
    level: str
    notes: tuple[str, ...]


def spend_data(table: pd.DataFrame, spend_from: str, *, cell: NDArray[np.intp] | None = None) -> SpendData:
    """Choose and compress the amounts of a history's table.

    Parameters
    ----------
    table : DataFrame
        A purchase history's table.
    spend_from : str
        ``"repeat"``, ``"all"``, ``"repeat+first"`` (fitted to repeat orders, while each customer is judged by all of
        its orders) or ``"auto"`` (the last where the history has first orders, else repeat orders).
    cell : ndarray of int, shape (customer,), optional
        Which parameters a customer has.

    Returns
    -------
    SpendData

    Raises
    ------
    DomainError
        If ``spend_from`` is unknown, or asks for all orders of a summary that lacks the first ones.
    InputError
        If fewer than 10 customers have an amount, or an amount is not positive.
    """
    if spend_from not in SPEND_FROM:
        raise DomainError(f"spend_from must be one of {', '.join(SPEND_FROM)}.", value=repr(spend_from))
    complete = _known(table, "all")
    if spend_from in ("all", REPEAT_AND_FIRST) and not complete:
        raise DomainError(
            f"spend_from={spend_from!r} needs the amount of every first purchase.",
            remedy="A summary table without first purchases allows spend_from='repeat' only.",
        )
    chosen = (AUTO if complete else "repeat") if spend_from == "auto" else spend_from
    fitted = "all" if chosen == "all" else "repeat"
    count_name, total_name, sum_log_name = _COLUMNS[fitted]
    has_amount = (table[count_name] > 0).to_numpy()
    kept, cell = table[has_amount], None if cell is None else cell[has_amount]
    _refuse(kept, table, fitted, total_name=total_name)
    notes = [_left_out(len(table) - len(kept), fitted)] if len(kept) < len(table) else []
    if kept[sum_log_name].notna().all():
        rows = compress_spend(*(_floats(kept, name) for name in (count_name, total_name, sum_log_name)), cell=cell)
        return SpendData(rows=rows, spend_from=chosen, level="orders", notes=tuple(notes))
    notes.append(
        "The spread of one customer's orders is unknown (means only), so the spend model was fitted to customers' "
        "means: it tends to understate how much single orders vary."
    )
    rows = compress_spend(_floats(kept, count_name), _floats(kept, total_name), cell=cell)
    return SpendData(rows=rows, spend_from=chosen, level="means", notes=tuple(notes))


def _known(table: pd.DataFrame, spend_from: str) -> bool:
    return all(name in table and bool(table[name].notna().all()) for name in _COLUMNS[spend_from][:2])


def _refuse(kept: pd.DataFrame, table: pd.DataFrame, chosen: str, *, total_name: str) -> None:
    if not _known(table, chosen):
        raise InputError(
            "A spend model needs the amounts of the orders.",
            remedy="Give the monetary_value column, or fit with spend=None.",
        )
    if len(kept) < MINIMUM_CUSTOMERS:
        raise InputError(
            f"A spend model needs at least {MINIMUM_CUSTOMERS} customers with an amount (spend_from='{chosen}').",
            value=len(kept),
            remedy="Observe longer, use spend_from='all', or fit with spend=None.",
        )
    bad = ~(kept[total_name] > 0.0)
    if bad.any():
        raise InputError(
            "Amounts of purchases must be positive.",
            value=float(kept.loc[bad, total_name].iloc[0]),
            customer_ids=kept.loc[bad, columns.CUSTOMER_ID],
            remedy="Net refunds and drop free orders before fitting.",
        )


def _left_out(count: int, chosen: str) -> str:
    what = "repeat orders" if chosen == "repeat" else "orders with an amount"
    return f"{count:,} customers without {what} are left out of the spend fit; the forecast still covers them."


def _floats(table: pd.DataFrame, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(table[name], dtype=np.float64)
