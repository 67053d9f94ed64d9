"""Everything that one report shows, checked to belong together.

What a report's numbers depend on, as plain values, and a short mark that tells two sets of them apart.

"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.evaluation.certificate import Certificate
from clv_forecast.files import finite
from clv_forecast.finance.cohorts import Cohorts
from clv_forecast.finance.losing_accounts import losing_accounts
from clv_forecast.finance.spend import ACQUIRE, CEILING, GROW, RETAIN, AllowableSpend
from clv_forecast.forecasting.result import Forecast
from clv_forecast.ranking.potential import Potential
from clv_forecast.ranking.ranking import Ranking


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


THEN: Final = "value then"
NOW: Final = "value now"


_ORDER: Final = (RETAIN, GROW, ACQUIRE, CEILING)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Report:
    """Finished results of one day, for `write_page`, `write_workbook` and `write_crm`. Made by `make_report`.

    Parameters
    ----------
    title : str
    simulated : bool
        Whether the data are made up; every output says so.
    forecast : Forecast
    horizon : str
        What accounts are compared over.
    ranking : Ranking or None
    potential : Potential or None
    spends : tuple of AllowableSpend
        As given; ``spends_in_order`` has them in the order of reading.
    losers : DataFrame or None
        From ``losing_accounts``; None where the forecast has no money.
    cohorts : Cohorts or None
    certificate : Certificate or None
    drivers : DataFrame or None
        From ``loss_drivers``.
    changes : DataFrame or None
        Steps of a value bridge (`value_bridge`).
    migration : DataFrame or None
        From ``migration``.
    cash_flow : DataFrame or None
        From ``Forecast.cash_flow``.
    since : DataFrame or None
        From ``came_since``: what came since earlier runs, against their bands.
    """

    title: str
    simulated: bool
    forecast: Forecast
    horizon: str
    ranking: Ranking | None
    potential: Potential | None
    spends: tuple[AllowableSpend, ...]
    losers: pd.DataFrame | None
    cohorts: Cohorts | None
    certificate: Certificate | None
    drivers: pd.DataFrame | None
    changes: pd.DataFrame | None
    migration: pd.DataFrame | None
    cash_flow: pd.DataFrame | None
    since: pd.DataFrame | None = None

    @property
    def spends_in_order(self) -> tuple[AllowableSpend, ...]:
        """What keeps and grows accounts first, then what wins customers, and upper limits last."""
        return tuple(sorted(self.spends, key=lambda spend: _ORDER.index(spend.basis)))

    def __repr__(self) -> str:
        return (
            f"<Report {self.title!r} of {self.forecast.plan.customers:,} accounts as of {self.forecast.as_of:%Y-%m-%d}>"
        )


def make_report(
    forecast: Forecast,
    *,
    title: str = "Customer lifetime value",
    horizon: str | None = None,
    ranking: Ranking | None = None,
    potential: Potential | None = None,
    spends: AllowableSpend | Sequence[AllowableSpend] = (),
    cohorts: Cohorts | None = None,
    certificate: Certificate | None = None,
    drivers: pd.DataFrame | None = None,
    changes: pd.DataFrame | None = None,
    migration: pd.DataFrame | None = None,
    cash_flow: pd.DataFrame | None = None,
    since: pd.DataFrame | None = None,
    simulated: bool = False,
) -> Report:
    """Gather finished results for a page, a workbook and a file for the customer system.

    Parameters
    ----------
    forecast : Forecast
    title : str
    horizon : str, optional
        One of the forecast's; default: that of the ranking, else of the first spend, else the forecast's first.
    ranking : Ranking, optional
    potential : Potential, optional
    spends : AllowableSpend or sequence of them
    cohorts : Cohorts, optional
    certificate : Certificate, optional
    drivers, changes, migration, cash_flow : DataFrame, optional
        From ``loss_drivers``, ``value_bridge`` (its steps), ``migration`` and
        ``forecast.cash_flow("quarter")``.
    since : DataFrame, optional
        What came since earlier runs against their bands: ``since`` of a comparison of runs.
    simulated : bool
        Whether the data are made up; every output then says so.

    Returns
    -------
    Report
        What is not given is a section that says what would fill it.

    Raises
    ------
    DomainError
        If a part is of another kind, parts are of different days, currencies, accounts or terms, the ranking is over
        another horizon, or the horizon is unknown.
    """
    instance_of(forecast, Forecast, "forecast", made_by="forecast")
    listed = (spends,) if isinstance(spends, AllowableSpend) else tuple(spends)
    for spend in listed:
        instance_of(spend, AllowableSpend, "spends", made_by="allowable_spend")
    default = forecast.horizons.labels[0]
    _check_kinds(
        (ranking, Ranking, "ranking", "rank"),
        (potential, Potential, "potential", "potential"),
        (cohorts, Cohorts, "cohorts", "cohorts"),
        (certificate, Certificate, "certificate", "backtest"),
        (drivers, pd.DataFrame, "drivers", "loss_drivers"),
        (changes, pd.DataFrame, "changes", "value_bridge"),
        (migration, pd.DataFrame, "migration", "migration"),
        (cash_flow, pd.DataFrame, "cash_flow", "forecast.cash_flow"),
        (since, pd.DataFrame, "since", "compare_runs"),
    )
    if not isinstance(title, str):
        raise DomainError("The title of a report is text.", value=repr(title))
    if listed:
        default = listed[0].horizon
    if ranking is not None:
        default = ranking.horizon
    chosen = forecast.horizons.one(default if horizon is None else horizon)
    report = Report(
        title=title,
        simulated=simulated,
        forecast=forecast,
        horizon=chosen,
        ranking=ranking,
        potential=potential,
        spends=listed,
        losers=losing_accounts(forecast, horizon=chosen) if forecast.plan.has_spend else None,
        cohorts=cohorts,
        certificate=certificate,
        drivers=drivers,
        changes=changes,
        migration=migration,
        cash_flow=cash_flow,
        since=since,
    )
    _check_belonging(report)
    return report


def _check_kinds(*parts: tuple[object, type, str, str]) -> None:
    for part, kind, name, made_by in parts:
        if part is not None:
            instance_of(part, kind, name, made_by=made_by)


def _check_belonging(report: Report) -> None:
    """All parts are of the forecast's day, currency, accounts and terms, and ranked over the report's horizon."""
    forecast, ranking, ids = report.forecast, report.ranking, report.forecast.customer_ids
    parts: dict[str, AllowableSpend | Cohorts] = {f"allowable spend ({one.basis})": one for one in report.spends}
    if report.cohorts is not None:
        parts["cohorts"] = report.cohorts
    for name, part in parts.items():
        _same(name, "as_of", part.as_of, wanted=forecast.as_of)
        _same(name, "currency", part.currency, wanted=forecast.currency)
    if ranking is not None:
        _same("ranking", "as_of", pd.Timestamp(ranking.table["as_of"].iloc[0]), wanted=forecast.as_of)
        _same("ranking", "horizon", ranking.horizon, wanted=report.horizon)
        _same_accounts("ranking", set(ranking.table[columns.CUSTOMER_ID]) == set(ids))
    if report.potential is not None:
        _same_accounts("potential", report.potential.history is forecast.history)
    for spend in report.spends:
        name = f"allowable spend ({spend.basis})"
        if columns.CUSTOMER_ID in spend.table:
            _same_accounts(name, spend.table[columns.CUSTOMER_ID].tolist() == list(ids))
        for term, value in forecast.assumptions.items():
            _same(name, term, str(spend.assumptions.get(term)), wanted=str(value))


def _same(name: str, what: str, found: object, *, wanted: object) -> None:
    if found != wanted:
        raise DomainError(
            "All results of a report must be of one forecast.",
            value=f"{name} with {what} {found}, report with {wanted}"[:200],
            remedy="Make them from the forecast of the report, a ranking over its horizon.",
        )


def _same_accounts(name: str, same: bool) -> None:
    if not same:
        raise DomainError(
            "All results of a report must be of the same accounts.",
            value=name,
            remedy="Make them from the forecast of the report.",
        )
