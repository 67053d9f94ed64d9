"""A small store to try runs on: orders of CDNOW as CSV, a configuration that is quick, and the runs made from it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import clv_forecast as clv
from clv_forecast.runs.reforecasting.one_run import Reforecast
from clv_forecast.runs.reforecasting.reforecast import reforecast

DAYS = ("1997-12-07", "1997-12-14", "1997-12-21")
QUICK = """
[log]
observed_from = "1997-01-01"
[forecast]
horizons = ["12 months"]
draws = 100
[model]
draws = 100
{model}
[backtest]
{backtest}
[ranking]
top_k = 20
{ranking}
[finance]
bases = {bases}
[cohorts]
enabled = false
{more}
"""


def orders() -> pd.DataFrame:
    log = clv.load_cdnow("1/10")
    return log[log["customer_id"] < 1200].reset_index(drop=True)


def write_orders(folder: Path, log: pd.DataFrame | None = None) -> None:
    (orders() if log is None else log).to_csv(folder / "orders.csv", index=False)


def write_configuration(
    folder: Path,
    *,
    model: str = "",
    backtest: str = "enabled = false",
    ranking: str = "enabled = false",
    bases: str = "[]",
    more: str = "",
) -> Path:
    """Write clv.toml; a ranking or a spend is left out unless asked for, as each takes a second."""
    path = folder / "clv.toml"
    text = QUICK.format(model=model, backtest=backtest, ranking=ranking, bases=bases, more=more)
    path.write_text(f'title = "CDNOW"\n[[sources]]\nname = "shop"\npath = "orders.csv"\n{text}', encoding="utf-8")
    return path


def run_days(folder: Path, days: tuple[str, ...] = DAYS, **options: str) -> list[Reforecast]:
    """Runs of several days, in a new store in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "orders.csv").exists():
        write_orders(folder)
    configuration = write_configuration(folder, **options)
    return [reforecast(configuration, as_of=day) for day in days]
