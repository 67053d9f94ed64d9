"""What accounts bought lately, category by category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from clv_forecast import columns
from clv_forecast.history.net_lines import categories_on_offer, category_revenue, net_lines
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.account_months import year_back


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LateCategories:
    """What accounts bought in the last 12 months by category. Made by `late_categories`.

    Parameters
    ----------
    table : DataFrame or None
        customer_id, category, revenue, last_purchase; None where the log knows no categories.
    on_offer : int
        Categories that anybody bought in that time.
    since : Timestamp
        First day that counts: that of the first purchase where the log is shorter.
    """

    table: pd.DataFrame | None
    on_offer: int
    since: pd.Timestamp

    def __repr__(self) -> str:
        return f"<LateCategories: {self.on_offer} on offer since {self.since.date()}>"


def late_categories(history: PurchaseHistory) -> LateCategories:
    """Read what every account bought in the last 12 months, by category.

    Examples
    --------
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({
    ...     "customer_id": [1, 1, 2], "date": ["2024-03-01", "2024-02-01", "2024-03-08"], "amount": [1.0, 2.0, 3.0],
    ...     "category": ["tea", "cups", "tea"],
    ... })
    >>> found = late_categories(purchase_history(log, as_of="2024-12-31", category="category"))
    >>> own_categories(found.table, 1)["share"].round(2).tolist(), found.on_offer
    ([0.67, 0.33], 2)
    """
    after = year_back(history)
    since = history.table[columns.FIRST_PURCHASE].min() if after is None else after + pd.Timedelta(days=1)
    lines = None if history.events is None else net_lines(history)
    if lines is None or not lines.has(columns.CATEGORY):
        return LateCategories(table=None, on_offer=0, since=since)
    table = category_revenue(lines, after=after)
    return LateCategories(
        table=table[[columns.CUSTOMER_ID, columns.CATEGORY, "revenue", columns.LAST_PURCHASE]],
        on_offer=len(categories_on_offer(lines, after=after)),
        since=since,
    )


def own_categories(table: pd.DataFrame | None, customer_id: Any) -> pd.DataFrame | None:
    """What one account buys, the largest first: category, revenue, share, last_purchase."""
    if table is None:
        return None
    own = table[(table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool)]
    own = own.sort_values("revenue", ascending=False, kind="stable").reset_index(drop=True)
    found: pd.DataFrame = own[[columns.CATEGORY, "revenue"]]
    return found.assign(share=own["revenue"] / own["revenue"].sum(), last_purchase=own[columns.LAST_PURCHASE])
