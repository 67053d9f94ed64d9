"""What one order log is: where it lies and which of its columns means what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clv_forecast import columns as c
from clv_forecast.errors import DomainError
from clv_forecast.history.cleaning import is_currency_code
from clv_forecast.printable import printable
from clv_forecast.tables.connection_url import ConnectionUrl, connection_url, is_url
from clv_forecast.tables.databases import DUCKDB_FILES
from clv_forecast.tables.text_format import FORMAT_KEYS, TextFormat

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
