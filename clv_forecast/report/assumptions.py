"""What a report's numbers depend on, as plain values, and a short mark that tells two sets of them apart."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clv_forecast.json_text import finite

if TYPE_CHECKING:
    from clv_forecast.report.report import Report


def plain_assumptions(report: Report) -> dict[str, Any]:
    """List everything that the report's numbers depend on, as values that JSON can hold.

    Parameters
    ----------
    report : Report

    Returns
    -------
    dict
        as_of, currency, simulated, customers, horizon, horizons, prob; ``forecast``, its assumptions; ``spends``, a
        list with basis, horizon, target_roi, confidence, payback_limit_months and assumptions of each; ``ranking``,
        what the order is by, where there is one. Dates are ISO text; what is missing or not finite is None or text.
    """
    forecast = report.forecast
    found: dict[str, Any] = {
        "as_of": forecast.as_of,
        "currency": forecast.currency,
        "simulated": report.simulated,
        "customers": forecast.plan.customers,
        "horizon": report.horizon,
        "horizons": forecast.horizons.labels,
        "prob": forecast.prob,
        "forecast": forecast.assumptions,
        "spends": [
            {
                "basis": spend.basis,
                "horizon": spend.horizon,
                "target_roi": spend.target_roi,
                "confidence": spend.confidence,
                "payback_limit_months": spend.payback_limit_months,
                "assumptions": spend.assumptions,
            }
            for spend in report.spends
        ],
    }
    if report.ranking is not None:
        found["ranking"] = {"by": report.ranking.order.by, "horizon": report.ranking.horizon}
    return {name: plain_value(value) for name, value in found.items()}


def assumptions_hash(report: Report) -> str:
    """Return the SHA-256 of the plain assumptions in canonical JSON (keys in order, no spaces), in hexadecimal.

    Two reports with the same mark were made under the same assumptions; it says nothing about the data.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str
        64 characters.
    """
    return hash_of(plain_assumptions(report))


def hash_of(plain: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain values in canonical JSON.

    Examples
    --------
    >>> hash_of({"b": 1, "a": [0.3, None]}) == hash_of({"a": [0.3, None], "b": 1})
    True
    """
    text = json.dumps(finite(plain), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def flat_assumptions(plain: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return nested assumptions as rows of a dotted name and a value.

    Examples
    --------
    >>> flat_assumptions({"forecast": {"margin": 0.3}, "horizons": ["12 months"]})
    [('forecast.margin', 0.3), ('horizons', '12 months')]
    """
    rows: list[tuple[str, Any]] = []
    for name, value in plain.items():
        if isinstance(value, Mapping):
            rows.extend((f"{name}.{below}", deeper) for below, deeper in flat_assumptions(value))
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            numbered = {str(place): one for place, one in enumerate(value, start=1)}
            rows.extend((f"{name}.{below}", deeper) for below, deeper in flat_assumptions(numbered))
        elif isinstance(value, list):
            rows.append((name, ", ".join(map(str, value))))
        else:
            rows.append((name, value))
    return rows


def plain_value(value: Any) -> Any:
    """Return a value that JSON can hold: a frozen object becomes a mapping, a date ISO text, NaN None.

    Examples
    --------
    >>> plain_value({"rate": np.float64(0.1), "day": pd.Timestamp("2024-12-31"), "levels": (50, 60)})
    {'rate': 0.1, 'day': '2024-12-31', 'levels': [50, 60]}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat() if value == value.normalize() else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_value(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, pd.DataFrame):
        return [plain_value(row) for row in value.to_dict("records")]
    if isinstance(value, pd.Series):
        return plain_value(value.to_dict())
    if isinstance(value, Mapping):
        return {str(name): plain_value(one) for name, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain_value(one) for one in value), key=str)
    if isinstance(value, list | tuple | np.ndarray):
        return [plain_value(one) for one in value]
    text = str(value)
    return type(value).__name__ if " at 0x" in text else text
