"""Addresses of databases: opened through Ibis, and shown without their secrets."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path
from typing import Any, Final

import ibis

from clv_forecast.errors import InputError

HIDDEN: Final = "***"
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
