"""Results in Postgres or DuckDB: rows of every run under its id, and views that show those of the current one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import sqlglot.expressions as sge

from clv_forecast.errors import StoreError
from clv_forecast.printable import printable
from clv_forecast.run_store.database_session import Session, engine_of, file_of, quoted, session
from clv_forecast.run_store.database_tables import (
    ABOUT,
    CURRENT,
    LONGEST,
    RUN_ID,
    RUNS,
    catalog_table,
    check_columns,
    check_name,
    check_names,
    columns_in,
    create,
    equals,
    make_room,
    named,
    of_runs,
    result_tables,
    row_about,
    under,
)
from clv_forecast.run_store.database_types import storable
from clv_forecast.run_store.run_entry import RunEntry
from clv_forecast.tables.connection_url import ConnectionUrl, connection_url

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
                held = make_room(at, name, table, found)
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
