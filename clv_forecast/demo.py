"""The main job on real data: the CDNOW log from orders to value, written to a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clv_forecast.atomic_folder import atomic_folder
from clv_forecast.forecasting.forecast import forecast
from clv_forecast.forecasting.new_customers import new_customer_value
from clv_forecast.forecasting.result import Forecast
from clv_forecast.history.purchase_history import PurchaseHistory, purchase_history
from clv_forecast.history.samples import load_cdnow
from clv_forecast.inference.fit import fit
from clv_forecast.inference.model import Model
from clv_forecast.progress import Progress, silent

AS_OF = "1998-06-30"
_MARK = "forecast_assumptions.json"
COHORT_BEGINS = "1997-01-01"
"""All customers of CDNOW's file are new: none of them had bought before the log begins."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demo:
    """What the main job made, and where it lies."""

    history: PurchaseHistory
    model: Model
    forecast: Forecast
    new_customer: pd.DataFrame
    folder: Path


def run_demo(folder: Path, *, progress: Progress = silent) -> Demo:
    """Audit, fit and forecast the full CDNOW log (23,570 customers), and write the tables to ``folder``.

    The folder is written aside and put in place at the end, so it is complete or not there.

    Raises
    ------
    StoreError
        If the folder holds something else, or cannot be written.
    """
    progress("read", 0, 1)
    history = purchase_history(load_cdnow(), as_of=AS_OF, unit="week", observed_from=COHORT_BEGINS)
    progress("read", 1, 1)
    model = fit(history, progress=progress)
    result = forecast(model, history, progress=progress)
    demo = Demo(
        history=history,
        model=model,
        forecast=result,
        new_customer=new_customer_value(model),
        folder=folder,
    )
    write_folder(demo)
    return demo


def write_folder(demo: Demo) -> None:
    """Write the tables, the audit, the fit report and the model; an earlier demo's folder is replaced.

    Raises
    ------
    StoreError
        If the folder holds something else, or cannot be written.
    """
    with atomic_folder(demo.folder, replaces=lambda older: (older / _MARK).is_file()) as aside:
        (aside / _MARK).write_text(json.dumps(_assumptions(demo.forecast), indent=2) + "\n", encoding="utf-8")
        demo.history.table.to_parquet(aside / "history.parquet", index=False)
        demo.forecast.customers.to_parquet(aside / "forecast.parquet", index=False)
        demo.forecast.totals.to_csv(aside / "totals.csv", index=False)
        demo.forecast.next_order().to_parquet(aside / "next_order.parquet", index=False)
        demo.new_customer.to_csv(aside / "new_customer.csv", index=False)
        demo.model.parameters.to_csv(aside / "parameters.csv", index=False)
        (aside / "audit.txt").write_text(f"{demo.history.audit}\n", encoding="utf-8")
        (aside / "audit.json").write_text(json.dumps(demo.history.audit.to_dict(), indent=1), encoding="utf-8")
        (aside / "fit_report.txt").write_text(f"{demo.model.report}\n", encoding="utf-8")
        demo.model.save(aside / "model")


def _assumptions(result: Forecast) -> dict[str, object]:
    plain = (str, int, float, type(None))
    return {name: value if isinstance(value, plain) else str(value) for name, value in result.assumptions.items()}
