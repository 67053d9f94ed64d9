"""Tables in memory as Arrow columns of their own: what happens to the caller's table afterwards changes nothing.

Sheets of Excel files as columns of values.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Hashable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from ibis.common.exceptions import IbisError
from python_calamine import CalamineError, CalamineWorkbook

from clv_forecast import columns as c
from clv_forecast.errors import InputError
from clv_forecast.tables.column_names import check_columns, index_hint
from clv_forecast.tables.ids import id_text, refuse_large_floats, whole_number, whole_pairs
from clv_forecast.tables.queries import reason

_NUMBERS: Final = (int, float, np.integer, np.floating)
_FLAGS: Final = (bool, np.bool_)
_TIMES: Final = (datetime.date, np.datetime64)
_EXACT_FLOAT: Final = 2**53
KINDS: Final = "a pandas or polars DataFrame, a pyarrow or Ibis table, a DuckDB relation"

MONEY_COLUMNS: Final = (c.AMOUNT, c.MARGIN)

Originals = Mapping[str, Any]


def held_table(data: Any, mapping: Mapping[str, str], key: str | None = None) -> tuple[pa.Table, Originals | None, str]:
    """Copy columns of a table in memory, or on a live connection, into Arrow.

    Parameters
    ----------
    data : pandas or polars DataFrame, pyarrow or Ibis table, or DuckDB relation
    mapping : mapping of str to str
        Name wanted -> name in ``data``.
    key : str, optional
        The column of ids, under the name wanted.

    Returns
    -------
    table : pyarrow Table
        Under the names wanted. Columns of mixed or unusual kinds are text.
    originals : mapping of str to object, or None
        The ids as they came, by their text, where text is not what they were (UUIDs, tuples, days).
    label : str
        What was read, in words.

    Raises
    ------
    InputError
        If ``data`` is none of these, cannot be read, or a column is missing or occurs twice.
    """
    if isinstance(data, pd.DataFrame):
        return (*_of_pandas(data, mapping, key), "a pandas DataFrame")
    if isinstance(data, pa.Table):
        return (*_of_arrow(data, mapping, key), "a pyarrow table")
    if isinstance(data, duckdb.DuckDBPyRelation):
        return (*_of_relation(data, mapping, key), "a DuckDB relation")
    if isinstance(data, ibis.Table):
        table, originals, engine = _of_ibis(data, mapping, key)
        return table, originals, f"an Ibis table on {engine}"
    if type(data).__module__.partition(".")[0] == "polars" and hasattr(data, "collect_schema"):
        return (*_of_polars(data.lazy().collect(), mapping, key), "a polars DataFrame")
    raise InputError(f"A table must be {KINDS}, or the path of CSV, Parquet or Excel files.", value=type(data).__name__)


def columns_of(data: Any) -> list[str] | None:
    """Names of the columns of a table in memory or on a connection; None where it is none."""
    if isinstance(data, ibis.Table):
        return list(data.columns)
    if isinstance(data, pa.Table):
        return list(data.column_names)
    if hasattr(data, "collect_schema"):
        return list(data.collect_schema().names())
    columns = getattr(data, "columns", None)
    return None if columns is None else [str(name) for name in columns]


def with_whole_pairs(frame: pd.DataFrame) -> pd.DataFrame:
    r"""A copy of a table whose text, and names of columns, UTF-8 can hold: see `whole_pairs`.

    Examples
    --------
    >>> with_whole_pairs(pd.DataFrame({"name": pd.Series(["\ud800", 1], dtype=object)}))["name"].tolist()
    ['\\ud800', 1]
    """
    found = pd.DataFrame(
        {place: _whole_column(column) for place, (_, column) in enumerate(frame.items())}, index=frame.index, copy=True
    )
    found.columns = frame.columns.map(_whole)
    return found


def _whole_column(column: pd.Series[Any]) -> pd.Series[Any]:
    if column.dtype == object:
        return pd.Series([_whole(value) for value in column.tolist()], index=column.index, dtype=object)
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.categories.dtype == object:
        return column.cat.rename_categories([*map(_whole, column.cat.categories)])
    return column


def _whole(value: Any) -> Any:
    return whole_pairs(value) if isinstance(value, str) else value


def _of_pandas(frame: pd.DataFrame, mapping: Mapping[str, str], key: str | None) -> tuple[pa.Table, Originals | None]:
    names = [str(name) for name in frame.columns]
    check_columns(mapping.values(), names, hint=index_hint(frame, mapping))
    arrays, originals = {}, None
    for wanted, name in mapping.items():
        series = frame.iloc[:, names.index(name)]
        if wanted == key and series.dtype == object:
            values = series.tolist()
            arrays[wanted], originals = _ids_column(values), _originals(values)
        else:
            arrays[wanted] = _column(series, money=wanted in MONEY_COLUMNS)
    return pa.table(arrays), originals


def _column(series: pd.Series[Any], *, money: bool = False) -> pa.Array | pa.ChunkedArray:
    """A column in buffers of its own."""
    if series.dtype == np.float16:
        series = series.astype(np.float64)
    if series.dtype == object:
        return values_column(series.tolist(), money=money)
    if isinstance(series.dtype, (pd.PeriodDtype, pd.IntervalDtype)):
        return values_column(series.astype(object).tolist())
    try:
        array = pa.Array.from_pandas(series)
    except (pa.ArrowException, TypeError):
        return values_column(series.astype(object).tolist())
    return readable(_own(array))


def _own(array: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The same values in memory that nobody else writes to."""
    if isinstance(array, pa.ChunkedArray):
        return pa.chunked_array([_own(chunk) for chunk in array.chunks], array.type)
    plain = pa.types.is_primitive(array.type) or pa.types.is_decimal(array.type)
    return pa.concat_arrays([array, array.slice(0, 0)]) if plain else array  # one array alone would be shared


