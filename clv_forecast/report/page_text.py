"""Numbers and days as the page shows them, and the parts a section of it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd

from clv_forecast.printable import printable

MISSING: Final = "\u2013"
_SMALL: Final = 100.0
_LEAST: Final = 0.005
_LONGEST: Final = 400
_STEPS: Final = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))


def money(amount: Any, currency: str | None = None, *, digits: int | None = None) -> str:
    """Return an amount with thousands separators, and its currency where one is given.

    Examples
    --------
    >>> money(1234567.8, "EUR"), money(12.345), money(-0.001)
    ('1,234,568 EUR', '12.35', '0')
    """
    if pd.isna(amount):
        return MISSING
    value = float(amount)
    places = (2 if _LEAST <= abs(value) < _SMALL else 0) if digits is None else digits
    text = f"{value:z,.{places}f}"
    return f"{text} {currency}" if currency else text


def short_money(amount: float) -> str:
    """Return an amount for an axis or a tile.

    Examples
    --------
    >>> short_money(1234567.0), short_money(0.0), short_money(-4200.0), short_money(12.0)
    ('1.23M', '0', '-4.2k', '12')
    """
    for size, letter in _STEPS:
        if abs(amount) >= size:
            return f"{amount / size:.3g}{letter}" if abs(amount) < 1000.0 * size else f"{amount / size:,.0f}{letter}"
    return f"{amount:z.3g}" if abs(amount) >= _LEAST else "0"


def percent(share: Any, *, digits: int = 0) -> str:
    """Return a share in per cent.

    Examples
    --------
    >>> percent(0.8), percent(0.8765, digits=1)
    ('80 %', '87.6 %')
    """
    return MISSING if share is None or pd.isna(share) else f"{100.0 * float(share):z.{digits}f} %"


def tenths_of_percent(share: Any) -> str:
    """Return a share in per cent with one digit."""
    return percent(share, digits=1)


def signed_percent(share: Any) -> str:
    """Return a share in per cent with its sign."""
    return MISSING if pd.isna(share) else f"{100.0 * float(share):+z.1f} %"


def cents(amount: Any) -> str:
    """Return an amount to the cent."""
    return money(amount, digits=2)


def decimal(number: Any) -> str:
    """Return a number with one digit."""
    return MISSING if pd.isna(number) else f"{float(number):z,.1f}"


def decimal_or_words(value: Any) -> str:
    """Return a number with one digit, or the words that stand for it."""
    return value if isinstance(value, str) else decimal(value)


def whole(number: Any) -> str:
    """Return a count with thousands separators."""
    return MISSING if pd.isna(number) else f"{round(float(number)):,}"


def counted(number: int, thing: str = "account") -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> counted(1), counted(2300)
    ('1 account', '2,300 accounts')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def day(when: Any) -> str:
    """Return a day in ISO form."""
    return MISSING if pd.isna(when) else f"{pd.Timestamp(when):%Y-%m-%d}"


def plain(value: Any) -> str:
    """Return a label or text on one line, cut where it is very long."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return MISSING
    text = printable(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def or_else(write: Callable[[Any], str], why: str) -> Callable[[Any], str]:
    """Return a way to write numbers that says why one is missing.

    Examples
    --------
    >>> or_else(percent, "none earlier")(None), or_else(percent, "none earlier")(0.5)
    ('none earlier', '50 %')
    """
    return lambda value: why if value is None or pd.isna(value) else write(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as text: its heads, which of them are numbers, and its rows. The first column names the row."""

    caption: str
    heads: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[str, ...] | None = None
    left_out: str = ""
    fold: str = ""
    beside: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A drawing with its caption."""

    svg: str
    caption: str
    kind: Literal["figure"] = "figure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Paragraphs, a list, or terms with what they mean."""

    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    fold: str = ""
    kind: Literal["words"] = "words"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Cells of value by potential, the highest value first."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[dict[str, Any], ...]], ...]
    kind: Literal["matrix"] = "matrix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table that the page fills from its data; ``name`` finds its columns there."""

    name: str
    caption: str
    kind: Literal["grid"] = "grid"


Block = Table | Figure | Words | Matrix | Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page; ``missing`` says what would fill it where it is empty."""

    name: str
    title: str
    lead: str = ""
    blocks: tuple[Block, ...] = ()
    missing: str = ""


def table_of(
    frame: pd.DataFrame,
    columns: Sequence[tuple[str, str, Any]],
    *,
    caption: str,
    foot: tuple[str, ...] | None = None,
    most: int = 60,
    fold: str = "",
    beside: bool = False,
) -> Table:
    """Make a table of a frame's columns, each given as name, head and how to write it; absent ones are left out."""
    kept = [
        (name, head, form)
        for name, head, form in columns
        if name in frame and not (frame[name].astype(str) == "").all()
    ]
    shown = frame.head(most)
    written = [[form(value) for value in shown[name].tolist()] for name, _, form in kept]
    left = len(frame) - len(shown)
    return Table(
        caption=caption,
        heads=tuple(head for _, head, _ in kept),
        numeric=tuple(form not in (plain, day) for _, _, form in kept),
        rows=tuple(zip(*written, strict=True)) if written else (),
        foot=foot,
        left_out=f"{left:,} more rows are not shown." if left > 0 else "",
        fold=fold,
        beside=beside,
    )
