"""The accounts behind a history: their attributes in its row order, each column checked when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import numbers_in
from clv_forecast.errors import InputError
from clv_forecast.history.attributes import align, read_attributes
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.printable import printable
from clv_forecast.tables.source import read_days

MOST_LABELS: Final = 100
"""A column of text with more distinct labels tells accounts apart, not kinds of accounts."""
_TRUE: Final = frozenset({"true", "yes", "y", "1", "1.0"})
_FALSE: Final = frozenset({"false", "no", "n", "0", "0.0"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Accounts:
    """Attributes of the customers of a history.

    Parameters
    ----------
    table : DataFrame
        customer_id and what is known of each account, in the row order of the history; missing where unknown.
    notes : tuple of str
        What did not match.
    """

    table: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        names = printable(", ".join(map(str, self.table.columns[1:])))
        return f"<Accounts: {len(self.table):,} with {names or 'no attributes'}>"

    @property
    def ids(self) -> pd.Series[Any]:
        """The customer ids."""
        return self.table[columns.CUSTOMER_ID]

    def has(self, column: str) -> bool:
        """Whether anything is known under that column."""
        return column in self.table.columns and bool(self.table[column].notna().any())

    def numbers(self, column: str, *, least: float = -np.inf) -> NDArray[np.float64] | None:
        """A column of numbers, NaN where unknown; None when there is none.

        Raises
        ------
        InputError
            If a value is no finite number, or below ``least``.
        """
        if not self.has(column):
            return None
        given = self.table[column]
        found = numbers_in(given, column).to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        bad = (given.notna().to_numpy() & ~np.isfinite(found)) | (found < least)
        if bad.any():
            wanted = "a finite number" if least == -np.inf else f"a number of at least {least:g}"
            raise InputError(
                f"{column} must be {wanted}, or missing.",
                value=str(given[bad].iloc[0]),
                customer_ids=self.ids[bad],
                remedy="Mend the accounts' table; leave unknown values empty.",
            )
        return found

    def flags(self, column: str) -> pd.Series[Any] | None:
        """A yes-or-no column as nullable booleans; None when there is none.

        Raises
        ------
        InputError
            If a value is neither yes nor no.
        """
        if not self.has(column):
            return None
        text = self.table[column].astype("string").str.strip().str.lower()
        found = pd.Series(pd.NA, index=self.table.index, dtype="boolean")
        found[text.isin(_TRUE).fillna(False)] = True
        found[text.isin(_FALSE).fillna(False)] = False
        bad = (text.notna() & found.isna()).to_numpy(dtype=bool)
        if bad.any():
            raise InputError(
                f"{column} must be true or false, or missing.",
                value=repr(self.table[column][bad].iloc[0]),
                customer_ids=self.ids[bad],
            )
        return found

    def dates(self, column: str) -> pd.Series[Any] | None:
        """A column of days, NaT where unknown; None when there is none.

        Raises
        ------
        InputError
            If a value is no date, or day and month cannot be told apart.
        """
        if not self.has(column):
            return None
        return read_days(self.table[column], column)

    def attributes(self) -> tuple[str, ...]:
        """Columns that say of what kind an account is: numbers, or labels that several accounts share."""
        found = []
        for name in self.table.columns:
            if name in (columns.CUSTOMER_ID, *columns.ACCOUNTS) and name != columns.CHANNEL:
                continue
            values = self.table[name].dropna()
            if pd.api.types.is_datetime64_any_dtype(values.dtype):
                continue
            labels = values.nunique()
            few = labels <= min(MOST_LABELS, max(2, len(values) // 3))
            if labels > 1 and (pd.api.types.is_numeric_dtype(values.dtype) or few):
                found.append(str(name))
        return tuple(found)


def accounts_of(history: PurchaseHistory, accounts: Any = None) -> Accounts:
    """Bring an accounts' table into the row order of a history.

    Parameters
    ----------
    history : PurchaseHistory
    accounts : pandas or polars DataFrame, pyarrow or Ibis table, path, or Accounts; optional
        One row per account, under ``customer_id``. Default: the customers' table of the history, if it has one.

    Returns
    -------
    Accounts

    Raises
    ------
    InputError
        If ids are missing or occur twice, or no account is a customer of the history.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    >>> table = pd.DataFrame({"customer_id": history.table["customer_id"], "region": ["n", "s"] * 1174 + ["n"]})
    >>> accounts_of(history, table).attributes()
    ('region',)
    """
    ids = history.table[columns.CUSTOMER_ID].reset_index(drop=True)
    if isinstance(accounts, Accounts):
        accounts = accounts.table
    if accounts is None:
        known = history.customers
        return Accounts(table=ids.to_frame() if known is None else known.reset_index(drop=True))
    table, findings = align(ids, read_attributes(accounts, columns.CUSTOMER_ID))
    return Accounts(table=ids.to_frame() if table is None else table, notes=tuple(f.sentence for f in findings))
