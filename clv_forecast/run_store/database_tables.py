"""Tables and views in the schema of results: what stands there, and how room is made for rows of a later version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import sqlglot.expressions as sge

from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.run_store.database_session import Engine, Session, quoted
from clv_forecast.run_store.database_types import Kind, as_kind, kind_in_catalog, kind_of, sql_type, wider

RUNS: Final = "runs"
CURRENT: Final = "current_run"
RUN_ID: Final = "run_id"
_SHOWN: Final = "_current"
LONGEST: Final = 63  # bytes of a name in Postgres, which cuts longer ones without a word
ABOUT: Final[Mapping[str, Kind]] = {
    RUN_ID: "text",
    "as_of": "moment",
    "title": "text",
    "currency": "text",
    "horizon": "text",
    "customers": "whole",
    "seed": "whole",
    "assumptions_hash": "text",
}


def check_names(names: Iterable[str], engine: Engine) -> None:
    """Refuse names of tables that a schema of results cannot have.

    Raises
    ------
    DomainError
        If one is too long or empty, is used by the schema itself, or stands twice.
    """
    seen: set[str] = set()
    for name in names:
        check_name(name, "table", LONGEST - len(_SHOWN))
        folded = folded_name(name, engine)
        if folded in (RUNS, CURRENT) or folded.endswith(_SHOWN):
            raise DomainError(
                f"The tables {RUNS} and {CURRENT}, and names that end in {_SHOWN}, are the schema's own.", value=name
            )
        if folded in seen:
            raise DomainError("A table is written once.", value=name)
        seen.add(folded)


def check_name(name: str, what: str, longest: int) -> None:
    """Refuse a name that a database would not take as it is."""
    if not isinstance(name, str) or not name or "\0" in name or len(name.encode()) > longest:
        raise DomainError(f"The name of a {what} in a database has 1 to {longest} bytes.", value=repr(name)[:100])


def check_columns(table: str, names: list[str], engine: Engine) -> None:
    """Names of columns that the engine would cut, mix up or take for the id of the run."""
    seen = {RUN_ID}
    for name in names:
        folded = folded_name(name, engine)
        if folded in seen or not name or "\0" in name or len(name.encode()) > LONGEST:
            raise InputError(
                f"A column in the database has a name of its own, of 1 to {LONGEST} bytes, other than {RUN_ID}.",
                value=f"{table}.{name}"[:150],
                remedy="Rename it, or leave the table out of [outputs.database].",
            )
        seen.add(folded)


def folded_name(name: str, engine: Engine) -> str:
    """DuckDB does not tell capitals from small letters."""
    return name.casefold() if engine == "duckdb" else name


def columns_in(at: Session, schema: str) -> dict[str, dict[str, Kind]]:
    """Tables and views of the schema, with the kind of each column, as the catalogue tells."""
    query = (
        sge.select("table_name", "column_name", "data_type")
        .from_(catalog_table("columns"))
        .where(equals("table_schema", schema), equals("table_catalog", at.catalog()))
        .order_by("table_name", "ordinal_position")
    )
    found: dict[str, dict[str, Kind]] = {}
    for table, column, told in at.rows(query):
        found.setdefault(str(table), {})[str(column)] = kind_in_catalog(str(told), at.engine)
    return found


def result_tables(found: Mapping[str, Mapping[str, Kind]]) -> list[str]:
    """Tables of results in the schema: those with a view of their own."""
    return [name for name, columns in found.items() if view_of(name) in found and RUN_ID in columns]


def make_room(at: Session, name: str, table: pa.Table, found: Mapping[str, Mapping[str, Kind]]) -> dict[str, Kind]:
    """Create a table or change it so that it takes new rows, and its view.

    Returns
    -------
    dict of str to str
        Kind of each column of the rows in the database.

    Raises
    ------
    StoreError
        If something else stands under its name.
    """
    new = {column: kind_of(table[column].type) for column in table.column_names}
    stored = found.get(name)
    if stored is None:
        create(at, name, {RUN_ID: ABOUT[RUN_ID], **new})
        if at.engine == "postgres":
            at.rows(f"CREATE INDEX ON {quoted(name, at.engine)} ({quoted(RUN_ID, at.engine)})")
        _show(at, name, [RUN_ID, *new])
        return new
    if RUN_ID not in stored:
        raise StoreError(
            "A table of the schema of results holds runs by their ids, and this one does not.",
            value=name,
            remedy="Give results a schema of their own: schema under [outputs.database].",
        )
    names = {folded_name(column, at.engine): column for column in stored}
    places = {column: names.get(folded_name(column, at.engine), column) for column in new}
    kinds = {column: wider(stored.get(places[column], kind), kind) for column, kind in new.items()}
    added = {column: kind for column, kind in kinds.items() if places[column] not in stored}
    for column, kind in added.items():
        at.rows(f"{_alter(at, name)} ADD COLUMN {quoted(column, at.engine)} {sql_type(kind, at.engine)}")
    widened = {places[one]: kind for one, kind in kinds.items() if stored.get(places[one], kind) != kind}
    _widen(at, name, widened)
    if added or widened or view_of(name) not in found:
        _show(at, name, [*stored, *added])
    return kinds


def view_of(name: str) -> str:
    """Name of the view that shows the rows of the current run."""
    return f"{name}{_SHOWN}"


def _alter(at: Session, name: str) -> str:
    return f"ALTER TABLE {quoted(name, at.engine)}"


def _widen(at: Session, name: str, columns: Mapping[str, Kind]) -> None:
    if columns:
        at.rows(f"DROP VIEW IF EXISTS {quoted(view_of(name), at.engine)}")  # Postgres changes no column under a view
    for place, kind in columns.items():
        column, written = quoted(place, at.engine), sql_type(kind, at.engine)
        at.rows(f"{_alter(at, name)} ALTER COLUMN {column} TYPE {written} USING CAST({column} AS {written})")


def create(at: Session, name: str, columns: Mapping[str, Kind]) -> None:
    """Create a table of columns of these kinds."""
    listed = ", ".join(f"{quoted(column, at.engine)} {sql_type(kind, at.engine)}" for column, kind in columns.items())
    at.rows(f"CREATE TABLE {quoted(name, at.engine)} ({listed})")


def _show(at: Session, name: str, columns: Iterable[str]) -> None:
    """Make the view of a table that holds the rows of the current run."""
    now = sge.select(RUN_ID).from_(named(CURRENT)).subquery()
    listed = [sge.column(column, quoted=True) for column in columns]
    query = sge.select(*listed).from_(named(name)).where(sge.EQ(this=sge.column(RUN_ID, quoted=True), expression=now))
    at.rows(f"CREATE OR REPLACE VIEW {quoted(view_of(name), at.engine)} AS {query.sql(at.engine)}")


def under(run_id: str, table: pa.Table, kinds: Mapping[str, Kind]) -> pa.Table:
    """Rows with the id of their run before them, in the kinds of columns that the database has."""
    ids = pa.array([run_id] * len(table), pa.string())
    return pa.table({RUN_ID: ids} | {column: as_kind(table[column], kind) for column, kind in kinds.items()})


def row_about(run_id: str, about: Mapping[str, Any]) -> pa.Table:
    """The row of the table ``runs``."""
    told = {name: about.get(name) for name in ABOUT} | {RUN_ID: run_id}
    told["as_of"] = None if told["as_of"] is None else pd.Timestamp(told["as_of"]).to_pydatetime()
    told |= {name: str(told[name]) for name, kind in ABOUT.items() if kind == "text" and told[name] is not None}
    return pa.table({name: as_kind(pa.chunked_array([pa.array([told[name]])]), kind) for name, kind in ABOUT.items()})


def named(name: str) -> sge.Table:
    """A table or view of the schema."""
    return sge.Table(this=sge.to_identifier(name, quoted=True))


def catalog_table(name: str) -> sge.Table:
    """A table of the database's own catalogue."""
    return sge.Table(this=sge.to_identifier(name), db=sge.to_identifier("information_schema"))


def equals(column: str, value: str) -> sge.Expression:
    """Whether a column of the catalogue holds this text."""
    return sge.EQ(this=sge.column(column), expression=sge.convert(value))


def of_runs(run_ids: Iterable[str]) -> sge.Expression:
    """Whether a row is of one of these runs."""
    ids = [sge.convert(run_id) for run_id in run_ids]
    return sge.In(this=sge.column(RUN_ID, quoted=True), expressions=ids)
