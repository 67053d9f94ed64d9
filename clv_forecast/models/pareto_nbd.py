r"""Pareto/NBD: buy at a constant rate, until a death that nobody sees and that may come at any time.

Purchases while alive are Poisson with rate ``lambda ~ Gamma(r, alpha)``; the lifetime is exponential with rate
``mu ~ Gamma(s, beta)``, independent. Given alive at ``T``, ``lambda ~ Gamma(r + x, alpha + T)`` and
``mu ~ Gamma(s, beta + T)``, independent: everything about the future follows.

Every function takes parameters that broadcast to (draw, customer), and works in logarithms throughout. All of them
rest on one integral, :func:`clv_forecast.models.decay.log_decay_integral`, which has neither the branch on alpha
versus beta nor the pole at ``s = 1`` of the closed forms.

References
----------
.. [1] Schmittlein, Morrison & Colombo (1987), "Counting your customers: who are they and what will they do next?",
   Management Science 33(1), doi:10.1287/mnsc.33.1.1.
.. [2] Fader & Hardie (2005), "A note on deriving the Pareto/NBD model and related expressions",
   http://brucehardie.com/notes/009/.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, gammaln, log_expit, xlog1py

from clv_forecast.models.decay import log_count_integral, log_decay_integral
from clv_forecast.models.domain import (
    Floats,
    checked_counts,
    checked_discount,
    checked_history,
    checked_horizon,
    non_negative,
)
from clv_forecast.models.pareto_likelihood import (
    COORDINATES,
    PARAMETERS,
    Params,
    constrain,
    constrain_jacobian,
    log_likelihood,
    log_likelihood_of_cells,
    log_odds_dead,
    prior_location_scale,
    starting_points,
    unconstrain,
)
from clv_forecast.models.paths import FuturePurchases, future_paths
from clv_forecast.models.special import log_rising, next_purchase_quantile, probability_of_silence
from clv_forecast.streams import RandomSource

__all__ = [
    "COORDINATES", "LEAVES", "NANOSECONDS", "PARAMETERS", "TIME_PARAMETERS", "TITLE", "Params",
    "constrain", "constrain_jacobian",
    "discounted_purchases", "draw_future_purchases", "expected_purchases", "expected_purchases_given_alive",
    "expected_purchases_new", "expected_time_alive", "future_key", "log_likelihood", "log_likelihood_of_cells",
    "next_purchase_quantile", "p_alive", "prior_location_scale", "probability_no_purchase", "probability_of_silence",
    "purchase_pmf", "purchase_rate_given_alive", "simulate", "starting_points", "survival_given_alive", "unconstrain",
]  # fmt: skip

TITLE: Final = "Pareto/NBD"
LEAVES: Final = "at any time"  # when a customer may leave for good
TIME_PARAMETERS: Final = ("alpha", "beta")  # measured in the unit of time
NANOSECONDS: Final = 800.0  # about, of a row of the likelihood
future_key: Final = ("frequency", "T")


def p_alive(params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
    r"""Probability that each customer is alive at ``T`` (eq. 36-37 of [1]_).

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.p_alive`;
    exactly 1 where ``recency == T``, so also at ``T == 0``, not at ``frequency == 0``.

    References
    ----------
    .. [1] Fader & Hardie (2005), http://brucehardie.com/notes/009/.

    Examples
    --------
    >>> p_alive(Params(0.55315, 10.57633, 0.60625, 11.67150), 26, 30.86, 31).round(4)
    array([0.9979])
    """
    return np.asarray(expit(-log_odds_dead(params, *checked_history(frequency, recency, T))))


def expected_purchases(
    params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
) -> Floats:
    r"""Expected purchases of each customer in ``(T, T + horizon]`` (eq. 41 of [1]_).

    .. math:: E[Y(h) \mid x, t_x, T] = P(\text{alive}) \frac{r+x}{\alpha+T}
              \int_0^h \left(\frac{\beta+T}{\beta+T+\tau}\right)^{s} d\tau

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.expected_purchases`;
    infinite where ``s <= 1`` instead of ``a <= 1``.

    Notes
    -----
    The usual form of the integral is 0/0 at ``s = 1``; the one coded is smooth there.

    References
    ----------
    .. [1] Fader & Hardie (2005), http://brucehardie.com/notes/009/.

    Examples
    --------
    >>> expected_purchases(Params(0.55315, 10.57633, 0.60625, 11.67150), 26, 30.86, 31, horizon=52).round(6)
    array([25.457246])
    """
    return discounted_purchases(params, frequency, recency, T, horizon=horizon, discount=0.0)


def discounted_purchases(
    params: Params,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    *,
    horizon: ArrayLike,
    discount: ArrayLike,
) -> Floats:
    r"""Expected purchases in ``(T, T + horizon]``, each multiplied by ``exp(-discount * time since T)``.

    With an infinite horizon these are the discounted expected residual transactions of [1]_.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.discounted_purchases`;
    infinite where ``s <= 1`` instead of ``a <= 1``.

    References
    ----------
    .. [1] Fader, Hardie & Lee (2005), "RFM and CLV: using iso-value curves for customer base analysis",
       Journal of Marketing Research 42(4), doi:10.1509/jmkr.2005.42.4.415.

    Examples
    --------
    >>> params = Params(0.5629966, 12.559037, 0.4081095, 10.5148048)
    >>> discounted_purchases(params, 7, 35, 77.86, horizon=float("inf"), discount=0.0027).round(6)
    array([1.864183])
    """
    x, t_x, length = checked_history(frequency, recency, T)
    log_alive = log_expit(-log_odds_dead(params, x, t_x, length))
    return np.exp(log_alive + _log_purchases_given_alive(params, x, length, horizon, discount))


def expected_purchases_given_alive(
    params: Params, frequency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike, discount: ArrayLike = 0.0
) -> Floats:
    """Discounted purchases expected in ``(T, T + horizon]`` from a customer who is alive at ``T``.

    It depends on the history through ``future_key`` only; times :func:`p_alive` it is :func:`discounted_purchases`.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.expected_purchases_given_alive`.

    Examples
    --------
    >>> expected_purchases_given_alive(Params(0.6, 10.0, 1.0, 12.0), 2, 38.0, horizon=50.0).round(6)
    array([1.877274])
    """
    x, length = np.broadcast_arrays(non_negative("frequency", frequency), non_negative("T", T))
    return np.exp(_log_purchases_given_alive(params, x, length, horizon, discount))


def purchase_rate_given_alive(params: Params, frequency: ArrayLike, T: ArrayLike, *, ahead: ArrayLike) -> Floats:
    r"""Expected purchase rate at ``T + ahead`` of a customer who is alive at ``T``.

    .. math:: \frac{r + x}{\alpha + T} \Big(\frac{\beta + T}{\beta + T + \tau}\Big)^{s}

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.purchase_rate_given_alive`.

    Examples
    --------
    >>> purchase_rate_given_alive(Params(0.6, 10.0, 1.0, 12.0), 2, 38.0, ahead=0.0).round(6)
    array([0.054167])
    """
    x, length, later = non_negative("frequency", frequency), non_negative("T", T), non_negative("ahead", ahead)
    rate: Floats = (
        (params.r + x) / (params.alpha + length) * np.exp(-params.s * np.log1p(later / (params.beta + length)))
    )
    return rate


def survival_given_alive(params: Params, frequency: ArrayLike, T: ArrayLike, *, ahead: ArrayLike) -> Floats:
    r"""Probability that a customer alive at ``T`` is still alive at ``T + ahead``.

    .. math:: \Big(\frac{\beta + T}{\beta + T + \tau}\Big)^{s}

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.survival_given_alive`.

    Examples
    --------
    >>> survival_given_alive(Params(0.6, 10.0, 1.0, 12.0), 2, 38.0, ahead=0.0).round(6)
    array([1.])
    """
    length, later = non_negative("T", T), non_negative("ahead", ahead)
    shape = np.broadcast_shapes(np.shape(non_negative("frequency", frequency)), length.shape)
    alive = np.exp(-params.s * np.log1p(later / (params.beta + np.broadcast_to(length, shape))))
    return np.asarray(alive)


def expected_time_alive(
    params: Params,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    *,
    horizon: ArrayLike,
    discount: ArrayLike = 0.0,
) -> Floats:
    r"""Expected discounted time alive in ``(T, T + horizon]``.

    .. math:: P(\text{alive}) \int_0^h e^{-\delta\tau} \left(\frac{\beta+T}{\beta+T+\tau}\right)^{s} d\tau

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.expected_time_alive`;
    infinite only without discount, for an infinite horizon where ``s <= 1``.

    Examples
    --------
    >>> expected_time_alive(Params(0.55315, 10.57633, 0.60625, 11.67150), 26, 30.86, 31, horizon=52).round(4)
    array([39.8604])
    """
    x, t_x, length = checked_history(frequency, recency, T)
    log_alive = log_expit(-log_odds_dead(params, x, t_x, length))
    return np.exp(log_alive + _log_time_given_alive(params, length, horizon, discount))


def purchase_pmf(params: Params, n: ArrayLike, *, horizon: ArrayLike) -> Floats:
    r"""Probability that a new customer makes ``n`` repeat purchases in ``(0, horizon]``.

    The customer either outlives the horizon or dies at some ``u`` before it:

    .. math:: P(X(h) = n) = \frac{\Gamma(r+n)}{\Gamma(r)\, n!} \left[ \left(\frac{\alpha}{\alpha+h}\right)^r
              \left(\frac{h}{\alpha+h}\right)^n \left(\frac{\beta}{\beta+h}\right)^s + \frac{s}{\beta} K_n \right]

    with ``K_n`` of :mod:`clv_forecast.models.decay`.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.purchase_pmf`.

    Examples
    --------
    >>> purchase_pmf(Params(0.553, 10.578, 0.606, 11.669), [0, 1, 2], horizon=39).round(5)
    array([0.59363, 0.16556, 0.08249])
    """
    end = checked_horizon(horizon)
    count = checked_counts(n)
    r, alpha, s, beta = params.r, params.alpha, params.s, params.beta
    with np.errstate(divide="ignore"):
        inverse = alpha / end
    survived = -r * np.log1p(end / alpha) - xlog1py(count, inverse) - s * np.log1p(end / beta)
    died = np.log(s) - np.log(beta) + log_count_integral(count, r, alpha, s, beta, end)
    return np.exp(log_rising(r, count) - gammaln(count + 1.0) + np.logaddexp(survived, died))


def expected_purchases_new(params: Params, *, horizon: ArrayLike) -> Floats:
    r"""Expected repeat purchases of a new customer in ``(0, horizon]`` (eq. 27 of [1]_).

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.expected_purchases_new`;
    infinite where ``s <= 1`` instead of ``a <= 1``.

    References
    ----------
    .. [1] Fader & Hardie (2005), http://brucehardie.com/notes/009/.

    Examples
    --------
    >>> expected_purchases_new(Params(0.553, 10.578, 0.606, 11.669), horizon=[0, 39]).round(6)
    array([0.      , 1.213003])
    """
    log_time = log_decay_integral(0.0, params.beta, params.s, params.beta, checked_horizon(horizon))
    return np.exp(np.log(params.r) - np.log(params.alpha) + log_time)


def probability_no_purchase(
    params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
) -> Floats:
    r"""Probability that each customer buys nothing in ``(T, T + horizon]``.

    Already dead, or alive and silent until the horizon, or alive and silent until death:

    .. math:: 1 - P_a + P_a \left[ \left(\tfrac{A}{A+h}\right)^{r+x} \left(\tfrac{B}{B+h}\right)^{s} + \tfrac{s}{B}
              \int_0^h \left(\tfrac{A}{A+u}\right)^{r+x} \left(\tfrac{B}{B+u}\right)^{s+1} du \right],
              \quad A = \alpha + T, \; B = \beta + T

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.probability_no_purchase`.

    Examples
    --------
    >>> params = Params(0.553, 10.578, 0.606, 11.669)
    >>> probability_no_purchase(params, [0, 10], [0.0, 30.0], [38.0, 38.0], horizon=10).round(6)
    array([0.972013, 0.381604])
    """
    x, t_x, length = checked_history(frequency, recency, T)
    end = checked_horizon(horizon)
    log_odds = log_odds_dead(params, x, t_x, length)
    rate_a, rate_b = params.alpha + length, params.beta + length
    silent = -(params.r + x) * np.log1p(end / rate_a) - params.s * np.log1p(end / rate_b)
    dying = np.log(params.s / rate_b) + log_decay_integral(params.r + x, rate_a, params.s + 1.0, rate_b, end)
    return np.minimum(1.0, expit(log_odds) + np.exp(log_expit(-log_odds) + np.logaddexp(silent, dying)))


def draw_future_purchases(
    params: Params,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    *,
    horizon: ArrayLike,
    rng: RandomSource,
    draws: int | None = None,
    stays: bool = False,
) -> FuturePurchases:
    """Draw the purchases of each customer in ``(T, T + horizon]``.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.draw_future_purchases`.

    Examples
    --------
    >>> params = Params(0.553, 10.578, 0.606, 11.669)
    >>> draw_future_purchases(params, [2, 0], [30.0, 0.0], [38.0, 38.0], horizon=52, rng=1, draws=3).count.shape
    (3, 2)
    """
    x, t_x, length = checked_history(frequency, recency, T)
    return future_paths(
        p_alive=expit(-log_odds_dead(params, x, t_x, length)),
        shape=params.r + x,
        rate=params.alpha + length,
        death=(params.s, params.beta + length),
        horizon=horizon,
        rng=rng,
        draws=draws,
        stays=stays,
    )


def simulate(params: Params, T: ArrayLike, *, rng: RandomSource, draws: int | None = None) -> FuturePurchases:
    """Draw the repeat purchases of new customers from their first purchase, at time 0, to ``T``.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.simulate`; ``draws`` as in
    :func:`draw_future_purchases`.

    Examples
    --------
    >>> simulate(Params(0.553, 10.578, 0.606, 11.669), [39.0, 39.0, 26.0], rng=1).count.shape
    (1, 3)
    """
    length = non_negative("T", T)
    return future_paths(
        p_alive=1.0,
        shape=params.r,
        rate=params.alpha,
        death=(params.s, params.beta),
        horizon=length,
        rng=rng,
        draws=draws,
    )


def _log_time_given_alive(params: Params, T: Floats, horizon: ArrayLike, discount: ArrayLike) -> Floats:
    rate_b = params.beta + T
    end, rate = checked_horizon(horizon), checked_discount(discount)
    return log_decay_integral(0.0, rate_b, params.s, rate_b, end, discount=rate)


def _log_purchases_given_alive(params: Params, x: Floats, T: Floats, horizon: ArrayLike, discount: ArrayLike) -> Floats:
    log_rate = np.log(params.r + x) - np.log(params.alpha + T)
    return log_rate + _log_time_given_alive(params, T, horizon, discount)
