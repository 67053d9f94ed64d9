r"""Gamma-Gamma: what customers spend per order, whatever they buy and when.

Every order of a customer is ``z ~ Gamma(p, nu)`` (shape, rate), and ``nu ~ Gamma(q, v)`` over customers. The evidence
on one customer is the number of orders ``n``, their sum and, at the level of orders, the sum of their logarithms;
then ``nu ~ Gamma(q + p n, v + total)``. Expectations need ``q > 1``; at ``q <= 1`` they are infinite, and the
functions that predict refuse such parameters instead of returning the negative number of the formula.

References
----------
.. [1] Fader & Hardie (2013), "The Gamma-Gamma model of monetary value", http://www.brucehardie.com/notes/025/.
.. [2] Fader, Hardie & Lee (2005), "RFM and CLV: using iso-value curves for customer base analysis",
   Journal of Marketing Research 42(4), doi:10.1509/jmkr.2005.42.4.415.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from clv_forecast.errors import DomainError
from clv_forecast.models.domain import Floats, non_negative
from clv_forecast.models.gamma_gamma_likelihood import (
    COORDINATES,
    PARAMETERS,
    Params,
    constrain,
    constrain_jacobian,
    means_of_cells,
    orders_of_cells,
    prior_location_scale,
    require_finite_mean,
    starting_points,
    unconstrain,
)
from clv_forecast.models.paths import Orders, draw_orders, sum_orders
from clv_forecast.models.special import log_rising
from clv_forecast.streams import RandomSource

__all__ = [
    "COORDINATES", "KERNELS", "MONEY_PARAMETERS", "NANOSECONDS", "PARAMETERS", "TITLE", "Orders", "Params",
    "constrain", "constrain_jacobian", "draw_future_orders", "draw_future_spend", "draw_one_order",
    "expected_spend", "log_likelihood", "log_likelihood_orders", "posterior_shape_rate", "prior_location_scale",
    "simulate", "starting_points", "unconstrain",
]  # fmt: skip

TITLE: Final = "Gamma-Gamma"
MONEY_PARAMETERS: Final = ("v",)  # measured in money
NANOSECONDS: Final = 12.0  # about, of a row of the likelihood
KERNELS: Final = MappingProxyType({"orders": orders_of_cells, "means": means_of_cells})
"""Compiled likelihoods by the level of what is known: see :mod:`clv_forecast.models.kernels`."""
_ANY: Final = 1.0


def log_likelihood_orders(params: Params, n: ArrayLike, total: ArrayLike, sum_log: ArrayLike) -> Floats:
    r"""Log-likelihood of each customer's orders, through their number, sum and sum of logarithms.

    .. math:: \ln L = (p-1) \sum \ln z - n \ln\Gamma(p) + \ln\Gamma(np+q) - \ln\Gamma(q) + q \ln v
              - (np+q) \ln(v + \sum z)

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    n, total, sum_log : array_like, shape (customer,)
        ``total > 0`` and ``sum_log`` finite where ``n > 0``; neither is read where ``n == 0``.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        Exactly 0 where ``n == 0``.

    Raises
    ------
    DomainError
        If ``n`` is negative or not finite, or ``total`` or ``sum_log`` is out of its domain where ``n > 0``.

    Notes
    -----
    Unlike :func:`log_likelihood`, this identifies the spread of orders within a customer.

    Examples
    --------
    >>> log_likelihood_orders(Params(6.25, 3.74, 15.44), [0, 2], [0.0, 44.7], [0.0, 6.2]).round(6)
    array([ 0.     , -7.09902])
    """
    count, money, logs = _order_statistics(n, total, sum_log)
    return np.where(count > 0.0, _orders_value(params.p, params.q, params.v, count, money, logs), 0.0)


def log_likelihood(params: Params, frequency: ArrayLike, monetary_value: ArrayLike) -> Floats:
    r"""Log-likelihood of each customer's mean order, the form of the papers (eq. 1a of [1]_).

    .. math:: \ln L = \ln\frac{\Gamma(px+q)}{\Gamma(px)\Gamma(q)} + q \ln v + (px-1) \ln \bar z + px \ln x
              - (px+q) \ln(v + x \bar z)

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, monetary_value : array_like, shape (customer,)
        Number of orders averaged, and their mean, > 0 where ``frequency > 0`` and not read elsewhere.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        Exactly 0 where ``frequency == 0``.

    Raises
    ------
    DomainError
        If ``frequency`` is negative or not finite, or ``monetary_value`` is out of its domain where it is read.

    References
    ----------
    .. [1] Fader & Hardie (2013), http://www.brucehardie.com/notes/025/.

    Examples
    --------
    >>> log_likelihood(Params(6.25, 3.74, 15.44), [0, 2], [float("nan"), 22.35]).round(6)
    array([ 0.      , -3.551317])
    """
    count, mean = _mean_statistics(frequency, monetary_value)
    return np.where(count > 0.0, _mean_value(params.p, params.q, params.v, count, mean), 0.0)


def expected_spend(params: Params, frequency: ArrayLike, monetary_value: ArrayLike) -> Floats:
    r"""Expected value of a customer's future order (eq. 5 of [1]_).

    .. math:: E[Z \mid x, \bar z] = \frac{p (v + x \bar z)}{p x + q - 1}

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer); every ``q > 1``.
    frequency, monetary_value : array_like, shape (customer,)
        Number of orders averaged, and their mean; the mean is not read where ``frequency == 0`` (it may be NaN), and
        the answer there is that of the population, ``p v / (q - 1)``.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        Money per order, > 0.

    Raises
    ------
    DomainError
        If any ``q <= 1``, where no expectation exists, or an argument is out of its domain.

    References
    ----------
    .. [1] Fader & Hardie (2013), http://www.brucehardie.com/notes/025/.

    Examples
    --------
    >>> expected_spend(Params(6.25, 3.74, 15.44), [2, 0], [22.35, float("nan")]).round(6)
    array([24.663714, 35.218978])
    """
    require_finite_mean(params)
    count, mean = _mean_statistics(frequency, monetary_value)
    return params.p * (params.v + count * mean) / (params.p * count + (params.q - 1.0))


def posterior_shape_rate(params: Params, n: ArrayLike, total: ArrayLike) -> tuple[Floats, Floats]:
    """Shape ``q + p n`` and rate ``v + total`` of the Gamma distribution of a customer's ``nu`` given the orders.

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    n, total : array_like, shape (customer,)
        ``total`` is not read where ``n == 0``.

    Returns
    -------
    shape, rate : ndarray, shape (customer,) or (draw, customer)

    Raises
    ------
    DomainError
        If ``n`` is negative or not finite, or ``total`` is not positive and finite where ``n > 0``.

    Examples
    --------
    >>> shape, rate = posterior_shape_rate(Params(6.0, 4.0, 15.0), [2], [45.0])
    >>> float(shape[0]), float(rate[0])
    (16.0, 60.0)
    """
    count = non_negative("n", n)
    money = np.where(count > 0.0, _read_where_bought("total", total, count), 0.0)
    return params.q + params.p * count, params.v + money


def draw_future_spend(params: Params, n: ArrayLike, total: ArrayLike, count: ArrayLike, *, rng: RandomSource) -> Floats:
    """Draw the sum of each customer's next ``count`` orders, given the orders so far.

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer); every ``q > 1``.
    n, total : array_like, shape (customer,)
        Orders so far and their sum.
    count : array_like of whole numbers, shape (draw, customer) or (customer,)
        How many orders to draw.
    rng : int, numpy Generator or KeyedStreams
        Source of randomness.

    Returns
    -------
    ndarray, shape (draw, customer)
        Money; 0 where ``count`` is 0.

    Raises
    ------
    DomainError
        If any ``q <= 1``, or an argument is out of its domain.

    Notes
    -----
    Orders are drawn one by one, so that a larger ``count`` adds orders to the same first ones: horizons nest.

    Examples
    --------
    >>> draw_future_spend(Params(6.25, 3.74, 15.44), [2, 0], [44.7, 0.0], [[1, 2], [0, 1]], rng=1).shape
    (2, 2)
    """
    require_finite_mean(params)
    shape, rate = posterior_shape_rate(params, n, total)
    return sum_orders(params.p, shape, rate, count, rng=rng)


def draw_future_orders(
    params: Params, n: ArrayLike, total: ArrayLike, count: ArrayLike, *, rng: RandomSource
) -> Orders:
    """Draw each customer's next ``count`` orders one by one: those that :func:`draw_future_spend` adds up.

    Parameters
    ----------
    params, n, total, count, rng
        As for :func:`draw_future_spend`.

    Returns
    -------
    Orders
        Its ``amount`` is in the order of ``FuturePurchases.times`` when ``count`` comes from there.

    Raises
    ------
    DomainError
        If any ``q <= 1``, or an argument is out of its domain.

    Examples
    --------
    >>> draw_future_orders(Params(6.25, 3.74, 15.44), [2, 0], [44.7, 0.0], [[1, 2], [0, 1]], rng=1).amount.shape
    (4,)
    """
    require_finite_mean(params)
    shape, rate = posterior_shape_rate(params, n, total)
    return draw_orders(params.p, shape, rate, count, rng=rng)


def draw_one_order(
    params: Params, n: ArrayLike, total: ArrayLike, *, rng: RandomSource, draws: int | None = None
) -> Floats:
    """Draw the next order of each customer, given the orders so far.

    Parameters
    ----------
    params, n, total, rng
        As for :func:`draw_future_spend`.
    draws : int, optional
        Number of draws when the parameters have no draw axis (default 1).

    Returns
    -------
    ndarray, shape (draw, customer)
        Money, > 0.

    Raises
    ------
    DomainError
        If any ``q <= 1``, ``draws`` contradicts the draw axis, or an argument is out of its domain.

    Examples
    --------
    >>> draw_one_order(Params(6.25, 3.74, 15.44), [2, 0], [44.7, 0.0], rng=1, draws=5).shape
    (5, 2)
    """
    require_finite_mean(params)
    shape, rate = posterior_shape_rate(params, n, total)
    rows, customers = np.broadcast_shapes((1, 1), params.p.shape, shape.shape, rate.shape)
    if draws is not None and (draws < 1 or rows not in (1, draws)):
        raise DomainError("draws must be positive and agree with the parameters' draw axis.", value=draws)
    return sum_orders(params.p, shape, rate, np.ones((draws or rows, customers)), rng=rng)


def simulate(params: Params, counts: ArrayLike, *, rng: RandomSource) -> Orders:
    """Draw orders of new customers from the population.

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer); every ``q > 1``.
    counts : array_like of whole numbers, shape (customer,) or (draw, customer)
        Orders of each customer.
    rng : int, numpy Generator or KeyedStreams
        Source of randomness.

    Returns
    -------
    Orders
        Its ``summary()`` gives number, sum and sum of logarithms.

    Raises
    ------
    DomainError
        If any ``q <= 1``, or ``counts`` are no whole numbers >= 0.

    Examples
    --------
    >>> n, total, sum_log = simulate(Params(6.25, 3.74, 15.44), [3, 0, 1], rng=1).summary()
    >>> n.tolist(), total.shape
    ([[3, 0, 1]], (1, 3))
    """
    require_finite_mean(params)
    return draw_orders(params.p, params.q, params.v, counts, rng=rng)


def _orders_value(p: ArrayLike, q: ArrayLike, v: ArrayLike, n: Floats, total: Floats, sum_log: Floats) -> Floats:
    p, q, v = (np.asarray(field, dtype=np.float64) for field in (p, q, v))
    value: Floats = (
        (p - 1.0) * sum_log
        - n * gammaln(p)
        + log_rising(q, n * p)
        - n * p * np.log(v + total)
        - q * np.log1p(total / v)
    )
    return value


def _mean_value(p: ArrayLike, q: ArrayLike, v: ArrayLike, x: Floats, mean: Floats) -> Floats:
    p, q, v = (np.asarray(field, dtype=np.float64) for field in (p, q, v))
    shape, total = _shape_and_sum(p, x, mean)
    inverse_beta = log_rising(np.maximum(shape, q), np.minimum(shape, q)) - gammaln(np.minimum(shape, q))
    value: Floats = inverse_beta - q * np.log1p(total / v) - shape * np.log1p(v / total) - np.log(mean)
    return value


def _shape_and_sum(p: ArrayLike, x: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Shape ``p x`` and sum of the orders; those of one order where there is none, which is masked later."""
    orders = np.where(x > 0.0, x, _ANY)
    return np.asarray(p, dtype=np.float64) * orders, orders * mean


def _order_statistics(n: ArrayLike, total: ArrayLike, sum_log: ArrayLike) -> tuple[Floats, Floats, Floats]:
    count = non_negative("n", n)
    logs = np.where(count > 0.0, np.asarray(sum_log, dtype=np.float64), 0.0)
    if not np.isfinite(logs).all():
        raise DomainError("sum_log must be finite where n > 0.", value=float(logs[~np.isfinite(logs)][0]))
    return count, _read_where_bought("total", total, count), logs


def _mean_statistics(frequency: ArrayLike, monetary_value: ArrayLike) -> tuple[Floats, Floats]:
    count = non_negative("frequency", frequency)
    return count, _read_where_bought("monetary_value", monetary_value, count)


def _read_where_bought(name: str, money: ArrayLike, count: Floats) -> Floats:
    """Money where there are orders, a harmless number elsewhere: what stands there is not read."""
    amount = np.where(count > 0.0, np.asarray(money, dtype=np.float64), _ANY)
    allowed = np.isfinite(amount) & (amount > 0.0)
    if not allowed.all():
        raise DomainError(f"{name} must be finite and positive where there are orders.", value=amount[~allowed][0])
    return amount
