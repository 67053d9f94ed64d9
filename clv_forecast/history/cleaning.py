"""What each row of an order log is: a purchase, a refund, or left out for one named reason; one lazy expression."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.datatypes as dt
import numpy as np

from clv_forecast import columns as c
from clv_forecast.arguments import EARLIEST_YEAR, LATEST_YEAR
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.audit import counted
from clv_forecast.tables.source import Source, money
from clv_forecast.tables.text_format import MONEY, TextFormat, has_offset, is_missing

LARGEST_AMOUNT: Final = 10**12
"""Above a million millions an amount is taken for a mistake; micro-units of it also still fit 64 bits."""
EPOCH: Final = datetime.date(1970, 1, 1)

AT: Final = "at"
DAY: Final = "day"
KIND: Final = "kind"
DATE_TEXT: Final = "date_text"
AMOUNT_TEXT: Final = "amount_text"
OFFSET: Final = "has_offset"
UNRECORDED: Final = "unrecorded"
PURCHASE: Final = "purchase"
REFUND: Final = "refund"

MAX_UNREADABLE: Final = 0.01
"""Above this share of rows or of money that cannot be read a log is refused."""
PLACEHOLDERS: Final = (
    datetime.date(1900, 1, 1),
    datetime.date(1901, 1, 1),
    datetime.date(1969, 12, 31),
    datetime.date(1970, 1, 1),
    datetime.date(1970, 1, 2),
    datetime.date(1980, 1, 1),
    datetime.date(1999, 12, 31),
    datetime.date(2000, 1, 1),
    datetime.date(2049, 12, 31),
    datetime.date(2050, 1, 1),
    datetime.date(2099, 12, 31),
    datetime.date(2100, 1, 1),
)
"""Days that systems write where they know none, or no end; any after 2200, such as 9999-12-31, is one."""
_FAR_DAYS: Final = 366

RefundPolicy = Literal["net", "drop", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The options that decide what a row is.

    Parameters
    ----------
    as_of : datetime.date
        Last day that counts; nothing recorded later is known.
    refunds : {"net", "drop", "error"}
    time_zone : str, optional
        Named zone in which days begin and end.
    rates : tuple of (str, Decimal)
        Value of one unit of each currency in the reporting currency; empty when no conversion is asked.
    max_unreadable : float
        Largest share of rows, or of money, that may be left out as unreadable.
    placeholders : tuple of datetime.date
        Days of this log that stand for no date.
    """

    as_of: datetime.date
    refunds: RefundPolicy
    time_zone: str | None
    rates: tuple[tuple[str, Decimal], ...]
    max_unreadable: float = MAX_UNREADABLE
    placeholders: tuple[datetime.date, ...] = ()


@ibis.udf.scalar.builtin(name="timezone", signature=((dt.String(), dt.Timestamp("UTC")), dt.Timestamp()))
def _wall_clock(zone: str, instant: datetime.datetime) -> datetime.datetime:  # type: ignore[empty-body]
    """Time on the wall of a named zone (DuckDB's ICU)."""


@ibis.udf.scalar.builtin(name="multiply", signature=((dt.Decimal(38, 6), dt.Decimal(20, 10)), dt.Decimal(38, 16)))
def _exact_product(amount: Decimal, rate: Decimal) -> Decimal:  # type: ignore[empty-body]
    """Product of two decimals, no digit lost."""


def check_time_zone(name: str | None) -> str | None:
    """Return a named zone of the tz database, or None.

    Raises
    ------
    DomainError
        If there is no such zone.

    Examples
    --------
    >>> check_time_zone("Europe/Berlin")
    'Europe/Berlin'
    """
    if name is None:
        return None
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, TypeError, OSError):
        raise DomainError("time_zone must be a named zone, such as 'Europe/Berlin'.", value=repr(name)) from None


def check_refunds(policy: str) -> RefundPolicy:
    """Return the refund policy when it is one of net, drop, error.

    Raises
    ------
    DomainError
        Otherwise.

    Examples
    --------
    >>> check_refunds("net")
    'net'
    """
    if policy not in get_args(RefundPolicy):
        raise DomainError("refunds must be 'net', 'drop' or 'error'.", value=repr(policy))
    return policy  # type: ignore[return-value]


