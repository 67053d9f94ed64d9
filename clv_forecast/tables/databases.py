"""Tables of databases: opened through Ibis by URL or file, and found by name."""

from __future__ import annotations

import contextlib
import difflib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import ibis
import pandas as pd
import pyarrow as pa
from ibis.common.exceptions import TableNotFound

from clv_forecast.errors import ClvForecastError, InputError
from clv_forecast.printable import without_logins
from clv_forecast.tables.connection_url import POSTGRES, ConnectionUrl, connection_url, is_url

DUCKDB_FILES: Final = (".duckdb", ".ddb")
_CHECK: Final = "Check that the server runs, the address, the user's rights and the password."


def first_line(error: BaseException, url: ConnectionUrl | None = None) -> str:
    """What a library says is wrong, as one sentence without SQL or secrets."""
    text = str(error).strip()
    shown = (without_logins(text) if url is None else url.without_secrets(text)).partition("\n")[0].rstrip(" .:")
    return f"{shown or type(error).__name__}."


def backend_of(url: ConnectionUrl) -> Any:
    """Connect through Ibis; whatever its driver says is raised as it is."""
    if url.scheme in POSTGRES:
        return ibis.postgres.connect(**url.postgres_arguments)
    return ibis.connect(url.text)


def open_url(url: ConnectionUrl, name: str) -> Any:
    """Connect to a database by its URL.

    Parameters
    ----------
    url : ConnectionUrl
        A file of DuckDB or SQLite must exist; DuckDB's is opened for reading only.
    name : str
        Of the source, for the error.

    Returns
    -------
    ibis backend

    Raises
    ------
    InputError
        If there is no such kind of database, its driver is missing, or the connection fails. The text holds nothing
        that the URL hides, and the library's own error, which may, is not chained.
    """
    if url.scheme == "duckdb":
        return open_duckdb_file(unquote(url.path), name)
    if url.scheme == "sqlite" and not Path(unquote(url.path)).is_file():
        raise InputError(f"The source {name!r} has no SQLite file there.", value=url)
    try:
        return ibis.sqlite.connect(unquote(url.path)) if url.scheme == "sqlite" else backend_of(url)
    except ImportError as error:
        problem, remedy = first_line(error, url), "Install the driver, for Postgres: clv-forecast[postgres]."
    except Exception as error:  # each database has errors of its own
        problem, remedy = first_line(error, url), _CHECK
    raise InputError(f"The source {name!r} cannot be reached.", value=f"{url}: {problem.rstrip('.')}", remedy=remedy)


def open_duckdb_file(path: str | Path, name: str) -> Any:
    """Open a DuckDB file for reading only.

    Raises
    ------
    InputError
        If there is none, or it is damaged, or another process writes to it.
    """
    if not Path(path).is_file():
        raise InputError(f"The source {name!r} has no DuckDB file there.", value=repr(str(path)))
    try:
        return ibis.duckdb.connect(path, read_only=True)
    except Exception as error:  # each kind of damage has an error of its own
        problem = first_line(error).rstrip(".")
    raise InputError(
        f"The DuckDB file of the source {name!r} cannot be opened.",
        value=f"{path}: {problem}",
        remedy="Check that it is a DuckDB file and that no other process has it open for writing.",
    )


def find_table(backend: Any, table: str, name: str, *, place: Path | ConnectionUrl) -> Any:
    """Find the table: under its whole name, or under schema and name where there is a point between them.

    Parameters
    ----------
    backend : ibis backend
    table : str
    name : str
        Of the source, for the error.
    place : Path or ConnectionUrl

    Raises
    ------
    InputError
        If there is none, naming the nearest.
    """
    schema, point, short = table.rpartition(".")
    places: list[dict[str, Any]] = [{}] + ([{"database": schema}] if point else [])
    problem, url = "", place if isinstance(place, ConnectionUrl) else None
    for where in places:
        try:
            with warnings.catch_warnings():  # ibis 12 calls what DuckDB 2 renamed
                warnings.filterwarnings("ignore", message="fetch_arrow_table", category=DeprecationWarning)
                return backend.table(short if where else table, **where)
        except TableNotFound:
            continue
        except Exception as error:  # each database has errors of its own
            problem = problem or first_line(error, url)
    near = difflib.get_close_matches(short, _existing(backend, schema), n=1)
    nearest = f" Nearest: {near[0]!r}." if near else ""
    raise InputError(
        f"The source {name!r} has no table or view {table!r}, or its user may not see it.{nearest}",
        value=f"{place}: {problem.rstrip('.')}" if problem else place,
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


@contextmanager
def connected(place: Path | ConnectionUrl, name: str) -> Iterator[Any]:
    """Connect to a database by its URL or the path of a DuckDB file, and close the connection in the end.

    Raises
    ------
    InputError
        If it cannot be reached or opened.
    """
    backend = open_url(place, name) if isinstance(place, ConnectionUrl) else open_duckdb_file(place, name)
    try:
        yield backend
    finally:
        with contextlib.suppress(Exception):  # what was read stands, and nothing was written
            backend.disconnect()


def read_database_table(place: str | Path | ConnectionUrl, table: str, name: str) -> pd.DataFrame:
    """Read a whole table of a database.

    Parameters
    ----------
    place : str, Path or ConnectionUrl
        URL of the database, or the path of a DuckDB file.
    table : str
        With its schema or without.
    name : str
        What errors call it.

    Returns
    -------
    DataFrame

    Raises
    ------
    DomainError
        If the URL cannot be read.
    InputError
        If the database cannot be reached, or has no such table. The text never holds a password.

    Examples
    --------
    >>> import tempfile, duckdb
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with duckdb.connect(f"{folder}/crm.duckdb") as made:
    ...         _ = made.execute("CREATE TABLE accounts AS SELECT 7 AS customer_id, 'north' AS region")
    ...     read_database_table(f"{folder}/crm.duckdb", "accounts", "accounts")
       customer_id region
    0            7  north
    """
    where = connection_url(place) if is_url(place) else Path(str(place))
    try:
        with connected(where, name) as backend:
            rows: pa.Table = backend.to_pyarrow(find_table(backend, table, name, place=where))
            return pd.DataFrame(rows.to_pandas())
    except ClvForecastError:
        raise
    except Exception as error:  # each database has errors of its own
        problem = first_line(error, where if isinstance(where, ConnectionUrl) else None)
    raise InputError(f"The table {name!r} cannot be read.", value=f"{where}: {problem.rstrip('.')}")
