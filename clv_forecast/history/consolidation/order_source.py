"""What one order log is: where it lies and which of its columns means what.

Rows out of Postgres by ``COPY``: read in columns, and planned without a cursor, which would forbid parallel work.

A source as one lazy table where its lines lie, its columns under this package's names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import csv

from clv_forecast import columns as c
from clv_forecast.errors import ClvForecastError, DomainError, InputError
from clv_forecast.history.cleaning import is_currency_code
from clv_forecast.history.purchase_history import open_with_currency
from clv_forecast.printable import printable
from clv_forecast.tables.column_names import check_columns
from clv_forecast.tables.connection_url import ConnectionUrl, connection_url, is_url
from clv_forecast.tables.databases import DUCKDB_FILES, connected, find_table, first_line
from clv_forecast.tables.source import Source
from clv_forecast.tables.text_format import FORMAT_KEYS, TextFormat, decided_format


def copied_rows(backend: Any, expression: Any) -> pa.Table:
    """Run one statement on Postgres and take its rows.

    Parameters
    ----------
    backend : ibis Postgres backend
    expression : ibis Table

    Returns
    -------
    pyarrow Table
        Dates and moments as ISO text (moments with a zone in UTC, with their offset), anything else in its own type.
    """
    schema = expression.schema().to_pyarrow()
    names = list(expression.columns)
    types = {name: _carried(schema.field(name).type) for name in names}
    statement = f"COPY ({backend.compile(expression)}) TO STDOUT (FORMAT csv)"
    sink = pa.BufferOutputStream()
    with backend.con.cursor() as cursor:
        cursor.execute("SET client_encoding TO 'UTF8'; SET datestyle TO ISO; SET timezone TO 'UTC'")
        with cursor.copy(statement) as rows:
            for part in rows:
                sink.write(part)
    held = sink.getvalue()
    if not held.size:
        return pa.schema(list(types.items())).empty_table()
    return csv.read_csv(
        pa.BufferReader(held),
        read_options=csv.ReadOptions(column_names=names),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _carried(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_temporal(kind) or pa.types.is_large_string(kind) else kind


_OPTIONAL: Final = (c.ORDER_ID, c.CATEGORY, c.MARGIN, c.CURRENCY, c.RECORDED_AT)


@dataclass(frozen=True, slots=True, repr=False)
class OrderSource:
    """One system's order log.

    Parameters
    ----------
    name : str
        Short name, the one that the crosswalk uses: ``shop``, ``finance``.
    data : str, Path, ConnectionUrl or table
        The path of CSV, Parquet or Excel files (wildcards allowed) or of a DuckDB file; the URL of a database that
        Ibis opens, such as ``postgres://user:password@host/database``; or a table as ``purchase_history`` takes it.
    table : str, optional
        In a database the table's or view's name, with its schema or without: ``orders``, ``sales.orders``.
    customer, date, amount : str
        Columns of the log. Refunds are negative amounts.
    order_id, category, margin, recorded_at : str, optional
        Columns, as in ``purchase_history``.
    currency : str, optional
        Column of currency codes; or, in three capital letters, the code of the whole log.
    encoding, delimiter, quote, decimal, thousands, date_format, sheet : str, optional
        How text is written, as in ``purchase_history``.
    infer : bool
        Whether what is not given of that is inferred from the rows; see ``TextFormat``.

    Raises
    ------
    DomainError
        If the name is empty, a URL cannot be read, an option is not text, two options name one column, or ``table`` is
        missing for a database or given for anything else.

    Examples
    --------
    >>> OrderSource("shop", "postgres://clv:secret@warehouse/sales", table="orders", date="ordered_on")
    OrderSource('shop', 'postgres://warehouse/sales', table='orders')
    """

    name: str
    data: Any
    table: str | None = None
    customer: str = c.CUSTOMER_ID
    date: str = c.DATE
    amount: str = c.AMOUNT
    order_id: str | None = None
    category: str | None = None
    margin: str | None = None
    currency: str | None = None
    recorded_at: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    date_format: str | None = None
    sheet: str | None = None
    infer: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise DomainError("A source needs a name.", value=repr(self.name))
        if ":" in self.name:
            raise DomainError(
                "The name of a source has no colon: ids that the crosswalk lacks become 'source:id'.",
                value=repr(self.name),
            )
        _ = self.url  # checks it
        chosen = self.mapping()
        for option, column in chosen.items():
            if not isinstance(column, str) or not column:
                raise DomainError(f"{option} must be the name of a column.", value=repr(column))
        if len(set(chosen.values())) != len(chosen):
            raise DomainError("Each column option must name a column of its own.", value=chosen)
        if self.is_database and not (isinstance(self.table, str) and self.table):
            raise DomainError(f"The source {self.name!r} lies in a database: table must name its table or view.")
        if not self.is_database and self.table is not None:
            raise DomainError("table goes with a database only.", value=repr(self.table))
        _ = self.format  # checks it

    def __repr__(self) -> str:
        table = f", table={self.table!r}" if self.table else ""
        return f"OrderSource({self.name!r}, {self.place!r}{table})"

    @property
    def is_database(self) -> bool:
        """Whether the log is a table of a database that is opened by URL or file."""
        return is_url(self.data) or self.is_duckdb_file

    @property
    def url(self) -> ConnectionUrl | None:
        """Of the database, where it is opened by URL."""
        return connection_url(self.data) if is_url(self.data) else None

    @property
    def is_duckdb_file(self) -> bool:
        """Whether the log is a table of a DuckDB file given by path."""
        if is_url(self.data) or not isinstance(self.data, (str, Path)):
            return False
        return str(self.data).lower().endswith(DUCKDB_FILES)

    @property
    def place(self) -> str:
        """Where the log lies, in words; never a password."""
        by_place = isinstance(self.data, (str, Path, ConnectionUrl))
        return printable(self.url or self.data) if by_place else f"a {type(self.data).__name__}"

    @property
    def format(self) -> TextFormat:
        """How its text is written."""
        return TextFormat(infer=self.infer, **{key: getattr(self, key) for key in FORMAT_KEYS})

    @property
    def constant_currency(self) -> str | None:
        """The code that ``currency`` may be, unless a column of the log has that name."""
        return self.currency if is_currency_code(self.currency) else None

    def mapping(self) -> Mapping[str, str]:
        """Name in this package -> name in the log, of the columns that were named."""
        named = {c.CUSTOMER_ID: self.customer, c.DATE: self.date, c.AMOUNT: self.amount}
        return named | {name: getattr(self, name) for name in _OPTIONAL if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSource:
    """An order log ready to be asked.

    Parameters
    ----------
    source : OrderSource
    table : ibis Table
        The columns that were named; a constant currency is not among them.
    held : Source or None
        Rows in memory or in files, which DuckDB reads.
    backend : ibis backend or None
        The database that holds the lines, otherwise.
    format : TextFormat
        How its text is written.
    constant_currency : str, optional
    """

    source: OrderSource
    table: Any
    held: Source | None
    backend: Any
    format: TextFormat
    constant_currency: str | None

    @property
    def in_duckdb(self) -> bool:
        """Whether DuckDB answers: it reads text as numbers and days, which other databases do not."""
        return self.held is not None or str(self.backend.name) == "duckdb"

    @property
    def from_text(self) -> bool:
        """Whether the ids come from a text file, where an integer is text too."""
        return self.held is not None and self.held.from_text

    @property
    def engine(self) -> str:
        """Name of what answers."""
        return "duckdb" if self.held is not None else str(self.backend.name)

    def has(self, column: str) -> bool:
        """Whether the source has that column, under this package's name for it."""
        return column in self.table.columns

    def fetch(self, expression: Any) -> pa.Table:
        """Run one statement where the lines lie.

        Raises
        ------
        InputError
            If it fails, whatever the database calls that.
        """
        try:
            if self.held is not None:
                return self.held.fetch(expression)
            if self.backend.name == "postgres":
                return copied_rows(self.backend, expression)
            return self.backend.to_pyarrow(expression)
        except ClvForecastError:
            raise
        except Exception as error:  # each database has errors of its own
            problem = first_line(error, self.source.url)
        raise InputError(
            f"The source {self.source.name!r} cannot be read.",
            value=f"{self.source.place}: {problem.rstrip('.')}",
            remedy="Nothing was changed: make it readable and run again.",
        )


