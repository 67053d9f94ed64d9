"""The tables of a run folder, by name, and their way to Parquet and back.

Accounts taken out of their base: which is meant, their history, and one's draws by the seed and its id alone.
"""

from __future__ import annotations

import dataclasses
import difflib
import numbers
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.finance.spend import AllowableSpend
from clv_forecast.forecasting.adjustments import CommonShock, Correction
from clv_forecast.forecasting.money import resolve_terms
from clv_forecast.forecasting.plan import Plan, make_plan
from clv_forecast.forecasting.stack import Stack
from clv_forecast.history.audit import KEPT, READ, Audit, Step, counted
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.model import Model
from clv_forecast.ranking.account_months import LateCategories
from clv_forecast.report.report import Report
from clv_forecast.units import TimeUnit

_SUGGESTED: Final = 5


def one_row(history: PurchaseHistory, row: int) -> PurchaseHistory:
    """The history of the account in that row, without its purchases."""
    place = slice(row, row + 1)
    return dataclasses.replace(
        history,
        table=history.table.iloc[place].reset_index(drop=True),
        customers=None if history.customers is None else history.customers.iloc[place].reset_index(drop=True),
        events=None,
    )


def history_of_rows(
    table: pd.DataFrame,
    *,
    customers: pd.DataFrame | None,
    as_of: pd.Timestamp,
    unit: TimeUnit,
    currency: str | None,
) -> PurchaseHistory:
    """The history of accounts from their stored rows; it cannot list purchases."""
    told = f"{counted(len(table), 'account')} read from a run."
    read = Step(name=READ, rows=len(table), customers=len(table), amount=None, sentence=told)
    kept = dataclasses.replace(read, name=KEPT)
    return PurchaseHistory(
        table=table,
        customers=customers,
        as_of=as_of,
        unit=unit,
        currency=currency,
        time_zone=None,
        audit=Audit(ledger=(read, kept), findings=()),
        events=None,
    )


def one_plan(
    model: Model | Stack,
    history: PurchaseHistory,
    *,
    draws: int,
    seed: int,
    shock: CommonShock | None,
    correction: Correction | None,
) -> Plan:
    """The draws of an account over again: purchases and revenue as in the forecast; margin and costs are left out."""
    terms = resolve_terms(history, margin=1.0, cost_to_serve=0.0, cost_per_order=0.0)
    return make_plan(
        model, history, terms=terms, discount=0.0, draws=draws, seed=seed, shock=shock, correction=correction
    )


def known_id(ids: pd.Series[Any], wanted: Any) -> Any:
    """The id that is meant: the very one, or the only one that reads the same.

    Raises
    ------
    DomainError
        If there is none; the error names those like it.

    Examples
    --------
    >>> known_id(pd.Series([4, 18, 21]), "18"), known_id(pd.Series(["A-1", "B-2"]), "B-2")
    (18, 'B-2')
    """
    text = str(wanted).strip()
    texts = ids.astype(str)
    found = ids[(ids == wanted).to_numpy(dtype=bool)]
    for same in (str(wanted), text):
        if isinstance(wanted, str) and not len(found):
            found = ids[(texts == same).to_numpy(dtype=bool)]
    if len(found) != 1:
        raise DomainError(
            "There is no such account.",
            value=repr(wanted),
            remedy=f"Nearest: {', '.join(_nearest(ids, texts, text))}.",
        )
    chosen = found.iloc[0]
    return chosen.item() if hasattr(chosen, "item") else chosen


def _nearest(ids: pd.Series[Any], texts: pd.Series[Any], wanted: str) -> list[str]:
    """Ids like one that is not known: the same but for case, signs and leading zeros; then near ones.

    Whole numbers are near by value, text by its letters; where nothing is near, the first ids show what they look like.
    """
    folded = texts.map(_folded)
    same = texts[(folded == _folded(wanted)).to_numpy(dtype=bool)].tolist()
    if pd.api.types.is_integer_dtype(ids.dtype) and wanted.lstrip("+-").isdecimal():
        away = (ids.astype("float64") - float(wanted)).abs()
        near = texts[away.sort_values(kind="stable").index[:_SUGGESTED]].tolist()
    else:
        first = dict(zip(folded[::-1], texts[::-1], strict=True))
        near = [first[one] for one in difflib.get_close_matches(_folded(wanted), first, n=_SUGGESTED, cutoff=0.5)]
    return list(dict.fromkeys([*same, *near]))[:_SUGGESTED] or texts.tolist()[:_SUGGESTED]


def _folded(text: str) -> str:
    letters = "".join(filter(str.isalnum, text.casefold()))
    return re.sub(r"0+(?=[0-9])", "", letters, count=1) if re.match(r"[a-z]*0+[0-9]", letters) else letters


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
