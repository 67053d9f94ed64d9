r"""MBG/NBD: buy at a constant rate, and perhaps leave for good after any purchase, the first included.

Purchases while alive are Poisson with rate ``lambda ~ Gamma(r, alpha)``; after *every* purchase the customer leaves
with probability ``p ~ Beta(a, b)``. So a one-time buyer may already be gone. Given alive at ``T``,
``lambda ~ Gamma(r + x, alpha + T)`` and ``p ~ Beta(a, b + x + 1)``, independent.

Every function takes parameters that broadcast to (draw, customer). Likelihood and odds are formed in logarithms, and
the future is an average over the dropout probability that has neither the poles nor the overflow of the closed form
(:mod:`clv_forecast.models.beta_average`).

References
----------
.. [1] Batislam, Denizel & Filiztekin (2007), "Empirical validation and comparison of models for customer base
   analysis", International Journal of Research in Marketing 24(3), doi:10.1016/j.ijresmar.2006.12.005.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from clv_forecast.models import beta_geometric
from clv_forecast.models.beta_geometric import (
    COORDINATES,
    PARAMETERS,
    Params,
    constrain,
    constrain_jacobian,
    prior_location_scale,
    starting_points,
    unconstrain,
)
from clv_forecast.models.beta_geometric import log_likelihood_of_cells as beta_geometric_of_cells
from clv_forecast.models.domain import (
    Floats,
    checked_counts,
    checked_discount,
    checked_history,
    checked_horizon,
    non_negative,
)
from clv_forecast.models.paths import FuturePurchases
from clv_forecast.models.special import next_purchase_quantile, probability_of_silence
from clv_forecast.streams import RandomSource

__all__ = [
    "COORDINATES", "LEAVES", "NANOSECONDS", "PARAMETERS", "TIME_PARAMETERS", "TITLE", "Params",
    "constrain", "constrain_jacobian",
    "discounted_purchases", "draw_future_purchases", "expected_purchases", "expected_purchases_given_alive",
    "expected_purchases_new", "expected_time_alive", "future_key", "log_likelihood", "log_likelihood_of_cells",
    "next_purchase_quantile", "p_alive", "prior_location_scale", "probability_no_purchase", "probability_of_silence",
    "purchase_pmf", "purchase_rate_given_alive", "simulate", "starting_points", "survival_given_alive", "unconstrain",
]  # fmt: skip

TITLE: Final = "MBG/NBD"
LEAVES: Final = "after each purchase"  # when a customer may leave for good
TIME_PARAMETERS: Final = ("alpha",)  # measured in the unit of time
NANOSECONDS: Final = 40.0  # about, of a row of the likelihood
future_key: Final = ("frequency", "T")
_INITIAL: Final = 1  # chances to leave that the first purchase brings


def log_likelihood(params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
    r"""Log-likelihood of each customer ([1]_).

    .. math::
        L = \frac{\Gamma(r + x) \alpha^r}{\Gamma(r)} \frac{B(a, b + x + 1)}{B(a, b)} \Big[(\alpha + T)^{-(r + x)}
        + \frac{a}{b + x} (\alpha + t_x)^{-(r + x)}\Big]

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.log_likelihood`.

    Notes
    -----
    The second term is added as ``log1p(exp(odds))`` beside the first, so that neither overflows for heavy buyers
    (test: ``test_heavy_buyers``).

    Examples
    --------
    >>> log_likelihood(Params(0.25, 4.0, 0.8, 2.5), [0, 200], [0, 38], [40, 40]).round(6)
    array([ -0.417928, 100.78691 ])
    """
    return beta_geometric.log_likelihood(params, *checked_history(frequency, recency, T), _INITIAL)


@njit(cache=True, nogil=True, error_model="numpy")
def log_likelihood_of_cells(theta, tables, wanted):  # type: ignore[no-untyped-def]
    """Sum over customers, with its gradient in the free vectors if ``wanted``: see `clv_forecast.models.kernels`."""
    return beta_geometric_of_cells(theta, tables, 1.0, wanted)


def p_alive(params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
    r"""Probability that each customer is alive at ``T``.

    .. math::
        P(\text{alive} \mid x, t_x, T) = \Big[1 + \frac{a}{b + x}
        \Big(\frac{\alpha + T}{\alpha + t_x}\Big)^{r + x}\Big]^{-1}

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.p_alive`, but ``b / (a + b)`` at ``T == 0``.

    Examples
    --------
    >>> p_alive(Params(0.525, 6.183, 0.891, 1.614), [0, 2], [0.0, 30.43], [38.86, 38.86]).round(6)
    array([0.389735, 0.706202])
    """
    return beta_geometric.p_alive(params, *checked_history(frequency, recency, T), _INITIAL)


def expected_purchases(
    params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
) -> Floats:
    r"""Expected purchases of each customer in ``(T, T + horizon]``.

    .. math::
        E[Y(t) \mid x, t_x, T] = P(\text{alive}) \, \frac{r + x}{\alpha + T}
        \int_0^t {}_2F_1\Big(r + x + 1, a; a + b + x + 1; -\frac{\tau}{\alpha + T}\Big) d\tau

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.expected_purchases`.

    Notes
    -----
    The integral has no pole at ``a = 1``, unlike its closed form (test: ``test_pole_at_a_equal_1``).

    Examples
    --------
    >>> expected_purchases(Params(0.525, 6.183, 0.891, 1.614), 2, 30.43, 38.86, horizon=39).round(6)
    array([1.262961])
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
    r"""Expected purchases in ``(T, T + horizon]``, each discounted from its own time back to ``T``.

    .. math::
        P(\text{alive}) \int_0^t e^{-\delta \tau} E[\lambda e^{-\lambda p \tau}] \, d\tau
        \;\to\; P(\text{alive}) \, E\Big[\frac{\lambda}{\lambda p + \delta}\Big]
        \quad (t \to \infty)

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.discounted_purchases`.

    Examples
    --------
    >>> params = Params(0.525, 6.183, 0.891, 1.614)
    >>> discounted_purchases(params, 2, 30.43, 38.86, horizon=float("inf"), discount=0.0018).round(5)
    array([6.01508])
    """
    x, t_x, length = checked_history(frequency, recency, T)
    given_alive = beta_geometric.purchases_given_alive(
        params, x, length, checked_horizon(horizon), checked_discount(discount), _INITIAL
    )
    return beta_geometric.times_alive(beta_geometric.p_alive(params, x, t_x, length, _INITIAL), given_alive)


def expected_purchases_given_alive(
    params: Params, frequency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike, discount: ArrayLike = 0.0
) -> Floats:
    """Discounted expected purchases in ``(T, T + horizon]`` of a customer known to be alive at ``T``.

    It depends on the columns of ``future_key`` only; times :func:`p_alive` it is :func:`discounted_purchases`.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.expected_purchases_given_alive`.

    Examples
    --------
    >>> expected_purchases_given_alive(Params(0.525, 6.183, 0.891, 1.614), 2, 38.86, horizon=39).round(6)
    array([1.788384])
    """
    x, length = non_negative("frequency", frequency), non_negative("T", T)
    return beta_geometric.purchases_given_alive(
        params, x, length, checked_horizon(horizon), checked_discount(discount), _INITIAL
    )


def purchase_rate_given_alive(params: Params, frequency: ArrayLike, T: ArrayLike, *, ahead: ArrayLike) -> Floats:
    r"""Expected purchase rate at ``T + ahead`` of a customer who is alive at ``T``.

    .. math:: \frac{r + x}{\alpha + T}\, {}_2F_1\Big(r + x + 1, a; a + b + x + 1; -\frac{\tau}{\alpha + T}\Big)

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.purchase_rate_given_alive`.

    Examples
    --------
    >>> purchase_rate_given_alive(Params(0.25, 4.0, 0.8, 2.5), 2, 38.0, ahead=0.0).round(6)
    array([0.053571])
    """
    x, length, later = non_negative("frequency", frequency), non_negative("T", T), non_negative("ahead", ahead)
    return beta_geometric.purchase_rate_given_alive(params, x, length, later, _INITIAL)


def survival_given_alive(params: Params, frequency: ArrayLike, T: ArrayLike, *, ahead: ArrayLike) -> Floats:
    """Probability that a customer alive at ``T`` is still alive at ``T + ahead``.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.survival_given_alive`.

    Examples
    --------
    >>> survival_given_alive(Params(0.25, 4.0, 0.8, 2.5), 2, 38.0, ahead=0.0).round(6)
    array([1.])
    """
    x, length, later = non_negative("frequency", frequency), non_negative("T", T), non_negative("ahead", ahead)
    return beta_geometric.survival_given_alive(params, x, length, later, _INITIAL)


def expected_time_alive(
    params: Params,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    *,
    horizon: ArrayLike,
    discount: ArrayLike = 0.0,
) -> Floats:
    r"""Expected discounted time in ``(T, T + horizon]`` during which each customer is alive.

    .. math::
        P(\text{alive}) \int_0^t e^{-\delta \tau} \,
        {}_2F_1\Big(r + x, a; a + b + x + 1; -\frac{\tau}{\alpha + T}\Big) d\tau

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.expected_time_alive`.

    Examples
    --------
    >>> expected_time_alive(Params(0.525, 6.183, 0.891, 1.614), 2, 30.43, 38.86, horizon=52).round(4)
    array([30.3741])
    """
    x, t_x, length = checked_history(frequency, recency, T)
    given_alive = beta_geometric.time_given_alive(
        params, x, length, checked_horizon(horizon), checked_discount(discount), _INITIAL
    )
    return beta_geometric.times_alive(beta_geometric.p_alive(params, x, t_x, length, _INITIAL), given_alive)


def purchase_pmf(params: Params, n: ArrayLike, *, horizon: ArrayLike) -> Floats:
    r"""Probability that a new customer makes exactly ``n`` repeat purchases in ``(0, horizon]``.

    .. math::
        P(X(t) = n) = \frac{(b)_{n+1}}{(a + b)_{n+1}} P(NB(t) = n)
        + \frac{a \, (b)_n}{(a + b)_{n+1}} P(NB(t) \ge n)

    with ``NB`` the negative binomial count of a customer who never leaves.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.purchase_pmf`.

    Examples
    --------
    >>> purchase_pmf(Params(0.525, 6.183, 0.891, 1.614), [0, 1], horizon=39).round(6)
    array([0.582473, 0.182783])
    """
    return beta_geometric.purchase_pmf(params, checked_counts(n), checked_horizon(horizon), _INITIAL)


def expected_purchases_new(params: Params, *, horizon: ArrayLike) -> Floats:
    """Expected repeat purchases of a new customer in ``(0, horizon]``.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.expected_purchases_new`.

    Examples
    --------
    >>> float(expected_purchases_new(Params(0.525, 6.183, 0.891, 1.614), horizon=39).round(6))
    1.182954
    """
    nothing = np.zeros(())
    given_alive = beta_geometric.purchases_given_alive(
        params, nothing, nothing, checked_horizon(horizon), nothing, _INITIAL
    )
    return beta_geometric.times_alive(beta_geometric.p_alive(params, nothing, nothing, nothing, _INITIAL), given_alive)


def probability_no_purchase(
    params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
) -> Floats:
    r"""Probability that each customer buys nothing in ``(T, T + horizon]``.

    .. math:: 1 - P(\text{alive}) \Big[1 - \Big(\frac{\alpha + T}{\alpha + T + t}\Big)^{r + x}\Big]

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.probability_no_purchase`.

    Examples
    --------
    >>> probability_no_purchase(Params(0.525, 6.183, 0.891, 1.614), 0, 0, 30, horizon=10).round(6)
    array([0.949809])
    """
    x, t_x, length = checked_history(frequency, recency, T)
    return beta_geometric.no_purchase(params, x, t_x, length, checked_horizon(horizon), _INITIAL)


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
    """Draw the purchases of each customer in ``(T, T + horizon]`` from their exact predictive distribution.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.draw_future_purchases`.

    Examples
    --------
    >>> params = Params(0.525, 6.183, 0.891, 1.614)
    >>> paths = draw_future_purchases(params, [0, 2], [0, 30.43], [38.86, 38.86], horizon=39, rng=1, draws=5)
    >>> paths.count.shape
    (5, 2)
    """
    x, t_x, length = checked_history(frequency, recency, T)
    return beta_geometric.draw_future_purchases(params, x, t_x, length, horizon, rng, draws, _INITIAL, stays)


def simulate(params: Params, T: ArrayLike, *, rng: RandomSource) -> FuturePurchases:
    """Simulate new customers from their first purchase, at time 0, to ``T``.

    Parameters, returns and errors as in :func:`clv_forecast.models.bg_nbd.simulate`.

    Examples
    --------
    >>> frequency, recency = simulate(Params(0.525, 6.183, 0.891, 1.614), [30.0, 38.0], rng=1).summary()
    >>> frequency.shape
    (1, 2)
    """
    length = non_negative("T", T)
    nothing = np.zeros_like(length)
    return beta_geometric.draw_future_purchases(params, nothing, nothing, nothing, length, rng, None, _INITIAL)
