"""Cells of the workbook: what kind of figure a column holds, how it looks, and writing it so that text stays text.

What the workbook may change and what it may not: the published settings, their cells, and the shared formulas.

Text for spreadsheets: names and reasons are somebody else's words, and must never become a formula.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.column_titles import COUNT, DATE, MONEY, MONTHS, RATIO, SHARE, TEXT, kind_of, title_of
from clv_forecast.finance.allowances import BARELY_MORE
from clv_forecast.printable import printable
from clv_forecast.report.report import Report

ASSUMPTIONS: Final = "Assumptions"
SIMULATED: Final = "SIMULATED DATA. "
_EQUAL: Final = "1E-9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Published settings of a report's allowable spend.

    Parameters
    ----------
    target_roi, confidence : float or None
        None where the report has no allowable spend: then nothing is live.
    margin : float or None
        The one margin that all values are proportional to; None where there is no such margin.
    margin_words : str
        What stands in the place of the number where the margin is locked.
    why_locked : str
        Why the margin is locked; empty where it is live.
    simulated : bool
    """

    target_roi: float | None
    confidence: float | None
    margin: float | None
    margin_words: str
    why_locked: str
    simulated: bool

    @property
    def live(self) -> bool:
        """Whether anything can be changed."""
        return self.target_roi is not None


def settings_of(report: Report) -> Settings:
    """Read the settings of a report: those of its first allowable spend."""
    first = next(iter(report.spends), None)
    margin, words, why = _margin(report)
    return Settings(
        target_roi=None if first is None else first.target_roi,
        confidence=None if first is None else first.confidence,
        margin=margin,
        margin_words=words,
        why_locked=why,
        simulated=report.simulated,
    )


def _margin(report: Report) -> tuple[float | None, str, str]:
    """The margin that all values are proportional to, how it is shown, and why it is locked if it is."""
    terms = report.forecast.assumptions
    given = terms["margin"]
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None, "by account", "Locked: margins differ by account, so values are not proportional to one number."
    words = per_cent(given)
    if given <= 0.0:
        return None, words, "Locked: values can only be scaled from a margin above 0."
    if any(terms[name] != 0.0 for name in ("cost_to_serve", "cost_per_order")):
        return None, words, "Locked: there are costs beside the margin, so values are not proportional to it."
    return float(given), words, ""


def cents(at_horizon: str, repaid: str | None) -> str:
    """Return the formula of an allowance in whole cents, from the cells of value at the horizon and within the limit.

    Examples
    --------
    >>> cents("A1", None)
    'INT(MAX(0,A1*margin_scale/roi_factor)*100*1.0000000000001)'
    """
    earns = f"{at_horizon}*margin_scale/roi_factor"
    if repaid is not None:
        earns = f"MIN({earns},{repaid}*margin_scale)"
    return f"INT(MAX(0,{earns})*100*{BARELY_MORE:.13f})"


def at_level(cells: str) -> str:
    """Return the formula that picks the chosen confidence among cells of all stored levels."""
    return f"INDEX({cells},confidence_place)"


def banner_text(settings: Settings) -> str:
    """Return what the banner says while nothing has been changed."""
    mark = SIMULATED if settings.simulated else ""
    if settings.target_roi is None or settings.confidence is None:
        return f"{mark}As published."
    return f"{mark}As published: target return {per_cent(settings.target_roi)}, confidence " + (
        f"{per_cent(settings.confidence)}, margin {settings.margin_words}."
    )


def banner_formula(settings: Settings) -> str:
    """Return the formula of the banner: as published, different from the published run, or not valid."""
    mark = SIMULATED if settings.simulated else ""
    changed = _changed("target return ", "target_roi", settings.target_roi)
    changed += _changed(", confidence ", "confidence", settings.confidence)
    if settings.margin is not None:
        changed += _changed(", margin ", "margin", settings.margin)
    return (
        f'=IF(settings_valid,IF(as_published,"{banner_text(settings)}",'
        f'"{mark}DIFFERS FROM THE PUBLISHED RUN: "{changed}&"."),'
        f'"{mark}NOT VALID: target return above -100 %, confidence from the list'
        f'{", margin above 0" if settings.margin is not None else ""}.")'
    )


def valid_formula(settings: Settings, levels: str) -> str:
    """Return the formula that says whether the settings can be calculated with."""
    parts = [
        "ISNUMBER(target_roi)",
        "IF(ISNUMBER(target_roi),target_roi>-1,FALSE)",
        f"ISNUMBER(MATCH(ROUND(100*confidence,6),{levels},0))",
    ]
    if settings.margin is not None:
        parts.append("IF(ISNUMBER(margin),margin>0,FALSE)")
    return f"=IFERROR(AND({','.join(parts)}),FALSE)"


