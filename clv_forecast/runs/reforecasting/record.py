"""The record of a run, ``run.json``: when and from what it was made, what the gates said, what it warns of.

Whether a run fits anew or scores with the standing model, and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from clv_forecast.errors import ClvForecastError
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.fit import fit, fit_recipe
from clv_forecast.inference.model import Model
from clv_forecast.inference.recipe import Recipe
from clv_forecast.progress import Progress, silent
from clv_forecast.report.report import plain_value
from clv_forecast.runs.comparison.drift import largest_drift, most_moved, parameter_drift
from clv_forecast.runs.configuration.configuration import Configuration
from clv_forecast.runs.configuration.sections_model import ModelSection
from clv_forecast.runs.reforecasting.alerts import Alert
from clv_forecast.runs.reforecasting.gates import Gate, gates_as_records, left_out_share
from clv_forecast.runs.reforecasting.inputs import Inputs
from clv_forecast.runs.reforecasting.results import Results, Tested
from clv_forecast.runs.store.run_entry import SCHEMA_VERSION
from clv_forecast.tables.connection_url import shown_url

DRIFT: Final = "drift"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """The model that a run scores with.

    Parameters
    ----------
    model : Model
    refitted : bool
    reason : str
        Why it was fitted anew, or was not.
    runs_since : int
        Runs since its fit; 0 in the run that fitted it.
    drift : DataFrame
        How far the log of today would move the standing model's parameters: see ``parameter_drift``. Empty in a first
        run, and for groups and covariates.
    """

    model: Model
    refitted: bool
    reason: str
    runs_since: int
    drift: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """The model of the last run.

    Parameters
    ----------
    model : Model
    options : mapping
        The options it was fitted with, as the record of that run has them.
    runs_since : int
    """

    model: Model
    options: Mapping[str, Any]
    runs_since: int


def fitted_model(
    section: ModelSection,
    history: PurchaseHistory,
    standing: Standing | None,
    *,
    seed: int,
    progress: Progress = silent,
) -> Fitted:
    """Fit anew when it is due, starting from the standing model; else keep that.

    Parameters
    ----------
    section : ModelSection
    history : PurchaseHistory
    standing : Standing or None
        None in a first run.
    seed : int
    progress : callable

    Returns
    -------
    Fitted

    Raises
    ------
    FitError
        If a fit that is due fails.
    DomainError, InputError
        If the history lacks what the model needs.
    """
    rule, every = section.refit_rule
    reason, drift = _due(section, history, standing, rule=rule, every=every, seed=seed)
    if reason is None and standing is not None:
        told = f"The model of {standing.model.as_of.date()} is kept: {section.refit}, {standing.runs_since + 1} since."
        return Fitted(
            model=standing.model, refitted=False, reason=told, runs_since=standing.runs_since + 1, drift=drift
        )
    model = fit_recipe(
        section.recipe,
        history,
        rng=seed,
        start=None if standing is None else standing.model,
        allow_unconverged=section.allow_unconverged,
        progress=progress,
    )
    if standing is not None and not len(drift):
        drift = parameter_drift(standing.model, model)
    return Fitted(model=model, refitted=True, reason=reason or "", runs_since=0, drift=drift)


def options_of(section: ModelSection) -> dict[str, Any]:
    """The options of a fit as plain values, without those on when to fit."""
    names = ("purchases", "spend", "method", "spend_from", "groups", "covariates", "draws")
    found = {name: getattr(section, name) for name in names}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _due(
    section: ModelSection,
    history: PurchaseHistory,
    standing: Standing | None,
    *,
    rule: str,
    every: int | None,
    seed: int,
) -> tuple[str | None, pd.DataFrame]:
    """Why a fit is due, or None; and the drift that was looked at."""
    nothing = pd.DataFrame(columns=["parameter", "then", "now", "z"])
    if standing is None:
        return "No model yet: fitting.", nothing
    if dict(standing.options) != options_of(section) or standing.model.seed != seed:
        return "The options of the model have changed.", nothing
    if standing.model.unit != history.unit or standing.model.currency != history.currency:
        return "The unit or the currency has changed.", nothing
    if rule != DRIFT:
        due = standing.runs_since + 1 >= (every or 1)
        return (f"It is due: {section.refit}." if due else None), nothing
    drift = _challenged(section.recipe, history, standing.model, seed=seed)
    largest = largest_drift(drift)
    if largest > section.drift_z:
        return f"{most_moved(drift)}.", drift
    return None, drift


def _challenged(recipe: Recipe, history: PurchaseHistory, model: Model, *, seed: int) -> pd.DataFrame:
    """How far today's log, fitted by maximum likelihood, would move the parameters; a failed fit is a drift itself."""
    try:
        challenger = fit(
            history, model.purchases, model.spend, spend_from=recipe.spend_from, rng=seed, draws=100, compare=False
        )
    except ClvForecastError:
        row = {"model": model.purchases, "parameter": "the fit", "then": 0.0, "standard_error": 0.0, "now": 0.0}
        return pd.DataFrame([row | {"z": float("inf")}])
    return parameter_drift(model, challenger, kinds=False)


