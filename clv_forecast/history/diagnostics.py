"""What in a history may lead the models astray: each finding a plain sentence with its numbers and its meaning."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pandas as pd

from clv_forecast import columns as c
from clv_forecast.history.audit import Finding, Level, counted
from clv_forecast.history.purchase_log import PurchaseLog, day_number, purchase_log
from clv_forecast.history.season_diagnostics import season
from clv_forecast.history.spend_diagnostics import drift_of_spend, large_orders, spend_and_frequency
from clv_forecast.history.timing_diagnostics import regularity
from clv_forecast.units import DAYS_PER_UNIT, TimeUnit

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
