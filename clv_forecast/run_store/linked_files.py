"""Files that did not change from run to run are stored once: the newer run's become links to the older run's."""

from __future__ import annotations

import filecmp
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
