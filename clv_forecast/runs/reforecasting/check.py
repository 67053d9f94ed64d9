"""The verb ``check``: connect to everything a run needs, count, and write nothing.

The verb ``backtest_configuration``: the configured model tested on the configured sources; nothing is published.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from clv_forecast.arguments import parse_day
from clv_forecast.columns import FREQUENCY
from clv_forecast.errors import ClvForecastError, DomainError, InputError, StoreError
from clv_forecast.evaluation.certificate import Certificate
from clv_forecast.files import scratch_folder
from clv_forecast.forecasting.money import OBSERVED, resolve_terms
from clv_forecast.history.attributes import read_attributes
from clv_forecast.history.consolidation.counting import count_source
from clv_forecast.history.consolidation.order_source import OrderSource
from clv_forecast.history.purchase_history import COHORTS
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.runs.configuration.configuration import Configuration, read_configuration
from clv_forecast.runs.reforecasting.inputs import order_sources, other_tables, read_inputs
from clv_forecast.runs.reforecasting.one_run import database_of
from clv_forecast.runs.reforecasting.reforecast import today
from clv_forecast.runs.reforecasting.results import made_certificate
from clv_forecast.runs.store.publication import moves_back
from clv_forecast.runs.store.store import check_files, open_store, problem_of_store
from clv_forecast.runs.store.store_place import check_place


@shows_progress
def backtest_configuration(
    configuration: str | os.PathLike[str] | Configuration, *, as_of: Any = None, progress: Progress = automatic
) -> Certificate:
    """Read the sources and test the model as a run would, whether a test is due or not.

    Parameters
    ----------
    configuration : path or Configuration
    as_of : date, Timestamp or ISO text, optional
        Default: by the clock, as ``reforecast``.
    progress : callable

    Returns
    -------
    Certificate

    Raises
    ------
    DomainError
        If the configuration is wrong, or the log is too short to be tested.
    InputError
        If a source cannot be read or used.
    """
    told = configuration if isinstance(configuration, Configuration) else read_configuration(configuration)
    day = today(told) if as_of is None else pd.Timestamp(parse_day(as_of, "as_of"))
    with scratch_folder() as folder:
        inputs = read_inputs(told, folder, as_of=day, progress=progress)
        return made_certificate(told, inputs.history(told, day), progress=progress)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Check:
    """What a run would find.

    Parameters
    ----------
    as_of : Timestamp
    table : DataFrame
        what, name, ok, told: one row per source, table, store and database.
    """

    as_of: pd.Timestamp
    table: pd.DataFrame

    @property
    def ok(self) -> bool:
        """Whether a run would find everything."""
        return bool(self.table["ok"].all())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = self.table.to_dict("records")
        return {"as_of": self.as_of.date().isoformat(), "ok": self.ok, "checks": rows}

    def __str__(self) -> str:
        rows = self.table.to_dict("records")
        width = max(len(f"{row['what']} {row['name']}".strip()) for row in rows)
        lines = [
            f"  {'ok' if row['ok'] else 'NO':<3} {(row['what'] + ' ' + row['name']).strip():<{width}}  {row['told']}"
            for row in rows
        ]
        return "\n".join([f"As of {self.as_of.date()}; nothing was written.", *lines])

    def __repr__(self) -> str:
        return f"<Check: {'all well' if self.ok else 'something is missing'}>"


@shows_progress
def check(
    configuration: str | os.PathLike[str] | Configuration, *, as_of: Any = None, progress: Progress = automatic
) -> Check:
    """Connect to every source, table and database, and count what a run would read.

    Parameters
    ----------
    configuration : path or Configuration
    as_of : date, Timestamp or ISO text, optional
        Default: by the clock, as ``reforecast``.
    progress : callable

    Returns
    -------
    Check
        A place that cannot be reached is a row of it, not an error.

    Raises
    ------
    DomainError
        If the configuration is wrong.
    """
    told = configuration if isinstance(configuration, Configuration) else read_configuration(configuration)
    day = today(told) if as_of is None else pd.Timestamp(parse_day(as_of, "as_of"))
    rows = [
        _tried("source", source.name, lambda source=source: _lines(source, told, day))  # type: ignore[misc]
        for source in order_sources(told)
    ]
    rows += [
        _tried("table", name, lambda name=name, read=read: _columns(name, read(), told))  # type: ignore[misc]
        for name, read in other_tables(told)
    ]
    if all(row["ok"] for row in rows):
        rows.append(_tried("history", "", lambda: _history(told, day, progress)))
    rows.append(_tried("store", "", lambda: _store(told, day, by_clock=as_of is None)))
    if told.outputs.database is not None:
        rows.append(_tried("database", "", lambda: _database(told, day)))
    return Check(as_of=day, table=pd.DataFrame(rows))


def _tried(what: str, name: str, ask: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"what": what, "name": name, "ok": True, "told": ask()}
    except ClvForecastError as error:
        return {"what": what, "name": name, "ok": False, "told": str(error)}


def _lines(source: OrderSource, told: Configuration, day: pd.Timestamp) -> str:
    found = count_source(source, as_of=day, time_zone=told.time_zone, max_unreadable=told.log.max_unreadable)
    if not found.rows or found.last_day is None:
        raise InputError("The source has no order up to the day of the run.", value=f"{found}, as of {day.date()}")
    age, most = (day - pd.Timestamp(found.last_day)).days, told.gates.source_age_days
    old = (
        f"; its newest order is {age} days old, and the gate source_age_days may hold the run" if age > most > 0 else ""
    )
    return f"{found}{old}"


def _history(told: Configuration, day: pd.Timestamp, progress: Progress) -> str:
    """What the sources make together, up to the fit: their history, and the terms of its customers."""
    with scratch_folder() as folder:
        inputs = read_inputs(told, folder, as_of=day, progress=progress)
        history = inputs.history(told, day)
        terms = told.forecast
        resolve_terms(
            history,
            margin=terms.margin,
            cost_to_serve=terms.cost_to_serve,
            cost_per_order=terms.cost_per_order,
        )
    again = int((history.table[FREQUENCY] > 0).sum())
    if not again:
        raise InputError("No customer has bought on a second day, so that no model can be fitted.", value=day.date())
    return f"{len(history.table):,} customers, of whom {again:,} bought on a second day"


def _columns(name: str, table: pd.DataFrame, told: Configuration) -> str:
    """Rows and columns of a table; of the accounts also whether the columns that the configuration names are there."""
    if name == "accounts":
        terms = (told.forecast.margin, told.forecast.cost_to_serve, told.forecast.cost_per_order, told.forecast.by)
        margin = told.forecast.margin
        by_group = list(margin) if isinstance(margin, Mapping) else []
        named = [*terms, *by_group, *told.model.groups, *told.model.covariates, told.potential.segment, told.cohorts.by]
        wanted = {one for one in named if isinstance(one, str) and one not in (OBSERVED, *COHORTS)}
        read_attributes(table, told.accounts.customer if told.accounts is not None else "customer_id")
        missing = sorted(wanted - set(map(str, table.columns)))
        if missing:
            raise InputError(
                "The configuration names columns that the accounts do not have.",
                value=", ".join(missing),
                remedy=f"They have {', '.join(map(str, table.columns))}.",
            )
    return f"{len(table):,} rows, columns {', '.join(map(printable, table.columns))}"


def _store(told: Configuration, day: pd.Timestamp, *, by_clock: bool) -> str:
    """Where the store is or would be made, and whether a run of that day could work there."""
    folder = check_place(told.store)
    problem = problem_of_store(folder)
    if problem is not None:
        raise problem
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise StoreError("The store is a folder that can be written to.", value=existing)
    if not folder.exists():
        return f"{printable(folder)}, not there yet: a first run makes it"
    if not (folder / "runs").is_dir():
        return printable(folder)
    store = open_store(folder, create=False)
    check_files(store)
    if by_clock and moves_back(store, day):
        raise DomainError(
            "The clock is behind the current run.", value=day.date(), remedy="Mend it, or name the day with --as-of."
        )
    notes = [f"damaged and passed over: {one.run_id}" for one in store.entries() if one.status == "damaged"]
    if told.outputs.readable_by == "owner" and folder.stat().st_mode & 0o077:
        notes.append("others may open it: chmod 700")
    return "; ".join([printable(folder), *notes])


def _database(told: Configuration, day: pd.Timestamp) -> str:
    database = database_of(told)
    if database is None:
        return ""
    database.check_place()
    current = database.current()
    if current is None:
        return f"{database}: no run yet"
    if current[1] is not None and current[1] > day:
        raise DomainError(
            "A run is not published over one of a later day.",
            value=f"{database} shows {current[0]} as of {current[1].date()}",
            remedy="Check the clock and the data; `clv-forecast publish RUN` rolls back.",
        )
    return f"{database}: shows {printable(current[0])}"
