"""Joint draws of newcomers: what groups of them bring in each world, and when that repays what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clv_forecast.errors import DomainError
from clv_forecast.finance.earned import Earned
from clv_forecast.finance.payback import first_months
from clv_forecast.finance.spend_levels import month_ends
from clv_forecast.forecasting.plan import Plan, customers_per_chunk
from clv_forecast.forecasting.predictive import predictive_money
from clv_forecast.progress import Progress
from clv_forecast.units import month_in

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

MOST_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CohortDraws:
    """What groups of newcomers bring, in worlds that are the same for all of them.

    Parameters
    ----------
    totals : ndarray, shape (group, draw)
        Contribution so far and within the horizon, discounted to the day each customer came.
    at_horizon_age : ndarray, shape (group, draw)
        What is to come of the contribution of each customer up to the age of one horizon.
    repaying : ndarray, shape (level, newcomer)
        Share of the draws in which a customer alone brings what one customer cost, by level of grouping; NaN where
        the cost is unknown.
    past : ndarray, shape (group, month)
        Contribution so far up to each month of age; empty where no cost is known.
    ahead : ndarray, shape (group, month, draw)
        What is to come of it, up to month ``first_month`` of age and each later one.
    first_month : ndarray of int, shape (group,)
    """

    totals: Floats
    at_horizon_age: Floats
    repaying: Floats
    past: Floats
    ahead: Floats
    first_month: Places

    def __repr__(self) -> str:
        return f"<CohortDraws: {self.totals.shape[1]} draws of {self.totals.shape[0]} groups>"

    def payback_month(self, groups: Places, cost: float) -> float:
        """Median month of age at whose end the groups' contribution has repaid the cost; NaN if fewer than half do.

        Parameters
        ----------
        groups : ndarray of int
            Taken together.
        cost : float

        Returns
        -------
        float
            0: with the first orders.
        """
        months = self.past.shape[1]
        path = np.zeros((months, self.ahead.shape[2])) + self.past[groups].sum(axis=0)[:, None]
        for group in groups:
            first = int(self.first_month[group])
            last = min(first + self.ahead.shape[1], months)
            path[first:last] += self.ahead[group, : last - first]
            path[last:] += self.ahead[group, -1]
        months_of_age, _ = first_months(path[None], np.array([cost]))
        return float(months_of_age[0]) - 1.0  # the first of the path is age 0


def draw_cohorts_jointly(
    plan: Plan,
    earned: Earned,
    rows: Places,
    group: Places,
    *,
    horizon: float,
    thresholds: Floats,
    progress: Progress,
) -> CohortDraws:
    """Replay the draws of a forecast and add up newcomers by group.

    Parameters
    ----------
    plan : Plan
    earned : Earned
        Of the newcomers.
    rows : ndarray of int, shape (newcomer,)
        Their rows in the plan.
    group : ndarray of int, shape (newcomer,)
        From 0 on, each with somebody in it.
    horizon : float
        In the unit of the plan.
    thresholds : ndarray, shape (level, newcomer)
        What one customer cost; NaN where unknown.
    progress : callable

    Returns
    -------
    CohortDraws

    Raises
    ------
    DomainError
        If the paths would take more than a gibibyte.

    Notes
    -----
    The future is drawn to the end of each month from today on; between these ends the path of a customer, who is of
    another age than its neighbour, is interpolated.
    """
    month = month_in(plan.unit)
    groups, paths = int(group.max()) + 1, bool(np.isfinite(thresholds).any())
    grid = month_ends(horizon, month)
    age = earned.T / month
    first_month, length = _span(age, group, groups, horizon / month)
    if paths and groups * length * plan.draws * 8 > MOST_BYTES:
        raise DomainError(
            "The paths of so many cohorts do not fit into memory.",
            value=f"{groups:,} groups, {length:,} months, {plan.draws:,} draws",
            remedy="Take longer periods, fewer channels, a shorter horizon or fewer draws.",
        )
    ahead = np.zeros((groups, length, plan.draws)) if paths else np.zeros((0, 0, plan.draws))
    totals, at_age = np.zeros((groups, plan.draws)), np.zeros((groups, plan.draws))
    repaying = np.full(thresholds.shape, np.nan)
    so_far, factor = earned.so_far(), np.exp(-plan.discount * earned.T)
    place = np.full(plan.customers, -1, dtype=np.intp)
    place[rows] = np.arange(len(rows))
    order = place[plan.order]
    order = order[order >= 0]
    step, done = customers_per_chunk(plan.draws, len(grid)), 0
    for start in range(0, len(order), step):
        some = order[start : start + step]
        value = predictive_money(plan, rows[some], grid).value * factor[some, None, None]
        own = value[:, -1] + so_far[some, None]
        np.add.at(totals, group[some], own)
        np.add.at(at_age, group[some], _at(value, grid, horizon - earned.T[some]))
        for level, limit in enumerate(thresholds[:, some]):
            reached = (own >= limit[:, None]).mean(axis=1)
            repaying[level, some] = np.where(np.isfinite(limit), reached, np.nan)
        if paths:
            _add_paths(ahead, group[some], first_month, age[some], value, grid / month)
        done += len(some)
        progress("cohorts", done, len(order))
    months = int((first_month + length).max()) - 1
    past = earned.by_month(group, groups, months, month) if paths else np.zeros((groups, 0))
    return CohortDraws(
        totals=totals, at_horizon_age=at_age, repaying=repaying, past=past, ahead=ahead, first_month=first_month
    )


def _span(age: Floats, group: Places, groups: int, horizon_months: float) -> tuple[Places, int]:
    """The month of age at which the future of each group begins, and for how many months the longest goes on."""
    youngest, oldest = np.full(groups, np.inf), np.zeros(groups)
    np.minimum.at(youngest, group, age)
    np.maximum.at(oldest, group, age)
    first = np.floor(youngest).astype(np.intp)
    return first, int(np.ceil(oldest + horizon_months - first).max()) + 1


def _at(value: Floats, ends: Floats, time: Floats) -> Floats:
    """Cumulative draws at a time from now, which differs by customer; 0 before now, shape (customer, draw)."""
    place = np.minimum(np.searchsorted(ends, time), len(ends) - 1)
    rows, begins = np.arange(len(time)), np.append(0.0, ends[:-1])
    low = np.where((place > 0)[:, None], value[rows, np.maximum(place - 1, 0)], 0.0)
    share = np.clip((time - begins[place]) / (ends[place] - begins[place]), 0.0, 1.0)
    return np.asarray(low + share[:, None] * (value[rows, place] - low))


@njit(cache=True)
def _add_paths(ahead, group, first_month, age, value, ends):  # type: ignore[no-untyped-def]
    """Add the future path of each customer to its group's, by month of age; ``ends`` are months from now."""
    customers, horizons, draws = value.shape
    for i in range(customers):
        g = group[i]
        k = 0
        for m in range(ahead.shape[1]):
            x = first_month[g] + m - age[i]
            if x <= 0.0:
                continue
            while k < horizons and ends[k] < x:
                k += 1
            if k == horizons:
                for d in range(draws):
                    ahead[g, m, d] += value[i, horizons - 1, d]
                continue
            before = ends[k - 1] if k > 0 else 0.0
            share = (x - before) / (ends[k] - before)
            for d in range(draws):
                low = value[i, k - 1, d] if k > 0 else 0.0
                ahead[g, m, d] += low + share * (value[i, k, d] - low)
