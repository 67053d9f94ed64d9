"""Files and folders that are on the disk when a step ends, and change their names in one step.

Files that did not change from run to run are stored once: the newer run's become links to the older run's.

What a store made itself: the file that marks it as a store, and in it the names that it may remove.
"""

from __future__ import annotations

import ctypes
import errno
import filecmp
import logging
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clv_forecast.errors import StoreError

ORDERS: Final = "orders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What `link_unchanged` did.

    Parameters
    ----------
    files, size : int
        Files that are links now, and their bytes, which are stored once.
    copies : int
        Files that stayed copies although equal, since the place does not link them.
    """

    files: int
    size: int
    copies: int


def link_unchanged(new_folder: Path, old_folder: Path, *, under: str = ORDERS) -> Linked:
    """Replace files of a run by hard links to those of an older run with the same name and the same bytes.

    Either run reads as before and may be removed without the other; a month of orders that did not change takes no
    space in the newer one. Where the place does not link, the file stays a copy.

    Parameters
    ----------
    new_folder, old_folder : Path
        Folders of runs, of one store.
    under : str
        The folder in both whose files are looked at.

    Returns
    -------
    Linked

    Notes
    -----
    Files of a run are never written again in place, only replaced, so that a shared file cannot change in both.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     for run in ("old", "new"):
    ...         orders = Path(parent) / run / "orders"
    ...         orders.mkdir(parents=True)
    ...         _ = (orders / "2026-01.parquet").write_text("January")
    ...         _ = (orders / "2026-02.parquet").write_text(f"February, as the {run} run knows it")
    ...     link_unchanged(Path(parent) / "new", Path(parent) / "old")
    Linked(files=1, size=7, copies=0)
    """
    files = size = copies = 0
    for new in sorted((new_folder / under).rglob("*")):
        old = old_folder / new.relative_to(new_folder)
        if not _alike(new, old):
            continue
        if _linked(new, old):
            files, size = files + 1, size + old.stat().st_size
        else:
            copies += 1
    return Linked(files=files, size=size, copies=copies)


def _alike(new: Path, old: Path) -> bool:
    """Whether both are files of their own with the same bytes, owner and rights."""
    try:
        plain = not new.is_symlink() and not old.is_symlink() and new.is_file() and old.is_file()
        if not plain or new.samefile(old):
            return False
        rights = [(told.st_mode, told.st_uid, told.st_gid) for told in (new.stat(), old.stat())]
        return rights[0] == rights[1] and filecmp.cmp(new, old, shallow=False)
    except OSError:
        return False


def _linked(new: Path, old: Path) -> bool:
    """Put a link to the older file in the place of the newer, in one step."""
    try:
        aside = new.parent / f".{new.name}.{secrets.token_hex(8)}"
        os.link(old, aside, follow_symlinks=False)
        aside.replace(new)
    except OSError:
        return False
    return True


_log = logging.getLogger(__name__)
_EXCHANGE: Final = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS
_HERE: Final = -100  # AT_FDCWD of Linux
_NOT_ABLE: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the system says about a place into an error that says what to do.

    Raises
    ------
    StoreError
        If the block met an OSError.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            "The store could not be written.",
            value=f"{place}: {error}",
            remedy="Check the path, space and rights, then run again: what was published stays published.",
        ) from error


def flush_tree(folder: Path) -> None:
    """Force all files of a folder, and then the folders, to the disk."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            flush(Path(place) / name)
        flush(Path(place))


def flush(path: Path) -> None:
    """Force one file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(path: Path, content: bytes, flags: int) -> None:
    """Write to a file for its owner alone, never through a link, and flush it.

    Raises
    ------
    OSError
        If it cannot be opened with these flags, or not be written to its end.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def remove_tree(folder: Path) -> None:
    """Delete a folder and all in it, unless something is mounted there; then it stays, and is told of.

    Raises
    ------
    OSError
        If something cannot be deleted.
    """
    device = folder.lstat().st_dev
    for place, names, _ in os.walk(folder):
        mounted = [name for name in names if (Path(place) / name).lstat().st_dev != device]
        if mounted:
            _log.warning("%s stays, since another file system is mounted at %s.", folder, Path(place) / mounted[0])
            return
    shutil.rmtree(folder)


