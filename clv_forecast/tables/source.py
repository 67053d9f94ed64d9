"""The door itself: any table or file becomes one lazy table under this package's names, read by stated rules."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import ibis
import ibis.expr.datatypes as dt
import pandas as pd
import pyarrow as pa

from clv_forecast import columns as c
from clv_forecast.errors import DomainError, InputError
from clv_forecast.tables import memory, parquet_files, queries, text_files
from clv_forecast.tables.column_names import check_columns, name_in_sql
from clv_forecast.tables.ids import all_whole, id_text, inexact, of_text_file, refuse_inexact, text_of_ids, whole_text
from clv_forecast.tables.memory import Originals, columns_of, held_table, with_whole_pairs
from clv_forecast.tables.queries import Relation, Rows, relation_name
from clv_forecast.tables.text_format import MONEY, TextFormat, decided_format, is_missing

FILES: Final = text_files.ENDINGS + parquet_files.ENDINGS + memory.ENDINGS
_LABELS: Final = (c.ORDER_ID, c.CATEGORY, c.CURRENCY)
PLAIN: Final = TextFormat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An order log ready to be queried: a lazy table under this package's column names.

    Parameters
    ----------
    table : ibis Table
        The mapped columns; ids are integers or text, by the rule of ``ids``.
    relations : tuple of Relation
        What the table's name stands for: rows in memory, or files that must not change.
    label : str
        What was read, in words.
    format : TextFormat
        How its text is written: as given, or as all rows showed.
    originals : mapping of str to object, optional
        The ids as they came, by their text, where the table has text for what were other objects.
    sign : str
        The currency's sign beside its amounts; empty without.
    from_text : bool
        Whether it came from files that hold nothing but text.
    """

    table: Any
    relations: tuple[Relation, ...]
    label: str
    format: TextFormat
    originals: Originals | None = None
    sign: str = ""
    from_text: bool = False

    def __deepcopy__(self, memo: Any) -> Source:
        return self  # nothing in it can change

    def fetch(self, expression: Any) -> Any:
        """Run an expression and return its rows.

        Raises
        ------
        InputError
            If a file was changed since it was opened, or cannot be read to its end.
        """
        return queries.fetch(expression, self.relations, label=self.label)

    def settle(self, expression: Any, rows: int) -> Any:
        """Run an expression once when it has few rows, so that later queries start from its result.

        A larger one stays lazy, and every later query reads the source again.
        """
        return ibis.memtable(self.fetch(expression)) if rows <= queries.HELD_ROWS else expression

    def ids(self, column: pa.ChunkedArray) -> pd.Series[Any]:
        """Customer ids as the caller wrote them."""
        ids = pd.Series(column.to_pandas(), name=c.CUSTOMER_ID)
        if self.originals is None:
            return ids
        return pd.Series([self.id_of(one) for one in ids.tolist()], dtype=object, name=c.CUSTOMER_ID)

    def id_of(self, value: Any) -> Any:
        """One customer id as the caller wrote it; None stays None."""
        return value if self.originals is None or value is None else self.originals.get(value, value)


def open_source(
    data: Any,
    mapping: Mapping[str, str],
    *,
    format: TextFormat = PLAIN,
    time_zone: str | None = None,
    alone: bool = True,
) -> Source:
    """Open an order log where it lies and give its columns this package's names.

    Parameters
    ----------
    data : pandas or polars DataFrame, pyarrow or Ibis table, DuckDB relation, str or Path
        Tables in memory or on a connection are copied, files stay where they lie and must not change. A path may hold
        wildcards (``orders/2024-*.parquet``) unless a file has that very name.
    mapping : mapping of str to str
        Name in this package -> name in ``data``.
    format : TextFormat
        How text is written.
    time_zone : str, optional
        Whose clocks the times without a zone are of, where several Parquet files differ in that.
    alone : bool
        Whether it is decided here what ids are. Of one of several sources, which are to be looked at together, customer
        ids stay in their type, order numbers and labels become text untouched.

    Raises
    ------
    InputError
        If ``data`` is none of these, no file matches, a named column is missing or occurs twice, files of one table
        differ, text can be read in two ways, or ids came as floats that no longer hold them.
    DomainError
        If two names are mapped to one column.

    Examples
    --------
    >>> source = open_source(pd.DataFrame({"who": [1], "day": ["2024-01-01"]}), {"customer_id": "who", "date": "day"})
    >>> source.table.columns
    ('customer_id', 'date')
    """
    if len(set(mapping.values())) != len(mapping):
        raise DomainError("Each column option must name a column of its own.", value=dict(mapping))
    source = _opened(data, mapping, format, time_zone=time_zone)
    return _with_text_read(_with_ids(source, alone=alone))


