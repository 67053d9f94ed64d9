"""Predictive paths: when a customer will buy, drawn exactly and by key.

Given that a customer is alive with purchase rate ``lambda ~ Gamma(shape, rate)``, the purchases that follow form a
Polya process: after ``k`` purchases, the last at ``t_k``, the next one comes after
``(rate + t_k) (U^{-1/(shape + k)} - 1)``. So ``lambda`` need not be drawn, the path does not depend on the horizon
asked for (horizons nest exactly), and a single uniform decides the commonest case, no purchase at all.

Drawn orders: Gamma variates with a Gamma rate, by key, one order after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from clv_forecast.errors import DomainError
from clv_forecast.models.domain import Floats, checked_discount, checked_horizon, non_negative
from clv_forecast.streams import (
    STAGE_DEATH,
    STAGE_PURCHASES,
    STAGE_SPEND,
    RandomSource,
    as_streams,
    standard_gamma,
    uniform_pair,
)
from clv_forecast.threads import in_spans

_SMALLEST: Final = float(np.finfo(np.float64).tiny)
# Customers that are worth a span of their own.
_ORDER_SPAN: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Drawn amounts of orders.

    Parameters
    ----------
    count : ndarray of int64, shape (draw, customer)
        Orders of each customer.
    amount : ndarray, shape (order,)
        Money of every order, > 0: customers in C order of (draw, customer).
    offsets : ndarray of int64, shape (draw * customer + 1,)
        Customer ``i`` owns ``amount[offsets[i]:offsets[i + 1]]``.

    Examples
    --------
    >>> draw_orders(6.25, 3.74, 15.44, [2, 0], rng=1).offsets.tolist()
    [0, 2, 2]
    """

    count: NDArray[np.int64]
    amount: Floats
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        for array in (self.count, self.amount, self.offsets):
            array.setflags(write=False)

    def summary(self) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Number, sum and sum of logarithms of the orders, each of shape (draw, customer)."""
        owner = np.repeat(np.arange(self.count.size), self.count.ravel())
        total, sum_log = (
            np.bincount(owner, weights=weight, minlength=self.count.size).reshape(self.count.shape)
            for weight in (self.amount, np.log(self.amount))
        )
        return self.count, total, sum_log


def draw_orders(
    order_shape: ArrayLike, shape: ArrayLike, rate: ArrayLike, count: ArrayLike, *, rng: RandomSource
) -> Orders:
    """Draw ``count`` orders ``Gamma(order_shape, nu)`` of each customer, with one ``nu ~ Gamma(shape, rate)`` each.

    Parameters
    ----------
    order_shape, shape, rate : array_like
        > 0, broadcasting to (draw, customer).
    count : array_like of whole numbers, shape (draw, customer) or (customer,)
    rng : int, numpy Generator or KeyedStreams

    Returns
    -------
    Orders

    Raises
    ------
    DomainError
        If ``count`` holds anything but whole numbers >= 0, or ``rng`` does not fit the customers.

    Notes
    -----
    The first orders of a customer do not depend on how many are asked for.

    Examples
    --------
    >>> few, more = (draw_orders(6.25, 3.74, 15.44, [k], rng=1).amount for k in (2, 5))
    >>> bool((more[:2] == few).all())
    True
    """
    keys, first_draw, fields, number = _prepare(order_shape, shape, rate, count, rng)
    offsets = np.zeros(number.size + 1, dtype=np.int64)
    np.cumsum(number.ravel(), out=offsets[1:])
    amount = np.empty(int(offsets[-1]))
    in_spans(_fill, number.size, keys, first_draw, *fields, number, offsets, amount, smallest=_ORDER_SPAN)
    return Orders(count=number, amount=amount, offsets=offsets)


def sum_orders(
    order_shape: ArrayLike, shape: ArrayLike, rate: ArrayLike, count: ArrayLike, *, rng: RandomSource
) -> Floats:
    """Sum the orders that :func:`draw_orders` draws, without keeping them.

    Parameters
    ----------
    order_shape, shape, rate, count, rng
        As for :func:`draw_orders`.

    Returns
    -------
    ndarray, shape (draw, customer)

    Raises
    ------
    DomainError
        As :func:`draw_orders`.

    Examples
    --------
    >>> total = sum_orders(6.25, 3.74, 15.44, [3], rng=1)
    >>> bool(np.isclose(total[0, 0], draw_orders(6.25, 3.74, 15.44, [3], rng=1).amount.sum()))
    True
    """
    keys, first_draw, fields, number = _prepare(order_shape, shape, rate, count, rng)
    total = np.zeros(number.shape)
    in_spans(_sum, number.size, keys, first_draw, *fields, number, total, smallest=_ORDER_SPAN)
    return total


def _prepare(
    order_shape: ArrayLike, shape: ArrayLike, rate: ArrayLike, count: ArrayLike, rng: RandomSource
) -> tuple[NDArray[np.uint64], int, list[Floats], NDArray[np.int64]]:
    whole = np.atleast_2d(non_negative("count", count))
    if (whole != np.floor(whole)).any():
        raise DomainError("count must hold whole numbers.", value=float(whole[whole != np.floor(whole)][0]))
    fields = [np.array(np.atleast_2d(np.asarray(f, dtype=np.float64)), order="C") for f in (order_shape, shape, rate)]
    size = np.broadcast_shapes(whole.shape, *(field.shape for field in fields))
    number = np.array(np.broadcast_to(whole, size), dtype=np.int64, order="C")
    streams = as_streams(rng, size[1])
    return np.array(streams.keys, dtype=np.uint64), streams.first_draw, fields, number


@njit(cache=True)
def _walk_orders(key, draw, order_shape, shape, rate, number, amount, start, fill):  # type: ignore[no-untyped-def]
    """Sum of one customer's orders; with ``fill`` each goes to ``amount[start:]``."""
    nu, counter = standard_gamma(key, draw, STAGE_SPEND, 0, shape)
    total = 0.0
    for order in range(number):
        variate, counter = standard_gamma(key, draw, STAGE_SPEND, counter, order_shape)
        value = max(variate * (rate / nu), _SMALLEST)
        total += value
        if fill:
            amount[start + order] = value
    return total


