r"""BG/NBD: buy at a constant rate, and perhaps leave for good after a repeat purchase.

Purchases while alive are Poisson with rate ``lambda ~ Gamma(r, alpha)``; after each *repeat* purchase the customer
leaves with probability ``p ~ Beta(a, b)``. A customer without a repeat purchase has had no chance to leave and is alive
with certainty. Given alive at ``T``, ``lambda ~ Gamma(r + x, alpha + T)`` and ``p ~ Beta(a, b + x)``, independent.

Every function takes parameters that broadcast to (draw, customer). Likelihood and odds are formed in logarithms, and
the future is an average over the dropout probability that has neither the poles nor the overflow of the closed form
(:mod:`clv_forecast.models.beta_average`).

References
----------
.. [1] Fader, Hardie & Lee (2005), ""Counting your customers" the easy way: an alternative to the Pareto/NBD model",
   Marketing Science 24(2), doi:10.1287/mksc.1040.0098.
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

TITLE: Final = "BG/NBD"
LEAVES: Final = "after each repeat purchase"  # when a customer may leave for good
TIME_PARAMETERS: Final = ("alpha",)  # measured in the unit of time
NANOSECONDS: Final = 40.0  # about, of a row of the likelihood
future_key: Final = ("frequency", "T")
_INITIAL: Final = 0  # chances to leave that the first purchase brings


def log_likelihood(params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
    r"""Log-likelihood of each customer (eq. 6 of [1]_).

    .. math::
        L = \frac{\Gamma(r + x) \alpha^r}{\Gamma(r)} \frac{B(a, b + x)}{B(a, b)} \Big[(\alpha + T)^{-(r + x)}
        + 1_{x > 0} \frac{a}{b + x - 1} (\alpha + t_x)^{-(r + x)}\Big]

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer); ``alpha`` in the unit of ``T``.
    frequency, recency, T : array_like, shape (customer,)
        Repeat purchases, time of the last one, length of observation; 0 <= recency <= T.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)

    Raises
    ------
    DomainError
        If an argument is negative or not finite, or recency exceeds T.

    Notes
    -----
    The second term is added as ``log1p(exp(odds))`` beside the first, so that neither overflows for heavy buyers
    (test: ``test_heavy_buyers``); at ``x = 0`` it is left out.

    Examples
    --------
    >>> log_likelihood(Params(0.25, 4.0, 0.8, 2.5), [0, 200], [0, 38], [40, 40]).round(6)
    array([ -0.599474, 100.795693])
    """
    return beta_geometric.log_likelihood(params, *checked_history(frequency, recency, T), _INITIAL)


@njit(cache=True, nogil=True, error_model="numpy")
def log_likelihood_of_cells(theta, tables, wanted):  # type: ignore[no-untyped-def]
    """Sum over customers, with its gradient in the free vectors if ``wanted``: see `clv_forecast.models.kernels`."""
    return beta_geometric_of_cells(theta, tables, 0.0, wanted)


def p_alive(params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
    r"""Probability that each customer is alive at ``T``.

    .. math::
        P(\text{alive} \mid x, t_x, T) = \Big[1 + \frac{a}{b + x - 1}
        \Big(\frac{\alpha + T}{\alpha + t_x}\Big)^{r + x}\Big]^{-1}

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        In [0, 1]; exactly 1 at ``frequency == 0``.

    Raises
    ------
    DomainError
        If an argument is negative or not finite, or recency exceeds T.

    Examples
    --------
    >>> p_alive(Params(0.243, 4.414, 0.793, 2.426), [0, 2], [0.0, 30.43], [38.86, 38.86]).round(6)
    array([1.      , 0.726579])
    """
    return beta_geometric.p_alive(params, *checked_history(frequency, recency, T), _INITIAL)


def expected_purchases(
    params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
) -> Floats:
    r"""Expected purchases of each customer in ``(T, T + horizon]`` (eq. 10 of [1]_, as an integral).

    .. math::
        E[Y(t) \mid x, t_x, T] = P(\text{alive}) \, \frac{r + x}{\alpha + T}
        \int_0^t {}_2F_1\Big(r + x + 1, a; a + b + x; -\frac{\tau}{\alpha + T}\Big) d\tau

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.
    horizon : array_like
        In the unit of ``T``; not negative, may be infinite.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        Purchases, >= 0; infinite for an infinite horizon where ``a <= 1``.

    Raises
    ------
    DomainError
        If an argument is out of its domain.

    Notes
    -----
    The integral has no pole at ``a = 1`` or ``a + b + x = 1``, unlike its closed form (tests:
    ``test_pole_at_a_equal_1``, ``test_pole_of_the_one_time_buyer``).

    Examples
    --------
    >>> expected_purchases(Params(0.243, 4.414, 0.793, 2.426), 2, 30.43, 38.86, horizon=39).round(6)
    array([1.226028])
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

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.
    horizon : array_like
        In the unit of ``T``; not negative, may be infinite.
    discount : array_like
        Continuous rate per unit of ``T``, not negative.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        Discounted purchases, >= 0; infinite only without discount, for an infinite horizon where ``a <= 1``.

    Raises
    ------
    DomainError
        If an argument is out of its domain.

    Examples
    --------
    >>> params = Params(0.243, 4.414, 0.793, 2.426)
    >>> discounted_purchases(params, 2, 30.43, 38.86, horizon=float("inf"), discount=0.0018).round(5)
    array([6.4208])
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

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, T : array_like, shape (customer,)
    horizon : array_like
        In the unit of ``T``; not negative, may be infinite.
    discount : array_like
        Continuous rate per unit of ``T``, not negative.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)

    Raises
    ------
    DomainError
        If an argument is out of its domain.

    Examples
    --------
    >>> expected_purchases_given_alive(Params(0.243, 4.414, 0.793, 2.426), 2, 38.86, horizon=39).round(6)
    array([1.687399])
    """
    x, length = non_negative("frequency", frequency), non_negative("T", T)
    return beta_geometric.purchases_given_alive(
        params, x, length, checked_horizon(horizon), checked_discount(discount), _INITIAL
    )


def purchase_rate_given_alive(params: Params, frequency: ArrayLike, T: ArrayLike, *, ahead: ArrayLike) -> Floats:
    r"""Expected purchase rate at ``T + ahead`` of a customer who is alive at ``T``.

    .. math:: \frac{r + x}{\alpha + T}\, {}_2F_1\Big(r + x + 1, a; a + b + x; -\frac{\tau}{\alpha + T}\Big)

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, T : array_like, shape (customer,)
    ahead : array_like
        Time since ``T``, not negative.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        Purchases per unit of time. Its integral over a horizon is :func:`expected_purchases_given_alive`.

    Raises
    ------
    DomainError
        If an argument is negative or NaN.

    Examples
    --------
    >>> purchase_rate_given_alive(Params(0.25, 4.0, 0.8, 2.5), 2, 38.0, ahead=0.0).round(6)
    array([0.053571])
    """
    x, length, later = non_negative("frequency", frequency), non_negative("T", T), non_negative("ahead", ahead)
    return beta_geometric.purchase_rate_given_alive(params, x, length, later, _INITIAL)


def survival_given_alive(params: Params, frequency: ArrayLike, T: ArrayLike, *, ahead: ArrayLike) -> Floats:
    """Probability that a customer alive at ``T`` is still alive at ``T + ahead``.

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, T : array_like, shape (customer,)
    ahead : array_like
        Time since ``T``, not negative.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)

    Raises
    ------
    DomainError
        If an argument is negative or NaN.

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
        {}_2F_1\Big(r + x, a; a + b + x; -\frac{\tau}{\alpha + T}\Big) d\tau

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.
    horizon : array_like
        In the unit of ``T``; not negative, may be infinite.
    discount : array_like
        Continuous rate per unit of ``T``, not negative.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        In the unit of ``T``; infinite only without discount, for an infinite horizon where ``a <= 1`` or
        ``r + frequency <= 1``.

    Raises
    ------
    DomainError
        If an argument is out of its domain.

    Examples
    --------
    >>> expected_time_alive(Params(0.243, 4.414, 0.793, 2.426), 2, 30.43, 38.86, horizon=52).round(4)
    array([32.0245])
    """
    x, t_x, length = checked_history(frequency, recency, T)
    given_alive = beta_geometric.time_given_alive(
        params, x, length, checked_horizon(horizon), checked_discount(discount), _INITIAL
    )
    return beta_geometric.times_alive(beta_geometric.p_alive(params, x, t_x, length, _INITIAL), given_alive)


def purchase_pmf(params: Params, n: ArrayLike, *, horizon: ArrayLike) -> Floats:
    r"""Probability that a new customer makes exactly ``n`` repeat purchases in ``(0, horizon]`` (eq. 8 of [1]_).

    .. math::
        P(X(t) = n) = \frac{(b)_n}{(a + b)_n} P(NB(t) = n)
        + 1_{n > 0} \frac{a \, (b)_{n-1}}{(a + b)_n} P(NB(t) \ge n)

    with ``NB`` the negative binomial count of a customer who never leaves.

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting with ``n``.
    n : array_like
        Whole numbers, not negative.
    horizon : array_like
        Time since the first purchase; may be infinite.

    Returns
    -------
    ndarray
        Broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of its domain.

    Examples
    --------
    >>> purchase_pmf(Params(0.243, 4.414, 0.793, 2.426), [0, 1], horizon=39).round(6)
    array([0.573786, 0.199395])
    """
    return beta_geometric.purchase_pmf(params, checked_counts(n), checked_horizon(horizon), _INITIAL)


def expected_purchases_new(params: Params, *, horizon: ArrayLike) -> Floats:
    """Expected repeat purchases of a new customer in ``(0, horizon]`` (eq. 9 of [1]_).

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting with ``horizon``.
    horizon : array_like
        Time since the first purchase; may be infinite.

    Returns
    -------
    ndarray
        Broadcast shape; infinite for an infinite horizon where ``a <= 1``.

    Raises
    ------
    DomainError
        If ``horizon`` is negative or NaN.

    Examples
    --------
    >>> float(expected_purchases_new(Params(0.243, 4.414, 0.793, 2.426), horizon=39).round(6))
    1.196723
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

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.
    horizon : array_like
        In the unit of ``T``; not negative, may be infinite.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)

    Raises
    ------
    DomainError
        If an argument is out of its domain.

    Examples
    --------
    >>> probability_no_purchase(Params(0.243, 4.414, 0.793, 2.426), 0, 0, 30, horizon=10).round(6)
    array([0.939895])
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

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.
    horizon : array_like, scalar or shape (customer,)
        In the unit of ``T``; finite. A longer horizon only adds purchases to the path of a shorter one.
    rng : int, numpy Generator or KeyedStreams
    draws : int, optional
        Number of draws when the parameters have no draw axis (default 1).
    stays : bool
        Whether who is alive at ``T`` is kept from leaving until the horizon; the same random numbers otherwise.

    Returns
    -------
    FuturePurchases
        Shape (draw, customer).

    Raises
    ------
    DomainError
        If an argument is out of its domain, or the horizon infinite.

    Examples
    --------
    >>> params = Params(0.243, 4.414, 0.793, 2.426)
    >>> paths = draw_future_purchases(params, [0, 2], [0, 30.43], [38.86, 38.86], horizon=39, rng=1, draws=5)
    >>> paths.count.shape
    (5, 2)
    """
    x, t_x, length = checked_history(frequency, recency, T)
    return beta_geometric.draw_future_purchases(params, x, t_x, length, horizon, rng, draws, _INITIAL, stays)


def simulate(params: Params, T: ArrayLike, *, rng: RandomSource) -> FuturePurchases:
    """Simulate new customers from their first purchase, at time 0, to ``T``.

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    T : array_like, shape (customer,)
    rng : int, numpy Generator or KeyedStreams

    Returns
    -------
    FuturePurchases
        Its ``summary()`` gives frequency and recency.

    Raises
    ------
    DomainError
        If ``T`` is negative or not finite.

    Examples
    --------
    >>> frequency, recency = simulate(Params(0.243, 4.414, 0.793, 2.426), [30.0, 38.0], rng=1).summary()
    >>> frequency.shape
    (1, 2)
    """
    length = non_negative("T", T)
    nothing = np.zeros_like(length)
    return beta_geometric.draw_future_purchases(params, nothing, nothing, nothing, length, rng, None, _INITIAL)
