"""A file written aside and then put in place by renaming: it is complete, or what stood there stands there still."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clv_forecast.errors import StoreError


@contextmanager
def atomic_file(path: str | os.PathLike[str], *, replaces: bool = True) -> Iterator[Path]:
    """Give a path to write to; when the block ends well the file takes the place of ``path``.

    Parameters
    ----------
    path : path
        Its parents are created.
    replaces : bool
        Whether an earlier file is replaced; else it is an error.

    Yields
    ------
    Path
        In the same folder, with the same suffix.

    Raises
    ------
    StoreError
        If a folder stands at the path, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_file(Path(folder) / "note.txt") as aside:
    ...         _ = aside.write_text("done")
    ...     (Path(folder) / "note.txt").read_text()
    'done'
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise StoreError("A file is written, not a folder.", value=target, remedy="Name a file in it.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.parent / f".{target.stem}.{secrets.token_hex(8)}{target.suffix}"
        aside.open("xb").close()
        try:
            yield aside
            if replaces:
                aside.replace(target)
            else:
                os.link(aside, target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            "The file could not be written.", value=f"{target}: {error}", remedy="Check the path, space and rights."
        ) from error
