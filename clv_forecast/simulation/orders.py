r"""When simulated accounts order, and for how much.

Events of the accounts and when they leave.

Complaints and late deliveries come as Poisson processes while the account is a customer, at rates of its own (both
high or both low), and each raises its hazard of leaving, by an amount that fades:

.. math:: h(t) = h_0 + \sum_{e: t_e < t} b_{kind(e)} \exp(-(t - t_e) / \tau)

Surveys go out to everybody at the same rate and change nothing. The terms compete, so that each event takes the
account away by itself with the probability :math:`1 - e^{-b \tau}`, and the time of leaving is the first of
independent times.

Lines of orders by category, their margins, and returns: the order log as a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.simulation.parameters import (
    SEGMENTS,
    Floats,
    TrueParameters,
    cumulative_penetration,
    penetration,
    renumbered,
    time_of,
)

KINDS: Final = ("complaint", "late delivery", "survey")
RATES: Final = (0.30, 0.40, 0.50)
"""Events per year of an ordinary account."""
RAISES: Final = (1.0, 0.3, 0.0)
"""Leaving per year right after the event, above the account's own hazard."""
FADES: Final = 0.5
"""Years in which what an event adds falls by the factor e."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Happenings:
    """Events while the accounts were there, and when they left.

    Parameters
    ----------
    account : ndarray of int, shape (event,)
    kind : ndarray of int, shape (event,)
        Place in `KINDS`.
    time : ndarray, shape (event,)
        Years from the start of the log.
    left : ndarray, shape (account,)
        Years from the start of the log; may lie beyond the end of the future.
    """

    account: NDArray[np.intp]
    kind: NDArray[np.int64]
    time: Floats
    left: Floats

    def take(self, places: NDArray[np.intp], count: int) -> Happenings:
        """The accounts at some places out of ``count``, renumbered."""
        kept, account = renumbered(self.account, places, count)
        return Happenings(account=account, kind=self.kind[kept], time=self.time[kept], left=self.left[places])


def draw_happenings(parameters: TrueParameters, *, rng: np.random.Generator, end: float) -> Happenings:
    """Draw events up to ``end`` and the times of leaving.

    Parameters
    ----------
    parameters : TrueParameters
    rng : Generator
    end : float
        Years from the start of the log.

    Returns
    -------
    Happenings
        Events in the order of (account, time).
    """
    arrival = parameters.arrival
    left = arrival + rng.exponential(1.0, len(parameters)) / parameters.hazard
    accounts, kinds, times = [], [], []
    for kind, (rate, raised) in enumerate(zip(RATES, RAISES, strict=True)):
        # surveys go out to everybody alike, else who is surveyed would tell who complains
        temper = parameters.temper if raised > 0.0 else 1.0
        number = rng.poisson(rate * temper * (end - arrival))
        account = np.repeat(np.arange(len(parameters)), number)
        time = arrival[account] + rng.random(len(account)) * (end - arrival[account])
        np.minimum.at(left, account, time + delay(rng.exponential(1.0, len(account)), raised))
        accounts.append(account)
        kinds.append(np.full(len(account), kind))
        times.append(time)
    account, kind_of, time = (np.concatenate(parts) for parts in (accounts, kinds, times))
    there = time < left[account]
    account, kind_of, time = account[there], kind_of[there], time[there]
    order = np.lexsort((kind_of, time, account))
    return Happenings(account=account[order], kind=kind_of[order], time=time[order], left=left)


def delay(exponential: Floats, raised: float) -> Floats:
    """Years from an event to leaving because of it, from standard exponential variates; inf for never.

    Examples
    --------
    >>> delay(np.array([0.1, 0.4, 0.6]), 1.0).round(3), delay(np.array([0.1]), 0.0)
    (array([0.112, 0.805,   inf]), array([inf]))
    """
    reached = exponential < raised * FADES
    spent = np.where(reached, exponential, 0.0) / (raised * FADES if raised > 0.0 else 1.0)
    return np.where(reached, -FADES * np.log1p(-spent), np.inf)


def survival(parameters: TrueParameters, happenings: Happenings, *, now: float, ahead: Floats) -> Floats:
    r"""Probability of being there ``ahead`` years after ``now``, for an account that is there now.

    .. math::

        S(t) = \exp\Big(-h_0 t - X (1 - e^{-t/\tau})
        - \sum_k \rho_k \int_0^t (1 - e^{-b_k \tau (1 - e^{-r/\tau})}) dr\Big),
        \qquad X = \sum_{e: t_e < now} b_e \tau e^{-(now - t_e)/\tau}

    Parameters
    ----------
    parameters : TrueParameters
    happenings : Happenings
        Events up to ``now`` count; those after it are averaged over.
    now : float
        Years from the start of the log.
    ahead : ndarray, shape (time,)
        Years, >= 0.

    Returns
    -------
    ndarray, shape (account, time)
    """
    before = happenings.time < now
    faded = np.take(RAISES, happenings.kind[before]) * FADES * np.exp((happenings.time[before] - now) / FADES)
    pending = np.bincount(happenings.account[before], weights=faded, minlength=len(parameters))
    coming = sum(rate * _losses(raised, ahead) for rate, raised in zip(RATES, RAISES, strict=True))
    spent = 1.0 - np.exp(-ahead / FADES)
    total = np.outer(parameters.hazard, ahead) + np.outer(pending, spent) + np.outer(parameters.temper, coming)
    return np.asarray(np.exp(-total), dtype=np.float64)


def _losses(raised: float, ahead: Floats) -> Floats:
    """Expected departures by ``ahead`` per unit rate of events of one kind, by Gauss and Legendre's rule."""
    nodes, weights = np.polynomial.legendre.leggauss(32)
    r = np.multiply.outer(ahead, (nodes + 1.0) / 2.0)
    lost = -np.expm1(-raised * FADES * -np.expm1(-r / FADES))
    return np.asarray((lost * weights).sum(axis=1) * ahead / 2.0, dtype=np.float64)


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
    time = time_of(u0, growth, start, cumulative=elapsed)
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


