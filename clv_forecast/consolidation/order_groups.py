"""What travelled from a source, in one form for all: local days, exact money, ids as text."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from clv_forecast import columns as c
from clv_forecast.arguments import EARLIEST_YEAR, LATEST_YEAR
from clv_forecast.consolidation import grouped_lines as g
from clv_forecast.consolidation.opened_source import OpenedSource
from clv_forecast.errors import InputError
from clv_forecast.history.audit import counted
from clv_forecast.history.cleaning import (
    EPOCH,
    amount_flaw,
    largest_reading,
    local_time,
    placeholders_among,
    text_of,
    written,
)
from clv_forecast.history.reconciliation import check_unreadable
from clv_forecast.tables.ids import EXACT, in_one_kind, refuse_inexact, text_of_ids, texts_of
from clv_forecast.tables.queries import fetch
from clv_forecast.tables.text_format import MONEY, TextFormat, decided_format, looks_like

SOURCE: Final = "source"
SOURCE_ID: Final = "source_id"
RANK: Final = "source_rank"
DAY: Final = "day"
UNREADABLE: Final = "unreadable"

SCHEMA: Final = pa.schema(
    [
        (SOURCE, pa.string()),
        (RANK, pa.int32()),
        (SOURCE_ID, pa.string()),
        (DAY, pa.int32()),
        (c.DATE, pa.string()),
        (c.AMOUNT, pa.decimal128(38, 6)),
        (g.SIGN, pa.int8()),
        (g.AMOUNT_TEXT, pa.string()),
        (c.ORDER_ID, pa.string()),
        (c.CATEGORY, pa.string()),
        (c.MARGIN, pa.decimal128(38, 6)),
        (c.CURRENCY, pa.string()),
        (c.RECORDED_AT, pa.string()),
        (g.LINES, pa.int64()),
        (g.REPEATED, pa.int64()),
        (g.AFTER, pa.bool_()),
        (UNREADABLE, pa.string()),
    ]
)
"""One row per group that travelled; ``day`` counts from 1970-01-01 and is missing where there is no usable date;
``unreadable`` names what cannot be read in it, and is missing where all can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderGroups:
    """The groups of one source.

    Parameters
    ----------
    source : str
    table : pyarrow Table
        In the columns of ``SCHEMA``; ids, order numbers and labels as text, untouched.
    id_type : pyarrow DataType or None
        What its ids are: integers or decimals of some width, or text; None where a text file does not say.
    columns : frozenset of str
        Which of the optional columns the source has.
    constant_currency : str, optional
    """

    source: str
    table: pa.Table
    id_type: pa.DataType | None
    columns: frozenset[str]
    constant_currency: str | None
    format: TextFormat


