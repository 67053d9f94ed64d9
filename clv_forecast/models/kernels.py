r"""What the compiled likelihoods of all models share: the tables they sum over, and their common terms.

A log-likelihood of many customers is a sum over tables, each as short as it can be:

- ``steps`` (cell, j), with the number of customers who have ``x > j``:
  :math:`\ln\Gamma(r+x) - \ln\Gamma(r) = \sum_{j<x} \ln(r+j)`, and likewise for other rising factorials: exact where
  differences of lnGamma lose digits;
- ``spans`` (cell, T), with customers and purchases: :math:`-r \ln(1 + T/\alpha) - x \ln(\alpha + T)`;
- ``rows`` (cell, x, t_x, T): what a customer's own times add;
- of spend ``counts`` (cell, n), which hold every lnGamma, and ``rows`` (cell, n, total) with one logarithm each.

A *cell* is a set of customers with the same parameters: one in a pooled fit. A kernel takes the free vectors of all
cells, shape (cell, k), the tables, and whether the gradient is wanted; it gives the value and the gradient (cell, k).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clv_forecast.models.domain import Floats

Integers = NDArray[np.intp]

VERSION: Final = 5
"""Of all kernels, in the key of PyTensor's cache: raise it when one changes."""

_FARTHEST: Final = 60.0  # of a coordinate: beyond, no posterior has mass, and a sampler gone astray is turned back
_STIRLING_FROM: Final = 20.0


class PurchaseTables(NamedTuple):
    """Purchase histories as a kernel reads them, each table a matrix.

    Columns of ``steps``: cell, j, customers. Of ``spans``: cell, T, customers, purchases. Of ``rows``: cell, x,
    recency, T, customers.
    """

    steps: Floats
    spans: Floats
    rows: Floats


class SpendTables(NamedTuple):
    """Orders as a kernel reads them, each table a matrix.

    Columns of ``counts``: cell, n, customers, sum of logarithms. Of ``rows``: cell, n, total, customers.
    """

    counts: Floats
    rows: Floats


def purchase_tables(
    frequency: Floats, recency: Floats, T: Floats, weights: Floats, cell: Integers | None = None
) -> PurchaseTables:
    """Tables of customers, or of distinct rows with weights.

    Parameters
    ----------
    frequency, recency, T : ndarray, shape (row,)
    weights : ndarray, shape (row,)
        Customers in the row.
    cell : ndarray of int, shape (row,), optional
        All in one cell by default.

    Examples
    --------
    >>> tables = purchase_tables(*np.array([[2.0, 0.0], [30.0, 0.0], [38.0, 38.0], [1.0, 5.0]]))
    >>> tables.steps.tolist(), tables.spans.tolist()
    ([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]], [[0.0, 38.0, 6.0, 2.0]])
    """
    cell = np.zeros(frequency.size, dtype=np.intp) if cell is None else cell
    spans, of_span = _distinct(cell, T)
    rows, of_row = _distinct(cell, frequency, recency, T)
    return PurchaseTables(
        steps=_steps(cell, frequency, weights),
        spans=np.column_stack([spans, _sums(of_span, weights), _sums(of_span, weights * frequency)]),
        rows=np.column_stack([rows, _sums(of_row, weights)]),
    )


def spend_tables(n: Floats, total: Floats, logs: Floats, weights: Floats, cell: Integers | None = None) -> SpendTables:
    """Tables of customers' orders, or of distinct rows with weights.

    Parameters
    ----------
    n, total : ndarray, shape (row,)
        Number of orders, at least one, and their sum.
    logs : ndarray, shape (row,)
        Sum of the logarithms of the orders; ``n ln(total)`` where only means are known.
    weights : ndarray, shape (row,)
        Customers in the row.
    cell : ndarray of int, shape (row,), optional
        All in one cell by default.

    Examples
    --------
    >>> tables = spend_tables(*np.array([[2.0, 1.0], [44.7, 5.0], [6.2, 1.6], [1.0, 3.0]]))
    >>> tables.counts.round(6).tolist()
    [[0.0, 1.0, 3.0, 4.8], [0.0, 2.0, 1.0, 6.2]]
    """
    cell = np.zeros(n.size, dtype=np.intp) if cell is None else cell
    counts, of_count = _distinct(cell, n)
    rows, of_row = _distinct(cell, n, total)
    return SpendTables(
        counts=np.column_stack([counts, _sums(of_count, weights), _sums(of_count, weights * logs)]),
        rows=np.column_stack([rows, _sums(of_row, weights)]),
    )


