"""Files and folders that are on the disk when a step ends, and change their names in one step."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clv_forecast.errors import StoreError

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
