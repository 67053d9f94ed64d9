"""Compression of customers to distinct rows: identical rows share one likelihood evaluation, with a weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clv_forecast.errors import InputError

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
