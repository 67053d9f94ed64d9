r"""The log-likelihood of the Gamma-Gamma model summed over weighted rows, for many draws of the parameters.

With ``g = ln(1 + total / v)`` both likelihoods are a part that depends on a row through its number of orders ``n``
alone, sums over all rows that depend on the data alone, and

.. math:: -\sum_n (q + n p) \sum_{\text{rows with } n} w \, g

so that a row costs one multiplication: logarithms are taken of products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from scipy.special import gammaln

from clv_forecast.models.domain import Floats
from clv_forecast.models.gamma_gamma_parameters import Params
from clv_forecast.models.special import log_rising
from clv_forecast.threads import in_spans

_LARGE: Final = 1e150  # a product beyond it is taken the logarithm of; one factor more is no overflow
_BLOCK: Final = 250_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpendSums:
    """What the likelihood needs of weighted spend rows.

    Parameters
    ----------
    counts, customers : ndarray, shape (count,)
        Distinct numbers of orders, and customers with each.
    first : ndarray of int, shape (count + 1,)
        Where the rows of each count begin.
    total, weights : ndarray, shape (row,)
        Sum of the orders and customers, in the order of the count.
    sum_log : float
        Sum over customers of the logarithms of their orders; of ``n ln(total)`` where only means are known.
    mean_log : float
        Sum over customers of the logarithm of their mean order.
    orders : bool
        Whether single orders are known.
    """

    counts: Floats
    customers: Floats
    first: Any
    total: Floats
    weights: Floats
    sum_log: float
    mean_log: float
    orders: bool


def spend_sums(n: Floats, total: Floats, sum_log: Floats, weights: Floats, *, orders: bool) -> SpendSums:
    """Sort rows by the number of orders and add up what does not depend on parameters.

    Parameters
    ----------
    n, total, sum_log, weights : ndarray, shape (row,)
        Every ``n`` and ``total`` positive; ``sum_log`` is read for the likelihood of orders only.
    orders : bool
        True for the likelihood of orders, False for that of customers' means.

    Examples
    --------
    >>> sums = spend_sums(*np.array([[2.0, 1.0], [44.7, 5.0], [6.2, 1.6], [1.0, 3.0]]), orders=True)
    >>> sums.counts, sums.customers, round(sums.sum_log, 6)
    (array([1., 2.]), array([3., 1.]), 11.0)
    """
    order = np.argsort(n, kind="stable")
    counts, first = np.unique(n[order], return_index=True)
    weight = np.array(weights[order], dtype=np.float64)
    logs = sum_log if orders else n * np.log(total)
    return SpendSums(
        counts=counts,
        customers=np.add.reduceat(weight, first),
        first=np.append(first, n.size),
        total=np.array(total[order], dtype=np.float64),
        weights=weight,
        sum_log=float(np.sum(weights * logs)),
        mean_log=float(np.sum(weights * np.log(total / n))),
        orders=orders,
    )


def log_likelihood_sums(params: Params, rows: SpendSums) -> Floats:
    """Log-likelihood of all customers, for each draw of the parameters.

    Parameters
    ----------
    params : Params
        Fields of shape (draw, 1), or scalars.
    rows : SpendSums

    Returns
    -------
    ndarray, shape (draw,)

    Notes
    -----
    Each draw is summed alone and in the same order: the result does not depend on the number of threads.

    Examples
    --------
    >>> rows = spend_sums(*np.array([[2.0], [44.7], [6.2], [1.0]]), orders=True)
    >>> log_likelihood_sums(Params(6.25, 3.74, 15.44), rows).round(6)
    array([-7.09902])
    """
    fields = np.broadcast_arrays(*(np.atleast_2d(field)[:, :1] for field in (params.p, params.q, params.v)))
    p, q, v = (np.ascontiguousarray(field) for field in fields)
    out = np.empty(p.size)
    step = max(1, _BLOCK // rows.counts.size)
    for start in range(0, p.size, step):
        block = slice(start, start + step)
        out[block] = _by_count(p[block], q[block], v[block], rows)
    in_spans(_add, out.size, p[:, 0], q[:, 0], v[:, 0], rows.counts, rows.first, rows.total, rows.weights, out)
    return out


def _by_count(p: Floats, q: Floats, v: Floats, rows: SpendSums) -> Floats:
    """Everything but the sum over rows."""
    count = float(rows.customers @ rows.counts)
    shape = rows.counts * p
    if rows.orders:
        parts = np.sum(log_rising(q, shape) * rows.customers, axis=1)
        constant = (p[:, 0] - 1.0) * rows.sum_log - count * gammaln(p[:, 0])
    else:
        low = np.minimum(shape, q)
        parts = np.sum((log_rising(np.maximum(shape, q), low) - gammaln(low)) * rows.customers, axis=1)
        constant = p[:, 0] * rows.sum_log - rows.mean_log
    result: Floats = parts + constant - count * p[:, 0] * np.log(v[:, 0])
    return result


@njit(cache=True, nogil=True)
def _add(p, q, v, counts, first, money, weights, out, start, stop):  # type: ignore[no-untyped-def]
    for d in range(start, stop):
        per_v = 1.0 / v[d]
        for c in range(counts.size):
            grown = 0.0
            product = 1.0
            for i in range(first[c], first[c + 1]):
                ratio = money[i] * per_v
                if weights[i] == 1.0 and ratio < _LARGE:
                    product *= 1.0 + ratio
                    if product > _LARGE:
                        grown += math.log(product)
                        product = 1.0
                else:
                    grown += weights[i] * math.log1p(ratio)
            out[d] -= (q[d] + counts[c] * p[d]) * (grown + math.log(product))
