"""How numbers and dates are written in text: the options, what the rows themselves show, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa

from clv_forecast.arguments import EARLIEST_YEAR
from clv_forecast.errors import DomainError, InputError
from clv_forecast.tables.queries import fetch

MONEY: Final = "decimal(38, 6)"
ISO: Final = "iso"

_SPACES: Final = "\u00a0\u202f\u2009\u2007"
_APOSTROPHES: Final = "\u2019\u02bc\u2018`"
_MINUS: Final = "\u2212\u2013\u2012"
_MISSING: Final = r"(?i)\s*(?:nan|n/?a|null|none|\\n|#n/a|<na>)?\s*"  # a list would become a join in DuckDB
_CODES: Final = (
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|JPY|KES|KRW|MXN|MYR|NGN|NOK|"
    "NZD|PEN|PHP|PLN|RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
SIGN: Final = rf"[$€£¥₹₽₩₪₺฿]|[A-Z]{{2}}\$|{_CODES}|Rs\.?|kr\.?|zł|Kč|Ft|Fr\.|lei"
"""Signs and codes of currencies that may stand before or after an amount."""

EXPONENT: Final = r"[-+]?\d+(?:\.\d+)?e[-+]?\d+"
_DAYS: Final = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%m.%d.%Y")
_NAMED: Final = ("%Y%m%d", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d. %B %Y")
_TIMES: Final = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_ISO: Final = r"^\d{4}[-/ ]\d{1,2}[-/ ]\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*([zZ]|UTC|[+-]\d{2}(:?\d{2})?)?)?$"
_OFFSET: Final = r"\d:\d{2}(:\d{2}(\.\d+)?)?\s*([zZ]|UTC|[+-]\d{2}(:?\d{2})?)\s*$"

NUMBER_FORMATS: Final = (
    (".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'")
)  # fmt: skip
"""Decimal sign and sign between thousands, the plainest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFormat:
    """How the text of a table is written; what is None is inferred, or plain where nothing may be inferred.

    Parameters
    ----------
    encoding : str, optional
        Of files: utf-8, utf-16, cp1252, or another that Python knows.
    delimiter, quote : str, optional
        One character each; an empty quote means that no field is quoted.
    decimal : {".", ","}, optional
    thousands : {"", ",", ".", "'", " "}, optional
        Sign between groups of digits; a narrow or fixed blank counts as a blank, a typographic apostrophe as one.
    date_format : str, optional
        As ``strptime`` takes it, such as ``%d.%m.%Y``, with or without a time of day; ``iso`` for ISO text alone. ISO
        text is always read, as it cannot be mistaken.
    sheet : str, optional
        Of a spreadsheet.
    infer : bool
        Whether what is not given is inferred from the rows. Without it the format is UTF-8 with commas and double
        quotes (tabs in ``.tsv``), plain numbers and ISO dates, and rows that contradict it are refused.

    Raises
    ------
    DomainError
        If an option is outside its domain.

    Examples
    --------
    >>> TextFormat(decimal=",", thousands=".").given()
    {'decimal': ',', 'thousands': '.'}
    """

    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    date_format: str | None = None
    sheet: str | None = None
    infer: bool = True

    def __post_init__(self) -> None:
        for name, check, rule in _CHECKS:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and check(value)):
                raise DomainError(f"{name} must be {rule}.", value=repr(value))
        if self.decimal is not None and self.decimal == self.thousands:
            raise DomainError("decimal and thousands must differ.", value=repr(self.decimal))
        if self.delimiter is not None and self.delimiter == self.quote:
            raise DomainError("delimiter and quote must differ.", value=repr(self.quote))

    def given(self) -> dict[str, str]:
        """What is given, by option."""
        return {name: getattr(self, name) for name in FORMAT_KEYS if getattr(self, name) is not None}

    @property
    def numbers(self) -> tuple[str, str]:
        """Decimal sign and sign between thousands, plain where nothing is given."""
        return self.decimal or ("," if self.thousands == "." else "."), self.thousands or ""

    def parsed_money(self, column: Any) -> Any:
        """Exact amounts of a column of text; missing where the text is no number in this format."""
        return _money(column, *self.numbers)

    def is_number(self, column: Any) -> Any:
        """Whether a text is a number in this format, of whatever size."""
        plain = ibis.ifelse(column.contains("_"), ibis.null("float64"), column.try_cast("float64"))
        number = _normal(column, *self.numbers).try_cast("float64")
        return (number.notnull() | plain.notnull()) if self.numbers[0] == "." else number.notnull()

    def parsed_time(self, column: Any) -> Any:
        """Moments of a column of text, without a zone; missing where the text is none in this format."""
        return _moment(column, self.date_format or ISO)


