"""One transaction on the database of results, Postgres or DuckDB: what differs between the two is here.

Tables of a run as columns that a database has a type for, and what becomes of a column whose type changed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot.expressions as sge

from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.tables.connection_url import ConnectionUrl
from clv_forecast.tables.databases import backend_of, first_line

_log = logging.getLogger(__name__)
Engine = Literal["postgres", "duckdb"]
SUPPORTED: Final = "Results are written to Postgres or to a DuckDB file."
_ENGINES: Final[dict[str, Engine]] = {"postgres": "postgres", "postgresql": "postgres", "duckdb": "duckdb"}
# A server that no longer answers is given up; libpq would wait for minutes
_PATIENCE: Final = {"connect_timeout": "10", "keepalives_idle": "30", "tcp_user_timeout": "60000"}
_BATCH: Final = 5_000


@dataclass(slots=True)
class Session:
    """A transaction under way; names without a schema are those of the results' schema once `enter` was called."""

    connection: Any
    engine: Engine

    def rows(self, statement: sge.Expression | str) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows, none for one that has no result."""
        done = self.connection.execute(statement if isinstance(statement, str) else statement.sql(self.engine))
        return list(done.fetchall()) if done.description else []

    def catalog(self) -> str:
        """Name of the database."""
        return str(self.rows("SELECT current_database()")[0][0])

    def enter(self, schema: str) -> None:
        """Let names without a schema mean those of ``schema``."""
        raise NotImplementedError

    def exclude_others(self, schema: str) -> None:
        """Wait for another writer of this schema, and let later ones wait for this one."""
        raise NotImplementedError

    def insert(self, table: str, rows: pa.Table) -> None:
        """Append rows to a table that has their columns."""
        raise NotImplementedError


def quoted(name: str, engine: Engine) -> str:
    """An identifier in quotes, as the engine reads it.

    Examples
    --------
    >>> quoted('a"; drop table "b', "postgres")
    '"a""; drop table ""b"'
    """
    return sge.to_identifier(name, quoted=True).sql(engine)


def engine_of(url: ConnectionUrl) -> Engine:
    """Engine that a URL names.

    Raises
    ------
    DomainError
        If it is neither Postgres nor a DuckDB file.

    Examples
    --------
    >>> from clv_forecast.tables.connection_url import connection_url
    >>> urls = "postgresql://localhost/shop", "duckdb:///srv/results.duckdb"
    >>> [engine_of(connection_url(url)) for url in urls]
    ['postgres', 'duckdb']
    """
    engine = _ENGINES.get(url.scheme)
    if engine is None or (engine == "duckdb" and url.path in ("", ":memory:")):
        raise DomainError(
            SUPPORTED,
            value=f"{url.scheme}://...",
            remedy="Give postgres://user:${NAME}@host/database, or duckdb://results.duckdb.",
        )
    return engine


@contextmanager
def session(url: ConnectionUrl, *, read_only: bool = False) -> Iterator[Session]:
    """Open the database and a transaction, which ends with the block: all of it, or nothing.

    Parameters
    ----------
    url : ConnectionUrl
    read_only : bool
        Whether nothing will be written.

    Raises
    ------
    DomainError
        If the URL names another kind of database.
    StoreError
        If the database does not answer, or refuses; without what the URL hides.
    """
    opened = _postgres(url) if engine_of(url) == "postgres" else _duckdb(url, read_only)
    with _for_the_owner(), opened as found:
        yield found


def file_of(url: ConnectionUrl) -> Path | None:
    """The file of a DuckDB database; None of a server."""
    return Path(unquote(url.path)) if engine_of(url) == "duckdb" else None


class _Postgres(Session):
    def enter(self, schema: str) -> None:
        self.rows(f"SET LOCAL search_path TO {quoted(schema, self.engine)}")

    def exclude_others(self, schema: str) -> None:
        key = sge.convert(f"clv_forecast {schema}").sql(self.engine)
        self.rows(f"SELECT pg_advisory_xact_lock(hashtext({key}))")

    def insert(self, table: str, rows: pa.Table) -> None:
        columns = ", ".join(quoted(name, self.engine) for name in rows.column_names)
        rows = _without_nul(table, rows)
        with (
            self.connection.cursor() as cursor,
            cursor.copy(f"COPY {quoted(table, self.engine)} ({columns}) FROM STDIN") as copy,
        ):
            for batch in rows.to_batches(max_chunksize=_BATCH):
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    copy.write_row(row)


class _DuckDB(Session):
    def enter(self, schema: str) -> None:
        self.rows(f"USE {quoted(self.catalog(), self.engine)}.{quoted(schema, self.engine)}")

    def exclude_others(self, schema: str) -> None:
        """Nothing to do: a DuckDB file has one writing process."""

    def insert(self, table: str, rows: pa.Table) -> None:
        given = "rows that are to be written"
        self.connection.register(given, rows)
        self.rows(f"INSERT INTO {quoted(table, self.engine)} BY NAME FROM {quoted(given, self.engine)}")
        self.connection.unregister(given)


def _without_nul(table: str, rows: pa.Table) -> pa.Table:
    r"""Rows with ``\x00`` for the character NUL, which text in Postgres cannot hold."""
    for number, name in enumerate(rows.column_names):
        if not pa.types.is_string(rows.schema.field(number).type):
            continue
        count = pc.sum(pc.match_substring(rows[name], "\0")).as_py() or 0
        if count:
            _log.warning("%s.%s: %d texts with the character NUL are written with \\x00 for it.", table, name, count)
            rows = rows.set_column(number, name, pc.replace_substring(rows[name], "\0", "\\x00"))
    return rows


@contextmanager
def _postgres(url: ConnectionUrl) -> Iterator[Session]:
    try:
        import psycopg
    except ImportError as error:
        raise DomainError(
            "Postgres is reached through psycopg, which is not installed.",
            remedy="Install it: pip install 'clv-forecast[postgres]'.",
        ) from error
    try:
        with closing(backend_of(url.with_options(_PATIENCE)).con) as connection, connection.transaction():
            yield _Postgres(connection, "postgres")
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise _gone(url, error) from None
    except psycopg.Error as error:
        raise _refused(url, error) from None


@contextmanager
def _duckdb(url: ConnectionUrl, read_only: bool) -> Iterator[Session]:
    import duckdb
    import ibis

    try:
        with closing(ibis.duckdb.connect(str(file_of(url)), read_only=read_only).con) as connection:
            connection.begin()
            yield _DuckDB(connection, "duckdb")
            connection.commit()  # what was not committed, closing takes back
    except (OSError, duckdb.IOException, duckdb.ConnectionException, duckdb.FatalException) as error:
        raise _gone(url, error) from None
    except duckdb.Error as error:
        raise _refused(url, error) from None


@contextmanager
def _for_the_owner() -> Iterator[None]:
    """Let files that are made meanwhile be the owner's alone: they hold customers' data."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _gone(url: ConnectionUrl, error: Exception) -> StoreError:
    return StoreError(
        "The database of results did not answer to the end.",
        value=f"{url}: {first_line(error, url).rstrip('.')}",
        remedy="What it showed before it still shows. When it is back, run again or use `clv-forecast publish RUN`: "
        "both complete what was cut off.",
    )


