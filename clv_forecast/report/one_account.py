"""Accounts taken out of their base: their history, and one's draws, which depend on the seed and its id alone."""

from __future__ import annotations

import dataclasses

import pandas as pd

from clv_forecast.forecasting.adjustments import CommonShock, Correction
from clv_forecast.forecasting.money import resolve_terms
from clv_forecast.forecasting.plan import Plan, make_plan
from clv_forecast.forecasting.stack import Stack
from clv_forecast.history.audit import KEPT, READ, Audit, Step, counted
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.model import Model
from clv_forecast.units import TimeUnit


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
