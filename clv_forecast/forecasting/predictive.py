"""Predictive draws: one path of purchases per (customer, draw), priced at every horizon at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clv_forecast.forecasting.plan import Plan
from clv_forecast.streams import STAGE_SPEND, standard_gamma
from clv_forecast.threads import in_spans

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
    end = float(boundaries[-1])
    paths = plan.module.draw_future_purchases(
        plan.params,
        plan.frequency[rows],
        plan.recency[rows],
        plan.T[rows],
        horizon=end,
        rng=plan.streams(rows),
        draws=plan.draws,
    )
    spend = plan.spend
    if plan.shock is None:
        multipliers, period = _NO_SHOCK, end + 1.0
    else:
        period = plan.shock.period_in(plan.unit)
        multipliers = plan.shock.multipliers(
            seed=plan.seed, first_draw=plan.first_draw, draws=plan.draws, periods=math.ceil(end / period)
        )
    shape = (len(rows), len(boundaries), plan.draws)
    purchases = np.zeros(shape, dtype=np.int32)
    revenue = np.zeros(shape) if spend is not None else np.full(shape, np.nan)
    value = np.zeros(shape) if spend is not None else np.full(shape, np.nan)
    moved = np.zeros(shape if plan.shock is not None else (1, 1, 1))
    nothing = np.empty(0)
    in_spans(
        _price,
        len(rows),
        paths.times,
        paths.offsets,
        paths.alive_until,
        boundaries,
        plan.discount,
        plan.factor,
        multipliers,
        period,
        spend is not None,
        nothing if spend is None else spend.p,
        nothing if spend is None else spend.q,
        nothing if spend is None else spend.v,
        nothing if spend is None else spend.count[rows],
        nothing if spend is None else spend.total[rows],
        plan.margin[rows],
        plan.cost_per_order[rows],
        plan.cost_per_time[rows],
        plan.keys[rows],
        plan.first_draw,
        purchases,
        moved,
        revenue,
        value,
        smallest=max(1, _SPAN // plan.draws),
    )
    moved_purchases = purchases if plan.shock is None else moved
    return PathMoney(purchases=purchases, moved_purchases=moved_purchases, revenue=revenue, value=value)


@njit(cache=True)
def _annuity(time, discount):  # type: ignore[no-untyped-def]
    """Integral of exp(-discount s) over (0, time)."""
    if discount * time < 1e-12:
        return time
    return -math.expm1(-discount * time) / discount


@njit(cache=True, nogil=True)
def _price(  # type: ignore[no-untyped-def]
    times,
    offsets,
    alive_until,
    boundaries,
    discount,
    factor,
    multipliers,
    period,
    has_spend,
    p,
    q,
    v,
    count,
    total,
    margin,
    cost_per_order,
    cost_per_time,
    keys,
    first_draw,
    purchases,
    moved,
    revenue,
    value,
    first_row,
    past_row,
):
    customers, horizons, draws = purchases.shape
    shocks = multipliers.size > 0
    for i in range(first_row, past_row):
        for d in range(draws):
            path = d * customers + i
            start, stop = offsets[path], offsets[path + 1]
            if has_spend and cost_per_time[i] > 0.0 and alive_until[d, i] > 0.0:
                for h in range(horizons):
                    alive = min(alive_until[d, i], boundaries[h])
                    value[i, h, d] -= cost_per_time[i] * _annuity(alive, discount)
            if start == stop:
                continue
            counter = 0
            rate = 1.0
            if has_spend:
                gamma, counter = standard_gamma(keys[i], first_draw + d, STAGE_SPEND, counter, q[d] + p[d] * count[i])
                rate = gamma / (v[d] + total[i])
            h = 0
            n = 0
            bought = 0.0
            money = 0.0
            worth = 0.0
            for j in range(start, stop):
                time = times[j]
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
                    scale = multipliers[d, min(int(time / period), multipliers.shape[1] - 1)]
                    bought += scale
                if has_spend:
                    gamma, counter = standard_gamma(keys[i], first_draw + d, STAGE_SPEND, counter, p[d])
                    scale *= factor
                    amount = gamma / rate
                    money += scale * amount
                    worth += scale * math.exp(-discount * time) * (amount * margin[i] - cost_per_order[i])
            while h < horizons:
                purchases[i, h, d] = n
                if shocks:
                    moved[i, h, d] = bought
                if has_spend:
                    revenue[i, h, d] += money
                    value[i, h, d] += worth
                h += 1
