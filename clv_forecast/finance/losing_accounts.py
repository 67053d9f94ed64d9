"""The verb ``losing_accounts``: accounts that are expected to lose money, and others whose money is below 0."""

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
ON_AVERAGE: Final = "on average"
EXPECTED_TO_LOSE: Final = (AHEAD, BOTH)
"""Accounts said to be expected to lose money: the mean is below 0, and a loss is more likely than not."""
HALF_A_CENT: Final = 0.005
"""A loss below it is none."""


def losing_accounts(forecast: Forecast, *, horizon: str = "12 months", accounts: Any = None) -> pd.DataFrame:
    """List the accounts that are expected to lose money, that lose some on average, or that have lost some so far.

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
        The most negative forecast first: customer_id; name, where names are known; loses; revenue_to_date and
        value_to_date, the contribution so far, not discounted; value with value_lower and value_upper, and p_loss, of
        the forecast; reason, a sentence; horizon, prob, as_of, currency. ``loses`` is "forecast" where the account is
        expected to lose money (mean below 0 and P(loss) above one half), "both" where it also lost money so far,
        "on average" where the mean is below 0 and a loss is not likely (mostly accounts that have probably left), and
        "to date" where it only lost money so far: it may be worth keeping, what is lost is lost.

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
    >>> found["loses"].value_counts().to_dict()
    {'both': 647, 'forecast': 557, 'on average': 18}
    """
    instance_of(forecast, Forecast, "forecast", made_by="forecast")
    if not forecast.plan.has_spend:
        raise DomainError("Loss is money: the forecast needs a spend part.", remedy="Fit with spend='gamma_gamma'.")
    horizon = forecast.horizons.one(horizon)
    ahead = forecast.customers[forecast.customers["horizon"] == horizon].reset_index(drop=True)
    known = accounts_of(forecast.history, accounts)
    table = pd.DataFrame({columns.CUSTOMER_ID: ahead[columns.CUSTOMER_ID]})
    if known.has(columns.NAME):
        table[columns.NAME] = known.table[columns.NAME].to_numpy()
    so_far = value_to_date(forecast, ahead["p_alive"].to_numpy(dtype=np.float64))
    value = ahead["value"].to_numpy(dtype=np.float64)
    lost, losing = so_far <= -HALF_A_CENT, value <= -HALF_A_CENT
    likely = losing & (ahead["p_loss"].to_numpy(dtype=np.float64) > 0.5)
    table["loses"] = np.select([lost & likely, likely, losing], [BOTH, AHEAD, ON_AVERAGE], TO_DATE)
    table["revenue_to_date"] = forecast.history.table[columns.TOTAL_REVENUE].to_numpy(dtype=np.float64)
    table["value_to_date"] = so_far
    for name in ("value", "value_lower", "value_upper", "p_loss"):
        table[name] = ahead[name].to_numpy(dtype=np.float64)
    table["reason"] = _reasons(forecast, table["loses"].to_numpy(), horizon)
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


def _reasons(forecast: Forecast, loses: NDArray[np.object_], horizon: str) -> NDArray[np.object_]:
    """Say what takes the money: the margin itself, or the cost of serving."""
    plan = forecast.plan
    why = np.where(plan.margin < 0.0, "its margin is negative", "its costs are more than its margin brings")
    parts = {
        BOTH: f"It lost money so far and is expected to over {horizon}",
        AHEAD: f"It is expected to lose money over {horizon}",
        ON_AVERAGE: f"Over {horizon} it loses money on average, though most likely none",
        TO_DATE: "It lost money so far, and is expected to bring some from now on",
    }
    return np.asarray([f"{parts[kind]}: {cause}." for kind, cause in zip(loses, why, strict=True)], dtype=object)
