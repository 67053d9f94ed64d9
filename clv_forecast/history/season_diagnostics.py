"""Whether the rate of purchases moves with the calendar, which the models' constant rate cannot follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, stats

from clv_forecast.history.audit import Finding
from clv_forecast.history.purchase_log import PurchaseLog, day_number

SIGNIFICANT: Final = 0.01
SWING_THAT_MATTERS: Final = 0.10
DEVIATION_THAT_MATTERS: Final = 0.05
DAYS_OF_A_SEASON: Final = 730
MONTHS_READ: Final = 72
FEWEST_REPEATS_PER_MONTH: Final = 5.0
MOST_TIMES: Final = 1000.0
"""Months are told apart up to a thousandfold; a month without any repeat purchase is that far below."""
_ITERATIONS: Final = 50
_MONTH_NAMES: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyRepeats:
    """Repeat purchases and customer-days by month of first purchase (cohort) and calendar month, both numbered."""

    cohort: NDArray[np.int64]
    month: NDArray[np.int64]
    repeats: NDArray[np.float64]
    exposure: NDArray[np.float64]


def season(log: PurchaseLog, as_of: pd.Timestamp) -> Finding | None:
    """Whether repeat purchases move with the calendar month, beyond the customers' age and cohort.

    A Poisson regression of repeats on customer-days, with an effect per cohort and per month of age, already holds
    any smooth trend and the decline after a trial. Added to it: the twelve months of the year, then every single
    month. Season is what the twelve explain, measured against how much single months vary within them (an F test),
    so that one odd month is no season. It needs two full years.

    Parameters
    ----------
    log : PurchaseLog
    as_of : Timestamp
        Inclusive end of the log.

    Returns
    -------
    Finding or None
        None where there is too little to say: fewer than three months, fewer than five repeat purchases a month,
        a single cohort, whose age and calendar are one, or a regression that does not settle.
    """
    cells = monthly_repeats(log, as_of)
    months = np.unique(cells.month)
    days = day_number(as_of) - int(log.day.min()) + 1
    repeats = float(cells.repeats.sum())
    if months.size < 3 or repeats < FEWEST_REPEATS_PER_MONTH * months.size:
        return None
    age_and_cohort = np.hstack([_indicators(cells.month - cells.cohort), _indicators(cells.cohort)])
    of_the_year = np.hstack([age_and_cohort, _indicators(cells.month % 12)])
    single = np.hstack([age_and_cohort, _indicators(cells.month)])
    smooth_deviance, smooth_rank, smooth = _poisson_fit(age_and_cohort, cells)
    single_deviance, single_rank, _ = _poisson_fit(single, cells)
    year_deviance, year_rank, _ = _poisson_fit(of_the_year, cells)
    if single_rank == smooth_rank or math.isnan(smooth_deviance + single_deviance + year_deviance):
        return None
    if days < DAYS_OF_A_SEASON:
        chance = max(1.0, single_deviance / max(1, cells.repeats.size - single_rank))
        excess = (smooth_deviance - single_deviance) / chance
        return _too_short_for_season(cells, smooth, chance, float(stats.chi2.sf(excess, single_rank - smooth_rank)))
    spread = max(1.0, (year_deviance - single_deviance) / max(1, single_rank - year_rank))
    f = (smooth_deviance - year_deviance) / (year_rank - smooth_rank) / spread
    p_value = float(stats.f.sf(f, year_rank - smooth_rank, max(1, single_rank - year_rank)))
    factors = _month_factors(cells, smooth)
    low, high = int(np.argmin(factors)), int(np.argmax(factors))
    swing = float(factors[high] / max(factors[low], factors[high] / MOST_TIMES)) - 1.0
    seasonal = p_value < SIGNIFICANT and swing >= SWING_THAT_MATTERS
    meaning = (
        "the models' rate is constant, so a horizon that is not a whole number of years is off by its months' factors, "
        "and a total's band without a common shock is too narrow"
        if seasonal
        else "no season that matters is seen, as the models take it"
    )
    return Finding(
        name="season",
        level="caution" if seasonal else "info",
        sentence=(
            f"Over {months.size} months and {repeats:,.0f} repeat purchases, given the customers' age, the month of "
            f"the year moves purchases between {factors[low] - 1:+z.0%} ({_MONTH_NAMES[low]}) and "
            f"{factors[high] - 1:+z.0%} ({_MONTH_NAMES[high]}), p = {p_value:.2g}: {meaning}."
        ),
        values={
            "months": months.size,
            "p_value": p_value,
            "swing": swing,
            "lowest_factor": float(factors[low]),
            "highest_factor": float(factors[high]),
        },
    )


def monthly_repeats(log: PurchaseLog, as_of: pd.Timestamp) -> MonthlyRepeats:
    """Count repeat purchases and customer-days by cohort and calendar month, over the latest 72 months.

    Months are numbered from 1970-01. The first purchase's own day is not exposed, ``as_of`` is.
    """
    month_of = _months(log.day)
    first_day = log.first_day()
    first_month = _months(first_day)
    last_month = int(_months(np.array([day_number(as_of)]))[0])
    start = int(first_month.min())
    size = last_month - start + 1
    repeat = log.position > 0
    place = (first_month[log.customer[repeat]] - start) * size + month_of[repeat] - start
    counted = np.bincount(place, minlength=size * size).reshape(size, size)
    customers = np.bincount(first_month - start, minlength=size)
    edges = np.arange(start, last_month + 2).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    edges[-1] = day_number(as_of) + 1
    exposed = customers[:, None].astype(np.float64) * np.diff(edges)[None, :]
    days_left = edges[first_month - start + 1] - first_day - 1
    np.fill_diagonal(exposed, np.bincount(first_month - start, weights=days_left, minlength=size))
    cohort, month = np.triu_indices(size)
    keep = (exposed[cohort, month] > 0) & (month >= size - MONTHS_READ)
    cohort, month = cohort[keep], month[keep]
    return MonthlyRepeats(
        cohort=cohort + start,
        month=month + start,
        repeats=counted[cohort, month].astype(np.float64),
        exposure=exposed[cohort, month],
    )


def _too_short_for_season(cells: MonthlyRepeats, smooth: NDArray[np.float64], chance: float, p_value: float) -> Finding:
    """How much months vary beyond chance, where a season cannot be told from a trend."""
    months = np.unique(cells.month)
    by_month = np.searchsorted(months, cells.month)
    observed, expected = np.bincount(by_month, weights=cells.repeats), np.bincount(by_month, weights=smooth)
    beyond = float((np.square(observed - expected) - chance * expected).sum() / np.square(expected).sum())
    deviation = math.sqrt(max(0.0, beyond))
    moved = p_value < SIGNIFICANT and deviation >= DEVIATION_THAT_MATTERS
    varying = f"differ by {deviation:.0%} (one standard deviation) beyond chance, p = {p_value:.2g}"
    meaning = (
        "the models' rate is constant, so a forecast of part of a year misses this, and so does the band of a total "
        "without a common shock"
        if moved
        else "little enough for the models' constant rate, as far as can be seen"
    )
    return Finding(
        name="season",
        level="caution" if moved else "info",
        sentence=(
            f"The log covers {months.size} months, and a season needs two full years to be told from a trend. "
            f"Given the customers' age, months {varying}: {meaning}."
        ),
        values={"months": months.size, "p_value": p_value, "deviation": deviation},
    )


def _months(day: NDArray[np.int64]) -> NDArray[np.int64]:
    number: NDArray[np.int64] = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return number


def _indicators(levels: NDArray[np.int64]) -> NDArray[np.float64]:
    equal: NDArray[np.bool_] = levels[:, None] == np.unique(levels)[None, :]
    return equal.astype(np.float64)


def _poisson_fit(design: NDArray[np.float64], cells: MonthlyRepeats) -> tuple[float, int, NDArray[np.float64]]:
    """Deviance, rank and fitted repeats of a Poisson regression with log link, by Newton steps.

    The indicators overlap; a ridge far below the data's weight picks one of the equal solutions. The deviance is
    NaN when the steps did not settle.
    """
    offset = np.log(cells.exposure)
    log_mean = np.log(cells.repeats + 0.5)
    deviance = math.inf
    for _ in range(_ITERATIONS):
        mean = np.exp(log_mean)
        last, deviance = deviance, 2.0 * float((_log_ratio(cells.repeats, mean) - cells.repeats + mean).sum())
        if abs(last - deviance) < 1e-8 * (1.0 + deviance):
            break
        weighted = design * mean[:, None]
        information = weighted.T @ design
        ridge = 1e-9 * float(np.max(np.diag(information)))
        target = weighted.T @ (log_mean - offset + cells.repeats / mean - 1.0)
        solved = linalg.solve(information + ridge * np.eye(design.shape[1]), target, assume_a="pos")
        log_mean = np.clip(offset + design @ solved, -20.0, 40.0)
    else:
        deviance = math.nan
    return deviance, int(np.linalg.matrix_rank(design.T @ design, hermitian=True)), mean


def _log_ratio(observed: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    product: NDArray[np.float64] = np.where(observed > 0, observed * np.log(np.maximum(observed, 1.0) / mean), 0.0)
    return product


def _month_factors(cells: MonthlyRepeats, smooth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Repeats of each month of the year against those fitted without a season, at most a thousandfold."""
    of_the_year = cells.month % 12
    observed: NDArray[np.float64] = np.bincount(of_the_year, weights=cells.repeats, minlength=12)
    expected: NDArray[np.float64] = np.bincount(of_the_year, weights=smooth, minlength=12)
    return np.asarray(np.minimum(observed / expected, MOST_TIMES))
