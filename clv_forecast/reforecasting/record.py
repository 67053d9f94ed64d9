"""The record of a run, ``run.json``: when and from what it was made, what the gates said, what it warns of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd

from clv_forecast.configuration.configuration import Configuration
from clv_forecast.reforecasting.alerts import Alert
from clv_forecast.reforecasting.gates import Gate, gates_as_records, left_out_share
from clv_forecast.reforecasting.inputs import Inputs
from clv_forecast.reforecasting.refit import Fitted, options_of
from clv_forecast.reforecasting.results import Results, Tested
from clv_forecast.report.report import plain_value
from clv_forecast.run_store.run_record import SCHEMA_VERSION
from clv_forecast.tables.connection_url import shown_url

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
        "value": _value(configuration, results),
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


def _value(configuration: Configuration, results: Results) -> dict[str, Any]:
    """The total that people ask for first."""
    horizon = configuration.ranking_horizon
    totals = results.forecast.totals
    row = totals[(totals["group"] == "all") & (totals["horizon"] == horizon)].iloc[0]
    names = ("customers", "purchases", "revenue", "value", "value_lower", "value_upper")
    found = {name: plain_value(row[name]) for name in names}
    return {"horizon": horizon, "currency": results.forecast.currency, "prob": results.forecast.prob, **found}
