"""Rows out of Postgres by ``COPY``: read in columns, and planned without a cursor, which would forbid parallel work."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyarrow import csv


def copied_rows(backend: Any, expression: Any) -> pa.Table:
    """Run one statement on Postgres and take its rows.

    Parameters
    ----------
    backend : ibis Postgres backend
    expression : ibis Table

    Returns
    -------
    pyarrow Table
        Dates and moments as ISO text (moments with a zone in UTC, with their offset), anything else in its own type.
    """
    schema = expression.schema().to_pyarrow()
    names = list(expression.columns)
    types = {name: _carried(schema.field(name).type) for name in names}
    statement = f"COPY ({backend.compile(expression)}) TO STDOUT (FORMAT csv)"
    sink = pa.BufferOutputStream()
    with backend.con.cursor() as cursor:
        cursor.execute("SET client_encoding TO 'UTF8'; SET datestyle TO ISO; SET timezone TO 'UTC'")
        with cursor.copy(statement) as rows:
            for part in rows:
                sink.write(part)
    held = sink.getvalue()
    if not held.size:
        return pa.schema(list(types.items())).empty_table()
    return csv.read_csv(
        pa.BufferReader(held),
        read_options=csv.ReadOptions(column_names=names),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _carried(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_temporal(kind) or pa.types.is_large_string(kind) else kind
