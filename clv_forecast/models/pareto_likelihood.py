"""Likelihood of the Pareto/NBD model, its gradient, and the odds of being dead, from one integral."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from clv_forecast.models.decay import decay_integral_moments, log_decay_integral
from clv_forecast.models.domain import Floats, checked_history
from clv_forecast.models.pareto_parameters import Params, scalar_values
from clv_forecast.models.special import digamma_rising, log_rising


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


def log_likelihood_gradient(
    params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
) -> tuple[Floats, Floats]:
    """Log-likelihood of each customer and its derivatives with respect to r, alpha, s, beta.

    Parameters
    ----------
    params : Params
        Scalar fields.
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.

    Returns
    -------
    log_likelihood : ndarray, shape (customer,)
    gradient : ndarray, shape (4, customer)
        In the order of ``PARAMETERS``.

    Raises
    ------
    DomainError
        If an argument is negative or not finite, recency exceeds T, or a parameter is not a scalar.

    Notes
    -----
    Differentiated under the integral of :func:`log_likelihood`, on the nodes of the integral itself.

    Examples
    --------
    >>> value, gradient = log_likelihood_gradient(Params(0.553, 10.578, 0.606, 11.669), [2], [30.43], [38.86])
    >>> gradient.shape
    (4, 1)
    """
    r, alpha, s, beta = scalar_values(params)
    x, t_x, length = checked_history(frequency, recency, T)
    log_integral, (near_a, over_a, near_b, over_b) = decay_integral_moments(
        r + x, alpha + t_x, s + 1.0, beta + t_x, length - t_x
    )
    log_odds = _log_odds_given_integral(params, x, t_x, length, log_integral)
    dead, alive = expit(log_odds), expit(-log_odds)
    span_a, span_b = np.log1p(length / alpha), np.log1p(length / beta)
    value = log_rising(r, x) - r * span_a - x * np.log(alpha + length) - s * span_b + np.logaddexp(0.0, log_odds)
    gradient = np.stack(
        [
            digamma_rising(r, x) - alive * span_a - dead * (np.log1p(t_x / alpha) + near_a),
            r / alpha - (r + x) * (alive / (alpha + length) + dead * over_a),
            dead / s - alive * span_b - dead * (np.log1p(t_x / beta) + near_b),
            s / beta - alive * s / (beta + length) - dead * (s + 1.0) * over_b,
        ]
    )
    return value, gradient


def log_odds_dead(params: Params, x: Floats, t_x: Floats, T: Floats) -> Floats:
    """Log odds of having died in ``(t_x, T)``, for checked arrays: ``-inf`` where ``t_x == T``."""
    log_integral = log_decay_integral(params.r + x, params.alpha + t_x, params.s + 1.0, params.beta + t_x, T - t_x)
    return _log_odds_given_integral(params, x, t_x, T, log_integral)


def _log_odds_given_integral(params: Params, x: Floats, t_x: Floats, T: Floats, log_integral: Floats) -> Floats:
    since = T - t_x
    odds: Floats = (
        log_integral
        + np.log(params.s / (params.beta + t_x))
        + (params.r + x) * np.log1p(since / (params.alpha + t_x))
        + params.s * np.log1p(since / (params.beta + t_x))
    )
    return odds
