"""Probabilistic customer lifetime value: from an order log to value with honest bands."""

from clv_forecast.errors import ClvForecastError, DomainError, FitError, InputError, StoreError
from clv_forecast.forecasting.adjustments import CommonShock, Correction
from clv_forecast.forecasting.forecast import forecast
from clv_forecast.forecasting.new_customers import new_customer_value
from clv_forecast.forecasting.result import Forecast, ValueDraws
from clv_forecast.history import PurchaseHistory, Split, history_from_summary, load_cdnow, purchase_history
from clv_forecast.history.audit import Audit, Finding
from clv_forecast.inference.fit import fit
from clv_forecast.inference.model import Model
from clv_forecast.inference.store import load_model
from clv_forecast.interchange import (
    from_lifetimes,
    from_pymc_marketing,
    summary_from_lifetimes,
    summary_to_lifetimes,
    to_lifetimes,
)
from clv_forecast.progress import progress_bars

__version__ = "0.1.0"

__all__ = [
    "Audit",
    "ClvForecastError",
    "CommonShock",
    "Correction",
    "DomainError",
    "Finding",
    "FitError",
    "Forecast",
    "InputError",
    "Model",
    "PurchaseHistory",
    "Split",
    "StoreError",
    "ValueDraws",
    "fit",
    "forecast",
    "from_lifetimes",
    "from_pymc_marketing",
    "history_from_summary",
    "load_cdnow",
    "load_model",
    "new_customer_value",
    "progress_bars",
    "purchase_history",
    "summary_from_lifetimes",
    "summary_to_lifetimes",
    "to_lifetimes",
]