def check_rates(rates: Mapping[str, Any] | None) -> tuple[tuple[str, Decimal], ...]:
    """Rates as exact decimals; the reporting currency is the one whose rate is 1.

    Raises
    ------
    DomainError
        If a rate is not positive and finite, or none is 1.

    Examples
    --------
    >>> check_rates({"EUR": 1, "USD": 0.92})
    (('EUR', Decimal('1')), ('USD', Decimal('0.92')))
    """
    if not rates:
        return ()
    exact: list[tuple[str, Decimal]] = []
    for code, rate in rates.items():
        try:
            value = Decimal(str(rate))
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or not Decimal("1e-9") <= value < Decimal("1e9"):
            raise DomainError("A rate must be a number between 1e-9 and 1e9.", value=f"{code!r}: {rate!r}")
        exact.append((str(code), value))
    if all(value != 1 for _, value in exact):
        raise DomainError("rates must give the reporting currency the rate 1.", value=dict(rates))
    return tuple(exact)


def classify(source: Source, rules: Rules) -> Any:
    """Every row with its local time, day, exact amount, and what it is (``kind``).

    A row gets the first kind that applies: customer_missing, currency_missing, date_missing, date_unreadable,
    date_placeholder, amount_missing, amount_infinite, amount_unreadable, amount_out_of_range, after_as_of,
    recorded_after_as_of, zero_amount, refund_dropped; else it is a ``purchase`` (amount > 0) or a ``refund``
    (amount < 0).

    Returns
    -------
    ibis Table
        customer_id, at, day (days since 1970-01-01), amount, kind, has_offset, unrecorded, order_id, category, margin,
        and date and amount as they were written.

    Raises
    ------
    InputError
        If a column has a type that cannot be a date or an amount.
    """
    raw, form = source.table, source.format
    has = set(raw.columns)
    no_text = ibis.null("string")
    at, offset = local_time(raw[c.DATE], c.DATE, rules.time_zone, form=form)
    amount = money(raw[c.AMOUNT], c.AMOUNT, form)
    margin = money(raw[c.MARGIN], c.MARGIN, form) if c.MARGIN in has else ibis.null(MONEY)
    currency = raw[c.CURRENCY] if c.CURRENCY in has else no_text
    if rules.rates:
        amount = _converted(amount, currency, rules.rates)
        margin = _converted(margin, currency, rules.rates) if c.MARGIN in has else margin
    recorded, recorded_offset = (
        local_time(raw[c.RECORDED_AT], c.RECORDED_AT, rules.time_zone, form=form)
        if c.RECORDED_AT in has
        else (ibis.null("timestamp"), ibis.literal(False))
    )
    shaped = raw.select(
        **{
            c.CUSTOMER_ID: raw[c.CUSTOMER_ID],
            AT: ibis.ifelse(at.year() >= EARLIEST_YEAR, at, ibis.null("timestamp")),
            "recorded": recorded,
            c.AMOUNT: ibis.ifelse(amount.abs() < LARGEST_AMOUNT, amount, ibis.null(MONEY)),
            DATE_TEXT: written(raw[c.DATE]),
            AMOUNT_TEXT: raw[c.AMOUNT].cast("string"),
            "flaw": amount_flaw(raw[c.AMOUNT], form),
            OFFSET: offset | recorded_offset,
            c.ORDER_ID: raw[c.ORDER_ID] if c.ORDER_ID in has else no_text,
            c.CATEGORY: raw[c.CATEGORY] if c.CATEGORY in has else no_text,
            c.MARGIN: margin,
            c.CURRENCY: currency,
        }
    )
    shaped = shaped.mutate(
        **{
            DAY: shaped[AT].date().epoch_days().cast("int32"),
            "recorded_day": shaped.recorded.date().epoch_days().cast("int32"),
        }
    )
    last = (rules.as_of - EPOCH).days
    kind = ibis.cases(
        (shaped[c.CUSTOMER_ID].isnull(), "customer_missing"),
        (shaped[c.CURRENCY].isnull() & ibis.literal(c.CURRENCY in has), "currency_missing"),
        (shaped[DATE_TEXT].isnull(), "date_missing"),
        (shaped[AT].isnull(), "date_unreadable"),
        (_stands_for_none(shaped[AT], shaped[DAY], rules.placeholders), "date_placeholder"),
        (shaped.flaw != "", shaped.flaw),
        (shaped[c.AMOUNT].isnull(), "amount_out_of_range"),
        (shaped[DAY] > last, "after_as_of"),
        (shaped.recorded_day > last, "recorded_after_as_of"),
        (shaped[c.AMOUNT] == 0, "zero_amount"),
        (shaped[c.AMOUNT] > 0, PURCHASE),
        else_=ibis.literal("refund_dropped" if rules.refunds == "drop" else REFUND),
    )
    unrecorded = shaped.recorded.isnull() & ibis.literal(c.RECORDED_AT in has)
    return shaped.mutate(**{KIND: kind, UNRECORDED: unrecorded}).drop("recorded", "recorded_day", "flaw")


