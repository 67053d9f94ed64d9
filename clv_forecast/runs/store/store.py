"""Where scheduled runs lie: published and held ones by their ids, and ``latest``, which points at a complete one."""

from __future__ import annotations

import difflib
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

from clv_forecast.errors import DomainError, StoreError
from clv_forecast.report.stored_run import is_run
from clv_forecast.runs.store.durable_files import (
    MARK,
    add_names,
    flush,
    flush_tree,
    is_folder,
    is_marked,
    link_durably,
    mark,
    own_names,
    put_in_place,
    remove_tree,
    replace_durably,
    writing,
)
from clv_forecast.runs.store.lock import LOCK, at_release, check_locked, is_lock
from clv_forecast.runs.store.run_entry import (
    RECORD,
    RunEntry,
    check_run_id,
    foreign_files,
    is_run_id,
    read_entry,
    seal,
    sealed_record,
)
from clv_forecast.runs.store.store_place import check_abilities, check_place

_log = logging.getLogger(__name__)
LATEST: Final = "latest"
_RUNS: Final = "runs"
_HELD: Final = "held"
_WORK: Final = "work"
_PARTS: Final = (_RUNS, _HELD, _WORK)
_TOLD: Final = ("run_id", "as_of", "status", "current", "started", "finished", "problem")

