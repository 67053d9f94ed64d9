"""Expressions run in DuckDB: over rows in memory or unchanged files where they lie, from any thread."""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import duckdb
import ibis
import pyarrow as pa
from ibis.backends.duckdb.converter import DuckDBPyArrowData
from ibis.expr import operations as ops

from clv_forecast.errors import InputError
from clv_forecast.files import lasting_scratch_folder

HELD_ROWS: Final = 2_000_000
"""Up to this many rows an intermediate result is held in memory (some 100 bytes a row)."""

_ADVICE: Final = re.compile(r"\n\s*(?:Possible (?:fixes|Solution)|file = |LINE \d|Candidate).*", re.DOTALL)
_FILE: Final = re.compile(r"^\s*file = (.+)$", re.MULTILINE)
_KIND: Final = re.compile(r"^(?:[A-Z][A-Za-z-]* )+Error: ")


class Relation(Protocol):
    """What a name in an expression stands for."""

    @property
    def name(self) -> str:
        """Name of the unbound table in expressions."""

    def bind(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Make the name known to a connection."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows in memory.

    Parameters
    ----------
    name : str
    table : pyarrow Table
    """

    name: str
    table: pa.Table

    def bind(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Register the rows under their name."""
        cursor.register(self.name, self.table)


@dataclass(frozen=True, slots=True)
class FileStamp:
    """A file as it was when it was opened.

    Parameters
    ----------
    path : str
        Absolute.
    size, modified : int
        Bytes; nanoseconds.
    """

    path: str
    size: int
    modified: int

    @classmethod
    def of(cls, path: str) -> FileStamp:
        """Stamp a file as it is now."""
        status = os.stat(path)
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns)

    def check(self) -> None:
        """Check that the file is still the one that was opened.

        Raises
        ------
        InputError
            If it is gone or was changed.
        """
        try:
            same = FileStamp.of(self.path) == self
        except OSError:
            same = False
        if not same:
            raise InputError(
                "A file was changed or removed after it was opened, so that its rows are no longer the same.",
                value=repr(self.path),
                remedy="Make the history anew.",
            )


def relation_name(number: Iterator[int] = iter(range(10**12))) -> str:  # noqa: B008 (one counter of the process)
    """A name that no other relation of this process has, nor one that was stored by another."""
    return f"relation_{os.getpid()}_{next(number)}_{os.urandom(4).hex()}"


def fetch(expression: Any, relations: Iterable[Relation] = (), *, label: str = "the data") -> Any:
    """Run an expression and return its rows.

    Parameters
    ----------
    expression : ibis expression
        Of unbound tables that ``relations`` explain, and of memtables.
    relations : iterable of Relation
    label : str
        What is read, for the error.

    Returns
    -------
    pyarrow Table, ChunkedArray or Scalar

    Raises
    ------
    InputError
        If a file was changed since it was opened, or cannot be read to its end.

    Examples
    --------
    >>> fetch(ibis.memtable(pa.table({"a": [1, 2]})).a.sum()).as_py()
    3
    """
    statement = ibis.to_sql(expression, dialect="duckdb", pretty=False)
    memtables = {op.name: op for op in expression.op().find(ops.InMemoryTable)}
    try:
        with _cursor() as cursor:
            for relation in relations:
                relation.bind(cursor)
            for name, op in memtables.items():
                cursor.register(name, op.data.to_pyarrow(op.schema))
            rows = cursor.sql(str(statement)).to_arrow_table()
    except duckdb.Error as error:
        raise InputError("DuckDB cannot read the data.", value=label, remedy=reason(error)) from error
    return expression.__pyarrow_result__(rows, data_mapper=DuckDBPyArrowData)


def reason(error: Exception) -> str:
    """What DuckDB says is wrong, on one line, whole, without its SQL and its advice for its own options."""
    text = str(error)
    file = _FILE.search(text)
    problem = " ".join(_KIND.sub("", _ADVICE.sub("", text)).split()).rstrip(" .")
    return f"{problem} (in {os.path.basename(file[1])})." if file else f"{problem}."


_root: dict[int, duckdb.DuckDBPyConnection] = {}
_opening: Final = threading.Lock()


@contextmanager
def _cursor() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of one's own to this process's DuckDB; what does not fit in memory goes to a temporary folder."""
    process = os.getpid()
    with _opening:
        if process not in _root:  # a forked process must not use its parent's
            _root[process] = duckdb.connect(config={"temp_directory": str(lasting_scratch_folder())})
            atexit.register(_root.pop, process, None)
        cursor = _root[process].cursor()
    try:
        yield cursor
    finally:
        cursor.close()
