"""What is worth knowing about a log before a model sees it, and when there is nothing to model."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import ibis
import numpy as np
import pandas as pd

from clv_forecast import columns as c
from clv_forecast.errors import InputError
from clv_forecast.history.audit import Finding
from clv_forecast.history.cleaning import AT, KIND, PURCHASE, REFUND, Rules
from clv_forecast.history.reconciliation import NO_EXAMPLE, Count
from clv_forecast.history.sources import Source
from clv_forecast.history.summary import Refunded, event_text

OPENING_MONTHS: Final = 12
"""A yearly buyer shows within a year; who does not is new, or was away for more than one."""


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
    rules : Rules
    counts : mapping of str to Count
    refunded : Refunded
    table : DataFrame
    opening : datetime.date
        Customers first seen before it were already there.
    """

    source: Source
    rows: Any
    rules: Rules
    counts: Mapping[str, Count]
    refunded: Refunded
    table: pd.DataFrame
    opening: datetime.date


def refuse_unusable(
    source: Source, rows: Any, rules: Rules, counts: Mapping[str, Count], shown: Mapping[str, str]
) -> None:
    """Raise when rows contradict the options, or when no purchase is among them.

    Raises
    ------
    InputError
    """
    offsets = sum(count.offsets for count in counts.values())
    if offsets:
        raise InputError(
            "Dates written with an offset from UTC need time_zone, the named zone whose days count.",
            value=f"{offsets:,} rows with an offset",
            remedy="Pass for example time_zone='Europe/Berlin'.",
        )
    if rules.refunds == "error" and REFUND in counts:
        refund = rows.filter(rows[KIND] == REFUND)
        first = source.fetch(refund.select(c.CUSTOMER_ID).distinct().order_by(c.CUSTOMER_ID).limit(5))
        raise InputError(
            "refunds='error' allows no negative amount.",
            value=f"{counts[REFUND].rows:,} rows",
            customer_ids=source.ids(first[c.CUSTOMER_ID]).tolist(),
            remedy="Use refunds='net' or refunds='drop'.",
        )
    if PURCHASE in counts:
        return
    late = counts.get("after_as_of")
    if late is not None and rules.as_of is not None and not counts.keys() - {"after_as_of", "read"}:
        raise InputError(
            "as_of lies before the first order.", value=f"{rules.as_of}; for example {shown.get('after_as_of')}"
        )
    reasons = {kind: count.rows for kind, count in counts.items() if kind not in NO_EXAMPLE}
    worst = max(reasons, key=reasons.__getitem__, default="")
    raise InputError(
        "The order log has no purchase by as_of.",
        value=", ".join(f"{kind}: {rows:,} rows" for kind, rows in sorted(reasons.items()))
        or "no rows, or refunds only",
        remedy=f"For example {shown[worst]}." if shown.get(worst) else "",
    )


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
    found = [_period(seen), _merged(seen), _cohort(seen), *_lines(seen), _ids(seen), *_known(seen)]
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


def _merged(seen: Seen) -> Finding | None:
    days = int(seen.table[c.SPEND_COUNT_ALL].sum())
    rows = seen.counts[PURCHASE].rows - seen.refunded.cancelled_rows
    if rows == days:
        return None
    return Finding(
        name="same_day_merged",
        level="info",
        sentence=f"{rows:,} rows became {days:,} purchases: what one customer buys on one day counts once, its money "
        "added; money per purchase is money per customer-day, not per order.",
        values={"rows": rows, "purchases": days},
    )


def _cohort(seen: Seen) -> Finding | None:
    """Nobody new in the second half of the log: a file of customers who came early, not a company's whole log."""
    first, last = seen.table[c.FIRST_PURCHASE].min(), seen.table[c.FIRST_PURCHASE].max()
    end = pd.Timestamp(seen.rules.as_of)
    if last > first + (end - first) / 2:
        return None
    return Finding(
        name="cohort_log",
        level="info",
        sentence=f"Nobody bought first after {last.date()}, in the later part of the log: it follows customers who "
        "came early, and tells nothing about new ones. If they were all new then, pass observed_from="
        f"'{first.date()}'; otherwise those first seen before {seen.opening} count as already there.",
        values={"last_first_purchase": str(last.date()), "observed_from": str(seen.opening)},
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
        sentence=f"{extra:,} rows of {customers:,} customers repeat another row in {what}. They are kept: two "
        "equal purchases are possible. If they were delivered twice, drop them first, or revenue is too high. "
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
                sentence=f"{got['several_lines']:,} of {got['orders']:,} orders have several lines, which is normal "
                "for a log of order lines; their money is added.",
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
                sentence=f"{got['shared']:,} order ids occur with several customers, for example {example!r}: either "
                "ids are not unique or customers are not. Refunds are matched within a customer only.",
                values={"orders": got["shared"], "example": example},
            )
        )
    return found


def _ids(seen: Seen) -> Finding | None:
    ids = seen.table[c.CUSTOMER_ID]
    if not len(ids) or not isinstance(ids.iloc[0], str):
        return None
    folded = ids.astype(str).str.strip().str.casefold()
    alike = int(folded.duplicated(keep=False).sum())
    if not alike:
        return None
    example = ids[folded.duplicated(keep=False)].iloc[0]
    return Finding(
        name="ids_alike",
        level="caution",
        sentence=f"{alike:,} customer ids differ from another only by case or blanks around them, for example "
        f"{example!r}: they are kept apart, though they may be the same customers.",
        values={"customers": alike, "example": str(example)},
    )


def _known(seen: Seen) -> list[Finding | None]:
    usable = [seen.counts[kind] for kind in (PURCHASE, REFUND) if kind in seen.counts]
    unrecorded = sum(count.unrecorded for count in usable)
    no_margin = sum(count.without_margin for count in usable) if c.MARGIN in seen.source.table.columns else 0
    unknown = int(seen.table[c.TOTAL_MARGIN].isna().sum()) if c.TOTAL_MARGIN in seen.table else 0
    return [
        Finding(
            name="unrecorded_rows",
            level="info",
            sentence=f"{unrecorded:,} rows have no readable recording time: they count as known on their own date.",
            values={"rows": unrecorded},
        )
        if unrecorded
        else None,
        Finding(
            name="margin_unknown",
            level="caution" if unknown > np.floor(0.1 * len(seen.table)) else "info",
            sentence=f"{no_margin:,} rows have no readable margin: total_margin is missing for their "
            f"{unknown:,} customers, never taken as zero.",
            values={"rows": no_margin, "customers": unknown},
        )
        if no_margin
        else None,
    ]
