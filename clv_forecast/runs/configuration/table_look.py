"""A look at a table: its columns, what they hold, and how far its days reach.

Which column of an order log means what, guessed by its name and by what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import pandas as pd
import pyarrow as pa

from clv_forecast.errors import ClvForecastError, DomainError, InputError
from clv_forecast.history.cleaning import is_currency_code
from clv_forecast.tables.connection_url import ConnectionUrl
from clv_forecast.tables.databases import DUCKDB_FILES, connected, find_table, first_line
from clv_forecast.tables.source import Source, open_columns
from clv_forecast.tables.text_format import ISO, NUMBER_FORMATS, TextFormat, decided_format, number_pattern

Kind = Literal["integer", "number", "day", "odd day", "flag", "text", "nothing"]

_OF_VALUES: Final = ("decimal", "thousands", "date_format", "sheet")
SAMPLE: Final = 50_000
"""Rows that columns are judged by."""
_SHARE: Final = 0.99
_VALUES_KEPT: Final = 12
_DAY: Final = re.compile(r"^\d{4}-\d{2}-\d{2}")
_ODD_DAY: Final = re.compile(
    r"^(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|\d{1,2}\.?[- ][A-Za-z]{3,9}[- ]\d{4}|[A-Za-z]{3,9} \d{1,2}, \d{4})(?:\D|$)"
)
_OFFSET: Final = re.compile(r"\d:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:[zZ]|UTC|[+-]\d{2}(?::?\d{2})?)$")
_INTEGER: Final = re.compile(r"^-?(?:0|[1-9]\d*)$")
_NUMBER: Final = re.compile(r"^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$")
_MONEY: Final = re.compile(
    r"^[-+(]?\s*(?:[$€£¥₹]|[A-Z]{3})?\s*(?!0\d)(?:"
    + "|".join(number_pattern(*one) for one in NUMBER_FORMATS)
    + r")\s*(?:[$€£¥₹]|[A-Z]{3}|kr|zł)?\s*[-)]?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnLook:
    """One column, judged by the table's first rows.

    Parameters
    ----------
    name : str
    kind : {"integer", "number", "day", "odd day", "flag", "text", "nothing"}
        An odd day is a day written in another way than YYYY-MM-DD.
    distinct : int
        Different values among the rows looked at.
    values : tuple of str
        The most frequent ones.
    low, high : float or None
        Of numbers.
    first, last : Timestamp or None
        Of days, over all rows.
    offset : bool
        Whether its times carry a time zone.
    """

    name: str
    kind: Kind
    distinct: int
    values: tuple[str, ...]
    low: float | None = None
    high: float | None = None
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    offset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLook:
    """A table of the user's.

    Parameters
    ----------
    rows : int
    columns : tuple of ColumnLook
        Without those whose names cannot be printed.
    source : Source, optional
        Of files: how they are read.
    """

    rows: int
    columns: tuple[ColumnLook, ...]
    source: Source | None = None

    def column(self, name: str) -> ColumnLook:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    def text_format(self, *, numbers: Sequence[str], times: Sequence[str]) -> tuple[TextFormat, list[str]]:
        """How the text of files is written, judged by all rows, and what cannot be decided, in words.

        Parameters
        ----------
        numbers, times : sequence of str
            Columns of amounts, and of days.
        """
        if self.source is None:
            return TextFormat(), []
        schema, form, unsure = self.source.table.schema(), self.source.format, []
        for columns in ({"numbers": numbers, "times": ()}, {"numbers": (), "times": times}):
            text = {what: [name for name in names if schema[name].is_string()] for what, names in columns.items()}
            if not any(text.values()):
                continue
            try:
                form = decided_format(
                    self.source.fetch, self.source.table, form, label=self.source.label, **text
                ).format
            except InputError as error:
                unsure.append(str(error))
        return form, unsure

    def format_keys(self, form: TextFormat) -> dict[str, str]:
        """What the configuration says of how the text is written; of a spreadsheet nothing on files of text."""
        if self.source is None:
            return {}
        keys = form.given()
        return keys if self.source.from_text else {name: keys[name] for name in _OF_VALUES if name in keys}

    def span(self, name: str, form: TextFormat) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """First and last day of a column of text."""
        if self.source is None:
            return None
        moment = form.parsed_time(self.source.table[name])
        ends = self.source.fetch(self.source.table.aggregate(first=moment.min(), last=moment.max())).to_pylist()[0]
        first, last = _moment(ends["first"]), _moment(ends["last"])
        return None if first is None or last is None else (first, last)


def look_at(place: str | Path, *, table: str | None = None, url: ConnectionUrl | None = None) -> TableLook:
    r"""Look at CSV, Parquet or Excel files, a table of a DuckDB file, or one of another database.

    Parameters
    ----------
    place : str or Path
        A path.
    table : str, optional
        Its name in a database.
    url : ConnectionUrl, optional
        Of a database, instead of the path.

    Returns
    -------
    TableLook

    Raises
    ------
    DomainError
        If a database is named without a table, or files with one.
    InputError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.csv").write_text("id,day\n7,2024-01-05\n8,2024-02-01\n")
    ...     look = look_at(Path(folder) / "a.csv")
    >>> look.rows, [(column.name, column.kind) for column in look.columns], str(look.columns[1].last.date())
    (2, [('id', 'integer'), ('day', 'day')], '2024-02-01')
    """
    in_file = url is None and str(place).lower().endswith(DUCKDB_FILES)
    if (url is not None or in_file) and table is None:
        raise DomainError("A database has many tables: name the one to look at.", value=url or place)
    if url is None and not in_file:
        if table is not None:
            raise DomainError("A table belongs to a database; a file is one table.", value=str(place))
        source = open_columns(place)
        return replace(_look(source.table, source.fetch, place), source=source)
    where = url or Path(place)
    with connected(where, str(table)) as backend:
        return _look(find_table(backend, str(table), str(table), place=where), backend.to_pyarrow, where)


def _look(table: Any, run: Callable[[Any], Any], place: str | Path | ConnectionUrl) -> TableLook:
    sample = _fetched(run, table.limit(SAMPLE), place)
    usable = [name for name in sample.column_names if name.strip() and name.isprintable()]
    judged = [_judged(name, sample[name]) for name in usable]
    asked = {"rows": table.count()}
    for number, column in enumerate(judged):
        if column.kind == "day":
            moment = table[column.name]
            if moment.type().is_string():
                moment = TextFormat(date_format=ISO).parsed_time(moment)
            asked |= {
                f"first_{number}": moment.cast("timestamp").min(),
                f"last_{number}": moment.cast("timestamp").max(),
            }
    answer = _fetched(run, table.aggregate(**asked), place).to_pylist()[0]
    columns = tuple(
        replace(column, first=_moment(answer[f"first_{number}"]), last=_moment(answer[f"last_{number}"]))
        if column.kind == "day"
        else column
        for number, column in enumerate(judged)
    )
    return TableLook(rows=answer["rows"], columns=columns)


def _fetched(run: Callable[[Any], Any], expression: Any, place: str | Path | ConnectionUrl) -> pa.Table:
    try:
        return run(expression)
    except ClvForecastError:
        raise
    except Exception as error:  # each database has errors of its own
        problem = first_line(error, place if isinstance(place, ConnectionUrl) else None)
    raise InputError("The table cannot be read.", value=f"{place}: {problem.rstrip('.')}")


def _moment(value: Any) -> pd.Timestamp | None:
    return None if value is None else pd.Timestamp(value).tz_localize(None)


def _judged(name: str, values: pa.ChunkedArray) -> ColumnLook:
    """What a column holds, by the rows of the sample."""
    series = values.to_pandas().dropna()
    if pa.types.is_dictionary(values.type):
        series = series.astype(values.type.value_type.to_pandas_dtype())
    texts = series.astype(str).str.strip()
    texts = texts[texts != ""]
    counts = texts.value_counts()
    kind, offset = _kind(values.type, series, texts)
    low = high = None
    if kind in ("integer", "number"):
        numbers = pd.to_numeric(texts, errors="coerce").dropna()  # none of another decimal sign
        low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (None, None)
    return ColumnLook(
        name=name,
        kind=kind,
        distinct=len(counts),
        values=tuple(map(str, counts.index[:_VALUES_KEPT])),
        low=low,
        high=high,
        offset=offset,
    )


def _kind(kind: pa.DataType, series: pd.Series[Any], texts: pd.Series[str]) -> tuple[Kind, bool]:
    if not len(texts):
        return "nothing", False
    if pa.types.is_boolean(kind):
        return "flag", False
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "day", pa.types.is_timestamp(kind) and kind.tz is not None
    if pa.types.is_integer(kind):
        return "integer", False
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        whole = pd.to_numeric(series, errors="coerce") % 1 == 0
        return ("integer" if bool(whole.all()) and pa.types.is_floating(kind) else "number"), False
    if _mostly(texts, _INTEGER, share=1.0):
        return "integer", False
    if _mostly(texts, _NUMBER) or _mostly(texts, _MONEY):
        return "number", False
    if _mostly(texts, _DAY):
        return "day", bool(texts.str.contains(_OFFSET).any())
    return ("odd day" if _mostly(texts, _ODD_DAY) else "text"), False


def _mostly(texts: pd.Series[str], pattern: re.Pattern[str], share: float = _SHARE) -> bool:
    return bool(texts.str.contains(pattern).mean() >= share)


MOST_CATEGORIES: Final = 200
_HIGHEST_RATE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a column can mean: names it often has, the likeliest first, and parts of names; none of ``never``."""

    names: tuple[str, ...]
    parts: tuple[str, ...]
    never: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A column for a role, or None, and why."""

    column: str | None
    why: str


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "customer": Role(
            names=_words(
                "customerid custid customerno customernumber customerkey customer clientid client accountid accountno "
                "account buyerid buyer memberid member userid user contactid partnerid companyid company kundennummer "
                "kundennr kundenid kunde debitor"
            ),
            parts=_words("customer client account buyer member kunde"),
            never=_words("name mail type segment country since age group city date amount value revenue total count"),
            kinds=("integer", "text", "number"),
        ),
        "date": Role(
            names=_words(
                "orderdate orderedat orderedon invoicedate purchasedate transactiondate salesdate bookingdate "
                "documentdate date day datetime timestamp createdat created datum bestelldatum rechnungsdatum"
            ),
            parts=_words("order invoice purchase date datum time day"),
            never=_words("ship deliver due birth update record load paid payment end expir modif cancel ingest insert"),
            kinds=("day", "odd day"),
        ),
        "recorded_at": Role(
            names=_words("recordedat recordedon recorded loadedat ingestedat insertedat bookedat postedat enteredat"),
            parts=_words("recorded loaded ingested inserted"),
            never=(),
            kinds=("day",),
        ),
        "amount": Role(
            names=_words(
                "amount netamount revenue netrevenue orderamount ordervalue ordertotal linetotal lineamount netvalue "
                "total totalamount totalprice sales salesamount turnover subtotal money spend value umsatz betrag "
                "nettobetrag grossamount"
            ),
            parts=_words("amount revenue total umsatz betrag sales turnover"),
            never=_words("quantity qty tax vat discount ship freight cost margin count rate number unit percent pct"),
            kinds=("number", "integer"),
        ),
        "order_id": Role(
            names=_words(
                "orderid orderno ordernumber ordernr invoiceid invoiceno invoicenumber invoice transactionid receiptid "
                "receiptno documentno bookingid bestellnummer rechnungsnummer order"
            ),
            parts=_words("orderid orderno invoice transactionid receipt"),
            never=_words("date line value amount item time day"),
            kinds=("integer", "text"),
        ),
        "currency": Role(
            names=_words("currency currencycode ccy curr waehrung währung"),
            parts=_words("currency"),
            never=_words("rate"),
            kinds=("text",),
        ),
        "category": Role(
            names=_words(
                "category productcategory productgroup productline productfamily department family warengruppe "
                "kategorie producttype product item sku stockcode"
            ),
            parts=_words("category productgroup warengruppe"),
            never=_words("customer account"),
            kinds=("text", "integer"),
        ),
        "margin": Role(
            names=_words(
                "margin marginamount contribution contributionmargin grossprofit profit grossmargin deckungsbeitrag"
            ),
            parts=_words("margin profit contribution"),
            never=_words("rate percent pct"),
            kinds=("number", "integer"),
        ),
    }
)
QUANTITY: Final = _words("quantity qty units menge anzahl pieces")
PRICE: Final = _words("price unitprice itemprice preis einzelpreis")


def plain_name(name: str) -> str:
    """A column's name without case, blanks and signs.

    Examples
    --------
    >>> plain_name("Customer ID"), plain_name("invoice_date")
    ('customerid', 'invoicedate')
    """
    return re.sub(r"[^\w]|_", "", name.casefold())


def guess_columns(look: TableLook) -> dict[str, Guess]:
    """Guess the columns of an order log; each column is given one role.

    Parameters
    ----------
    look : TableLook

    Returns
    -------
    dict of str to Guess
        By role: customer, date, recorded_at, amount, order_id, currency, category, margin.

    Examples
    --------
    >>> columns = [("CustomerID", "integer"), ("InvoiceDate", "day"), ("Quantity", "integer"), ("Price", "number")]
    >>> look = TableLook(
    ...     rows=9, columns=tuple(ColumnLook(name=name, kind=kind, distinct=5, values=()) for name, kind in columns)
    ... )
    >>> found = guess_columns(look)
    >>> found["customer"].column, found["date"].column, found["amount"].column
    ('CustomerID', 'InvoiceDate', None)
    """
    taken: set[str] = set()
    found: dict[str, Guess] = {}
    for name, role in ROLES.items():
        fitting = [column for column in look.columns if _fits(name, column)]
        guess = _by_name(role, [column for column in fitting if column.name not in taken])
        if guess.column is None:
            guess = _by_kind(name, look, fitting, taken=taken)
        if name == "amount" and guess.column is None:
            guess = _price_alone(look)
        if guess.column is None:
            guess = _not_taken(name, look)
        found[name] = guess
        taken |= {guess.column} if guess.column is not None else set()
    return found


def quantity_and_price(look: TableLook) -> tuple[str, str] | None:
    """Columns of a number of pieces and of the price of one, if the log has both."""
    quantity = _named(look, QUANTITY)
    price = _named(look, PRICE)
    return None if quantity is None or price is None else (quantity, price)


def _fits(role: str, column: ColumnLook) -> bool:
    """Whether what the column holds can mean this."""
    if column.kind not in ROLES[role].kinds:
        return False
    if role == "currency":
        return all(is_currency_code(value) for value in column.values)
    if role == "category":
        return 2 <= column.distinct <= MOST_CATEGORIES
    if role == "margin":
        return max(abs(column.low or 0.0), abs(column.high or 0.0)) > _HIGHEST_RATE
    return True


def _by_name(role: Role, columns: Collection[ColumnLook]) -> Guess:
    plain = {column.name: plain_name(column.name) for column in columns}
    exact = sorted((role.names.index(text), name) for name, text in plain.items() if text in role.names)
    alike = [
        name
        for name, text in plain.items()
        if text not in role.names and _has(text, role.parts) and not _has(text, role.never)
    ]
    ordered = [name for _, name in exact] + alike
    if not ordered:
        return Guess(column=None, why="")
    others = f" Also possible: {', '.join(ordered[1:4])}." if len(ordered) > 1 else ""
    return Guess(column=ordered[0], why=f"Guessed by its name.{others}")


def _by_kind(role: str, look: TableLook, fitting: Collection[ColumnLook], *, taken: Collection[str]) -> Guess:
    """The only column that holds days is the date, the only one that holds broken numbers the amount."""
    left = [column for column in fitting if column.name not in taken]
    if role == "date" and len(left) == 1:
        return Guess(column=left[0].name, why="Guessed: the only column of days.")
    numbers = [column for column in left if column.kind == "number" and not _has(plain_name(column.name), PRICE)]
    if role == "amount" and len(numbers) == 1 and not _has(plain_name(numbers[0].name), ROLES["amount"].never):
        return Guess(column=numbers[0].name, why="Guessed: the only column of numbers with decimals.")
    return Guess(column=None, why="")


def _not_taken(role: str, look: TableLook) -> Guess:
    """A column of the right name that holds something else, so that nobody looks for the reason."""
    reasons = {
        "category": f"it has more than {MOST_CATEGORIES} different values, or one",
        "margin": "it holds rates, and money is needed",
    }
    named = [column.name for column in look.columns if plain_name(column.name) in ROLES[role].names]
    if role not in reasons or not named:
        return Guess(column=None, why="")
    return Guess(column=None, why=f"Not {named[0]}: {reasons[role]}.")


def _price_alone(look: TableLook) -> Guess:
    """A price is what was paid where nothing says that several pieces were bought."""
    price = _named(look, PRICE)
    if price is None or _named(look, QUANTITY) is not None:
        return Guess(column=None, why="")
    return Guess(column=price, why="Guessed by its name: a price, and no column of pieces.")


def _named(look: TableLook, names: Collection[str]) -> str | None:
    numbers = [column.name for column in look.columns if column.kind in ("number", "integer")]
    return next((name for name in numbers if plain_name(name) in names), None)


def _has(text: str, parts: Collection[str]) -> bool:
    return any(part in text for part in parts)
