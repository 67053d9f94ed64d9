"""One run at a time: an advisory lock on a file of the store, which the system frees when its holder dies."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from clv_forecast.errors import DomainError, LockedError, StoreError

LOCK: Final = ".lock"
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_LONGEST: Final = 4096
_log = logging.getLogger(__name__)
# Locks that this process holds: folder of the store -> descriptor. A child by fork inherits descriptors but no locks.
_held: dict[Path, int] = {}
_endings: dict[Path, Callable[[], None]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds the lock of a store, as written in its file.

    Parameters
    ----------
    pid : int
    host : str
    started : str
        When the lock was taken, in UTC. For people: no result depends on it.
    run : str
        What is being run; may be empty.
    """

    pid: int
    host: str
    started: str
    run: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.started}{f' ({self.run})' if self.run else ''}"


@contextmanager
def locked(folder: Path, *, run: str = "", take_over: bool = False) -> Iterator[Holder]:
    """Hold the lock of a store for the time of a block.

    Parameters
    ----------
    folder : Path
    run : str
        What is being run, shown to whoever finds the store locked.
    take_over : bool
        Take a lock that a run on another host left behind. Only when that run is known to be dead.

    Yields
    ------
    Holder
        This process.

    Raises
    ------
    LockedError
        If another run holds it, or one on another host did not release it.
    StoreError
        If the file of the lock cannot be written.

    Notes
    -----
    The lock is the system's (``flock``), not the file's existence: a killed run leaves the file but not the lock, which
    the next run on this host takes with a warning. The descriptor is closed on exec, and in children by fork, so that
    nothing that a run starts keeps the store locked after it.

    Examples
    --------
    >>> import tempfile
    >>> from clv_forecast.runs.store.store import open_store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = open_store(folder)
    ...     with locked(store.folder, run="as of 2026-03-31") as holder:
    ...         try:
    ...             with locked(store.folder):
    ...                 pass
    ...         except LockedError as error:
    ...             str(holder) in str(error)
    True
    """
    path = folder / LOCK
    descriptor = _taken(path)
    try:
        _check_left_behind(path, descriptor, take_over)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), started=started, run=run)
        _write(path, descriptor, holder)
    except BaseException:
        os.close(descriptor)
        raise
    _held[folder] = descriptor
    try:
        yield holder
    finally:
        # In a child by fork the lock is not this process's to give back
        if _held.get(folder) == descriptor:
            with suppress(OSError, KeyError):
                _endings.pop(folder)()
            del _held[folder]
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)


def is_lock(path: Path) -> bool:
    """Whether a file is what a store leaves as its lock: empty, or the name of a holder."""
    try:
        return path.stat().st_size == 0 or _parsed(path.read_bytes()[:_LONGEST]) is not None
    except OSError:
        return False


def check_locked(folder: Path) -> None:
    """Refuse to go on without the lock.

    Raises
    ------
    DomainError
        If this process does not hold it.
    """
    if folder not in _held:
        raise DomainError(
            "A store is published and cleaned under its lock only.",
            value=folder,
            remedy="Write `with locked(store.folder):` around it.",
        )


def at_release(folder: Path, ending: Callable[[], None]) -> None:
    """Let something be done before this process gives the lock back; an OSError of it is passed over."""
    check_locked(folder)
    _endings[folder] = ending


def _taken(path: Path) -> int:
    """Descriptor of the lock's file, locked."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _unwritable(path, OSError(errno.EINVAL, "not a regular file"))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if found.st_nlink > 1:  # what is written here would be written there, such as in a backup
            if not is_lock(path):
                raise _unwritable(path, OSError(errno.EMLINK, "it is also another file, by a hard link"))
            path.unlink()
        if not _is_at(descriptor, path):  # it was replaced meanwhile
            os.close(descriptor)
            return _taken(path)
    except BlockingIOError as error:
        holder = _parsed(os.pread(descriptor, _LONGEST, 0))
        os.close(descriptor)
        raise LockedError(
            "One run at a time works on a store.",
            value=f"{path.parent}, held by {holder or 'a process that did not write its name'}",
            remedy="Wait for it to end, or end it; nothing was changed.",
        ) from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _check_left_behind(path: Path, descriptor: int, take_over: bool) -> None:
    """Judge what an earlier holder left in the file although it no longer holds the lock."""
    content = os.pread(descriptor, _LONGEST, 0)
    if not content:
        return
    left = _parsed(content)
    if left is not None and left.host != socket.gethostname() and not take_over:
        raise LockedError(
            "A store is used by one host at a time, and a run on another host did not release it.",
            value=f"{path.parent}, held by {left}",
            remedy=f"If that run is no longer alive, delete {path} and start again.",
        )
    _log.warning("The lock of %s was left behind by %s, which ended without releasing it. Taken.", path.parent, left)


def _parsed(content: bytes) -> Holder | None:
    try:
        told = json.loads(content)
        return Holder(pid=int(told["pid"]), host=str(told["host"]), started=str(told["started"]), run=str(told["run"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _write(path: Path, descriptor: int, holder: Holder) -> None:
    """Write the holder's name; without it the lock holds as well, so that leftovers on a full disk can be removed."""
    content = json.dumps(asdict(holder) | {"run": holder.run[:200]}).encode("ascii")
    try:
        os.ftruncate(descriptor, 0)
        written = os.pwrite(descriptor, content, 0)
        full = written != len(content)
    except OSError as error:
        full = error.errno in FULL
        if not full:
            raise _unwritable(path, error) from error
    if full:
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        _log.warning("The disk is full: the lock of %s is held, but does not say by whom.", path.parent)


def _unwritable(path: Path, error: OSError) -> StoreError:
    problem = "it is a link" if error.errno == errno.ELOOP else error
    return StoreError(
        "The lock of the store could not be written.", value=f"{path}: {problem}", remedy="Check space and rights."
    )


def _let_go_in_child() -> None:
    for descriptor in _held.values():
        with suppress(OSError):
            os.close(descriptor)  # the parent's lock stays: it belongs to the open file, which the parent still has
    _held.clear()
    _endings.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
