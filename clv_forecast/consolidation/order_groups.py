"""What travelled from a source, in one form for all: local days, exact money, ids as text."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Final

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clv_forecast import columns as c
from clv_forecast.consolidation import grouped_lines as g
from clv_forecast.consolidation.opened_source import OpenedSource
from clv_forecast.errors import InputError
from clv_forecast.history.audit import counted
from clv_forecast.history.cleaning import EARLIEST_YEAR, EPOCH, MONEY, local_time, text_of

SOURCE: Final = "source"
SOURCE_ID: Final = "source_id"
RANK: Final = "source_rank"
DAY: Final = "day"

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
    ]
)
"""One row per group that travelled; ``day`` counts from 1970-01-01 and is missing where there is no usable date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderGroups:
    """The groups of one source.

    Parameters
    ----------
    source : str
    table : pyarrow Table
        In the columns of ``SCHEMA``.
    id_type : pyarrow DataType
        What its ids are: integers or decimals of some width, or text.
    columns : frozenset of str
        Which of the optional columns the source has.
    constant_currency : str, optional
    """

    source: str
    table: pa.Table
    id_type: pa.DataType
    columns: frozenset[str]
    constant_currency: str | None


def read_groups(
    local: Any, opened: OpenedSource, rank: int, *, as_of: datetime.date | None, time_zone: str | None
) -> OrderGroups:
    """Ask a source once and bring what comes into one form.

    Parameters
    ----------
    local : ibis DuckDB backend
    opened : OpenedSource
    rank : int
        Its place in the order of the sources.
    as_of : datetime.date, optional
        Last day that counts; None when all days do.
    time_zone : str, optional

    Returns
    -------
    OrderGroups

    Raises
    ------
    InputError
        If the source cannot be read, or its dates carry offsets from UTC while no time zone is named.
    """
    fetched = opened.fetch(g.grouped_lines(opened, as_of=as_of, time_zone=time_zone))
    fetched, id_type = _with_ids(fetched, opened)
    raw = g.typed(ibis.memtable(fetched))
    at, offset = local_time(raw[c.DATE], c.DATE, time_zone)
    usable = ibis.ifelse(at.year() >= EARLIEST_YEAR, at, ibis.null("timestamp"))
    day = usable.date().epoch_days().cast("int32")
    after = raw[g.AFTER]
    last = None if as_of is None else (as_of - EPOCH).days
    if last is not None:
        after = after | (day > last).fill_null(False)
    recorded: Any = ibis.null("string")
    if opened.has(c.RECORDED_AT):
        when, recorded_offset = local_time(raw[c.RECORDED_AT], c.RECORDED_AT, time_zone)
        recorded, offset = _written(when, raw[c.RECORDED_AT]), offset | recorded_offset
        if last is not None:
            after = after | (when.date().epoch_days() > last).fill_null(False)
    no_text = ibis.null("string")
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
            c.ORDER_ID: _id_text(raw[c.ORDER_ID]) if opened.has(c.ORDER_ID) else no_text,
            c.CATEGORY: _id_text(raw[c.CATEGORY]) if opened.has(c.CATEGORY) else no_text,
            c.MARGIN: _known_margin(raw) if opened.has(c.MARGIN) else ibis.null(MONEY),
            c.CURRENCY: text_of(raw[c.CURRENCY])
            if opened.has(c.CURRENCY)
            else ibis.literal(opened.constant_currency, type="string"),
            c.RECORDED_AT: recorded,
            g.LINES: raw[g.LINES].cast("int64"),
            g.REPEATED: ibis.ifelse(raw[g.AFTER], 0, raw[g.REPEATED]).cast("int64"),
            g.AFTER: after,
            "offset": offset,
        }
    )
    table = local.to_pyarrow(shaped)
    _refuse_offsets(table, opened)
    return OrderGroups(
        source=opened.source.name,
        table=table.drop_columns("offset").cast(SCHEMA),
        id_type=id_type,
        columns=frozenset(name for name in opened.table.columns if name in _OPTIONAL),
        constant_currency=opened.constant_currency,
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


def _id_text(column: Any) -> Any:
    """An id as text; a whole number that missing values turned into a decimal loses its ``.0``."""
    if not column.type().is_floating():
        return text_of(column)
    whole = column.try_cast("int64")
    return ibis.ifelse(whole.cast("float64") == column, whole.cast("string"), text_of(column))


def _with_ids(fetched: pa.Table, opened: OpenedSource) -> tuple[pa.Table, pa.DataType]:
    """The ids as text, and what they were: integers and decimals can become that again."""
    column = fetched[c.CUSTOMER_ID].combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind: pa.DataType = pa.string()
    if opened.id_code is not None:
        known = [None if code is None else str(opened.id_code.values[code]) for code in column.to_pylist()]
        text = pa.array(known, pa.string())
    elif pa.types.is_integer(column.type):
        kind, text = column.type, column.cast(pa.string())
    elif pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        text, kind = _text_of_decimals(column)
    else:
        text = column.cast(pa.string())
        blank = pc.equal(pc.utf8_trim_whitespace(text), "")
        text = pc.if_else(blank, pa.scalar(None, pa.string()), text)
        if opened.ids_as_written and _all_integers(text):
            kind = pa.int64()
    table = fetched.drop_columns(c.CUSTOMER_ID)
    return table.append_column(SOURCE_ID, pa.chunked_array([text])), kind


def _text_of_decimals(column: pa.Array) -> tuple[pa.Array, pa.DataType]:
    number = column.cast(pa.float64())
    number = pc.if_else(pc.is_nan(number), pa.scalar(None, pa.float64()), number)
    values = number.drop_null().to_numpy()
    if (values == np.floor(values)).all() and (np.abs(values) < 2**53).all():
        return number.cast(pa.int64()).cast(pa.string()), pa.int64()
    if pa.types.is_decimal(column.type):
        return column.cast(pa.string()), pa.string()
    return pa.array([None if value is None else repr(value) for value in number.to_pylist()], pa.string()), pa.float64()


def _all_integers(text: pa.Array) -> bool:
    """Whether every id is an integer written the usual way (``00042`` is not, and stays text)."""
    usual = pc.match_substring_regex(text.drop_null(), r"^(0|-?[1-9][0-9]{0,17})$")
    return bool(pc.all(usual).as_py() or not len(usual))