def _ids_column(values: Sequence[Any]) -> pa.Array:
    """Ids of Python values: integers where numbers and text together are whole numbers."""
    texts = [id_text(value) for value in values]
    whole = [None if text is None else whole_number(text) for text in texts]
    plain = all(isinstance(value, (str, Decimal, *_NUMBERS)) or _missing(value) for value in values)
    mixed = any(not isinstance(value, str) and not _missing(value) for value in values)
    if plain and mixed and all((text is None) == (number is None) for text, number in zip(texts, whole, strict=True)):
        refuse_large_floats(values)
        return pa.array([None if number is None else int(number) for number in whole], pa.int64())
    return values_column(values)


def values_column(values: Sequence[Any], *, money: bool = False) -> pa.Array:
    """A column of Python values: of one type where all are numbers, moments or flags, else as text.

    Of money, numbers beside text get an exponent, so that no sign in them is taken for one between thousands.

    Examples
    --------
    >>> values_column([1, None, 2]).type, values_column([1, "x", 2.5]).to_pylist()
    (DataType(int64), ['1', 'x', '2.5'])
    """
    present = [value for value in values if not _missing(value)]
    if all(isinstance(value, str) for value in present):
        return pa.array([None if _missing(value) else whole_pairs(value) for value in values], pa.string())
    numbers = all(isinstance(value, _NUMBERS) and not isinstance(value, _FLAGS) for value in present)
    if numbers and all(isinstance(value, (int, np.integer)) for value in present):
        if all(-(2**63) <= int(value) < 2**63 for value in present):
            return pa.array([None if _missing(value) else int(value) for value in values], pa.int64())
    elif numbers and all(isinstance(v, (float, np.floating)) or abs(v) < _EXACT_FLOAT for v in present):
        return pa.array([None if _missing(value) else float(value) for value in values], pa.float64())
    elif all(isinstance(value, (Decimal, *_FLAGS, *_TIMES)) for value in present):
        zoned = [isinstance(value, datetime.datetime) and value.tzinfo is not None for value in present]
        if any(zoned) and not all(zoned):  # a text with an offset asks for a zone, and one without is local
            return pa.array([None if _missing(v) else v.isoformat() for v in values], pa.string())
        try:
            return readable(pa.array([None if _missing(value) else value for value in values]))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            pass
    return pa.array([_money_text(value) if money else id_text(value) for value in values], pa.string())


