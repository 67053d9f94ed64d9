"""Text for spreadsheets: names and reasons are somebody else's words, and must never become a formula."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from clv_forecast.printable import printable

MOST_IN_A_CELL: Final = 32_767
"""Characters a cell holds, counted as spreadsheets do (an emoji is two)."""
CUT: Final = " ... [cut]"

_STARTS_A_FORMULA: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""Full-width signs too: some locales read them like the plain ones."""
_PLAIN_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?")
# A reader that separates by semicolons sees a new field after one
_NEXT_FIELD: Final = re.compile(
    '(;[\\s"\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]*)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])'
)
# RFC 4180 has no control characters, readers split lines at more than its line ends, and UTF-8 has no half pairs
_NO_CSV: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def cell_text(text: str) -> str:
    r"""Return text that a cell can hold, and that every reader can open.

    It is `printable`: control characters, line ends, marks of direction and halves of surrogate pairs become escapes.
    What is longer than a cell is cut with a mark. Anything else, also emoji, stays.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> cell_text("Smith\x00 & Sons")
    'Smith\\x00 & Sons'
    >>> len(cell_text("x" * 40_000)), cell_text("x" * 40_000)[-5:]
    (32767, '[cut]')
    """
    found = printable(text)
    if len(found) * 2 <= MOST_IN_A_CELL or _units(found) <= MOST_IN_A_CELL:
        return found
    room = MOST_IN_A_CELL - len(CUT)
    return found.encode("utf-16-le")[: 2 * room].decode("utf-16-le", errors="ignore") + CUT


def starts_a_formula(text: str) -> bool:
    r"""Whether a spreadsheet may read the text as a formula: it begins with ``= + - @``, a tab or a line end.

    Spaces and invisible characters before the sign do not hide it. A plain number such as ``-17`` is no formula.

    Examples
    --------
    >>> [starts_a_formula(text) for text in ("=1+1", "  @SUM(A1)", "-17", "Smith - Sons", "\tx")]
    [True, True, False, False, True]
    """
    if text[:1] in ("\t", "\r", "\n"):
        return True
    if _PLAIN_NUMBER.fullmatch(text):
        return False
    for character in text:
        if character in _STARTS_A_FORMULA:
            return True
        if unicodedata.category(character)[0] not in "ZC":
            return False
    return False


def csv_text(text: str) -> str:
    """Return text that stays text when a CSV file is opened as a spreadsheet.

    An apostrophe goes before what would start a formula, also after a semicolon within the text: where it separates
    fields, the rest would be a field of its own. Safe text stays what it is, and so does text that was made safe
    before.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Fit for a cell too: see `cell_text`.

    Examples
    --------
    >>> csv_text("=HYPERLINK(A1)"), csv_text("Smith; =1+1"), csv_text("Smith - Sons")
    ("'=HYPERLINK(A1)", "Smith; '=1+1", 'Smith - Sons')
    """
    found = cell_text(text)
    if starts_a_formula(found):
        found = f"'{found}"
    return cell_text(_NEXT_FIELD.sub(r"\1'", found))


def csv_holds(text: str) -> bool:
    r"""Whether a CSV file can hold the text unchanged, and no spreadsheet runs, cuts or splits it.

    Examples
    --------
    >>> [csv_holds(text) for text in ("A-1", "Søn; & Co", "A\x07", "=1+1", "A; =1")]
    [True, True, False, False, False]
    """
    if _NO_CSV.search(text) or starts_a_formula(text) or _NEXT_FIELD.search(text):
        return False
    return _units(text) <= MOST_IN_A_CELL


def _units(text: str) -> int:
    """Length in units of UTF-16."""
    return len(text) + sum(character > "\uffff" for character in text)
