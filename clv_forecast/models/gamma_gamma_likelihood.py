"""What a fit of the Gamma-Gamma model needs: parameters, free vector, starts, prior, and the compiled likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from clv_forecast.errors import DomainError
from clv_forecast.models.coordinates import Coordinate
from clv_forecast.models.domain import Floats, non_negative, positive_field, stacked, unstacked
from clv_forecast.models.kernels import astray, digamma, log_rising

PARAMETERS: Final = ("p", "q", "v")
COORDINATES: Final = (
    Coordinate(name="log_mean_spend", quantity="mean_spend", limits=(-14.0, 25.0), level=True, unit="money"),
    Coordinate(
        name="log_p",
        quantity="spend_shape",
        limits=(-9.0, 16.0),
        at_lower="the orders of one customer differ without bound (p -> 0)",
        at_upper="the orders of one customer do not differ in money (p -> infinity)",
    ),
    Coordinate(
        name="log_q_minus_1",
        quantity="spend_tail",
        limits=(-20.0, 16.0),
        at_lower="mean spend differs so much between customers that it has no finite mean (q -> 1)",
        at_upper="customers do not differ in mean spend (q -> infinity)",
    ),
)

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
    log_mean, log_p, log_excess = unstacked(theta, len(COORDINATES))
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


@njit(cache=True, nogil=True, error_model="numpy")
def orders_of_cells(theta, tables, wanted):  # type: ignore[no-untyped-def]
    """Log-likelihood of single orders, but for ``- sum ln z``: see `clv_forecast.models.kernels`."""
    return _of_cells(theta, tables, False, wanted)


@njit(cache=True, nogil=True, error_model="numpy")
def means_of_cells(theta, tables, wanted):  # type: ignore[no-untyped-def]
    """Log-likelihood of customers' mean orders, but for ``- sum ln mean``: see `clv_forecast.models.kernels`."""
    return _of_cells(theta, tables, True, wanted)


@njit(cache=True, nogil=True, error_model="numpy")
def _of_cells(theta, tables, means, wanted):  # type: ignore[no-untyped-def]
    if astray(theta):
        return -np.inf, np.zeros_like(theta)
    cells = theta.shape[0]
    p, excess = np.exp(theta[:, 1]), np.exp(theta[:, 2])
    q, log_v = 1.0 + excess, theta[:, 0] + theta[:, 2] - theta[:, 1]
    v = np.exp(log_v)
    by_p, by_q, by_log_v = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    value = 0.0
    counts, rows = tables.counts, tables.rows
    for i in range(counts.shape[0]):
        c, n, customers, logs = int(counts[i, 0]), counts[i, 1], counts[i, 2], counts[i, 3]
        shape = n * p[c]
        if means:
            low = min(shape, q[c])
            taken = log_rising(max(shape, q[c]), low) - math.lgamma(low)
        else:
            taken = log_rising(q[c], shape) - n * math.lgamma(p[c])
        value += customers * (taken - shape * log_v[c]) + p[c] * logs
        if wanted:
            grown = digamma(shape + q[c])
            slope = digamma(shape) if means else digamma(p[c])
            by_p[c] += customers * n * (grown - slope - log_v[c]) + logs
            by_q[c] += customers * (grown - digamma(q[c]))
            by_log_v[c] -= customers * shape
    for i in range(rows.shape[0]):
        c, n, total, count = int(rows[i, 0]), rows[i, 1], rows[i, 2], rows[i, 3]
        spent = math.log1p(total / v[c])
        shape = n * p[c] + q[c]
        value -= count * shape * spent
        if wanted:
            by_p[c] -= count * n * spent
            by_q[c] -= count * spent
            by_log_v[c] += count * shape * total / (v[c] + total)
    gradient = np.empty((cells, 3))
    gradient[:, 0] = by_log_v
    gradient[:, 1] = p * by_p - by_log_v
    gradient[:, 2] = excess * by_q + by_log_v
    return value, gradient
