"""The verb ``publish``: run folder, database rows, pointer, view, in this order; a retry completes what was cut off.

Which runs are kept: the newest, the last of each month, and never fewer than what the next run compares with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import pandas as pd

from clv_forecast.arguments import count_of
from clv_forecast.errors import DomainError
from clv_forecast.runs.store.database import ResultDatabase
from clv_forecast.runs.store.lock import check_locked
from clv_forecast.runs.store.run_entry import RunEntry
from clv_forecast.runs.store.store import RunStore

if TYPE_CHECKING:
    pass


RUNS = 60
HELD = 5
MONTHS = 24


def retire(
    store: RunStore,
    database: ResultDatabase | None = None,
    *,
    runs: int = RUNS,
    held: int = HELD,
    months: int = MONTHS,
) -> tuple[RunEntry, ...]:
    """Remove the runs that `retired` names: their rows first, then their folders.

    Parameters
    ----------
    store : RunStore
        Locked by this process.
    database : ResultDatabase, optional
        Whose rows of these runs go too, but never those it shows.
    runs, held, months : int
        As in `retired`.

    Returns
    -------
    tuple of RunEntry
        What went, the earliest day first; nothing that the store did not make.

    Raises
    ------
    DomainError
        If the store is not locked, or a number is out of its domain.
    StoreError
        If the database does not answer, or a folder cannot be removed; a retry goes on.

    Examples
    --------
    >>> import tempfile
    >>> from clv_forecast.runs.store.lock import locked
    >>> from clv_forecast.runs.store.store import open_store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = open_store(folder)
    ...     with locked(store.folder):
    ...         retire(store, runs=12)
    ()
    """
    check_locked(store.folder)
    gone = tuple(one for one in retired(store.entries(), runs=runs, held=held, months=months) if store.owns(one))
    published = [entry.run_id for entry in gone if entry.folder.parent.name == "runs"]
    if database is not None and published:
        database.forget(published)
    for entry in gone:
        store.remove(entry)
    return gone


def retired(
    entries: tuple[RunEntry, ...], *, runs: int = RUNS, held: int = HELD, months: int = MONTHS
) -> tuple[RunEntry, ...]:
    """Runs that need not be kept.

    Kept are the newest ``runs`` published ones; of each of the last ``months`` months the last; the newest ``held``
    held ones; the current run and the one before it. Damaged runs stay: a later version may read them.

    Parameters
    ----------
    entries : tuple of RunEntry
        From ``RunStore.entries``.
    runs : int
        At least 1.
    held, months : int
        At least 0. Months are counted back from that of the newest published run, which is the first.

    Returns
    -------
    tuple of RunEntry
        The earliest day first.

    Raises
    ------
    DomainError
        If a number is out of its domain.
    """
    count_of(runs, "runs")
    for name, value in (("held", held), ("months", months)):
        if value != 0:
            count_of(value, name)
        elif isinstance(value, bool):
            raise DomainError(f"{name} must be a whole number of at least 0.", value=repr(value))
    published = sorted((one for one in entries if one.status == "published"), key=lambda one: one.order)
    waiting = sorted((one for one in entries if one.status == "held"), key=lambda one: one.order)
    keep = [*published[-runs:], *_last_of_months(published, months), *(waiting[-held:] if held else ())]
    current = [place for place, one in enumerate(published) if one.current]
    for place in current:
        earlier = [one for one in published[:place] if one.as_of != published[place].as_of]
        keep += [published[place], *earlier[-1:]]
    folders = {one.folder for one in keep}
    return tuple(one for one in sorted([*published, *waiting], key=lambda one: one.order) if one.folder not in folders)


def _last_of_months(published: list[RunEntry], months: int) -> list[RunEntry]:
    last = {one.as_of.to_period("M").ordinal: one for one in published if one.as_of is not None}
    return [one for month, one in last.items() if month > max(last) - months]


_NO_ROWS: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What `publish` did.

    Parameters
    ----------
    run_id : str
        The run that is current now.
    previous : str or None
        The one that was current before; the same id when nothing moved.
    rows : mapping of str to int
        Rows written to each table of the database; empty without one.
    """

    run_id: str
    previous: str | None
    rows: Mapping[str, int] = _NO_ROWS


def publish(
    store: RunStore, entry: RunEntry, database: ResultDatabase | None = None, *, roll_back: bool = False
) -> Publication:
    """Make a run the current one.

    The run folder is in place already. The rows follow, under the id of the run, where no view shows them; then
    ``latest``; then the views of the database. Whatever interrupts this, the same call completes it, and ``latest``
    points at a complete run at any moment.

    Parameters
    ----------
    store : RunStore
        Locked by this process.
    entry : RunEntry
        A published run of this store: from ``keep``, ``release`` or ``find``.
    database : ResultDatabase, optional
    roll_back : bool
        Whether the run may be of an earlier day than the current one.

    Returns
    -------
    Publication

    Raises
    ------
    DomainError
        If the run is held, or of an earlier day than the current one without ``roll_back``, or the store is not locked.
    StoreError
        If the run is damaged, or the store or the database cannot be written.
    InputError
        If a table holds what the database has no column for.

    Notes
    -----
    ``latest`` goes before the views: a reader of both sees the new folder first, never a view without its folder.

    Examples
    --------
    >>> import tempfile
    >>> from clv_forecast.runs.store.lock import locked
    >>> from clv_forecast.runs.store.store import open_store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = open_store(folder)
    ...     with locked(store.folder):
    ...         publish(store, store.find("2026-03-31"))
    Traceback (most recent call last):
    ...
    clv_forecast.errors.DomainError: There is no such run in the store. Got: '2026-03-31'. The store ... holds no runs.
    """
    check_locked(store.folder)
    if entry.folder.parent != store.folder / "runs":
        raise DomainError(
            "A run that is published stands among the published ones of its store.",
            value=entry.folder,
            remedy="Release a held run first: `clv-forecast publish RUN --accept GATE --reason TEXT`.",
        )
    entry.check(every_byte=True)
    current = store.current()
    if not roll_back:
        _check_forward(entry, None if current is None else (current.run_id, current.as_of), "latest")
        if database is not None:
            _check_forward(entry, database.current(), "the database")
    rows = _NO_ROWS if database is None else database.write_run(entry)
    store.point(entry.run_id)
    if database is not None:
        database.make_current(entry.run_id)
    return Publication(run_id=entry.run_id, previous=None if current is None else current.run_id, rows=rows)


def moves_back(store: RunStore, as_of: pd.Timestamp | str) -> bool:
    """Whether a run as of this day is of an earlier day than the current one, so that `publish` would refuse it."""
    current = store.current()
    return current is not None and current.as_of is not None and pd.Timestamp(as_of) < current.as_of


def _check_forward(entry: RunEntry, shown: tuple[str, pd.Timestamp | None] | None, where: str) -> None:
    if shown is None or shown[1] is None or entry.as_of is None or entry.as_of >= shown[1]:
        return
    raise DomainError(
        "A run is not published over one of a later day, unless it is meant to roll back.",
        value=f"{entry.run_id} as of {entry.as_of.date()}, while {where} shows {shown[0]} as of {shown[1].date()}",
        remedy="Check the clock and the data; `clv-forecast publish RUN` rolls back.",
    )
