"""Where scheduled runs lie: published and held ones by their ids, and ``latest``, which points at a complete one."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd

from clv_forecast.errors import DomainError, StoreError
from clv_forecast.run_store.durable_files import flush, flush_tree, link_durably, put_in_place, write_durably, writing
from clv_forecast.run_store.lock import check_locked
from clv_forecast.run_store.run_entry import RECORD, RunEntry, check_run_id, read_entry, write_contents
from clv_forecast.run_store.store_place import check_abilities, check_place

LATEST: Final = "latest"
_RUNS: Final = "runs"
_HELD: Final = "held"
_WORK: Final = "work"
_TOLD: Final = ("run_id", "as_of", "status", "current", "started", "finished", "problem")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStore:
    """A folder of runs: ``runs/``, ``held/``, ``work/`` (never read) and ``latest``. Made by `open_store`.

    Parameters
    ----------
    folder : Path
        Absolute.
    """

    folder: Path

    def entries(self) -> tuple[RunEntry, ...]:
        """All runs, the earliest day first; damaged ones say what is wrong with them."""
        current = self._pointed()
        found = [
            *(read_entry(one, "published", current=one.name == current) for one in _folders(self.folder / _RUNS)),
            *(read_entry(one, "held", current=False) for one in _folders(self.folder / _HELD)),
        ]
        if current is not None and not any(entry.current for entry in found):
            found.append(read_entry(self.folder / _RUNS / current, "published", current=True))
        return tuple(sorted(found, key=lambda entry: entry.order))

    def table(self) -> pd.DataFrame:
        """All runs as a table, the earliest day first.

        Returns
        -------
        DataFrame
            Columns run_id, as_of, status, current, started, finished, problem.
        """
        rows = [
            (one.run_id, one.as_of, one.status, one.current, *map(one.record.get, ("started", "finished")), one.problem)
            for one in self.entries()
        ]
        table = pd.DataFrame(rows, columns=list(_TOLD))
        text = {name: "string" for name in ("run_id", "status", "started", "finished", "problem")}
        return table.astype({"as_of": "datetime64[us]", "current": "bool"} | text)

    def find(self, text: str, *, held: bool | None = None) -> RunEntry:
        """Find a run by its id, the beginning of its id, or ``latest``.

        Parameters
        ----------
        text : str
        held : bool, optional
            Look among held runs only, or among the others only. Default: all, and of two with one id the published.

        Raises
        ------
        DomainError
            If there is none, or more than one begins so.
        """
        known = [one for one in self.entries() if held is None or (one.folder.parent.name == _HELD) is held]
        known.sort(key=lambda one: one.folder.parent.name == _HELD)
        by_id = {one.run_id: one for one in reversed(known)}
        if text == LATEST:
            by_id = {one.run_id: one for one in known if one.current}
            if not by_id:
                raise DomainError("No run is published yet.", value=self.folder, remedy="Run one: `clv-forecast run`.")
            return next(iter(by_id.values()))
        if text in by_id:
            return by_id[text]
        begins = sorted(name for name in by_id if text and name.startswith(text))
        if len(begins) == 1:
            return by_id[begins[0]]
        near = begins[:5] or difflib.get_close_matches(text, list(by_id), n=3, cutoff=0.4) or sorted(by_id)[-3:]
        raise DomainError(
            "Several runs begin so." if begins else "There is no such run in the store.",
            value=repr(text),
            remedy=f"Did you mean {', '.join(near)}?" if near else f"The store {self.folder} holds no runs.",
        )

    def current(self) -> RunEntry | None:
        """The run that ``latest`` points at, damaged or not; None before the first."""
        name = self._pointed()
        return None if name is None else read_entry(self.folder / _RUNS / name, "published", current=True)

    def before(self, day: pd.Timestamp | str) -> RunEntry | None:
        """The run that a run as of ``day`` is compared with.

        Returns
        -------
        RunEntry or None
            The current run when its day is earlier, else the newest published run of an earlier day. Never a damaged
            one. None where there is no such run.
        """
        limit = pd.Timestamp(day)
        earlier = [
            entry
            for entry in self.entries()
            if entry.status == "published" and entry.as_of is not None and entry.as_of < limit
        ]
        return next((entry for entry in earlier if entry.current), earlier[-1] if earlier else None)

    def workspace(self, run_id: str) -> Path:
        """Make a fresh and empty folder to write a run to.

        Raises
        ------
        DomainError
            If the id is no plain name.
        StoreError
            If it cannot be made.
        """
        check_run_id(run_id)
        place = self.folder / _WORK / run_id
        with writing(place):
            if place.exists():
                self._remove(place)
            place.mkdir()
        return place

    def keep(self, workspace: Path, run_id: str, *, held: bool) -> RunEntry:
        """Put a complete run in its place, in one step, after forcing its files to the disk.

        An earlier run of this id is replaced. A run that is published under an id that was held takes the held one's
        place.

        Parameters
        ----------
        workspace : Path
            From `workspace`, holding what ``write_run`` wrote and ``run.json``.
        run_id : str
        held : bool
            Whether it is held back rather than published.

        Returns
        -------
        RunEntry

        Raises
        ------
        DomainError
            If the id is no plain name, or the folder is not one of this store's.
        StoreError
            If the run is not complete, or cannot be put in place; what stood there still stands.
        """
        check_run_id(run_id)
        if workspace.resolve() != self.folder / _WORK / run_id:
            raise DomainError("A run is kept from the workspace of its id.", value=workspace)
        with writing(workspace):
            write_contents(workspace)
            read_entry(workspace, "published", current=False).check()
            flush_tree(workspace)
        target = self.folder / (_HELD if held else _RUNS) / run_id
        self._place(workspace, target)
        if not held:
            self._remove(self.folder / _HELD / run_id)
        return self._entry(target)

    def point(self, run_id: str) -> RunEntry:
        """Let ``latest`` point at a run, in one step.

        Raises
        ------
        DomainError
            If no run of this id is published.
        StoreError
            If it is damaged, or the link cannot be written.
        """
        entry = self._published(run_id)
        entry.check()
        link = self.folder / LATEST
        if link.exists() and not link.is_symlink():
            raise StoreError("latest is a link of the store's own.", value=link, remedy="Move it elsewhere.")
        with writing(link):
            link_durably(link, f"{_RUNS}/{run_id}")
        return replace(entry, current=True)

    def release(self, run_id: str, record: Mapping[str, Any]) -> RunEntry:
        """Move a held run to the published ones, with a changed record. `publish` then points at it.

        Parameters
        ----------
        run_id : str
        record : mapping
            New content of ``run.json``: what was accepted, and why.

        Raises
        ------
        DomainError
            If no run of this id is held, or the record is of another run.
        StoreError
            If it is damaged, or cannot be moved.
        """
        check_run_id(run_id)
        held = self.folder / _HELD / run_id
        if not held.is_dir():
            raise DomainError("No run of this id is held.", value=run_id, remedy="`clv-forecast runs` lists them.")
        if record.get("run_id") != run_id:
            raise DomainError("The record must be that of the run.", value=record.get("run_id"))
        read_entry(held, "held", current=False).check()
        with writing(held):
            write_durably(held / RECORD, (json.dumps(dict(record), indent=1, allow_nan=False) + "\n").encode("ascii"))
        target = self.folder / _RUNS / run_id
        self._place(held, target)
        return self._entry(target)

    def remove(self, entry: RunEntry) -> None:
        """Remove a run: out of sight in one step, then deleted.

        Raises
        ------
        DomainError
            If it is the current run, or this process does not hold the lock.
        StoreError
            If it cannot be removed.
        """
        check_locked(self)
        if entry.run_id == self._pointed() and entry.folder.parent.name == _RUNS:
            raise DomainError(
                "The current run is not removed.", value=entry.run_id, remedy="Publish another run first."
            )
        self._remove(entry.folder)

    def sweep(self) -> tuple[str, ...]:
        """Remove what killed runs left behind. Only under the lock.

        Returns
        -------
        tuple of str
            Paths in the store of what was removed.

        Raises
        ------
        DomainError
            If this process does not hold the lock.
        StoreError
            If something cannot be removed.
        """
        check_locked(self)
        kept = {".lock", _RUNS, _HELD, _WORK, LATEST}
        found = [
            *sorted((self.folder / _WORK).iterdir()),
            *(path for name in (_RUNS, _HELD) for path in sorted((self.folder / name).glob(".*"))),
            *(path for path in sorted(self.folder.glob(".*")) if path.name not in kept),
        ]
        for path in found:
            with writing(path):
                _delete(path)
        return tuple(path.relative_to(self.folder).as_posix() for path in found)

    def __repr__(self) -> str:
        return f"<RunStore {self.folder}>"

    def _pointed(self) -> str | None:
        """Id that ``latest`` points at."""
        try:
            parent, _, name = os.readlink(self.folder / LATEST).rpartition("/")
        except OSError:
            return None
        return name if parent == _RUNS and name else None

    def _entry(self, folder: Path) -> RunEntry:
        if folder.parent.name == _HELD:
            return read_entry(folder, "held", current=False)
        return read_entry(folder, "published", current=folder.name == self._pointed())

    def _published(self, run_id: str) -> RunEntry:
        check_run_id(run_id)
        folder = self.folder / _RUNS / run_id
        if not folder.is_dir():
            raise DomainError("No run of this id is published.", value=run_id, remedy="`clv-forecast runs` lists them.")
        return self._entry(folder)

    def _place(self, folder: Path, target: Path) -> None:
        with writing(target):
            older = put_in_place(folder, target, gap=target != self.folder / _RUNS / str(self._pointed()))
        if older is not None:
            self._remove(older)

    def _remove(self, folder: Path) -> None:
        """Take a folder out of sight, then delete it."""
        if not folder.exists():
            return
        with writing(folder):
            shelter = Path(tempfile.mkdtemp(prefix=".gone.", dir=self.folder / _WORK))
            folder.rename(shelter / folder.name)
            flush(folder.parent)
        shutil.rmtree(shelter, ignore_errors=True)


def open_store(folder: str | os.PathLike[str], *, create: bool = True) -> RunStore:
    """Open a store of runs.

    Parameters
    ----------
    folder : path
    create : bool
        Make it where there is none, and try whether the place is fit for one. With False nothing is written.

    Returns
    -------
    RunStore

    Raises
    ------
    DomainError
        If the place is no POSIX file system of one host.
    StoreError
        If there is no store and none shall be made, or the folder cannot be written.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = open_store(Path(folder) / "runs")
    ...     store.current(), len(store.table()), sorted(path.name for path in store.folder.iterdir())
    (None, 0, ['held', 'runs', 'work'])
    """
    store = RunStore(folder=check_place(folder))
    if create:
        with writing(store.folder):
            for name in (_RUNS, _HELD, _WORK):
                (store.folder / name).mkdir(parents=True, exist_ok=True)
        check_abilities(store.folder / _WORK)
    elif not (store.folder / _RUNS).is_dir():
        raise StoreError(
            "There is no store of runs at this path.", value=store.folder, remedy="Make it: `clv-forecast run`."
        )
    return store


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
