"""Text from outside made safe to show: on one line, without what steers a terminal, and without logins of URLs."""

from __future__ import annotations

import re
from typing import Any, Final

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
