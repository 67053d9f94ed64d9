"""What is left of every purchase after its refunds, by customer, category and day: the lines below the history.

What customers buy, by category: revenue net of refunds, and which categories there are to buy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clv_forecast import columns as c
from clv_forecast.arguments import parse_day
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.audit import KEPT
from clv_forecast.history.cleaning import DAY, EPOCH, classify, usable
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.history.summary import dates_of, events_of_refunders, from_micro, match_events, to_micro
from clv_forecast.tables.source import Source
from clv_forecast.tables.text_format import MONEY

MARGIN_UNKNOWN = "margin_unknown"

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class NetLines:
    """Purchases of a history below the purchase-day, net of refunds.

    Parameters
    ----------
    history : PurchaseHistory
    source : Source
    table : ibis Table
        customer_id, category (null where unknown), day (since 1970-01-01), amount (>= 0: 0 where refunds took all of
        it), margin and whether some of it is unknown. Its amounts add up to the revenue of the history.
    """

    history: PurchaseHistory
    source: Source
    table: Any

    def __repr__(self) -> str:
        return f"<NetLines as of {self.history.as_of.date()}, {self.source.label}>"

    def has(self, column: str) -> bool:
        """Whether the log has that column, under this package's name for it."""
        return column in self.source.table.columns


def no_category() -> InputError:
    """The error of what needs categories, on a log without."""
    return InputError(
        "The log has no category column.",
        remedy="Name it with purchase_history(..., category='...'): a product group, or a product code.",
    )


def net_lines(history: PurchaseHistory) -> NetLines:
    """Read the rows of a history again and take every refund from its purchase.

    Parameters
    ----------
    history : PurchaseHistory

    Returns
    -------
    NetLines
        As known at ``history.as_of``: of rows recorded later nothing is seen.

    Raises
    ------
    InputError
        If the history was made from a summary.

    Notes
    -----
    Refunds find their purchases as in ``refunds.match_refunds``, so that the lines of a customer add up to the
    revenue in the history's table, and a refund lowers the day and the category in which the thing was bought. A
    line loses margin in proportion to the money taken from it; where the refund rows' own margins say more or less,
    the difference is spread over the customer's refunded lines by money, so that the total is theirs.

    Examples
    --------
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({
    ...     "customer_id": ["a", "a", "a"],
    ...     "date": ["2024-01-01", "2024-02-01", "2024-03-01"],
    ...     "amount": [10.0, 20.0, -4.0],
    ...     "kind": ["tea", "cups", "tea"],
    ... })
    >>> lines = net_lines(purchase_history(log, as_of="2024-12-31", category="kind"))
    >>> table = lines.source.fetch(lines.table.order_by("day"))
    >>> table["category"].to_pylist(), [float(left) for left in table["amount"].to_pylist()]
    (['tea', 'cups'], [6.0, 20.0])
    """
    events = history.events
    if events is None:
        raise InputError(
            "A history made from a summary has no order lines.",
            remedy="Make the history from the order log with purchase_history.",
        )
    rows = usable(classify(events.source, events.rules))
    kept = sum(step.rows for step in history.audit.ledger if step.name == KEPT)
    rows = events.source.settle(rows, kept)
    with_refunds, lines = events_of_refunders(events.source, rows)
    lines = lines.select(c.CUSTOMER_ID, c.CATEGORY, DAY, c.AMOUNT, c.MARGIN)
    if with_refunds.num_rows:
        lines = lines.union(ibis.memtable(_net(with_refunds)).cast(lines.schema()))
    grouped = lines.group_by([c.CUSTOMER_ID, c.CATEGORY, DAY]).agg(
        **{
            c.AMOUNT: lines[c.AMOUNT].sum().cast(MONEY),
            c.MARGIN: lines[c.MARGIN].sum().cast(MONEY),
            MARGIN_UNKNOWN: (lines[c.MARGIN].isnull() & (lines[c.AMOUNT] > 0)).any(),
        }
    )
    return NetLines(history=history, source=events.source, table=events.source.settle(grouped, kept))


