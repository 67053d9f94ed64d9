r"""Parameters of the Gamma-Gamma model: their type, the free vector of a fit, its starts and its prior.

The log-likelihood of the Gamma-Gamma model summed over weighted rows, for many draws of the parameters.

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
from numpy.typing import ArrayLike
from scipy.special import gammaln

from clv_forecast.errors import DomainError
from clv_forecast.models.domain import Floats, non_negative, positive_field, stacked, unstacked
from clv_forecast.models.special import log_rising
from clv_forecast.threads import in_spans

PARAMETERS: Final = ("p", "q", "v")
UNCONSTRAINED: Final = ("log_mean_spend", "log_p", "log_q_minus_1")

_ABOVE_ONE: Final = float(np.nextafter(1.0, 2.0))


@dataclass(frozen=True, slots=True, init=False)
class Params:
    """Parameters of the Gamma-Gamma model.

    Parameters
    ----------
    p : array_like
        Shape of the orders of one customer.
    q, v : array_like
        Shape and rate of the Gamma distribution of ``nu`` over customers; ``v`` in money. Expectations need ``q > 1``.

    Raises
    ------
    DomainError
        Unless every entry is finite and positive.

    Examples
    --------
    >>> Params(6.25, 3.74, 15.44).q
    array(3.74)
    """

    p: Floats
    q: Floats
    v: Floats

    def __init__(self, p: ArrayLike, q: ArrayLike, v: ArrayLike) -> None:
        for name, value in zip(PARAMETERS, (p, q, v), strict=True):
            object.__setattr__(self, name, positive_field(name, value))


def unconstrain(params: Params) -> Floats:
    """Parameters as the free vector ``(ln of mean spend p v / (q - 1), ln p, ln (q - 1))``.

    Returns
    -------
    ndarray, shape (3,) or (draw, 3)

    Raises
    ------
    DomainError
        If any ``q <= 1``, or a field varies by customer.

    Examples
    --------
    >>> unconstrain(Params(1.0, 2.0, 1.0)).tolist()
    [0.0, 0.0, 0.0]
    """
    require_finite_mean(params)
    log_p, log_excess, log_v = np.log(params.p), np.log(params.q - 1.0), np.log(params.v)
    return stacked([log_p + log_v - log_excess, log_p, log_excess])


def constrain(theta: ArrayLike) -> Params:
    """Parameters from the free vector of :func:`unconstrain`: ``q = 1 + exp(theta[2])``, above 1 always.

    Parameters
    ----------
    theta : array_like, shape (3,) or (draw, 3)

    Returns
    -------
    Params
        Scalar fields, or fields of shape (draw, 1).

    Raises
    ------
    DomainError
        If ``theta`` has another shape, or leads beyond the largest or below the smallest float.

    Examples
    --------
    >>> constrain([0.0, 0.0, 0.0]).q
    array(2.)
    """
    log_mean, log_p, log_excess = unstacked(theta, len(UNCONSTRAINED))
    with np.errstate(over="ignore"):
        q = np.maximum(1.0 + np.exp(log_excess), _ABOVE_ONE)
        return Params(np.exp(log_p), q, np.exp(log_mean + log_excess - log_p))


def constrain_jacobian(theta: ArrayLike) -> Floats:
    """Derivatives of (p, q, v), rows, with respect to the free vector, columns.

    Parameters
    ----------
    theta : array_like, shape (3,)

    Returns
    -------
    ndarray, shape (3, 3)

    Raises
    ------
    DomainError
        As :func:`constrain`, or if ``theta`` holds several draws.

    Examples
    --------
    >>> constrain_jacobian([0.0, 0.0, 0.0])[2]
    array([ 1., -1.,  1.])
    """
    p, _, v = scalar_values(constrain(theta))
    excess = float(np.exp(np.asarray(theta, dtype=np.float64)[2]))
    return np.array([[0.0, p, 0.0], [0.0, 0.0, excess], [v, -v, v]])


def starting_points(n: ArrayLike, total: ArrayLike, sum_log: ArrayLike, weights: ArrayLike) -> list[Floats]:
    """Free vectors to start a fit from, scaled by the data.

    Parameters
    ----------
    n, total, sum_log : array_like, shape (customer,)
        As for the likelihood of orders; ``sum_log`` may be NaN where it is not known.
    weights : array_like, shape (customer,)
        How many customers each row stands for.

    Returns
    -------
    list of ndarray, shape (3,)

    Raises
    ------
    DomainError
        If ``n`` or the weights are negative, or no order has a positive sum.

    Notes
    -----
    Where a customer has several orders, ``ln(mean) - mean(ln)`` is about ``1 / (2 p)``, which gives ``p``.

    Examples
    --------
    >>> import math
    >>> points = starting_points([2, 3], [30.0, 30.0], [2 * math.log(14.0), 3 * math.log(9.0)], [1, 1])
    >>> [round(float(point[0]), 4) for point in points]  # ln of the mean order, 12
    [2.4849, 2.4849, 2.4849]
    """
    count, weight = non_negative("n", n), non_negative("weights", weights)
    money, logs = np.asarray(total, dtype=np.float64), np.asarray(sum_log, dtype=np.float64)
    bought = count > 0.0
    orders, spent = float((weight * count)[bought].sum()), float((weight * money)[bought].sum())
    if not (orders > 0.0 and 0.0 < spent < np.inf):
        raise DomainError("Starting points need orders with a positive, finite sum.", value=spent)
    several = (count > 1.0) & np.isfinite(logs) & (money > 0.0)
    log_p = np.log(2.0)
    if several.any():
        k, w = count[several], weight[several]
        spread = float((w * (k * np.log(money[several] / k) - logs[several])).sum())
        log_p = np.log(np.clip(0.5 * float((w * (k - 1.0)).sum()) / max(spread, 1e-300), 0.05, 500.0))
    log_mean = np.log(spent / orders)
    return [
        np.array([log_mean, log_p, 1.0]),
        np.array([log_mean, log_p + 1.0, -0.4]),
        np.array([log_mean, log_p - 0.7, 2.3]),
    ]


def prior_location_scale(mean_spend: float) -> tuple[Floats, Floats]:
    """Location and scale of the weakly informative normal prior on the free vector, from the data's own scale.

    Parameters
    ----------
    mean_spend : float
        Mean order, in money.

    Returns
    -------
    location, scale : ndarray, shape (3,)

    Raises
    ------
    DomainError
        If ``mean_spend`` is not finite and positive.

    Examples
    --------
    >>> prior_location_scale(1.0)[0].tolist()
    [0.0, 0.5, 1.0]
    """
    log_mean = float(np.log(positive_field("mean_spend", mean_spend)))
    return np.array([log_mean, 0.5, 1.0]), np.array([1.0, 1.25, 1.25])


def require_finite_mean(params: Params) -> None:
    """Refuse parameters under which an order has no expectation.

    Raises
    ------
    DomainError
        If any ``q <= 1``.

    Examples
    --------
    >>> require_finite_mean(Params(6.25, 3.74, 15.44))
    """
    infinite = params.q <= 1.0
    if infinite.any():
        raise DomainError(
            "Expected spend exists for q > 1 only.",
            value=f"q = {float(params.q[infinite].flat[0])}",
            remedy="Fit with q = 1 + exp(eta), as constrain does.",
        )


def scalar_values(params: Params) -> tuple[float, float, float]:
    """The three parameters as floats.

    Raises
    ------
    DomainError
        Unless all are scalars.

    Examples
    --------
    >>> scalar_values(Params(6.25, 3.74, 15.44))
    (6.25, 3.74, 15.44)
    """
    if params.p.ndim or params.q.ndim or params.v.ndim:
        raise DomainError("This needs scalar parameters.", value=[params.p.shape, params.q.shape, params.v.shape])
    return float(params.p), float(params.q), float(params.v)


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
