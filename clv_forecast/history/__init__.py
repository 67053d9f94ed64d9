"""From an order log to one row per customer, with an account of every row.

Cleaning, refunds, the summary, its audit and diagnostics; `consolidation` above brings several logs into one first.
Fits, forecasts and everything above read a history; it knows nothing of models.
"""

from clv_forecast.history.audit import Audit, Finding
from clv_forecast.history.from_summary import history_from_summary
from clv_forecast.history.purchase_history import PurchaseHistory, Split, purchase_history
from clv_forecast.history.samples import load_cdnow

__all__ = ["Audit", "Finding", "PurchaseHistory", "Split", "history_from_summary", "load_cdnow", "purchase_history"]
