"""Tables of databases: addresses opened through Ibis, shown without their secrets, and tables found by name."""

from __future__ import annotations

import contextlib
import difflib
import re
import urllib.parse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import ibis
import pandas as pd
import pyarrow as pa
from ibis.common.exceptions import TableNotFound

from clv_forecast.errors import ClvForecastError, InputError

HIDDEN: Final = "***"
DUCKDB_FILES: Final = (".duckdb", ".ddb")
_ADDRESS: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_CHECK: Final = "Check that the server runs, the address, the user's rights and the password."


def is_address(data: Any) -> bool:
    """Whether this is the address of a database and not a path or a table.

    Examples
    --------
    >>> is_address("postgres://host/db"), is_address("orders/2024-*.csv")
    (True, False)
    """
    return isinstance(data, str) and _ADDRESS.match(data) is not None


def masked(address: str) -> str:
    """Return the address without password and options, which may hold tokens.

    Examples
    --------
    >>> masked("postgres://clv:s3cr3t@warehouse:5432/sales?sslpassword=x")
    'postgres://clv:***@warehouse:5432/sales?***'
    """
    scheme, _, rest = address.partition("://")
    before, at, after = rest.rpartition("@")
    place, mark, _ = after.partition("?")
    user, colon, _ = before.partition(":")
    return f"{scheme}://{user}{colon and colon + HIDDEN}{at}{place}{mark and mark + HIDDEN}"


def without_secrets(text: str, address: str) -> str:
    """Take out of a library's message what the address keeps secret.

    Examples
    --------
    >>> without_secrets('no login with "s3cr3t"', "postgres://clv:s3cr3t@warehouse/sales")
    'no login with "***"'
    """
    rest = address.partition("://")[2]
    before, _, after = rest.rpartition("@")
    hidden = {before.partition(":")[2]}
    hidden |= {value for _, value in urllib.parse.parse_qsl(after.partition("?")[2])}
    hidden |= {part.partition("=")[2] for part in after.partition("?")[2].split("&")}
    hidden |= {urllib.parse.unquote_plus(part) for part in hidden} | {urllib.parse.unquote(part) for part in hidden}
    for secret in sorted(filter(None, hidden), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def first_line(error: BaseException, address: str = "") -> str:
    """What a library says is wrong, as one sentence without SQL or secrets."""
    text = str(error).strip().partition("\n")[0].rstrip(" .:")
    return f"{without_secrets(text, address) or type(error).__name__}."


def open_address(address: str, name: str) -> Any:
    """Connect to a database by its address.

    Parameters
    ----------
    address : str
        As Ibis takes it. A DuckDB file is opened for reading only.
    name : str
        Of the source, for the error.

    Returns
    -------
    ibis backend

    Raises
    ------
    InputError
        If there is no such kind of database, its driver is missing, or the connection fails. The text never holds
        the password, and the library's own error, which may, is not chained.
    """
    try:
        urllib.parse.urlsplit(address).port  # noqa: B018 (reads as a number, or raises)
    except ValueError:
        raise InputError(
            f"The address of the source {name!r} cannot be read.",
            value=masked(address),
            remedy="Write special characters of user and password percent-encoded: %40 for @, %2F for /, %3A for :.",
        ) from None
    if address.startswith("duckdb://"):
        return open_duckdb_file(address.removeprefix("duckdb://").partition("?")[0], name)
    try:
        return ibis.connect(address)
    except ImportError as error:
        problem, remedy = first_line(error, address), "Install the driver, for Postgres: clv-forecast[postgres]."
    except Exception as error:  # each database has errors of its own
        problem, remedy = first_line(error, address), _CHECK
    raise InputError(
        f"The source {name!r} cannot be reached.", value=f"{masked(address)}: {problem.rstrip('.')}", remedy=remedy
    )


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


def shown(place: str | Path) -> str:
    """Where a table lies, in words; never a password."""
    return masked(place) if isinstance(place, str) and is_address(place) else str(place)


def find_table(backend: Any, table: str, name: str, place: str | Path) -> Any:
    """Find the table: under its whole name, or under schema and name where there is a point between them.

    Parameters
    ----------
    backend : ibis backend
    table : str
    name : str
        Of the source, for the error.
    place : str or Path
        Address or path.

    Raises
    ------
    InputError
        If there is none, naming the nearest.
    """
    schema, point, short = table.rpartition(".")
    places: list[dict[str, Any]] = [{}] + ([{"database": schema}] if point else [])
    problem, secret = "", str(place) if is_address(place) else ""
    for where in places:
        try:
            with warnings.catch_warnings():  # ibis 12 calls what DuckDB 2 renamed
                warnings.filterwarnings("ignore", message="fetch_arrow_table", category=DeprecationWarning)
                return backend.table(short if where else table, **where)
        except TableNotFound:
            continue
        except Exception as error:  # each database has errors of its own
            problem = problem or first_line(error, secret)
    near = difflib.get_close_matches(short, _existing(backend, schema), n=1)
    nearest = f" Nearest: {near[0]!r}." if near else ""
    raise InputError(
        f"The source {name!r} has no table or view {table!r}, or its user may not see it.{nearest}",
        value=f"{shown(place)}: {problem.rstrip('.')}" if problem else shown(place),
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
def connected(place: str | Path, name: str) -> Iterator[Any]:
    """Connect to a database by its address or the path of a DuckDB file, and close the connection in the end.

    Raises
    ------
    InputError
        If it cannot be reached or opened.
    """
    backend = open_address(str(place), name) if is_address(place) else open_duckdb_file(place, name)
    try:
        yield backend
    finally:
        with contextlib.suppress(Exception):  # what was read stands, and nothing was written
            backend.disconnect()


def read_database_table(place: str | Path, table: str, name: str) -> pd.DataFrame:
    """Read a whole table of a database.

    Parameters
    ----------
    place : str or Path
        Address of the database, or the path of a DuckDB file.
    table : str
        With its schema or without.
    name : str
        What errors call it.

    Returns
    -------
    DataFrame

    Raises
    ------
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
    try:
        with connected(place, name) as backend:
            rows: pa.Table = backend.to_pyarrow(find_table(backend, table, name, place))
            return pd.DataFrame(rows.to_pandas())
    except ClvForecastError:
        raise
    except Exception as error:  # each database has errors of its own
        problem = first_line(error, str(place) if is_address(place) else "")
    raise InputError(f"The table {name!r} cannot be read.", value=f"{shown(place)}: {problem}")
