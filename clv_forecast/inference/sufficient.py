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
    """

    frequency: Floats
    recency: Floats
    T: Floats
    weights: Floats
    row: NDArray[np.intp]


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
    """

    n: Floats
    total: Floats
    sum_log: Floats
    weights: Floats
    row: NDArray[np.intp]


def compress(frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> PurchaseRows:
    """Compress customers to distinct purchase rows.

    Parameters
    ----------
    frequency, recency, T : array_like, shape (customer,)

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
    columns = _columns(frequency, recency, T)
    _require_finite(*columns)
    distinct, weights, row = _distinct(columns)
    return PurchaseRows(frequency=distinct[0], recency=distinct[1], T=distinct[2], weights=weights, row=row)


def compress_spend(n: ArrayLike, total: ArrayLike, sum_log: ArrayLike | None = None) -> SpendRows:
    """Compress customers to distinct spend rows.

    Parameters
    ----------
    n, total : array_like, shape (customer,)
        Number of amounts (at least one) and their sum.
    sum_log : array_like, shape (customer,), optional
        Sum of the logarithms of the amounts; without it only means are known and the column is NaN.

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
    if sum_log is None:
        columns = _columns(n, total)
        _require_finite(*columns)
        distinct, weights, row = _distinct(columns)
        unknown = np.full(weights.shape, np.nan)
        unknown.flags.writeable = False
        return SpendRows(n=distinct[0], total=distinct[1], sum_log=unknown, weights=weights, row=row)
    columns = _columns(n, total, sum_log)
    _require_finite(*columns)
    distinct, weights, row = _distinct(columns)
    return SpendRows(n=distinct[0], total=distinct[1], sum_log=distinct[2], weights=weights, row=row)


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
