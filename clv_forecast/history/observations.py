"""What is worth knowing about a log before a model sees it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import ibis
import numpy as np
import pandas as pd

from clv_forecast import columns as c
from clv_forecast.history.audit import Finding, counted
from clv_forecast.history.cleaning import AMOUNT_TEXT, AT, KIND, PURCHASE, REFUND, Rules
from clv_forecast.history.reconciliation import UNREADABLE, Count, unreadable_values
from clv_forecast.history.summary import Refunded, event_text
from clv_forecast.tables.ids import folded, stands_for_none
from clv_forecast.tables.source import Source
from clv_forecast.tables.text_format import ISO

OPENING_MONTHS: Final = 12
"""A yearly buyer shows within a year; who does not is new, or was away for more than one."""


ONE_LATE_IN: Final = 100
"""Of so many customers of a cohort one may be seen late, as a free first order or a refunded one makes them."""
LARGEST_RATE: Final = 1
MONEY_BEYOND_RATES: Final = 5
"""Most amounts lie above this where margins up to 1 look like rates; small money has small margins."""

MOST_CATEGORIES: Final = 200
"""A column with more categories holds products, which tell little of each other."""
FEWEST_NEGATIVE: Final = 20
SHARE_NEGATIVE: Final = 0.25
"""So many negative rows, hardly any of which names the order that it takes back, look like losses."""
SHARE_BY_ORDER: Final = 0.1

_ROW: Final = (c.CUSTOMER_ID, AT, c.AMOUNT, c.ORDER_ID, c.CATEGORY)
"""What makes two rows the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the findings are drawn from.

    Parameters
    ----------
    source : Source
    rows : ibis Table
        The usable ones.
    classified : ibis Table
        All of them, with what they are.
    rules : Rules
    counts : mapping of str to Count
    refunded : Refunded
    table : DataFrame
    opening : datetime.date
        Customers first seen before it were already there.
    opening_given : bool
        Whether the caller named that day.
    """

    source: Source
    rows: Any
    classified: Any
    rules: Rules
    counts: Mapping[str, Count]
    refunded: Refunded
    table: pd.DataFrame
    opening: datetime.date
    opening_given: bool


def opening_end(table: pd.DataFrame, as_of: datetime.date) -> datetime.date:
    """Day from which customers seen for the first time count as new, when the caller names none.

    A year after the first purchase; a quarter of the log when that is shorter than two years.

    Examples
    --------
    >>> first = pd.DataFrame({"first_purchase": pd.to_datetime(["2020-01-01"])})
    >>> opening_end(first, datetime.date(2024, 1, 1)), opening_end(first, datetime.date(2020, 12, 31))
    (datetime.date(2021, 1, 1), datetime.date(2020, 4, 1))
    """
    first = table[c.FIRST_PURCHASE].min()
    if first + pd.DateOffset(months=2 * OPENING_MONTHS) <= pd.Timestamp(as_of):
        return pd.Timestamp(first + pd.DateOffset(months=OPENING_MONTHS)).date()
    days = (pd.Timestamp(as_of) - first).days + 1
    return pd.Timestamp(first + pd.Timedelta(days=days // 4)).date()


def findings(seen: Seen) -> tuple[Finding, ...]:
    """Everything worth saying about the rows and the size of the history, cautions where a model may suffer."""
    found = [
        _period(seen),
        _text(seen),
        *_unreadable(seen),
        _merged(seen),
        _cohort(seen),
        *_lines(seen),
        *_ids(seen),
        *_known(seen),
        _margin_rate(seen),
        _tiny(seen),
        _profits(seen),
        _categories(seen),
    ]
    return tuple(finding for finding in found if finding is not None)


def _period(seen: Seen) -> Finding:
    first, zone = seen.table[c.FIRST_PURCHASE].min().date(), seen.rules.time_zone
    days = f"calendar days of {zone}" if zone else "calendar days as the log has them (no time zone named)"
    return Finding(
        name="period",
        level="info",
        sentence=f"Purchases from {first} to {seen.rules.as_of} inclusive, in {days}.",
        values={"first": str(first), "as_of": str(seen.rules.as_of), "time_zone": zone or ""},
    )


def _text(seen: Seen) -> Finding | None:
    """How text was read, so that a reader can see whether it was read right."""
    source, form = seen.source, seen.source.format
    text = [name for name in (c.AMOUNT, c.MARGIN, c.DATE, c.RECORDED_AT) if name in source.table.columns]
    text = [name for name in text if source.table[name].type().is_string()]
    parts = []
    if source.from_text:
        delimiter = {"\t": "a tab"}.get(form.delimiter or "", repr(form.delimiter))
        parts.append(f"files in {form.encoding}, {delimiter} between columns, {form.quote or 'nothing'} around fields")
    if {c.AMOUNT, c.MARGIN} & set(text):
        decimal, thousands = form.numbers
        grouped = f", {thousands!r} between thousands" if thousands else ""
        sign = f", beside the sign {source.sign}" if source.sign else ""
        parts.append(f"amounts with the decimal sign {decimal!r}{grouped}{sign}")
    if {c.DATE, c.RECORDED_AT} & set(text):
        written = "in ISO form" if form.date_format in (None, ISO) else f"as {form.date_format}, or in ISO form"
        parts.append(f"dates {written}")
    if not parts:
        return None
    return Finding(
        name="text_format",
        level="info",
        sentence=f"Text was read as {'; '.join(parts)}.",
        values={**form.given(), **({"sign": source.sign} if source.sign else {})},
    )


def _unreadable(seen: Seen) -> list[Finding]:
    cautions = []
    for kind in UNREADABLE:
        if kind not in seen.counts:
            continue
        rows = seen.counts[kind].rows
        values = unreadable_values(seen.source, seen.classified, kind)
        what = "amount" if kind.startswith("amount") else "date"
        why = "stands for no date" if kind == "date_placeholder" else "cannot be read"
        cautions.append(
            Finding(
                name=kind,
                level="caution",
                sentence=f"{counted(rows, 'row')} {'has' if rows == 1 else 'have'} {'an' if what[0] == 'a' else 'a'} "
                f"{what} that {why} and {'is' if rows == 1 else 'are'} left out: {', '.join(map(repr, values))}"
                f"{', ...' if len(values) == 5 else ''}.",
                values={"rows": rows, "first": values[0] if values else ""},
            )
        )
    return cautions


def _tiny(seen: Seen) -> Finding | None:
    """Amounts that money with six decimals cannot hold: another unit, such as billions, may be meant."""
    if "zero_amount" not in seen.counts:
        return None
    zero = seen.classified.filter(seen.classified[KIND] == "zero_amount")[AMOUNT_TEXT].try_cast("float64")
    rows = int(seen.source.fetch((zero != 0).sum()).as_py() or 0)
    if not rows:
        return None
    return Finding(
        name="amounts_below_a_millionth",
        level="caution",
        sentence=f"{counted(rows, 'row')} {'has' if rows == 1 else 'have'} an amount below a millionth, which counts "
        "as zero: is it money in thousands or millions? Give amounts in single units of the currency.",
        values={"rows": rows},
    )


def _profits(seen: Seen) -> Finding | None:
    """Many negative amounts that no order explains: gains and losses, not sales and refunds."""
    refunds = seen.counts[REFUND].rows if REFUND in seen.counts else 0
    rows = refunds + seen.counts[PURCHASE].rows
    unmatched = seen.refunded.unmatched_rows
    by_order = sum(amount for level, amount in seen.refunded.by_level.items() if level.startswith("order"))
    taken = seen.refunded.amount + seen.refunded.unmatched_amount
    named = by_order > taken * Decimal(str(SHARE_BY_ORDER))
    if refunds < FEWEST_NEGATIVE or refunds < SHARE_NEGATIVE * rows or named:
        return None
    return Finding(
        name="amounts_look_like_profits",
        level="caution",
        sentence=f"{refunds:,} of {counted(rows, 'row')} are negative, hardly any names the order that it takes back, "
        f"and {unmatched:,} find no earlier purchase: these look like profits and losses, not sales and refunds. Give "
        "what customers paid as amount, and profit as margin.",
        values={"negative": refunds, "unmatched": unmatched},
    )


def _categories(seen: Seen) -> Finding | None:
    if c.CATEGORY not in seen.source.table.columns:
        return None
    kinds = int(seen.source.fetch(seen.rows[c.CATEGORY].nunique()).as_py() or 0)
    if kinds <= MOST_CATEGORIES:
        return None
    return Finding(
        name="many_categories",
        level="caution",
        sentence=f"The column of categories has {kinds:,} values: with more than {MOST_CATEGORIES} it holds products, "
        "of which each customer buys few. Breadth, whitespace and potential want product groups.",
        values={"categories": kinds},
    )


def _merged(seen: Seen) -> Finding | None:
    days = int(seen.table[c.SPEND_COUNT_ALL].sum())
    rows = seen.counts[PURCHASE].rows - seen.refunded.cancelled_rows
    if rows == days:
        return None
    return Finding(
        name="same_day_merged",
        level="info",
        sentence=f"{rows:,} rows became {counted(days, 'purchase')}: what one customer buys on one day counts once, "
        "its money added; money per purchase is money per customer-day, not per order.",
        values={"rows": rows, "purchases": days},
    )


def _cohort(seen: Seen) -> Finding | None:
    """Hardly anybody new in the second half of the log: a file of customers who came early, not a whole log."""
    came = seen.table[c.FIRST_PURCHASE]
    first, end = came.min(), pd.Timestamp(seen.rules.as_of)
    last = pd.Timestamp(came.sort_values().iloc[-1 - len(came) // ONE_LATE_IN])
    if last > first + (end - first) / 2:
        return None
    late = int((came > last).sum())
    who = f"Only {late:,} of {counted(len(came), 'customer')}" if late else "Nobody"
    advice = (
        ""
        if seen.opening_given
        else f" If they were all new then, pass observed_from='{first.date()}'; otherwise those first seen before "
        f"{seen.opening} count as already there."
    )
    return Finding(
        name="cohort_log",
        level="info",
        sentence=f"{who} bought first after {last.date()}, in the later part of the log: it follows customers who "
        f"came early, and tells nothing about new ones.{advice}",
        values={"last_first_purchase": str(last.date()), "later": late, "observed_from": str(seen.opening)},
    )


def _lines(seen: Seen) -> list[Finding]:
    """Orders of several lines, order ids shared by customers, rows delivered twice."""
    rows = seen.rows.mutate(row_key=ibis.struct({name: seen.rows[name] for name in _ROW}).hash())
    counted = seen.source.fetch(rows.agg(total=rows.count(), distinct=rows.row_key.nunique())).to_pylist()[0]
    found = []
    if counted["distinct"] < counted["total"]:
        found.append(_repeated(seen, rows))
    if c.ORDER_ID in seen.source.table.columns:
        found += _orders(seen, rows)
    return found


def _repeated(seen: Seen, rows: Any) -> Finding:
    keys = rows.group_by("row_key").agg(times=rows.count()).filter(ibis._.times > 1)
    twice = rows.semi_join(keys, "row_key").group_by(list(_ROW)).agg(times=ibis._.count()).filter(ibis._.times > 1)
    measures = {"rows": twice.times.sum() - twice.count(), "customers": twice[c.CUSTOMER_ID].nunique()}
    got = seen.source.fetch(twice.agg(**measures)).to_pylist()[0]
    extra, customers = int(got["rows"] or 0), got["customers"]
    first = seen.source.fetch(twice.order_by(list(_ROW)).limit(1)).to_pylist()
    example = event_text(seen.source, first[0])
    named = c.ORDER_ID in seen.source.table.columns
    what = (
        "customer, time, amount, order and category" if named else "customer, time and amount (no order id tells them)"
    )
    return Finding(
        name="repeated_rows",
        level="caution" if named else "info",
        sentence=f"{counted(extra, 'row')} of {counted(customers, 'customer')} "
        f"{'repeats' if extra == 1 else 'repeat'} another row in {what}, and {'is' if extra == 1 else 'are'} kept: two "
        "equal purchases are possible. If rows were delivered twice, drop them first, or revenue is too high. "
        f"For example: {example}.",
        values={"rows": extra, "customers": customers},
    )


def _orders(seen: Seen, rows: Any) -> list[Finding]:
    orders = rows.filter(rows[c.ORDER_ID].notnull() & (rows[KIND] == PURCHASE))
    owner = orders[c.CUSTOMER_ID].hash()
    grouped = orders.group_by(c.ORDER_ID).agg(lines=orders.count(), low=owner.min(), high=owner.max())
    measures = {
        "orders": grouped.count(),
        "several_lines": (grouped.lines > 1).sum(),
        "shared": (grouped.low != grouped.high).sum(),
    }
    got = {name: value or 0 for name, value in seen.source.fetch(grouped.agg(**measures)).to_pylist()[0].items()}
    found = []
    if got["several_lines"]:
        found.append(
            Finding(
                name="order_lines",
                level="info",
                sentence=f"{got['several_lines']:,} of {counted(got['orders'], 'order')} have several lines, which is "
                "normal for a log of order lines; their money is added.",
                values={"orders": got["orders"], "several_lines": got["several_lines"]},
            )
        )
    if got["shared"]:
        example = seen.source.fetch(
            grouped.filter(grouped.low != grouped.high).select(c.ORDER_ID).order_by(c.ORDER_ID).limit(1)
        ).to_pylist()[0][c.ORDER_ID]
        found.append(
            Finding(
                name="shared_order_ids",
                level="caution",
                sentence=f"{counted(got['shared'], 'order id')} {'occurs' if got['shared'] == 1 else 'occur'} with "
                f"several customers, for example {example!r}: either ids are not unique or customers are not. Refunds "
                "are matched within a customer only.",
                values={"orders": got["shared"], "example": example},
            )
        )
    return found


def _ids(seen: Seen) -> list[Finding]:
    """Ids of text that may be one customer's, or nobody's."""
    ids = seen.table[c.CUSTOMER_ID]
    if not len(ids) or not isinstance(ids.iloc[0], str):
        return []
    cautions = []
    words = stands_for_none(ids)
    if words:
        cautions.append(
            Finding(
                name="ids_for_nobody",
                level="caution",
                sentence=f"{counted(len(words), 'customer id')} {'is a word' if len(words) == 1 else 'are words'} for "
                f"nothing and {'is' if len(words) == 1 else 'are'} kept as customers: {', '.join(map(repr, words[:5]))}"
                ". Orders without a customer should have no id.",
                values={"customers": len(words), "example": words[0]},
            )
        )
    keys = pd.Series([folded(one) for one in ids], index=ids.index)
    twins = keys.duplicated(keep=False)
    if twins.any():
        first = keys[twins].iloc[0]
        pair = ids[keys == first].tolist()[:3]
        alike = int(twins.sum())
        cautions.append(
            Finding(
                name="ids_alike",
                level="caution",
                sentence=f"{alike:,} customer ids differ from another only by case, blanks, characters that cannot be "
                f"seen, zeros before them or a decimal .0, for example {', '.join(map(ascii, pair))}: they are kept "
                "apart, though they may be the same customers.",
                values={"customers": alike, "example": str(pair[0])},
            )
        )
    return cautions


def _known(seen: Seen) -> list[Finding | None]:
    usable = [seen.counts[kind] for kind in (PURCHASE, REFUND) if kind in seen.counts]
    unrecorded = sum(count.unrecorded for count in usable)
    no_margin = sum(count.without_margin for count in usable) if c.MARGIN in seen.source.table.columns else 0
    unknown = int(seen.table[c.TOTAL_MARGIN].isna().sum()) if c.TOTAL_MARGIN in seen.table else 0
    return [
        Finding(
            name="unrecorded_rows",
            level="info",
            sentence=f"{counted(unrecorded, 'row')} without a readable recording time: known on their own date.",
            values={"rows": unrecorded},
        )
        if unrecorded
        else None,
        Finding(
            name="margin_unknown",
            level="caution" if unknown > np.floor(0.1 * len(seen.table)) else "info",
            sentence=f"{counted(no_margin, 'row')} without a readable margin: total_margin is missing for "
            f"{counted(unknown, 'customer')}, never taken as zero.",
            values={"rows": no_margin, "customers": unknown},
        )
        if no_margin
        else None,
    ]


def _margin_rate(seen: Seen) -> Finding | None:
    """Margins within one unit of money beside much larger amounts: a rate where money belongs."""
    if c.MARGIN not in seen.source.table.columns:
        return None
    known = seen.rows.filter(seen.rows[c.MARGIN].notnull())
    margin, amount = known[c.MARGIN], known[c.AMOUNT]
    measures = {
        "rows": known.count(),
        "low": margin.min(),
        "high": margin.max(),
        "beyond": (amount.abs() > MONEY_BEYOND_RATES).cast("int64").sum(),
        "money": amount.abs().sum(),
    }
    got = seen.source.fetch(known.agg(**measures)).to_pylist()[0]
    rows = got["rows"]
    if not rows or max(-got["low"], got["high"]) > LARGEST_RATE or got["low"] == got["high"] == 0:
        return None
    if got["beyond"] <= rows / 2:
        return None
    low, high, mean = float(got["low"]), float(got["high"]), float(got["money"]) / rows
    return Finding(
        name="margin_looks_like_a_rate",
        level="caution",
        sentence=f"All margins lie between {low:g} and {high:g} while amounts are {mean:,.2f} on average: that looks "
        "like a rate, and margin is money. If it is one, multiply it by the amount first: as it stands, every order "
        "counts for less than one unit of money.",
        values={"lowest": low, "highest": high, "mean_amount": mean},
    )
