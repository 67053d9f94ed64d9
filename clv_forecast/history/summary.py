"""From classified rows to purchase-days, and from purchase-days to one row per customer.

Which purchase a refund takes back: matching in exact integers, one customer at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clv_forecast import columns as c
from clv_forecast.errors import InputError
from clv_forecast.history.audit import format_example, format_money
from clv_forecast.history.cleaning import AT, DAY, KIND, PURCHASE, REFUND
from clv_forecast.tables.source import Source
from clv_forecast.tables.text_format import MONEY
from clv_forecast.units import DAYS_PER_UNIT, TimeUnit

Integers = NDArray[np.int64]

MICRO: Final = 10**6
LEVELS: Final = ("order and category", "order", "category", "latest earlier order")
"""How a refund finds its purchase, strongest evidence first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """What is left after matching, per row of the events given.

    Parameters
    ----------
    left : ndarray of int64, shape (event,)
        Micro-units left of a purchase line; 0 for refunds.
    unmatched : ndarray of int64, shape (event,)
        Micro-units of a refund that found no purchase (>= 0); 0 for purchase lines.
    by_level : mapping of str to int
        Micro-units matched on each level of ``LEVELS``.
    """

    left: Integers
    unmatched: Integers
    by_level: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedEvents:
    """Purchases and refunds of customers, matched.

    Parameters
    ----------
    customer : ndarray of int64, shape (event,)
        Codes.
    amount : ndarray of int64, shape (event,)
        Micro-units.
    matching : Matching
    """

    customer: Integers
    amount: Integers
    matching: Matching


def match_events(events: pa.Table) -> MatchedEvents:
    """Match the refunds among events, which come sorted by customer, time, order, category, amount and margin."""
    customer = codes(events[c.CUSTOMER_ID])
    amount = to_micro(events[c.AMOUNT])
    at = pc.cast(events[AT], pa.int64()).to_numpy()
    matching = match_refunds(
        customer, at, order=codes(events[c.ORDER_ID]), category=codes(events[c.CATEGORY]), amount=amount
    )
    return MatchedEvents(customer=customer, amount=amount, matching=matching)


