"""Accounts taken out of their base: which is meant, their history, and one's draws by the seed and its id alone."""

from __future__ import annotations

import dataclasses
import difflib
import re
from typing import Any, Final

import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.forecasting.adjustments import CommonShock, Correction
from clv_forecast.forecasting.money import resolve_terms
from clv_forecast.forecasting.plan import Plan, make_plan
from clv_forecast.forecasting.stack import Stack
from clv_forecast.history.audit import KEPT, READ, Audit, Step, counted
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.model import Model
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