def _codec(value: str) -> bool:
    try:
        return "x".encode(value) is not None
    except (LookupError, UnicodeError):
        return False


_CHECKS: Final[Sequence[tuple[str, Callable[[str], bool], str]]] = (
    ("encoding", _codec, "an encoding, such as utf-8, utf-16 or cp1252"),
    ("delimiter", lambda v: len(v) == 1 and v not in "\r\n", "one character, such as ';'"),
    ("quote", lambda v: len(v) <= 1 and v not in ("\r", "\n"), "one character, or empty where nothing is quoted"),
    ("decimal", lambda v: v in (".", ","), "'.' or ','"),
    ("thousands", lambda v: v in ("", ",", ".", "'", " "), "one of '', ',', '.', \"'\" and ' '"),
    (
        "date_format",
        lambda v: v == ISO or (("%Y" in v or "%y" in v) and "%d" in v and any(m in v for m in ("%m", "%b", "%B"))),
        "'iso', or day, month and year as strptime takes them, such as '%d.%m.%Y'",
    ),
    ("sheet", bool, "the name of a sheet"),
)
FORMAT_KEYS: Final = tuple(field.name for field in fields(TextFormat) if field.name != "infer")
"""The options, under the same names in verbs, on the command line and in the configuration."""


@ibis.udf.scalar.builtin(name="try_strptime", signature=((dt.String(), dt.Array(dt.String())), dt.Timestamp()))
def _strptime(text: str, formats: list[str]) -> Any:
    """Moment of a text by the first format that reads it, else missing."""


@ibis.udf.scalar.builtin(name="translate", signature=((dt.String(), dt.String(), dt.String()), dt.String()))
def _translated(text: str, old: str, new: str) -> str:  # type: ignore[empty-body]
    """Each character of ``old`` replaced by that of ``new`` in its place."""


@ibis.udf.scalar.builtin(name="regexp_full_match", signature=((dt.String(), dt.String()), dt.Boolean()))
def _full_match(text: str, pattern: str) -> bool:  # type: ignore[empty-body]
    """Whether the whole text matches."""


@ibis.udf.scalar.builtin(name="regexp_extract", signature=((dt.String(), dt.String(), dt.Int32()), dt.String()))
def _extracted(text: str, pattern: str, group: int) -> str:  # type: ignore[empty-body]
    """A group of the first match, empty without."""


def is_missing(column: Any) -> Any:
    """Whether a text stands for nothing: blank, or a word such as NULL, NA or nan."""
    return column.isnull() | _full_match(column, _MISSING)


def _plain(column: Any) -> Any:
    """DECIMAL(38, 6) of a plain number, blanks around it or not; DuckDB alone would read 1_000 too.

    Most amounts are plain. What costs more is asked only of the others, by CASE: DuckDB's COALESCE asks it of all.
    """
    return ibis.ifelse(column.contains("_"), ibis.null(MONEY), column.try_cast(MONEY))


def _core(column: Any) -> Any:
    """The amount without its currency and with one kind of blank, apostrophe and minus; the minus leads.

    Most amounts have nothing but digits and signs between them: only the others are looked at closely.
    """
    return ibis.ifelse(_full_match(column, r"[-+]?[\d.,']+"), column, _bare(column))


def _bare(column: Any) -> Any:
    one_kind = _translated(
        column, _SPACES + _APOSTROPHES + _MINUS, " " * len(_SPACES) + "'" * len(_APOSTROPHES) + "-" * len(_MINUS)
    ).strip()
    one_kind = one_kind.re_replace(r"[.,]\s*--?$", "")  # 20.- and 20.-- are twenty
    bare = one_kind.re_replace(rf"^([-+(]?)\s*(?:{SIGN})\s*", r"\1").re_replace(rf"\s*(?:{SIGN})\s*([-)]?)$", r"\1")
    return bare.re_replace(r"^(?:-\s*(.*)|\((.*)\)|([^-]*)-)$", r"-\1\2\3").strip()


