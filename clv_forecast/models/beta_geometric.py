r"""What BG/NBD and MBG/NBD share: a Poisson buyer who may leave after each purchase.

The two models differ in one number only, ``initial``: how many chances to leave the first purchase itself brings
(0 in BG/NBD, 1 in MBG/NBD). After ``x`` repeat purchases a living customer has survived ``m = x + initial`` chances,
so that given alive at ``T``, independently,

.. math:: \lambda \sim \text{Gamma}(r + x,\ \alpha + T), \qquad p \sim \text{Beta}(a,\ b + m)

and with ``s = r + x``, ``beta = alpha + T`` the rate of purchases at ``T + tau`` is
``E[lambda exp(-lambda p tau)] = (s / beta) E_p[(1 + p tau / beta)^-(s+1)]``: everything about the future is an average
of :mod:`clv_forecast.models.beta_average`. The functions here trust their arguments; the models check them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, expit, gammaln, xlogy

from clv_forecast.models.beta_average import power_integral_average, quick_power_average
from clv_forecast.models.beta_geometric_parameters import Params
from clv_forecast.models.domain import Floats
from clv_forecast.models.paths import FuturePurchases, future_paths
from clv_forecast.models.special import digamma_rising, log_rising
from clv_forecast.streams import RandomSource


def log_odds_left(params: Params, frequency: Floats, recency: Floats, T: Floats, initial: int) -> Floats:
    """Log-odds of having left by ``T``; minus infinity where no chance to leave has passed."""
    chances = frequency + initial
    silent = (params.r + frequency) * np.log1p((T - recency) / (params.alpha + recency))
    left = np.log(params.a) - np.log(params.b + np.maximum(chances, 1.0) - 1.0) + silent
    return np.where(chances > 0.0, left, -np.inf)


def p_alive(params: Params, frequency: Floats, recency: Floats, T: Floats, initial: int) -> Floats:
    """Probability of being alive at ``T``."""
    alive: Floats = expit(-log_odds_left(params, frequency, recency, T, initial))
    return alive


def log_likelihood(params: Params, frequency: Floats, recency: Floats, T: Floats, initial: int) -> Floats:
    """Log-likelihood of each customer: the path of one still alive, and beside it the odds of one who left."""
    times = params.r * np.log1p(T / params.alpha) + frequency * np.log(params.alpha + T)
    odds = log_odds_left(params, frequency, recency, T, initial)
    return _log_weight_of_count(params, frequency, initial) - times + _log1p_exp(odds)


def _log_weight_of_count(params: Params, frequency: Floats, initial: int) -> Floats:
    """Rising factorials of a customer alive; once per distinct frequency where parameters do not vary by customer."""
    shared = all(np.shape(field)[-1:] in ((), (1,)) for field in (params.r, params.a, params.b))
    if frequency.ndim != 1 or not shared:
        return _rising_factorials(params, frequency, initial)
    distinct, row = np.unique(frequency, return_inverse=True)
    return np.take(_rising_factorials(params, distinct, initial), row, axis=-1)


def _rising_factorials(params: Params, frequency: Floats, initial: int) -> Floats:
    chances = frequency + initial
    survived = log_rising(params.b, chances) - log_rising(params.a + params.b, chances)
    return log_rising(params.r, frequency) + survived


def _log1p_exp(odds: Floats) -> Floats:
    """``ln(1 + e^odds)`` by vectorised functions, which ``np.logaddexp`` is not."""
    value: Floats = np.maximum(odds, 0.0) + np.log1p(np.exp(-np.abs(odds)))
    return value


def log_likelihood_gradient(
    params: Params, frequency: Floats, recency: Floats, T: Floats, initial: int
) -> tuple[Floats, Floats]:
    """Log-likelihood of each customer and its derivatives with respect to (r, alpha, a, b), for scalar parameters."""
    chances = frequency + initial
    r, alpha, a, b = params.r, params.alpha, params.a, params.b
    left = expit(log_odds_left(params, frequency, recency, T, initial))
    silent = np.log1p((T - recency) / (alpha + recency))
    both = digamma_rising(a + b, chances)
    gradient = np.stack([
        digamma_rising(r, frequency) - np.log1p(T / alpha) + left * silent,
        r * T / (alpha * (alpha + T)) - frequency / (alpha + T)
        - left * (r + frequency) * (T - recency) / ((alpha + T) * (alpha + recency)),
        left / a - both,
        digamma_rising(b, chances) - both - left / (b + np.maximum(chances, 1.0) - 1.0),
    ])  # fmt: skip
    return log_likelihood(params, frequency, recency, T, initial), gradient


def purchases_given_alive(
    params: Params, frequency: Floats, T: Floats, horizon: Floats, discount: Floats, initial: int
) -> Floats:
    """Discounted expected purchases in ``(T, T + horizon]`` of a customer alive at ``T``."""
    s, beta = params.r + frequency, params.alpha + T
    return s * power_integral_average(
        params.a, params.b + frequency + initial, horizon / beta, s + 1.0, discount * beta
    )


def time_given_alive(
    params: Params, frequency: Floats, T: Floats, horizon: Floats, discount: Floats, initial: int
) -> Floats:
    """Discounted expected time in ``(T, T + horizon]`` before leaving, of a customer alive at ``T``."""
    s, beta = params.r + frequency, params.alpha + T
    return beta * power_integral_average(params.a, params.b + frequency + initial, horizon / beta, s, discount * beta)


def purchase_rate_given_alive(params: Params, frequency: Floats, T: Floats, ahead: Floats, initial: int) -> Floats:
    """Expected purchase rate at ``T + ahead`` of a customer alive at ``T``."""
    s, beta = params.r + frequency, params.alpha + T
    return s / beta * quick_power_average(params.a, params.b + frequency + initial, ahead / beta, s + 1.0)


def survival_given_alive(params: Params, frequency: Floats, T: Floats, ahead: Floats, initial: int) -> Floats:
    """Probability that a customer alive at ``T`` is alive at ``T + ahead``."""
    s, beta = params.r + frequency, params.alpha + T
    return quick_power_average(params.a, params.b + frequency + initial, ahead / beta, s)


def times_alive(alive: Floats, given_alive: Floats) -> Floats:
    """Multiply by the probability of being alive, keeping an infinite expectation infinite."""
    product = np.full(np.broadcast_shapes(alive.shape, given_alive.shape), np.inf)
    np.multiply(alive, given_alive, out=product, where=np.isfinite(given_alive))
    return product


def purchase_pmf(params: Params, n: Floats, horizon: Floats, initial: int) -> Floats:
    """Probability that a new customer makes ``n`` repeat purchases in ``(0, horizon]``."""
    chances = n + initial
    share = -np.expm1(-np.log1p(horizon / params.alpha))
    made_n = log_rising(params.r, n) - gammaln(n + 1.0) + xlogy(n, share) - params.r * np.log1p(horizon / params.alpha)
    survived = log_rising(params.b, chances) - log_rising(params.a + params.b, chances)
    # P(at least n purchases if nobody left); betainc needs n > 0.
    made_more = np.where(n > 0.0, betainc(np.maximum(n, 1.0), params.r, share), 1.0)
    leaving = params.a / (params.b + np.maximum(chances, 1.0) - 1.0)
    pmf: Floats = np.exp(survived) * (np.exp(made_n) + np.where(chances > 0.0, leaving * made_more, 0.0))
    return pmf


def no_purchase(params: Params, frequency: Floats, recency: Floats, T: Floats, horizon: Floats, initial: int) -> Floats:
    """Probability of no purchase in ``(T, T + horizon]``: gone, or alive and silent."""
    buys = -np.expm1(-(params.r + frequency) * np.log1p(horizon / (params.alpha + T)))
    return 1.0 - p_alive(params, frequency, recency, T, initial) * buys


def draw_future_purchases(
    params: Params,
    frequency: Floats,
    recency: Floats,
    T: Floats,
    horizon: ArrayLike,
    rng: RandomSource,
    draws: int | None,
    initial: int,
    stays: bool = False,
) -> FuturePurchases:
    """Draw the purchases of each customer in ``(T, T + horizon]``."""
    return future_paths(
        p_alive=p_alive(params, frequency, recency, T, initial),
        shape=params.r + frequency,
        rate=params.alpha + T,
        dropout=(params.a, params.b + frequency + initial),
        horizon=horizon,
        rng=rng,
        draws=draws,
        stays=stays,
    )