def replace_durably(path: Path, content: bytes, scratch: Path) -> None:
    """Write a file in the folder ``scratch``, flush it, and rename it to ``path``."""
    aside = scratch / path.name
    write_all(aside, content, os.O_CREAT | os.O_TRUNC)
    aside.replace(path)
    flush(path.parent)


def link_durably(link: Path, target: str, scratch: Path) -> None:
    """Make ``link`` a symbolic link to ``target`` in one step, whatever link stands there."""
    aside = scratch / f"{link.name}.{secrets.token_hex(8)}"
    aside.symlink_to(target)
    aside.replace(link)
    flush(link.parent)


def put_in_place(folder: Path, target: Path, scratch: Path, *, gap: bool) -> Path | None:
    """Rename a folder to ``target``; what stands there comes out, and its new place is returned.

    Parameters
    ----------
    folder, target, scratch : Path
        On one file system; ``scratch`` is a folder for what comes out.
    gap : bool
        Whether there may be a moment with nothing at ``target`` where the system cannot exchange two folders.

    Raises
    ------
    StoreError
        If there may be none and the system cannot.
    """
    older = None
    if not os.path.lexists(target):
        folder.rename(target)
    elif _exchanged(folder, target):
        older = folder
    elif gap:
        older = scratch / f"{target.name}.{secrets.token_hex(8)}"
        target.rename(older)
        folder.rename(target)
    else:
        raise StoreError(
            "This file system cannot exchange two folders in one step, so the current run is not replaced.",
            value=target,
            remedy="Publish another run first, then run again.",
        )
    for parent in {target.parent, folder.parent}:
        flush(parent)
    return older


def _exchanged(first: Path, second: Path) -> bool:
    """Let two folders change places in one step; False where the system has no such call."""
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(first), os.fsencode(second)
    try:
        if sys.platform == "darwin":
            failed = library.renamex_np(names[0], names[1], ctypes.c_uint(_EXCHANGE))
        else:
            failed = library.renameat2(_HERE, names[0], _HERE, names[1], ctypes.c_uint(_EXCHANGE))
    except AttributeError:
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in _NOT_ABLE:
        return False
    raise OSError(code, os.strerror(code), str(second))


MARK: Final = ".clv_forecast_store"
_HEAD: Final = "clv_forecast store 1"
_NAME: Final = re.compile(r"(?:runs|held|work)/[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST: Final = 1 << 26


def is_marked(folder: Path) -> bool:
    """Whether the folder is marked as a store, by a file and not by a link."""
    return _lines(folder)[:1] == [_HEAD]


def mark(folder: Path) -> None:
    """Mark a folder as a store; nothing happens where it is marked already.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    if not is_marked(folder):
        _put(folder, _HEAD + "\n")


def own_names(folder: Path) -> frozenset[str]:
    """Names that the store wrote into its list, such as ``runs/2026-03-31_1f2e3d``; no other is ever removed."""
    return frozenset(line for line in _lines(folder)[1:] if _NAME.fullmatch(line))


def add_names(folder: Path, names: Iterable[str]) -> None:
    """Write names into the list before what they name is made.

    Raises
    ------
    OSError
        If the list cannot be written.
    """
    listed = own_names(folder)
    new = [name for name in names if name not in listed]
    if new:
        there = sorted(name for name in listed if os.path.lexists(folder / name))
        _put(folder, "\n".join([_HEAD, *there, *new, ""]))


def is_folder(path: Path) -> bool:
    """Whether a folder stands at the path itself, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _put(folder: Path, text: str) -> None:
    """Put the file in place in one step, so that one linked to it elsewhere stays what it is."""
    aside = folder / f"{MARK}.{secrets.token_hex(8)}"
    try:
        write_all(aside, text.encode("ascii"), os.O_CREAT | os.O_EXCL)
        aside.replace(folder / MARK)
    finally:
        aside.unlink(missing_ok=True)
    flush(folder)


def _lines(folder: Path) -> list[str]:
    try:
        descriptor = os.open(folder / MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return []
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_LONGEST).decode("ascii", errors="replace").split("\n")
