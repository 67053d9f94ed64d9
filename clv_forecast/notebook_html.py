"""How a result shows itself in a notebook: first rows, a line of totals, what to look at next, notes. No colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.column_titles import COUNT, DATE, MONEY, MONTHS, SHARE, TEXT, kind_of, title_of
from clv_forecast.printable import printable

MISSING: Final = "\u2013"
_ROWS: Final = 10
_LONGEST: Final = 400
_WHOLE_FROM: Final = 1000.0
_TINY: Final = 0.001


def notebook_html(
    title: str,
    table: pd.DataFrame,
    *,
    shown: Sequence[str] | None = None,
    titles: Mapping[str, tuple[str, str]] | None = None,
    total: Mapping[str, Any] | None = None,
    missing: Mapping[str, str] | None = None,
    lead: Sequence[str] = (),
    see: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    rows: int = _ROWS,
) -> str:
    """Return a result as HTML that takes the colours of the notebook, light or dark; all of its text is escaped.

    Parameters
    ----------
    title : str
        One line; bold.
    table : DataFrame
        Its first rows are shown. Its column ``currency`` stands in the titles of money.
    shown : sequence of str, optional
        Columns that matter; absent ones, and those without a value in these rows, are left out. Default: all.
    titles : mapping of str to (str, str), optional
        Title and kind of columns that are not what `column_titles` says of their name.
    total : mapping, optional
        Values of a last line by column; the first column's is its name.
    missing : mapping of str to str, optional
        What stands where a column's value is missing; an en dash by default.
    lead : sequence of str
        Sentences above the table.
    see : sequence of (str, str)
        What to look at next: code, and what it shows.
    notes : sequence of str
    rows : int

    Returns
    -------
    str

    Examples
    --------
    >>> table = pd.DataFrame({"customer_id": ["<b>A"], "value": [1234.5], "currency": ["EUR"]})
    >>> text = notebook_html("One", table, total={"customer_id": "All", "value": 1234.5})
    >>> "&lt;b&gt;A" in text, "Value (EUR)" in text, text.count(">1,234<")
    (True, True, 2)
    """
    named, blank, kept = titles or {}, missing or {}, table.head(rows)
    names = [name for name in (table.columns if shown is None else shown) if name in table]
    names = [name for name in names if blank.get(name) or not _empty(kept[name])]
    kinds = {name: named[name][1] if name in named else kind_of(str(name), table[name].dtype) for name in names}
    written = [_written(kept[name], kinds[name], blank.get(name, MISSING)) for name in names]
    heads = [_head(str(name), kinds[name], named, currency=_currency(table)) for name in names]
    body = "".join(_row("td", cells, kinds.values()) for cells in zip(*written, strict=True))
    foot = (
        ""
        if total is None
        else f"<tfoot>{_row('th', _total(table, names, kinds, total=total), kinds.values())}</tfoot>"
    )
    left = len(table) - len(kept)
    parts = [
        f"<p><b>{_safe(title)}</b></p>",
        *(f"<p>{_safe(sentence)}</p>" for sentence in lead),
        f"<table><thead>{_row('th', heads, kinds.values())}</thead><tbody>{body}</tbody>{foot}</table>",
        f"<p>{left:,} more rows are not shown.</p>" if left > 0 else "",
        _next(see),
        _list(notes),
    ]
    return f"<div>{''.join(parts)}</div>"


def value_text(value: Any, kind: str, *, digits: int = 2) -> str:
    """Return one value as people read it: money and counts with thousands signs, shares in per cent, days as days.

    Examples
    --------
    >>> value_text(1234.567, MONEY), value_text(-0.001, MONEY), value_text(0.256, SHARE), value_text(None, TEXT)
    ('1,234.57', '0.00', '25.6 %', '\u2013')
    >>> value_text(True, TEXT), value_text(pd.Timestamp("2024-12-31"), DATE), value_text(0.00001234, "ratio")
    ('yes', '2024-12-31', '1.2e-05')
    """
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return MISSING
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    if kind == DATE:
        return f"{pd.Timestamp(value):%Y-%m-%d}"
    if kind == TEXT or isinstance(value, str):
        text = printable(value)
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\u2026"
    if kind == SHARE:
        return f"{100.0 * value:z.1f} %"
    if kind == MONEY:
        return f"{value:z,.{digits}f}"
    if kind in (COUNT, MONTHS) or abs(value) >= _WHOLE_FROM:
        return f"{value:z,.0f}"
    return f"{value:z.4g}" if value == 0.0 or abs(value) >= _TINY else f"{value:.1e}"


def _empty(values: pd.Series[Any]) -> bool:
    return bool(len(values)) and bool((values.isna() | (values.astype("string") == "")).all())


def _written(values: pd.Series[Any], kind: str, blank: str) -> list[str]:
    digits = _digits(values, kind)
    found = [value_text(value, kind, digits=digits) for value in values.tolist()]
    return [blank if text == MISSING else text for text in found]


def _digits(values: pd.Series[Any], kind: str) -> int:
    """Cents where amounts are small."""
    return 0 if kind == MONEY and pd.to_numeric(values, errors="coerce").abs().max() >= _WHOLE_FROM else 2


def _total(
    table: pd.DataFrame, names: Sequence[str], kinds: Mapping[str, str], *, total: Mapping[str, Any]
) -> list[str]:
    return [
        ""
        if name not in total
        else value_text(total[name], kinds[name], digits=_digits(table[name].head(_ROWS), kinds[name]))
        if not isinstance(total[name], str)
        else total[name]
        for name in names
    ]


def _head(name: str, kind: str, named: Mapping[str, tuple[str, str]], *, currency: str | None) -> str:
    if name not in named:
        return title_of(name, kind, currency)
    return f"{named[name][0]} ({currency})" if kind == MONEY and currency else named[name][0]


def _currency(table: pd.DataFrame) -> str | None:
    known = table[columns.CURRENCY].dropna().tolist() if columns.CURRENCY in table else []
    return str(known[0]) if known else None


def _row(tag: str, cells: Sequence[str], kinds: Any) -> str:
    whole = "; white-space: nowrap" if tag == "td" else ""
    looks = {TEXT: "text-align: left", DATE: f"text-align: left{whole}"}
    written = (
        f'<{tag} style="{looks.get(kind, f"text-align: right{whole}")}">{_safe(cell)}</{tag}>'
        for cell, kind in zip(cells, kinds, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"


def _next(see: Sequence[tuple[str, str]]) -> str:
    items = "; ".join(f"<code>{_safe(code)}</code> {_safe(words)}" for code, words in see)
    return f"<p>Next: {items}.</p>" if items else ""


def _list(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{_safe(note)}</li>" for note in notes)
    return f"<ul>{items}</ul>" if items else ""


def _safe(text: str) -> str:
    return escape(printable(text))
