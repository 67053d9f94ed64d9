"""Counts of what became of the rows, in the sentences of an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import ibis

from clv_forecast import columns as c
from clv_forecast.arguments import EARLIEST_YEAR
from clv_forecast.history.audit import KEPT, READ, Step, counted, format_example, format_money
from clv_forecast.history.cleaning import (
    AMOUNT_TEXT,
    DATE_TEXT,
    KIND,
    LARGEST_AMOUNT,
    OFFSET,
    PURCHASE,
    REFUND,
    UNRECORDED,
    largest_reading,
)
from clv_forecast.history.summary import Refunded
from clv_forecast.tables.source import Source
from clv_forecast.tables.text_format import MONEY

NO_EXAMPLE: Final = frozenset({READ, PURCHASE, REFUND})
_WHY: Final = {
    "customer_missing": "without a customer id, so nobody's history can take them",
    "currency_missing": "without a currency, so their money cannot be added",
    "date_missing": "without a date",
    "date_unreadable": f"whose date cannot be read or lies before {EARLIEST_YEAR}",
    "date_placeholder": "dated on a day that stands for no date, far from all others",
    "amount_missing": "without an amount (empty or not a number)",
    "amount_infinite": "whose amount is infinite",
    "amount_unreadable": "whose amount is text that cannot be read as a number",
    "amount_out_of_range": f"whose amount is {LARGEST_AMOUNT:,} or more in size, taken for a mistake",
    "after_as_of": "dated after {as_of}, the last day that counts",
    "recorded_after_as_of": "dated in time but recorded after {as_of}, so not known then",
    "zero_amount": "whose amount is zero to six decimals, so no purchase",
    "refund_dropped": "with a negative amount, left out as asked (refunds: drop)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Rows of one kind.

    Parameters
    ----------
    rows, customers : int
    amount : Decimal
    offsets : int
        Rows whose date or recording time is text with an offset from UTC while no time zone was named.
    unrecorded : int
        Rows without a recording time although there is a column for it.
    without_margin : int
    plausible : Decimal
        Money that rows may have stood for, refunds counted as positive: of rows without a readable amount the largest
        reading of their text.
    """

    rows: int = 0
    customers: int = 0
    amount: Decimal = Decimal(0)
    offsets: int = 0
    unrecorded: int = 0
    without_margin: int = 0
    plausible: Decimal = Decimal(0)


def count_rows(source: Source, rows: Any) -> dict[str, Count]:
    """Count the rows of each kind, with customers and exact money; ``"read"`` counts all."""
    measures = {
        "rows": rows.count(),
        "customers": rows[c.CUSTOMER_ID].nunique(),
        "amount": rows[c.AMOUNT].sum(),
        "offsets": rows[OFFSET].sum(),
        "unrecorded": rows[UNRECORDED].sum(),
        "without_margin": rows[c.MARGIN].isnull().sum(),
        "plausible": ibis.ifelse(
            rows[KIND] == "amount_unreadable", largest_reading(rows[AMOUNT_TEXT]), rows[c.AMOUNT].abs()
        )
        .sum()
        .cast(MONEY),
    }
    counts: dict[str, Count] = {}
    for record in source.fetch(rows.group_by(KIND).agg(**measures)).to_pylist():
        kind = record.pop(KIND)
        amount, plausible = record.pop(c.AMOUNT) or Decimal(0), record.pop("plausible") or Decimal(0)
        counts[kind] = Count(
            amount=amount, plausible=plausible, **{name: int(value or 0) for name, value in record.items()}
        )
    total = sum((count.amount for count in counts.values()), Decimal(0))
    known = len(counts.keys() - {"customer_missing"})
    customers = max((count.customers for count in counts.values()), default=0)
    if known > 1:
        customers = source.fetch(rows[c.CUSTOMER_ID].nunique()).as_py()
    counts[READ] = Count(rows=sum(count.rows for count in counts.values()), customers=customers, amount=total)
    return counts


def examples(source: Source, rows: Any, kinds: list[str]) -> dict[str, str]:
    """One row of each of these kinds as it was written: the first by customer, date, amount and order."""
    if not kinds:
        return {}
    wanted = rows.filter(rows[KIND].isin(kinds))
    fields = [c.CUSTOMER_ID, DATE_TEXT, AMOUNT_TEXT, c.ORDER_ID, c.CATEGORY]
    place = ibis.row_number().over(ibis.window(group_by=KIND, order_by=fields))
    first = wanted.mutate(place=place).filter(ibis._.place == 0).select(KIND, *fields)
    return {record[KIND]: row_text(source, record) for record in source.fetch(first).to_pylist()}