def usable(rows: Any) -> Any:
    """Only the purchases and refunds, in the columns that netting and summing need."""
    chosen = rows.filter(rows[KIND].isin([PURCHASE, REFUND]))
    return chosen.select(c.CUSTOMER_ID, AT, DAY, c.AMOUNT, KIND, c.ORDER_ID, c.CATEGORY, c.MARGIN)


def written(dates: Any) -> Any:
    """Dates as they were written, missing where that is a word for nothing."""
    if dates.type().is_string():
        return ibis.ifelse(is_missing(dates), ibis.null("string"), dates)
    return dates.cast("string")


def _stands_for_none(at: Any, day: Any, placeholders: tuple[datetime.date, ...]) -> Any:
    none = at.year() > LATEST_YEAR
    for placeholder in placeholders:
        none = none | (day == (placeholder - EPOCH).days)
    return none


def placeholders_among(days: Sequence[int] | np.ndarray[Any, Any]) -> tuple[datetime.date, ...]:
    """Which days that stand for none are among days since 1970-01-01, and far from all others.

    Examples
    --------
    >>> placeholders_among([0, 19_700, 19_750])
    (datetime.date(1970, 1, 1),)
    """
    distinct = np.unique(np.asarray(days, dtype=np.int64))
    numbers = np.array([(day - EPOCH).days for day in PLACEHOLDERS])
    others = distinct[~np.isin(distinct, numbers) & (distinct < (datetime.date(LATEST_YEAR, 12, 31) - EPOCH).days)]
    return tuple(
        day
        for day, number in zip(PLACEHOLDERS, numbers, strict=True)
        if len(others) and number in distinct and np.abs(others - number).min() > _FAR_DAYS
    )


def placeholder_days(source: Source, rules: Rules) -> tuple[datetime.date, ...]:
    """Days that systems write where they know none, and that lie far from all other days of the log."""
    at, _ = local_time(source.table[c.DATE], c.DATE, rules.time_zone, form=source.format)
    days = source.table.select(day=at.date().epoch_days()).filter(ibis._.day.notnull())
    ends = source.fetch(days.agg(first=days.day.min(), last=days.day.max())).to_pylist()[0]
    numbers = [(day - EPOCH).days for day in PLACEHOLDERS]
    if ends["first"] is None or not any(ends["first"] <= number <= ends["last"] for number in numbers):
        return ()
    return placeholders_among(source.fetch(days.distinct())["day"].to_numpy())


def largest_reading(text: Any) -> Any:
    """The largest amount that a text which cannot be read may have stood for; 0 where it holds no digit."""
    marks = text.re_replace(r"[^0-9.,]", "")
    cents = marks.re_extract(r"[.,](\d{1,2})$", 1)
    whole = ibis.ifelse(cents == "", marks, marks.re_replace(r"[.,]\d{1,2}$", "")).re_replace(r"[.,]", "")
    number = (whole + "." + cents + "0").try_cast(MONEY).fill_null(0).cast(MONEY)
    return ibis.ifelse(number < LARGEST_AMOUNT, number, ibis.literal(0).cast(MONEY))


def text_of(column: Any) -> Any:
    """Ids, categories and codes as text without blanks around it; missing where nothing is left."""
    return column.cast("string").strip().nullif("")


