"""Lines of orders by category, their margins, and returns: the order log as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.simulation.orders import Orders
from clv_forecast.simulation.parameters import SEGMENTS, Floats, TrueParameters
from clv_forecast.simulation.penetration import penetration

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
            _chosen(ranking[orders.account[part]], in_use[part], number[part], rng)
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
    ranking: NDArray[np.int64], in_use: NDArray[np.int64], number: NDArray[np.int64], rng: np.random.Generator
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