def stretch_sums(lines: NetLines, stretches: Mapping[str, tuple[int | None, int | None]]) -> pd.DataFrame:
    """Revenue and margin of each customer and category in several stretches of time, in one reading.

    Parameters
    ----------
    lines : NetLines
    stretches : mapping of str to (after, upto)
        Days since 1970-01-01: later than ``after``, up to and including ``upto``; None where there is no bound.

    Returns
    -------
    DataFrame
        customer_id, category (missing where unknown), first_day (of a purchase with money left), and for each name
        ``<name>_revenue`` (0 where nothing was bought) and ``<name>_margin`` (missing where some of it is unknown);
        sorted by customer and category.

    Examples
    --------
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({"customer_id": 1, "date": ["2024-01-01", "2024-02-01"], "amount": [4.0, 6.0]})
    >>> lines = net_lines(purchase_history(log, as_of="2024-12-31"))
    >>> stretch_sums(lines, {"all": (None, None), "later": (19723, None)})[["all_revenue", "later_revenue"]]
       all_revenue  later_revenue
    0         10.0            6.0
    """
    table = lines.table
    sums = {"first_day": table[DAY].min(where=table[c.AMOUNT] > 0)}
    for name, (after, upto) in stretches.items():
        inside = table[DAY].notnull()
        if after is not None:
            inside &= table[DAY] > after
        if upto is not None:
            inside &= table[DAY] <= upto
        sums[f"{name}_revenue"] = table[c.AMOUNT].sum(where=inside).fill_null(0).cast(MONEY).cast("float64")
        sums[f"{name}_margin"] = table[c.MARGIN].sum(where=inside).fill_null(0).cast(MONEY).cast("float64")
        sums[f"{name}_unknown"] = table[MARGIN_UNKNOWN].any(where=inside).fill_null(False)
    keys = [c.CUSTOMER_ID, c.CATEGORY]
    fetched = lines.source.fetch(table.group_by(keys).agg(**sums).order_by(keys))
    found = pd.DataFrame({c.CUSTOMER_ID: lines.source.ids(fetched[c.CUSTOMER_ID])})
    found[c.CATEGORY] = fetched[c.CATEGORY].to_pandas()
    found["first_day"] = fetched["first_day"].to_pandas().astype("Int64")
    for name in stretches:
        found[f"{name}_revenue"] = fetched[f"{name}_revenue"].to_numpy()
        unknown = fetched[f"{name}_unknown"].to_numpy().astype(np.bool_)
        found[f"{name}_margin"] = np.where(unknown, np.nan, fetched[f"{name}_margin"].to_numpy())
    return found


def _net(events: pa.Table) -> pa.Table:
    """Purchase lines with what is left of their amount and margin; events come sorted by customer and time."""
    matched = match_events(events)
    customer, amount, matching = matched.customer, matched.amount, matched.matching
    line = np.flatnonzero(amount > 0)
    margin = _margin_left(events[c.MARGIN], customer, amount, left=matching.left, unmatched=matching.unmatched)
    left = events.take(pa.array(line)).select([c.CUSTOMER_ID, c.CATEGORY, DAY])
    return left.append_column(c.AMOUNT, from_micro(matching.left[line])).append_column(
        c.MARGIN, pc.if_else(events[c.MARGIN].is_null().take(pa.array(line)), None, from_micro(margin[line]))
    )


def _margin_left(
    margins: pa.ChunkedArray, customer: Integers, amount: Integers, *, left: Integers, unmatched: Integers
) -> Integers:
    """Micro-units of margin left of each line."""
    margin, unknown = to_micro(margins), margins.is_null().to_numpy()
    refund = amount < 0
    taken = np.where(refund, 0, amount - left).astype(np.float64)
    in_proportion = np.where(refund, 0.0, margin * (taken / np.abs(amount)))
    given_back = np.where(refund, -margin * (1.0 - unmatched / np.abs(amount)), 0.0)
    customers = int(customer.max(initial=-1)) + 1

    def total(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(customer, weights=values, minlength=customers)

    touched = unknown & (refund | (taken > 0))
    rest = np.where(total(touched) > 0, 0.0, total(given_back) - total(in_proportion))
    share = taken / np.maximum(total(taken), 1.0)[customer]
    lost: NDArray[np.float64] = in_proportion + rest[customer] * share
    return np.rint(margin - lost).astype(np.int64)


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
