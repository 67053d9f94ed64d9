"""What stands above a column where people read it, and what kind of figure stands below: the one source of both."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from clv_forecast import columns

TEXT: Final = "text"
MONEY: Final = "money"
SHARE: Final = "share"
COUNT: Final = "count"
RATIO: Final = "ratio"
MONTHS: Final = "months"
DATE: Final = "date"

TITLES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        columns.CUSTOMER_ID: ("Customer", TEXT),
        columns.NAME: ("Name", TEXT),
        columns.OWNER: ("Owner", TEXT),
        "group": ("Group", TEXT),
        "horizon": ("Horizon", TEXT),
        "as_of": ("As of", DATE),
        "currency": ("Currency", TEXT),
        "note": ("Note", TEXT),
        "reason": ("Reason", TEXT),
        "prob": ("Bands hold", SHARE),
        # The history
        columns.FIRST_PURCHASE: ("First purchase", DATE),
        columns.LAST_PURCHASE: ("Last purchase", DATE),
        columns.FREQUENCY: ("Frequency", COUNT),
        columns.RECENCY: ("Recency", RATIO),
        columns.T: ("T", RATIO),
        columns.MONETARY_VALUE: ("Monetary value", MONEY),
        columns.FIRST_REVENUE: ("First revenue", MONEY),
        columns.TOTAL_REVENUE: ("Total revenue", MONEY),
        # The forecast
        "customers": ("Customers", COUNT),
        "purchases": ("Purchases", RATIO),
        "purchases_lower": ("Purchases, lower", RATIO),
        "purchases_upper": ("Purchases, upper", RATIO),
        "revenue": ("Revenue", MONEY),
        "revenue_lower": ("Revenue, lower", MONEY),
        "revenue_upper": ("Revenue, upper", MONEY),
        "value": ("Value", MONEY),
        "value_lower": ("Value, lower", MONEY),
        "value_upper": ("Value, upper", MONEY),
        "mean_lower": ("Mean value, lower", MONEY),
        "mean_upper": ("Mean value, upper", MONEY),
        "parameter_share": ("Variance from parameters", SHARE),
        "process_share": ("Variance from chance", SHARE),
        "common_share": ("Variance common to all", SHARE),
        "p_alive": ("P(alive)", SHARE),
        "p_loss": ("P(loss)", SHARE),
        # Potential and ranking
        "rank": ("Rank", COUNT),
        "rank_lower": ("Rank, best", COUNT),
        "rank_upper": ("Rank, worst", COUNT),
        "p_top": ("P(among the first)", SHARE),
        "current_revenue": ("Revenue of the last 12 months", MONEY),
        "annual_revenue": ("Expected revenue of a year, if alive", MONEY),
        "wallet": ("Wallet of a year", MONEY),
        "wallet_source": ("Wallet from", TEXT),
        "headroom": ("Headroom of a year", MONEY),
        "readiness": ("Readiness", SHARE),
        "potential_revenue": ("Potential revenue", MONEY),
        "potential_value": ("Potential value", MONEY),
        "referral_value": ("Referral value", MONEY),
        "value_at_risk": ("Value at risk", MONEY),
        "adjusted_value": ("Adjusted value", MONEY),
        "adjusted_lower": ("Adjusted value, lower", MONEY),
        "adjusted_upper": ("Adjusted value, upper", MONEY),
        "cell": ("Matrix cell", TEXT),
        "p_cell": ("P(matrix cell)", SHARE),
        "grade": ("Grade", TEXT),
        "model_fit": ("Model fit", TEXT),
        # Allowable spend and budget
        "basis": ("Basis", TEXT),
        "accounts": ("Accounts", COUNT),
        "sharing": ("Sharing the pool", COUNT),
        "value_at_stake": ("Value at stake", MONEY),
        "allowable_expected": ("Allowable on average", MONEY),
        "allowable_pooled": ("Allowable, risk pooled", MONEY),
        "allowable_single": ("Allowable, each for itself", MONEY),
        "payback_months": ("Payback month", MONTHS),
        "p_payback": ("P(payback)", SHARE),
        "allocated": ("Allocated", MONEY),
        "incremental_value": ("Brings", MONEY),
        "last_unit_buys": ("A further unit brings", MONEY),
        "value_of_measure": ("Value of the measure", MONEY),
        "cost": ("Cost of the measure", MONEY),
        # Accounts that lose money
        "loses": ("Loses", TEXT),
        "revenue_to_date": ("Revenue to date", MONEY),
        "value_to_date": ("Value to date", MONEY),
        # Cohorts
        "cohort": ("Cohort", TEXT),
        columns.CHANNEL: ("Channel", TEXT),
        "complete": ("Complete", TEXT),
        "new_customers": ("New customers", COUNT),
        "reactivated": ("Came back", COUNT),
        "repeat_ratio": ("Repeat ratio", RATIO),
        "so_far_per_customer": ("So far, per customer", MONEY),
        "forecast_per_customer": ("Forecast, per customer", MONEY),
        "value_per_customer": ("Value per customer", MONEY),
        "lower": ("Lower", MONEY),
        "upper": ("Upper", MONEY),
        "value_at_equal_age": ("Value at equal age", MONEY),
        "equal_age_lower": ("Value at equal age, lower", MONEY),
        "equal_age_upper": ("Value at equal age, upper", MONEY),
        "total": ("Total value", MONEY),
        "total_lower": ("Total value, lower", MONEY),
        "total_upper": ("Total value, upper", MONEY),
        "acquisition_cost": ("Acquisition cost", MONEY),
        "cac": ("Cost of one customer (CAC)", MONEY),
        "ltv_to_cac": ("Value to cost (LTV to CAC)", RATIO),
        "p_repays_cac": ("P(repays CAC)", SHARE),
        "share_repaying": ("Share repaying", SHARE),
        "allowable_cac": ("Allowable cost of one", MONEY),
        "judged_by": ("Judged by", TEXT),
        "age_months": ("Age in months", MONTHS),
        "contribution_per_customer": ("Contribution per customer", MONEY),
        "revenue_per_customer": ("Revenue per customer", MONEY),
        "shrunk": ("Without chance", MONEY),
        "pooled": ("Mean of all", MONEY),
        "earlier": ("Earlier cohorts", MONEY),
        "p_better": ("P(better than earlier)", SHARE),
        # Backtests
        "origin": ("From", TEXT),
        "quantity": ("Quantity", TEXT),
        "actual_total": ("Actual total", RATIO),
        "expected_total": ("Expected total", RATIO),
        "bias": ("Bias", SHARE),
        "coverage_90": ("Coverage of 90 % bands", SHARE),
        "level_for_90": ("Level that covers 90 %", SHARE),
        "rmse": ("RMSE", RATIO),
        "gini": ("Gini", RATIO),
    }
)


def kind_of(name: str, dtype: Any) -> str:
    """Tell what a column holds: by its name, or by its type where the name is nobody's or holds no numbers.

    A number of an unknown column is no money: only what is listed carries the currency.

    Examples
    --------
    >>> import numpy as np
    >>> kind_of("p_loss", np.dtype(float)), kind_of("value", np.dtype(float)), kind_of("customer_id", np.dtype(int))
    ('share', 'money', 'text')
    >>> kind_of("repeat_ratio", np.dtype(float)), kind_of("not listed", np.dtype(float))
    ('ratio', 'ratio')
    """
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return DATE
    listed = TITLES[name][1] if name in TITLES else None
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
        return MONTHS if listed == MONTHS else TEXT  # words may stand where there is no month
    if listed is not None:
        return listed
    return COUNT if pd.api.types.is_integer_dtype(dtype) else RATIO


def title_of(name: str, kind: str, currency: str | None = None) -> str:
    """Return what stands above a column: money with its currency.

    Examples
    --------
    >>> title_of("value_lower", MONEY, "EUR"), title_of("repeat_ratio", RATIO, "EUR"), title_of("sales_rep", TEXT)
    ('Value, lower (EUR)', 'Repeat ratio', 'Sales rep')
    """
    title = TITLES[name][0] if name in TITLES else name.replace("_", " ").capitalize()
    return f"{title} ({currency})" if kind == MONEY and currency else title
