"""Cohorts compared at the same age: what customers brought within so many months, and whether it gets better."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.finance.earned import Earned
from clv_forecast.finance.newcomers import Newcomers
from clv_forecast.finance.random_effects import random_effects
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.units import DAYS_PER_UNIT

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

AGES: Final = (1, 3, 6, 12, 24)
"""Months since the first purchase."""
MEASURES: Final = ("contribution", "revenue")


def same_age_table(
    newcomers: Newcomers, earned: Earned, *, measure: str, month: float, as_of: pd.Timestamp, prob: float
) -> pd.DataFrame:
    """Money per customer by age, shrunk, against the earlier cohorts of the channel.

    Parameters
    ----------
    newcomers : Newcomers
    earned : Earned
        In their order.
    measure : {"contribution", "revenue"}
    month : float
        Its length in the unit of ``earned``.
    as_of : Timestamp
    prob : float
        Probability inside the intervals.

    Returns
    -------
    DataFrame
        See ``Cohorts.same_age``. A cohort has a row for an age when its last possible customer is as old: else those
        who came early, or died early, would stand for all. Without such a cohort the table is empty.
    """
    name = f"{measure}_per_customer"
    columns = ["cohort", "channel", "age_months", "customers", name, "shrunk", "lower", "upper", "pooled"]
    columns += ["earlier", "p_better"]
    rows = []
    days = (as_of - newcomers.ends).days.to_numpy()
    for age in AGES:
        seen = days >= np.floor(age * DAYS_PER_UNIT["month"])  # purchases have days, not hours
        kept = seen[newcomers.cohort]
        if not kept.any():
            break
        money = earned.by_age(age * month, measure)[kept]
        cohort, channel = newcomers.cohort[kept], newcomers.channel[kept]
        together: tuple[Places, tuple[str, ...]] = (np.zeros_like(channel), (EVERYONE,))
        for member, names in (together, (channel, newcomers.channels)) if newcomers.split else (together,):
            for row in _compared(money, cohort, member, prob):
                code, place = row.pop("cohort"), row.pop("channel")
                rows.append({"cohort": newcomers.cohorts[code], "channel": names[place], "age_months": age, **row})
    table = pd.DataFrame(rows).rename(columns={"mean": name}) if rows else pd.DataFrame(columns=columns)
    return table[columns].astype({"age_months": "int64", "customers": "int64"})


def _compared(money: Floats, cohort: Places, channel: Places, prob: float) -> Iterator[dict[str, Any]]:
    """One row per channel and cohort with customers: its mean, and the posterior of its true mean."""
    size = int(cohort.max()) + 1
    found, cell = np.unique(channel * size + cohort, return_inverse=True)
    group, when = found // size, found % size
    customers = np.bincount(cell).astype(np.float64)
    means = np.bincount(cell, weights=money) / customers
    squares = np.bincount(cell, weights=np.square(money - means[cell]))
    effects = random_effects(means, customers, squares, np.unique(group, return_inverse=True)[1])
    lower, upper = effects.band(prob)
    shrunk, pooled = effects.shrunk, effects.pooled
    for at in range(len(found)):
        before = np.flatnonzero((group == group[at]) & (when < when[at]))
        earlier, better = np.nan, np.nan
        if len(before):
            earlier, better = effects.contrast(at, before, customers[before] / customers[before].sum())
        yield {
            "cohort": when[at],
            "channel": group[at],
            "customers": customers[at],
            "mean": means[at],
            "shrunk": shrunk[at],
            "lower": lower[at],
            "upper": upper[at],
            "pooled": pooled[at],
            "earlier": earlier,
            "p_better": better,
        }
