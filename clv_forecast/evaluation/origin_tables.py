"""Tables of one origin: purchases by purchases before, the totals step by step, and customers who came later."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.evaluation.predicted import FREQUENCIES, PURCHASES, REVENUE, Predicted, add_to_groups, in_unit
from clv_forecast.evaluation.windows import Lengths, Outcome
from clv_forecast.forecasting.plan import Plan, chunks_of
from clv_forecast.forecasting.predictive import band, predictive_money

Floats = NDArray[np.float64]

BAND: Final = 0.9
TRACKING_DRAWS: Final = 250
"""Enough for a picture; evenly spaced among the model's, so that every chain of a sampler has its share."""


def frequency_table(predicted: Predicted, expected: Floats) -> pd.DataFrame:
    """Purchases in the window by purchases before, per customer: actual, expected and the band of the expected."""
    rows = []
    count = np.bincount(predicted.bins, minlength=len(FREQUENCIES))
    for h, label in enumerate(predicted.lengths.labels):
        for k, name in enumerate(FREQUENCIES):
            if count[k] == 0:
                continue
            low, high = band(predicted.by_bin[k + 1, h], BAND)
            member = predicted.bins == k
            came = predicted.actual[PURCHASES][member, h]
            rows.append(
                {
                    "horizon": label,
                    "frequency": name,
                    "customers": int(count[k]),
                    "actual": float(came.sum()) / count[k],
                    "expected": float(expected[member, h].sum()) / count[k],
                    "lower": float(low) / count[k],
                    "upper": float(high) / count[k],
                }
            )
    return pd.DataFrame(rows)


def tracking_table(plan: Plan, outcome: Outcome, lengths: Lengths, origin: pd.Timestamp) -> pd.DataFrame:
    """Totals step by step, from the draws of the plan."""
    ends = lengths.steps
    quantities = (PURCHASES, REVENUE) if plan.has_spend else (PURCHASES,)
    sums = {quantity: np.zeros((1, len(ends), plan.draws)) for quantity in quantities}
    boundaries, everyone = in_unit(ends, plan), np.full(plan.customers, -1)
    for rows in chunks_of(plan, len(ends)):
        drawn = predictive_money(plan, rows, boundaries)
        for quantity in quantities:
            add_to_groups(sums[quantity], everyone[rows], getattr(drawn, quantity))
    actual = dict(zip((PURCHASES, REVENUE), outcome.upto(ends), strict=True))
    tables = []
    for quantity in quantities:
        draws, came = sums[quantity][0], actual[quantity].sum(axis=0)
        table: dict[str, Any] = {"quantity": quantity, "period": np.arange(1, len(ends) + 1), "unit": lengths.step}
        table["end"] = origin + pd.to_timedelta(ends, unit="D")
        for prefix, values, totals in (
            ("", np.diff(draws, axis=0, prepend=0.0), np.diff(came, prepend=0.0)),
            ("cumulative_", draws, came),
        ):
            low, high = band(values, BAND)
            table |= {f"{prefix}actual": totals, f"{prefix}expected": values.mean(axis=1)}
            table |= {f"{prefix}lower": low, f"{prefix}upper": high}
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def newcomers_table(outcome: Outcome, lengths: Lengths) -> pd.DataFrame:
    """Customers who were not known at the origin, and what they bought: no forecast here is about them."""
    found = [outcome.newcomers(int(days)) for days in lengths.days]
    table = pd.DataFrame(found, columns=["customers", "purchases", "revenue"])
    table.insert(0, "horizon", list(lengths.labels))
    return table
