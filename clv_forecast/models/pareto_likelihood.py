"""Likelihood of the Pareto/NBD model, its gradient, and the odds of being dead, from one integral."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from clv_forecast.errors import DomainError
from clv_forecast.models.coordinates import PURCHASE_RATE, Coordinate
from clv_forecast.models.decay import decay_moments, log_decay, log_decay_integral
from clv_forecast.models.domain import Floats, checked_history, non_negative, positive_field, stacked, unstacked
from clv_forecast.models.kernels import add_waiting, astray
from clv_forecast.models.special import log_rising

PARAMETERS: Final = ("r", "alpha", "s", "beta")
COORDINATES: Final = (
    *PURCHASE_RATE,
    Coordinate(
        name="log_dropout_rate",
        quantity="mean_dropout_rate",
        limits=(-25.0, 14.0),
        at_lower="there is no dropout (s/beta -> 0)",
        at_upper="those who leave do so at once (s/beta -> infinity)",
        level=True,
        unit="per time",
    ),
    Coordinate(
        name="log_dropout_shape",
        quantity="dropout_rate_shape",
        limits=(-10.0, 16.0),
        at_lower="customers leave either at once or never (s -> 0)",
        at_upper="customers do not differ in dropout rate (s -> infinity)",
    ),
)


@dataclass(frozen=True, slots=True, init=False)
class Params:
    """Parameters of the Pareto/NBD model.

    Parameters
    ----------
    r, alpha : array_like
        Shape and rate of the purchase rate's Gamma distribution; ``alpha`` in the unit of ``T``.
    s, beta : array_like
        Shape and rate of the death rate's Gamma distribution; ``beta`` in the unit of ``T``.

    Raises
    ------
    DomainError
        Unless every entry is finite and positive.

    Examples
    --------
    >>> Params(0.553, 10.578, 0.606, 11.669).s
    array(0.606)
    """

    r: Floats
    alpha: Floats
    s: Floats
    beta: Floats

    def __init__(self, r: ArrayLike, alpha: ArrayLike, s: ArrayLike, beta: ArrayLike) -> None:
        for name, value in zip(PARAMETERS, (r, alpha, s, beta), strict=True):
            object.__setattr__(self, name, positive_field(name, value))


def unconstrain(params: Params) -> Floats:
    """Parameters as the free vector ``(ln r/alpha, ln r, ln s/beta, ln s)``: mean rates, and how alike customers are.

    Returns
    -------
    ndarray, shape (4,) or (draw, 4)

    Raises
    ------
    DomainError
        If a field varies by customer.

    Examples
    --------
    >>> unconstrain(Params(1.0, 10.0, 1.0, 1.0)).round(6) + 0.0
    array([-2.302585,  0.      ,  0.      ,  0.      ])
    """
    log_r, log_s = np.log(params.r), np.log(params.s)
    return stacked([log_r - np.log(params.alpha), log_r, log_s - np.log(params.beta), log_s])


def constrain(theta: ArrayLike) -> Params:
    """Parameters from the free vector of :func:`unconstrain`.

    Parameters
    ----------
    theta : array_like, shape (4,) or (draw, 4)

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
    >>> constrain([0.0, 0.0, 0.0, 0.0]).alpha
    array(1.)
    """
    log_rate, log_r, log_death, log_s = unstacked(theta, len(COORDINATES))
    with np.errstate(over="ignore"):
        return Params(np.exp(log_r), np.exp(log_r - log_rate), np.exp(log_s), np.exp(log_s - log_death))


def constrain_jacobian(theta: ArrayLike) -> Floats:
    """Derivatives of (r, alpha, s, beta), rows, with respect to the free vector, columns.

    Parameters
    ----------
    theta : array_like, shape (4,)

    Returns
    -------
    ndarray, shape (4, 4)

    Raises
    ------
    DomainError
        As :func:`constrain`, or if ``theta`` holds several draws.

    Examples
    --------
    >>> constrain_jacobian([0.0, 0.0, 0.0, 0.0])[1]
    array([-1.,  1.,  0.,  0.])
    """
    r, alpha, s, beta = scalar_values(constrain(theta))
    return np.array([[0.0, r, 0.0, 0.0], [-alpha, alpha, 0.0, 0.0], [0.0, 0.0, 0.0, s], [0.0, 0.0, -beta, beta]])


def starting_points(frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, weights: ArrayLike) -> list[Floats]:
    """Free vectors to start a fit from, scaled by the data.

    Parameters
    ----------
    frequency, recency, T : array_like, shape (customer,)
    weights : array_like, shape (customer,)
        How many customers each row stands for.

    Returns
    -------
    list of ndarray, shape (4,)
        Mild, rare and frequent death.

    Raises
    ------
    DomainError
        If the history is out of its domain or the weights are negative.

    Examples
    --------
    >>> [theta.round(2).tolist() for theta in starting_points([2, 0], [30.0, 0.0], [40.0, 40.0], [1, 1])][0]
    [-2.97, -0.4, -3.69, -0.4]
    """
    x, _, length = checked_history(frequency, recency, T)
    weight = non_negative("weights", weights)
    time = float((weight * length).sum())
    people = float(weight.sum())
    if time <= 0.0:
        time = people = 1.0
    log_rate = np.log((float((weight * x).sum()) + 0.5) / time)
    log_death = np.log(people / time)
    return [
        np.array([log_rate + 0.5, -0.4, log_death, -0.4]),
        np.array([log_rate, 0.0, log_death - 2.5, 0.0]),
        np.array([log_rate + 1.0, -0.7, log_death + 1.0, -0.7]),
    ]


def prior_location_scale(time_scale: float, rate: float) -> tuple[Floats, Floats]:
    """Location and scale of the weakly informative normal prior on the free vector, from the data's own scale.

    Parameters
    ----------
    time_scale : float
        Length of the time unit in which the prior is asked, in that of ``rate`` (1 for the same unit).
    rate : float
        Repeat purchases per customer and unit of time.

    Returns
    -------
    location, scale : ndarray, shape (4,)

    Raises
    ------
    DomainError
        If an argument is not finite and positive.

    Examples
    --------
    >>> prior_location_scale(1.0, 1.0)[0].tolist()
    [0.0, 0.0, -1.0, 0.0]
    """
    log_rate = float(np.log(positive_field("rate", rate)) + np.log(positive_field("time_scale", time_scale)))
    return np.array([log_rate, 0.0, log_rate - 1.0, 0.0]), np.array([1.5, 2.5, 2.0, 2.0])


def scalar_values(params: Params) -> tuple[float, float, float, float]:
    """The four parameters as floats; DomainError unless all are scalars."""
    values = [np.asarray(getattr(params, name)) for name in PARAMETERS]
    if any(value.ndim for value in values):
        raise DomainError("This needs scalar parameters.", value=[value.shape for value in values])
    r, alpha, s, beta = (float(value) for value in values)
    return r, alpha, s, beta


def log_likelihood(params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
    r"""Log-likelihood of each customer.

    .. math:: L = \frac{\Gamma(r+x)}{\Gamma(r)} \alpha^r \beta^s \left[ (\alpha+T)^{-(r+x)} (\beta+T)^{-s}
              + s \int_{t_x}^{T} (\alpha+\tau)^{-(r+x)} (\beta+\tau)^{-(s+1)} d\tau \right]

    the integral form of eq. 17-18 of [1]_.

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        Of the purchase times, as in the papers: in another unit of time, ``sum(frequency) ln(scale)`` more or less.

    Raises
    ------
    DomainError
        If an argument is negative or not finite, or recency exceeds T.

    References
    ----------
    .. [1] Fader & Hardie (2005), http://brucehardie.com/notes/009/.

    Examples
    --------
    >>> log_likelihood(Params(0.553, 10.578, 0.606, 11.669), [0, 2], [0.0, 30.43], [38.86, 38.86]).round(6)
    array([-0.521046, -9.554283])
    """
    x, t_x, length = checked_history(frequency, recency, T)
    return (
        log_rising(params.r, x)
        - params.r * np.log1p(length / params.alpha)
        - x * np.log(params.alpha + length)
        - params.s * np.log1p(length / params.beta)
        + np.logaddexp(0.0, log_odds_dead(params, x, t_x, length))
    )


@njit(cache=True, nogil=True, error_model="numpy")
def log_likelihood_of_cells(theta, tables, wanted):  # type: ignore[no-untyped-def]
    """Sum over customers, with its gradient in the free vectors if ``wanted``: see `clv_forecast.models.kernels`.

    Differentiated under the integral of `log_likelihood`, on the nodes of the integral itself.
    """
    if astray(theta):
        return -np.inf, np.zeros_like(theta)
    cells = theta.shape[0]
    r, alpha = np.exp(theta[:, 1]), np.exp(theta[:, 1] - theta[:, 0])
    s, beta = np.exp(theta[:, 3]), np.exp(theta[:, 3] - theta[:, 2])
    by_r, by_alpha, by_s, by_beta = np.zeros(cells), np.zeros(cells), np.zeros(cells), np.zeros(cells)
    value = 0.0
    for i in range(tables.steps.shape[0]):
        c, j, count = int(tables.steps[i, 0]), tables.steps[i, 1], tables.steps[i, 2]
        value += count * math.log(r[c] + j)
        by_r[c] += count / (r[c] + j)
    value = add_waiting(r, alpha, tables.spans, 1.0, value, by_r, by_alpha)
    value = add_waiting(s, beta, tables.spans, 0.0, value, by_s, by_beta)
    out = np.empty(5)
    rows = tables.rows
    for i in range(rows.shape[0]):
        c, recency, count = int(rows[i, 0]), rows[i, 2], rows[i, 4]
        shape, since = r[c] + rows[i, 1], rows[i, 3] - recency
        if not since > 0.0:  # known to be alive
            continue
        near_a, near_b = alpha[c] + recency, beta[c] + recency
        if wanted:
            decay_moments(shape, near_a, s[c] + 1.0, near_b, since, out)
        else:
            out[0] = log_decay(shape, near_a, s[c] + 1.0, near_b, since, 0.0)
        span_a, span_b = math.log1p(since / near_a), math.log1p(since / near_b)
        odds = out[0] + theta[c, 3] - math.log(near_b) + shape * span_a + s[c] * span_b
        small = math.exp(-abs(odds))
        value += count * (max(odds, 0.0) + math.log1p(small))
        if wanted:
            dead = count * (1.0 if odds > 0.0 else small) / (1.0 + small)
            by_r[c] += dead * (span_a - out[1])
            by_alpha[c] += dead * shape * (1.0 / (near_a + since) - out[2])
            by_s[c] += dead * (1.0 / s[c] + span_b - out[3])
            by_beta[c] += dead * (s[c] / (near_b + since) - (s[c] + 1.0) * out[4])
    gradient = np.empty((cells, 4))
    gradient[:, 0] = -alpha * by_alpha
    gradient[:, 1] = r * by_r + alpha * by_alpha
    gradient[:, 2] = -beta * by_beta
    gradient[:, 3] = s * by_s + beta * by_beta
    return value, gradient


def log_odds_dead(params: Params, x: Floats, t_x: Floats, T: Floats) -> Floats:
    """Log odds of having died in ``(t_x, T)``, for checked arrays: ``-inf`` where ``t_x == T``."""
    log_integral = log_decay_integral(params.r + x, params.alpha + t_x, params.s + 1.0, params.beta + t_x, T - t_x)
    since = T - t_x
    odds: Floats = (
        log_integral
        + np.log(params.s / (params.beta + t_x))
        + (params.r + x) * np.log1p(since / (params.alpha + t_x))
        + params.s * np.log1p(since / (params.beta + t_x))
    )
    return odds