MOST_LINES: Final = 4
FURTHER_LINE: Final = 0.3
RETURNED: Final = 0.03
"""Share of lines that come back."""
RETURNED_WHOLE: Final = 0.6
RETURNED_PART: Final = 0.5
"""Average part that comes back of a line returned in part."""
YEARS_TO_RETURN: Final = (2.0 / 365.0, 45.0 / 365.0)
MARGIN_NOISE: Final = 0.02
_ORDERS_AT_ONCE: Final = 100_000


def returned_revenue() -> float:
    """Share of the revenue that comes back where there are returns.

    Examples
    --------
    >>> round(returned_revenue(), 4)
    0.024
    """
    return RETURNED * (RETURNED_WHOLE + (1.0 - RETURNED_WHOLE) * RETURNED_PART)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lines:
    """Lines of the order log.

    Parameters
    ----------
    order : ndarray of int, shape (line,)
        Place of the line's order.
    category : ndarray of int, shape (line,)
    time : ndarray, shape (line,)
        Years from the start of the log.
    amount, margin : ndarray, shape (line,)
        Money, in cents' precision; negative for a return.
    """

    order: NDArray[np.intp]
    category: NDArray[np.int64]
    time: Floats
    amount: Floats
    margin: Floats


def draw_lines(
    parameters: TrueParameters,
    orders: Orders,
    amounts: Floats,
    *,
    rng: np.random.Generator,
    categories: int,
    messy: bool,
) -> Lines:
    """Split orders into lines of distinct categories and let some lines come back.

    Each segment likes the categories differently, and each account ranks them with a taste of its own; the first
    ``1 + floor((categories - 1) u(t) + 1/2)`` of its ranking are in use at the share ``u(t)`` of its wallet.

    Parameters
    ----------
    parameters : TrueParameters
    orders : Orders
    amounts : ndarray, shape (order,)
        Net of what will come back on average.
    rng : Generator
    categories : int
    messy : bool
        Whether lines come back.

    Returns
    -------
    Lines
        Sales in the order of ``orders``, then returns.
    """
    ranking = _rankings(parameters, rng, categories)
    u0, growth, start = (v[orders.account] for v in (parameters.u0, parameters.growth, parameters.start))
    share = penetration(u0, growth, start, orders.time)
    in_use = 1 + np.floor((categories - 1) * share + 0.5).astype(np.int64)
    number = 1 + rng.binomial(np.minimum(in_use, MOST_LINES) - 1, FURTHER_LINE)
    order = np.repeat(np.arange(len(number)), number)
    category = np.concatenate(
        [np.empty(0, dtype=np.int64)]
        + [
            _chosen(ranking[orders.account[part]], in_use[part], number[part], rng=rng)
            for part in _parts(len(number), _ORDERS_AT_ONCE)
        ]
    )
    weight = rng.gamma(2.0, 1.0, len(order))
    total = np.bincount(order, weights=weight, minlength=len(number))
    gross = amounts / (1.0 - returned_revenue()) if messy else amounts
    amount = np.maximum(np.round(gross[order] * weight / total[order], 2), 0.01)
    rate = parameters.margin[orders.account[order]] + rng.normal(0.0, MARGIN_NOISE, len(order))
    lines = Lines(
        order=order,
        category=category,
        time=orders.time[order],
        amount=amount,
        margin=np.round(amount * rate, 2),
    )
    return _with_returns(lines, rng) if messy else lines


def _parts(count: int, size: int) -> list[slice]:
    return [slice(first, first + size) for first in range(0, count, size)]


def _rankings(parameters: TrueParameters, rng: np.random.Generator, categories: int) -> NDArray[np.int64]:
    """Categories of each account from the best liked down: order of (segment's liking + own taste)."""
    liking = rng.normal(0.0, 1.0, (len(SEGMENTS), categories))
    taste = rng.gumbel(0.0, 0.7, (len(parameters), categories))
    return np.argsort(-(liking[parameters.segment] + taste), axis=1)


def _chosen(
    ranking: NDArray[np.int64], in_use: NDArray[np.int64], number: NDArray[np.int64], *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Distinct categories for the lines of some orders; the better liked come more often."""
    places = np.arange(ranking.shape[1])
    keys = rng.gumbel(size=ranking.shape) - 0.35 * places
    keys[places >= in_use[:, None]] = -np.inf
    best = np.argsort(-keys, axis=1)[:, :MOST_LINES]
    taken = np.arange(best.shape[1]) < number[:, None]
    return np.take_along_axis(ranking, best, axis=1)[taken]


def _with_returns(lines: Lines, rng: np.random.Generator) -> Lines:
    back = np.flatnonzero(rng.random(len(lines.order)) < RETURNED)
    part = np.where(rng.random(len(back)) < RETURNED_WHOLE, 1.0, rng.random(len(back)))
    amount = np.round(lines.amount[back] * part, 2)
    margin = np.round(lines.margin[back] * part, 2)
    later = rng.uniform(*YEARS_TO_RETURN, len(back))
    some = amount > 0.0
    return Lines(
        order=np.concatenate([lines.order, lines.order[back][some]]),
        category=np.concatenate([lines.category, lines.category[back][some]]),
        time=np.concatenate([lines.time, (lines.time[back] + later)[some]]),
        amount=np.concatenate([lines.amount, -amount[some]]),
        margin=np.concatenate([lines.margin, -margin[some]]),
    )