@njit(cache=True, nogil=True)
def _sum(keys, first_draw, order_shape, shape, rate, number, total, start, stop):  # type: ignore[no-untyped-def]
    nowhere = np.empty(0)
    customers = keys.size
    for owner in range(start, stop):
        d, c = owner // customers, owner % customers
        if number[d, c] > 0:
            total[d, c] = _walk_orders(
                keys[c], first_draw + d, _at(order_shape, d, c), _at(shape, d, c), _at(rate, d, c),
                number[d, c], nowhere, 0, False,
            )  # fmt: skip


@njit(cache=True, nogil=True)
def _fill(keys, first_draw, order_shape, shape, rate, number, offsets, amount, start, stop):  # type: ignore[no-untyped-def]
    customers = keys.size
    for owner in range(start, stop):
        d, c = owner // customers, owner % customers
        if number[d, c] > 0:
            _walk_orders(
                keys[c], first_draw + d, _at(order_shape, d, c), _at(shape, d, c), _at(rate, d, c),
                number[d, c], amount, offsets[owner], True,
            )  # fmt: skip


_BETA_GEOMETRIC = 0
_LOMAX = 1
# Paths that are worth a span of their own.
_SPAN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class FuturePurchases:
    """Drawn purchases of each customer after the end of observation.

    Parameters
    ----------
    count : ndarray of int32, shape (draw, customer)
        Purchases in ``(T, T + horizon]``.
    times : ndarray, shape (purchase,)
        Time since ``T`` of every purchase: paths in C order of (draw, customer), ascending within a path.
    offsets : ndarray of int64, shape (draw * customer + 1,)
        Path ``i`` owns ``times[offsets[i]:offsets[i + 1]]``.
    alive_until : ndarray, shape (draw, customer)
        Time from ``T`` to dropout, capped at the horizon; 0 for a customer already gone at ``T``.
    horizon : ndarray, shape () or (customer,)
        In the unit of ``T``.

    Examples
    --------
    >>> path = future_paths(p_alive=[1.0, 0.0], shape=5.0, rate=10.0, dropout=(1.0, 4.0), horizon=20.0, rng=1, draws=3)
    >>> path.count.shape, bool((path.count[:, 1] == 0).all())
    ((3, 2), True)
    """

    count: NDArray[np.int32]
    times: Floats
    offsets: NDArray[np.int64]
    alive_until: Floats
    horizon: Floats

    def __post_init__(self) -> None:
        for array in (self.count, self.times, self.offsets, self.alive_until, self.horizon):
            array.setflags(write=False)

    def discounted(self, discount: ArrayLike) -> Floats:
        """Sum of ``exp(-discount * t)`` over the purchases of each path, shape (draw, customer).

        Raises
        ------
        DomainError
            If ``discount`` is negative or not finite.
        """
        worth = np.exp(-checked_discount(discount) * self.times)
        path = np.repeat(np.arange(self.count.size), self.count.ravel())
        return np.bincount(path, weights=worth, minlength=self.count.size).reshape(self.count.shape)

    def summary(self) -> tuple[NDArray[np.int32], Floats]:
        """Frequency and recency of each path, both of shape (draw, customer): recency is 0 without a purchase."""
        recency = np.zeros(self.count.size)
        bought = self.count.ravel() > 0
        recency[bought] = self.times[self.offsets[1:][bought] - 1]
        return self.count, recency.reshape(self.count.shape)


