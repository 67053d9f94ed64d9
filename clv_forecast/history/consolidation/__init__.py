"""Several order logs brought together: sources, crosswalk, orders known to two systems, reconciliation.

Lines are added up by order where they lie, ids are joined through the crosswalk, and every step adds up to the cent.
Scheduled runs call it, and users before `purchase_history`; it rests on the history's rules for rows and money.
"""

from clv_forecast.history.consolidation.consolidate import Consolidated, consolidate
from clv_forecast.history.consolidation.order_source import OrderSource

__all__ = ["Consolidated", "OrderSource", "consolidate"]
