"""Which accounts are compared: those at a level of an attribute, and those with an event in the year before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError
from clv_forecast.tables.ids import as_one_kind
from clv_forecast.tables.source import read_days
from clv_forecast.units import years_back

UNKNOWN_LEVEL: Final = "unknown"
AT_LEAST_ONE: Final = "at least one in the year before"
_FEW_NUMBERS: Final = 3


def groups_of(
    identity: pd.Index[Any], attributes: pd.DataFrame | None, events: pd.DataFrame | None, start: pd.Timestamp
) -> Iterator[tuple[str, str, NDArray[np.bool_], bool]]:
    """Groups of accounts to compare with the others, by attribute and by kind of event.

    Parameters
    ----------
    identity : Index
        Of the accounts.
    attributes, events : DataFrame or None
    start : Timestamp
        Of the window in which the outcome is counted.

    Yields
    ------
    tuple of str, str, ndarray of bool, bool
        Driver, level, which accounts are at it, and whether it is a kind of event.

    Raises
    ------
    DomainError
        If there is not one row of attributes per account.
    InputError
        If attributes are in another order or hold dates, or events lack columns or dates.
    """
    if attributes is not None:
        for found in _attribute_groups(identity, attributes):
            yield *found, False
    if events is not None:
        for found in event_groups(identity, events, start):
            yield *found, True


def _attribute_groups(
    identity: pd.Index[Any], attributes: pd.DataFrame
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    if len(attributes) != len(identity):
        raise DomainError(
            "attributes must have one row per account.", value=f"{len(attributes)} rows for {len(identity)}"
        )
    if columns.CUSTOMER_ID in attributes:
        other = np.asarray(attributes[columns.CUSTOMER_ID] != np.asarray(identity), dtype=bool)
        if other.any():
            raise InputError("attributes must be in the order of ids.", customer_ids=identity[other])
    for name in attributes.columns:
        if name == columns.CUSTOMER_ID:
            continue
        codes, levels = pd.factorize(levels_of(attributes[name]))
        for code, level in enumerate(levels):
            yield str(name), str(level), codes == code


def levels_of(values: pd.Series[Any]) -> NDArray[np.object_]:
    """Level of each account by one attribute: its label, or the third in which its number lies.

    Parameters
    ----------
    values : Series
        Labels, truth values, or numbers; those with more than three different values are cut at their terciles
        (a number on a limit belongs below it).

    Returns
    -------
    ndarray of str, shape (account,)
        "unknown" where missing.

    Raises
    ------
    InputError
        If the values are dates.

    Examples
    --------
    >>> levels_of(pd.Series([1.0, 2.0, 3.0, 4.0, np.nan])).tolist()
    ['lowest third (up to 2)', 'lowest third (up to 2)', 'middle third (up to 3)', 'highest third (above 3)', 'unknown']
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        raise InputError(
            "Attributes must be labels or numbers.",
            value=f"dates in {values.name}",
            remedy="Give years since, or leave the column out.",
        )
    missing = values.isna().to_numpy(dtype=bool)
    found = np.full(len(values), UNKNOWN_LEVEL, dtype=object)
    if pd.api.types.is_bool_dtype(values.dtype):
        found[~missing] = np.where(values[~missing].to_numpy(dtype=bool), "yes", "no")
    elif pd.api.types.is_numeric_dtype(values.dtype) and values.nunique() <= _FEW_NUMBERS:
        found[~missing] = [f"{number:,.6g}" for number in values[~missing]]
    elif pd.api.types.is_numeric_dtype(values.dtype):
        numbers = values[~missing].to_numpy(dtype=np.float64)
        low, high = np.quantile(numbers, [1.0 / 3.0, 2.0 / 3.0], method="inverted_cdf")
        names = [f"lowest third (up to {low:,.6g})", f"middle third (up to {high:,.6g})"]
        names.append(f"highest third (above {high:,.6g})")
        found[~missing] = np.take(np.array(names, dtype=object), np.searchsorted([low, high], numbers))
    else:
        found[~missing] = values[~missing].astype(str)
    return found


def event_groups(
    identity: pd.Index[Any], events: pd.DataFrame, start: pd.Timestamp
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Kinds of events and the accounts that had one in the year up to ``start``, as known then.

    Parameters
    ----------
    identity : Index
        Of the accounts.
    events : DataFrame
        customer_id, date, kind; and recorded_at, if known.
    start : Timestamp

    Yields
    ------
    tuple of str, str, ndarray of bool
        Driver, level, and which accounts are at it; every kind of the table comes, also one without events in that
        year.

    Raises
    ------
    InputError
        If a column is missing, or a date is none.
    """
    for name in (columns.CUSTOMER_ID, columns.DATE, columns.KIND):
        if name not in events:
            raise InputError("The table of events needs customer_id, date and kind.", value=f"no {name}")
    dates = {name: events[name] for name in (columns.DATE, columns.RECORDED_AT) if name in events}
    days = {name: read_days(given, f"{name} of an event") for name, given in dates.items()}
    bad = (days[columns.DATE].isna()).to_numpy(dtype=bool)
    if bad.any():
        raise InputError(
            "Events need a date.", value=repr(dates[columns.DATE][bad].iloc[0]), customer_ids=events["customer_id"][bad]
        )
    before = (days[columns.DATE] > years_back(start)) & (days[columns.DATE] <= start)
    if columns.RECORDED_AT in days:
        before &= ~(days[columns.RECORDED_AT] > start)
    ids, who = as_one_kind(pd.Series(identity), events[columns.CUSTOMER_ID].reset_index(drop=True))
    known = pd.Index(ids)
    for kind in sorted(events[columns.KIND].dropna().astype(str).unique()):
        had = who[(before & (events[columns.KIND].astype("string") == kind).fillna(False)).to_numpy(dtype=bool)]
        yield kind, AT_LEAST_ONE, np.asarray(known.isin(pd.unique(had.dropna())), dtype=bool)