def local_time(column: Any, name: str, zone: str | None, *, form: TextFormat) -> tuple[Any, Any]:
    """Wall-clock time in the zone, and whether a text carries an offset from UTC that needs the zone.

    Parameters
    ----------
    column : ibis column
    name : str
        Of the column, for the error.
    zone : str, optional
        From ``check_time_zone``.
    form : TextFormat
        How text is written.

    Raises
    ------
    InputError
        If the column has a type that cannot be a date, or carries a time zone while none is named.
    """
    kind = column.type()
    never = ibis.literal(False)
    if kind.is_date():
        return column.cast("timestamp"), never
    if kind.is_timestamp() and kind.timezone is None:
        return column.cast("timestamp(6)"), never
    if kind.is_timestamp():
        if zone is None:
            raise InputError(
                f"The column {name!r} carries a time zone ({kind.timezone}), so time_zone must name the zone whose "
                "days count.",
                remedy="Pass for example time_zone='Europe/Berlin'.",
            )
        return _wall_clock(zone, column.cast("timestamp('UTC')")), never
    if kind.is_string():
        moment = form.parsed_time(column)
        offset = moment.notnull() & has_offset(column)
        if zone is None:
            return moment, offset
        return ibis.ifelse(offset, _wall_clock(zone, column.strip().try_cast("timestamp('UTC')")), moment), never
    hint = " Numbers can be days of a spreadsheet or seconds: the data do not say which." if kind.is_numeric() else ""
    raise InputError(
        f"The column {name!r} must hold dates, timestamps or ISO text, not {kind}.{hint}",
        remedy="Convert it first, for example with pandas.to_datetime(..., unit='D', origin='1899-12-30').",
    )


def amount_flaw(column: Any, form: TextFormat) -> Any:
    """Name of what is wrong with an amount as it was written; empty when it is a number."""
    kind = column.type()
    if kind.is_string():
        return ibis.cases(
            (form.parsed_money(column).notnull(), ""),
            (is_missing(column), "amount_missing"),
            (column.try_cast("float64").isinf().fill_null(False), "amount_infinite"),
            (~form.is_number(column), "amount_unreadable"),
            else_="",
        )
    if kind.is_floating():
        return ibis.cases(
            (column.isnull() | column.isnan(), "amount_missing"), (column.isinf(), "amount_infinite"), else_=""
        )
    return ibis.ifelse(column.isnull(), "amount_missing", "")


def _converted(amount: Any, currency: Any, rates: tuple[tuple[str, Decimal], ...]) -> Any:
    places = ((currency == code, ibis.literal(str(rate)).cast("decimal(20, 10)")) for code, rate in rates)
    rate = ibis.cases(*places, else_=ibis.null("decimal(20, 10)"))
    return _exact_product(amount, rate).cast(MONEY)


def is_currency_code(text: str | None) -> bool:
    """Whether the text is three capital letters, and so a currency and not a column.

    Examples
    --------
    >>> is_currency_code("EUR"), is_currency_code("currency")
    (True, False)
    """
    return text is not None and len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()


def check_currency(source: Source, rates: tuple[tuple[str, Decimal], ...], constant: str | None) -> str | None:
    """Return the currency that amounts are reported in, or None when nothing names it.

    Raises
    ------
    InputError
        If the log mixes currencies and no rates are given, or one of them has no rate.
    DomainError
        If rates are given without a currency column.
    """
    if c.CURRENCY not in source.table.columns:
        if rates:
            raise DomainError("rates need a currency column.", remedy="Name it with currency='...'.")
        return constant
    code = source.table[c.CURRENCY].name(c.CURRENCY)
    records = source.fetch(source.table.group_by(code).agg(rows=lambda t: t.count()).order_by(c.CURRENCY)).to_pylist()
    found = {record[c.CURRENCY]: record["rows"] for record in records if record[c.CURRENCY] is not None}
    if not rates and len(found) > 1:
        raise InputError(
            "Amounts in several currencies cannot be added without rates.",
            value=", ".join(f"{name} ({counted(rows, 'row')})" for name, rows in found.items()),
            remedy="Pass rates={'EUR': 1, 'USD': 0.92}, or make one history per currency.",
        )
    without = [name for name in found if rates and name not in dict(rates)]
    if without:
        raise InputError("Every currency of the log needs a rate.", value=", ".join(without))
    return next((name for name, rate in rates if rate == 1), None) if rates else next(iter(found), None)
