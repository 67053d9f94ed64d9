"""Reports to make pages of: a small real base, and a simulated one with every section and hostile names."""

from __future__ import annotations

import functools

import pandas as pd

import clv_forecast as clv
from clv_forecast.finance.allowable_spend import allowable_spend
from clv_forecast.finance.cohorts import cohorts
from clv_forecast.forecasting.result import Forecast
from clv_forecast.report.report import Report, make_report
from clv_forecast.runs.comparison.snapshot import snapshot_of_forecast
from clv_forecast.runs.comparison.value_bridge import value_bridge

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>document.title='taken'</script>",
    '"><img src=x onerror=alert(2)>',
    '=HYPERLINK("http://example.invalid","click")',
    "\u202egnp.exe\u202c\u200f",
    "x" * 10_000,
    "\U0001f600\U0001f469\u200d\U0001f680 & Co",
    "line\u2028separator\u2029end",
    "<!-- --> ]]> {{ 7 * 7 }} {% raw %}",
    "\\u003cscript\\u003e \\ ' \"",
)


HOSTILE_ID = "<b>id</b>&amp;"
HORIZON = "12 months"


@functools.cache
def hostile_accounts(accounts: int = 100) -> clv.SimulatedAccounts:
    """Simulated accounts of which the first are called what names must never do."""
    sim = clv.simulate_accounts(accounts, rng=1)
    sim.accounts.loc[: len(HOSTILE) - 1, "name"] = HOSTILE
    first = str(sim.accounts["customer_id"].iloc[0])
    for table in (sim.accounts, sim.transactions, sim.events):
        for column in table.columns.intersection(["customer_id", "referred_by", "parent_id"]):
            table[column] = table[column].replace(first, HOSTILE_ID)
    for column in ("owner", "region", "segment"):
        label = sim.accounts[column].iloc[0]
        sim.accounts[column] = sim.accounts[column].replace(label, f"{label} <img src=x onerror=alert(3)>")
    return sim


@functools.cache
def hostile_forecast() -> Forecast:
    """Forecast of the hostile accounts, some of which lose money."""
    sim = hostile_accounts()
    history = clv.purchase_history(sim.transactions, as_of=sim.as_of, customers=sim.accounts, currency="EUR")
    return clv.forecast(
        clv.fit(history, compare=False),
        history,
        horizons=[HORIZON, "24 months"],
        margin="margin",
        cost_to_serve="cost_to_serve",
        draws=100,
        by="region",
    )


def no_change(forecast: Forecast, horizon: str = HORIZON) -> pd.DataFrame:
    """Steps of a bridge from a forecast to itself."""
    model = clv.fit(forecast.history, compare=False, draws=100)
    same = clv.forecast(model, forecast.history, horizons=[horizon], draws=100)
    return value_bridge(*(snapshot_of_forecast(name, same, model, horizon=horizon) for name in ("then", "now"))).steps


@functools.cache
def hostile_report() -> Report:
    """Ranking, spend and changes of the hostile accounts."""
    forecast = hostile_forecast()
    return make_report(
        forecast,
        title="Value & potential <i>of</i> accounts",
        ranking=clv.rank(forecast, top_k=20, draws=100),
        spends=allowable_spend(forecast, by="region"),
        changes=no_change(forecast),
        simulated=True,
    )


@functools.cache
def bare_report() -> Report:
    """A forecast of the real sample and nothing else."""
    history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    return make_report(clv.forecast(clv.fit(history, compare=False), history, horizons=[HORIZON], draws=100))


@functools.cache
def full_report() -> Report:
    """Every section filled, from simulated accounts."""
    sim = clv.simulate_accounts(200, rng=1)
    history = clv.purchase_history(
        sim.transactions, as_of=sim.as_of, customers=sim.accounts, order_id="order_id", category="category"
    )
    model = clv.fit(history, compare=False, draws=200)
    certificate = clv.backtest(
        history,
        horizon="6 months",
        origins=["2023-06-30", "2023-12-31", "2024-06-30"],
        recipe=clv.Recipe(draws=200),
        draws=100,
        workers=1,
    )
    terms = {"horizons": [HORIZON], "margin": "margin", "cost_to_serve": "cost_to_serve", "draws": 100}
    forecast = clv.forecast(model, history, **terms, shock=certificate.shock, evidence=certificate.evidence)
    then = history.split(sim.as_of - pd.Timedelta(days=91)).calibration
    earlier = clv.fit(then, compare=False, draws=200)
    before = clv.forecast(earlier, then, **terms)
    potential = clv.potential(history, forecast)
    ranking = clv.rank(forecast, potential=potential, top_k=40, draws=100)
    return make_report(
        forecast,
        title="All sections",
        ranking=ranking,
        potential=potential,
        spends=allowable_spend(forecast),
        cohorts=cohorts(forecast, acquisition_cost=sim.acquisition_cost),
        certificate=certificate,
        drivers=clv.loss_drivers(history, forecast, events=sim.events),
        changes=value_bridge(
            snapshot_of_forecast("then", before, earlier, horizon=HORIZON),
            snapshot_of_forecast("now", forecast, model, horizon=HORIZON),
        ).steps,
        migration=clv.migration(clv.rank(before, draws=100).table, ranking.table),
        cash_flow=forecast.cash_flow("quarter"),
        simulated=True,
    )
