"""What in a history may lead the models astray: each finding a plain sentence with its numbers and its meaning.

Whether the rate of purchases moves with the calendar, which the models' constant rate cannot follow.

Whether purchases come at random times, as the models take them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, stats

from clv_forecast import columns as c
from clv_forecast.history.audit import Finding, Level, counted
from clv_forecast.history.spend_diagnostics import (
    PurchaseLog,
    day_number,
    drift_of_spend,
    large_orders,
    purchase_log,
    spend_and_frequency,
)
from clv_forecast.units import DAYS_PER_UNIT, TimeUnit

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
        return _too_short_for_season(
            cells, smooth, chance, p_value=float(stats.chi2.sf(excess, single_rank - smooth_rank))
        )
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


def _too_short_for_season(
    cells: MonthlyRepeats, smooth: NDArray[np.float64], chance: float, *, p_value: float
) -> Finding:
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


FEWEST_PAIRS: Final = 30
REGULAR_FROM: Final = 1.25
CLUMPED_BELOW: Final = 0.8
MOST_K: Final = 100.0
"""Gaps that vary by less than a tenth of their length are told as a rhythm: k is held at this bound."""
_Z: Final = float(stats.norm.isf(SIGNIFICANT / 2))


def regularity(log: PurchaseLog) -> Finding | None:
    r"""Whether a customer's purchases come more evenly, or more in clumps, than at random.

    From each customer's last two gaps, :math:`M = g_1 / (g_1 + g_2)` [1]_: uniform under random timing, and
    under Erlang-k gaps of variance :math:`1 / (4 (2 k + 1))`. Days make gaps whole numbers; under random timing
    :math:`g_1` given the sum S is then uniform on 1, ..., S - 1, so the variance expected is
    :math:`(S - 2) / (12 S)` exactly, which is used in place of 1/12.

    Parameters
    ----------
    log : PurchaseLog

    Returns
    -------
    Finding or None
        None with fewer than 30 customers of two gaps. Its k is at most 100, where gaps vary by a tenth of their length;
        an exact rhythm, such as a subscription's, has k = 100.

    References
    ----------
    .. [1] Wheat & Morrison (1990), "Estimating purchase regularity with two interpurchase times",
       Journal of Marketing Research 27(1), doi:10.1177/002224379002700108.
    """
    last = np.cumsum(log.count)[log.count > 2] - 1
    first_gap = log.day[last - 1] - log.day[last - 2]
    both = (log.day[last] - log.day[last - 2]).astype(np.float64)
    pairs = both > 2
    first_gap, both = first_gap[pairs], both[pairs]
    if both.size < FEWEST_PAIRS:
        return None
    squares = np.square(first_gap / both - 0.5)
    points = both - 1.0  # a uniform on so many whole numbers: its second and fourth central moments
    second = (points**2 - 1.0) / 12.0
    fourth = (points**2 - 1.0) * (3.0 * points**2 - 7.0) / 240.0
    expected = second / both**2
    spread = float(((fourth - second**2) / both**4).sum())
    if spread <= 0.0:  # of two gaps in three days nothing can be told: one is 1 and the other 2
        return None
    z = float((squares - expected).sum() / math.sqrt(spread))
    variance = float(squares.mean() / expected.mean()) / 12.0
    k = _erlang_k(variance)
    told = f"k {k:.0f} or more, a fixed rhythm" if k >= MOST_K else f"k about {k:.1f}"
    level: Level = "info"
    if z < -_Z and k >= REGULAR_FROM:
        level = "caution"
        meaning = (
            f"purchases are more regular than the models' random timing ({told}), so a customer silent for a "
            "few usual gaps is more surely gone than P(alive) says"
        )
    elif z > _Z and k <= CLUMPED_BELOW:
        level = "caution"
        meaning = (
            f"purchases come in clumps more than the models' random timing (k about {k:.1f}), so P(alive) takes the "
            "silence after a clump too readily for the end, and bands of purchases are too narrow"
        )
    else:
        meaning = f"close to the models' random timing (k about {k:.1f}; 1 is random, 2 is clearly regular)"
    return Finding(
        name="regularity",
        level=level,
        sentence=f"From the last two gaps of {both.size:,} customers (z = {z:+.1f}): {meaning}.",
        values={"customers": both.size, "k": k, "variance": variance, "z": z},
    )


def _erlang_k(variance: float) -> float:
    """The k of Erlang gaps under which a gap's share of two has this variance, from 0 to 100.

    Examples
    --------
    >>> _erlang_k(0.0), round(_erlang_k(1 / 12), 9), _erlang_k(0.25)
    (100.0, 1.0, 0.0)
    """
    least = 1.0 / (4.0 * (2.0 * MOST_K + 1.0))
    return MOST_K if variance <= least else max(0.0, (1.0 - 4.0 * variance) / (8.0 * variance))


FEWEST_CUSTOMERS: Final = 100
FEWEST_REPEAT_PURCHASES: Final = 100
FEWEST_WEEKS: Final = 12.0
MANY_ONE_TIME_BUYERS: Final = 0.5
MANY_ALREADY_THERE: Final = 0.1
DAYS_OF_RECENT_PACE: Final = 90
SILENCE_BY_CHANCE: Final = 0.001


def diagnose(
    table: pd.DataFrame,
    purchases: pd.DataFrame | None,
    *,
    as_of: pd.Timestamp,
    unit: TimeUnit,
    observed_from: pd.Timestamp | None,
) -> tuple[Finding, ...]:
    """All findings on a history, in a fixed order; what cannot be judged from the data given is left out.

    Parameters
    ----------
    table : DataFrame
        One row per customer, columns of ``columns.HISTORY``.
    purchases : DataFrame or None
        Netted purchase-days: customer_id, date, amount. None when only the table is known.
    as_of : Timestamp
        Inclusive end of the observation.
    unit : {"hour", "day", "week", "month", "year"}
        Unit of the columns recency and T.
    observed_from : Timestamp or None
        Customers first seen before count as already there.

    Returns
    -------
    tuple of Finding

    Examples
    --------
    >>> table = pd.DataFrame({"frequency": [0, 2], "recency": [0.0, 5.0], "T": [9.0, 9.0]})
    >>> table["monetary_value"], table["already_there"] = [float("nan"), 20.0], False
    >>> findings = diagnose(table, None, as_of=pd.Timestamp("2024-03-04"), unit="week", observed_from=None)
    >>> [finding.name for finding in findings]
    ['small_numbers', 'one_time_buyers']
    """
    if table.empty:
        return ()
    findings = [
        small_numbers(table, unit),
        one_time_buyers(table, unit),
        already_there(table, observed_from),
        spend_and_frequency(table),
    ]
    if purchases is not None and not purchases.empty:
        log = purchase_log(purchases)
        findings += [
            silence_before_as_of(log, as_of),
            drift_of_spend(log, as_of),
            large_orders(log),
            regularity(log),
            season(log, as_of),
        ]
    return tuple(finding for finding in findings if finding is not None)


def small_numbers(table: pd.DataFrame, unit: TimeUnit) -> Finding:
    """Whether there are enough customers, repeat purchases and weeks for parameters to mean much.

    Parameters
    ----------
    table : DataFrame
        Columns frequency and T.
    unit : {"hour", "day", "week", "month", "year"}

    Returns
    -------
    Finding
    """
    customers, repeats = len(table), int(table[c.FREQUENCY].sum())
    weeks = float(table[c.T].max()) * DAYS_PER_UNIT[unit] / DAYS_PER_UNIT["week"]
    short = [
        f"{what} (advised: at least {least:,.0f})"
        for what, number, least in (
            ("customers", customers, FEWEST_CUSTOMERS),
            ("repeat purchases", repeats, FEWEST_REPEAT_PURCHASES),
            ("weeks", weeks, FEWEST_WEEKS),
        )
        if number < least
    ]
    meaning = (
        f"few {' and few '.join(short)}. Parameters will be vague, priors will speak loudly where there are any, and "
        "bands by maximum likelihood are not to be relied on"
        if short
        else "enough to fit the models"
    )
    return Finding(
        name="small_numbers",
        level="caution" if short else "info",
        sentence=f"{counted(customers, 'customer')}, {counted(repeats, 'repeat purchase')}, "
        f"{weeks:,.1f} weeks observed: {meaning}.",
        values={"customers": customers, "repeat_purchases": repeats, "weeks": weeks},
    )


def one_time_buyers(table: pd.DataFrame, unit: TimeUnit) -> Finding:
    """How many customers bought once, and what the models make of them.

    Parameters
    ----------
    table : DataFrame
        Columns frequency and T.
    unit : {"hour", "day", "week", "month", "year"}

    Returns
    -------
    Finding
    """
    once = table[c.FREQUENCY].to_numpy() == 0
    share = float(once.mean())
    silent = float(np.median(table[c.T].to_numpy()[once])) if once.any() else 0.0
    ago = f"{silent:,.1f} {unit}s ago"
    meaning = (
        f", {f'half of them {ago} or longer' if once.sum() > 1 else ago}. BG/NBD holds all who bought once for alive "
        "with certainty (P(alive) = 1), however long ago that was; MBG/NBD and Pareto/NBD let them be gone"
        if once.any()
        else ""
    )
    return Finding(
        name="one_time_buyers",
        level="caution" if share >= MANY_ONE_TIME_BUYERS else "info",
        sentence=f"{int(once.sum()):,} of {counted(once.size, 'customer')} ({share:.1%}) bought once{meaning}.",
        values={"customers": int(once.sum()), "share": share, f"median_{c.T}": silent},
    )


def already_there(table: pd.DataFrame, observed_from: pd.Timestamp | None) -> Finding | None:
    """How many customers were there before the log can tell when they came.

    Parameters
    ----------
    table : DataFrame
        Column already_there.
    observed_from : Timestamp or None
        Customers first seen before count as already there.

    Returns
    -------
    Finding or None
        None when there are none.
    """
    there = int(table[c.ALREADY_THERE].sum())
    if there == 0:
        return None
    share = there / len(table)
    since = f" (first seen before {observed_from:%Y-%m-%d})" if observed_from is not None else ""
    return Finding(
        name="already_there",
        level="caution" if share >= MANY_ALREADY_THERE else "info",
        sentence=(
            f"{there:,} of {counted(len(table), 'customer')} ({share:.1%}) {'was' if there == 1 else 'were'} there "
            f"when the log starts, or may have been{since}: a first purchase in it need not be their first. Their T "
            "and frequency count from there, frequent and lasting customers are over-represented among them, and they "
            "are no new customers in cohorts."
        ),
        values={"customers": there, "share": share},
    )


def silence_before_as_of(log: PurchaseLog, as_of: pd.Timestamp) -> Finding:
    """Whether the log goes on up to ``as_of``: one that ends early makes everybody look gone.

    The silence is held against chance at the pace of the 90 days before the last purchase, and against the
    longest earlier stretch of days without any purchase in that time (weekends, holidays).

    Parameters
    ----------
    log : PurchaseLog
    as_of : Timestamp
        Inclusive end of the observation.

    Returns
    -------
    Finding
    """
    last = int(log.day.max())
    silent = day_number(as_of) - last
    recent = log.day[log.day > last - DAYS_OF_RECENT_PACE]
    days = min(DAYS_OF_RECENT_PACE, last - int(log.day.min()) + 1)
    missed = recent.size / days * silent
    active = np.unique(recent)
    longest = int(np.diff(active).max()) - 1 if active.size > 1 else 0
    cut = silent > longest and math.exp(-missed) < SILENCE_BY_CHANCE
    level: Level = "caution" if cut else "info"
    end = str(np.datetime64(last, "D"))
    if cut:
        meaning = (
            f", where about {missed:,.0f} would be expected at the pace of the {counted(days, 'day')} before, and no "
            f"earlier silence was longer than {counted(longest, 'day')}. If the log was cut, set as_of to its last "
            "complete day: the models take this silence for customers gone"
        )
    else:
        meaning = ", no longer a silence than the log has had before or than chance makes"
    return Finding(
        name="silence_before_as_of",
        level=level,
        sentence=f"The log's last purchase is of {end}, and the {counted(silent, 'day')} up to the end "
        f"{'has' if silent == 1 else 'have'} none{meaning}."
        if silent > 0
        else f"The log has purchases up to its end, {end}.",
        values={"silent_days": silent, "purchases_expected": missed, "longest_silence_before": longest},
    )
