"""Predictive draws: one path of purchases per (customer, draw), priced at every horizon at once.

Quantiles of draws: equal-tailed bands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.plan import Part, Plan
from clv_forecast.streams import STAGE_SPEND, KeyedStreams, standard_gamma
from clv_forecast.threads import in_spans


def check_prob(prob: float) -> float:
    """Return ``prob`` when it lies inside (0, 1).

    Raises
    ------
    DomainError
        Otherwise.

    Examples
    --------
    >>> check_prob(0.9)
    0.9
    """
    if not 0.0 < finite_number(prob, "prob") < 1.0:
        raise DomainError("prob is the probability inside the band, between 0 and 1 (0.9 for 90 %).", value=prob)
    return float(prob)


def band(draws: NDArray[Any], prob: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Equal-tailed band over the last axis: at least ``prob`` of the draws lie inside, ends included.

    The ends are order statistics (no interpolation), so a band of counts has whole ends, and bands of rising
    ``prob`` nest.

    Examples
    --------
    >>> low, high = band(np.arange(1.0, 101.0), 0.9)
    >>> float(low), float(high)
    (5.0, 96.0)
    """
    count = draws.shape[-1]
    below = int(np.floor((1.0 - prob) / 2.0 * count + 1e-9))
    low = max(below - 1, 0)
    high = count - 1 - low
    ordered = np.partition(draws, (low, high), axis=-1)
    return ordered[..., low], ordered[..., high]


_NO_SHOCK: Final = np.empty((0, 0))
# Paths that are worth a span of their own.
_SPAN: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMoney:
    """Predictive draws of some customers; every array has shape (customer, horizon, draw).

    ``purchases`` counts; ``moved_purchases`` are the same after the common shock, for totals (without a shock the
    very same array); ``revenue`` is undiscounted sales; ``value`` is discounted contribution. Without a spend model
    the last two are NaN.
    """

    purchases: NDArray[np.int32]
    moved_purchases: NDArray[np.int32] | NDArray[np.float64]
    revenue: NDArray[np.float64]
    value: NDArray[np.float64]


def predictive_money(plan: Plan, rows: NDArray[np.intp], boundaries: NDArray[np.float64]) -> PathMoney:
    """Draw the future of some customers and price it up to each boundary.

    Parameters
    ----------
    plan : Plan
    rows : ndarray of int, shape (customer,)
        Positions of the customers in the plan.
    boundaries : ndarray, shape (horizon,)
        Ascending ends of the horizons, in the plan's unit.

    Returns
    -------
    PathMoney
        Cumulative from now to each boundary. A customer's numbers do not depend on the other rows or boundaries.
    """
    drawn = [_part_money(plan, part, rows, boundaries=boundaries) for part in plan.parts]
    if len(drawn) == 1:
        return drawn[0]
    purchases, moved, revenue, value = (
        np.concatenate([getattr(money, name) for money in drawn], axis=-1)
        for name in ("purchases", "moved_purchases", "revenue", "value")
    )
    return PathMoney(
        purchases=purchases,
        moved_purchases=purchases if plan.shock is None else moved,
        revenue=revenue,
        value=value,
    )