def _refused(url: ConnectionUrl, error: Exception) -> StoreError:
    return StoreError(
        "The database of results refused a statement; nothing of the transaction was kept.",
        value=f"{url}: {first_line(error, url).rstrip('.')}",
        remedy="Check the rights on the schema and what stands in it, then use `clv-forecast publish RUN`.",
    )


Kind = Literal["truth", "whole", "number", "decimal", "text", "day", "moment", "zoned", "time", "other"]
_SCALE: Final = 6
_ARROW: Final[Mapping[Kind, pa.DataType]] = {
    "truth": pa.bool_(),
    "whole": pa.int64(),
    "number": pa.float64(),
    "decimal": pa.decimal128(38, _SCALE),
    "text": pa.string(),
    "day": pa.date32(),
    "moment": pa.timestamp("us"),
    "zoned": pa.timestamp("us", tz="UTC"),
    "time": pa.time64("us"),
}
_SQL: Final[Mapping[Kind, tuple[str, str]]] = {  # as written, and as the catalogue tells it, in Postgres then in DuckDB
    "truth": ("boolean", "boolean"),
    "whole": ("bigint", "bigint"),
    "number": ("double precision", "double"),
    "decimal": ("numeric", f"decimal(38,{_SCALE})"),
    "text": ("text", "varchar"),
    "day": ("date", "date"),
    "moment": ("timestamp without time zone", "timestamp"),
    "zoned": ("timestamp with time zone", "timestamp with time zone"),
    "time": ("time without time zone", "time"),
}
_WIDER: Final[Mapping[frozenset[Kind], Kind]] = {
    frozenset({"whole", "number"}): "number",
    frozenset({"whole", "decimal"}): "decimal",
    frozenset({"decimal", "number"}): "number",
    frozenset({"day", "moment"}): "moment",
}
_TESTS: Final[tuple[tuple[Callable[[pa.DataType], bool], Kind], ...]] = (
    (pa.types.is_boolean, "truth"),
    (pa.types.is_integer, "whole"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "decimal"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_date, "day"),
    (pa.types.is_time, "time"),
)


