"""What customers buy, by category: revenue net of refunds, and which categories there are to buy."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clv_forecast import columns as c
from clv_forecast.arguments import parse_day
from clv_forecast.errors import DomainError
from clv_forecast.history.cleaning import DAY, EPOCH
from clv_forecast.history.net_lines import NetLines, net_lines, no_category
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.history.summary import dates_of
from clv_forecast.tables.text_format import MONEY

REVENUE = "revenue"


def category_revenue(history: PurchaseHistory | NetLines, *, after: Any = None, upto: Any = None) -> pd.DataFrame:
    """Revenue of each customer by category, net of refunds, as known at the day of the history.

    Parameters
    ----------
    history : PurchaseHistory or NetLines
        Made with a category column. The net lines spare a second reading when several stretches are asked for.
    after : date, Timestamp or ISO text, optional
        Only purchases later than this day.
    upto : date, Timestamp or ISO text, optional
        Only purchases up to and including this day; what later refunds took from them is taken all the same.

    Returns
    -------
    DataFrame
        customer_id, category (text), revenue (> 0), first_purchase and last_purchase of the category within the
        stretch; sorted by customer and category. Rows without a category are not in it.

    Raises
    ------
    InputError
        If the log has no category column, or the history was made from a summary.
    DomainError
        If ``after`` or ``upto`` is no day, or leaves none up to the day of the history.

    Notes
    -----
    A refund takes from the purchase it belongs to, whatever its own day and category, as in the history: revenue
    over all categories, and over rows without one, is the revenue of the history.

    Examples
    --------
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({
    ...     "customer_id": ["a", "a", "b", "b"],
    ...     "date": ["2024-01-01", "2024-02-01", "2024-01-08", "2024-03-01"],
    ...     "amount": [10.0, 20.0, 30.0, -30.0],
    ...     "category": ["tea", "cups", "tea", "tea"],
    ... })
    >>> history = purchase_history(log.iloc[:3], as_of="2024-12-31", category="category")
    >>> category_revenue(history)[["customer_id", "category", "revenue"]]
      customer_id category  revenue
    0           a     cups     20.0
    1           a      tea     10.0
    2           b      tea     30.0
    >>> category_revenue(purchase_history(log, as_of="2024-12-31", category="category"), after="2024-01-15")
      customer_id category  revenue first_purchase last_purchase
    0           a     cups     20.0     2024-02-01    2024-02-01
    """
    lines = history if isinstance(history, NetLines) else net_lines(history)
    fetched = lines.source.fetch(_by_category(lines, after=after, upto=upto).order_by([c.CUSTOMER_ID, c.CATEGORY]))
    return pd.DataFrame(
        {
            c.CUSTOMER_ID: lines.source.ids(fetched[c.CUSTOMER_ID]),
            c.CATEGORY: fetched[c.CATEGORY].to_pandas(),
            REVENUE: fetched[REVENUE].to_numpy(),
            c.FIRST_PURCHASE: dates_of(fetched["first_day"].to_numpy()),
            c.LAST_PURCHASE: dates_of(fetched["last_day"].to_numpy()),
        }
    )


def categories_on_offer(history: PurchaseHistory | NetLines, *, after: Any = None, upto: Any = None) -> list[str]:
    """Categories that anybody bought in a stretch of time, with money left of it; sorted.

    Parameters
    ----------
    history, after, upto
        As in ``category_revenue``.

    Returns
    -------
    list of str

    Raises
    ------
    InputError, DomainError
        As ``category_revenue``.

    Examples
    --------
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({
    ...     "customer_id": [1, 2], "date": ["2024-01-01", "2024-02-01"], "amount": [1.0, 2.0], "what": ["tea", "cups"]
    ... })
    >>> categories_on_offer(purchase_history(log, as_of="2024-12-31", category="what"), after="2024-01-15")
    ['cups']
    """
    lines = history if isinstance(history, NetLines) else net_lines(history)
    found = lines.source.fetch(_by_category(lines, after=after, upto=upto).select(c.CATEGORY).distinct())
    return sorted(found[c.CATEGORY].to_pylist())


def _by_category(lines: NetLines, *, after: Any, upto: Any) -> Any:
    """Lazy: customer_id, category, revenue, first_day, last_day."""
    if not lines.has(c.CATEGORY):
        raise no_category()
    table = lines.table.filter(lines.table[c.CATEGORY].notnull() & (lines.table[c.AMOUNT] > 0))
    last = lines.history.as_of.date()
    first = None if after is None else parse_day(after, "after")
    end = last if upto is None else parse_day(upto, "upto")
    if first is not None and first >= min(end, last):
        bound = "as_of" if upto is None or end > last else "upto"
        raise DomainError(f"after must be a day before {bound}, {min(end, last)}.", value=str(first))
    if first is not None:
        table = table.filter(table[DAY] > (first - EPOCH).days)
    if end < last:
        table = table.filter(table[DAY] <= (end - EPOCH).days)
    return table.group_by([c.CUSTOMER_ID, c.CATEGORY]).agg(
        revenue=table[c.AMOUNT].sum().cast(MONEY).cast("float64"),
        first_day=table[DAY].min(),
        last_day=table[DAY].max(),
    )
