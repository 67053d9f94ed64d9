"""The one statement that a source answers: its lines added up by order, so that only orders travel."""

from __future__ import annotations

import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import ibis

from clv_forecast import columns as c
from clv_forecast.consolidation.opened_source import OpenedSource
from clv_forecast.errors import InputError
from clv_forecast.history.cleaning import LARGEST_AMOUNT, local_time
from clv_forecast.tables.source import money
from clv_forecast.tables.text_format import MONEY

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
    amount, number = exact_number(opened, raw, c.AMOUNT, LARGEST_AMOUNT)
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
        here = here.mutate(exact_margin=exact_number(opened, raw, c.MARGIN, LARGEST_MARGIN)[0])
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
        local_time(raw[name], opened.source.mapping()[name], time_zone, opened.format)  # refuses what is no date
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


def exact_number(opened: OpenedSource, raw: Any, name: str, largest: int) -> tuple[Any, Any]:
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
