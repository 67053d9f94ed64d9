"""Several order logs brought together: sources, crosswalk, orders known to two systems, reconciliation."""

from clv_forecast.history.consolidation.consolidate import Consolidated, consolidate
from clv_forecast.history.consolidation.order_source import OrderSource

__all__ = ["Consolidated", "OrderSource", "consolidate"]
