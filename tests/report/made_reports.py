"""Small reports to write: simulated accounts, and the same under hostile names and ids."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import clv_forecast as clv
from clv_forecast.finance.allowable_spend import allowable_spend
from clv_forecast.forecasting.result import Forecast
from clv_forecast.inference.model import Model
from clv_forecast.report.report import Report, make_report

HOSTILE = (
    "<script>alert(1)</script>",
    '=HYPERLINK("http://example.invalid","click")',
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\r=1+1",
    "  =cmd|' /C calc'!A0",
    "\u200b=1+1",
    "\uff1d1+1",
    "Smith; =1+1; Sons",
    "line\n=1+1",
    "\u202egnp.exe\u202c\u200f",
    "x" * 10_000,
    "y" * 40_000,
    "\U0001f600\U0001f469\u200d\U0001f680 & Co",
    "bell\x07 and null\x00, _x0041_",
    '"quoted", with a comma',
    "http://example.invalid/path",
    "\ufffe\uffff",
)
PYTHON = re.compile(
    r"\b(?:None|nan|NaN|NaT|True|False|inf)\b|<NA>|\b[a-z]+_[a-z_]+\b|\w=['\"\w.]|['\"]\w+['\"]|\bp_\w|-0(?:\.0+)?$"
)
"""What a reader of finance should never meet in a file, nor in a workbook but for its last sheet."""
BROKEN = "half \ud800 a pair"
"""Tables of text cannot hold it; lists of objects can."""


@cache
def forecast_of(kind: str = "plain", **terms: Any) -> tuple[Forecast, Model]:
    """A forecast of 60 simulated accounts over 12 months, under ``plain`` or ``hostile`` names and regions."""
    made = clv.simulate_accounts(60, rng=1)
    orders, accounts = made.transactions, made.accounts
    if kind == "hostile":
        names = [*HOSTILE, *accounts["name"].tolist()[len(HOSTILE) :]]
        # Every hostile text also names a region, which is a pool of its own
        accounts = accounts.assign(name=names, region=names)
    history = clv.purchase_history(orders, as_of=made.as_of, customers=accounts, order_id="order_id")
    model = clv.fit(history, compare=False)
    return clv.forecast(model, history, horizons=["12 months"], draws=200, **terms), model


@cache
def report_of() -> Report:
    """Ceiling by region, ceiling of all within six months, and new customers, ranked; simulated."""
    fc, model = forecast_of()
    spends = (
        allowable_spend(fc, by="region"),
        allowable_spend(fc, payback="6 months"),
        allowable_spend(fc, basis="acquire", model=model, new_customers=20),
    )
    ranking = clv.rank(fc, draws=100, top_k=10)
    return make_report(fc, ranking=ranking, spends=spends, simulated=True, title="Sixty accounts")


def renamed(report: Report, ids: list[Any], currency: str | None = None) -> Report:
    """The same report under other ids: every table that a file is made from."""
    fc = report.forecast
    names = dict(zip(fc.customer_ids, ids, strict=True))
    customers = fc.customers.assign(customer_id=_mapped(fc.customers, names))
    spends = tuple(
        replace(
            spend,
            table=spend.table.assign(customer_id=_mapped(spend.table, names)),
            levels=spend.levels.assign(customer_id=_mapped(spend.levels, names)),
            currency=currency,
        )
        for spend in report.spends
        if "customer_id" in spend.table
    )
    return replace(
        report,
        forecast=replace(fc, customers=customers, customer_ids=np.asarray(ids, dtype=object), currency=currency),
        ranking=None,
        spends=spends,
        losers=None,
    )


def _mapped(table: pd.DataFrame, names: dict[Any, Any]) -> pd.Series[Any]:
    found = [names[one] for one in table["customer_id"]]
    kind = None if all(isinstance(one, int) for one in found) else object
    return pd.Series(found, index=table.index, dtype=kind)


@cache
def hostile_report() -> Report:
    """Names, pools, reasons and a title that would be formulas, and text that files cannot hold."""
    fc, _ = forecast_of("hostile")
    ranking = clv.rank(fc, draws=100, top_k=10)
    reasons = pd.Series([(*HOSTILE, BROKEN)[k % 21] for k in range(len(ranking.table))], dtype=object)
    ranking = replace(ranking, table=ranking.table.assign(reason=reasons))
    return make_report(fc, ranking=ranking, spends=allowable_spend(fc, by="region"), title="=1+1")