def read_groups(
    opened: OpenedSource, rank: int, *, as_of: datetime.date | None, time_zone: str | None, max_unreadable: float
) -> OrderGroups:
    """Ask a source once and bring what comes into one form.

    Parameters
    ----------
    opened : OpenedSource
    rank : int
        Its place in the order of the sources.
    as_of : datetime.date, optional
        Last day that counts; None when all days do.
    time_zone : str, optional
    max_unreadable : float
        Largest share of lines, or of money, that may be unreadable.

    Returns
    -------
    OrderGroups

    Raises
    ------
    InputError
        If the source cannot be read, its dates carry offsets from UTC while no time zone is named, or too much cannot
        be read.
    """
    fetched = opened.fetch(g.grouped_lines(opened, as_of=as_of, time_zone=time_zone))
    fetched, id_type = _with_ids(fetched, opened)
    raw = g.typed(ibis.memtable(fetched))
    form = opened.format
    if opened.held is None:  # of a database the days have travelled, as text where they are no dates there
        times = [name for name in (c.DATE, c.RECORDED_AT) if opened.has(name) and raw[name].type().is_string()]
        form = decided_format(fetch, raw, form, numbers=(), times=times, label=opened.source.name).format
    at, offset = local_time(raw[c.DATE], c.DATE, time_zone, form)
    usable = ibis.ifelse(at.year() >= EARLIEST_YEAR, at, ibis.null("timestamp"))
    day = usable.date().epoch_days().cast("int32")
    after = raw[g.AFTER]
    last = None if as_of is None else (as_of - EPOCH).days
    if last is not None:
        after = after | (day > last).fill_null(False)
    recorded: Any = ibis.null("string")
    if opened.has(c.RECORDED_AT):
        when, recorded_offset = local_time(raw[c.RECORDED_AT], c.RECORDED_AT, time_zone, form)
        recorded, offset = _written(when, raw[c.RECORDED_AT]), offset | recorded_offset
        if last is not None:
            after = after | (when.date().epoch_days() > last).fill_null(False)
    no_text = ibis.null("string")
    typed = not opened.table[c.AMOUNT].type().is_string()  # numbers became text on the way, plainly
    flaw = amount_flaw(raw[g.AMOUNT_TEXT], TextFormat(decimal=".", thousands="") if typed else form)
    unreadable = ibis.cases(
        (written(raw[c.DATE]).notnull() & usable.isnull(), "date_unreadable"),
        (usable.year() > LATEST_YEAR, "date_placeholder"),
        (raw[g.AMOUNT_TEXT].isnull() | (flaw == "amount_missing"), no_text),
        (flaw == "", "amount_out_of_range"),
        else_=flaw,
    )
    shaped = raw.select(
        **{
            SOURCE: ibis.literal(opened.source.name),
            RANK: ibis.literal(rank).cast("int32"),
            SOURCE_ID: raw[SOURCE_ID],
            DAY: day,
            c.DATE: _written(usable, raw[c.DATE]),
            c.AMOUNT: raw[c.AMOUNT].cast(MONEY),
            g.SIGN: raw[g.SIGN].cast("int8"),
            g.AMOUNT_TEXT: raw[g.AMOUNT_TEXT],
            c.ORDER_ID: _label(raw[c.ORDER_ID]) if opened.has(c.ORDER_ID) else no_text,
            c.CATEGORY: _label(raw[c.CATEGORY]) if opened.has(c.CATEGORY) else no_text,
            c.MARGIN: _known_margin(raw) if opened.has(c.MARGIN) else ibis.null(MONEY),
            c.CURRENCY: text_of(raw[c.CURRENCY])
            if opened.has(c.CURRENCY)
            else ibis.literal(opened.constant_currency, type="string"),
            c.RECORDED_AT: recorded,
            g.LINES: raw[g.LINES].cast("int64"),
            g.REPEATED: ibis.ifelse(raw[g.AFTER], 0, raw[g.REPEATED]).cast("int64"),
            g.AFTER: after,
            UNREADABLE: ibis.ifelse(
                after.fill_null(False) & (unreadable != "date_placeholder").fill_null(True), no_text, unreadable
            ),
            "offset": offset,
            "plausible": ibis.ifelse(
                unreadable == "amount_unreadable",
                largest_reading(raw[g.AMOUNT_TEXT]) * raw[g.LINES],
                raw[c.AMOUNT].cast(MONEY).abs(),
            ).cast(MONEY),
        }
    )
    table = _with_placeholders(fetch(shaped))
    _refuse_offsets(table, opened)
    _refuse_unreadable(table, opened, form, raw, max_unreadable)
    return OrderGroups(
        source=opened.source.name,
        table=_labels_in_one_kind(table).drop_columns(["offset", "plausible"]).cast(SCHEMA),
        id_type=id_type,
        columns=frozenset(name for name in opened.table.columns if name in _OPTIONAL),
        constant_currency=opened.constant_currency,
        format=form,
    )


_OPTIONAL: Final = (c.ORDER_ID, c.CATEGORY, c.MARGIN, c.CURRENCY, c.RECORDED_AT)


def _known_margin(raw: Any) -> Any:
    return ibis.ifelse(raw[g.MARGIN_KNOWN], raw[c.MARGIN].cast(MONEY), ibis.null(MONEY))


def _refuse_offsets(table: pa.Table, opened: OpenedSource) -> None:
    offsets = pc.sum(pc.if_else(table["offset"], table[g.LINES], 0)).as_py() or 0
    if offsets:
        raise InputError(
            "Dates written with an offset from UTC need time_zone, the named zone whose days count.",
            value=f"{counted(offsets, 'line')} with an offset in the source {opened.source.name!r}",
            remedy="Pass for example time_zone='Europe/Berlin'.",
        )


