"""When simulated accounts order, and for how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.simulation.parameters import Floats, TrueParameters, renumbered
from clv_forecast.simulation.penetration import cumulative_penetration, time_of

ERLANG_SHAPE: Final = 5
AMOUNT_SHAPE: Final = 4.0
"""Gamma shape of an order's amount around the account's mean: a coefficient of variation of one half."""
LARGE_CHANCE: Final = 0.08
LARGE_TIMES: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Orders:
    """Orders in the order of (account, time).

    Parameters
    ----------
    account : ndarray of int, shape (order,)
    time : ndarray, shape (order,)
        Years from the start of the log.
    """

    account: NDArray[np.intp]
    time: Floats

    def take(self, places: NDArray[np.intp], count: int) -> Orders:
        """The accounts at some places out of ``count``, renumbered."""
        kept, account = renumbered(self.account, places, count)
        return Orders(account=account, time=self.time[kept])


def draw_orders(parameters: TrueParameters, left: Floats, *, rng: np.random.Generator, end: float) -> Orders:
    """Draw the times of orders until the account leaves or the future ends.

    An account orders at the rate ``wallet x u(t) / order_size``. In operational time (the integral of the rate) that
    is a Poisson process, or for regular accounts a stationary renewal process with Erlang gaps. An account that
    arrives within the log also orders on the day of its arrival.

    Parameters
    ----------
    parameters : TrueParameters
    left : ndarray, shape (account,)
        When each leaves, in years from the start of the log.
    rng : Generator
    end : float

    Returns
    -------
    Orders
    """
    path = (parameters.u0, parameters.growth, parameters.start)
    rate = parameters.wallet / parameters.order_size
    begun = cumulative_penetration(*path, parameters.arrival)
    length = rate * (cumulative_penetration(*path, np.minimum(left, end)) - begun)
    poisson = _poisson(np.where(parameters.regular, 0.0, length), rng)
    renewals = _renewals(np.where(parameters.regular, length, 0.0), rng)
    account = np.concatenate([poisson[0], renewals[0]])
    elapsed = begun[account] + np.concatenate([poisson[1], renewals[1]]) / rate[account]
    u0, growth, start = (values[account] for values in path)
    time = time_of(u0, growth, start, elapsed)
    arriving = np.flatnonzero(parameters.arrival > 0.0)
    account = np.concatenate([arriving, account])
    time = np.concatenate([parameters.arrival[arriving], time])
    order = np.lexsort((time, account))
    return Orders(account=account[order], time=time[order])


def _poisson(length: Floats, rng: np.random.Generator) -> tuple[NDArray[np.intp], Floats]:
    number = rng.poisson(length)
    account = np.repeat(np.arange(len(length)), number)
    return account, rng.random(len(account)) * length[account]


def _renewals(length: Floats, rng: np.random.Generator) -> tuple[NDArray[np.intp], Floats]:
    """Stationary renewals: the first gap is a uniform part of a gap chosen in proportion to its length."""
    shape = ERLANG_SHAPE
    number = np.where(length > 0.0, np.ceil(length + 8.0 * np.sqrt(length / shape)) + 10.0, 0.0).astype(np.intp)
    account = np.repeat(np.arange(len(length)), number)
    first = np.cumsum(number)[number > 0] - number[number > 0]
    gaps = rng.gamma(shape, 1.0 / shape, len(account))
    gaps[first] = rng.gamma(shape + 1.0, 1.0 / shape, len(first)) * rng.random(len(first))
    run = np.cumsum(gaps)
    run -= np.repeat(run[first] - gaps[first], number[number > 0])
    kept = run < length[account]
    return account[kept], run[kept]


def draw_amounts(parameters: TrueParameters, orders: Orders, *, rng: np.random.Generator) -> Floats:
    """Draw the revenue of each order, with the account's ``order_size`` as its mean.

    Irregular accounts make one order in twelve about fifteen times as large as the others.

    Parameters
    ----------
    parameters : TrueParameters
    orders : Orders
    rng : Generator

    Returns
    -------
    ndarray, shape (order,)
    """
    amount = parameters.order_size[orders.account] * rng.gamma(AMOUNT_SHAPE, 1.0 / AMOUNT_SHAPE, len(orders.account))
    large = np.where(rng.random(len(amount)) < LARGE_CHANCE, LARGE_TIMES, 1.0)
    level = 1.0 + LARGE_CHANCE * (LARGE_TIMES - 1.0)
    return np.where(parameters.irregular[orders.account], amount * large / level, amount)