def codes(column: pa.ChunkedArray) -> Integers:
    """Whole numbers for the values of a column, the same for the same; -1 where there is none."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)


def match_refunds(
    customer: Integers, at: Integers, *, order: Integers, category: Integers, amount: Integers
) -> Matching:
    """Take every refund from purchase lines of the same customer, the stronger evidence first.

    All refunds are first taken from the lines of their own order (its lines of the same category before the others,
    whenever they were dated), then what is left of them from earlier lines of the same category, then from earlier
    lines of the customer. On each level refunds go in order of time and take from the latest line with money left,
    then from the one before it. A line at the same moment counts as earlier, so a log of dates alone
    nets within its day. No refund crosses customers.

    Parameters
    ----------
    customer, order, category : ndarray of int64, shape (event,)
        Codes; -1 where order or category is unknown.
    at : ndarray of int64, shape (event,)
        Time of the event; events of a customer come in ascending order, ties in an order that does not depend
        on how the log was sorted.
    amount : ndarray of int64, shape (event,)
        Micro-units: positive for a purchase line, negative for a refund.

    Returns
    -------
    Matching

    Examples
    --------
    Two orders of 10 and 5, then a refund of 7: the latest order goes first, 2 of the other follow.

    >>> codes, none = np.zeros(3, np.int64), np.full(3, -1)
    >>> amount = np.array([10, 5, -7])
    >>> match_refunds(codes, np.arange(3), order=none, category=none, amount=amount).left.tolist()
    [8, 0, 0]
    """
    left = np.maximum(amount, 0)
    owed = np.maximum(-amount, 0)
    known_order, known_category = order >= 0, category >= 0
    groups = (
        (_group(customer, order, category), known_order & known_category, True),
        (_group(customer, order), known_order, True),
        (_group(customer, category), known_category, False),
        (_group(customer), np.ones(len(amount), dtype=np.bool_), False),
    )
    by_level: dict[str, int] = {}
    for level, (group, known, any_time) in zip(LEVELS, groups, strict=True):
        before = sum(owed.tolist())
        if before and known.any():
            _take_back(group, known, at, left=left, owed=owed, any_time=any_time)
        by_level[level] = before - sum(owed.tolist())
    return Matching(left=left, unmatched=owed, by_level=by_level)


def _take_back(
    group: Integers,
    known: NDArray[np.bool_],
    at: Integers,
    *,
    left: Integers,
    owed: Integers,
    any_time: bool,
) -> None:
    """Match on one level, changing ``left`` and ``owed`` in place.

    Lines are pushed on a stack as time passes, so its top is the latest earlier line with money left; a line leaves
    the stack once it is used up, so the work grows with the number of events, not with its square.
    """
    refund = known & (owed > 0)
    owing = np.zeros(int(group.max()) + 1, dtype=np.bool_)
    owing[group[refund]] = True
    rows = np.flatnonzero(known & owing[group] & ((left > 0) | refund))
    time = np.zeros(len(rows), dtype=np.int64) if any_time else at[rows]
    rows = rows[np.lexsort((rows, refund[rows], time, group[rows]))]
    stack: list[int] = []
    current = -1
    line_left, line_owed = left[rows].tolist(), owed[rows].tolist()
    for place, code in enumerate(group[rows].tolist()):
        if code != current:
            current, stack = code, []
        need = line_owed[place]
        if not need:
            stack.append(place)
            continue
        while need and stack:
            latest = stack[-1]
            taken = min(need, line_left[latest])
            need -= taken
            line_left[latest] -= taken
            if not line_left[latest]:
                stack.pop()
        line_owed[place] = need
    left[rows], owed[rows] = line_left, line_owed


def _group(*codes: Integers) -> Integers:
    """One code per distinct combination."""
    combined = codes[0]
    for code in codes[1:]:
        pair = combined * (int(code.max(initial=-1)) + 2) + code + 1
        combined = np.unique(pair, return_inverse=True)[1].astype(np.int64)
    return combined


def to_micro(column: pa.ChunkedArray | pa.Array) -> Integers:
    """Micro-units of a DECIMAL(38, 6) column as 64-bit integers; missing is 0.

    The column must stay below 2**63 micro-units, which ``LARGEST_AMOUNT`` sees to.

    Examples
    --------
    >>> from decimal import Decimal
    >>> to_micro(pa.array([Decimal("1.50"), None], pa.decimal128(38, 6))).tolist()
    [1500000, 0]
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if array.null_count:
        array = array.fill_null(0)
    words = np.frombuffer(array.buffers()[1], dtype=np.int64)
    return words[2 * array.offset : 2 * (array.offset + len(array)) : 2].copy()


def from_micro(units: Integers) -> pa.Array:
    """DECIMAL(38, 6) column from micro-units, exactly.

    Examples
    --------
    >>> from_micro(np.array([-2_500_000])).to_pylist()
    [Decimal('-2.500000')]
    """
    words = np.empty((len(units), 2), dtype=np.int64)
    words[:, 0], words[:, 1] = units, units >> 63
    return pa.Array.from_buffers(pa.decimal128(38, 6), len(units), [None, pa.py_buffer(words.tobytes())])


LOGARITHM: Final = "decimal(38, 18)"
"""Logarithms are summed as decimals: exact, so that the sum does not depend on which thread came first."""
_MARGIN_UNKNOWN: Final = "margin_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refunded:
    """What matching the refunds did, in rows, customers and money.

    Parameters
    ----------
    rows, customers : int
        Refund rows matched in full or in part, and their customers.
    amount : Decimal
        Money matched (>= 0).
    by_level : mapping of str to Decimal
        Money matched on each level of ``refunds.LEVELS``.
    unmatched_rows, unmatched_customers : int
        Refund rows of which nothing was matched, and their customers.
    unmatched_amount, remainder : Decimal
        Money without a purchase to take it from; of it, the rest of refunds matched in part.
    cancelled_rows, cancelled_customers : int
        Purchase rows taken back in full, and their customers.
    cancelled_amount : Decimal
    days_cancelled : int
        Customer-days with purchases of which nothing was left.
    example_unmatched, example_cancelled : str
        One row of each as text.
    """

    rows: int = 0
    customers: int = 0
    amount: Decimal = Decimal(0)
    by_level: Mapping[str, Decimal] = field(default_factory=dict)
    unmatched_rows: int = 0
    unmatched_customers: int = 0
    unmatched_amount: Decimal = Decimal(0)
    remainder: Decimal = Decimal(0)
    cancelled_rows: int = 0
    cancelled_customers: int = 0
    cancelled_amount: Decimal = Decimal(0)
    days_cancelled: int = 0
    example_unmatched: str = ""
    example_cancelled: str = ""


