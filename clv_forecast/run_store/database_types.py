"""Tables of a run as columns that a database has a type for, and what becomes of a column whose type changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import pandas as pd
import pyarrow as pa

from clv_forecast.errors import InputError
from clv_forecast.run_store.database_session import Engine

Kind = Literal["truth", "whole", "number", "decimal", "text", "day", "moment", "zoned", "time", "other"]
_SCALE: Final = 6
_ARROW: Final[Mapping[Kind, pa.DataType]] = {
    "truth": pa.bool_(),
    "whole": pa.int64(),
    "number": pa.float64(),
    "decimal": pa.decimal128(38, _SCALE),
    "text": pa.string(),
    "day": pa.date32(),
    "moment": pa.timestamp("us"),
    "zoned": pa.timestamp("us", tz="UTC"),
    "time": pa.time64("us"),
}
_SQL: Final[Mapping[Kind, tuple[str, str]]] = {  # as written, and as the catalogue tells it, in Postgres then in DuckDB
    "truth": ("boolean", "boolean"),
    "whole": ("bigint", "bigint"),
    "number": ("double precision", "double"),
    "decimal": ("numeric", f"decimal(38,{_SCALE})"),
    "text": ("text", "varchar"),
    "day": ("date", "date"),
    "moment": ("timestamp without time zone", "timestamp"),
    "zoned": ("timestamp with time zone", "timestamp with time zone"),
    "time": ("time without time zone", "time"),
}
_WIDER: Final[Mapping[frozenset[Kind], Kind]] = {
    frozenset({"whole", "number"}): "number",
    frozenset({"whole", "decimal"}): "decimal",
    frozenset({"decimal", "number"}): "number",
    frozenset({"day", "moment"}): "moment",
}
_TESTS: Final[tuple[tuple[Callable[[pa.DataType], bool], Kind], ...]] = (
    (pa.types.is_boolean, "truth"),
    (pa.types.is_integer, "whole"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "decimal"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_date, "day"),
    (pa.types.is_time, "time"),
    (pa.types.is_duration, "number"),
)


def storable(name: str, table: pd.DataFrame) -> pa.Table:
    """A table of a run with columns of the few types that are stored.

    Parameters
    ----------
    name : str
        Of the table, for errors.
    table : DataFrame

    Returns
    -------
    pyarrow Table
        Whole numbers of 64 bits, numbers, decimals of six places, text, truth values, days and moments to the
        microsecond; a length of time in seconds. A column without any value and without a type is left out.

    Raises
    ------
    InputError
        If a column holds what none of these can, or what would change in them.

    Examples
    --------
    >>> storable("t", pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [None, None]})).schema.names
    ['a', 'b']
    """
    try:
        given = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()
        found = {
            column: _plain(given[column]) for column in given.column_names if not pa.types.is_null(given[column].type)
        }
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise InputError(
            "A table in the database holds plain values: text, numbers, truth values or times.",
            value=f"{name}: {str(error).splitlines()[0]}",
            remedy="Turn the column into text, or leave the table out of [outputs.database].",
        ) from error
    return pa.table(found)


def kind_of(column: pa.DataType) -> Kind:
    """Kind of a column that `storable` made.

    Examples
    --------
    >>> kind_of(pa.int64()), kind_of(pa.timestamp("us"))
    ('whole', 'moment')
    """
    if pa.types.is_timestamp(column):
        return "moment" if column.tz is None else "zoned"
    return next((kind for test, kind in _TESTS if test(column)), "other")


def sql_type(kind: Kind, engine: Engine) -> str:
    """How an engine writes a kind of column."""
    return _SQL[kind][engine == "duckdb"]


def kind_in_catalog(told: str, engine: Engine) -> Kind:
    """Kind of a column of which the catalogue of the database tells the type.

    Examples
    --------
    >>> kind_in_catalog("DOUBLE", "duckdb"), kind_in_catalog("integer", "postgres")
    ('number', 'other')
    """
    return next((kind for kind in _SQL if sql_type(kind, engine) == told.lower()), "other")


def wider(stored: Kind, new: Kind) -> Kind:
    """Kind that holds both; text holds all. A type that someone else gave a column stays as it is.

    Examples
    --------
    >>> wider("whole", "number"), wider("whole", "text"), wider("other", "text")
    ('number', 'text', 'other')
    """
    if stored == new or stored == "other":
        return stored
    return _WIDER.get(frozenset({stored, new}), "text")


def as_kind(column: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    """Column as the kind that the database holds it in."""
    return column if kind == "other" else column.cast(_ARROW[kind])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind: Any = column.type
    if isinstance(kind, pa.UuidType):
        texts = [None if value is None else str(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_duration(kind):
        seconds = [
            None if value is None else value.total_seconds() for value in column.cast(pa.duration("us")).to_pylist()
        ]
        return pa.chunked_array([pa.array(seconds, pa.float64())])
    found = kind_of(kind)
    if found == "other":
        raise TypeError(f"values of type {kind}")
    # a nanosecond is lost knowingly, anything else is an error
    return column.cast(_ARROW[found], safe=found not in ("moment", "zoned", "time"))
