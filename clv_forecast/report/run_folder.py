"""The verb ``write_run``: everything a report was made of, and what it was made into, in one folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.files import atomic_folder, json_text
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.stack import Stack
from clv_forecast.inference.model import Model
from clv_forecast.inference.storage import save
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.ranking.account_months import LateCategories, late_categories
from clv_forecast.report.crm import csv_holds_ids, write_crm
from clv_forecast.report.page import write_page
from clv_forecast.report.report import Report, hash_of, plain_assumptions, plain_value
from clv_forecast.report.run_tables import check_storable, more_tables, one_plan, one_row, tables_of, write_table
from clv_forecast.report.stored_run import KIND, MANIFEST, MODEL, SCHEMA_VERSION, STACK, StoredRun, is_run, read_run
from clv_forecast.report.workbook import write_workbook

_log = logging.getLogger(__name__)
CERTIFICATE: Final = "certificate"
_VERSIONS: Final = ("clv-forecast", "numpy", "scipy", "pandas", "pyarrow", "numba", "ibis-framework", "duckdb")
_NO_TABLES: Final[Mapping[str, pd.DataFrame]] = MappingProxyType({})
_NO_FACTS: Final[Mapping[str, Any]] = MappingProxyType({})


@shows_progress
def write_run(
    report: Report,
    folder: str | os.PathLike[str],
    *,
    model: Model | Stack | None = None,
    tables: Mapping[str, pd.DataFrame] = _NO_TABLES,
    crm_fields: str | Mapping[str, str] = "plain",
    facts: Mapping[str, Any] = _NO_FACTS,
    files: Callable[[Path], None] | None = None,
    replaces: Callable[[Path], bool] = is_run,
    progress: Progress = automatic,
) -> StoredRun:
    """Write a run folder: tables, audit, certificate, model, page, workbook, file for the customer system, manifest.

    It is written aside and put in place at the end, so it is complete or not there.

    Parameters
    ----------
    report : Report
        From ``make_report``. What it was not given has no table.
    folder : path
        Its parents are created; an earlier run there is replaced.
    model : Model or Stack, optional
        That the forecast was made with. Without it a stored card has no months ahead.
    tables : mapping of str to DataFrame, optional
        More tables by name, such as ``{"metrics": account_metrics(...)}``.
    crm_fields : str or mapping
        Names of the fields of the file for the customer system: see ``write_crm``.
    facts : mapping of str to plain values, optional
        What else the run depends on, for the manifest.
    files : callable, optional
        Writes more files into the folder it is given, which are then part of the run.
    replaces : callable
        Whether an existing folder may be replaced. Default: one that holds a run.
    progress : callable

    Returns
    -------
    StoredRun

    Raises
    ------
    DomainError
        If the model is another than the forecast's, or a table cannot be added.
    InputError
        If a column mixes types or holds what Parquet cannot; nothing is written then.
    StoreError
        If the folder holds something else, or cannot be written.

    Notes
    -----
    Ids keep their type. The manifest holds neither a clock time nor the place of the folder: the same results give the
    same bytes of tables and manifest.

    Examples
    --------
    >>> import tempfile
    >>> import clv_forecast as clv
    >>> from clv_forecast.report.report import make_report
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=100)
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     run = write_run(make_report(fc), Path(parent) / "run")
    ...     len(run.table("history")), run.rows_of("purchases", 4)["amount"].round(2).tolist()
    (2349, [29.33, 29.73, 14.96, 26.48])
    """
    instance_of(report, Report, "report", made_by="make_report")
    if model is not None:
        _check_model(report, model)
    progress("write", 0, 5)
    bought = late_categories(report.forecast.history)
    stored = tables_of(report, bought, model)
    stored |= more_tables(stored, tables, report)
    check_storable(stored)
    progress("write", 1, 5)
    with atomic_folder(folder, replaces=replaces) as aside:
        for name, table in stored.items():
            write_table(table, aside / f"{name}.parquet")
        progress("write", 2, 5)
        _write_evidence(report, model, aside)
        write_page(report, aside / "report.html")
        progress("write", 3, 5)
        write_workbook(report, aside / "finance.xlsx")
        progress("write", 4, 5)
        write_crm(report, aside / _name_of_crm(report), fields=crm_fields)
        if files is not None:
            files(aside)
        others = sorted(
            path.relative_to(aside).as_posix()
            for path in aside.rglob("*")
            if path.is_file() and not (path.parent == aside and path.suffix == ".parquet")
        )
        _write_json(_manifest(report, bought, stored, files=others) | {"facts": plain_value(facts)}, aside / MANIFEST)
    progress("write", 5, 5)
    return read_run(folder)


def _check_model(report: Report, model: Model | Stack) -> None:
    """The model is that of the forecast when it expects the same of an account.

    Raises
    ------
    DomainError
        If it is not.
    """
    if not isinstance(model, Stack):
        instance_of(model, Model, "model", made_by="fit")
    plan = report.forecast.plan
    boundaries = report.forecast.horizons.boundaries(plan.unit)
    history = one_row(report.forecast.history, 0)
    again = one_plan(model, history, draws=plan.draws, seed=plan.seed, shock=plan.shock, correction=plan.correction)
    row = np.zeros(1, dtype=np.intp)
    first, second = (expected_money(one, row, boundaries).purchases for one in (plan, again))
    if first.shape != second.shape or not np.allclose(first, second, rtol=1e-9, atol=0.0):
        raise DomainError(
            "The model must be the one that the forecast was made with.",
            value=repr(model),
            remedy="Pass the one given to forecast.",
        )


def _name_of_crm(report: Report) -> str:
    """CSV where it can hold every id unchanged, else JSON: no id stops a run, and none is changed."""
    if csv_holds_ids(report):
        return "crm.csv"
    _log.warning("CSV cannot hold every id unchanged: the file for the customer system is crm.json instead of crm.csv.")
    return "crm.json"


def _write_evidence(report: Report, model: Model | Stack | None, aside: Path) -> None:
    """What stands behind the tables: audit, certificate and model."""
    audit = report.forecast.history.audit
    (aside / "audit.txt").write_text(f"{audit}\n", encoding="utf-8", errors="replace")
    _write_json(audit.to_dict(), aside / "audit.json")
    if report.certificate is not None:
        report.certificate.save(aside / CERTIFICATE)
    if isinstance(model, Model):
        save(model, aside / MODEL)
        (aside / "fit_report.txt").write_text(f"{model.report}\n", encoding="utf-8", errors="replace")
    elif isinstance(model, Stack):
        (aside / MODEL).mkdir()
        for place, member in enumerate(model.models, start=1):
            save(member, aside / MODEL / str(place))
        _write_json({"weights": list(model.weights)}, aside / MODEL / STACK)


def _manifest(
    report: Report, bought: LateCategories, tables: Mapping[str, pd.DataFrame], *, files: list[str]
) -> dict[str, Any]:
    forecast = report.forecast
    plain = plain_assumptions(report)
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "title": report.title,
        "simulated": report.simulated,
        "as_of": plain_value(forecast.as_of),
        "currency": forecast.currency,
        "unit": forecast.history.unit,
        "time_zone": forecast.history.time_zone,
        "customers": forecast.plan.customers,
        "horizon": report.horizon,
        "seed": forecast.plan.seed,
        "draws": forecast.plan.draws,
        "versions": {name: metadata.version(name) for name in _VERSIONS},
        "assumptions": plain,
        "assumptions_hash": hash_of(plain),
        "notes": list(forecast.notes),
        "categories": {"on_offer": bought.on_offer, "since": plain_value(bought.since)},
        "tables": {name: {"rows": len(table), "columns": list(table.columns)} for name, table in tables.items()},
        "files": files,
    }


def _write_json(content: Any, path: Path) -> None:
    path.write_text(json_text(content, indent=1) + "\n", encoding="ascii")
