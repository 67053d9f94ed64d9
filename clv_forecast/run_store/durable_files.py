"""Files and folders that are on the disk when a step ends, and change their names in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clv_forecast.errors import StoreError

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


def write_durably(path: Path, content: bytes) -> None:
    """Write a file aside, flush it, and rename it into place."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.chmod(0o644)
        aside.replace(path)
        flush(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def link_durably(link: Path, target: str) -> None:
    """Make ``link`` a symbolic link to ``target`` in one step, whatever link stands there."""
    aside = Path(tempfile.mkdtemp(prefix=f".{link.name}.", dir=link.parent))
    try:
        (aside / link.name).symlink_to(target)
        (aside / link.name).replace(link)
        flush(link.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def put_in_place(folder: Path, target: Path, *, gap: bool) -> Path | None:
    """Rename a folder to ``target``; what stands there comes out, and its new place is returned.

    Parameters
    ----------
    folder, target : Path
        On one file system.
    gap : bool
        Whether there may be a moment with nothing at ``target`` where the system cannot exchange two folders.

    Raises
    ------
    StoreError
        If there may be none and the system cannot.
    """
    older = None
    if not target.exists():
        folder.rename(target)
    elif _exchanged(folder, target):
        older = folder
    elif gap:
        older = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=folder.parent)) / target.name
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