def _steps(cell: Integers, frequency: Floats, weights: Floats) -> Floats:
    """Cell, j, and the customers of the cell with more than j purchases."""
    distinct, row = _distinct(cell, frequency)
    length = distinct[:, 1].astype(np.intp)
    customers = np.repeat(_sums(row, weights), length)
    j = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    steps, of_step = _distinct(np.repeat(distinct[:, 0], length), j.astype(np.float64))
    return np.column_stack([steps, _sums(of_step, customers)])


def _distinct(*keys: Floats | Integers) -> tuple[Floats, Integers]:
    """Distinct rows of the keys in lexicographic order, as a matrix, and the row of each element."""
    ordered_by = np.lexsort(keys[::-1])
    changes = np.zeros(ordered_by.size, dtype=bool)
    changes[:1] = True
    for key in keys:
        ordered = key[ordered_by]
        changes[1:] |= ordered[1:] != ordered[:-1]
    row = np.empty(ordered_by.size, dtype=np.intp)
    row[ordered_by] = np.cumsum(changes) - 1
    first = ordered_by[np.flatnonzero(changes)]
    return np.column_stack([np.asarray(key[first], dtype=np.float64) for key in keys]), row


def _sums(row: Integers, values: Floats) -> Floats:
    return np.bincount(row, weights=values).astype(np.float64)


@njit(cache=True, nogil=True, error_model="numpy")
def astray(theta):  # type: ignore[no-untyped-def]
    """Whether a coordinate is so far out (or not a number) that parameters over- or underflow."""
    for c in range(theta.shape[0]):
        for k in range(theta.shape[1]):
            if not abs(theta[c, k]) < _FARTHEST:
                return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def add_waiting(r, alpha, spans, bought, value, by_r, by_alpha):  # type: ignore[no-untyped-def]
    """Add ``-r ln(1 + T/alpha) - x ln(alpha + T)`` of all customers; ``bought`` 0 takes ``x`` as 0."""
    for i in range(spans.shape[0]):
        c, length, customers, purchases = int(spans[i, 0]), spans[i, 1], spans[i, 2], bought * spans[i, 3]
        end = alpha[c] + length
        waited = math.log1p(length / alpha[c])
        value -= customers * r[c] * waited + purchases * math.log(end)
        by_r[c] -= customers * waited
        by_alpha[c] += customers * r[c] * length / (alpha[c] * end) - purchases / end
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def digamma(x):  # type: ignore[no-untyped-def]
    """Derivative of lnGamma at x > 0: upward recurrence, then the asymptotic series; relative error below 1e-14."""
    below = 0.0
    while x < 10.0:
        below += 1.0 / x
        x += 1.0
    s = 1.0 / (x * x)
    tail = 1.0 / 240.0 - s * (1.0 / 132.0 - s * (691.0 / 32760.0 - s / 12.0))
    series = s * (1.0 / 12.0 - s * (1.0 / 120.0 - s * (1.0 / 252.0 - s * tail)))
    return math.log(x) - 0.5 / x - series - below


@njit(cache=True, nogil=True, error_model="numpy")
def log_rising(z, n):  # type: ignore[no-untyped-def]
    """``ln Gamma(z + n) - ln Gamma(z)``; for large ``z`` by Stirling's series, where the two agree in many digits."""
    if z < _STIRLING_FROM:
        return math.lgamma(z + n) - math.lgamma(z)
    return n * math.log(z) + (z + n - 0.5) * math.log1p(n / z) - n + _stirling(z + n) - _stirling(z)


@njit(cache=True, nogil=True, error_model="numpy")
def _stirling(z):  # type: ignore[no-untyped-def]
    s = 1.0 / (z * z)
    return (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - s * (691 / 360360)))))) / z