def _opened(data: Any, mapping: Mapping[str, str], format: TextFormat, *, time_zone: str | None) -> Source:
    if isinstance(data, (str, Path)):
        return _of_files(str(data), mapping, format, time_zone=time_zone)
    table, originals, label = held_table(data, mapping, c.CUSTOMER_ID)
    return _of_rows(table, originals, format, label=label)


def _of_rows(table: pa.Table, originals: Originals | None, format: TextFormat, *, label: str) -> Source:
    relation = Rows(relation_name(), table)
    try:
        schema = ibis.memtable(table).schema()
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        raise InputError("A column has a type that no query can use.", value=label, remedy=f"{error}.") from error
    table = ibis.table(schema, name=relation.name)
    return Source(table=table, relations=(relation,), originals=originals, format=format, label=label)


def files_at(path: str) -> list[str]:
    """Files of a path: itself where there is such a file, else what its wildcards match; all of one kind.

    Raises
    ------
    InputError
        If no file matches, their endings are of several kinds or unknown, or a file is empty.
    """
    files = [] if "\0" in path else [path] if os.path.isfile(path) else sorted(glob.glob(path))
    if not files:
        raise InputError("No file matches the path.", value=repr(path))
    for name in files:
        if os.path.isfile(name) and not os.path.getsize(name):
            raise InputError("The file is empty.", value=repr(name))
    for endings in (text_files.ENDINGS, parquet_files.ENDINGS, memory.ENDINGS):
        if all(os.path.isfile(name) and name.lower().endswith(endings) for name in files):
            return files
    raise InputError(
        "A path must lead to CSV, Parquet or Excel files, all of one kind.",
        value=repr(path),
        remedy=f"Endings known: {', '.join(FILES)}.",
    )


def column_names(data: Any, format: TextFormat = PLAIN) -> list[str]:
    """Names of the columns of a table or of files, in their order; none where it is no table.

    Raises
    ------
    InputError
        If a file cannot be read.

    Examples
    --------
    >>> column_names(pd.DataFrame({"a": [1], "b": [2]}))
    ['a', 'b']
    """
    if not isinstance(data, (str, Path)):
        return columns_of(data) or []
    files = files_at(str(data))
    if files[0].lower().endswith(text_files.ENDINGS):
        return list(text_files.open_csv(files, "names", format).columns)
    if files[0].lower().endswith(parquet_files.ENDINGS):
        return parquet_files.parquet_columns(files)
    return list(memory.read_sheet(files[0], format.sheet).column_names)


def _of_files(path: str, mapping: Mapping[str, str], format: TextFormat, *, time_zone: str | None) -> Source:
    files = files_at(path)
    label, name = f"files at {path}", relation_name()
    if files[0].lower().endswith(memory.ENDINGS):
        money = [mapping[name] for name in (c.AMOUNT, c.MARGIN) if name in mapping]
        sheets = [memory.read_sheet(file, format.sheet, money) for file in files]
        for sheet in sheets:
            check_columns(mapping.values(), sheet.column_names)
        parts = [sheet.select(list(mapping.values())).rename_columns(list(mapping)) for sheet in sheets]
        return _of_rows(_stacked(parts), None, format, label=label)
    if files[0].lower().endswith(text_files.ENDINGS):
        relation = text_files.open_csv(files, name, format)
        known = list(relation.columns)
        hint = "The first line looks like data: the file needs a header." if text_files.looks_like_data(known) else ""
        check_columns(mapping.values(), known, hint=hint)
        view = relation.view_columns
        table = ibis.table(dict.fromkeys(view, "string"), name=name)
        chosen = table.select(**{wanted: table[view[known.index(column)]] for wanted, column in mapping.items()})
        return Source(table=chosen, relations=(relation,), format=relation.format, from_text=True, label=label)
    check_columns(mapping.values(), parquet_files.parquet_columns(files[:1]))
    labels = [column for wanted, column in mapping.items() if wanted in (c.CUSTOMER_ID, *_LABELS)]
    parquet, types = parquet_files.open_parquet(files, name, list(mapping.values()), text=labels, time_zone=time_zone)
    table = ibis.table(ibis.schema(dict(types)), name=name)
    chosen = table.select(**{wanted: table[name_in_sql(column)] for wanted, column in mapping.items()})
    return Source(table=chosen, relations=(parquet,), format=format, label=label)


def _stacked(parts: Sequence[pa.Table]) -> pa.Table:
    """Several sheets as one table: columns that differ in type become text."""
    arrays = {}
    for name in parts[0].column_names:
        kinds = {part.schema.field(name).type for part in parts}
        pieces = [part[name] for part in parts]
        if len(kinds) > 1:
            pieces = [
                pa.chunked_array([pa.array([id_text(v) for v in piece.to_pylist()], pa.string())]) for piece in pieces
            ]
        arrays[name] = pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], pieces[0].type)
    return pa.table(arrays)


