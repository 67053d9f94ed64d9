"""Several order logs brought together: sources, crosswalk, orders known to two systems, reconciliation."""

from clv_forecast.consolidation.consolidate import consolidate
from clv_forecast.consolidation.consolidated import Consolidated
from clv_forecast.consolidation.order_source import OrderSource

__all__ = ["Consolidated", "OrderSource", "consolidate"]