Readers = Literal["owner", "group", "everyone"]
READERS: Final[tuple[Readers, ...]] = ("owner", "group", "everyone")
_MODES: Final[Mapping[Readers, tuple[int, int]]] = {
    "owner": (0o700, 0o600),
    "group": (0o750, 0o640),
    "everyone": (0o755, 0o644),
}
# Folders that this process writes to under the lock: folder of the store -> its folder in work/
_sessions: dict[Path, Path] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStore:
    """A folder of runs: ``runs/``, ``held/``, ``work/`` (never read) and ``latest``. Made by `open_store`.

    A file in it, ``.clv_forecast_store``, marks it as a store and lists what the store made; nothing that is not in
    this list is ever removed, and no link in it is followed but ``latest``.

    Parameters
    ----------
    folder : Path
        Absolute.
    readable_by : {"owner", "group", "everyone"}
        Who may read what is written from now on.
    """

    folder: Path
    readable_by: Readers = "owner"

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

    def earlier(self, day: pd.Timestamp | str) -> Iterator[RunEntry]:
        """Runs that a run as of ``day`` may be compared with, every byte of them looked at, the best first.

        Yields
        ------
        RunEntry
            The current run when its day is earlier; then the published runs of earlier days, the newest first. One
            whose bytes have changed is yielded as damaged.
        """
        limit = pd.Timestamp(day)
        found = [one for one in self.entries() if one.status == "published" and one.as_of is not None]
        found = [one for one in found if one.as_of is not None and one.as_of < limit]
        for entry in sorted(reversed(found), key=lambda one: not one.current):
            yield entry.looked_through()

    def before(self, day: pd.Timestamp | str) -> RunEntry | None:
        """The run that a run as of ``day`` is compared with: the first of `earlier` that is not damaged, or None."""
        return next((entry for entry in self.earlier(day) if entry.status == "published"), None)

    def workspace(self, run_id: str) -> Path:
        """Make a fresh and empty folder to write a run to; it goes when the lock is given back.

        Raises
        ------
        DomainError
            If the id is no plain name, this process does not hold the lock, or the place is not fit for a store.
        StoreError
            If it cannot be made.
        """
        check_run_id(run_id)
        place = self._session(run_id) / run_id
        with writing(place):
            if place.exists():
                remove_tree(place)
            place.mkdir(mode=0o700)
        return place

    def keep(self, workspace: Path, run_id: str, *, held: bool) -> RunEntry:
        """Put a complete run in its place, in one step, after forcing its files to the disk.

        Its files are summed, and may be read by whom the store says. An earlier run of this id is replaced. A run that
        is published under an id that was held takes the held one's place.

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
        if workspace != self._session() / run_id:
            raise DomainError("A run is kept from the workspace of its id.", value=workspace)
        with writing(workspace):
            seal(workspace)
            read_entry(workspace, "published", current=False).check()
            self.let_read(workspace)
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
        check_files(self)
        link = self.folder / LATEST
        with writing(link):
            link_durably(link, f"{_RUNS}/{run_id}", self._session())
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
        if not is_folder(held):
            raise DomainError("No run of this id is held.", value=run_id, remedy="`clv-forecast runs` lists them.")
        if record.get("run_id") != run_id:
            raise DomainError("The record must be that of the run.", value=record.get("run_id"))
        read_entry(held, "held", current=False).check(every_byte=True)
        with writing(held):
            replace_durably(held / RECORD, sealed_record(record, held), self._session())
            self.let_read(held / RECORD)
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
        check_locked(self.folder)
        if entry.run_id == self._pointed() and entry.folder.parent.name == _RUNS:
            raise DomainError(
                "The current run is not removed.", value=entry.run_id, remedy="Publish another run first."
            )
        self._remove(entry.folder)

    def owns(self, entry: RunEntry) -> bool:
        """Whether the store made this run, and so may remove it."""
        return self._name(entry.folder) in own_names(self.folder)

    def sweep(self) -> tuple[str, ...]:
        """Remove what killed runs left in ``work/``. Only under the lock.

        Returns
        -------
        tuple of str
            Paths in the store of what was removed; nothing that the store did not make.

        Raises
        ------
        DomainError
            If this process does not hold the lock.
        StoreError
            If something cannot be removed.
        """
        check_locked(self.folder)
        self._check_parts()
        listed = own_names(self.folder)
        found = [path for path in sorted((self.folder / _WORK).iterdir()) if self._name(path) in listed]
        found = [path for path in found if path != _sessions.get(self.folder) and is_folder(path)]
        for path in found:
            with writing(path):
                remove_tree(path)
        return tuple(map(self._name, found))

    def __repr__(self) -> str:
        return f"<RunStore {self.folder}>"

    def _pointed(self) -> str | None:
        """Id that ``latest`` points at."""
        try:
            parent, _, name = os.readlink(self.folder / LATEST).rpartition("/")
        except OSError:
            return None
        return name if parent == _RUNS and is_run_id(name) else None

    def _entry(self, folder: Path) -> RunEntry:
        if folder.parent.name == _HELD:
            return read_entry(folder, "held", current=False)
        return read_entry(folder, "published", current=folder.name == self._pointed())

    def _published(self, run_id: str) -> RunEntry:
        check_run_id(run_id)
        folder = self.folder / _RUNS / run_id
        if not is_folder(folder):
            raise DomainError("No run of this id is published.", value=run_id, remedy="`clv-forecast runs` lists them.")
        return self._entry(folder)

    def _place(self, folder: Path, target: Path) -> None:
        name, listed = self._name(target), own_names(self.folder)
        if os.path.lexists(target) and name not in listed:
            raise StoreError(
                "A run is put in place where nothing stands, or a run that this store made.",
                value=target,
                remedy="Move what stands there elsewhere, and run again.",
            )
        with writing(target):
            add_names(self.folder, [name])
            gap = target != self.folder / _RUNS / str(self._pointed())
            older = put_in_place(folder, target, self._session(), gap=gap)
            if older is not None:
                self._discard(older, target)

    def _discard(self, older: Path, target: Path) -> None:
        """Delete a run that another has taken the place of; what is not only a run of this store's is kept beside."""
        if is_folder(older) and not foreign_files(older):
            self._delete(older)
            return
        kept = target.parent / f".{target.name}.kept-{secrets.token_hex(4)}"
        older.rename(kept)
        _log.warning("What stood at %s holds other things than that run: it was kept as %s.", target, kept.name)

    def _remove(self, folder: Path) -> None:
        """Take a folder of the store's own out of sight, then delete it, unless other things were put into it."""
        if not is_folder(folder) or self._name(folder) not in own_names(self.folder):
            return
        foreign = foreign_files(folder)
        if foreign:
            _log.warning("The run %s stays, since it holds other things: %s", folder.name, ", ".join(foreign[:5]))
            return
        with writing(folder):
            self._delete(folder)

    def _delete(self, folder: Path) -> None:
        """Delete a folder out of sight: where it stood, a half of it would be a damaged run."""
        away = self._session() / f"{folder.name}.{secrets.token_hex(8)}"
        folder.rename(away)
        flush(folder.parent)
        remove_tree(away)

    def _session(self, label: str = "work") -> Path:
        """Folder in ``work/`` of this process, where all is written that has no place yet; it goes with the lock."""
        check_locked(self.folder)
        if self.folder not in _sessions:
            self._check_parts()
            name = f"{label}-{secrets.token_hex(8)}"
            session = self.folder / _WORK / name
            with writing(session):
                add_names(self.folder, [f"{_WORK}/{name}"])
                session.mkdir(mode=0o700)
                try:
                    (session / "trial").mkdir()
                    check_abilities(session / "trial")
                except BaseException:
                    shutil.rmtree(session, ignore_errors=True)
                    raise
            _sessions[self.folder] = session
            at_release(self.folder, self._end_session)
        return _sessions[self.folder]

    def _end_session(self) -> None:
        remove_tree(_sessions.pop(self.folder))

    def _check_parts(self) -> None:
        """Refuse a store whose folders are links or files, or that lost its mark."""
        problem = problem_of_store(self.folder)
        if problem is not None:
            raise problem

    def let_read(self, path: Path) -> None:
        """Give a file of this store, or a folder and all in it, to its readers.

        A file that is shared with another run, or with a copy of the store elsewhere, becomes one of its own first.
        """
        of_folders, of_files = _MODES[self.readable_by]
        for one in [path, *(path.rglob("*") if path.is_dir() else ())]:
            told = one.lstat()
            wanted = of_folders if stat.S_ISDIR(told.st_mode) else of_files
            if stat.S_ISLNK(told.st_mode) or stat.S_IMODE(told.st_mode) == wanted:
                continue
            if stat.S_ISREG(told.st_mode) and told.st_nlink > 1:
                aside = one.with_name(f".{one.name}.{secrets.token_hex(8)}")
                shutil.copyfile(one, aside)
                aside.replace(one)
            one.chmod(wanted)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def open_store(folder: str | os.PathLike[str], *, create: bool = True, readable_by: Readers = "owner") -> RunStore:
    """Open a store of runs.

    Parameters
    ----------
    folder : path
        New, empty, or a store already.
    create : bool
        Make it where there is none. With False nothing is written.
    readable_by : {"owner", "group", "everyone"}
        Who may read what is written: the runs hold customers' data.

    Returns
    -------
    RunStore

    Raises
    ------
    DomainError
        If the place is no POSIX file system of one host.
    StoreError
        If there is no store and none shall be made, something else lies in the folder, or it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = open_store(Path(folder) / "runs")
    ...     store.current(), len(store.table()), sorted(path.name for path in store.folder.iterdir())
    (None, 0, ['.clv_forecast_store', 'held', 'runs', 'work'])
    """
    store = RunStore(folder=check_place(folder), readable_by=readable_by)
    problem = problem_of_store(store.folder)
    if not create and not is_folder(store.folder / _RUNS):
        raise StoreError(
            "There is no store of runs at this path.", value=store.folder, remedy="Make it: `clv-forecast run`."
        )
    if problem is not None:
        raise problem
    if create:
        of_folders, _ = _MODES[readable_by]
        with writing(store.folder):
            if not store.folder.is_dir():
                store.folder.parent.mkdir(parents=True, exist_ok=True)
                store.folder.mkdir(mode=of_folders)
            older = _made_before_there_was_a_mark(store.folder)
            mark(store.folder)
            add_names(store.folder, older)
            for part in (store.folder, *(store.folder / name for name in _PARTS)):
                part.mkdir(exist_ok=True)
                if stat.S_IMODE(part.stat().st_mode) != of_folders:
                    part.chmod(of_folders)
    return store


