"""A folder written aside and then put in place by renaming: it is complete, or it is not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clv_forecast.errors import StoreError


@contextmanager
def atomic_folder(folder: str | os.PathLike[str], *, replaces: Callable[[Path], bool]) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends well it takes the place of ``folder``.

    Whatever goes wrong, an interrupt included, what stood there before stands there again.

    Parameters
    ----------
    folder : path
        Its parents are created.
    replaces : callable
        Whether an existing folder is one that may be replaced. Anything else there is refused, never deleted.

    Yields
    ------
    Path
        The folder to write to.

    Raises
    ------
    StoreError
        If something else stands at the path, or the folder cannot be written.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with atomic_folder(Path(parent) / "out", replaces=lambda old: False) as made:
    ...         _ = (made / "note").write_text("done")
    ...     (Path(parent) / "out" / "note").read_text()
    'done'
    """
    target = Path(folder).resolve()
    if target.exists() and not (target.is_dir() and (replaces(target) or not any(target.iterdir()))):
        raise StoreError(
            "Only a new or empty folder is written to, or one that holds an earlier result of the same kind.",
            value=target,
            remedy="Choose another folder.",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            yield aside
            aside.chmod(0o755)
            _swap(aside, target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            "The folder could not be written.", value=f"{target}: {error}", remedy="Check the path, space and rights."
        ) from error


def _swap(aside: Path, target: Path) -> None:
    """Rename into place; what stands there steps aside first, and comes back if that fails."""
    if not target.exists():
        aside.rename(target)
        return
    shelter = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    older = shelter / "older"
    try:
        target.rename(older)
        aside.rename(target)
    except BaseException:
        if older.exists() and not target.exists():
            older.rename(target)
        shelter.rmdir()
        raise
    shutil.rmtree(shelter, ignore_errors=True)
