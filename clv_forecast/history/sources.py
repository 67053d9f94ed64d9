"""Where the order log lies: any table or file becomes one lazy Ibis table on DuckDB, ids kept as they are."""

from __future__ import annotations

import dataclasses
import glob
import os
import tempfile
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from ibis.common.exceptions import IbisError

from clv_forecast import columns as c
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.column_names import check_columns, index_hint

CSV: Final = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_PARQUET: Final = (".parquet", ".pq")
HELD_ROWS: Final = 2_000_000
"""Up to this many rows an intermediate result is held in memory (some 100 bytes a row)."""
_ACCEPTED: Final = (
    "a pandas or polars DataFrame, a pyarrow or Ibis table, a DuckDB relation, or the path of a CSV or Parquet file"
)


@dataclass(frozen=True, slots=True)
class IdCode:
    """Customer ids that DuckDB has no type for: DuckDB sees their rank, the tables get the ids back.

    Parameters
    ----------
    values : ndarray of object, shape (customer,)
        The distinct ids, in the order of their ranks.
    """

    values: np.ndarray[Any, np.dtype[np.object_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An order log ready to be queried: a lazy table under this package's column names.

    Parameters
    ----------
    table : ibis Table
        The mapped columns, untouched.
    backend : ibis DuckDB backend
    id_code : IdCode, optional
    label : str
        What was read, in words.
    """

    table: Any
    backend: Any
    id_code: IdCode | None
    label: str

    def fetch(self, expression: Any) -> pa.Table:
        """Run an expression and return its rows.

        Raises
        ------
        InputError
            If a file cannot be read to its end.
        """
        return run(self.backend, expression, self.label)

    def settle(self, expression: Any, rows: int) -> Any:
        """Run an expression once when it has few rows, so that later queries start from its result.

        A larger one stays lazy, and every later query reads the source again.
        """
        return ibis.memtable(self.fetch(expression)) if rows <= HELD_ROWS else expression

    def ids(self, column: pa.ChunkedArray) -> pd.Series:
        """Customer ids as the caller wrote them."""
        if self.id_code is None:
            found = pd.Series(column.to_pandas(), name=c.CUSTOMER_ID)
            if self.table[c.CUSTOMER_ID].type().is_uuid():  # DuckDB hands UUIDs over as text
                return found.map(lambda text: uuid.UUID(str(text))).astype(object)
            return found
        decoded = self.id_code.values[column.to_numpy()]
        return pd.Series(decoded, dtype=object, name=c.CUSTOMER_ID)

    def id_of(self, value: Any) -> Any:
        """One customer id as the caller wrote it; None stays None."""
        return value if self.id_code is None or value is None else self.id_code.values[value]


def open_source(data: Any, mapping: Mapping[str, str]) -> Source:
    """Open an order log where it lies and give its columns this package's names.

    Parameters
    ----------
    data : pandas or polars DataFrame, pyarrow Table, Ibis table, DuckDB relation, str or Path
        Of a relation the named columns are loaded into memory; an Ibis table on DuckDB and files stay where they
        are. A path may hold wildcards (``orders/2024-*.parquet``); columns of a CSV are read as text, so that no digit
        of an amount and no leading zero of an id is lost. Ids that are whole decimals become integers: missing
        values turned them into decimals on their way.
    mapping : mapping of str to str
        Name in this package -> name in ``data``.

    Raises
    ------
    InputError
        If ``data`` is none of these, no file matches, or a named column is missing or occurs twice.
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
    source = _open(data, mapping)
    ids = source.table[c.CUSTOMER_ID] if c.CUSTOMER_ID in mapping else None
    if ids is None or not ids.type().is_floating():
        return source
    broken = ids.notnull() & ~ids.isnan() & (ids != ids.floor())
    if source.fetch(broken.any()).as_py():
        return source
    whole = ibis.ifelse(ids.isnan(), ibis.null("int64"), ids.try_cast("int64"))
    return dataclasses.replace(source, table=source.table.mutate(**{c.CUSTOMER_ID: whole}))


def _open(data: Any, mapping: Mapping[str, str]) -> Source:
    if isinstance(data, (str, Path)):
        return _open_path(data, mapping)
    if isinstance(data, ibis.Table):
        return _open_ibis(data, mapping)
    if isinstance(data, pd.DataFrame):
        check_columns(mapping.values(), [str(name) for name in data.columns], hint=index_hint(data, mapping))
        frame = data[list(mapping.values())].set_axis(list(mapping), axis=1)
        arrow, code = _arrow_from_pandas(frame)
        return _open_arrow(arrow, code, "a pandas DataFrame")
    if isinstance(data, pa.Table):
        check_columns(mapping.values(), data.column_names)
        return _open_arrow(data.select(list(mapping.values())).rename_columns(list(mapping)), None, "a pyarrow table")
    if isinstance(data, duckdb.DuckDBPyRelation):
        loaded = relation_rows(data, list(mapping.values())).rename_columns(list(mapping))
        return _open_arrow(loaded, None, "a DuckDB relation, fetched")
    if type(data).__module__.partition(".")[0] == "polars":
        frame = data.lazy().collect()
        check_columns(mapping.values(), frame.columns)
        arrow = frame.select(list(mapping.values())).to_arrow().rename_columns(list(mapping))
        return _open_arrow(arrow, None, "a polars DataFrame")
    raise InputError(f"The order log must be {_ACCEPTED}.", value=type(data).__name__)


def relation_rows(relation: duckdb.DuckDBPyRelation, columns: list[str] | None = None) -> pa.Table:
    """Load columns of a DuckDB relation, or all, into memory.

    Raises
    ------
    InputError
        If a column is missing, or DuckDB cannot read the relation, for example because its connection was closed.

    Examples
    --------
    >>> relation_rows(duckdb.sql("SELECT 7 AS who, 'x' AS other"), ["who"]).to_pydict()
    {'who': [7]}
    """
    try:
        if columns is None:
            return relation.to_arrow_table()
        check_columns(columns, relation.columns)
        return relation.select(*(duckdb.ColumnExpression(name) for name in columns)).to_arrow_table()
    except duckdb.Error as error:
        raise InputError("DuckDB cannot read the relation.", remedy=_first_line(error)) from error


def _first_line(error: Exception) -> str:
    """What DuckDB says is wrong, without its SQL and its advice for its own options."""
    return str(error).strip().partition("\n")[0].rstrip(" .") + "."


def connect_duckdb() -> Any:
    """Open an Ibis backend of DuckDB in memory; what does not fit goes to a temporary folder of this process."""
    folder = str(Path(tempfile.gettempdir()) / f"clv_forecast_duckdb_{os.getpid()}")
    return ibis.duckdb.connect(temp_directory=folder)


def _open_arrow(table: pa.Table, code: IdCode | None, label: str) -> Source:
    if code is None and not _duckdb_knows(table.schema.field(c.CUSTOMER_ID).type):
        ids, code = _encode(table[c.CUSTOMER_ID].to_pandas().astype(object))
        table = table.set_column(table.schema.get_field_index(c.CUSTOMER_ID), c.CUSTOMER_ID, ids)
    return Source(table=ibis.memtable(table), backend=connect_duckdb(), id_code=code, label=label)


def run(backend: Any, expression: Any, label: str) -> Any:
    """Run an expression on what was read from files or tables.

    Raises
    ------
    InputError
        If a file cannot be read to its end.
    """
    try:
        return backend.to_pyarrow(expression)
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        raise InputError("DuckDB cannot read the data.", value=label, remedy=_first_line(error)) from error


def open_path(path: str | Path) -> tuple[Any, Any]:
    """Open CSV or Parquet files, all columns, lazily.

    Parameters
    ----------
    path : str or Path
        May hold wildcards. Columns of CSV files come as text.

    Returns
    -------
    table : ibis Table
    backend : ibis DuckDB backend

    Raises
    ------
    InputError
        If no file matches, the endings are of several kinds, a file is empty, or DuckDB cannot read it.
    """
    text = str(path)
    files = sorted(glob.glob(text))
    if not files:
        raise InputError("No file matches the path.", value=repr(text))
    for name in files:
        if os.path.isfile(name) and not os.path.getsize(name):
            raise InputError("The file is empty.", value=repr(name))
    backend = connect_duckdb()
    with warnings.catch_warnings():  # ibis 12 calls what DuckDB 2 renamed
        warnings.filterwarnings("ignore", message="fetch_arrow_table", category=DeprecationWarning)
        table = _scan(backend, text, files)
    return table, backend


def _scan(backend: Any, text: str, files: list[str]) -> Any:
    try:
        if all(name.lower().endswith(_PARQUET) for name in files):
            return backend.read_parquet(files)
        if all(name.lower().endswith(CSV) for name in files):
            table = backend.read_csv(files, all_varchar=True, header=True)
            if table.columns == ("column0",) and not run(backend, table.column0.notnull().any(), text).as_py():
                raise InputError("The file is empty.", value=repr(text))  # blank lines, or nothing compressed
            return table
    except duckdb.Error as error:
        raise InputError("DuckDB cannot read the file.", value=repr(text), remedy=_first_line(error)) from error
    raise InputError(
        "A path must lead to CSV or Parquet files, all of one kind.",
        value=repr(text),
        remedy=f"Endings known: {', '.join(CSV + _PARQUET)}.",
    )


def _open_path(path: str | Path, mapping: Mapping[str, str]) -> Source:
    table, backend = open_path(path)
    check_columns(mapping.values(), table.columns)
    table = table.select(**{name: table[column] for name, column in mapping.items()})
    source = Source(table=table, backend=backend, id_code=None, label=f"files at {path}")
    if table[c.CUSTOMER_ID].type().is_string() and _all_integers(source):
        whole = table[c.CUSTOMER_ID].try_cast("int64")
        return dataclasses.replace(source, table=table.mutate(**{c.CUSTOMER_ID: whole}))
    return source


def _open_ibis(table: Any, mapping: Mapping[str, str]) -> Source:
    check_columns(mapping.values(), table.columns)
    chosen = table.select(**{name: table[column] for name, column in mapping.items()})
    try:
        backend = table.get_backend()
    except IbisError as error:
        raise InputError("The Ibis table belongs to no connection.", remedy="Take it from one.") from error
    if backend.name == "duckdb":
        return Source(table=chosen, backend=backend, id_code=None, label="an Ibis table")
    return _open_arrow(chosen.to_pyarrow(), None, f"an Ibis table on {backend.name}, fetched into DuckDB")


def _all_integers(source: Source) -> bool:
    """Whether every id of a CSV is an integer written the usual way (``00042`` is not, and stays text)."""
    ids = source.table[c.CUSTOMER_ID]
    odd = ids.notnull() & (ids.try_cast("int64").cast("string").fill_null("") != ids)
    found = source.fetch(odd.any()).as_py()
    return bool(found is not True)


def _duckdb_knows(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _duckdb_knows(kind.value_type)
    tests = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_decimal,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
    )
    return any(test(kind) for test in tests)


def _arrow_from_pandas(frame: pd.DataFrame) -> tuple[pa.Table, IdCode | None]:
    code: IdCode | None = None
    arrays: dict[str, Any] = {}
    for name in frame.columns:
        series = frame[name]
        try:
            array = pa.Array.from_pandas(series)
            plain = name != c.CUSTOMER_ID or _duckdb_knows(array.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            plain = False
        if plain:
            arrays[name] = array
        elif name == c.CUSTOMER_ID:
            arrays[name], code = _encode(series.astype(object))
        else:  # a column of mixed kinds, as spreadsheets give: read as text
            arrays[name] = pa.array([None if _missing(value) else str(value) for value in series], pa.string())
    return pa.table(arrays), code


def _encode(ids: pd.Series) -> tuple[pa.Array, IdCode]:
    ranks, distinct = pd.factorize(ids, use_na_sentinel=True)
    values = list(distinct)
    try:
        order = sorted(range(len(values)), key=values.__getitem__)
    except TypeError:  # ids of several types have no order among them: by type, then by text
        order = sorted(range(len(values)), key=lambda i: (type(values[i]).__name__, str(values[i])))
    place = np.empty(len(values), dtype=np.int64)
    place[order] = np.arange(len(values))
    coded = np.where(ranks >= 0, place[ranks] if len(values) else -1, -1)
    sorted_values = np.empty(len(values), dtype=object)
    for i, j in enumerate(order):
        sorted_values[i] = values[j]
    return pa.array(coded, mask=coded < 0), IdCode(sorted_values)


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)) or value is pd.NA