def as_published_formula(settings: Settings) -> str:
    """Return the formula that compares the live cells with the published values."""
    pairs = [("target_roi", settings.target_roi), ("confidence", settings.confidence)]
    if settings.margin is not None:
        pairs.append(("margin", settings.margin))
    same = ",".join(f"ABS({name}-published_{name})<{_EQUAL}" for name, _ in pairs)
    return f"=IFERROR(AND({same}),FALSE)"


def _changed(words: str, name: str, published: Any) -> str:
    return f'&"{words}"&ROUND(100*{name},4)&" % (published {per_cent(published)})"'


def per_cent(share: float) -> str:
    """Return a share in per cent, as the banner's formula shows it.

    Examples
    --------
    >>> per_cent(0.225)
    '22.5 %'
    """
    return f"{round(100.0 * share, 4):zg} %"


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


_NUMBER_FORMATS: Final[Mapping[str, str]] = {
    TEXT: "@",
    MONEY: "#,##0.00;[Red]-#,##0.00",
    SHARE: "0.0%",
    COUNT: "#,##0",
    RATIO: "#,##0.00",
    MONTHS: "0",
    DATE: "yyyy-mm-dd",
}
_WIDTHS: Final[Mapping[str, float]] = {MONEY: 12.0, SHARE: 9.0, COUNT: 9.0, RATIO: 10.0, MONTHS: 10.0, DATE: 12.0}
_WIDEST: Final = 60.0
HEADER_HEIGHT: Final = 46.0
"""Three lines: the arrow of a filter hides no word."""
LOW_HEADER: Final = 31.0
"""Two lines, where there is no filter."""
_LINE_HEIGHT: Final = 15.0
_LETTERS_IN_A_UNIT: Final = 1.1
"""A unit of width is a digit; letters are narrower on average."""
_MOST_LINES: Final = 27
"""A row is at most 409 points high."""
_ROWS_MEASURED: Final = 500
_A3: Final = 8
_A4: Final = 9
_FITS_A4: Final = 190.0
"""Characters side by side that can still be read on a page of A4."""
_EXACT_DIGITS: Final = 15
"""A spreadsheet keeps so many digits of a number: a longer whole number is written as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Formats of one workbook: of each kind of figure, of text that must not be read as a formula, and by role."""

    kinds: Mapping[str, Any]
    quoted: Any
    roles: Mapping[str, Any]

    @classmethod
    def of(cls, workbook: Any) -> Look:
        """Add the formats to a workbook of xlsxwriter."""
        words = {"align": "left", "indent": 1, "text_wrap": True}
        kinds = {
            kind: workbook.add_format({"num_format": shape, "valign": "top", **(words if kind == TEXT else {})})
            for kind, shape in _NUMBER_FORMATS.items()
        }
        line = {"border": 1, "border_color": "#BFBFBF"}
        live = {"bg_color": "#FFF8DC", "font_color": "#0000C0", "locked": False, **line}
        roles: dict[str, Mapping[str, Any]] = {
            "title": {"bold": True, "font_size": 14},
            "section": {"bold": True, "font_size": 12, "font_color": "#1F3864", "bottom": 1},
            "header": {
                "bold": True,
                "text_wrap": True,
                "valign": "top",
                "align": "left",
                "indent": 1,
                "bg_color": "#1F3864",
                "font_color": "#FFFFFF",
            },
            "header_right": {
                "bold": True,
                "text_wrap": True,
                "valign": "top",
                "align": "right",
                "bg_color": "#1F3864",
                "font_color": "#FFFFFF",
            },
            "words": {"text_wrap": True, "valign": "top"},
            "plain": {"valign": "top"},
            "aside": {"valign": "top", "align": "left", "indent": 1},
            "right": {"align": "right", "valign": "top"},
            "quiet": {"italic": True, "font_color": "#595959"},
            "warning": {"bold": True, "font_color": "#9C0006", "bg_color": "#FFC7CE"},
            "banner": {"bold": True, "font_color": "#006100", "bg_color": "#E2EFDA"},
            "zero": {"num_format": "0.00;0.00"},
            "stale": {"italic": True, "font_color": "#808080"},
            "live_share": {"num_format": "0.0%", **live},
            "live_level": {"num_format": "0%", **live},
            "locked_share": {"num_format": "0.0%", "align": "right", "bg_color": "#F2F2F2"},
            "level": {"num_format": "0%", "align": "right"},
            "locked_text": {"align": "right", "bg_color": "#F2F2F2"},
            "sum_money": {"bold": True, "num_format": _NUMBER_FORMATS[MONEY], "top": 1},
            "sum_count": {"bold": True, "num_format": _NUMBER_FORMATS[COUNT], "top": 1},
            "sum_words": {"bold": True, "top": 1},
        }
        return cls(
            kinds=kinds,
            quoted=workbook.add_format({"num_format": "@", "valign": "top", "quote_prefix": True, **words}),
            roles={name: workbook.add_format(dict(shape)) for name, shape in roles.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a sheet: where its values come from, what stands above them, and what they are."""

    name: str
    header: str
    kind: str
    width: float


def column_of(table: pd.DataFrame, name: str, currency: str | None, *, header: str | None = None) -> Column:
    """Describe one column of a table: its kind and what stands above it have one source."""
    kind = kind_of(name, table[name].dtype)
    title = title_of(name, kind, currency) if header is None else header
    return Column(name=name, header=title, kind=kind, width=_width(table[name], kind, title))


def put(sheet: Any, row: int, col: int, *, value: Any, kind: str, look: Look) -> None:
    """Write one value: text as text whatever it begins with, numbers as numbers, what is missing as an empty cell.

    A whole number in a column of text (an id) stays a number while a spreadsheet holds all of its digits.
    """
    if kind == DATE:
        if not pd.isna(value):
            sheet.write_datetime(row, col, pd.Timestamp(value).to_pydatetime().replace(tzinfo=None), look.kinds[DATE])
        return
    if isinstance(value, bool | np.bool_):
        put_text(sheet, row, col, text="yes" if value else "no", look=look)
        return
    if isinstance(value, int | np.integer):
        if abs(int(value)) < 10**_EXACT_DIGITS:
            sheet.write_number(row, col, int(value), look.roles["plain"] if kind == TEXT else look.kinds[kind])
        else:
            put_text(sheet, row, col, text=str(value), look=look)
        return
    if isinstance(value, float | np.floating):
        if np.isfinite(value):
            # Adding 0 turns -0.0 into 0.0
            sheet.write_number(row, col, float(value) + 0.0, look.roles["plain"] if kind == TEXT else look.kinds[kind])
        return
    if value is None or value is pd.NA or value is pd.NaT:
        return
    text = value.date().isoformat() if isinstance(value, pd.Timestamp) else str(value)
    put_text(sheet, row, col, text=text, look=look, role="right" if kind == MONTHS else None)


def fit_height(sheet: Any, row: int, values: Sequence[Any], *, shown: Sequence[Column]) -> None:
    """Make a row as high as its longest text: not every program does it by itself."""
    lines = 1
    for value, column in zip(values, shown, strict=True):
        if column.kind == TEXT and isinstance(value, str) and len(value) > column.width - 2.0:
            lines = max(lines, -(-len(value) // int(_LETTERS_IN_A_UNIT * column.width)))
    if lines > 1:
        sheet.set_row(row, _LINE_HEIGHT * min(lines, _MOST_LINES))


def put_text(sheet: Any, row: int, col: int, *, text: str, look: Look, role: str | None = None) -> None:
    """Write text that no spreadsheet reads as a formula, not even after the cell has been edited."""
    safe = cell_text(text)
    if not safe:
        return
    plain = look.kinds[TEXT] if role is None else look.roles[role]
    sheet.write_string(row, col, safe, look.quoted if starts_a_formula(safe) else plain)


def put_headers(
    sheet: Any,
    row: int,
    heads: Sequence[tuple[str, str]],
    *,
    look: Look,
    first: int = 0,
    height: float = HEADER_HEIGHT,
) -> None:
    """Write the heads of columns, each with the kind of what stands below it: figures stand to the right."""
    for place, (head, kind) in enumerate(heads, start=first):
        put_text(sheet, row, place, text=head, look=look, role="header" if kind == TEXT else "header_right")
    sheet.set_row(row, height)


def clean_zeros(sheet: Any, rows: tuple[int, int], place: int, *, look: Look) -> None:
    """Show amounts between -0.005 and 0 without a sign: "-0.00" says nothing."""
    first, last = rows
    rule = {"type": "cell", "criteria": "between", "minimum": -0.00499999, "maximum": -1e-300}
    sheet.conditional_format(first, place, last, place, {**rule, "format": look.roles["zero"]})


def print_whole(sheet: Any, last_row: int, last_place: int, *, width: float) -> None:
    """Print all of a sheet, a page wide: on the larger paper where there is much of it."""
    sheet.print_area(0, 0, last_row, last_place)
    sheet.set_paper(_A3 if width > _FITS_A4 else _A4)


def _width(values: pd.Series[Any], kind: str, title: str) -> float:
    """Room for the values, and for the longest word above them."""
    least = max((len(word) for word in title.split()), default=0) + 3.0
    if kind == MONEY:
        largest = float(pd.to_numeric(values, errors="coerce").abs().max()) if len(values) else 0.0
        room = len(f"{largest:,.2f}") + 2.0 if np.isfinite(largest) else 0.0
        return max(_WIDTHS[MONEY], least, room)
    if kind != TEXT and pd.api.types.is_numeric_dtype(values.dtype):
        return max(_WIDTHS[kind], least)
    longest = max((len(printable(value)) for value in values.head(_ROWS_MEASURED)), default=0)
    return float(min(max(longest + 2.0, least), _WIDEST))