NO_REFUNDS: Final = Refunded()


def purchase_days(source: Source, rows: Any, *, refunds: bool, margin: bool) -> tuple[Any, Refunded]:
    """Purchases by customer and day with what is left of them: a lazy table, and what the refunds did.

    Customers without refunds never leave DuckDB; the rows of the others are fetched, matched and put back.

    Parameters
    ----------
    source : Source
    rows : ibis Table
        From ``cleaning.usable``.
    refunds : bool
        Whether there are refunds to net.
    margin : bool
        Whether rows carry a margin.

    Returns
    -------
    days : ibis Table
        customer_id, day, amount (> 0), and with margins ``margin`` and whether some are unknown.
    refunded : Refunded
    """
    if not refunds:
        return _by_day(rows.filter(rows[KIND] == PURCHASE), margin=margin), NO_REFUNDS
    events, lines = events_of_refunders(source, rows)
    netted, refunded = _net(source, events, margin=margin)
    others = _by_day(lines, margin=margin)
    return others.union(ibis.memtable(netted).cast(others.schema())), refunded


def events_of_refunders(source: Source, rows: Any) -> tuple[pa.Table, Any]:
    """Purchases and refunds of the customers who have refunds, in the order of matching, and the others' purchases."""
    refunders = rows.filter(rows[KIND] == REFUND).select(c.CUSTOMER_ID).distinct()
    names = [c.CUSTOMER_ID, AT, c.ORDER_ID, c.CATEGORY, c.AMOUNT, c.MARGIN]
    events = source.fetch(rows.semi_join(refunders, c.CUSTOMER_ID).order_by(names).select(*names, DAY))
    lines = rows.filter(rows[KIND] == PURCHASE)
    return events, lines.anti_join(refunders, c.CUSTOMER_ID) if events.num_rows else lines


def _by_day(lines: Any, *, margin: bool) -> Any:
    sums = {c.AMOUNT: lines[c.AMOUNT].sum().cast(MONEY)}
    if margin:
        sums[c.MARGIN] = lines[c.MARGIN].sum().cast(MONEY)
        sums[_MARGIN_UNKNOWN] = lines[c.MARGIN].isnull().any()
    return lines.group_by([c.CUSTOMER_ID, DAY]).agg(**sums)


def _net(source: Source, events: pa.Table, *, margin: bool) -> tuple[pa.Table, Refunded]:
    matched = match_events(events)
    customer, amount, matching = matched.customer, matched.amount, matched.matching
    day = events[DAY].to_numpy().astype(np.int64)
    kept = matching.left > 0
    starts = _starts(customer[kept], day[kept])
    heads = np.flatnonzero(kept)[starts]
    netted = {
        c.CUSTOMER_ID: events[c.CUSTOMER_ID].take(pa.array(heads)),
        DAY: pa.array(day[heads].astype(np.int32)),
        c.AMOUNT: from_micro(np.add.reduceat(matching.left[kept], starts) if len(starts) else matching.left[:0]),
    }
    if margin:
        netted |= _margins(events, customer, amount, matching=matching, heads=heads)
    return pa.table(netted), _refunded(source, events, customer, day=day, amount=amount, matching=matching)


def _margins(
    events: pa.Table,
    customer: np.ndarray[Any, Any],
    amount: np.ndarray[Any, Any],
    *,
    matching: Matching,
    heads: np.ndarray[Any, Any],
) -> dict[str, pa.Array]:
    """Margin of each customer, all of it on the first day left: only the customer's total is used.

    A refund gives its margin back in the share in which it was matched.
    """
    share = np.where(amount < 0, 1.0 - matching.unmatched / np.maximum(-amount, 1), 1.0)
    parts = np.rint(to_micro(events[c.MARGIN]) * share).astype(np.int64)
    unknown = events[c.MARGIN].is_null().to_numpy()
    size = int(customer.max(initial=-1)) + 1
    total = np.zeros(size, dtype=np.int64)
    np.add.at(total, customer, parts)
    some_unknown = np.zeros(size, dtype=np.bool_)
    np.logical_or.at(some_unknown, customer, unknown)
    owner = customer[heads]
    first = np.r_[True, owner[1:] != owner[:-1]] if len(owner) else np.zeros(0, dtype=np.bool_)
    return {c.MARGIN: from_micro(np.where(first, total[owner], 0)), _MARGIN_UNKNOWN: pa.array(some_unknown[owner])}


