"""Reading TOML as people save it: with a byte-order mark, and with what is wrong said in their words."""

from __future__ import annotations

import codecs
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from clv_forecast.arguments import with_a_point
from clv_forecast.errors import DomainError

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
