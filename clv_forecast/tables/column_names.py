"""The columns a caller names: whether a table has them, and what to do when not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

import pandas as pd

from clv_forecast import columns as c
from clv_forecast.errors import InputError

_NEAR: Final = 0.7
"""Names of columns less alike than this are not offered for one another."""
_SHORTEST_PART: Final = 3


def index_hint(frame: pd.DataFrame, mapping: Mapping[str, str]) -> str:
    """What to do when a column is missing because it is the index; empty when the index holds no column.

    Examples
    --------
    >>> index_hint(pd.DataFrame({"x": [1]}, index=pd.Index(["a"], name="id")), {"customer_id": "id"})
    "'id' is the index of the table: pass table.reset_index()."
    """
    names = {str(name) for name in frame.index.names if name is not None}
    held = [column for column in mapping.values() if column in names and column not in frame.columns]
    if held:
        verb = "is" if len(held) == 1 else "are"
        return f"{', '.join(map(repr, held))} {verb} the index of the table: pass table.reset_index()."
    customer = mapping.get(c.CUSTOMER_ID)
    counter = not names and frame.index.equals(pd.RangeIndex(len(frame)))
    plain = counter or isinstance(frame.index, pd.DatetimeIndex)
    if customer is None or customer in frame.columns or plain:
        return ""
    name = f" (it is named {', '.join(sorted(names))})" if names else ""
    return f"If the index holds the ids{name}, pass table.reset_index(names={customer!r})."


def check_columns(wanted: Iterable[str], existing: Iterable[str], *, hint: str = "") -> None:
    """Refuse a column that is missing (naming the nearest one) or that occurs twice.

    Parameters
    ----------
    wanted, existing : iterable of str
    hint : str
        What to do when one is missing.

    Raises
    ------
    InputError

    Examples
    --------
    >>> check_columns(["amount"], ["customer_id", "Amount"])
    Traceback (most recent call last):
        ...
    clv_forecast.errors.InputError: The column 'amount' does not exist. Nearest: 'Amount'. Columns: customer_id, Amount.
    """
    present = list(existing)
    for name in wanted:
        if present.count(name) > 1:
            raise InputError(f"The column {name!r} occurs {present.count(name)} times.", remedy="Rename all but one.")
        if name not in present:
            near = _nearest(name, present)
            nearest = f" Nearest: {near!r}." if near else ""
            raise InputError(
                f"The column {name!r} does not exist.{nearest} Columns: {', '.join(present)}.", remedy=hint
            )


def name_in_sql(name: str) -> str:
    r"""A name that DuckDB can hold: a NUL, at which it would end, is written as an escape.

    Examples
    --------
    >>> name_in_sql("a\x00b")
    'a\\x00b'
    """
    return name.replace("\0", r"\x00")


def _nearest(name: str, present: list[str]) -> str | None:
    """The column written most like the name, or one that holds it (``InvoiceDate`` for ``date``); None if neither."""
    folded = {column.casefold(): column for column in reversed(present)}
    wanted = name.casefold()
    near = difflib.get_close_matches(wanted, folded, n=1, cutoff=_NEAR)
    if not near and len(wanted) >= _SHORTEST_PART:
        near = sorted((column for column in folded if wanted in column), key=len)
    return folded[near[0]] if near else None