@contextmanager
def opened(source: OrderSource, *, time_zone: str | None = None) -> Iterator[OpenedSource]:
    """Open a source where it lies, and close the connection in the end.

    Parameters
    ----------
    source : OrderSource
    time_zone : str, optional
        As in ``consolidate``.

    Raises
    ------
    InputError
        If it cannot be opened, the table does not exist, a column is missing or occurs twice, or its text can be read
        in two ways.
    """
    if source.is_database:
        where = source.url or Path(source.data)
        with connected(where, source.name) as backend:
            yield _mapped(source, find_table(backend, str(source.table), source.name, place=where), backend)
        return
    held, constant = open_with_currency(
        source.data, dict(source.mapping()), source.format, time_zone=time_zone, alone=False
    )
    yield OpenedSource(
        source=source, table=held.table, held=held, backend=None, format=held.format, constant_currency=constant
    )


def _mapped(source: OrderSource, table: Any, backend: Any) -> OpenedSource:
    mapping = dict(source.mapping())
    constant = source.constant_currency
    if constant is not None and constant not in table.columns:
        del mapping[c.CURRENCY]
    else:
        constant = None
    check_columns(mapping.values(), table.columns)
    chosen = table.select(**{name: table[column] for name, column in mapping.items()})
    form = source.format
    if backend.name == "duckdb":  # other databases have no text that could be a number
        text = {name for name, kind in chosen.schema().items() if kind.is_string()}
        numbers = [name for name in (c.AMOUNT, c.MARGIN) if name in text]
        times = [name for name in (c.DATE, c.RECORDED_AT) if name in text]
        label = f"the source {source.name!r}"
        form = decided_format(backend.to_pyarrow, chosen, form, numbers=numbers, times=times, label=label).format
    return OpenedSource(
        source=source, table=chosen, held=None, backend=backend, format=form, constant_currency=constant
    )
