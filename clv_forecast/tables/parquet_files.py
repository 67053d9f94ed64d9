"""Parquet files as one table: all schemas are looked at first, and brought together without loss or refused."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
import ibis.expr.datatypes as dt
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.sql.datatypes import DuckDBType
from ibis.formats.pyarrow import PyArrowType

from clv_forecast.errors import InputError
from clv_forecast.tables.column_names import name_in_sql
from clv_forecast.tables.queries import FileStamp
from clv_forecast.tables.text_files import literal, quoted

ENDINGS: Final = (".parquet", ".pq")
_INTEGERS: Final = ("BIGINT", "UBIGINT")


@dataclass(frozen=True, slots=True)
class ParquetRelation:
    """Parquet files whose columns are cast to one type each.

    Parameters
    ----------
    name : str
    files : tuple of FileStamp
    parts : tuple of (files, columns)
        Files with the same schema together, and their columns as DuckDB reads them.
    """

    name: str
    files: tuple[FileStamp, ...]
    parts: tuple[tuple[tuple[str, ...], str], ...]

    def bind(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Make a view of the files."""
        for stamp in self.files:
            stamp.check()
        scans = " UNION ALL ".join(
            f"SELECT {columns} FROM read_parquet([{_listed(paths)}], hive_partitioning=false)"  # noqa: S608 (all quoted)
            for paths, columns in self.parts
        )
        cursor.execute(f"CREATE TEMP VIEW {quoted(self.name)} AS {scans}")


def _listed(paths: Sequence[str]) -> str:
    """Paths as literals of SQL, in which no sign is a wildcard."""
    return ", ".join(literal(glob.escape(path)) for path in paths)


def parquet_columns(files: Sequence[str]) -> list[str]:
    """Names of the columns that all files have.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    names = list(_schema(files[0]).names)
    for path in files[1:]:
        others = set(_schema(path).names)
        names = [name for name in names if name in others]
    return names


def open_parquet(
    files: Sequence[str], name: str, columns: Sequence[str], *, text: Sequence[str] = (), time_zone: str | None = None
) -> tuple[ParquetRelation, Mapping[str, dt.DataType]]:
    """Open Parquet files and find one type for each column.

    Parameters
    ----------
    files : sequence of str
    name : str
        Of the relation.
    columns : sequence of str
        Those that are wanted.
    text : sequence of str
        Those of ids and labels, which may become text where the files differ.
    time_zone : str, optional
        Zone whose clocks times without a zone are of, where other files have times with one.

    Returns
    -------
    relation : ParquetRelation
    types : mapping of str to ibis DataType
        Of each column; a NUL in its name is written as an escape.

    Raises
    ------
    InputError
        If a file cannot be read, lacks a column, or columns of one name cannot be one.
    """
    stamps = tuple(FileStamp.of(path) for path in files)
    schemas = [_schema(path) for path in files]
    for path, schema in zip(files, schemas, strict=True):
        missing = [column for column in columns if column not in schema.names]
        if missing:
            raise InputError(
                "Every file of one table must have the same columns.",
                value=f"{os.path.basename(path)} has no {', '.join(map(repr, missing))}",
                remedy="Read such files as a source of their own.",
            )
    for path, schema in zip(files, schemas, strict=True):
        for column in columns:
            alike = [name for name in schema.names if name.casefold() == column.casefold()]
            if len(alike) > 1:
                raise InputError(
                    f"The column {column!r} occurs {len(alike)} times, in capitals or not.",
                    value=f"{', '.join(alike)} in {os.path.basename(path)}",
                    remedy="Rename all but one.",
                )
    shapes: dict[tuple[str, ...], list[int]] = {}
    for place, schema in enumerate(schemas):
        shapes.setdefault(tuple(str(schema.field(column).type) for column in columns), []).append(place)
    firsts = [places[0] for places in shapes.values()]
    types: dict[str, dt.DataType] = {}
    selects: list[list[str]] = [[] for _ in firsts]
    for column in columns:
        arrow = [schemas[place].field(column).type for place in firsts]
        found = [_place(column, schemas[place]) for place in firsts]
        if len(set(map(str, arrow))) == 1 and not (column in text and _kind(arrow[0]) == "BLOB"):
            types[name_in_sql(column)] = _ibis_type(arrow[0])
            casts = found
        else:
            kinds = [_kind(one) for one in arrow]
            wanted = _one_type(
                column, kinds, [files[place] for place in firsts], as_text=column in text, time_zone=time_zone
            )
            types[name_in_sql(column)] = DuckDBType.from_string(wanted)
            casts = [
                _cast(there, kind, wanted, time_zone=time_zone, ids=column in text)
                for there, kind in zip(found, kinds, strict=True)
            ]
        for select, cast in zip(selects, casts, strict=True):
            select.append(f"{cast} AS {quoted(name_in_sql(column))}")
    parts = tuple(
        (tuple(stamps[place].path for place in places), ", ".join(select))
        for places, select in zip(shapes.values(), selects, strict=True)
    )
    return ParquetRelation(name=name, files=stamps, parts=parts), types


def _place(column: str, schema: pa.Schema) -> str:
    """A column in SQL: by its name, or by its number where a NUL would end the name."""
    return f"#{schema.names.index(column) + 1}" if "\0" in column else quoted(column)


def _ibis_type(kind: pa.DataType) -> dt.DataType:
    if pa.types.is_dictionary(kind):
        return _ibis_type(kind.value_type)
    if pa.types.is_float16(kind):
        return dt.float32
    if pa.types.is_null(kind):
        return dt.null
    try:
        return PyArrowType.to_ibis(kind)
    except (TypeError, NotImplementedError, KeyError):
        return dt.unknown


def _schema(path: str) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        problem = " ".join(str(error).split()).rstrip(".")
    raise InputError("The Parquet file cannot be read.", value=repr(path), remedy=f"{problem}.")


def _kind(kind: pa.DataType) -> str:
    """DuckDB's type of a column, integers and floats as their widest."""
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_uint64(kind):
        return "UBIGINT"
    if pa.types.is_integer(kind):
        return "BIGINT"
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return "FLOAT"
    if pa.types.is_floating(kind):
        return "DOUBLE"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "VARCHAR"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz is not None else "TIMESTAMP"
    if pa.types.is_date(kind):
        return "DATE"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_null(kind):
        return "NULL"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "BLOB"
    return f"OTHER {kind}"


