"""The verb ``reforecast``: one unattended run, from the sources to a published folder, or to none at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from clv_forecast.arguments import parse_day
from clv_forecast.configuration.configuration import Configuration
from clv_forecast.configuration.read_configuration import read_configuration
from clv_forecast.errors import DomainError
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.reforecasting.gates import check_accepted
from clv_forecast.reforecasting.one_run import OneRun
from clv_forecast.reforecasting.outcome import Reforecast
from clv_forecast.run_store.durable_files import writing
from clv_forecast.run_store.lock import locked
from clv_forecast.run_store.publication import moves_back
from clv_forecast.run_store.store import open_store

_log = logging.getLogger(__name__)
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