def _with_ids(source: Source, *, alone: bool) -> Source:
    """Customer ids, order numbers and labels as integers or text by the one rule, decided over all rows."""
    table = source.table
    typed = {name: table[name].cast("string") for name, kind in table.schema().items() if kind.is_null()}
    table = table.mutate(**typed) if typed else table
    names = [name for name in (c.CUSTOMER_ID, *_LABELS) if name in table.columns]
    for name in names:
        if table[name].type().is_nested() or table[name].type().is_unknown():
            raise InputError(f"{name} must hold numbers or text.", value=f"{table[name].type()} in {source.label}")
    measures: dict[str, Any] = {}
    for name in names:
        column, kind = table[name], table[name].type()
        if kind.is_floating():
            large = inexact(column)
            measures |= {f"{name}_inexact": large.sum(), f"{name}_first": column.min(where=large)}
        if alone and (not kind.is_integer() or kind.equals(dt.uint64)):
            measures[f"{name}_whole"] = all_whole(column)
    facts = source.fetch(table.agg(**measures)).to_pylist()[0] if measures else {}
    for name in names:
        if facts.get(f"{name}_inexact"):
            bits = 8 * table[name].type().nbytes
            refuse_inexact(facts[f"{name}_inexact"], [facts[f"{name}_first"]], f"The ids in {name}", bits=bits)
    changed = {}
    for name in names:
        column, kind = table[name], table[name].type()
        whole = bool(facts.get(f"{name}_whole", alone))
        if name == c.CUSTOMER_ID:
            changed[name] = _customer(column, whole, source) if alone else column
        elif not kind.is_integer():
            text = text_of_ids(column)
            changed[name] = (whole_text(text) if whole else text).strip().nullif("")
        else:
            changed[name] = column.cast("string")
    return replace(source, table=table.mutate(**changed) if changed else table)


def _customer(column: Any, whole: bool, source: Source) -> Any:
    """Ids in the type of the caller's: integers stay what they are, and become of numbers and of text files."""
    kind = column.type()
    if kind.is_integer() and whole:
        return column
    if whole and source.from_text:
        return column.try_cast("int64")
    text = text_of_ids(column)
    if not whole or source.originals is not None:
        return text
    return whole_text(text) if kind.is_string() else whole_text(text).cast("int64")


def _with_text_read(source: Source) -> Source:
    """Decide how numbers and dates are written, where they are text."""
    table = source.table
    numbers = [name for name in (c.AMOUNT, c.MARGIN) if name in table.columns and table[name].type().is_string()]
    times = [name for name in (c.DATE, c.RECORDED_AT) if name in table.columns and table[name].type().is_string()]
    if not numbers and not times:
        return source
    seen = decided_format(source.fetch, table, source.format, numbers=numbers, times=times, label=source.label)
    return replace(source, format=seen.format, sign=seen.sign)


def money(column: Any, name: str, format: TextFormat) -> Any:
    """Exact amounts, missing where there is no number.

    Raises
    ------
    InputError
        If the column has a type that cannot be an amount.
    """
    kind = column.type()
    if not (kind.is_numeric() or kind.is_string()) or kind.is_boolean():
        raise InputError(f"The column {name!r} must hold numbers or numbers as text, not {kind}.")
    return format.parsed_money(column) if kind.is_string() else column.try_cast(MONEY)


def read_days(values: pd.Series[Any], name: str, *, format: TextFormat = PLAIN) -> pd.Series[Any]:
    """Days of a column in memory, by the rules for orders; NaT where there is none.

    Parameters
    ----------
    values : Series
        Dates, times without a zone, or text.
    name : str
        What errors call the column.
    format : TextFormat
        How text is written.

    Raises
    ------
    InputError
        If the column holds numbers or times with a zone, a value is no day, or text can be read in two ways.

    Examples
    --------
    >>> read_days(pd.Series(["31.01.2024", None]), "acquired_on").tolist()
    [Timestamp('2024-01-31 00:00:00'), NaT]
    """
    table, _, _ = held_table(values.rename("day").to_frame(), {"day": "day"})
    rows = ibis.memtable(table)
    kind = rows.day.type()
    if kind.is_null():
        return pd.Series(pd.NaT, index=values.index, dtype="datetime64[us]", name=values.name)
    if kind.is_date() or (kind.is_timestamp() and kind.timezone is None):
        days = rows.select(day=rows.day.cast("timestamp(6)"))
    elif kind.is_string():
        form = decided_format(queries.fetch, rows, format, numbers=(), times=["day"], label=name).format
        days = rows.select(day=form.parsed_time(rows.day))
        lost = ~is_missing(rows.day) & form.parsed_time(rows.day).isnull()
        bad = queries.fetch(rows.filter(lost).day.collect(distinct=True)).as_py() or []
        if bad:
            raise InputError(f"{name} must be a date, or missing.", value=", ".join(map(repr, sorted(bad)[:5])))
    else:
        raise InputError(f"{name} must hold dates without a time zone, or text, not {kind}.")
    read = queries.fetch(days)["day"].to_pandas().astype("datetime64[us]")
    return pd.Series(read.to_numpy(), index=values.index, name=values.name)


