"""Drawn orders: Gamma variates with a Gamma rate, by key, one order after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from clv_forecast.errors import DomainError
from clv_forecast.models.domain import Floats, non_negative
from clv_forecast.streams import STAGE_SPEND, RandomSource, as_streams, standard_gamma
from clv_forecast.threads import in_spans

_SMALLEST: Final = float(np.finfo(np.float64).tiny)
# Customers that are worth a span of their own.
_SPAN: Final = 1024


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
    in_spans(_fill, number.size, keys, first_draw, *fields, number, offsets, amount, smallest=_SPAN)
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
    in_spans(_sum, number.size, keys, first_draw, *fields, number, total, smallest=_SPAN)
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


@njit(cache=True, inline="always")
def _at(field, draw, customer):  # type: ignore[no-untyped-def]
    return field[draw if field.shape[0] > 1 else 0, customer if field.shape[1] > 1 else 0]


@njit(cache=True)
def _walk(key, draw, order_shape, shape, rate, number, amount, start, fill):  # type: ignore[no-untyped-def]
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
            total[d, c] = _walk(
                keys[c], first_draw + d, _at(order_shape, d, c), _at(shape, d, c), _at(rate, d, c),
                number[d, c], nowhere, 0, False,
            )  # fmt: skip


@njit(cache=True, nogil=True)
def _fill(keys, first_draw, order_shape, shape, rate, number, offsets, amount, start, stop):  # type: ignore[no-untyped-def]
    customers = keys.size
    for owner in range(start, stop):
        d, c = owner // customers, owner % customers
        if number[d, c] > 0:
            _walk(
                keys[c], first_draw + d, _at(order_shape, d, c), _at(shape, d, c), _at(rate, d, c),
                number[d, c], amount, offsets[owner], True,
            )  # fmt: skip