KIND: Final = "clv_forecast run record"


def record_of(
    *,
    run_id: str,
    as_of: pd.Timestamp,
    started: str,
    finished: str,
    configuration: Configuration,
    inputs: Inputs,
    fitted: Fitted,
    tested: Tested,
    results: Results,
    previous: str | None,
    gates: Iterable[Gate],
    alerts: Iterable[Alert],
    notes: Iterable[str],
    held: bool,
) -> dict[str, Any]:
    """Everything about a run that its tables do not say; clock times stand here and nowhere else.

    Returns
    -------
    dict
        Plain values. Of URLs of the configuration only scheme, host and database.
    """
    horizon = configuration.ranking_horizon
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "as_of": as_of.date().isoformat(),
        "status": "held" if held else "published",
        "started": started,
        "finished": finished,
        "previous": previous,
        "fingerprint": inputs.fingerprint,
        "sources": [_source(source, as_of) for source in inputs.sources],
        "model": {
            "fitted_as_of": fitted.model.as_of.date().isoformat(),
            "refitted": fitted.refitted,
            "reason": fitted.reason,
            "runs_since": fitted.runs_since,
            "status": fitted.model.report.status.value,
            "options": options_of(configuration.model),
        },
        "certificate": {
            "as_of": None if tested.certificate is None else tested.certificate.as_of.date().isoformat(),
            "runs_since": tested.runs_since,
            "reason": tested.reason,
            "standing": None if tested.certificate is None else tested.certificate.standing(horizon),
            "summary": "" if tested.certificate is None else tested.certificate.summary(horizon),
        },
        "value": _value(results, configuration.ranking_horizon),
        "left_out": left_out_share(results.forecast.history.audit),
        "gates": plain_value(gates_as_records(gates)),
        "alerts": [alert.to_dict() for alert in alerts],
        "notes": list(notes),
        "configuration": _shown(configuration.to_dict()),
    }


def accepted_record(record: Mapping[str, Any], accept: Mapping[str, str]) -> dict[str, Any]:
    """The record of a held run whose gates someone accepts."""
    gates = [
        gate | {"accepted": accept[gate["name"]].strip()} if not gate["passed"] and gate["name"] in accept else gate
        for gate in record["gates"]
    ]
    return {**record, "gates": gates, "status": "published"}


def holding(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The gates that hold a run."""
    return [gate for gate in record.get("gates", []) if not gate["passed"] and not gate["accepted"]]


def _shown(plain: Any, key: str = "") -> Any:
    """A configuration without logins and options of its URLs."""
    if isinstance(plain, Mapping):
        return {name: _shown(value, name) for name, value in plain.items()}
    if isinstance(plain, list):
        return [_shown(value) for value in plain]
    return shown_url(plain) if key.endswith("url") and isinstance(plain, str) else plain


def _source(source: Any, as_of: pd.Timestamp) -> dict[str, Any]:
    lines, money = source.upto(as_of)
    newest = source.newest
    return {
        "name": source.name,
        "lines": lines,
        "money": money,
        "newest": None if newest is None else newest.date().isoformat(),
        "matched_share": source.matched_share,
    }


def _value(results: Results, horizon: str) -> dict[str, Any]:
    """The total that people ask for first."""
    totals = results.forecast.totals
    row = totals[(totals["group"] == "all") & (totals["horizon"] == horizon)].iloc[0]
    names = ("customers", "purchases", "revenue", "value", "value_lower", "value_upper")
    found = {name: plain_value(row[name]) for name in names}
    return {"horizon": horizon, "currency": results.forecast.currency, "prob": results.forecast.prob, **found}