def check_files(store: RunStore) -> None:
    """Refuse a store whose ``latest`` is no link, or whose lock is no file.

    Raises
    ------
    StoreError
        If something else stands there.
    """
    link, file = store.folder / LATEST, store.folder / LOCK
    if os.path.lexists(link) and not link.is_symlink():
        raise StoreError("latest is a link of the store's own.", value=link, remedy="Move it elsewhere.")
    told = file.lstat() if os.path.lexists(file) else None
    if told is not None and (not stat.S_ISREG(told.st_mode) or (told.st_nlink > 1 and not is_lock(file))):
        raise StoreError("The lock is a file of the store's own.", value=file, remedy="Move it elsewhere.")


def problem_of_store(folder: Path) -> StoreError | None:
    """Why a folder cannot be a store; None where it can, or is one.

    A folder without the mark of a store must be empty, or hold runs already: versions up to 0.5 made no mark.
    """
    if not os.path.lexists(folder):
        return None
    if not folder.is_dir():
        return StoreError("The store is a folder.", value=folder, remedy="Name another as `store`.")
    wrong = [name for name in _PARTS if os.path.lexists(folder / name) and not is_folder(folder / name)]
    if wrong:
        return StoreError(
            "The folders of a store are folders, not links or files.",
            value=folder / wrong[0],
            remedy="Move what stands there elsewhere, or name another folder as `store`.",
        )
    try:
        here = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        return StoreError("The store cannot be read.", value=f"{folder}: {error}", remedy="Check the rights.")
    if is_marked(folder) or not here:
        return None
    inside = [one for part in _PARTS for one in _all_in(folder / part)]
    runs = any(map(_is_a_run, inside))
    empty = not inside and not set(here) - {*_PARTS, LOCK}
    if (runs or (empty and any(name in here for name in _PARTS))) and _files_are_own(folder):
        return None
    return StoreError(
        "A store of runs is made in a new or empty folder; this one holds other things.",
        value=f"{folder} with {', '.join(here[:5])}",
        remedy="Name another folder as `store`, such as runs.",
    )