def row_text(source: Source, record: Mapping[str, Any]) -> str:
    """One row as text, with the customer id as the caller wrote it."""
    shown = [
        (c.CUSTOMER_ID, source.id_of(record[c.CUSTOMER_ID])),
        (c.DATE, record[DATE_TEXT]),
        (c.AMOUNT, record[AMOUNT_TEXT]),
    ]
    return format_example(shown + [(n, record[n]) for n in (c.ORDER_ID, c.CATEGORY) if record[n] is not None])


def ledger(
    counts: Mapping[str, Count],
    refunded: Refunded,
    shown: Mapping[str, str],
    *,
    as_of: str,
    days: int,
    customers: int,
) -> tuple[Step, ...]:
    """Steps from ``read`` to ``kept``; their rows and money add up exactly."""
    read = counts[READ]
    steps = [
        Step(
            name=READ,
            rows=read.rows,
            customers=read.customers,
            amount=read.amount,
            sentence=f"Read: {counted(read.rows, 'row')} of {counted(read.customers, 'customer')}, "
            f"{_money(read.amount)} in all.",
        )
    ]
    for kind, why in _WHY.items():
        count = counts.get(kind, Count())
        if count.rows:
            money = f"; their money: {_money(count.amount)}" if count.amount else ""
            steps.append(
                Step(
                    name=kind,
                    rows=count.rows,
                    customers=count.customers,
                    amount=count.amount,
                    sentence=f"Left out: {counted(count.rows, 'row')} {why.format(as_of=as_of)}{money}.",
                    example=shown.get(kind, ""),
                )
            )
    bought = counts.get(PURCHASE, Count())
    steps += _refund_steps(refunded)
    kept = bought.amount - refunded.amount
    rows = bought.rows - refunded.cancelled_rows
    steps.append(
        Step(
            name=KEPT,
            rows=rows,
            customers=customers,
            amount=kept,
            sentence=f"Kept: {counted(rows, 'row')}, {_money(kept)} net of refunds, in "
            f"{counted(days, 'purchase-day')} of {counted(customers, 'customer')}.",
        )
    )
    return tuple(steps)


def _refund_steps(refunded: Refunded) -> list[Step]:
    steps = []
    if refunded.rows:
        parts = ", ".join(f"{_money(amount)} by {level}" for level, amount in refunded.by_level.items() if amount)
        steps.append(
            Step(
                name="refunds_netted",
                rows=refunded.rows,
                customers=refunded.customers,
                amount=Decimal(0),
                sentence=f"Refunds taken from the customer's own purchases: {counted(refunded.rows, 'row')}, "
                f"{_money(refunded.amount)} ({parts}). The money kept is net of them.",
            )
        )
    if refunded.cancelled_rows:
        steps.append(
            Step(
                name="purchases_cancelled",
                rows=refunded.cancelled_rows,
                customers=refunded.cancelled_customers,
                amount=Decimal(0),
                sentence=f"Purchases that refunds took back in full: {counted(refunded.cancelled_rows, 'row')}, "
                f"{_money(refunded.cancelled_amount)}. Customer-days left without a purchase: "
                f"{refunded.days_cancelled:,}.",
                example=refunded.example_cancelled,
            )
        )
    if refunded.unmatched_amount:
        rest = f" (of it {_money(refunded.remainder)} from refunds matched in part)" if refunded.remainder else ""
        steps.append(
            Step(
                name="refunds_unmatched",
                rows=refunded.unmatched_rows,
                customers=refunded.unmatched_customers,
                amount=-refunded.unmatched_amount,
                sentence=f"Refunds without an earlier purchase of the same customer with money left: "
                f"{counted(refunded.unmatched_rows, 'row')}. {_money(refunded.unmatched_amount)} are set aside{rest}: "
                "the revenue kept is that much higher than the sum of the log.",
                example=refunded.example_unmatched,
            )
        )
    return steps


def _money(amount: Decimal) -> str:
    return format_money(amount, group=True)
