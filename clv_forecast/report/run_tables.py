"""The tables of a run folder, by name, and their way to Parquet and back."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.finance.spend import AllowableSpend
from clv_forecast.inference.model import Model
from clv_forecast.ranking.account_months import LateCategories
from clv_forecast.report.report import Report

RANKING: Final = "ranking"
SPEND: Final = "allowable_spend"
SPEND_NEW: Final = "allowable_spend_new_customers"
_KINDS: Final[Mapping[str, tuple[type, ...]]] = MappingProxyType(
    {
        "truth value": (bool, np.bool_),
        "whole number": (numbers.Integral,),
        "number": (numbers.Real,),
        "text": (str,),
    }
)
_PLAIN: Final = {*_KINDS, "Decimal", "date", "datetime", "time", "Timestamp", "Timedelta", "timedelta"}


def tables_of(report: Report, bought: LateCategories, model: Any = None) -> dict[str, pd.DataFrame]:
    """All tables of a report by the names of their files; what is not known has none.

    Returns
    -------
    dict of str to DataFrame
        Each with as_of and currency.
    """
    forecast, history = report.forecast, report.forecast.history
    found: dict[str, pd.DataFrame | None] = {
        "history": history.table.assign(unit=history.unit),
        "customers": history.customers,
        "purchases": None if history.events is None else history.purchases(),
        "categories": bought.table,
        "forecast": forecast.customers,
        "totals": forecast.totals,
        "next_order": forecast.next_order(),
        "losing_accounts": report.losers,
        "drivers": report.drivers,
        "changes": report.changes,
        "migration": report.migration,
        "cash_flow": report.cash_flow,
        "came_since": report.since,
        "parameters": model.parameters if isinstance(model, Model) else None,
    }
    if report.ranking is not None:
        found[RANKING] = report.ranking.table
        for name in ("matrix", "concentration", "lorenz", "goals", "sensitivity"):
            found[name] = getattr(report.ranking, name)
    if report.potential is not None:
        found |= {"potential": report.potential.table, "reliability": report.potential.reliability}
        found["whitespace"] = None if report.potential.whitespace is None else report.potential.whitespace.table
    if report.cohorts is not None:
        found |= {"cohorts": report.cohorts.table, "cohort_totals": report.cohorts.totals}
        found |= {"cohorts_same_age": report.cohorts.same_age, "cohort_levels": report.cohorts.levels}
    found |= _spend_tables(report.spends)
    return {
        name: _dated(table, forecast.as_of, forecast.currency) for name, table in found.items() if table is not None
    }


def _spend_tables(spends: Sequence[AllowableSpend]) -> dict[str, pd.DataFrame]:
    """All bases in one table; what new customers may cost in another, as its rows are no accounts."""
    found: dict[str, list[pd.DataFrame]] = {}
    for spend in spends:
        of_accounts = columns.CUSTOMER_ID in spend.table
        found.setdefault(SPEND if of_accounts else SPEND_NEW, []).append(spend.table)
        kind = {"basis": spend.basis, "horizon": spend.horizon}
        levels = "spend_levels" if of_accounts else "spend_levels_new_customers"
        for name, table in ((levels, spend.levels), ("spend_pools", spend.pools), ("spend_totals", spend.totals)):
            found.setdefault(name, []).append(table.assign(**kind))
    return {name: pd.concat(tables, ignore_index=True) for name, tables in found.items()}


def _dated(table: pd.DataFrame, as_of: pd.Timestamp, currency: str | None) -> pd.DataFrame:
    """The table with its day and currency, the currency as text also where there is none."""
    added: dict[str, Any] = {} if "as_of" in table else {"as_of": as_of}
    codes = table["currency"] if "currency" in table else pd.Series([currency] * len(table), index=table.index)
    return table.assign(**added, currency=codes.astype("string"))


def more_tables(
    tables: Mapping[str, pd.DataFrame], given: Mapping[str, pd.DataFrame], report: Report
) -> dict[str, pd.DataFrame]:
    """Tables that a caller adds to a run.

    Raises
    ------
    DomainError
        If one is no table, or its name is taken or no plain word.
    """
    for name, table in given.items():
        if not isinstance(table, pd.DataFrame):
            raise DomainError("A table of a run is a DataFrame.", value=f"{name}: {type(table).__name__}")
        if not str(name).isidentifier() or name in tables:
            raise DomainError(
                "A table that is added has a name of its own: letters, digits and underscores.",
                value=name,
                remedy=f"Taken: {', '.join(sorted(tables))}.",
            )
    return {name: _dated(table, report.forecast.as_of, report.forecast.currency) for name, table in given.items()}


def check_storable(tables: Mapping[str, pd.DataFrame]) -> None:
    """Refuse what Parquet would change or could not hold.

    Raises
    ------
    InputError
        If a column mixes types (1 and "1"), or holds what is no plain value.

    Examples
    --------
    >>> check_storable({"customers": pd.DataFrame({"customer_id": [1, 2], "region": ["north", None]})})
    """
    for name, table in tables.items():
        if not table.columns.is_unique or not all(isinstance(column, str) for column in table.columns):
            raise InputError("Columns of a stored table have names of their own.", value=f"{name}: {[*table.columns]}")
        for column in table.columns:
            values = table[column]
            if isinstance(values.dtype, pd.CategoricalDtype):
                values = pd.Series(values.cat.categories, name=column)
            if not pd.api.types.is_object_dtype(values.dtype):
                continue
            first: dict[str, Any] = {}
            for value in values.dropna():
                first.setdefault(_kind(value), value)
            if len(first) > 1:
                mixed = " and ".join(f"{value!r} ({kind})" for kind, value in first.items())
                raise InputError(
                    "A column that is stored holds values of one type.",
                    value=f"{name}.{column} with {mixed}",
                    remedy="Make them all text, or all numbers, before the history is made.",
                )
            if first and not set(first) <= _PLAIN:
                raise _not_plain(f"{name}.{column}: {next(iter(first))}")
            _check_arrow(name, values)


def _kind(value: Any) -> str:
    """Type of a value, whatever its width."""
    return next((kind for kind, types in _KINDS.items() if isinstance(value, types)), type(value).__name__)


def _check_arrow(name: str, values: pd.Series[Any]) -> None:
    import pyarrow as pa

    try:
        pa.Array.from_pandas(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise _not_plain(f"{name}.{values.name}: {error}") from error


def _not_plain(found: str) -> InputError:
    return InputError(
        "A column that is stored holds plain values: text, numbers, truth values or times.",
        value=found,
        remedy="Turn it into text, or leave the column out.",
    )


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet."""
    table.to_parquet(path, index=False)


def read_table(path: Path, *, only: Sequence[str] | None = None, customer_id: Any = None) -> pd.DataFrame:
    """Read a table, or some columns of it, or the rows of one customer.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    import pyarrow as pa

    filters = None if customer_id is None else [(columns.CUSTOMER_ID, "==", customer_id)]
    try:
        return pd.read_parquet(path, columns=None if only is None else list(only), filters=filters)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            "A table of the run cannot be read.", value=f"{path}: {error}", remedy="Write the run again."
        ) from error
