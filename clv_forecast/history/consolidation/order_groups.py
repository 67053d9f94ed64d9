"""What travelled from a source, in one form for all: local days, exact money, ids as text.

The one statement that a source answers: its lines added up by order, so that only orders travel.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from clv_forecast import columns as c
from clv_forecast.arguments import EARLIEST_YEAR, LATEST_YEAR
from clv_forecast.errors import InputError
from clv_forecast.history.audit import counted
from clv_forecast.history.cleaning import (
    EPOCH,
    LARGEST_AMOUNT,
    amount_flaw,
    largest_reading,
    local_time,
    placeholders_among,
    text_of,
    written,
)
from clv_forecast.history.consolidation.order_source import OpenedSource
from clv_forecast.history.reconciliation import check_unreadable
from clv_forecast.tables.ids import EXACT, in_one_kind, refuse_inexact, text_of_ids, texts_of
from clv_forecast.tables.queries import fetch
from clv_forecast.tables.source import money
from clv_forecast.tables.text_format import MONEY, TextFormat, decided_format, looks_like

LINES: Final = "lines"
SIGN: Final = "sign"
AMOUNT_TEXT: Final = "amount_text"
AFTER: Final = "after"
MARGIN_KNOWN: Final = "margin_known"
EACH_AMOUNT: Final = "each_amount"
EACH_MARGIN: Final = "each_margin"
REPEATED: Final = "repeated"

LARGEST_MARGIN: Final = 10**18
"""Beyond this a margin is taken for unknown."""
_PLAIN: Final = ("is_numeric", "is_string", "is_date", "is_timestamp", "is_null")


def grouped_lines(opened: OpenedSource, *, as_of: datetime.date | None, time_zone: str | None) -> Any:
    """Lines of one order added up, as one expression that runs where they lie.

    Lines are added when they agree in customer, moment, order, category, currency, recording time, sign of the amount
    and whether their margin is known. Lines that no amount can be read from stay apart by their text. Where there is a
    margin, refunds are added only when amount and margin are the same, because a refund matched in part gives its own
    margin back in part. What a refund can be taken from, and on which day money was left, do not depend on such sums.

    Parameters
    ----------
    opened : OpenedSource
    as_of : datetime.date, optional
        Lines dated or recorded later are only counted by customer (where dates are dates; text is judged later).
    time_zone : str, optional
        Whose days count.

    Returns
    -------
    ibis Table
        The columns of the source as they are, and ``sign``, ``amount_text``, ``after``, ``lines`` (how many),
        ``repeated`` (how many of them are the same as another, where all are), amount and margin as sums of
        DECIMAL(38, 6), and what sets lines apart.

    Raises
    ------
    InputError
        If a column has a type that cannot be a date or an amount, or numbers are text in another database than DuckDB.
    """
    raw = typed(opened.table)
    after = late(opened, raw, as_of=as_of, time_zone=time_zone)
    amount, number = exact_number(opened, raw, c.AMOUNT, largest=LARGEST_AMOUNT)
    sign = ibis.cases((number > 0, 1), (number < 0, -1), (number == 0, 0), else_=ibis.null("int8")).cast("int8")
    here = raw.mutate(
        **{
            AFTER: ibis.literal(False) if after is None else after,
            "exact_amount": amount,
            "number": number,
            SIGN: sign,
            AMOUNT_TEXT: ibis.ifelse(number.isnull(), raw[c.AMOUNT].cast("string"), ibis.null("string")),
        }
    )
    others = [name for name in raw.columns if name not in (c.CUSTOMER_ID, c.AMOUNT, c.MARGIN, c.CURRENCY)]
    keys = {name: _plain(here[name]) for name in others} | {name: here[name] for name in (SIGN, AMOUNT_TEXT)}
    sums = {c.AMOUNT: "exact_amount"}
    if opened.has(c.MARGIN):
        here = here.mutate(exact_margin=exact_number(opened, raw, c.MARGIN, largest=LARGEST_MARGIN)[0])
        refund = here[SIGN] == -1
        keys[MARGIN_KNOWN] = here["exact_margin"].notnull()
        keys[EACH_AMOUNT] = ibis.ifelse(refund, here["exact_amount"], ibis.null(MONEY))
        keys[EACH_MARGIN] = ibis.ifelse(refund, here["exact_margin"], ibis.null(MONEY))
        sums[c.MARGIN] = "exact_margin"
    if after is not None:  # of these only customers travel
        keys = {name: ibis.ifelse(here[AFTER], ibis.null(key.type()), key) for name, key in keys.items()}
    for name in (c.CUSTOMER_ID, c.CURRENCY):
        if opened.has(name):
            keys[name] = _plain(here[name])
    keys[AFTER] = here[AFTER]
    shaped = here.select(**keys, number=here["number"], **{f"sum_{name}": here[key] for name, key in sums.items()})
    alike = (shaped["number"].min() == shaped["number"].max()) & (shaped[SIGN].max() != 0)
    counts = {LINES: shaped.count(), REPEATED: ibis.ifelse(alike, shaped.count() - 1, 0)}
    return shaped.group_by(list(keys)).agg(**counts, **{name: shaped[f"sum_{name}"].sum().cast(MONEY) for name in sums})


def typed(raw: Any) -> Any:
    """Give a column without any value, which has no type, that of text."""
    return raw.mutate(**{name: raw[name].cast("string") for name, kind in raw.schema().items() if kind.is_null()})


def late(opened: OpenedSource, raw: Any, *, as_of: datetime.date | None, time_zone: str | None) -> Any:
    """Whether a line is dated or recorded after the last day; None where no date can say so at the source.

    Raises
    ------
    InputError
        If a column has a type that cannot be a date, or carries a time zone while none is named.
    """
    after = None
    for name in (c.DATE, c.RECORDED_AT):
        if not opened.has(name):
            continue
        local_time(raw[name], opened.source.mapping()[name], time_zone, form=opened.format)  # refuses what is no date
        found = _later(raw[name], as_of, time_zone)
        if found is not None:
            known = found.fill_null(False)
            after = known if after is None else after | known
    return after


def _plain(column: Any) -> Any:
    """Ids of types that do not travel as they are (UUIDs, enumerations, addresses) travel as text."""
    kind = column.type()
    plain = any(getattr(kind, test)() for test in _PLAIN) and not kind.is_boolean()
    return column if plain else column.cast("string")


def exact_number(opened: OpenedSource, raw: Any, name: str, *, largest: int) -> tuple[Any, Any]:
    """Exact numbers; missing where there is none or it is too large, which a cast alone would fail on.

    Returns
    -------
    exact : ibis column
        DECIMAL(38, 6).
    number : ibis column
        The same before the cast, for comparisons, which then cost no cast.

    Raises
    ------
    InputError
        If the column holds no numbers, or numbers as text in another database than DuckDB.
    """
    column, title = raw[name], opened.source.mapping()[name]
    exact = money(column, title, opened.format)  # refuses what is no number
    if opened.in_duckdb:
        exact = ibis.ifelse(exact.abs() < largest, exact, ibis.null(MONEY))
        return exact, exact
    kind = column.type()
    if kind.is_string():
        raise InputError(
            f"The column {title!r} of the source {opened.source.name!r} holds text, and only DuckDB and files read "
            f"numbers from text safely, not {opened.engine}.",
            remedy=f"Make a view with the number, such as CAST({title} AS DECIMAL(18, 2)), and name the view.",
        )
    if kind.is_floating():
        column = column.cast("float64")  # Postgres would keep six digits of a 32-bit number
    fits = column.abs() < largest  # false for NaN and infinity
    number = ibis.ifelse(fits, column, ibis.null(column.type()))
    return number.cast(MONEY), number


def _later(column: Any, as_of: datetime.date | None, zone: str | None) -> Any:
    """Whether a date lies after the day; None where it is text, or no day is given."""
    kind = column.type()
    if as_of is None or not (kind.is_date() or kind.is_timestamp()):
        return None
    if kind.is_date():
        return column > ibis.literal(as_of)
    following = as_of + datetime.timedelta(days=1)
    if kind.timezone is None:
        return column >= ibis.literal(datetime.datetime.combine(following, datetime.time()))
    return column >= ibis.literal(_midnight(following, str(zone)), type="timestamp('UTC')")


def _midnight(day: datetime.date, zone: str) -> datetime.datetime:
    """First instant of a day in a zone; the later one where clocks pass midnight twice or jump over it."""
    local = datetime.datetime.combine(day, datetime.time(), tzinfo=ZoneInfo(zone))
    return max(local.replace(fold=fold).astimezone(datetime.UTC) for fold in (0, 1))


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
        (SIGN, pa.int8()),
        (AMOUNT_TEXT, pa.string()),
        (c.ORDER_ID, pa.string()),
        (c.CATEGORY, pa.string()),
        (c.MARGIN, pa.decimal128(38, 6)),
        (c.CURRENCY, pa.string()),
        (c.RECORDED_AT, pa.string()),
        (LINES, pa.int64()),
        (REPEATED, pa.int64()),
        (AFTER, pa.bool_()),
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
    fetched = opened.fetch(grouped_lines(opened, as_of=as_of, time_zone=time_zone))
    fetched, id_type = _with_ids(fetched, opened)
    raw = typed(ibis.memtable(fetched))
    form = opened.format
    if opened.held is None:  # of a database the days have travelled, as text where they are no dates there
        times = [name for name in (c.DATE, c.RECORDED_AT) if opened.has(name) and raw[name].type().is_string()]
        form = decided_format(fetch, raw, form, numbers=(), times=times, label=opened.source.name).format
    at, offset = local_time(raw[c.DATE], c.DATE, time_zone, form=form)
    usable = ibis.ifelse(at.year() >= EARLIEST_YEAR, at, ibis.null("timestamp"))
    day = usable.date().epoch_days().cast("int32")
    after = raw[AFTER]
    last = None if as_of is None else (as_of - EPOCH).days
    if last is not None:
        after = after | (day > last).fill_null(False)
    recorded: Any = ibis.null("string")
    if opened.has(c.RECORDED_AT):
        when, recorded_offset = local_time(raw[c.RECORDED_AT], c.RECORDED_AT, time_zone, form=form)
        recorded, offset = _written(when, raw[c.RECORDED_AT]), offset | recorded_offset
        if last is not None:
            after = after | (when.date().epoch_days() > last).fill_null(False)
    no_text = ibis.null("string")
    plain = not opened.table[c.AMOUNT].type().is_string()  # numbers became text on the way, plainly
    flaw = amount_flaw(raw[AMOUNT_TEXT], TextFormat(decimal=".", thousands="") if plain else form)
    unreadable = ibis.cases(
        (written(raw[c.DATE]).notnull() & usable.isnull(), "date_unreadable"),
        (usable.year() > LATEST_YEAR, "date_placeholder"),
        (raw[AMOUNT_TEXT].isnull() | (flaw == "amount_missing"), no_text),
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
            SIGN: raw[SIGN].cast("int8"),
            AMOUNT_TEXT: raw[AMOUNT_TEXT],
            c.ORDER_ID: _label(raw[c.ORDER_ID]) if opened.has(c.ORDER_ID) else no_text,
            c.CATEGORY: _label(raw[c.CATEGORY]) if opened.has(c.CATEGORY) else no_text,
            c.MARGIN: _known_margin(raw) if opened.has(c.MARGIN) else ibis.null(MONEY),
            c.CURRENCY: text_of(raw[c.CURRENCY])
            if opened.has(c.CURRENCY)
            else ibis.literal(opened.constant_currency, type="string"),
            c.RECORDED_AT: recorded,
            LINES: raw[LINES].cast("int64"),
            REPEATED: ibis.ifelse(raw[AFTER], 0, raw[REPEATED]).cast("int64"),
            AFTER: after,
            UNREADABLE: ibis.ifelse(
                after.fill_null(False) & (unreadable != "date_placeholder").fill_null(True), no_text, unreadable
            ),
            "offset": offset,
            "plausible": ibis.ifelse(
                unreadable == "amount_unreadable",
                largest_reading(raw[AMOUNT_TEXT]) * raw[LINES],
                raw[c.AMOUNT].cast(MONEY).abs(),
            ).cast(MONEY),
        }
    )
    table = _with_placeholders(fetch(shaped))
    _refuse_offsets(table, opened)
    _refuse_unreadable(table, opened, form, raw=raw, most=max_unreadable)
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
    return ibis.ifelse(raw[MARGIN_KNOWN], raw[c.MARGIN].cast(MONEY), ibis.null(MONEY))


def _refuse_offsets(table: pa.Table, opened: OpenedSource) -> None:
    offsets = pc.sum(pc.if_else(table["offset"], table[LINES], 0)).as_py() or 0
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
    late = pc.and_(pc.fill_null(table[AFTER], False), pc.invert(nowhere))
    return table.set_column(table.schema.get_field_index(AFTER), AFTER, late)


def _refuse_unreadable(table: pa.Table, opened: OpenedSource, form: TextFormat, *, raw: Any, most: float) -> None:
    in_time = table.filter(pc.invert(pc.fill_null(table[AFTER], False)))
    sums = in_time.group_by(UNREADABLE).aggregate([(LINES, "sum"), ("plausible", "sum")]).to_pylist()
    parts = {part[UNREADABLE] or "": (part["lines_sum"], part["plausible_sum"] or Decimal(0)) for part in sums}

    def values(kind: str) -> list[str]:
        name = AMOUNT_TEXT if kind.startswith("amount") else c.DATE
        return sorted(pc.unique(in_time.filter(pc.equal(in_time[UNREADABLE], kind))[name]).to_pylist())[:_SHOWN]

    def advice(name: str) -> str:
        column = AMOUNT_TEXT if name == c.AMOUNT else name
        text = raw[column].type().is_string()
        return looks_like(fetch, raw, column, format=form, time=name == c.DATE) if text else ""

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
        refuse_inexact(pc.sum(large).as_py() or 0, column.filter(large)[:3].to_pylist(), "The ids", bits=bits)
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
