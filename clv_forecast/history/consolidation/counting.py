"""How much a source holds, counted where it lies: what a check shows before anything is read."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import ibis
import pyarrow as pa

from clv_forecast import columns as c
from clv_forecast.arguments import EARLIEST_YEAR, parse_day
from clv_forecast.history.audit import counted, format_money
from clv_forecast.history.cleaning import (
    LARGEST_AMOUNT,
    MAX_UNREADABLE,
    amount_flaw,
    check_time_zone,
    largest_reading,
    local_time,
    text_of,
    written,
)
from clv_forecast.history.consolidation import order_groups as g
from clv_forecast.history.consolidation.order_source import OpenedSource, OrderSource, opened
from clv_forecast.history.reconciliation import check_unreadable
from clv_forecast.printable import printable
from clv_forecast.tables.ids import inexact, refuse_inexact, text_of_ids
from clv_forecast.tables.queries import fetch
from clv_forecast.tables.text_format import MONEY, looks_like


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount:
    """What a source holds.

    Parameters
    ----------
    source : str
    rows : int
        Lines, up to the day asked for.
    customers : int
        Distinct ids.
    amount : mapping of (str or None) to Decimal
        Exact money by currency, refunds taken off; None where no currency is named.
    first_day, last_day : datetime.date, optional
        Of the usable dates; None where there are none.
    """

    source: str
    rows: int
    customers: int
    amount: Mapping[str | None, Decimal]
    first_day: datetime.date | None
    last_day: datetime.date | None

    def __str__(self) -> str:
        amounts = ((format_money(sum_of, group=True), printable(code or "")) for code, sum_of in self.amount.items())
        sums = (f"{amount} {code}".strip() for amount, code in amounts)
        days = "" if self.first_day is None else f", from {self.first_day} to {self.last_day}"
        return f"{counted(self.rows, 'line')} of {counted(self.customers, 'id')}, {', '.join(sums)}{days}"


def count_source(
    source: OrderSource, as_of: Any = None, *, time_zone: str | None = None, max_unreadable: float = MAX_UNREADABLE
) -> SourceCount:
    """Count a source's lines, ids, money and days with one statement; nothing is written and no line travels.

    Parameters
    ----------
    source : OrderSource
    as_of : date, Timestamp or ISO text, optional
        Lines dated or recorded after it are not counted (text dates in another database than DuckDB: all are).
    time_zone, max_unreadable
        As in ``consolidate``.

    Returns
    -------
    SourceCount

    Raises
    ------
    DomainError
        If ``as_of`` is no day or there is no such zone.
    InputError
        If the source, or too much of it, cannot be read, or a column is missing or of a wrong kind.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({
    ...     "customer_id": [1, 1, 2], "date": ["2024-01-05", "2024-02-05", "2024-03-01"], "amount": [10, -2.5, 7]
    ... })
    >>> found = count_source(OrderSource("shop", log), as_of="2024-02-29")
    >>> found.rows, found.customers, found.amount[None], str(found.last_day)
    (2, 1, Decimal('7.500000'), '2024-02-05')
    """
    day = None if as_of is None else parse_day(as_of, "as_of")
    zone = check_time_zone(time_zone)
    with opened(source, time_zone=zone) as log:
        records = log.fetch(_measured(log, day, zone)).to_pylist()
        _refuse(log, next(record for record in records if record["whole"]), max_unreadable)
        constant, ends = log.constant_currency, _ends(log, zone)
    whole = next(record for record in records if record["whole"])
    parts = [record for record in records if not record["whole"]] or [whole]
    first, last = ends(whole["first"], whole["last"])
    return SourceCount(
        source=source.name,
        rows=int(whole["rows"]),
        customers=int(whole["customers"]),
        amount=MappingProxyType({r[c.CURRENCY] or constant: r[c.AMOUNT] or Decimal(0) for r in parts}),
        first_day=first,
        last_day=last,
    )


def _measured(log: OpenedSource, as_of: datetime.date | None, zone: str | None) -> Any:
    """All lines as one row, and where there are currencies a row for each."""
    raw = g.typed(log.table)
    after = g.late(log, raw, as_of=as_of, time_zone=zone)
    if log.in_duckdb and as_of is not None:  # there text is a date too
        days = [
            local_time(raw[name], name, zone, form=log.format)[0].date()
            for name in (c.DATE, c.RECORDED_AT)
            if log.has(name)
        ]
        after = ibis.or_(*((day > ibis.literal(as_of)).fill_null(False) for day in days))
    code = text_of(raw[c.CURRENCY]) if log.has(c.CURRENCY) else ibis.null("string")
    ids = raw[c.CUSTOMER_ID]
    usable, amount = _usable(log, raw[c.DATE], zone), g.exact_number(log, raw, c.AMOUNT, largest=LARGEST_AMOUNT)[0]
    no, nothing = ibis.literal(False), ibis.literal(0).cast(MONEY)
    kinds = {"date_unreadable": no, "amount_unreadable": no, "plausible": nothing}
    if log.in_duckdb:
        day_lost = written(raw[c.DATE]).notnull() & usable.isnull()
        lost = _lost_amount(log, raw)
        largest = largest_reading(raw[c.AMOUNT].cast("string"))
        kinds = {
            "date_unreadable": day_lost,
            "amount_unreadable": lost & ~day_lost,
            "plausible": ibis.ifelse(lost, largest, amount.abs()).fill_null(0).cast(MONEY),
        }
    lines = raw.select(
        **{
            c.CURRENCY: code,
            "id": (text_of_ids(ids).strip().nullif("") if ids.type().is_string() else ids),
            "inexact": inexact(ids).fill_null(False) if ids.type().is_floating() else no,
            c.AMOUNT: amount,
            c.DATE: usable,
            "late": no if after is None else after,
            **kinds,
        }
    )
    lines = lines.filter(~lines["late"])
    measures = {
        "rows": lines.count(),
        "customers": lines["id"].nunique(),
        c.AMOUNT: lines[c.AMOUNT].sum().cast(MONEY),
        "first": lines[c.DATE].min(),
        "last": lines[c.DATE].max(),
        "inexact": ibis.ifelse(lines["inexact"], 1, 0).sum(),
        "first_inexact": lines["id"].cast("string").min(where=lines["inexact"]),
        "days_lost": ibis.ifelse(lines["date_unreadable"], 1, 0).sum(),
        "days_money": lines["plausible"].sum(where=lines["date_unreadable"]).cast(MONEY),
        "amounts_lost": ibis.ifelse(lines["amount_unreadable"], 1, 0).sum(),
        "amounts_money": lines["plausible"].sum(where=lines["amount_unreadable"]).cast(MONEY),
        "money": lines["plausible"].sum().cast(MONEY),
    }
    whole = lines.agg(**measures).mutate(whole=ibis.literal(True), **{c.CURRENCY: ibis.null("string")})
    if not log.has(c.CURRENCY):
        return whole
    each = lines.group_by(c.CURRENCY).agg(**measures).mutate(whole=ibis.literal(False))
    return whole.union(each.select(*whole.columns))


def _lost_amount(log: OpenedSource, raw: Any) -> Any:
    """Whether an amount is written that cannot be one: no number, infinite, or too large for money."""
    flaw = amount_flaw(raw[c.AMOUNT], log.format)
    amount = g.exact_number(log, raw, c.AMOUNT, largest=LARGEST_AMOUNT)[0]
    return (flaw != "amount_missing") & amount.isnull()


def _refuse(log: OpenedSource, whole: dict[str, Any], most: float) -> None:
    """Refuse what a run would refuse: ids that floats no longer hold, and too much that cannot be read."""
    ids = log.table[c.CUSTOMER_ID].type()
    if ids.is_floating():
        first = float(whole["first_inexact"] or 0.0)
        refuse_inexact(int(whole["inexact"] or 0), [first], f"The ids of {log.source.name}", bits=8 * ids.nbytes)
    lost = {
        kind: (int(whole[f"{name}_lost"] or 0), whole[f"{name}_money"] or Decimal(0))
        for kind, name in (("date_unreadable", "days"), ("amount_unreadable", "amounts"))
    }
    rest = int(whole["rows"]) - sum(rows for rows, _ in lost.values())
    money = (whole["money"] or Decimal(0)) - sum(amount for _, amount in lost.values())

    def values(kind: str) -> list[str]:
        name = c.AMOUNT if kind == "amount_unreadable" else c.DATE
        raw = g.typed(log.table)
        column = raw[name]
        lost = (
            _lost_amount(log, raw)
            if name == c.AMOUNT
            else written(column).notnull() & _usable(log, column, None if column.type().is_string() else "UTC").isnull()
        )
        shown = raw.filter(lost).select(text=column.cast("string")).distinct().order_by("text").limit(5)
        return [str(value) for value in log.fetch(shown)["text"].to_pylist()]

    def advice(name: str) -> str:
        raw = g.typed(log.table)
        return (
            looks_like(log.fetch, raw, name, format=log.format, time=name == c.DATE)
            if raw[name].type().is_string()
            else ""
        )

    check_unreadable({**lost, "": (rest, money)}, most, values=values, advice=advice, label=log.source.name)


def _usable(log: OpenedSource, column: Any, zone: str | None) -> Any:
    """Dates that can be one: moments on the clocks of the zone in DuckDB, elsewhere as they are."""
    if log.in_duckdb:
        column = local_time(column, c.DATE, zone, form=log.format)[0]
    if column.type().is_string():
        return column.strip().nullif("")
    kind = "date" if column.type().is_date() else "timestamp"
    earliest = ibis.literal(datetime.datetime(EARLIEST_YEAR, 1, 1)).cast(kind)
    return ibis.ifelse(column >= earliest, column, ibis.null(column.type()))


def _ends(log: OpenedSource, zone: str | None) -> Callable[[Any, Any], tuple[datetime.date | None, ...]]:
    """How the first and last date of a source become days of the zone."""
    kind = log.table[c.DATE].type().to_pyarrow()
    if log.in_duckdb:
        kind = pa.timestamp("us")

    def days(*ends: Any) -> tuple[datetime.date | None, ...]:
        written = any(isinstance(end, str) for end in ends)
        held = ibis.memtable(pa.table({c.DATE: pa.array(ends, pa.string() if written else kind)}))
        found = fetch(held.select(day=local_time(held[c.DATE], c.DATE, zone, form=log.format)[0].date()))
        return tuple(found["day"].to_pylist())

    return days
