"""A model as plain values and back: what goes into its JSON and its arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.inference.draws import ParameterDraws, params_of_draws
from clv_forecast.inference.encoding_of_draws import (
    decode_chains,
    decode_hierarchy,
    decode_rows,
    encode_chains,
    encode_hierarchy,
    encode_rows,
)
from clv_forecast.inference.hierarchical.convergence import Convergence
from clv_forecast.inference.report import FitReport, PartReport
from clv_forecast.inference.status import FitStatus
from clv_forecast.models import gamma_gamma, transaction_model

if TYPE_CHECKING:
    from clv_forecast.inference.model import Model

_PLAIN: Final = (
    "purchases",
    "spend",
    "method",
    "unit",
    "currency",
    "spend_from",
    "spend_level",
    "time_scale",
    "money_scale",
    "seed",
)
_PART_PLAIN: Final = (
    "model",
    "message",
    "log_likelihood",
    "aic",
    "bic",
    "gradient_norm",
    "condition",
    "evaluations",
    "n_customers",
    "n_rows",
    "draws_kind",
    "k_hat",
)

_CONVERGENCE_PLAIN: Final = ("r_hat", "ess_bulk", "ess_tail", "divergences", "draws", "chains")


def encode_model(model: Model) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Split a model into JSON content and arrays.

    Returns
    -------
    content : dict
        Without NaN or infinity (written as text), so that it is valid JSON.
    arrays : dict of ndarray
        Draws of each parameter, the fitted rows, and what a hierarchical fit and a sampler add.
    """
    report, draws = model.report, model.draws
    content: dict[str, Any] = {name: _encode(getattr(model, name)) for name in _PLAIN}
    content["as_of"] = model.as_of.isoformat()
    content["estimate"] = _encode_params(model.estimate)
    content["spend_estimate"] = None if model.spend_estimate is None else _encode_params(model.spend_estimate)
    content["parameters"] = _encode_frame(model.parameters)
    content["draws"] = {"kind": draws.kind, "spend_kind": draws.spend_kind}
    content["report"] = {
        "n_customers": report.n_customers,
        "notes": list(report.notes),
        "alternatives": None if report.alternatives is None else _encode_frame(report.alternatives),
        "parts": [_encode_part(part) for part in report.parts],
    }
    content["priors"] = None if model.priors is None else _encode_frame(model.priors)
    arrays = {str(name): np.asarray(values) for name, values in draws.to_frame().items()}
    for encode in (encode_rows, encode_hierarchy, encode_chains):
        more, more_arrays = encode(model)
        content |= more
        arrays |= more_arrays
    return content, arrays


def decode_model(content: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Turn content and arrays into the fields of a model.

    Raises
    ------
    KeyError, ValueError, TypeError
        If something is missing or is not what it should be.
    """
    purchases = transaction_model(content["purchases"])
    spend = None if content["spend"] is None else gamma_gamma
    values: dict[str, Any] = {name: _decode(content[name]) for name in _PLAIN}
    values["as_of"] = pd.Timestamp(content["as_of"])
    values["estimate"] = purchases.Params(**content["estimate"])
    values["spend_estimate"] = None if spend is None else spend.Params(**content["spend_estimate"])
    values["parameters"] = _decode_frame(content["parameters"])
    values["draws"] = ParameterDraws(
        purchases=params_of_draws(purchases.Params, [arrays[name] for name in purchases.PARAMETERS]),
        spend=None if spend is None else params_of_draws(spend.Params, [arrays[name] for name in spend.PARAMETERS]),
        kind=content["draws"]["kind"],
        spend_kind=content["draws"]["spend_kind"],
        hierarchy=decode_hierarchy(content, arrays, seed=values["seed"]),
    )
    values["priors"] = None if content.get("priors") is None else _decode_frame(content["priors"])
    values["rows"] = decode_rows(content, arrays)
    values["purchase_chains"], values["spend_chains"] = decode_chains(content, arrays)
    report = content["report"]
    parts = [_decode_part(part) for part in report["parts"]]
    values["report"] = FitReport(
        purchases=parts[0],
        spend=parts[1] if len(parts) > 1 else None,
        n_customers=report["n_customers"],
        alternatives=None if report["alternatives"] is None else _decode_frame(report["alternatives"]),
        notes=tuple(report["notes"]),
    )
    return values


def _encode_part(part: PartReport) -> dict[str, Any]:
    plain = {name: _encode(getattr(part, name)) for name in _PART_PLAIN}
    return plain | {
        "status": part.status.value,
        "correlations": _encode_frame(part.correlations),
        "coordinates": list(part.correlations.index),
        "convergence": None if part.convergence is None else _encode_convergence(part.convergence),
    }


def _decode_part(part: Mapping[str, Any]) -> PartReport:
    correlations = _decode_frame(part["correlations"])
    correlations.index = pd.Index(part["coordinates"])
    told = part.get("convergence")
    return PartReport(
        **{name: _decode(part[name]) for name in _PART_PLAIN},
        status=FitStatus(part["status"]),
        correlations=correlations,
        convergence=None if told is None else _decode_convergence(told),
    )


def _encode_convergence(convergence: Convergence) -> dict[str, Any]:
    plain = {name: _encode(getattr(convergence, name)) for name in _CONVERGENCE_PLAIN}
    return plain | {"table": _encode_frame(convergence.table)}


def _decode_convergence(told: Mapping[str, Any]) -> Convergence:
    plain = {name: _decode(told[name]) for name in _CONVERGENCE_PLAIN}
    return Convergence(table=_decode_frame(told["table"]), **plain)


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def _decode(value: Any) -> Any:
    return float(value["float"]) if isinstance(value, Mapping) else value


def _encode_params(params: Any) -> dict[str, float]:
    return {field.name: float(getattr(params, field.name)) for field in fields(params)}


def _encode_frame(frame: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(name): [_encode(value) for value in column.tolist()] for name, column in frame.items()}


def _decode_frame(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    return pd.DataFrame({name: [_decode(value) for value in values] for name, values in columns.items()})
