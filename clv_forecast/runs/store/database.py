"""Results in Postgres or DuckDB: rows of every run under its id, and views that show those of the current one.

Tables and views in the schema of results: what stands there, and how room is made for rows of a later version.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import sqlglot.expressions as sge

from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.printable import printable
from clv_forecast.runs.store.database_session import (
    Engine,
    Kind,
    Session,
    as_kind,
    engine_of,
    file_of,
    kind_in_catalog,
    kind_of,
    quoted,
    session,
    sql_type,
    storable,
    wider,
)
from clv_forecast.runs.store.run_entry import RunEntry
from clv_forecast.tables.connection_url import ConnectionUrl, connection_url

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


def make_room(at: Session, name: str, table: pa.Table, *, found: Mapping[str, Mapping[str, Kind]]) -> dict[str, Kind]:
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


TABLES: Final = ("forecast", "totals", "ranking", "allowable_spend")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDatabase:
    """A schema of a database that results are written to. Made by `result_database`.

    Parameters
    ----------
    url : ConnectionUrl
    schema : str
        Made when it is absent.
    tables : tuple of str
        Names of the run's tables that are written.
    """

    url: ConnectionUrl
    schema: str
    tables: tuple[str, ...]

    def write_run(self, entry: RunEntry) -> Mapping[str, int]:
        """Write the tables of a run that its folder has.

        Returns
        -------
        mapping of str to int
            Rows by table.

        Raises
        ------
        StoreError, InputError, DomainError
            As `write_rows`; also if the run is damaged.
        """
        run = entry.read()
        tables = {name: run.table(name) for name in self.tables if name in run.tables}
        return self.write_rows(entry.run_id, tables, about={**run.manifest, "as_of": entry.as_of})

    def write_rows(
        self, run_id: str, tables: Mapping[str, pd.DataFrame], *, about: Mapping[str, Any]
    ) -> Mapping[str, int]:
        """Write rows under the id of a run, in one transaction. No view shows them before `make_current`.

        Rows that the run had before are replaced. A column that is new is added; one whose type changed becomes wide
        enough for both, at last text.

        Parameters
        ----------
        run_id : str
        tables : mapping of str to DataFrame
        about : mapping
            What the table ``runs`` tells of it: as_of, title, currency, horizon, customers, seed, assumptions_hash.

        Returns
        -------
        mapping of str to int
            Rows by table.

        Raises
        ------
        InputError
            If a table has values or names of columns that the database cannot hold.
        DomainError
            If a table has a name that the schema uses itself.
        StoreError
            If the database does not answer or refuses; a retry completes it.
        """
        engine = engine_of(self.url)
        check_names(tables, engine)
        ready = {name: storable(name, table) for name, table in tables.items()}
        for name, table in ready.items():
            check_columns(name, table.column_names, engine)
        with session(self.url) as at:
            self._prepare(at)
            found = columns_in(at, self.schema)
            for name in {*result_tables(found), *(name for name in ready if RUN_ID in found.get(name, {}))}:
                at.rows(sge.delete(named(name), where=of_runs([run_id])))
            for name, table in ready.items():
                held = make_room(at, name, table, found=found)
                at.insert(name, under(run_id, table, held))
            at.rows(sge.delete(named(RUNS), where=of_runs([run_id])))
            at.insert(RUNS, row_about(run_id, about))
        return {name: len(table) for name, table in ready.items()}

    def make_current(self, run_id: str) -> None:
        """Let all views show the rows of one run, in one transaction.

        Raises
        ------
        StoreError
            If its rows are not there, or the database does not answer or refuses; a retry completes it.
        """
        with session(self.url) as at:
            there = bool(columns_in(at, self.schema).get(RUNS))
            if there:
                at.exclude_others(self.schema)
                at.enter(self.schema)
                there = bool(at.rows(sge.select(RUN_ID).from_(named(RUNS)).where(of_runs([run_id]))))
            if not there:
                raise StoreError(
                    "The database shows a run whose rows it has.",
                    value=run_id,
                    remedy="Publish it: `clv-forecast publish RUN` writes them first.",
                )
            at.rows(sge.delete(named(CURRENT)))
            at.insert(CURRENT, pa.table({RUN_ID: pa.array([run_id], pa.string())}))

    def check_place(self) -> None:
        """Refuse a DuckDB file that could be neither made nor written; nothing is written.

        Raises
        ------
        StoreError
            If its folder is missing, or the rights on it or on the file are.
        """
        file = file_of(self.url)
        if file is None:
            return
        place = file if file.exists() else file.parent
        if not place.exists() or not os.access(place, os.W_OK) or (place is file and not file.is_file()):
            raise StoreError(
                "The DuckDB file of results must be one that can be written.",
                value=file,
                remedy="Make its folder, and check the rights.",
            )

    def current(self) -> tuple[str, pd.Timestamp | None] | None:
        """Id and day of the run that the views show; None before the first.

        Raises
        ------
        StoreError
            If the database does not answer or refuses.
        """
        file = file_of(self.url)
        if file is not None and not file.exists():
            return None
        with session(self.url, read_only=True) as at:
            if not columns_in(at, self.schema).get(CURRENT):
                return None
            at.enter(self.schema)
            found = at.rows(sge.select(RUN_ID).from_(named(CURRENT)))
            if not found:
                return None
            run_id = str(found[0][0])
            days = at.rows(sge.select("as_of").from_(named(RUNS)).where(of_runs([run_id])))
        return run_id, pd.Timestamp(days[0][0]) if days and days[0][0] is not None else None

    def forget(self, run_ids: Iterable[str]) -> None:
        """Delete the rows of some runs, in one transaction; those of the current run stay.

        Raises
        ------
        StoreError
            If the database does not answer or refuses.
        """
        with session(self.url) as at:
            found = columns_in(at, self.schema)
            if not found.get(CURRENT):
                return
            at.exclude_others(self.schema)
            at.enter(self.schema)
            shown_now = {row[0] for row in at.rows(sge.select(RUN_ID).from_(named(CURRENT)))}
            gone = [run_id for run_id in run_ids if run_id not in shown_now]
            for name in (*result_tables(found), RUNS) if gone else ():
                at.rows(sge.delete(named(name), where=of_runs(gone)))

    def __str__(self) -> str:
        return f"{self.url}, schema {printable(self.schema)}"

    def _prepare(self, at: Session) -> None:
        """Make the schema and the two tables of its own where they are absent."""
        at.exclude_others(self.schema)
        schemata = sge.select("schema_name").from_(catalog_table("schemata"))
        if (self.schema,) not in at.rows(schemata.where(equals("catalog_name", at.catalog()))):
            at.rows(f"CREATE SCHEMA {quoted(self.schema, at.engine)}")  # asks for a right that a reader may lack
        at.enter(self.schema)
        found = columns_in(at, self.schema)
        if RUNS not in found:
            create(at, RUNS, ABOUT)
        if CURRENT not in found:
            create(at, CURRENT, {RUN_ID: "text"})


def result_database(url: str | ConnectionUrl, *, schema: str = "clv", tables: Iterable[str] = TABLES) -> ResultDatabase:
    """Name the place in a database that results are written to; nothing is opened yet.

    Parameters
    ----------
    url : str or ConnectionUrl
        ``postgres://user:password@host/database`` or ``duckdb://results.duckdb``, with the password in it.
    schema : str
    tables : iterable of str
        Names of tables of a run; those that a run does not have are passed over.

    Returns
    -------
    ResultDatabase

    Raises
    ------
    DomainError
        If the URL cannot be read or names another kind of database, or a name cannot be one there.

    Examples
    --------
    >>> print(result_database("postgres://clv:hunter2@localhost/shop"))
    postgres://localhost/shop, schema clv
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     database = result_database(f"duckdb://{folder}/results.duckdb", tables=["totals"])
    ...     totals = pd.DataFrame({"horizon": ["12 months"], "value": [1250.0]})
    ...     _ = database.write_rows("2026-03-31", {"totals": totals}, about={"as_of": "2026-03-31"})
    ...     database.make_current("2026-03-31")
    ...     database.current()
    ('2026-03-31', Timestamp('2026-03-31 00:00:00'))
    """
    place = connection_url(url)
    engine = engine_of(place)
    names = tuple(tables)
    check_name(schema, "schema", LONGEST)
    check_names(names, engine)
    return ResultDatabase(url=place, schema=schema, tables=names)