def _refunded(
    source: Source,
    events: pa.Table,
    customer: np.ndarray[Any, Any],
    *,
    day: np.ndarray[Any, Any],
    amount: np.ndarray[Any, Any],
    matching: Matching,
) -> Refunded:
    refund, line = amount < 0, amount > 0
    matched = refund & (matching.unmatched < -amount)
    unmatched = refund & (matching.unmatched == -amount)
    cancelled = line & (matching.left == 0)
    bought = len(_starts(customer[line], day[line]))
    return Refunded(
        rows=int(matched.sum()),
        customers=len(np.unique(customer[matched])),
        amount=_exact(-amount[refund]) - _exact(matching.unmatched),
        by_level={level: Decimal(units).scaleb(-6) for level, units in matching.by_level.items()},
        unmatched_rows=int(unmatched.sum()),
        unmatched_customers=len(np.unique(customer[unmatched])),
        unmatched_amount=_exact(matching.unmatched),
        remainder=_exact(matching.unmatched[matched]),
        cancelled_rows=int(cancelled.sum()),
        cancelled_customers=len(np.unique(customer[cancelled])),
        cancelled_amount=_exact(amount[cancelled]),
        days_cancelled=bought - len(_starts(customer[matching.left > 0], day[matching.left > 0])),
        example_unmatched=_first(source, events, unmatched),
        example_cancelled=_first(source, events, cancelled),
    )


def _first(source: Source, events: pa.Table, rows: np.ndarray[Any, Any]) -> str:
    found = np.flatnonzero(rows)
    return event_text(source, events.slice(int(found[0]), 1).to_pylist()[0]) if len(found) else ""


def event_text(source: Source, event: Mapping[str, Any]) -> str:
    """One purchase or refund as text, with the customer id as the caller wrote it."""
    shown = [(c.CUSTOMER_ID, source.id_of(event[c.CUSTOMER_ID])), (c.DATE, event[AT])]
    shown.append((c.AMOUNT, format_money(event[c.AMOUNT])))
    return format_example(shown + [(n, event[n]) for n in (c.ORDER_ID, c.CATEGORY) if event[n] is not None])


def _exact(units: np.ndarray[Any, Any]) -> Decimal:
    return Decimal(sum(units.tolist())).scaleb(-6)


