"""Cells of the workbook: what kind of figure a column holds, how it looks, and writing it so that text stays text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.column_titles import COUNT, DATE, MONEY, MONTHS, RATIO, SHARE, TEXT, kind_of, title_of
from clv_forecast.printable import printable
from clv_forecast.report.spreadsheet_text import cell_text, starts_a_formula

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


def column_of(table: pd.DataFrame, name: str, currency: str | None, header: str | None = None) -> Column:
    """Describe one column of a table: its kind and what stands above it have one source."""
    kind = kind_of(name, table[name].dtype)
    title = title_of(name, kind, currency) if header is None else header
    return Column(name=name, header=title, kind=kind, width=_width(table[name], kind, title))


def put(sheet: Any, row: int, col: int, value: Any, kind: str, look: Look) -> None:
    """Write one value: text as text whatever it begins with, numbers as numbers, what is missing as an empty cell.

    A whole number in a column of text (an id) stays a number while a spreadsheet holds all of its digits.
    """
    if kind == DATE:
        if not pd.isna(value):
            sheet.write_datetime(row, col, pd.Timestamp(value).to_pydatetime().replace(tzinfo=None), look.kinds[DATE])
        return
    if isinstance(value, bool | np.bool_):
        put_text(sheet, row, col, "yes" if value else "no", look)
        return
    if isinstance(value, int | np.integer):
        if abs(int(value)) < 10**_EXACT_DIGITS:
            sheet.write_number(row, col, int(value), look.roles["plain"] if kind == TEXT else look.kinds[kind])
        else:
            put_text(sheet, row, col, str(value), look)
        return
    if isinstance(value, float | np.floating):
        if np.isfinite(value):
            # Adding 0 turns -0.0 into 0.0
            sheet.write_number(row, col, float(value) + 0.0, look.roles["plain"] if kind == TEXT else look.kinds[kind])
        return
    if value is None or value is pd.NA or value is pd.NaT:
        return
    text = value.date().isoformat() if isinstance(value, pd.Timestamp) else str(value)
    put_text(sheet, row, col, text, look, "right" if kind == MONTHS else None)


def fit_height(sheet: Any, row: int, values: Sequence[Any], shown: Sequence[Column]) -> None:
    """Make a row as high as its longest text: not every program does it by itself."""
    lines = 1
    for value, column in zip(values, shown, strict=True):
        if column.kind == TEXT and isinstance(value, str) and len(value) > column.width - 2.0:
            lines = max(lines, -(-len(value) // int(_LETTERS_IN_A_UNIT * column.width)))
    if lines > 1:
        sheet.set_row(row, _LINE_HEIGHT * min(lines, _MOST_LINES))


def put_text(sheet: Any, row: int, col: int, text: str, look: Look, role: str | None = None) -> None:
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
    look: Look,
    *,
    first: int = 0,
    height: float = HEADER_HEIGHT,
) -> None:
    """Write the heads of columns, each with the kind of what stands below it: figures stand to the right."""
    for place, (head, kind) in enumerate(heads, start=first):
        put_text(sheet, row, place, head, look, "header" if kind == TEXT else "header_right")
    sheet.set_row(row, height)


def clean_zeros(sheet: Any, rows: tuple[int, int], place: int, look: Look) -> None:
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