def future_paths(
    *,
    p_alive: ArrayLike,
    shape: ArrayLike,
    rate: ArrayLike,
    horizon: ArrayLike,
    rng: RandomSource,
    draws: int | None = None,
    dropout: tuple[ArrayLike, ArrayLike] | None = None,
    death: tuple[ArrayLike, ArrayLike] | None = None,
    stays: bool = False,
) -> FuturePurchases:
    """Draw the purchases of every customer in ``(T, T + horizon]``.

    Parameters
    ----------
    p_alive : array_like
        Probability of being alive at ``T``.
    shape, rate : array_like
        Given alive, the purchase rate is Gamma(shape, rate).
    horizon : array_like, scalar or shape (customer,)
        Finite, in the unit of ``T``.
    rng : int, numpy Generator or KeyedStreams
        Source of randomness; with ready streams every customer keeps its numbers whatever else is asked.
    draws : int, optional
        Number of draws when the other arguments have no draw axis (default 1).
    dropout : (a, b), optional
        Given alive, the probability to leave after each purchase is Beta(a, b).
    death : (shape, rate), optional
        Given alive, the death rate in continuous time is Gamma(shape, rate).
    stays : bool
        Whether who is alive at ``T`` is kept from leaving until the horizon: the path of who would have left goes on
        from there, and every other path is the same.

    Returns
    -------
    FuturePurchases
        All arguments but ``horizon`` broadcast to (draw, customer).

    Raises
    ------
    DomainError
        If ``horizon`` is negative, NaN or infinite, ``draws`` contradicts the draw axis, or not exactly one of
        ``dropout`` and ``death`` is given.

    Examples
    --------
    >>> path = future_paths(p_alive=0.9, shape=2.2, rate=43.0, death=(0.6, 50.0), horizon=52.0, rng=1, draws=4)
    >>> path.count.shape
    (4, 1)
    """
    if (dropout is None) == (death is None):
        raise DomainError("Give exactly one of dropout and death.")
    leaving = dropout if dropout is not None else death
    kind = _BETA_GEOMETRIC if dropout is not None else _LOMAX
    assert leaving is not None  # noqa: S101 - for the type checker; the rule above ensures it
    if stays:
        leaving = (np.zeros(()), leaving[1])  # at a shape of 0 nobody leaves
    length = checked_horizon(horizon, finite=True)
    fields = [_grid(value) for value in (p_alive, shape, rate, *leaving)]
    n_draws, customers = np.broadcast_shapes(*(field.shape for field in fields), _grid(length).shape)
    n_draws = _number_of_draws(n_draws, draws)
    streams = as_streams(rng, customers)
    keys = np.array(streams.keys, dtype=np.uint64)
    ends = np.array(np.broadcast_to(length, (customers,)))
    count = np.empty((n_draws, customers), dtype=np.int32)
    alive_until = np.empty((n_draws, customers))
    common = (keys, streams.first_draw, kind, *fields, ends, count)
    in_spans(_count_paths, count.size, *common, alive_until, smallest=_SPAN)
    offsets = np.zeros(count.size + 1, dtype=np.int64)
    np.cumsum(count.ravel(), out=offsets[1:])
    times = np.empty(int(offsets[-1]))
    in_spans(_fill_paths, count.size, *common, offsets, times, smallest=_SPAN)
    return FuturePurchases(count=count, times=times, offsets=offsets, alive_until=alive_until, horizon=np.array(length))