def number_pattern(decimal: str, thousands: str) -> str:
    """Pattern of a number with a decimal sign and a sign between thousands, in Western or Indian groups."""
    point, mark = f"[{decimal}]", f"[{thousands}]"
    grouped = "" if not thousands else rf"|[1-9]\d{{0,2}}(?:{mark}\d{{3}})+"
    indian = r"|[1-9]\d?(?:,\d{2})+,\d{3}" if thousands == "," else ""
    return rf"[-+]?(?:\d+{grouped}{indian})(?:{point}\d*)?|[-+]?{point}\d+"


def _normal(column: Any, decimal: str, thousands: str) -> Any:
    """The text of a number in a format as that of a plain one; missing where it is none.

    A number with an exponent is plain in every format: cells of a spreadsheet that are numbers come so.
    """
    pattern, core = number_pattern(decimal, thousands), _core(column)

    def plain(text: Any) -> Any:
        digits = text if not thousands else text.replace(thousands, "")
        return digits if decimal == "." else digits.replace(decimal, ".")

    return ibis.cases(
        (_full_match(column, pattern), plain(column)),
        (_full_match(core, pattern), plain(core)),
        (_full_match(core, EXPONENT), core),
        else_=ibis.null("string"),
    )


def _money(column: Any, decimal: str, thousands: str) -> Any:
    read = _normal(column, decimal, thousands).try_cast(MONEY)
    if decimal == ".":
        plain = _plain(column)
        return ibis.ifelse(plain.notnull(), plain, read)
    return read


def _moment(column: Any, date_format: str) -> Any:
    quick = (column.length().isin([10, 19])) & (column.right(1) >= "0") & (column.right(1) <= "9")
    text = column.strip()
    slow = ibis.ifelse(_full_match(text, _ISO), text.try_cast("timestamp"), ibis.null("timestamp"))
    iso = ibis.ifelse(quick, column.try_cast("timestamp"), slow)
    if date_format == ISO:
        return iso
    moment = _by_format(column, date_format)
    return ibis.ifelse(moment.notnull(), moment, iso)


def _by_format(text: Any, date_format: str) -> Any:
    timed = any(code in date_format for code in ("%H", "%I"))
    formats = [date_format] if timed else [date_format + time for time in _TIMES]
    if date_format == "%Y%m%d":  # strptime alone would find a day in 452921
        text = ibis.ifelse(_full_match(text, r"\d{8}(?:\D.*)?"), text, ibis.null("string"))
    digits = ibis.ifelse(text.re_search(r"\d"), text, ibis.null("string"))  # strptime reads "epoch" and "infinity" too
    return _strptime(digits, formats)


