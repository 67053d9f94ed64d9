"""A look at a table: its columns, what they hold, and how far its days reach."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd
import pyarrow as pa

from clv_forecast.consolidation.addresses import first_line, open_address, open_duckdb_file
from clv_forecast.consolidation.opened_source import find_table
from clv_forecast.consolidation.order_source import DUCKDB_FILES, OrderSource
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.sources import open_path

Kind = Literal["integer", "number", "day", "odd day", "flag", "text", "nothing"]

SAMPLE: Final = 50_000
"""Rows that columns are judged by."""
_SHARE: Final = 0.99
_VALUES_KEPT: Final = 12
_DAY: Final = re.compile(r"^\d{4}-\d{2}-\d{2}")
_ODD_DAY: Final = re.compile(r"^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:\D|$)")
_OFFSET: Final = re.compile(r"\d:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:[zZ]|UTC|[+-]\d{2}(?::?\d{2})?)$")
_INTEGER: Final = re.compile(r"^-?(?:0|[1-9]\d*)$")
_NUMBER: Final = re.compile(r"^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$")


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
    """

    rows: int
    columns: tuple[ColumnLook, ...]

    def column(self, name: str) -> ColumnLook:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


def look_at(place: str | Path, *, table: str | None = None, address: str | None = None) -> TableLook:
    r"""Look at CSV or Parquet files, a table of a DuckDB file, or one of another database.

    Parameters
    ----------
    place : str or Path
        A path, or the URL as it may be shown.
    table : str, optional
        Its name in a database.
    address : str, optional
        The URL with its secrets; only what it names is looked at, nothing is kept of it.

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
    in_file = address is None and str(place).lower().endswith(DUCKDB_FILES)
    if (address is not None or in_file) and table is None:
        raise DomainError("A database has many tables: name the one to look at.", value=str(place))
    if address is None and not in_file:
        if table is not None:
            raise DomainError("A table belongs to a database; a file is one table.", value=str(place))
        found, backend = open_path(place)
        return _look(found, backend, str(place))
    source = OrderSource(str(table), address or place, table=table)
    backend = open_duckdb_file(place, source.name) if address is None else open_address(address, source.name)
    try:
        return _look(find_table(source, backend), backend, str(place), address or "")
    finally:
        backend.disconnect()


def _look(table: Any, backend: Any, place: str, address: str = "") -> TableLook:
    sample = _fetched(backend, table.limit(SAMPLE), place, address)
    usable = [name for name in sample.column_names if name.strip() and name.isprintable()]
    judged = [_judged(name, sample[name]) for name in usable]
    asked = {"rows": table.count()}
    for number, column in enumerate(judged):
        if column.kind == "day":
            moment = table[column.name]
            moment = moment.try_cast("timestamp") if moment.type().is_string() else moment.cast("timestamp")
            asked |= {f"first_{number}": moment.min(), f"last_{number}": moment.max()}
    answer = _fetched(backend, table.aggregate(**asked), place, address).to_pylist()[0]
    columns = tuple(
        replace(column, first=_moment(answer[f"first_{number}"]), last=_moment(answer[f"last_{number}"]))
        if column.kind == "day"
        else column
        for number, column in enumerate(judged)
    )
    return TableLook(rows=int(answer["rows"]), columns=columns)


def _fetched(backend: Any, expression: Any, place: str, address: str) -> pa.Table:
    try:
        return backend.to_pyarrow(expression)
    except Exception as error:  # each database has errors of its own
        problem = first_line(error, address)
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
        numbers = pd.to_numeric(texts, errors="coerce").dropna()
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
    if _mostly(texts, _NUMBER):
        return "number", False
    if _mostly(texts, _DAY):
        return "day", bool(texts.str.contains(_OFFSET).any())
    return ("odd day" if _mostly(texts, _ODD_DAY) else "text"), False


def _mostly(texts: pd.Series[str], pattern: re.Pattern[str], share: float = _SHARE) -> bool:
    return bool(texts.str.contains(pattern).mean() >= share)
