"""Reports to be written as runs: a simulated base with nearly every table, and a small real one with whole numbers."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import clv_forecast as clv
from clv_forecast.report.report import Report, make_report

HORIZON = "12 months"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    model: clv.Model
    report: Report


@functools.cache
def simulated() -> Made:
    """Accounts with text ids, names and categories; potential, a common shock, and three bases of spend."""
    sim = clv.simulate_accounts(100, rng=1, growing=0.8)
    history = clv.purchase_history(
        sim.transactions,
        as_of=sim.as_of,
        customers=sim.accounts,
        order_id="order_id",
        category="category",
        margin="margin",
        currency="EUR",
    )
    model = clv.fit(history, compare=False, draws=200)
    forecast = clv.forecast(
        model,
        history,
        horizons=[HORIZON],
        margin="margin",
        shock=clv.CommonShock(level=0.1, noise=0.2),
        correction=clv.Correction(factor=1.05, reason="a look back fell short"),
        draws=100,
    )
    potential = clv.potential(history, forecast)
    spends = [
        clv.allowable_spend(forecast),
        clv.allowable_spend(forecast, basis="retain", uplift=0.2),
        clv.allowable_spend(forecast, basis="acquire", model=model, new_customers=50),
    ]
    report = make_report(
        forecast,
        title="Simulated accounts",
        ranking=clv.rank(forecast, potential=potential, top_k=20, draws=100),
        potential=potential,
        spends=spends,
        cash_flow=forecast.cash_flow("quarter"),
        simulated=True,
    )
    return Made(model=model, report=report)


@functools.cache
def numbered() -> Made:
    """Customers of CDNOW, numbered, without a currency."""
    log = clv.load_cdnow("1/10")
    history = clv.purchase_history(log[log["customer_id"] < 1200], as_of="1998-06-30", observed_from="1997-01-01")
    model = clv.fit(history, compare=False, draws=100)
    forecast = clv.forecast(model, history, horizons=[HORIZON], draws=100)
    return Made(model=model, report=make_report(forecast, ranking=clv.rank(forecast, draws=100)))
