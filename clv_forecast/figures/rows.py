"""Rows of a finished table: its columns checked, one window of it chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.figures.style import short

EVERYTHING: Final = "all"
_ORIGIN: Final = "origin"
_SHOWN: Final = 8


def checked(table: Any, needed: Sequence[str], made_by: str) -> pd.DataFrame:
    """Return the table when it has rows and all the columns needed.

    Raises
    ------
    DomainError
        If it is no DataFrame, is empty, or lacks a column.

    Examples
    --------
    >>> checked(pd.DataFrame({"a": [1]}), ["a"], "a verb").shape
    (1, 1)
    """
    if not isinstance(table, pd.DataFrame):
        raise DomainError(
            "A figure is drawn from a table (a pandas DataFrame).",
            value=type(table).__name__,
            remedy=f"Pass {made_by}.",
        )
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DomainError(
            "The table lacks columns of this figure.", value=", ".join(missing), remedy=f"Pass {made_by}."
        )
    if table.empty:
        raise DomainError("The table has no rows, so there is nothing to draw.", remedy=f"Pass {made_by}.")
    return table


def chosen(table: pd.DataFrame, column: str, value: Any = None) -> pd.DataFrame:
    """Rows where ``column`` holds ``value``; a table without that column has one window only.

    Without a value: the rows of ``"all"`` if there are any, else those of the latest origin, or of the value that
    stands last in the table.

    Raises
    ------
    DomainError
        If no row holds the value.

    Examples
    --------
    >>> chosen(pd.DataFrame({"horizon": ["13 weeks", "39 weeks"], "n": [1, 2]}), "horizon")["n"].tolist()
    [2]
    """
    if column not in table.columns:
        if value is None or as_text(value) == EVERYTHING:
            return table
        raise DomainError(f"The table has no column {column}.", value=repr(value), remedy=f"Leave {column} out.")
    texts = table[column].map(as_text).astype(object)
    otherwise = EVERYTHING if (texts == EVERYTHING).any() else _last(table, column)
    wanted = otherwise if value is None else as_text(value)
    kept = table[(texts == wanted).to_numpy(dtype=bool)]
    if kept.empty:
        known = ", ".join(list(dict.fromkeys(texts))[:_SHOWN])
        raise DomainError(f"No row of the table has this {column}.", value=repr(value), remedy=f"Known: {known}.")
    return kept


def _last(table: pd.DataFrame, column: str) -> str:
    """The latest day (origins may be ISO text), the last category, or what stands last in the table."""
    values = table[column]
    if column == _ORIGIN:
        return str(max(as_text(value) for value in values))
    if isinstance(values.dtype, pd.CategoricalDtype) or pd.api.types.is_datetime64_any_dtype(values):
        values = values.sort_values(kind="stable")
    return as_text(values.iloc[-1])


def as_text(value: Any) -> str:
    """A day in ISO form, anything else as it prints.

    Examples
    --------
    >>> as_text(pd.Timestamp("1997-09-30")), as_text("39 weeks")
    ('1997-09-30', '39 weeks')
    """
    if isinstance(value, np.datetime64 | pd.Timestamp) or hasattr(value, "isoformat"):
        return "" if pd.isna(value) else f"{pd.Timestamp(value):%Y-%m-%d}"
    return str(value)


def only(table: pd.DataFrame, column: str, otherwise: str = "") -> str:
    """The one value of a column as text; ``otherwise`` where the column is missing, empty or holds several.

    Examples
    --------
    >>> only(pd.DataFrame({"unit": ["week", "week"]}), "unit")
    'week'
    """
    if column not in table.columns:
        return otherwise
    values = table[column].dropna().unique()
    return as_text(values[0]) if len(values) == 1 else otherwise


def written(table: pd.DataFrame, column: str, otherwise: str = "") -> str:
    r"""The one value of a column as a figure writes it: see `only` and `short`.

    Examples
    --------
    >>> written(pd.DataFrame({"currency": ["$", "$"]}), "currency")
    '\\$'
    """
    return short(only(table, column, otherwise))


def band_name(table: pd.DataFrame, noun: str = "band") -> str:
    """How a figure calls the band of a table.

    Examples
    --------
    >>> band_name(pd.DataFrame({"prob": [0.9]})), band_name(pd.DataFrame({"n": [1]}))
    ('90 % band', 'band')
    """
    prob = only(table, "prob")
    return f"{float(prob) * 100:g} % {noun}" if prob else noun


def in_currency(quantity: str, rows: pd.DataFrame) -> str:
    """Name of a quantity with the currency of the table, where it is money.

    Examples
    --------
    >>> in_currency("revenue", pd.DataFrame({"currency": ["USD"]})), in_currency("purchases", pd.DataFrame())
    ('revenue, USD', 'purchases')
    """
    currency = "" if quantity == "purchases" else written(rows, "currency")
    return f"{quantity}, {currency}" if currency else quantity