def _money_text(value: Any) -> str | None:
    number = isinstance(value, (Decimal, *_NUMBERS)) and not isinstance(value, _FLAGS) and not _missing(value)
    return f"{value}e0" if number and "e" not in f"{value}".lower() and np.isfinite(float(value)) else id_text(value)


def readable(array: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column in a type that DuckDB reads as what it is."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_decimal256(kind):
        return pa.array([id_text(value) for value in array.to_pylist()], pa.string())
    if pa.types.is_dictionary(kind):
        decoded = array.cast(kind.value_type) if isinstance(array, pa.ChunkedArray) else array.dictionary_decode()
        return readable(decoded)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([id_text(value) for value in array.to_pylist()], pa.string())
    if pa.types.is_null(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.string())
    if pa.types.is_float16(kind):
        return array.cast(pa.float64())
    return array


def _of_arrow(table: pa.Table, mapping: Mapping[str, str], key: str | None) -> tuple[pa.Table, Originals | None]:
    check_columns(mapping.values(), table.column_names)
    originals = None
    if key is not None and key in mapping and pa.types.is_nested(table.schema.field(mapping[key]).type):
        raise InputError(
            "Ids must be numbers, text or other plain values.", value=table.schema.field(mapping[key]).type
        )
    if key is not None and key in mapping and not _plain_id(table.schema.field(mapping[key]).type):
        originals = _originals(table[mapping[key]].unique().to_pylist())
    arrays = {wanted: readable(_own(table[name])) for wanted, name in mapping.items()}
    return pa.table(arrays), originals


def _plain_id(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _plain_id(kind.value_type)
    tests = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_decimal,
        pa.types.is_string,
        pa.types.is_large_string,
    )
    return any(test(kind) for test in tests) or pa.types.is_string_view(kind)


def _of_relation(
    relation: duckdb.DuckDBPyRelation, mapping: Mapping[str, str], key: str | None
) -> tuple[pa.Table, Originals | None]:
    try:
        check_columns(mapping.values(), relation.columns)
        chosen = relation.select(*(duckdb.ColumnExpression(name) for name in mapping.values()))
        table = chosen.to_arrow_table().rename_columns(list(mapping))
        uuids = {name for name, kind in zip(mapping, chosen.types, strict=True) if str(kind) == "UUID"}
    except duckdb.Error as error:
        raise InputError("DuckDB cannot read the relation.", remedy=reason(error)) from error
    held, originals = _of_arrow(table, {name: name for name in mapping}, key)
    return held, _uuids(held, key) if key in uuids else originals


def _of_ibis(table: Any, mapping: Mapping[str, str], key: str | None) -> tuple[pa.Table, Originals | None, str]:
    check_columns(mapping.values(), table.columns)
    chosen = table.select(**{wanted: table[name] for wanted, name in mapping.items()})
    try:
        backend = table.get_backend()
    except IbisError as error:
        raise InputError("The Ibis table belongs to no connection.", remedy="Take it from one.") from error
    kinds = chosen.schema()
    try:
        rows = backend.to_pyarrow(chosen)
    except Exception as error:  # each database has errors of its own
        raise InputError("The Ibis table cannot be read.", value=backend.name, remedy=reason(error)) from error
    held, originals = _of_arrow(rows, {name: name for name in mapping}, key)
    if key in kinds and kinds[key].is_uuid():
        originals = _uuids(held, key)
    return held, originals, str(backend.name)


def _uuids(table: pa.Table, key: str | None) -> Originals:
    return {text: uuid.UUID(text) for text in table[key].unique().to_pylist() if text is not None}


def _of_polars(frame: Any, mapping: Mapping[str, str], key: str | None) -> tuple[pa.Table, Originals | None]:
    check_columns(mapping.values(), frame.columns)
    arrays, originals = {}, None
    for wanted, name in mapping.items():
        series = frame.get_column(name)
        if str(series.dtype) == "Object":  # Arrow would get the addresses of the objects
            values = series.to_list()
            money = wanted in MONEY_COLUMNS
            arrays[wanted] = _ids_column(values) if wanted == key else values_column(values, money=money)
            originals = _originals(values) if wanted == key else originals
        else:
            try:
                arrow = pa.table({wanted: series.to_arrow()})
                arrow.schema.field(wanted).type  # noqa: B018 (raises for what Arrow has no type for)
            except (pa.ArrowException, KeyError):
                arrow = pa.table({wanted: values_column(series.to_list(), money=wanted in MONEY_COLUMNS)})
            part, kept = _of_arrow(arrow, {wanted: wanted}, key)
            arrays[wanted] = part[wanted]
            originals = kept if wanted == key else originals
    return pa.table(arrays), originals


def _originals(values: Sequence[Any]) -> Originals | None:
    """Ids by their text, where any of them is neither text nor a number."""
    plain = (str, bytes, Decimal, *_NUMBERS)
    if all(_missing(value) or (isinstance(value, plain) and not isinstance(value, _FLAGS)) for value in values):
        return None
    strange = next((value for value in values if not isinstance(value, Hashable)), None)
    if strange is not None:
        raise InputError("Ids must be numbers, text or other plain values.", value=type(strange).__name__)
    originals: dict[str, Any] = {}
    for value in values:
        text = None if _missing(value) else id_text(value)
        if text is not None:
            originals.setdefault(text, value)
    return originals


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value))


