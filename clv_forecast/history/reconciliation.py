"""Counts of what became of the rows, in the sentences of an audit.

Why nothing can be made of a log: the one reason, by name, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import ibis

from clv_forecast import columns as c
from clv_forecast.arguments import EARLIEST_YEAR
from clv_forecast.errors import InputError
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
    Rules,
    largest_reading,
)
from clv_forecast.history.summary import Refunded
from clv_forecast.tables.source import Source
from clv_forecast.tables.text_format import MONEY, looks_like

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


def count_rows(source: Source, rows: Any) -> tuple[dict[str, Count], Any]:
    """Count the rows of each kind, with customers and exact money; ``"read"`` counts all.

    Returns
    -------
    counts : dict of str to Count
    rows : ibis Table
        The same rows, read once for all later queries where they are few.
    """
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
    read = sum(count.rows for count in counts.values())
    rows = source.settle(rows, read)
    known = len(counts.keys() - {"customer_missing"})
    customers = max((count.customers for count in counts.values()), default=0)
    if known > 1:
        customers = source.fetch(rows[c.CUSTOMER_ID].nunique()).as_py()
    counts[READ] = Count(rows=read, customers=customers, amount=total)
    return counts, rows


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


NEARLY_ALL: Final = 0.9
"""From this share of rows on one reason speaks for the whole log."""

UNREADABLE: Final = (
    "date_unreadable",
    "date_placeholder",
    "amount_unreadable",
    "amount_infinite",
    "amount_out_of_range",
)
"""Kinds of rows that something was written in, but nothing can be read from."""
_SHOWN: Final = 5
_COLUMN: Final = "Check that the option names the column that holds it."
_REASONS: Final = {
    "customer_missing": ("Every order needs a customer id", _COLUMN),
    "currency_missing": ("Every order needs a currency where a column of currencies is named", _COLUMN),
    "date_missing": ("Every order needs a date", _COLUMN),
    "amount_missing": ("Every order needs an amount", _COLUMN),
    "amount_infinite": ("Amounts must be finite", _COLUMN),
    "amount_out_of_range": ("Amounts must be of a readable size", _COLUMN),
    "zero_amount": ("A purchase needs an amount above zero", _COLUMN),
    "recorded_after_as_of": (
        "Nothing counts that was recorded after as_of",
        "Move as_of to a day on which the orders were known.",
    ),
}
_REFUNDS: Final = (REFUND, "refund_dropped")


def refuse_unusable(
    source: Source, rows: Any, rules: Rules, *, counts: Mapping[str, Count], shown: Mapping[str, str]
) -> None:
    """Raise when rows contradict the options, too much cannot be read, or no purchase is left.

    Parameters
    ----------
    source : Source
    rows : ibis Table
        From ``cleaning.classify``.
    rules : Rules
    counts : mapping of str to Count
        Of each kind of row, and ``"read"``.
    shown : mapping of str to str
        One row of each kind that is left out, as text.

    Raises
    ------
    InputError
    """
    offsets = sum(count.offsets for count in counts.values())
    if offsets:
        raise InputError(
            "Dates written with an offset from UTC need time_zone, the named zone whose days count.",
            value=f"{counted(offsets, 'row')} with an offset",
            remedy="Pass for example time_zone='Europe/Berlin'.",
        )
    if rules.refunds == "error" and REFUND in counts:
        refund = rows.filter(rows[KIND] == REFUND)
        first = source.fetch(refund.select(c.CUSTOMER_ID).distinct().order_by(c.CUSTOMER_ID).limit(5))
        raise InputError(
            "refunds='error' allows no negative amount.",
            value=counted(counts[REFUND].rows, "row"),
            customer_ids=source.ids(first[c.CUSTOMER_ID]).tolist(),
            remedy="Let refunds be net or drop.",
        )
    refuse_unreadable(source, rows, rules, counts=counts)
    total = counts[READ].rows
    parts = {kind: count.rows for kind, count in counts.items() if kind != READ}
    worst = max(sorted(parts), key=parts.__getitem__, default="")
    speaks = bool(total) and parts[worst] >= NEARLY_ALL * total
    if PURCHASE in counts:
        return
    raise _why(rules, parts, worst if speaks else "", shown=shown)


def refuse_unreadable(source: Source, rows: Any, rules: Rules, *, counts: Mapping[str, Count]) -> None:
    """Refuse a log of which more than ``rules.max_unreadable`` of the rows, or of the money, cannot be read.

    Raises
    ------
    InputError
    """
    known = {kind: count for kind, count in counts.items() if kind != READ}

    def values(kind: str) -> list[str]:
        return unreadable_values(source, rows, kind)

    def advice(name: str) -> str:
        text = source.table[name].type().is_string()
        return looks_like(source.fetch, source.table, name, format=source.format, time=name == c.DATE) if text else ""

    check_unreadable(
        {kind: (count.rows, count.plausible) for kind, count in known.items()},
        rules.max_unreadable,
        values=values,
        advice=advice,
    )


def check_unreadable(
    parts: Mapping[str, tuple[int, Decimal]],
    most: float,
    *,
    values: Callable[[str], list[str]],
    advice: Callable[[str], str],
    label: str = "",
) -> None:
    """Check that no more than a share of the rows, and of the money at its largest reading, cannot be read.

    Parameters
    ----------
    parts : mapping of str to (rows, money)
        By kind of row.
    most : float
    values : callable
        The first values of a kind of row.
    advice : callable
        How a column seems to be written.
    label : str
        The source, for the error.

    Raises
    ------
    InputError
    """
    lost = {kind: part for kind, part in parts.items() if kind in UNREADABLE and part[0]}
    if not lost:
        return
    rows, money = sum(part[0] for part in parts.values()), sum(part[1] for part in parts.values())
    of_rows = sum(part[0] for part in lost.values()) / rows
    of_money = float(sum(part[1] for part in lost.values()) / money) if money else 0.0
    if max(of_rows, of_money) <= most:
        return
    worst = max(lost, key=lambda kind: (lost[kind][0], kind))
    seems = advice(c.AMOUNT if worst.startswith("amount") else c.DATE)
    several = f", all that cannot be read {_percent(of_rows)} of the rows" if len(lost) > 1 else ""
    raise InputError(
        f"Too much cannot be read{label and f' in {label}'}: {lost[worst][0]:,} of {counted(rows, 'row')} "
        f"({_percent(lost[worst][0] / rows)}) {_WHAT[worst]}{several}; at their largest reading that is "
        f"{_percent(of_money)} of the money. At most {_percent(most)} may be left out.",
        value=", ".join(map(repr, values(worst))),
        remedy=(f"They can be read with {seems}. " if seems.startswith(("date_format=", "decimal=")) else "")
        + "Say how they are written (date_format, decimal, thousands), mend them, or raise max_unreadable to leave "
        "them out.",
    )


def unreadable_values(source: Source, rows: Any, kind: str) -> list[str]:
    """The first five values that make rows of a kind unreadable, as they were written."""
    text = AMOUNT_TEXT if kind.startswith("amount") else DATE_TEXT
    wanted = rows.filter(rows[KIND] == kind).select(text).distinct().order_by(text).limit(_SHOWN)
    return [str(value) for value in source.fetch(wanted)[text].to_pylist()]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"


_WHAT: Final = {
    "date_unreadable": f"have a date that is none, or lies before {EARLIEST_YEAR}",
    "date_placeholder": "have a date that stands for none",
    "amount_unreadable": "have an amount that is no number",
    "amount_infinite": "have an infinite amount",
    "amount_out_of_range": f"have an amount of {LARGEST_AMOUNT:,} or more",
}


def _why(rules: Rules, parts: Mapping[str, int], worst: str, *, shown: Mapping[str, str]) -> InputError:
    """Say why there is no history: ``worst`` is what nearly all rows are, if there is such a kind."""
    total = sum(parts.values())
    if not total:
        return InputError("The order log is empty.", value="no rows", remedy="Check the filter or file it comes from.")
    if worst in _REFUNDS:
        return InputError(
            "The order log has refunds only and no purchase.",
            value=f"{parts[worst]:,} of {counted(total, 'row')} with a negative amount",
            remedy="Purchases are positive and refunds negative: check the sign.",
        )
    if worst == "after_as_of":
        rest = "" if parts[worst] == total else f", or none but {total - parts[worst]:,} of {total:,} rows"
        return InputError(
            f"as_of lies before the first order{rest}.",
            value=f"{rules.as_of}; for example {shown.get(worst)}",
            remedy="Set as_of to the last complete day of the log.",
        )
    if worst in _REASONS:
        rule, remedy = _REASONS[worst]
        return InputError(
            f"{rule}: {parts[worst]:,} of {counted(total, 'row')} {'breaks' if parts[worst] == 1 else 'break'} this.",
            value=f"for example {shown.get(worst)}",
            remedy=remedy,
        )
    return InputError(
        "The order log has no purchase by as_of.",
        value=", ".join(f"{kind}: {counted(rows, 'row')}" for kind, rows in sorted(parts.items())),
        remedy=" ".join(f"{kind}, for example: {shown[kind]}." for kind in sorted(parts) if kind in shown),
    )
