"""What a store made itself: the file that marks it as a store, and in it the names that it may remove."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from clv_forecast.run_store.durable_files import flush, write_all

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
