"""A history from a table that was summed up elsewhere: the papers' frequency, recency, T and mean spend."""

from __future__ import annotations

import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns as c
from clv_forecast.arguments import parse_day
from clv_forecast.errors import InputError
from clv_forecast.history.attributes import align, read_attributes
from clv_forecast.history.audit import KEPT, READ, Audit, Finding, Step, counted
from clv_forecast.history.diagnostics import diagnose
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.tables.column_names import check_columns, index_hint
from clv_forecast.tables.source import read_frame
from clv_forecast.units import DAYS_PER_UNIT, TimeUnit, check_unit

_ROUNDING: Final = 1e-9
"""Recency may exceed T by this share, which rounding explains."""
_OF_LIFETIMES: Final = "A table of lifetimes becomes one for this with clv_forecast.summary_from_lifetimes(table)."
_UNKNOWN: Final = (
    c.FIRST_REVENUE,
    c.TOTAL_REVENUE,
    c.SPEND_SUM_LOG_REPEAT,
    c.SPEND_SUM_ALL,
    c.SPEND_SUM_LOG_ALL,
    c.SUM_LOG_INTERVALS,
)


def history_from_summary(
    rfm_table: Any,
    *,
    unit: str,
    as_of: Any,
    customers: Any = None,
    customer: str = "customer_id",
    frequency: str = "frequency",
    recency: str = "recency",
    T: str = "T",
    monetary_value: str | None = "monetary_value",
) -> PurchaseHistory:
    """Make a history of a table with one row per customer.

    Parameters
    ----------
    rfm_table : pandas or polars DataFrame, pyarrow or Ibis table, DuckDB relation, str or Path
        Customer ids in a column; for a table of lifetimes, which has them in the index, see
        ``summary_from_lifetimes``.
    unit : {"hour", "day", "week", "month", "year"}
        Unit of ``recency`` and ``T``.
    as_of : date, Timestamp or ISO text
        Day on which ``T`` ends.
    customers : like ``rfm_table``, optional
        Attributes, one row per customer, under the same customer column.
    customer, frequency, recency, T : str
        Columns of the table: repeat purchases, time from the first purchase to the last, and to ``as_of``.
    monetary_value : str, optional
        Mean money of the repeat purchases; None when the table has none. Where frequency is 0 it is ignored (peers
        write 0 there).

    Returns
    -------
    PurchaseHistory
        What a summary cannot tell is missing (NaN): the first purchase's money, sums of logarithms, intervals.

    Raises
    ------
    InputError
        If a column is missing, ids are missing or repeated, or a number cannot be: a frequency that is no count, a
        recency beyond T or above 0 without a repeat purchase, money that is not positive.
    DomainError
        If ``unit`` or ``as_of`` is outside its domain.

    Notes
    -----
    The day of the first purchase is ``as_of - T``, rounded to a day. The history cannot be split, and a spend model
    can only use customers' means.

    Examples
    --------
    >>> rfm = pd.DataFrame({"customer_id": [7, 8], "frequency": [2, 0], "recency": [30.43, 0.0], "T": [38.86, 38.86]})
    >>> history = history_from_summary(rfm, unit="week", as_of="1997-09-30", monetary_value=None)
    >>> history.table[["customer_id", "first_purchase", "frequency"]]
       customer_id first_purchase  frequency
    0            7     1997-01-01          2
    1            8     1997-01-01          0
    """
    checked_unit, day = check_unit(unit), parse_day(as_of, "as_of")
    frame = read_frame(rfm_table, "The summary", ids=(customer,))
    wanted = {c.CUSTOMER_ID: customer, c.FREQUENCY: frequency, c.RECENCY: recency, c.T: T}
    columns = [str(name) for name in frame.columns]
    hint = index_hint(frame, wanted)
    check_columns(wanted.values(), columns, hint=f"{hint} {_OF_LIFETIMES}" if hint else "")
    if monetary_value is not None:
        wanted[c.MONETARY_VALUE] = monetary_value
        check_columns([monetary_value], columns, hint="For a table without money pass monetary_value=None.")
    frame = frame[list(wanted.values())].set_axis(list(wanted), axis=1)
    _check_ids(frame[c.CUSTOMER_ID])
    frame = frame.iloc[_order(frame[c.CUSTOMER_ID])].reset_index(drop=True)
    numbers = {name: _numbers(frame, name) for name in wanted if name != c.CUSTOMER_ID}
    _check_times(frame[c.CUSTOMER_ID], numbers)
    table = _table(frame[c.CUSTOMER_ID], numbers, day, unit=checked_unit)
    aligned, findings = align(table[c.CUSTOMER_ID], None if customers is None else read_attributes(customers, customer))
    limits = Finding(
        name="made_from_summary",
        level="info",
        sentence="The history was made from a summary: it cannot be split or netted again, its spend model sees "
        "customers' means only, and nothing is known about rows left out before it was made.",
    )
    found = diagnose(table, None, as_of=pd.Timestamp(day), unit=checked_unit, observed_from=None)
    return PurchaseHistory(
        table=table,
        customers=aligned,
        as_of=pd.Timestamp(day),
        unit=checked_unit,
        currency=None,
        time_zone=None,
        audit=Audit(ledger=_ledger(table), findings=(limits, *findings, *found)),
        events=None,
    )


