"""Text from outside made safe to show: on one line, without what steers a terminal, and without logins of URLs.

Tables made safe to show: the text in them, and the names of their columns, written as `printable` writes them.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pandas as pd

# Letters that join others (in Persian, Hindi, emoji) and spaces of other widths move no cursor
_HARMLESS: Final = frozenset("\u200c\u200d\xa0\u2002\u2003\u2007\u2009\u202f\u3000")
_LOGIN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*\s*:/+).*@", re.DOTALL)
_QUERY: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*\s*:/+[^?\n]*\?)\S+")
_BARE_LOGIN: Final = re.compile(r"[^\s/:@'\"(]+:(?!/)[^\s@]+@")
_PAIR: Final = re.compile(r"(\w*(?:passw|pass\b|pwd|secret|token)\w*\s*=\s*)[^\s;&]+", re.IGNORECASE)
HIDDEN: Final = "***"


def printable(text: Any) -> str:
    r"""Return text on one line, with control characters, line ends and marks of direction written as escapes.

    Parameters
    ----------
    text : object
        Text, or what ``str`` makes text of.

    Returns
    -------
    str
        Letters of any script stay what they are.

    Examples
    --------
    >>> printable("C\x07007\n2026-11-30 INFO all is well")
    'C\\x07007\\n2026-11-30 INFO all is well'
    >>> printable("Łódź & Søn")
    'Łódź & Søn'
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(sign if sign.isprintable() or sign in _HARMLESS else ascii(sign)[1:-1] for sign in plain)


def printable_lines(text: str) -> str:
    r"""Return text of several lines, each made `printable`.

    Examples
    --------
    >>> printable_lines("one\ntwo\x1b[2J")
    'one\ntwo\\x1b[2J'
    """
    return "\n".join(map(printable, text.split("\n")))


def figure_text(text: Any) -> str:
    r"""Return `printable` text in which matplotlib sees no mathematics.

    Examples
    --------
    >>> figure_text("Cash $5 & $10\n")
    'Cash \\$5 & \\$10\\n'
    """
    return printable(text).replace("$", r"\$")


def without_logins(text: str) -> str:
    """Hide user, password and options of whatever looks like a URL, also one with a mistake in it.

    A last resort for text of other makers: a URL of our own is shown by ``ConnectionUrl``, which knows its parts.

    Examples
    --------
    >>> without_logins("no route to postgres://clv:hunter2@db/shop?token=x")
    'no route to postgres://***@db/shop?***'
    """
    for found, shown in ((_LOGIN, rf"\1{HIDDEN}@"), (_BARE_LOGIN, f"{HIDDEN}@"), (_QUERY, rf"\1{HIDDEN}")):
        text = found.sub(shown, text)
    return _PAIR.sub(rf"\1{HIDDEN}", text)


def printable_table(table: pd.DataFrame) -> pd.DataFrame:
    r"""Return a table with all of its text on one line per cell, without what steers a terminal or turns text around.

    Parameters
    ----------
    table : DataFrame
        It stays what it is.

    Returns
    -------
    DataFrame
        Numbers, days and what is missing are the same.

    Examples
    --------
    >>> printable_table(pd.DataFrame({"name": ["A\x1b[2J", "B"], "value": [1.5, 2.0]}))["name"].tolist()
    ['A\\x1b[2J', 'B']
    """
    shown = pd.DataFrame(
        {place: _printable_column(column) for place, (_, column) in enumerate(table.items())}, index=table.index
    )
    shown.columns = pd.Index([_printable_text(name) for name in table.columns], dtype=object)
    return shown


def _printable_column(column: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column
    return pd.Series([_printable_text(value) for value in column.tolist()], index=column.index, dtype=object)


def _printable_text(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value
