"""The verb ``reforecast``: one unattended run, from the sources to a published folder, or to none at all.

The verb ``publish_run``: make a run current that is there already, forward or back, or one that was held.

The runs of a store as a table: what each forecast, what held it, what it warned of.

The verb ``backfill``: runs of earlier days, one after the other, as a schedule would have made them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from clv_forecast.arguments import parse_day
from clv_forecast.errors import DomainError, HeldError
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.runs.configuration.commented_file import toml_value
from clv_forecast.runs.configuration.configuration import Configuration, read_configuration
from clv_forecast.runs.reforecasting.gates import accepting, check_accepted
from clv_forecast.runs.reforecasting.one_run import OneRun, Reforecast, database_of
from clv_forecast.runs.reforecasting.record import accepted_record, holding
from clv_forecast.runs.store.durable_files import writing
from clv_forecast.runs.store.lock import locked
from clv_forecast.runs.store.publication import Publication, moves_back, publish
from clv_forecast.runs.store.store import RunStore, open_store

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@shows_progress
def reforecast(
    configuration: str | os.PathLike[str] | Configuration,
    *,
    as_of: Any = None,
    accept: Mapping[str, str] = _NOTHING,
    progress: Progress = automatic,
) -> Reforecast:
    r"""Read the sources, fit or score, rank, allow, compare with the last run, and publish: all of it, or nothing.

    Parameters
    ----------
    configuration : path or Configuration
        ``clv.toml``.
    as_of : date, Timestamp or ISO text, optional
        Last day that counts. Default: ``days_back`` days before today in the configuration's time zone. No other
        result depends on the clock.
    accept : mapping of str to str
        Gates that shall not hold this run, each with the reason, which stands in the record.
    progress : callable

    Returns
    -------
    Reforecast
        A run that a gate holds back is kept among the held ones and is not published.

    Raises
    ------
    DomainError
        If the configuration is wrong, a gate is unknown, or the clock is behind the current run.
    InputError
        If a source cannot be read or used.
    FitError
        If a fit that is due fails.
    StoreError
        If the store holds other things, or the store, the database or a temporary file cannot be written.
    LockedError
        If another run holds the lock.

    Notes
    -----
    Whatever interrupts it, the last good run stays published, and the same call again completes the work: the id of a
    run is its day and a mark of all it depends on. ``latest`` points at a complete run at any moment. The same inputs,
    configuration, versions and previous run give the same bytes of every table.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import clv_forecast as clv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clv.load_cdnow("1/10").to_csv(f"{folder}/orders.csv", index=False)
    ...     _ = Path(folder, "clv.toml").write_text(
    ...         '[[sources]]\nname = "shop"\npath = "orders.csv"\n[log]\nobserved_from = "1997-01-01"\n'
    ...         '[forecast]\nhorizons = ["12 months"]\ndraws = 100\n[backtest]\nenabled = false\n'
    ...         '[ranking]\nenabled = false\n[finance]\nbases = []\n[cohorts]\nenabled = false\n'
    ...     )
    ...     made = reforecast(f"{folder}/clv.toml", as_of="1998-06-30")
    ...     made.published, len(made.run.table("forecast"))
    (True, 2349)
    """
    told = configuration if isinstance(configuration, Configuration) else read_configuration(configuration)
    check_accepted(accept)
    day = today(told) if as_of is None else pd.Timestamp(parse_day(as_of, "as_of"))
    store = open_store(told.store, readable_by=told.outputs.readable_by)
    with locked(store.folder, run=f"as of {day.date()}"):
        for left in store.sweep():
            _log.warning("A run was cut off; what it left was removed: %s", left)
        if as_of is None and moves_back(store, day):
            raise DomainError(
                "The clock is behind the current run: is it right?",
                value=f"{day.date()} by the clock",
                remedy="Mend the clock, or name the day with --as-of.",
            )
        with writing(store.folder):
            reading = store.workspace("reading")
            return OneRun(configuration=told, store=store, as_of=day, accept=accept, progress=progress).go(reading)


def today(configuration: Configuration) -> pd.Timestamp:
    """The last day that counts by the clock."""
    zone = None if configuration.time_zone is None else ZoneInfo(configuration.time_zone)
    now = datetime.now(UTC).astimezone(zone)
    return pd.Timestamp(now.date()) - pd.Timedelta(days=configuration.days_back)


def publish_run(
    configuration: str | os.PathLike[str] | Configuration, run: str, *, accept: Mapping[str, str] = _NOTHING
) -> Publication:
    """Make a run the current one: roll back, roll forward, or release what a gate held.

    Parameters
    ----------
    configuration : path or Configuration
        Says where the store is, and the database.
    run : str
        Its id, or the beginning of it.
    accept : mapping of str to str
        Gates that held it, each with the reason, which stands in its record from then on.

    Returns
    -------
    Publication

    Raises
    ------
    DomainError
        If there is no such run, or a gate is unknown.
    HeldError
        If a gate that holds it is not accepted: a DomainError that names each gate and its key.
    StoreError
        If the run is damaged, or the store or the database cannot be written.
    LockedError
        If another run holds the lock.
    """
    told = configuration if isinstance(configuration, Configuration) else read_configuration(configuration)
    check_accepted(accept)
    store = open_store(told.store, create=False, readable_by=told.outputs.readable_by)
    with locked(store.folder, run=f"publish {run}"):
        entry = store.find(run)
        if entry.status == "held":
            record = accepted_record(entry.record, accept)
            held = holding(record)
            if held:
                names = tuple(dict.fromkeys(str(gate["name"]) for gate in held))
                keys = ", ".join(f"{name} = {toml_value(getattr(told.gates, name))}" for name in names)
                raise HeldError(
                    f"Run {entry.run_id} is held, and is published when every gate that holds it is accepted.",
                    lines=[f"  gate {gate['name']}: {gate['sentence']}" for gate in held],
                    remedy=f"{accepting(entry.run_id, names)} For later runs: [gates] in clv.toml has {keys}.",
                )
            entry = store.release(entry.run_id, record)
        return publish(store, entry, database_of(told), roll_back=True)


_VALUE: Final = ("value", "value_lower", "value_upper", "prob", "horizon", "currency", "customers")


@shows_progress
def run_table(store: RunStore, *, every_byte: bool = True, progress: Progress = automatic) -> pd.DataFrame:
    """List the runs, the earliest day first.

    Parameters
    ----------
    store : RunStore
    every_byte : bool
        Whether every byte of every run is read, to find damaged ones; else records and sizes only.
    progress : callable

    Returns
    -------
    DataFrame
        run_id, as_of, status, current; value of the base over its horizon with its band, prob and currency, customers;
        refitted, held_by (gates not passed nor accepted), accepted, alerts, problem. What a damaged run no longer tells
        is missing.
    """
    rows = []
    entries = store.entries()
    for place, listed in enumerate(entries, start=1):
        entry = listed.looked_through() if every_byte else listed
        progress("runs", place, len(entries))
        record = entry.record
        gates = [gate for gate in record.get("gates", []) if not gate["passed"]]
        value = record.get("value", {})
        rows.append(
            {
                "run_id": entry.run_id,
                "as_of": entry.as_of,
                "status": entry.status,
                "current": entry.current,
                **{name: value.get(name) for name in _VALUE},
                "refitted": record.get("model", {}).get("refitted"),
                "held_by": ", ".join(dict.fromkeys(gate["name"] for gate in gates if not gate["accepted"])),
                "accepted": ", ".join(dict.fromkeys(gate["name"] for gate in gates if gate["accepted"])),
                "alerts": ", ".join(alert["name"] for alert in record.get("alerts", [])),
                "problem": entry.problem,
            }
        )
    names = ("run_id", "as_of", "status", "current", *_VALUE, "refitted", "held_by", "accepted", "alerts", "problem")
    return pd.DataFrame(rows, columns=list(names))


_log = logging.getLogger(__name__)
_STEPS: Final[dict[str, Callable[[], Any]]] = {
    "day": lambda: pd.Timedelta(days=1),
    "week": lambda: pd.Timedelta(days=7),
    "month": lambda: pd.offsets.MonthEnd(),
    "quarter": lambda: pd.offsets.QuarterEnd(),
}
EVERY: Final = tuple(_STEPS)
MOST_RUNS: Final = 4000
"""More than ten years by day."""


def backfill(
    configuration: str | os.PathLike[str] | Configuration,
    *,
    start: Any,
    end: Any,
    every: str = "week",
    progress: Progress = automatic,
) -> Iterator[Reforecast]:
    """Run the past: each day on what the log says up to it, the earliest first.

    Parameters
    ----------
    configuration : path or Configuration
    start, end : date, Timestamp or ISO text
        First and last day; days are counted back from the last one, at most 4,000.
    every : {"day", "week", "month", "quarter"}
        Months and quarters count at their ends.
    progress : callable

    Yields
    ------
    Reforecast
        Each run as it is done, also one that a gate holds back.

    Raises
    ------
    DomainError
        If the days are none, or not in order, or too many, or the step is unknown.
    InputError, FitError, StoreError, LockedError
        As ``reforecast``, at the run that fails; those before it stay.

    Notes
    -----
    What a row said at the time is known only where the source has a column ``recorded_at``; without one, a row counts
    by its date, and corrections made later are in it already. A run that is there already is not made again.

    Examples
    --------
    >>> [str(day.date()) for day in backfill_days("2026-01-10", "2026-03-31", "month")]
    ['2026-01-31', '2026-02-28', '2026-03-31']
    """
    told = configuration if isinstance(configuration, Configuration) else read_configuration(configuration)
    for day in backfill_days(start, end, every):
        yield reforecast(told, as_of=day, progress=progress)


def backfill_days(start: Any, end: Any, every: str) -> tuple[pd.Timestamp, ...]:
    """The days of a backfill, ascending.

    Raises
    ------
    DomainError
        If the days are none, or not in order, or too many, or the step is unknown.

    Examples
    --------
    >>> [str(day.date()) for day in backfill_days("2026-03-01", "2026-03-17", "week")]
    ['2026-03-03', '2026-03-10', '2026-03-17']
    """
    if every not in _STEPS:
        raise DomainError(f"A backfill goes by {', '.join(EVERY)}.", value=repr(every))
    first, last = (pd.Timestamp(parse_day(day, name)) for day, name in ((start, "start (--from)"), (end, "end (--to)")))
    if first > last:
        raise DomainError("The first day of a backfill comes first.", value=f"{first.date()} and {last.date()}")
    step = _STEPS[every]()
    day = last if isinstance(step, pd.Timedelta) or step.is_on_offset(last) else last - step
    found: list[pd.Timestamp] = []
    while day >= first:
        found.append(day)
        day = day - step
    if not found:
        raise DomainError(f"No end of a {every} lies between the days.", value=f"{first.date()} and {last.date()}")
    if len(found) > MOST_RUNS:
        raise DomainError(
            f"A backfill makes at most {MOST_RUNS:,} runs at once.",
            value=f"{len(found):,} by {every} between {first.date()} and {last.date()}",
            remedy="Take a longer step, or fewer years.",
        )
    return tuple(reversed(found))
