"""A source as one lazy table where its lines lie, its columns under this package's names."""

from __future__ import annotations

import contextlib
import difflib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
from ibis.common.exceptions import IbisError, TableNotFound

from clv_forecast import columns as c
from clv_forecast.consolidation.addresses import first_line, is_address, open_address, open_duckdb_file
from clv_forecast.consolidation.order_source import OrderSource
from clv_forecast.consolidation.postgres_rows import copied_rows
from clv_forecast.errors import ClvForecastError, InputError
from clv_forecast.history.column_names import check_columns
from clv_forecast.history.sources import CSV, IdCode, open_path, open_source


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSource:
    """An order log ready to be asked.

    Parameters
    ----------
    source : OrderSource
    table : ibis Table
        The columns that were named, untouched; a constant currency is not among them.
    backend : ibis backend
        The database that holds the lines.
    id_code : IdCode, optional
        Where the ids are ranks of what no database has a type for.
    constant_currency : str, optional
    """

    source: OrderSource
    table: Any
    backend: Any
    id_code: IdCode | None
    constant_currency: str | None

    @property
    def in_duckdb(self) -> bool:
        """Whether DuckDB answers: it reads text as numbers and days, which other databases do not."""
        return str(self.backend.name) == "duckdb"

    @property
    def ids_as_written(self) -> bool:
        """Whether the ids come from a text file, where an integer is text too."""
        data = self.source.data
        return isinstance(data, (str, Path)) and not is_address(data) and str(data).lower().endswith(CSV)

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
            if self.backend.name == "postgres":
                return copied_rows(self.backend, expression)
            return self.backend.to_pyarrow(expression)
        except ClvForecastError:
            raise
        except Exception as error:  # each database has errors of its own
            address = self.source.data if is_address(self.source.data) else ""
            problem = first_line(error, address)
        raise InputError(
            f"The source {self.source.name!r} cannot be read.",
            value=f"{self.source.place}: {problem.rstrip('.')}",
            remedy="Nothing was changed: make it readable and run again.",
        )


@contextmanager
def opened(source: OrderSource) -> Iterator[OpenedSource]:
    """Open a source where it lies, and close the connection in the end.

    Parameters
    ----------
    source : OrderSource

    Raises
    ------
    InputError
        If it cannot be opened, the table does not exist, or a column is missing or occurs twice.
    """
    if source.is_database:
        address = source.data
        backend = (
            open_duckdb_file(address, source.name) if source.is_duckdb_file else open_address(address, source.name)
        )
        try:
            yield _mapped(source, find_table(source, backend), backend, None)
        finally:
            _closed(backend)
    elif isinstance(source.data, ibis.Table):
        try:
            backend = source.data.get_backend()
        except IbisError as error:
            raise InputError("The Ibis table belongs to no connection.", remedy="Take it from one.") from error
        yield _mapped(source, source.data, backend, None)
    elif isinstance(source.data, (str, Path)):
        table, backend = open_path(source.data)
        yield _mapped(source, table, backend, None)
    else:
        yield _in_memory(source)


def _in_memory(source: OrderSource) -> OpenedSource:
    mapping = dict(source.mapping())
    constant = source.constant_currency
    try:
        held = open_source(source.data, mapping)
    except InputError:
        if constant is None:
            raise
        held = open_source(source.data, {name: column for name, column in mapping.items() if name != c.CURRENCY})
    return OpenedSource(
        source=source,
        table=held.table,
        backend=held.backend,
        id_code=held.id_code,
        constant_currency=None if c.CURRENCY in held.table.columns else constant,
    )


def _mapped(source: OrderSource, table: Any, backend: Any, id_code: IdCode | None) -> OpenedSource:
    mapping = dict(source.mapping())
    constant = source.constant_currency
    if constant is not None and constant not in table.columns:
        del mapping[c.CURRENCY]
    else:
        constant = None
    check_columns(mapping.values(), table.columns)
    chosen = table.select(**{name: table[column] for name, column in mapping.items()})
    return OpenedSource(source=source, table=chosen, backend=backend, id_code=id_code, constant_currency=constant)


def find_table(source: OrderSource, backend: Any) -> Any:
    """Find the table: under its whole name, or under schema and name where there is a point between them.

    Raises
    ------
    InputError
        If there is none, naming the nearest.
    """
    name = str(source.table)
    schema, point, short = name.rpartition(".")
    places: list[dict[str, Any]] = [{}] + ([{"database": schema}] if point else [])
    problem = ""
    for place in places:
        try:
            with warnings.catch_warnings():  # ibis 12 calls what DuckDB 2 renamed
                warnings.filterwarnings("ignore", message="fetch_arrow_table", category=DeprecationWarning)
                return backend.table(short if place else name, **place)
        except TableNotFound:
            continue
        except Exception as error:  # each database has errors of its own
            problem = problem or first_line(error, source.data if is_address(source.data) else "")
    near = difflib.get_close_matches(short, _existing(backend, schema), n=1)
    nearest = f" Nearest: {near[0]!r}." if near else ""
    raise InputError(
        f"The source {source.name!r} has no table or view {name!r}, or its user may not see it.{nearest}",
        value=f"{source.place}: {problem.rstrip('.')}" if problem else source.place,
        remedy="Name it as 'table' or 'schema.table'.",
    )


def _existing(backend: Any, schema: str) -> list[str]:
    """Names of tables that there are, for advice; none where the database does not say."""
    with contextlib.suppress(Exception):  # advice only
        if backend.name == "duckdb":  # ibis 12 lists them by a method that DuckDB 2 renamed
            found = backend.con.execute("SELECT table_name FROM information_schema.tables").fetchall()
            return [name for (name,) in found]
        return list(backend.list_tables(database=schema) if schema else backend.list_tables())
    return []


def _closed(backend: Any) -> None:
    with contextlib.suppress(Exception):  # what was read stands, and nothing was written
        backend.disconnect()
