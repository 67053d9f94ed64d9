"""A look at a table: its columns, what they hold, and how far its days reach."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd
import pyarrow as pa

from clv_forecast.errors import ClvForecastError, DomainError, InputError
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
        return _look(find_table(backend, str(table), str(table), where), backend.to_pyarrow, where)


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