def _check_ids(ids: pd.Series) -> None:
    if not len(ids):
        raise InputError("The summary has no customer.")
    if ids.isna().any():
        raise InputError("Every row of the summary needs a customer id.", value=f"{int(ids.isna().sum())} without")
    if ids.duplicated().any():
        raise InputError("A customer has one row in a summary.", customer_ids=ids[ids.duplicated()].unique().tolist())


def _order(ids: pd.Series) -> NDArray[np.intp]:
    try:
        return np.asarray(ids.argsort(kind="stable"))
    except TypeError:
        keys = [(type(one).__name__, str(one)) for one in ids]
        return np.asarray(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)


def _numbers(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    try:
        return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise InputError(f"The column of {name} must hold numbers.", value=str(frame[name].dtype)) from None


def _check_times(ids: pd.Series, numbers: dict[str, NDArray[np.float64]]) -> None:
    x, t_x, T = numbers[c.FREQUENCY], numbers[c.RECENCY], numbers[c.T]
    rules = {
        "frequency, recency and T must be finite and not negative": np.isfinite(x)
        & np.isfinite(t_x)
        & np.isfinite(T)
        & (np.minimum(np.minimum(x, t_x), T) >= 0),
        "frequency counts repeat purchases, so it is a whole number": x == np.floor(x),
        "recency (first to last purchase) must not exceed T (first purchase to as_of)": t_x <= T * (1 + _ROUNDING),
        "recency is 0 when there is no repeat purchase (it is not the time since the last one)": (x > 0) | (t_x == 0),
        "recency is above 0 when there is a repeat purchase": (x == 0) | (t_x > 0),
    }
    if c.MONETARY_VALUE in numbers:
        money = numbers[c.MONETARY_VALUE]
        rules["monetary_value must be positive and finite where frequency is above 0"] = (x == 0) | (
            np.isfinite(money) & (money > 0)
        )
    for rule, holds in rules.items():
        if not holds.all():
            raise InputError(f"{rule}.", value=counted(int((~holds).sum()), "row"), customer_ids=ids[~holds].tolist())


def _table(
    ids: pd.Series, numbers: dict[str, NDArray[np.float64]], day: datetime.date, *, unit: TimeUnit
) -> pd.DataFrame:
    x, t_x, T = numbers[c.FREQUENCY], numbers[c.RECENCY], numbers[c.T]
    length = DAYS_PER_UNIT[unit]
    end = np.datetime64(day, "D")
    first = end - np.rint(T * length).astype(np.int64)
    money = np.where(x > 0, numbers.get(c.MONETARY_VALUE, np.full(len(x), np.nan)), np.nan)
    values: dict[str, Any] = {
        c.CUSTOMER_ID: ids,
        c.FIRST_PURCHASE: pd.DatetimeIndex(first.astype("datetime64[us]")),
        c.LAST_PURCHASE: pd.DatetimeIndex((first + np.rint(t_x * length).astype(np.int64)).astype("datetime64[us]")),
        c.FREQUENCY: x.astype(np.int64),
        c.RECENCY: np.minimum(t_x, T),
        c.T: T,
        c.MONETARY_VALUE: money,
        c.SPEND_COUNT_REPEAT: x.astype(np.int64),
        c.SPEND_SUM_REPEAT: np.where(x > 0, money * x, 0.0),
        c.SPEND_COUNT_ALL: x.astype(np.int64) + 1,
        c.ALREADY_THERE: False,
    }
    values |= {name: np.full(len(x), np.nan) for name in _UNKNOWN}
    return pd.DataFrame({name: values[name] for name in c.HISTORY})


def _ledger(table: pd.DataFrame) -> tuple[Step, Step]:
    rows, purchases = len(table), int(table[c.SPEND_COUNT_ALL].sum())
    steps = [
        Step(name=name, rows=rows, customers=rows, amount=None, sentence=sentence)
        for name, sentence in (
            (READ, f"Read: {counted(rows, 'customer')} of a summary table; their money in all is not known."),
            (KEPT, f"Kept: all of them, with {counted(purchases, 'purchase')}, the first ones included."),
        )
    ]
    return steps[0], steps[1]