def has_offset(column: Any) -> Any:
    """Whether a text of a moment carries an offset from UTC."""
    return (column.length() > 10) & column.re_search(_OFFSET).fill_null(False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the rows showed.

    Parameters
    ----------
    format : TextFormat
        With numbers and dates decided.
    sign : str
        The currency that stands beside amounts; empty without.
    """

    format: TextFormat
    sign: str = ""


def decided_format(
    run: Callable[[Any], Any],
    table: Any,
    format: TextFormat,
    *,
    numbers: Sequence[str],
    times: Sequence[str],
    label: str,
) -> Seen:
    """Decide how numbers and dates are written, from all rows, where it is not given.

    Parameters
    ----------
    run : callable
        Runs an ibis expression.
    table : ibis Table
    format : TextFormat
    numbers, times : sequence of str
        Columns of text that hold amounts, and days or moments.
    label : str
        What is read, for the error.

    Returns
    -------
    Seen

    Raises
    ------
    InputError
        If the rows can be read in two ways, or carry several currencies.

    Notes
    -----
    The format that reads most rows is taken, the plainest where several read the same. Where two with another decimal
    sign read as many (``1.234`` in every row), or day and month can be exchanged in every row, nothing is guessed.
    """
    sign = ""
    if numbers:
        columns = [table[name] for name in numbers]
        format, sign = _numbers_decided(
            run, table, columns, format=format, label=f"{label}, column {table[numbers[0]].get_name()!r}"
        )
    if times:
        columns = [table[name] for name in times]
        format = _dates_decided(run, table, columns, format=format, label=f"{label}, column {columns[0].get_name()!r}")
    return Seen(format=format, sign=sign)


def _numbers_decided(
    run: Callable[[Any], Any], table: Any, columns: Sequence[Any], *, format: TextFormat, label: str
) -> tuple[TextFormat, str]:
    measures: dict[str, Any] = {}
    for i, column in enumerate(columns):
        plain = _plain(column).notnull()
        pointed = plain & column.contains(".")
        # written with a point that no sign between thousands can be: 0.234, 12.5, 1234.567
        grouped = _full_match(column, r"\s*[-+]?[1-9]\d{0,2}(?:\.\d{3})+\s*")
        measures |= {
            f"odd{i}": (~plain & ~is_missing(column)).sum(),
            f"pointed{i}": pointed.any(),
            f"clear{i}": (pointed & ~grouped).any(),
        }
    first = run(table.agg(**measures)).to_pylist()[0]
    odd = any(first[f"odd{i}"] for i in range(len(columns)))
    pointed = any(first[f"pointed{i}"] for i in range(len(columns)))
    clear = any(first[f"clear{i}"] for i in range(len(columns)))
    given = format.decimal is not None or format.thousands is not None
    if not odd and (clear or not pointed) and not given:
        return replace(format, decimal=".", thousands=""), ""
    if given and (format.decimal, format.thousands) == (".", "") and not odd:
        return format, ""
    return _best_numbers(run, table, columns, format=format, label=label)


def _best_numbers(
    run: Callable[[Any], Any], table: Any, columns: Sequence[Any], *, format: TextFormat, label: str
) -> tuple[TextFormat, str]:
    choices = [
        one for one in NUMBER_FORMATS if format.decimal in (None, one[0]) and format.thousands in (None, one[1])
    ] or [format.numbers]
    text, core = {}, {}
    for i, column in enumerate(columns):
        text[f"text{i}"] = column
        core[f"core{i}"] = ibis.ifelse(is_missing(column), ibis.null("string"), _core(column))
    rows = table.select(**text, **core)  # so that each amount is taken apart once
    measures: dict[str, Any] = {}
    for i in range(len(columns)):
        column, bare = rows[f"text{i}"], rows[f"core{i}"]
        for k, choice in enumerate(choices):
            fits = _full_match(bare, number_pattern(*choice)) | _full_match(bare, EXPONENT)
            if choice == (".", ""):
                fits = fits | _plain(column).notnull()
            measures[f"fits{i}_{k}"] = fits.sum()
        marked = _full_match(bare, r"[-+]?[1-9]\d{0,2}[.,]\d{3}")  # all that two decimal signs can both read
        measures[f"marked{i}"] = marked.any()
        measures[f"example{i}"] = bare.min(where=marked)
        mark = _extracted(column, rf"^[-+(\s]*({SIGN})", 1)
        mark = ibis.ifelse(mark == "", _extracted(column, rf"({SIGN})[-)\s]*$", 1), mark)
        lettered = column.re_search(r"\d") & column.re_search(r"[^-+\d.,'\s()]")
        measures[f"signs{i}"] = ibis.ifelse(lettered, mark, ibis.null("string")).nullif("").collect(distinct=True)
    counts = run(rows.agg(**measures)).to_pylist()[0]
    signs = sorted({sign for i in range(len(columns)) for sign in (counts[f"signs{i}"] or []) if sign})
    books = [sign for sign in signs if sign in ("CR", "DR")]
    signs = [sign for sign in signs if sign not in books]
    if len(signs) > 1:
        raise InputError(
            "Amounts with the signs of several currencies cannot be added.",
            value=f"{', '.join(signs[:5])} in {label}",
            remedy="Put the currency into a column of its own, and the amounts without it.",
        )
    fits = [sum(counts[f"fits{i}_{k}"] or 0 for i in range(len(columns))) for k in range(len(choices))]
    best = choices[fits.index(max(fits))]
    rivals = [one for one, count in zip(choices, fits, strict=True) if count == max(fits) and one[0] != best[0]]
    marked = any(counts[f"marked{i}"] for i in range(len(columns)))
    unsure = format.decimal is None and marked and max(fits) and rivals
    if unsure:
        example = next(counts[f"example{i}"] for i in range(len(columns)) if counts[f"example{i}"])
        raise InputError(
            f"Amounts can be read in two ways: {_reading(example, best)} or {_reading(example, rivals[0])}.",
            value=f"{example!r}, and every other row alike, in {label}",
            remedy=f"Say which: decimal={best[0]!r} or decimal={rivals[0][0]!r}.",
        )
    if not format.infer:
        return replace(format, decimal=format.numbers[0], thousands=format.numbers[1]), signs[0] if signs else ""
    return replace(format, decimal=best[0], thousands=best[1]), signs[0] if signs else ""


def _reading(example: str, choice: tuple[str, str]) -> str:
    decimal, thousands = choice
    rest = example.replace(thousands, "") if thousands else example
    return f"{float(rest.replace(decimal, '.')):,.10g}"


def looks_like(run: Callable[[Any], Any], table: Any, name: str, *, format: TextFormat, time: bool) -> str:
    """What format the rows of a column seem to have, as advice; empty where none reads them."""
    free = TextFormat()
    try:
        if time:
            dates = _dates_decided(run, table, [table[name]], format=free, label=name)
            return "" if dates.date_format in (ISO, format.date_format) else f"date_format={dates.date_format!r}"
        best, _ = _numbers_decided(run, table, [table[name]], format=free, label=name)
    except InputError as error:
        return error.remedy
    if best.numbers == format.numbers:
        return ""
    return f"decimal={best.decimal!r}" + (f", thousands={best.thousands!r}" if best.thousands else "")


def _dates_decided(
    run: Callable[[Any], Any], table: Any, columns: Sequence[Any], *, format: TextFormat, label: str
) -> TextFormat:
    if format.date_format is not None:
        return format
    measures = {f"odd{i}": (_moment(c, ISO).isnull() & ~is_missing(c)).sum() for i, c in enumerate(columns)}
    if not any(run(table.agg(**measures)).to_pylist()[0].values()) or not format.infer:
        return replace(format, date_format=ISO)
    choices = _DAYS + _NAMED
    days = _days_written(run, table, columns)
    day, rows = days.day, days.rows
    measures = {}
    for k, choice in enumerate(choices):
        measures[f"fits{k}"] = rows.sum(where=_by_format(day, choice).year() >= EARLIEST_YEAR)
    for one, two in _EXCHANGED:
        moments = [_by_format(day, choices[k]) for k in (one, two)]
        measures[f"differ{one}"] = ((moments[0] != moments[1]) & (moments[0].year() >= EARLIEST_YEAR)).any()
    measures["example"] = day.min(where=_moment(day, ISO).isnull())
    counts = fetch(days.agg(**measures)).to_pylist()[0]
    fits = [counts[f"fits{k}"] or 0 for k in range(len(choices))]
    if not max(fits):
        return replace(format, date_format=ISO)
    place = fits.index(max(fits))
    for day, month in _EXCHANGED:
        if place not in (day, month) or fits[day] != fits[month]:
            continue
        if counts[f"differ{day}"]:
            raise InputError(
                "Days can be read in two ways: the rows do not tell day and month apart.",
                value=f"{counts['example']!r}, {choices[day]} or {choices[month]}, in {label}",
                remedy=f"Say which: date_format={choices[day]!r} or date_format={choices[month]!r}.",
            )
    return replace(format, date_format=choices[place])


def _days_written(run: Callable[[Any], Any], table: Any, columns: Sequence[Any]) -> Any:
    """The distinct texts of days without their times, and how many rows have each: few even in a large log."""
    parts = []
    for column in columns:
        day = column.strip().re_replace(r"[ T]+\d{1,2}:.*$", "")
        texts = table.select(day=ibis.ifelse(is_missing(column), ibis.null("string"), day))
        counts = texts.filter(texts.day.notnull()).group_by("day").agg(rows=ibis._.count())
        parts.append(run(counts.order_by([counts.rows.desc(), counts.day]).limit(_MOST_DAYS)))
    return ibis.memtable(pa.concat_tables(parts))


_MOST_DAYS: Final = 200_000
_EXCHANGED: Final = ((0, 5), (1, 2), (3, 4))
"""Places of the formats that differ only in the order of day and month."""
