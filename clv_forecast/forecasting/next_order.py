"""When the next order is expected, and who is overdue."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.forecasting.plan import Plan, chunks_of
from clv_forecast.units import DAYS_PER_UNIT, MOST_YEARS

OVERDUE_BELOW = 0.05


def next_order_table(plan: Plan, customer_ids: Any, as_of: pd.Timestamp, currency: str | None) -> pd.DataFrame:
    """Date by which the next order has come with probability one half, if the customer is still alive.

    A customer is ``overdue`` when so long a silence would happen to a living customer with its history in less
    than 5 % of cases: ``p_silence`` is the probability that a customer who bought as often, and was alive after
    the last purchase, stays silent until now. The rule is cautious: a rate that is hardly known makes long silences
    likely, so fewer than 5 % of the living are flagged, and one-time buyers hardly ever. ``next_order`` is the median
    over parameter draws of the time by which a living customer has bought with probability one half.

    Returns
    -------
    DataFrame
        customer_id, p_alive, next_order (date; missing beyond a century), p_silence, overdue.
    """
    alive, silence, wait = (np.empty(plan.customers) for _ in range(3))
    for rows in chunks_of(plan, 1):
        x, T, recency = plan.frequency[rows], plan.T[rows], plan.recency[rows]
        found: dict[str, list[NDArray[np.float64]]] = {"alive": [], "silence": [], "wait": []}
        for part in plan.parts:
            params, shape = part.purchases(rows), (part.draws, len(rows))
            quantile = part.module.next_purchase_quantile(params, x, T, probability=0.5)
            found["alive"].append(np.broadcast_to(part.module.p_alive(params, x, recency, T), shape))
            found["silence"].append(np.broadcast_to(part.module.probability_of_silence(params, x, recency, T), shape))
            found["wait"].append(np.broadcast_to(quantile, shape))
        alive[rows] = np.concatenate(found["alive"]).mean(axis=0)
        silence[rows] = np.concatenate(found["silence"]).mean(axis=0)
        wait[rows] = np.median(np.concatenate(found["wait"]), axis=0)
    days = wait * DAYS_PER_UNIT[plan.unit]
    reachable = days < MOST_YEARS * DAYS_PER_UNIT["year"]
    whole = np.rint(np.where(reachable, days, 0.0)).astype("timedelta64[D]")
    dates = as_of + pd.to_timedelta(whole.astype("timedelta64[s]"))
    return pd.DataFrame(
        {
            columns.CUSTOMER_ID: customer_ids,
            "p_alive": alive,
            "next_order": pd.Series(dates).where(reachable),
            "p_silence": silence,
            "overdue": silence < OVERDUE_BELOW,
            "as_of": as_of,
            "currency": currency,
        }
    )
