"""When the next order is expected, and who is overdue."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.forecasting.plan import Plan
from clv_forecast.units import DAYS_PER_UNIT

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
    params, x, T, recency = plan.params, plan.frequency, plan.T, plan.recency
    alive = _mean(plan.module.p_alive(params, x, recency, T), plan.customers)
    wait = np.median(
        np.broadcast_to(
            plan.module.next_purchase_quantile(params, x, T, probability=0.5), (plan.draws, plan.customers)
        ),
        axis=0,
    )
    silence = _mean(plan.module.probability_of_silence(params, x, recency, T), plan.customers)
    days = wait * DAYS_PER_UNIT[plan.unit]
    reachable = days < 100 * DAYS_PER_UNIT["year"]
    dates = as_of + pd.to_timedelta(np.where(reachable, days, 0.0), unit="D").round("D")
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


def _mean(draws: np.ndarray, customers: int) -> np.ndarray:
    return np.asarray(np.broadcast_to(draws, (draws.shape[0] if draws.ndim > 1 else 1, customers)).mean(axis=0))
