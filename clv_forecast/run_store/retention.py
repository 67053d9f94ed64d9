"""Which runs are kept: the newest, the last of each month, and never fewer than what the next run compares with."""

from __future__ import annotations

from clv_forecast.arguments import count_of
from clv_forecast.errors import DomainError
from clv_forecast.run_store.database import ResultDatabase
from clv_forecast.run_store.lock import check_locked
from clv_forecast.run_store.run_entry import RunEntry
from clv_forecast.run_store.store import RunStore

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
    >>> from clv_forecast.run_store.lock import locked
    >>> from clv_forecast.run_store.store import open_store
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
