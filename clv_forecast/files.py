"""A folder written aside and then put in place by renaming: it is complete, or it is not there.

A file written aside and then put in place by renaming: it is complete, or what stood there stands there still.

JSON as this package writes it: every number is finite or null.

Reading TOML as people save it: with a byte-order mark, and with what is wrong said in their words.
"""

from __future__ import annotations

import atexit
import codecs
import errno
import json
import math
import os
import re
import secrets
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from clv_forecast.arguments import with_a_point
from clv_forecast.errors import DomainError, StoreError


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


def json_text(content: Any, *, indent: int | None = None, ascii_only: bool = True) -> str:
    """Write plain values as JSON; NaN and infinities become null.

    Parameters
    ----------
    content : plain values
        Mappings, lists, tuples, text, numbers, truth values, None.
    indent : int, optional
    ascii_only : bool
        Whether other letters are written as escapes.

    Returns
    -------
    str

    Examples
    --------
    >>> json_text({"k": float("inf"), "n": 3, "shares": (0.5, float("nan"))})
    '{"k": null, "n": 3, "shares": [0.5, null]}'
    """
    return json.dumps(finite(content), indent=indent, allow_nan=False, ensure_ascii=ascii_only)


def finite(content: Any) -> Any:
    """Return the same values with None for every number that is not finite."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    return content


_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")
_COMMA: Final = re.compile(r"=\s*([+-]?\d+,\d+)\s*(?=[,}#]|$)")


def read_toml(path: str | os.PathLike[str], *, remedy: str = "") -> tuple[dict[str, Any], str]:
    r"""The tables of a TOML file, and its text.

    Parameters
    ----------
    path : path
        In UTF-8, with a byte-order mark or without.
    remedy : str
        What to do about a file that is not there or not TOML.

    Returns
    -------
    tuple of dict and str

    Raises
    ------
    DomainError
        If the file is not there, cannot be read, is no UTF-8, or is no TOML; a number with a decimal comma is named.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "clv.toml"
    ...     _ = file.write_text("\ufeffseed = 1", encoding="utf-8")
    ...     read_toml(file)
    ({'seed': 1}, 'seed = 1')
    """
    shown = repr(str(path))
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DomainError("There is no such configuration.", value=shown, remedy=remedy) from error
    except (OSError, ValueError) as error:
        raise DomainError("The configuration cannot be read.", value=shown, remedy=remedy) from error
    if content.startswith(_UTF_16):
        raise DomainError("The configuration is saved as UTF-16.", value=shown, remedy="Save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DomainError("The configuration cannot be read.", value=shown, remedy="Save it as UTF-8.") from error
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        told = str(error).rstrip(".")
        comma = _with_comma(told, text)
        where = f"The configuration {path}"
        raise DomainError(
            f"{where} has a mistake: {comma}" if comma else f"{where} is no TOML: {told}.", remedy=remedy
        ) from error
    except (ValueError, RecursionError, OverflowError) as error:
        told = f"The configuration {path} is no TOML: a value in it is too large or nested too deep."
        raise DomainError(told, remedy=remedy) from error


def _with_comma(error: str, text: str) -> str:
    """What to say where the parser stopped at a number with a decimal comma; else empty."""
    line = _LINE.search(error)
    number = None if line is None else _COMMA.search(text.split("\n")[int(line[1]) - 1])
    return "" if line is None or number is None else f"line {line[1]}: {with_a_point(number[1])}"


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