def _part_money(plan: Plan, part: Part, rows: NDArray[np.intp], *, boundaries: NDArray[np.float64]) -> PathMoney:
    """Draw and price with the parameters of one part."""
    end = float(boundaries[-1])
    draws, priced = part.draws, plan.has_spend
    paths = part.module.draw_future_purchases(
        part.purchases(rows),
        plan.frequency[rows],
        plan.recency[rows],
        plan.T[rows],
        horizon=end,
        rng=KeyedStreams(plan.keys[rows], part.first_draw),
        draws=draws,
        stays=plan.stays,
    )
    if plan.shock is None:
        multipliers, period = _NO_SHOCK, end + 1.0
    else:
        period = plan.shock.period_in(plan.unit)
        multipliers = plan.shock.multipliers(
            seed=plan.seed, first_draw=part.first_draw, draws=draws, periods=math.ceil(end / period)
        )
    shape = (len(rows), len(boundaries), draws)
    purchases = np.zeros(shape, dtype=np.int32)
    revenue = np.zeros(shape) if priced else np.full(shape, np.nan)
    value = np.zeros(shape) if priced else np.full(shape, np.nan)
    moved = np.zeros(shape if plan.shock is not None else (1, 1, 1))
    in_spans(
        _price,
        len(rows),
        _Paths(times=paths.times, offsets=paths.offsets, alive_until=paths.alive_until),
        _Pricing(
            boundaries=boundaries,
            discount=plan.discount,
            factor=plan.factor,
            multipliers=multipliers,
            period=period,
            margin=plan.margin[rows],
            cost_per_order=plan.cost_per_order[rows],
            cost_per_time=plan.cost_per_time[rows],
        ),
        _spend_of(part, rows) if priced else _NO_SPEND,
        plan.keys[rows],
        part.first_draw,
        _Sums(purchases=purchases, moved=moved, revenue=revenue, value=value),
        smallest=max(1, _SPAN // draws),
    )
    moved_purchases = purchases if plan.shock is None else moved
    return PathMoney(purchases=purchases, moved_purchases=moved_purchases, revenue=revenue, value=value)


class _Paths(NamedTuple):
    """Times of purchases, one path after the other: of the first draw every customer, then of the second."""

    times: NDArray[np.float64]
    offsets: NDArray[np.int64]
    alive_until: NDArray[np.float64]


class _Pricing(NamedTuple):
    """Ends of horizons, what a day costs and a period is worth, and each customer's terms."""

    boundaries: NDArray[np.float64]
    discount: float
    factor: float
    multipliers: NDArray[np.float64]
    period: float
    margin: NDArray[np.float64]
    cost_per_order: NDArray[np.float64]
    cost_per_time: NDArray[np.float64]


class _Spend(NamedTuple):
    """Parameters of spend, shape (draw, cell); each customer's cell, and the orders seen. Empty without spend."""

    p: NDArray[np.float64]
    q: NDArray[np.float64]
    v: NDArray[np.float64]
    cell: NDArray[np.intp]
    orders: NDArray[np.float64]
    total: NDArray[np.float64]


class _Sums(NamedTuple):
    """What is filled, shape (customer, horizon, draw)."""

    purchases: NDArray[np.int32]
    moved: NDArray[np.float64]
    revenue: NDArray[np.float64]
    value: NDArray[np.float64]


_NOTHING: Final = np.empty((0, 0))
_NO_SPEND: Final = _Spend(
    p=_NOTHING, q=_NOTHING, v=_NOTHING, cell=np.empty(0, dtype=np.intp), orders=np.empty(0), total=np.empty(0)
)


def _spend_of(part: Part, rows: NDArray[np.intp]) -> _Spend:
    if part.spend_count is None or part.spend_total is None:
        return _NO_SPEND
    params, place = part.spend(rows)
    p, q, v = (np.ascontiguousarray(getattr(params, name)) for name in ("p", "q", "v"))
    return _Spend(p=p, q=q, v=v, cell=place, orders=part.spend_count[rows], total=part.spend_total[rows])


@njit(cache=True)
def _annuity(time, discount):  # type: ignore[no-untyped-def]
    """Integral of exp(-discount s) over (0, time)."""
    if discount * time < 1e-12:
        return time
    return -math.expm1(-discount * time) / discount


@njit(cache=True, nogil=True)
def _price(paths, pricing, spend, keys, first_draw, sums, first_row, past_row):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
    purchases, moved, revenue, value = sums.purchases, sums.moved, sums.revenue, sums.value
    boundaries, multipliers, discount = pricing.boundaries, pricing.multipliers, pricing.discount
    has_spend, shocks = spend.p.size > 0, multipliers.size > 0
    customers, horizons, draws = purchases.shape
    for i in range(first_row, past_row):
        c = spend.cell[i] if has_spend else 0
        for d in range(draws):
            path = d * customers + i
            start, stop = paths.offsets[path], paths.offsets[path + 1]
            if has_spend and pricing.cost_per_time[i] > 0.0 and paths.alive_until[d, i] > 0.0:
                for h in range(horizons):
                    alive = min(paths.alive_until[d, i], boundaries[h])
                    value[i, h, d] -= pricing.cost_per_time[i] * _annuity(alive, discount)
            if start == stop:
                continue
            counter = 0
            rate = 1.0
            if has_spend:
                level = spend.q[d, c] + spend.p[d, c] * spend.orders[i]
                gamma, counter = standard_gamma(keys[i], first_draw + d, STAGE_SPEND, counter, level)
                rate = gamma / (spend.v[d, c] + spend.total[i])
            h = 0
            n = 0
            bought = 0.0
            money = 0.0
            worth = 0.0
            for j in range(start, stop):
                time = paths.times[j]
                while time > boundaries[h]:
                    purchases[i, h, d] = n
                    if shocks:
                        moved[i, h, d] = bought
                    if has_spend:
                        revenue[i, h, d] += money
                        value[i, h, d] += worth
                    h += 1
                n += 1
                scale = 1.0
                if shocks:
                    scale = multipliers[d, min(int(time / pricing.period), multipliers.shape[1] - 1)]
                    bought += scale
                if has_spend:
                    gamma, counter = standard_gamma(keys[i], first_draw + d, STAGE_SPEND, counter, spend.p[d, c])
                    scale *= pricing.factor
                    amount = gamma / rate
                    money += scale * amount
                    worth += (
                        scale * math.exp(-discount * time) * (amount * pricing.margin[i] - pricing.cost_per_order[i])
                    )
            while h < horizons:
                purchases[i, h, d] = n
                if shocks:
                    moved[i, h, d] = bought
                if has_spend:
                    revenue[i, h, d] += money
                    value[i, h, d] += worth
                h += 1
