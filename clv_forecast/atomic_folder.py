"""A folder written aside and then put in place by renaming: it is complete, or it is not there."""

from __future__ import annotations

import atexit
import errno
import os
import secrets
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
    >>> import tempfile
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
        aside = _beside(target)
        aside.mkdir()
        try:
            yield aside
            _swap(aside, target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            "The folder could not be written.", value=f"{target}: {error}", remedy="Check the path, space and rights."
        ) from error


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give an empty temporary folder, the owner's alone and of a name that cannot be guessed; it goes with the block.

    Raises
    ------
    StoreError
        If none can be made, or the space for temporary files is used up.

    Examples
    --------
    >>> with scratch_folder() as folder:
    ...     _ = (folder / "note").write_text("passing")
    >>> folder.exists()
    False
    """
    folder = _temporary()
    try:
        yield folder
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _no_room(error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lasting_scratch_folder() -> Path:
    """Make an empty temporary folder, as `scratch_folder`, that goes when this process ends.

    Raises
    ------
    StoreError
        If none can be made.
    """
    folder, process = _temporary(), os.getpid()

    def remove() -> None:
        if os.getpid() == process:  # and not a child by fork
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _temporary() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="clv_forecast_"))
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> StoreError:
    return StoreError(
        "There is no room for temporary files.",
        value=error,
        remedy="Free some, or name another folder for them in the variable TMPDIR.",
    )


def _beside(target: Path) -> Path:
    """A path beside the target that nobody can guess; what is made there may be read as the user's umask says."""
    return target.parent / f".{target.name}.{secrets.token_hex(8)}"


def _swap(aside: Path, target: Path) -> None:
    """Rename into place; what stands there steps aside first, and comes back if that fails."""
    if not target.exists():
        aside.rename(target)
        return
    shelter = _beside(target)
    shelter.mkdir(mode=0o700)
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
