"""Rows of cohorts and of their sums: value with bands, what they cost, and what a customer of theirs may cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.finance.acquisition_cost import AcquisitionCost
from clv_forecast.finance.allowances import allowance, reached, reached_with
from clv_forecast.finance.cohort_draws import CohortDraws
from clv_forecast.finance.newcomers import Newcomers
from clv_forecast.finance.spend import CONFIDENCES, level_column
from clv_forecast.forecasting.predictive import band
from clv_forecast.forecasting.totals import EVERYONE

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


def cohort_rows(newcomers: Newcomers, costs: AcquisitionCost, worth: Worth, terms: CohortTerms) -> pd.DataFrame:
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
                **_money(chosen, 0, float(costs.each[cohort, channel]), worth, terms),
            }
        )
    return pd.DataFrame(rows)


def sum_rows(newcomers: Newcomers, costs: AcquisitionCost, worth: Worth, terms: CohortTerms) -> pd.DataFrame:
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
                **_money(chosen, level, float(cost), worth, terms),
            }
            for cohort, channel, chosen, level, cost, returns, complete in parts
        ]
    )


def _money(chosen: NDArray[np.bool_], level: int, cost: float, worth: Worth, terms: CohortTerms) -> dict[str, Any]:
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
