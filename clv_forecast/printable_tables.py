"""Tables made safe to show: the text in them, and the names of their columns, written as `printable` writes them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clv_forecast.printable import printable


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