def _grid(value: ArrayLike) -> Floats:
    """Copy to a contiguous (draw or 1, customer or 1) array: one type for the compiled kernels."""
    return np.array(np.atleast_2d(np.asarray(value, dtype=np.float64)), order="C")


def _number_of_draws(in_fields: int, asked: int | None) -> int:
    if asked is None:
        return in_fields
    if asked < 1 or in_fields not in (1, asked):
        raise DomainError("draws must be positive and agree with the parameters' draw axis.", value=asked)
    return asked


@njit(error_model="numpy", cache=True, inline="always")
def _at(field, draw, customer):  # type: ignore[no-untyped-def]
    return field[draw if field.shape[0] > 1 else 0, customer if field.shape[1] > 1 else 0]


@njit(error_model="numpy", cache=True)
def _wait(uniform, shape, rate):  # type: ignore[no-untyped-def]
    """Time to the next purchase, whose survival function is ``(1 + t / rate) ** -shape``."""
    return rate * math.expm1(-math.log1p(-uniform) / shape) if uniform < 1.0 else math.inf


@njit(error_model="numpy", cache=True)
def _walk(key, draw, kind, alive, shape, rate, first, second, end, times, start, fill):  # type: ignore[no-untyped-def]
    """Count the purchases of one path and find when it leaves; with ``fill`` the times go to ``times[start:]``."""
    uniform, other = uniform_pair(key, draw, STAGE_PURCHASES, 0)
    dead = 1.0 - alive
    if uniform < dead or alive == 0.0:
        return 0, 0.0
    leaves = end
    if kind == _LOMAX:
        death, _ = uniform_pair(key, draw, STAGE_DEATH, 0)
        leaves = min(end, _wait(death, first, second))
    now = _wait((uniform - dead) / alive, shape, rate)
    bought = 0
    while now <= leaves:
        if fill:
            times[start + bought] = now
        bought += 1
        if kind == _BETA_GEOMETRIC and other * (first + second + bought - 1.0) < first:
            return bought, now
        uniform, other = uniform_pair(key, draw, STAGE_PURCHASES, bought)
        now += _wait(uniform, shape + bought, rate + now)
    return bought, leaves


@njit(error_model="numpy", cache=True, nogil=True)
def _count_paths(keys, first_draw, kind, alive, shape, rate, first, second, ends, count, alive_until, start, stop):  # type: ignore[no-untyped-def]
    nowhere = np.empty(0)
    customers = keys.size
    for path in range(start, stop):
        d, c = path // customers, path % customers
        count[d, c], alive_until[d, c] = _walk(
            keys[c], first_draw + d, kind, _at(alive, d, c), _at(shape, d, c), _at(rate, d, c),
            _at(first, d, c), _at(second, d, c), ends[c], nowhere, 0, False,
        )  # fmt: skip


@njit(error_model="numpy", cache=True, nogil=True)
def _fill_paths(keys, first_draw, kind, alive, shape, rate, first, second, ends, count, offsets, times, start, stop):  # type: ignore[no-untyped-def]
    customers = keys.size
    for path in range(start, stop):
        d, c = path // customers, path % customers
        if count[d, c] > 0:
            _walk(
                keys[c], first_draw + d, kind, _at(alive, d, c), _at(shape, d, c), _at(rate, d, c),
                _at(first, d, c), _at(second, d, c), ends[c], times, offsets[path], True,
            )  # fmt: skip
