r"""The log-likelihood of BG/NBD and MBG/NBD summed over weighted rows, for many draws of the parameters.

With ``l(t) = ln(1 + t/alpha)`` and ``m = x + initial`` chances to leave,

.. math:: \sum w L = \sum w \left[ \ln \frac{(r)_x (b)_m}{(a+b)_m} - x \ln \alpha - (r + x) l(T)
          + \ln(1 + e^o) \right], \quad o = \ln\frac{a}{b + m - 1} + (r + x) (l(T) - l(t_x))

Rising factorials are taken once per distinct frequency, ``l`` once per distinct time: a row costs one exponential.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clv_forecast.models.beta_geometric_parameters import Params
from clv_forecast.models.domain import Floats
from clv_forecast.models.special import log_rising
from clv_forecast.threads import in_spans

Places = NDArray[np.intp]

_PER_LOGARITHM: Final = 512  # factors of at most 2 in one product: far below the largest float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexedRows:
    """Weighted purchase rows, as places in the tables of their distinct frequencies and times.

    Parameters
    ----------
    counts, times : ndarray
        Distinct frequencies, and distinct recencies and T together, ascending.
    count, recency, T : ndarray of int, shape (row,)
        Place of each row's values in them, in the order of the frequency.
    weights : ndarray, shape (row,)
        Customers in the row.
    """

    counts: Floats
    times: Floats
    count: Places
    recency: Places
    T: Places
    weights: Floats


def indexed_rows(frequency: Floats, recency: Floats, T: Floats, weights: Floats) -> IndexedRows:
    """Sort rows by frequency and look up their distinct values.

    Examples
    --------
    >>> rows = indexed_rows(*np.array([[2.0, 0.0], [30.0, 0.0], [39.0, 39.0], [1.0, 5.0]]))
    >>> rows.counts, rows.times, rows.weights
    (array([0., 2.]), array([ 0., 30., 39.]), array([5., 1.]))
    """
    order = np.argsort(frequency, kind="stable")
    counts, count = np.unique(frequency[order], return_inverse=True)
    times, place = np.unique(np.concatenate([recency[order], T[order]]), return_inverse=True)
    return IndexedRows(
        counts=counts,
        times=times,
        count=count,
        recency=place[: order.size],
        T=place[order.size :],
        weights=np.array(weights[order], dtype=np.float64),
    )


def log_likelihood_sums(params: Params, rows: IndexedRows, initial: int) -> Floats:
    """Log-likelihood of all customers, for each draw of the parameters.

    Parameters
    ----------
    params : Params
        Fields of shape (draw, 1), or scalars.
    rows : IndexedRows
    initial : int
        Chances to leave that the first purchase brings: 0 in BG/NBD, 1 in MBG/NBD.

    Returns
    -------
    ndarray, shape (draw,)

    Notes
    -----
    Each draw is summed alone and in the same order: the result does not depend on the number of threads.

    Examples
    --------
    >>> rows = indexed_rows(*np.array([[2.0, 0.0], [30.43, 0.0], [38.86, 38.86], [1.0, 5.0]]))
    >>> log_likelihood_sums(Params(0.243, 4.414, 0.793, 2.426), rows, 0).round(6)
    array([-12.232173])
    """
    r, alpha, a, b = (np.atleast_2d(field)[:, :1] for field in (params.r, params.alpha, params.a, params.b))
    r, alpha, a, b = (np.ascontiguousarray(f) for f in np.broadcast_arrays(r, alpha, a, b))
    customers = np.bincount(rows.count, weights=rows.weights)
    chances = rows.counts + initial
    risings = log_rising(r, rows.counts) + log_rising(b, chances) - log_rising(a + b, chances)
    out = np.sum(risings * customers, axis=1) - np.log(alpha[:, 0]) * float(customers @ rows.counts)
    customers_to = np.bincount(rows.T, weights=rows.weights, minlength=rows.times.size)
    purchases_to = np.bincount(rows.T, weights=rows.weights * rows.counts[rows.count], minlength=rows.times.size)
    may_have_left = chances[rows.count] > 0.0
    count, recency, T, weights = (c[may_have_left] for c in (rows.count, rows.recency, rows.T, rows.weights))
    in_spans(
        _add,
        out.size,
        r[:, 0],
        alpha[:, 0],
        a[:, 0],
        b[:, 0],
        rows.counts,
        rows.times,
        count,
        recency,
        T,
        weights,
        np.stack([customers_to, purchases_to]),
        initial,
        out,
    )
    return out


@njit(cache=True, nogil=True)
def _add(  # type: ignore[no-untyped-def]
    r: Any, alpha: Any, a: Any, b: Any, counts, times, count, recency, T, weights, totals, initial, out, start, stop
):
    logs = np.empty(times.size)
    leaving = np.empty(counts.size)
    for d in range(start, stop):
        total = out[d]
        for g in range(times.size):
            logs[g] = math.log1p(times[g] / alpha[d])
            total -= (r[d] * totals[0, g] + totals[1, g]) * logs[g]
        for c in range(counts.size):
            chances = counts[c] + initial
            leaving[c] = math.log(a[d] / (b[d] + max(chances, 1.0) - 1.0))
        product = 1.0
        factors = 0
        for i in range(count.size):
            odds = leaving[count[i]] + (r[d] + counts[count[i]]) * (logs[T[i]] - logs[recency[i]])
            smaller = math.exp(-abs(odds))
            total += weights[i] * max(odds, 0.0)
            if weights[i] == 1.0:
                product *= 1.0 + smaller
                factors += 1
                if factors == _PER_LOGARITHM:
                    total += math.log(product)
                    product = 1.0
                    factors = 0
            else:
                total += weights[i] * math.log1p(smaller)
        out[d] = total + math.log(product)