def _one_type(column: str, kinds: Sequence[str], files: Sequence[str], *, as_text: bool, time_zone: str | None) -> str:
    distinct = list(dict.fromkeys(kind for kind in kinds if kind != "NULL"))
    if not distinct:
        return "VARCHAR"
    if len(distinct) == 1:
        return "VARCHAR" if as_text and distinct[0] == "BLOB" else distinct[0]
    if all(kind.startswith("DECIMAL") or kind in _INTEGERS for kind in distinct):
        scales = [int(kind.rstrip(")").rpartition(",")[2]) for kind in distinct if kind.startswith("DECIMAL")]
        return f"DECIMAL(38, {max(scales, default=0)})"
    if all(kind in ("BIGINT", "FLOAT", "DOUBLE") for kind in distinct):
        return "DOUBLE"
    if set(distinct) == {"DATE", "TIMESTAMP"}:
        return "TIMESTAMP"
    if set(distinct) <= {"DATE", "TIMESTAMP", "TIMESTAMPTZ"}:
        if time_zone is not None:
            return "TIMESTAMP"
        remedy = "Pass for example time_zone='Europe/Berlin': the zone whose clocks the times without one are of."
    elif as_text:
        return "VARCHAR"
    else:
        remedy = "Convert the column in one of them, so that both have the same type."
    places = {kind: os.path.basename(files[kinds.index(kind)]) for kind in distinct}
    raise InputError(
        f"The column {column!r} has different types in the files, which cannot become one without loss or a guess.",
        value=", ".join(f"{kind} in {path}" for kind, path in places.items()),
        remedy=remedy,
    )


_EXACT: Final = {"FLOAT": 2**24, "DOUBLE": 2**53, "BIGINT": 2**53}


def _cast(name: str, kind: str, wanted: str, *, time_zone: str | None, ids: bool) -> str:
    if kind == wanted == "DOUBLE" and ids:
        return _exact(name, kind, name)
    if kind == wanted or wanted.startswith("OTHER"):
        return name
    if kind == "TIMESTAMPTZ" and wanted == "TIMESTAMP":
        return f"timezone({literal(time_zone or 'UTC')}, {name})"
    if wanted == "VARCHAR" and kind == "BLOB":
        return f"CASE WHEN try(decode({name})) IS NULL THEN lower(hex({name})) ELSE try(decode({name})) END"
    if wanted == "VARCHAR" and (kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL")):  # 7.00 is 7
        whole = f"CAST(CAST({name} AS DECIMAL(38, 0)) AS VARCHAR)"
        text = f"CASE WHEN {name} = floor({name}) THEN {whole} ELSE CAST({name} AS VARCHAR) END"
        return _exact(name, kind, text) if kind in _EXACT else text
    cast = f"CAST({name} AS {wanted})"
    return _exact(name, kind, cast) if ids and wanted == "DOUBLE" else cast


def _exact(name: str, kind: str, value: str) -> str:
    """A value, or an error where a float no longer holds every digit of an id."""
    limit = _EXACT[kind]
    problem = f"The ids in {name} came as floats of {limit:,} or more in one file, which no longer hold every digit"
    finite = "" if kind == "BIGINT" else f"isfinite({name}) AND "
    return f"CASE WHEN {finite}abs({name}) >= {limit} THEN error({literal(problem)}) ELSE {value} END"