def storable(name: str, table: pd.DataFrame) -> pa.Table:
    """A table of a run with columns of the few types that are stored.

    Parameters
    ----------
    name : str
        Of the table, for errors.
    table : DataFrame

    Returns
    -------
    pyarrow Table
        Whole numbers of 64 bits, numbers, decimals of six places, text, truth values, days and moments to the
        microsecond; a length of time in seconds. A column without any value and without a type is left out.

    Raises
    ------
    InputError
        If a column holds what none of these can, or what would change in them.

    Examples
    --------
    >>> storable("t", pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [None, None]})).schema.names
    ['a', 'b']
    """
    try:
        given = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()
        found = {
            column: _plain(given[column]) for column in given.column_names if not pa.types.is_null(given[column].type)
        }
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise InputError(
            "A table in the database holds plain values: text, numbers, truth values or times.",
            value=f"{name}: {str(error).splitlines()[0]}",
            remedy="Turn the column into text, or leave the table out of [outputs.database].",
        ) from error
    return pa.table(found)


def kind_of(column: pa.DataType) -> Kind:
    """Kind of a column that `storable` made.

    Examples
    --------
    >>> kind_of(pa.int64()), kind_of(pa.timestamp("us"))
    ('whole', 'moment')
    """
    if pa.types.is_timestamp(column):
        return "moment" if column.tz is None else "zoned"
    return next((kind for test, kind in _TESTS if test(column)), "other")


def sql_type(kind: Kind, engine: Engine) -> str:
    """How an engine writes a kind of column."""
    return _SQL[kind][engine == "duckdb"]


def kind_in_catalog(told: str, engine: Engine) -> Kind:
    """Kind of a column of which the catalogue of the database tells the type.

    Examples
    --------
    >>> kind_in_catalog("DOUBLE", "duckdb"), kind_in_catalog("integer", "postgres")
    ('number', 'other')
    """
    return next((kind for kind in _SQL if sql_type(kind, engine) == told.lower()), "other")


def wider(stored: Kind, new: Kind) -> Kind:
    """Kind that holds both; text holds all. A type that someone else gave a column stays as it is.

    Examples
    --------
    >>> wider("whole", "number"), wider("whole", "text"), wider("other", "text")
    ('number', 'text', 'other')
    """
    if stored == new or stored == "other":
        return stored
    return _WIDER.get(frozenset({stored, new}), "text")


def as_kind(column: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    """Column as the kind that the database holds it in."""
    return column if kind == "other" else column.cast(_ARROW[kind])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind: Any = column.type
    if isinstance(kind, pa.UuidType):
        texts = [None if value is None else str(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_duration(kind):
        return pc.divide(column.cast(pa.duration("us")).cast(pa.int64()), 1e6)
    found = kind_of(kind)
    if found == "other":
        raise TypeError(f"values of type {kind}")
    # a nanosecond is lost knowingly, anything else is an error
    return column.cast(_ARROW[found], safe=found not in ("moment", "zoned", "time"))
