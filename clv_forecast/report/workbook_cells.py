"""Cells of the workbook: what kind of figure a column holds, how it looks, and writing it so that text stays text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.printable import printable
from clv_forecast.report.spreadsheet_text import cell_text, starts_a_formula

TEXT: Final = "text"
MONEY: Final = "money"
SHARE: Final = "share"
COUNT: Final = "count"
NUMBER: Final = "number"
MONTHS: Final = "months"
DATE: Final = "date"

_NUMBER_FORMATS: Final[Mapping[str, str]] = {
    TEXT: "@",
    MONEY: "#,##0.00;[Red]-#,##0.00",
    SHARE: "0.0%",
    COUNT: "#,##0",
    NUMBER: "0.00",
    MONTHS: "0",
    DATE: "yyyy-mm-dd",
}
_WIDTHS: Final[Mapping[str, float]] = {MONEY: 14.0, SHARE: 10.0, COUNT: 10.0, NUMBER: 10.0, MONTHS: 10.0, DATE: 12.0}
_WIDEST: Final = 80.0
HEADER_HEIGHT: Final = 46.0
"""Three lines: the arrow of a filter hides no word."""
LOW_HEADER: Final = 31.0
"""Two lines, where there is no filter."""
_ROWS_MEASURED: Final = 500
_EXACT_DIGITS: Final = 15
"""A spreadsheet keeps so many digits of a number: a longer whole number is written as text."""

_SHARES: Final = frozenset(
    {
        "prob",
        "confidence",
        "target_roi",
        "readiness",
        "share_of_wallet",
        "parameter_share",
        "process_share",
        "common_share",
        "share_repaying",
        "share",
    }
)
_COUNTS: Final = frozenset(
    {"rank", "rank_lower", "rank_upper", "top_k", "customers", "accounts", "new_customers", "reactivated", "sharing"}
)
_MONTHS: Final = frozenset({"payback_months", "payback_limit_months", "age_months"})
_NUMBERS: Final = frozenset({"ltv_to_cac", "expected_future_referrals", "expected_purchases", "purchases"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Formats of one workbook: of each kind of figure, of text that must not be read as a formula, and by role."""

    kinds: Mapping[str, Any]
    quoted: Any
    roles: Mapping[str, Any]

    @classmethod
    def of(cls, workbook: Any) -> Look:
        """Add the formats to a workbook of xlsxwriter."""
        kinds = {
            kind: workbook.add_format({"num_format": shape, **({"indent": 1} if kind == TEXT else {})})
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
            "yes_or_no": {"align": "right"},
            "quiet": {"italic": True, "font_color": "#595959"},
            "warning": {"bold": True, "font_color": "#9C0006", "bg_color": "#FFC7CE"},
            "banner": {"bold": True, "font_color": "#006100", "bg_color": "#E2EFDA"},
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
            quoted=workbook.add_format({"num_format": "@", "indent": 1, "quote_prefix": True}),
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
    """Describe one column of a table."""
    kind = kind_of(name, table[name].dtype)
    words = in_words(name) if header is None else header
    if kind == MONEY and currency:
        words = f"{words} ({currency})"
    return Column(name=name, header=words, kind=kind, width=_width(table[name], kind))


def kind_of(name: str, dtype: Any) -> str:
    """Tell what a column holds from its name, and where the name says nothing, from its type.

    Examples
    --------
    >>> kind_of("p_loss", np.dtype(float)), kind_of("value", np.dtype(float)), kind_of("customer_id", np.dtype(int))
    ('share', 'money', 'text')
    """
    if name == columns.CUSTOMER_ID:
        return TEXT
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return DATE
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
        return TEXT
    for kind, names in ((SHARE, _SHARES), (COUNT, _COUNTS), (MONTHS, _MONTHS), (NUMBER, _NUMBERS)):
        if name in names or name.removesuffix("_lower").removesuffix("_upper") in names:
            return kind
    if name.startswith("p_"):
        return SHARE
    return COUNT if pd.api.types.is_integer_dtype(dtype) else MONEY


def in_words(name: str) -> str:
    """Turn the name of a column into what stands above it.

    Examples
    --------
    >>> in_words("p_alive"), in_words("value_lower"), in_words("ltv_to_cac")
    ('P(alive)', 'Value lower', 'LTV to CAC')
    """
    if name.startswith("p_"):
        return f"P({name[2:].replace('_', ' ').replace('cac', 'CAC')})"
    if name == columns.CUSTOMER_ID:
        return "Customer"
    words = name.replace("_", " ").capitalize()
    return re.sub(r"\b(cac|ltv)\b", lambda found: found[0].upper(), words, flags=re.IGNORECASE)


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
            sheet.write_number(row, col, float(value), look.roles["plain"] if kind == TEXT else look.kinds[kind])
        return
    if value is None or value is pd.NA or value is pd.NaT:
        return
    put_text(sheet, row, col, value.date().isoformat() if isinstance(value, pd.Timestamp) else str(value), look)


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


def _width(values: pd.Series[Any], kind: str) -> float:
    if kind == MONEY:
        largest = float(pd.to_numeric(values, errors="coerce").abs().max()) if len(values) else 0.0
        return max(_WIDTHS[MONEY], len(f"{largest:,.2f}") + 2.0) if np.isfinite(largest) else _WIDTHS[MONEY]
    if kind != TEXT:
        return _WIDTHS[kind]
    longest = max((len(printable(value)) for value in values.head(_ROWS_MEASURED)), default=0)
    return float(min(max(longest + 2.0, 11.0), _WIDEST))
