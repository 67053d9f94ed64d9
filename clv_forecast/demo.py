"""The main job, twice: the real CDNOW log, and a simulated base of business customers with every section filled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from clv_forecast.evaluation.backtest import backtest
from clv_forecast.finance.allowable_spend import allowable_spend
from clv_forecast.finance.cohorts import cohorts
from clv_forecast.finance.effects import Uplift
from clv_forecast.forecasting.forecast import forecast
from clv_forecast.forecasting.new_customers import new_customer_value
from clv_forecast.history.purchase_history import PurchaseHistory, purchase_history
from clv_forecast.history.samples import load_cdnow
from clv_forecast.inference.fit import fit
from clv_forecast.inference.model import Model
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.ranking.loss_drivers import loss_drivers
from clv_forecast.ranking.migration import migration
from clv_forecast.ranking.potential import potential
from clv_forecast.ranking.ranking import rank
from clv_forecast.report.report import Report, make_report
from clv_forecast.report.run_folder import write_run
from clv_forecast.report.stored_run import is_run
from clv_forecast.runs.comparison.snapshot import snapshot_of_forecast
from clv_forecast.runs.comparison.value_bridge import value_bridge
from clv_forecast.simulation import SimulatedAccounts, simulate_accounts
from clv_forecast.units import units_per_year

CDNOW: Final = "cdnow"
B2B: Final = "b2b_simulated"

AS_OF = "1998-06-30"
COHORT_BEGINS = "1997-01-01"
"""All customers of CDNOW's file are new: none of them had bought before the log begins."""

_YEAR: Final = "12 months"
_DRAWS: Final = 500
_RETAINED: Final = Uplift(share=0.2, lower=0.1, upper=0.3)
_GROWN: Final = Uplift(share=0.1, lower=0.05, upper=0.16)
"""What the simulated company takes its measures to achieve: assumptions, as no trial stands behind them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DemoRun:
    """One run: its report, its model, and where its files lie."""

    report: Report
    history: PurchaseHistory
    model: Model
    new_customer: pd.DataFrame
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demo:
    """What the main job made."""

    cdnow: DemoRun
    b2b: DemoRun


@shows_progress
def run_demo(folder: Path, *, accounts: int = 300, progress: Progress = automatic) -> Demo:
    """Audit, fit, backtest, forecast, rank and report the full CDNOW log (23,570 customers), and a simulated base.

    Each run's folder is written aside and put in place at the end, so it is complete or not there.

    Parameters
    ----------
    folder : Path
        Gets two folders, ``cdnow`` and ``b2b_simulated``; those of an earlier demo are replaced.
    accounts : int
        Of the simulated base.
    progress : callable

    Raises
    ------
    StoreError
        If a folder holds something else, or cannot be written.
    """
    return Demo(cdnow=_cdnow(folder / CDNOW, progress), b2b=_b2b(folder / B2B, accounts, progress))


def _cdnow(folder: Path, progress: Progress) -> DemoRun:
    progress("read", 0, 1)
    history = purchase_history(load_cdnow(), as_of=AS_OF, unit="week", observed_from=COHORT_BEGINS)
    progress("read", 1, 1)
    model = fit(history, progress=progress)
    certificate = backtest(history, horizon="39 weeks", draws=_DRAWS, progress=progress)
    ahead = forecast(
        model, history, draws=_DRAWS, shock=certificate.shock, evidence=certificate.evidence, progress=progress
    )
    new_customer = new_customer_value(model)
    report = make_report(
        ahead,
        title="CDNOW",
        horizon=_YEAR,
        ranking=rank(ahead, progress=progress),
        spends=[
            allowable_spend(ahead, progress=progress),
            allowable_spend(ahead, basis="acquire", model=model, progress=progress),
        ],
        cohorts=cohorts(ahead, period="month", progress=progress),
        certificate=certificate,
    )
    tables = {"new_customer": new_customer}
    write_run(report, folder, model=model, tables=tables, replaces=_earlier_demo, progress=progress)
    return DemoRun(report=report, history=history, model=model, new_customer=new_customer, folder=folder)


def _earlier_demo(folder: Path) -> bool:
    """Whether a folder may be replaced: it holds a run, or what the demo wrote before there were runs."""
    return is_run(folder) or (folder / "forecast_assumptions.json").is_file()


def _b2b(folder: Path, accounts: int, progress: Progress) -> DemoRun:
    sim = simulate_accounts(accounts, rng=1)
    history = _history_of(sim, sim.as_of)
    model = fit(history, progress=progress)
    certificate = backtest(history, horizon=_YEAR, draws=_DRAWS, progress=progress)
    ahead = forecast(
        model,
        history,
        horizons=[_YEAR, "36 months"],
        margin="margin",
        cost_to_serve="cost_to_serve",
        shock=certificate.shock,
        evidence=certificate.evidence,
        by="segment",
        draws=_DRAWS,
        progress=progress,
    )
    found = potential(history, ahead, progress=progress)
    ranking = rank(ahead, potential=found, top_k=50, progress=progress)
    earlier = _history_of(sim, sim.as_of - pd.DateOffset(months=3))
    earlier_model = fit(earlier, compare=False)
    before = forecast(earlier_model, earlier, horizons=[_YEAR], margin="margin", cost_to_serve="cost_to_serve")
    ranking_before = rank(before, potential=potential(earlier, before, progress=progress), top_k=50)
    new_customer = new_customer_value(
        model,
        horizons=[_YEAR],
        margin=float(ahead.plan.margin.mean()),
        cost_to_serve=float(ahead.plan.cost_per_time.mean() * units_per_year(ahead.plan.unit)),
    )
    report = make_report(
        ahead,
        title="A simulated base of business customers",
        ranking=ranking,
        potential=found,
        spends=[
            allowable_spend(ahead, progress=progress),
            allowable_spend(ahead, basis="retain", uplift=_RETAINED, progress=progress),
            allowable_spend(ahead, basis="grow", uplift=_GROWN, potential=found, progress=progress),
            allowable_spend(ahead, basis="acquire", model=model, progress=progress),
        ],
        cohorts=cohorts(ahead, acquisition_cost=sim.acquisition_cost, progress=progress),
        cash_flow=ahead.cash_flow("quarter", progress=progress),
        certificate=certificate,
        drivers=loss_drivers(history, ahead, events=sim.events, progress=progress),
        changes=value_bridge(
            snapshot_of_forecast("then", before, earlier_model, horizon=_YEAR),
            snapshot_of_forecast("now", ahead, model, horizon=_YEAR),
            progress=progress,
        ).steps,
        migration=migration(ranking_before.table, ranking.table),
        simulated=True,
    )
    write_run(
        report,
        folder,
        model=model,
        tables={"new_customer": new_customer},
        progress=progress,
    )
    return DemoRun(report=report, history=history, model=model, new_customer=new_customer, folder=folder)


def _history_of(sim: SimulatedAccounts, as_of: pd.Timestamp) -> PurchaseHistory:
    """What the company knew at a day: its log up to it, and the accounts in it."""
    lines = sim.transactions[sim.transactions["date"] <= as_of]
    return purchase_history(
        lines,
        as_of=as_of,
        customers=sim.accounts[sim.accounts["customer_id"].isin(lines["customer_id"])],
        order_id="order_id",
        category="category",
        margin="margin",
        currency="EUR",
    )