def _starts(*keys: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Where a new combination of keys begins in rows sorted by them."""
    if not len(keys[0]):
        return np.zeros(0, dtype=np.intp)
    change = np.zeros(len(keys[0]), dtype=np.bool_)
    change[0] = True
    for key in keys:
        change[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(change)


def customer_table(source: Source, days: Any, *, as_of_day: int, unit: TimeUnit, margin: bool) -> pd.DataFrame:
    """One row per customer in the columns of ``columns.HISTORY`` (``already_there`` is False), sorted by id.

    Money is summed as decimals and turned into float once, here.

    Raises
    ------
    InputError
        If no purchase is left.
    """
    fetched = source.fetch(_per_customer(days, margin=margin))
    if not fetched.num_rows:
        raise InputError(
            "Refunds leave no customer a purchase: no history is left.",
            remedy="Check the sign of the amounts (refunds are negative), or let refunds be drop.",
        )
    got = {name: fetched[name].to_numpy() for name in fetched.column_names if name != c.CUSTOMER_ID}
    length = DAYS_PER_UNIT[unit]
    repeats = got["purchases"].astype(np.int64) - 1
    repeat_sum = got["repeat"]
    table = pd.DataFrame(
        {
            c.CUSTOMER_ID: source.ids(fetched[c.CUSTOMER_ID]),
            c.FIRST_PURCHASE: dates_of(got["first_day"]),
            c.LAST_PURCHASE: dates_of(got["last_day"]),
            c.FREQUENCY: repeats,
            c.RECENCY: (got["last_day"] - got["first_day"]) / length,
            c.T: (as_of_day - got["first_day"]) / length,
            c.MONETARY_VALUE: np.where(repeats > 0, repeat_sum / np.maximum(repeats, 1), np.nan),
            c.FIRST_REVENUE: got["first_amount"],
            c.TOTAL_REVENUE: got["total"],
            c.SPEND_COUNT_REPEAT: repeats,
            c.SPEND_SUM_REPEAT: repeat_sum,
            c.SPEND_SUM_LOG_REPEAT: got["log_repeat"],
            c.SPEND_COUNT_ALL: repeats + 1,
            c.SPEND_SUM_ALL: got["total"],
            c.SPEND_SUM_LOG_ALL: got["log_all"],
            c.SUM_LOG_INTERVALS: np.where(repeats > 0, got["log_gaps"] - repeats * math.log(length), 0.0),
            c.ALREADY_THERE: False,
        }
    )[list(c.HISTORY)]
    if margin:
        table[c.TOTAL_MARGIN] = got["margin"]
    return table


def _per_customer(days: Any, *, margin: bool) -> Any:
    in_order = ibis.window(group_by=c.CUSTOMER_ID, order_by=DAY)
    days = days.mutate(
        log=days[c.AMOUNT].cast("float64").ln().cast(LOGARITHM),
        gap=(days[DAY] - days[DAY].lag().over(in_order)).cast("float64").ln().cast(LOGARITHM),
    )
    sums = {
        "first_day": days[DAY].min(),
        "last_day": days[DAY].max(),
        "purchases": days.count(),
        "first_amount": days[c.AMOUNT].argmin(days[DAY]),
        "total": days[c.AMOUNT].sum().cast(MONEY),
        "log_all": days["log"].sum().cast(LOGARITHM),
        "log_first": days["log"].argmin(days[DAY]),
        "log_gaps": days["gap"].sum().cast(LOGARITHM),
    }
    if margin:
        sums["margin"] = days[c.MARGIN].sum().cast(MONEY)
        sums[_MARGIN_UNKNOWN] = days[_MARGIN_UNKNOWN].any()
    found = days.group_by(c.CUSTOMER_ID).agg(**sums)
    result = {
        c.CUSTOMER_ID: found[c.CUSTOMER_ID],
        "first_day": found["first_day"],
        "last_day": found["last_day"],
        "purchases": found["purchases"],
        "first_amount": found["first_amount"].cast("float64"),
        "total": found["total"].cast("float64"),
        "repeat": (found["total"] - found["first_amount"]).cast("float64"),
        "log_all": found["log_all"].cast("float64"),
        "log_repeat": (found["log_all"] - found["log_first"]).cast("float64"),
        "log_gaps": found["log_gaps"].cast("float64").fill_null(0.0),
    }
    if margin:
        known = found["margin"].cast("float64")
        result["margin"] = ibis.ifelse(found[_MARGIN_UNKNOWN], ibis.null("float64"), known)
    return found.select(**result).order_by(c.CUSTOMER_ID)


def days_of_every(days: Any, nth: int) -> Any:
    """Purchase-days of about every n-th customer, chosen by a hash of the id: the same ones on every run."""
    return days.filter(days[c.CUSTOMER_ID].hash() % nth == 0)


def days_frame(source: Source, days: Any, *, after: int | None = None, upto: int | None = None) -> pd.DataFrame:
    """Purchase-days as rows of customer_id, date, amount, sorted; only those in ``(after, upto]`` when given."""
    if after is not None:
        days = days.filter(days[DAY] > after)
    if upto is not None:
        days = days.filter(days[DAY] <= upto)
    chosen = days.select(
        **{c.CUSTOMER_ID: days[c.CUSTOMER_ID], DAY: days[DAY], c.AMOUNT: days[c.AMOUNT].cast("float64")}
    ).order_by([c.CUSTOMER_ID, DAY])
    fetched = source.fetch(chosen)
    return pd.DataFrame(
        {
            c.CUSTOMER_ID: source.ids(fetched[c.CUSTOMER_ID]),
            c.DATE: dates_of(fetched[DAY].to_numpy()),
            c.AMOUNT: fetched[c.AMOUNT].to_numpy(),
        }
    )


def dates_of(days: np.ndarray[Any, Any]) -> pd.DatetimeIndex:
    """Days since 1970-01-01 as dates."""
    return pd.DatetimeIndex(days.astype("datetime64[D]").astype("datetime64[us]"))