def read_frame(
    data: Any,
    name: str,
    *,
    format: TextFormat = PLAIN,
    labels: Sequence[str] = (),
    ids: Sequence[str] = (),
    days: Sequence[str] = (),
) -> pd.DataFrame:
    """Any accepted table or path as a pandas DataFrame of its own; for tables that fit in memory.

    Parameters
    ----------
    data : pandas or polars DataFrame, pyarrow or Ibis table, DuckDB relation, str or Path
    name : str
        What errors call it.
    format : TextFormat
        Of text files.
    labels, ids, days : sequence of str
        Columns of text files that stay text, that hold ids (integers where every one is a whole number), and days.

    Returns
    -------
    DataFrame
        Columns of text files as numbers where every value is one, without a zero before it; otherwise as text.

    Raises
    ------
    InputError
        If ``data`` is none, cannot be read, or text can be read in two ways or is no day where days are wanted.

    Examples
    --------
    >>> read_frame(pa.table({"customer_id": [1]}), "The customers' table").columns.tolist()
    ['customer_id']
    """
    if isinstance(data, pd.DataFrame):
        return with_whole_pairs(data)
    if not isinstance(data, (str, Path)) and columns_of(data) is None:
        raise InputError(f"{name} must be a table or the path of one.", value=type(data).__name__)
    source = open_columns(data, format=format)
    if not source.from_text:
        return pd.DataFrame(source.fetch(source.table).to_pandas())
    frame = _frame_of_text(source, name, (*labels, *ids, *days))
    for one in ids:
        if one in frame:
            frame[one] = of_text_file(frame[one])
    for day in days:
        if day in frame:
            frame[day] = read_days(frame[day], f"{name}, column {day!r}", format=source.format)
    return frame


def open_columns(data: Any, *, format: TextFormat = PLAIN) -> Source:
    """Open a table with all its columns under their own names, as they are; of names that occur twice none.

    A NUL in a name, which DuckDB cannot hold, is written as an escape.

    Raises
    ------
    InputError
        As ``open_source``.

    Examples
    --------
    >>> open_columns(pd.DataFrame({"a": [1], "b": ["x"]})).table.columns
    ('a', 'b')
    """
    names = column_names(data, format)
    return _opened(data, {name_in_sql(one): one for one in names if names.count(one) == 1}, format, time_zone=None)


def _frame_of_text(source: Source, name: str, labels: Sequence[str]) -> pd.DataFrame:
    table, read = source.table, {}
    for column in table.columns:
        text = table[column]
        if column in labels:
            continue
        padded = text.strip().re_search(r"^[-+]?0\d").any()
        worded = (text.re_search("[A-Za-z]") & ~is_missing(text)).any()
        if source.fetch((padded | worded | is_missing(text).all()).name("no")).as_py() is not False:
            continue
        seen = decided_format(source.fetch, table, source.format, numbers=[column], times=(), label=name)
        number = seen.format.parsed_money(text)
        if source.fetch((is_missing(text) | number.notnull()).all().name("all")).as_py():
            read[column] = seen.format
    rows = source.fetch(table)
    frame = pd.DataFrame(rows.to_pandas())
    for column, format in read.items():
        frame[column] = _numbers(frame[column], format)
    return frame


def _numbers(column: pd.Series[Any], format: TextFormat) -> pd.Series[Any]:
    """Text as integers or floats, every value of which is a number in the format."""
    decimal, thousands = format.numbers
    if (decimal, thousands) == (".", ""):
        plain = pd.to_numeric(column.str.strip(), errors="coerce")
        if not (plain.isna() & column.notna()).any():
            return plain
    rows = ibis.memtable(pa.table({"text": pa.array(column.tolist(), pa.string())}))
    exact = queries.fetch(rows.select(number=format.parsed_money(rows.text)))
    return pd.Series(exact["number"].cast(pa.float64()).to_pandas().to_numpy(), index=column.index, name=column.name)