def _is_a_run(folder: Path) -> bool:
    """Whether the folder says by its record that it is the run of its name, damaged or not."""
    if folder.parent.name not in (_RUNS, _HELD) or not is_folder(folder):
        return False
    return bool(read_entry(folder, "published", current=False).record) or is_run(folder)


def _files_are_own(folder: Path) -> bool:
    """Whether lock, pointer and mark of a folder without a (readable) mark are what a store leaves there."""
    lock, link, listed = folder / LOCK, folder / LATEST, folder / MARK
    fine = not os.path.lexists(lock) or (stat.S_ISREG(lock.lstat().st_mode) and is_lock(lock))
    fine &= not os.path.lexists(link) or (link.is_symlink() and os.readlink(link).startswith(f"{_RUNS}/"))
    return fine and (not os.path.lexists(listed) or stat.S_ISREG(listed.lstat().st_mode))


def _made_before_there_was_a_mark(folder: Path) -> list[str]:
    """Runs of a store without a mark, each known by its own record."""
    if is_marked(folder):
        return []
    found = [one for part in (_RUNS, _HELD) for one in _all_in(folder / part) if is_folder(one)]
    known = [one for one in found if read_entry(one, "published", current=False).status != "damaged"]
    return [f"{one.parent.name}/{one.name}" for one in known]


def _all_in(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _folders(parent: Path) -> list[Path]:
    return [path for path in _all_in(parent) if path.is_dir() and not path.name.startswith(".")]
