"""The verb ``losing_accounts``: accounts that have cost more than they brought, or are expected to."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.result import Forecast
from clv_forecast.ranking.accounts import accounts_of

Floats = NDArray[np.float64]

TO_DATE: Final = "to date"
AHEAD: Final = "forecast"
BOTH: Final = "both"
HALF_A_CENT: Final = 0.005
"""A loss below it is none."""


def losing_accounts(forecast: Forecast, *, horizon: str = "12 months", accounts: Any = None) -> pd.DataFrame:
    """List the accounts whose contribution was negative so far, or is expected to be.

    Parameters
    ----------
    forecast : Forecast
        With a spend part; its margins and costs are those that count.
    horizon : str
        One of the forecast's.
    accounts : table, optional
        One row per account; default: the customers' table of the history. Its ``name`` is shown.

    Returns
    -------
    DataFrame
        The most negative forecast first: customer_id; name, where names are known; loses ("to date", "forecast" or
        "both"); revenue_to_date and value_to_date, the contribution so far, not discounted; value with value_lower and
        value_upper, and p_loss, of the forecast; reason, a sentence; horizon, prob, as_of, currency. An account that
        lost money and is expected to bring some again may be worth keeping: what is lost is lost.

    Raises
    ------
    DomainError
        If the horizon is unknown or the forecast has no spend part.

    Notes
    -----
    The contribution so far takes the margins of the log where it has them, else the forecast's rate; less the cost of
    each order, and the cost of serving the account since its first purchase: up to today if it is still there, up to
    its last purchase if it has left, weighed by P(alive).

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> model = clv.fit(history, compare=False)
    >>> fc = clv.forecast(model, history, horizons=["12 months"], draws=100, cost_to_serve=5.0)
    >>> found = losing_accounts(fc)
    >>> bool((found["value"].iloc[:10] < 0).all()), found["loses"].iloc[0]
    (True, 'both')
    """
    instance_of(forecast, Forecast, "forecast", "forecast")
    if not forecast.plan.has_spend:
        raise DomainError("Loss is money: the forecast needs a spend part.", remedy="Fit with spend='gamma_gamma'.")
    forecast.horizons.only([horizon])
    ahead = forecast.customers[forecast.customers["horizon"] == horizon].reset_index(drop=True)
    known = accounts_of(forecast.history, accounts)
    table = pd.DataFrame({columns.CUSTOMER_ID: ahead[columns.CUSTOMER_ID]})
    if known.has(columns.NAME):
        table[columns.NAME] = known.table[columns.NAME].to_numpy()
    so_far = value_to_date(forecast, ahead["p_alive"].to_numpy(dtype=np.float64))
    value = ahead["value"].to_numpy(dtype=np.float64)
    lost, losing = so_far <= -HALF_A_CENT, value <= -HALF_A_CENT
    table["loses"] = np.select([lost & losing, losing], [BOTH, AHEAD], TO_DATE)
    table["revenue_to_date"] = forecast.history.table[columns.TOTAL_REVENUE].to_numpy(dtype=np.float64)
    table["value_to_date"] = so_far
    for name in ("value", "value_lower", "value_upper", "p_loss"):
        table[name] = ahead[name].to_numpy(dtype=np.float64)
    table["reason"] = _reasons(forecast, lost, losing, horizon)
    table = table[lost | losing].sort_values(["value", "value_to_date"], kind="stable", ignore_index=True)
    return table.assign(horizon=horizon, prob=forecast.prob, as_of=forecast.as_of, currency=forecast.currency)


def value_to_date(forecast: Forecast, p_alive: Floats) -> Floats:
    """Contribution of each customer so far, not discounted, in the row order of the history; see `losing_accounts`."""
    plan, past = forecast.plan, forecast.history.table
    revenue = past[columns.TOTAL_REVENUE].to_numpy(dtype=np.float64)
    earned = plan.margin * revenue
    if columns.TOTAL_MARGIN in past:
        logged = past[columns.TOTAL_MARGIN].to_numpy(dtype=np.float64, na_value=np.nan)
        earned = np.where(np.isfinite(logged), logged, earned)
    served = plan.recency + p_alive * (plan.T - plan.recency)
    return np.asarray(earned - plan.cost_per_order * (plan.frequency + 1.0) - plan.cost_per_time * served)


def _reasons(
    forecast: Forecast, lost: NDArray[np.bool_], losing: NDArray[np.bool_], horizon: str
) -> NDArray[np.object_]:
    """Say what takes the money: the margin itself, or the cost of serving."""
    plan = forecast.plan
    why = np.where(plan.margin < 0.0, "its margin is negative", "its costs are more than its margin brings")
    parts = np.select(
        [lost & losing, losing],
        [f"It lost money so far and is expected to over {horizon}: ", f"It is expected to lose money over {horizon}: "],
        "It lost money so far, and is expected to bring some from now on: ",
    )
    return np.asarray([f"{part}{cause}." for part, cause in zip(parts, why, strict=True)], dtype=object)
