"""Rows of cohorts and of their sums: value with bands, what they cost, and what a customer of theirs may cost.

What newcomers have brought so far, day by day since they came, in the money of the forecast.

Joint draws of newcomers: what groups of them bring in each world, and when that repays what they cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.finance.allowances import allowance, first_months, month_ends, reached, reached_with
from clv_forecast.finance.effects import annuity
from clv_forecast.finance.newcomers import AcquisitionCost, Newcomers
from clv_forecast.finance.spend import CONFIDENCES, level_column
from clv_forecast.forecasting.plan import Plan, customers_per_chunk
from clv_forecast.forecasting.predictive import band, predictive_money
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.progress import Progress
from clv_forecast.units import DAYS_PER_UNIT, month_in


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Earned:
    """Purchases of newcomers, discounted to the day each of them came.

    Parameters
    ----------
    owner : ndarray of int, shape (purchase,)
        Place of the buyer among the newcomers.
    age : ndarray, shape (purchase,)
        Time since the buyer came, in the unit of the forecast.
    revenue, contribution : ndarray, shape (purchase,)
        Discounted; contribution is after the margin and the cost of the order, before the cost to serve.
    T, recency, p_alive, cost_per_time : ndarray, shape (newcomer,)
    discount : float
        Continuous, per unit of time.
    """

    owner: Places
    age: Floats
    revenue: Floats
    contribution: Floats
    T: Floats
    recency: Floats
    p_alive: Floats
    cost_per_time: Floats
    discount: float

    def __repr__(self) -> str:
        return f"<Earned: {len(self.owner):,} purchases of {len(self.T):,} newcomers>"

    def by_age(self, age: float, measure: str = "contribution") -> Floats:
        """Money of each newcomer up to an age, the first order included; shape (newcomer,).

        The cost to serve is that of the whole age, whoever left meanwhile: of a cohort that was watched for longer
        more is known about who left, and it would look cheaper for that alone.
        """
        money = getattr(self, measure)
        within = self.age <= age * (1.0 + 1e-9)
        found = np.bincount(self.owner[within], weights=money[within], minlength=len(self.T))
        if measure == "contribution":
            found = found - self.cost_per_time * annuity(np.full(len(self.T), age), self.discount)
        return np.asarray(found)

    def so_far(self, age: float = np.inf) -> Floats:
        """Contribution of each newcomer up to now, or up to an age if that was earlier; shape (newcomer,).

        Served up to today if it is still there, up to its last purchase if it has left, weighed by P(alive).
        """
        within = self.age <= age * (1.0 + 1e-9)
        brought = np.bincount(self.owner[within], weights=self.contribution[within], minlength=len(self.T))
        return np.asarray(brought - self._served(age))

    def by_month(self, group: Places, groups: int, months: int, *, month: float) -> Floats:
        """Contribution of groups of newcomers up to each month of age, shape (group, month); month 0 is the first day.

        Parameters
        ----------
        group : ndarray of int, shape (newcomer,)
        groups, months : int
        month : float
            Its length in the unit of the forecast.
        """
        found = np.zeros((groups, months + 1))
        place = np.ceil(self.age / month - 1e-9).astype(np.intp)
        np.add.at(found, (group[self.owner], np.minimum(place, months)), self.contribution)
        found = found.cumsum(axis=1)
        if self.cost_per_time.any():
            for at in range(months + 1):
                found[:, at] -= np.bincount(group, weights=self._served(at * month), minlength=groups)
        return found

    def _served(self, age: float) -> Floats:
        """Expected cost to serve up to an age, or up to now."""
        there, gone = (annuity(np.minimum(end, age), self.discount) for end in (self.T, self.recency))
        return np.asarray(self.cost_per_time * (self.p_alive * there + (1.0 - self.p_alive) * gone))


def earned_by(forecast: Forecast, purchases: pd.DataFrame, rows: Places, *, p_alive: Floats) -> Earned:
    """Price the purchases of some customers as the forecast prices those to come.

    Parameters
    ----------
    forecast : Forecast
    purchases : DataFrame
        ``history.purchases()``.
    rows : ndarray of int, shape (newcomer,)
        Rows of the history.
    p_alive : ndarray, shape (customer,)
        Of all customers of the history.

    Returns
    -------
    Earned

    Notes
    -----
    A customer's margin so far is that of the log, as a rate over all its purchases, where the log has it; else the
    forecast's rate.
    """
    plan, past = forecast.plan, forecast.history.table
    place = np.full(len(past), -1, dtype=np.intp)
    place[rows] = np.arange(len(rows))
    customer = pd.Index(past[columns.CUSTOMER_ID]).get_indexer(pd.Index(purchases[columns.CUSTOMER_ID]))
    kept = place[customer] >= 0
    customer, amount = customer[kept], purchases[columns.AMOUNT].to_numpy(dtype=np.float64)[kept]
    since = purchases[columns.DATE].to_numpy()[kept] - past[columns.FIRST_PURCHASE].to_numpy()[customer]
    age = since / np.timedelta64(1, "D") / DAYS_PER_UNIT[plan.unit]
    factor = np.exp(-plan.discount * age)
    margin = _margins(forecast)[customer]
    return Earned(
        owner=place[customer],
        age=age,
        revenue=factor * amount,
        contribution=factor * (margin * amount - plan.cost_per_order[customer]),
        T=plan.T[rows],
        recency=plan.recency[rows],
        p_alive=p_alive[rows],
        cost_per_time=plan.cost_per_time[rows],
        discount=plan.discount,
    )


def _margins(forecast: Forecast) -> Floats:
    rates, past = forecast.plan.margin, forecast.history.table
    if columns.TOTAL_MARGIN not in past:
        return rates
    logged = past[columns.TOTAL_MARGIN].to_numpy(dtype=np.float64, na_value=np.nan)
    revenue = past[columns.TOTAL_REVENUE].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(logged), logged / revenue, rates)


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
    *,
    group: Places,
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
    first_month, length = _span(age, group, groups, horizon_months=horizon / month)
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
    past = earned.by_month(group, groups, months, month=month) if paths else np.zeros((groups, 0))
    return CohortDraws(
        totals=totals, at_horizon_age=at_age, repaying=repaying, past=past, ahead=ahead, first_month=first_month
    )


def _span(age: Floats, group: Places, groups: int, *, horizon_months: float) -> tuple[Places, int]:
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
def _add_paths(ahead, group, first_month, age, value, ends):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
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


Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worth:
    """What newcomers are worth; arrays of shape (newcomer,), discounted to the day each came.

    ``at_horizon_age`` is contribution so far up to the age of one horizon, ``expected`` what the horizon ahead brings;
    ``group`` is the place of each newcomer's cohort and channel among those with somebody in them; ``repeats`` are the
    repeat purchases so far, ``expected_repeats`` those that the model expects of a new customer.
    """

    so_far: Floats
    at_horizon_age: Floats
    expected: Floats
    group: Places
    draws: CohortDraws
    repeats: Floats
    expected_repeats: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortTerms:
    """Return and confidence asked of what a customer costs, and the probability inside bands."""

    target_roi: float
    confidence: float
    prob: float


def customer_costs(newcomers: Newcomers, costs: AcquisitionCost) -> Floats:
    """Cost of one customer by level (cohort and channel, cohort, channel, all), shape (4, newcomer); NaN if unknown."""
    counts = newcomers.counts()
    cohort, channel = newcomers.cohort, newcomers.channel
    return np.stack(
        [
            costs.each[cohort, channel] / counts[cohort, channel],
            costs.of_cohort[cohort] / counts.sum(axis=1)[cohort],
            costs.of_channel[channel] / counts.sum(axis=0)[channel],
            np.full(len(cohort), costs.of_all / len(cohort)),
        ]
    )


def cohort_rows(newcomers: Newcomers, costs: AcquisitionCost, worth: Worth, *, terms: CohortTerms) -> pd.DataFrame:
    """One row per cohort and channel in which somebody came, came back, or was paid for."""
    shown = (newcomers.counts() > 0) | (newcomers.reactivated > 0) | np.isfinite(costs.each)
    rows = []
    for cohort, channel in zip(*np.nonzero(shown), strict=True):
        chosen = (newcomers.cohort == cohort) & (newcomers.channel == channel)
        rows.append(
            {
                "cohort": newcomers.cohorts[cohort],
                "channel": newcomers.channels[channel],
                "complete": bool(newcomers.complete[cohort]),
                "reactivated": int(newcomers.reactivated[cohort, channel]),
                **_money(chosen, 0, float(costs.each[cohort, channel]), worth=worth, terms=terms),
            }
        )
    return pd.DataFrame(rows)


def sum_rows(newcomers: Newcomers, costs: AcquisitionCost, worth: Worth, *, terms: CohortTerms) -> pd.DataFrame:
    """Sums of the rows: everything, each channel, each cohort; "all" is what was added up."""
    back = newcomers.reactivated
    everybody = np.ones(len(newcomers.rows), dtype=bool)
    parts = [(EVERYONE, EVERYONE, everybody, 3, costs.of_all, back.sum(), newcomers.complete.all())]
    if newcomers.split:
        for place, name in enumerate(newcomers.channels):
            chosen = newcomers.channel == place
            cost, returns = costs.of_channel[place], back[:, place].sum()
            if chosen.any() or returns or np.isfinite(cost):
                parts.append((EVERYONE, name, chosen, 2, cost, returns, newcomers.complete.all()))
        for place, name in enumerate(newcomers.cohorts):
            chosen = newcomers.cohort == place
            cost, returns = costs.of_cohort[place], back[place].sum()
            if chosen.any() or returns or np.isfinite(cost):
                parts.append((name, EVERYONE, chosen, 1, cost, returns, newcomers.complete[place]))
    return pd.DataFrame(
        [
            {
                "cohort": cohort,
                "channel": channel,
                "complete": bool(complete),
                "reactivated": int(returns),
                **_money(chosen, level, float(cost), worth=worth, terms=terms),
            }
            for cohort, channel, chosen, level, cost, returns, complete in parts
        ]
    )


def _money(chosen: NDArray[np.bool_], level: int, cost: float, *, worth: Worth, terms: CohortTerms) -> dict[str, Any]:
    """Value, cost and what may be spent on some of the newcomers."""
    customers, nan = int(chosen.sum()), math.nan
    known = math.isfinite(cost)
    if not customers:
        empty = dict.fromkeys(_PER_CUSTOMER, nan)
        sums = {"total": 0.0, "total_lower": 0.0, "total_upper": 0.0, "acquisition_cost": cost}
        return {"new_customers": 0, **empty, **sums, "p_repays_cac": float(cost <= 0.0) if known else nan}
    groups = np.unique(worth.group[chosen])
    draws = worth.draws.totals[groups].sum(axis=0)
    lower, upper = (float(end) for end in band(draws, terms.prob))
    so_far, expected = float(worth.so_far[chosen].sum()), float(worth.expected[chosen].sum())
    total = so_far + expected
    expected_repeats = float(worth.expected_repeats[chosen].sum())
    alike = worth.draws.at_horizon_age[groups].sum(axis=0) + float(worth.at_horizon_age[chosen].sum())
    alike_lower, alike_upper = (float(end) for end in band(alike, terms.prob))
    surely = reached_with(draws, terms.confidence) / customers
    return {
        "new_customers": customers,
        "repeat_ratio": float(worth.repeats[chosen].sum() / expected_repeats) if expected_repeats > 0.0 else nan,
        "so_far_per_customer": so_far / customers,
        "forecast_per_customer": expected / customers,
        "value_per_customer": total / customers,
        "lower": lower / customers,
        "upper": upper / customers,
        "value_at_equal_age": float(alike.mean()) / customers,
        "equal_age_lower": alike_lower / customers,
        "equal_age_upper": alike_upper / customers,
        "total": total,
        "total_lower": lower,
        "total_upper": upper,
        "acquisition_cost": cost,
        "cac": cost / customers,
        "ltv_to_cac": total / cost if known and cost > 0.0 else nan,
        "p_repays_cac": float((draws >= cost).mean()) if known else nan,
        "share_repaying": float(worth.draws.repaying[level, chosen].mean()) if known else nan,
        "allowable_cac": float(allowance(np.asarray(surely), None, terms.target_roi)) / 100.0,
        "payback_months": worth.draws.payback_month(groups, cost) if known else nan,
        **{level_column(c): amount / customers for c, amount in zip(CONFIDENCES, reached(draws).tolist(), strict=True)},
    }


_PER_CUSTOMER = (
    "repeat_ratio",
    *("so_far_per_customer", "forecast_per_customer", "value_per_customer", "lower", "upper"),
    *("value_at_equal_age", "equal_age_lower", "equal_age_upper", "cac", "ltv_to_cac"),
    *("share_repaying", "allowable_cac", "payback_months"),
    *(level_column(c) for c in CONFIDENCES),
)