def _written(moment: Any, raw: Any) -> Any:
    """A moment as ISO text, without the time of day at midnight; as it was written where it cannot be read."""
    text = moment.cast("string").re_replace(r"[ T]00:00:00$", "")
    return text.fill_null(raw.cast("string"))


def _with_placeholders(table: pa.Table) -> pa.Table:
    """Mark days that stand for no date; such a group is not late, whatever its day."""
    days = table[DAY].drop_null().to_numpy()
    numbers = [(day - EPOCH).days for day in placeholders_among(days)]
    if numbers:
        known = pc.is_in(table[DAY], value_set=pa.array(numbers, pa.int32()))
        marked = pc.if_else(known, pa.scalar("date_placeholder"), table[UNREADABLE])
        table = table.set_column(table.schema.get_field_index(UNREADABLE), UNREADABLE, marked)
    nowhere = pc.fill_null(pc.equal(table[UNREADABLE], "date_placeholder"), False)
    late = pc.and_(pc.fill_null(table[g.AFTER], False), pc.invert(nowhere))
    return table.set_column(table.schema.get_field_index(g.AFTER), g.AFTER, late)


def _refuse_unreadable(table: pa.Table, opened: OpenedSource, form: TextFormat, raw: Any, most: float) -> None:
    in_time = table.filter(pc.invert(pc.fill_null(table[g.AFTER], False)))
    sums = in_time.group_by(UNREADABLE).aggregate([(g.LINES, "sum"), ("plausible", "sum")]).to_pylist()
    parts = {part[UNREADABLE] or "": (part["lines_sum"], part["plausible_sum"] or Decimal(0)) for part in sums}

    def values(kind: str) -> list[str]:
        name = g.AMOUNT_TEXT if kind.startswith("amount") else c.DATE
        return sorted(pc.unique(in_time.filter(pc.equal(in_time[UNREADABLE], kind))[name]).to_pylist())[:_SHOWN]

    def advice(name: str) -> str:
        column = g.AMOUNT_TEXT if name == c.AMOUNT else name
        text = raw[column].type().is_string()
        return looks_like(fetch, raw, column, form, time=name == c.DATE) if text else ""

    check_unreadable(parts, most, values=values, advice=advice, label=opened.source.name)


_SHOWN: Final = 5


def _label(column: Any) -> Any:
    """An order number or category as text, untouched but for blanks around it."""
    return text_of_ids(column).strip().nullif("")


def _labels_in_one_kind(table: pa.Table) -> pa.Table:
    """Categories as whole numbers where all are; order numbers meet those of other sources and wait."""
    place = table.schema.get_field_index(c.CATEGORY)
    (category,) = in_one_kind(table[c.CATEGORY].combine_chunks())
    return table.set_column(place, c.CATEGORY, category)


def _with_ids(fetched: pa.Table, opened: OpenedSource) -> tuple[pa.Table, pa.DataType | None]:
    """The ids as text, and what they were: integers and decimals can become that again."""
    column = fetched[c.CUSTOMER_ID].combine_chunks()
    if pa.types.is_floating(column.type):
        bits = column.type.bit_width
        large = pc.fill_null(pc.and_(pc.is_finite(column), pc.greater_equal(pc.abs(column), float(EXACT[bits]))), False)
        refuse_inexact(pc.sum(large).as_py() or 0, column.filter(large)[:3].to_pylist(), "The ids", bits)
    text = texts_of(column)
    kind: pa.DataType | None = pa.string()
    if pa.types.is_integer(column.type) and not pa.types.is_uint64(column.type):
        kind = column.type
    elif pa.types.is_uint64(column.type):
        kind = pa.uint64() if (pc.max(column).as_py() or 0) < 2**63 else pa.string()
    elif pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        numbers = in_one_kind(text)[0].drop_null()
        whole = bool(pc.all(pc.match_substring_regex(numbers, r"^-?\d+$")).as_py() in (True, None))
        kind = pa.int64() if whole else pa.float64() if pa.types.is_floating(column.type) else pa.string()
    elif opened.from_text:
        kind = None
    table = fetched.drop_columns(c.CUSTOMER_ID)
    return table.append_column(SOURCE_ID, pa.chunked_array([text])), kind