ENDINGS: Final = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


def read_sheet(path: str, sheet: str | None, money: Collection[str] = ()) -> pa.Table:
    """Read a sheet: its first row that is not empty holds the names.

    Parameters
    ----------
    path : str
    sheet : str, optional
        Its name; may be missing where one sheet only has rows.
    money : collection of str
        Columns of money.

    Returns
    -------
    pyarrow Table
        Numbers, days and moments as what they are, columns of mixed kinds as text.

    Raises
    ------
    InputError
        If the file cannot be read, has no such sheet, or several and none is named, or a cell shows an error.
    """
    try:
        book = CalamineWorkbook.from_path(path)
        names = [sheet] if sheet is not None else book.sheet_names
        if sheet is not None and sheet not in book.sheet_names:
            raise InputError(
                f"The file has no sheet {sheet!r}.", value=repr(path), remedy=f"It has {', '.join(book.sheet_names)}."
            )
        sheets = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in names}
    except (CalamineError, OSError) as error:
        raise InputError("The spreadsheet cannot be read.", value=repr(path), remedy=f"{error}.") from error
    filled = {name: rows for name, rows in sheets.items() if any(cell != "" for row in rows for cell in row)}
    if not filled:
        raise InputError("The file is empty.", value=repr(path))
    if len(filled) > 1:
        raise InputError(
            "Several sheets have rows: say which one to read.",
            value=repr(path),
            remedy=f"Pass sheet=..., one of {', '.join(map(repr, filled))}.",
        )
    rows = [row for row in next(iter(filled.values())) if any(cell != "" for cell in row)]
    width = max(len(row) for row in rows)
    header = [str(cell).strip() for cell in rows[0]] + [""] * (width - len(rows[0]))
    used = [i for i, name in enumerate(header) if name or any(len(row) > i and row[i] != "" for row in rows[1:])]
    columns = [
        values_column([_cell(row[i]) if len(row) > i else None for row in rows[1:]], money=header[i] in money)
        for i in used
    ]
    return pa.Table.from_arrays(columns, names=[header[i] for i in used])


def _cell(value: Any) -> Any:
    if value == "" or value is None:
        return None
    if isinstance(value, datetime.timedelta):
        return str(value)
    return value
