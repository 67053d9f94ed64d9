"""One run as a comparison needs it: who was valued, by which model, on which terms, and at how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import InputError
from clv_forecast.forecasting.adjustments import CommonShock, Correction
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.money import Terms, resolve_terms
from clv_forecast.forecasting.plan import Plan, make_plan
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.stack import Stack
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.model import Model
from clv_forecast.report.run_tables import history_of_rows
from clv_forecast.report.stored_run import StoredRun
from clv_forecast.units import Horizon, check_unit, discount_per_unit

CROSSWALK: Final = "crosswalk"
ORDERS: Final = "orders"
PLAIN_ORDERS: Final = {"decimal": ".", "thousands": "", "date_format": "iso"}
"""How consolidated orders are written, for runs of a version that did not store it."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What turns a history and a model into value, beside the terms of each account.

    Parameters
    ----------
    draws, seed : int
    discount_rate_annual : float
    lifetime_years : float
    shock : CommonShock or None
    correction : Correction or None
    """

    draws: int
    seed: int
    discount_rate_annual: float
    lifetime_years: float
    shock: CommonShock | None
    correction: Correction | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Snapshot:
    """A run with all that its value follows from.

    Parameters
    ----------
    name : str
    history : PurchaseHistory
        Of its day; without events when it was read from a folder.
    purchases : DataFrame
        Purchase-days up to its day: customer_id, date, amount.
    model : Model or Stack
    terms : Terms
        In the order of the history.
    settings : Settings
    horizon : str
    values : ndarray, shape (customer,)
        As published, over the horizon.
    prob : float
        Of its bands.
    rates : mapping of str to Decimal
        Exchange rates that its money was converted at; empty where there were none.
    crosswalk : DataFrame or None
        source, source_id, customer_id.
    orders : Path or None
        Folder of the orders behind it, as they were read.
    options : mapping
        How ``purchase_history`` reads those orders.
    """

    name: str
    history: PurchaseHistory
    purchases: pd.DataFrame
    model: Model | Stack
    terms: Terms
    settings: Settings
    horizon: str
    values: Floats
    prob: float
    rates: Mapping[str, Decimal]
    crosswalk: pd.DataFrame | None
    orders: Path | None
    options: Mapping[str, Any]

    @property
    def as_of(self) -> pd.Timestamp:
        """Last day of the log."""
        return self.history.as_of

    @property
    def ids(self) -> pd.Index[Any]:
        """Ids in the order of the history."""
        ids: pd.Index[Any] = pd.Index(self.history.table[columns.CUSTOMER_ID])
        return ids

    @property
    def horizon_in_unit(self) -> float:
        """Length of the horizon in the unit of the history."""
        parsed = Horizon.parse(self.horizon, lifetime_years=self.settings.lifetime_years)
        return parsed.in_unit(self.history.unit)

    def plan(self, history: PurchaseHistory, terms: Terms) -> Plan:
        """Bring this run's model and settings together with some accounts and their terms."""
        return plan_of(self.model, history, terms, self.settings)

    def __repr__(self) -> str:
        return f"<Snapshot {self.name!r}: {len(self.values):,} accounts as of {self.as_of.date()}, {self.horizon}>"


def plan_of(model: Model | Stack, history: PurchaseHistory, terms: Terms, settings: Settings) -> Plan:
    """Bring a model, accounts, their terms and settings together."""
    return make_plan(
        model,
        history,
        terms=terms,
        discount=discount_per_unit(settings.discount_rate_annual, history.unit),
        draws=settings.draws,
        seed=settings.seed,
        shock=settings.shock,
        correction=settings.correction,
    )


def snapshot_of(run: StoredRun, *, horizon: str | None = None) -> Snapshot:
    """Read what a comparison needs from a run folder.

    Parameters
    ----------
    run : StoredRun
        With its model.
    horizon : str, optional
        One of the run's; default: that of its report.

    Returns
    -------
    Snapshot

    Raises
    ------
    DomainError
        If the run has no such horizon.
    InputError
        If its model has no spend part, or its history was made from a summary.
    StoreError
        If the run holds no model, or a file is damaged.
    """
    manifest, told = run.manifest, run.manifest["assumptions"]["forecast"]
    chosen = manifest["horizon"] if horizon is None else horizon
    chosen = Horizons.parse(manifest["assumptions"]["horizons"], lifetime_years=told["lifetime_years"]).one(
        chosen, of=f"Run {run.folder.name}"
    )
    if "purchases" not in run.tables:
        raise InputError(
            "Runs are compared by their orders, and the history of this one was made from a summary.",
            value=run.folder,
        )
    history = history_of_rows(
        run.table("history").drop(columns=["as_of", "currency", "unit"], errors="ignore"),
        customers=_customers(run),
        as_of=run.as_of,
        unit=check_unit(manifest["unit"]),
        currency=manifest["currency"],
    )
    forecast = run.table("forecast", only=[columns.CUSTOMER_ID, "horizon", "value", "prob"])
    rows = forecast[(forecast["horizon"] == chosen).to_numpy(dtype=bool)]
    if rows["value"].isna().any():
        raise InputError("Value is compared: the model of both runs must have a spend part.", value=run.folder)
    shock, correction = told["shock"], told["correction"]
    facts = manifest.get("facts", {})
    return Snapshot(
        name=run.folder.name,
        history=history,
        purchases=run.table("purchases", only=[columns.CUSTOMER_ID, columns.DATE, columns.AMOUNT]),
        model=run.model(),
        terms=resolve_terms(
            history,
            margin=_margin_rule(told["margin"], history),
            cost_to_serve=told["cost_to_serve"],
            cost_per_order=told["cost_per_order"],
        ),
        settings=Settings(
            draws=manifest["draws"],
            seed=manifest["seed"],
            discount_rate_annual=told["discount_rate_annual"],
            lifetime_years=told["lifetime_years"],
            shock=None if shock is None else CommonShock(**shock),
            correction=None if correction is None else Correction(**correction),
        ),
        horizon=chosen,
        values=rows["value"].to_numpy(dtype=float),
        prob=float(rows["prob"].iloc[0]),
        rates={code: Decimal(rate) for code, rate in facts.get("rates", {}).items()},
        crosswalk=run.table(CROSSWALK) if CROSSWALK in run.tables else None,
        orders=run.folder / ORDERS if (run.folder / ORDERS).is_dir() else None,
        options=PLAIN_ORDERS | facts.get("options", {}),
    )


def _customers(run: StoredRun) -> pd.DataFrame | None:
    """The customers' attributes as they were given; a column of theirs called as_of or currency is the run's own."""
    return run.table("customers") if "customers" in run.tables else None


def _margin_rule(rule: Any, history: PurchaseHistory) -> Any:
    """The rule of a manifest, in which the names of groups are text."""
    if not isinstance(rule, Mapping):
        return rule
    (column, rates), *_ = rule.items()
    if history.customers is None or column not in history.customers:
        return {column: dict(rates)}
    labels = {str(label): label for label in set(history.customers[column].dropna())}
    return {column: {labels.get(name, name): rate for name, rate in rates.items()}}


def snapshot_of_forecast(
    name: str,
    forecast: Forecast,
    model: Model | Stack,
    *,
    horizon: str,
    rates: Mapping[str, Any],
    crosswalk: pd.DataFrame | None,
    orders: Path | None,
    options: Mapping[str, Any],
) -> Snapshot:
    """Read the same off a forecast that is at hand, before it is written.

    Raises
    ------
    DomainError
        If the forecast has no such horizon.
    InputError
        If the model has no spend part, or the history was made from a summary.
    """
    told, plan = forecast.assumptions, forecast.plan
    horizon = forecast.horizons.one(horizon)
    rows = forecast.customers[(forecast.customers["horizon"] == horizon).to_numpy(dtype=bool)]
    if not plan.has_spend:
        raise InputError("Value is compared: the model of both runs must have a spend part.", value=name)
    return Snapshot(
        name=name,
        history=forecast.history,
        purchases=forecast.history.purchases(),
        model=model,
        terms=resolve_terms(
            forecast.history, **{rule: told[rule] for rule in ("margin", "cost_to_serve", "cost_per_order")}
        ),
        settings=Settings(
            draws=plan.draws,
            seed=plan.seed,
            discount_rate_annual=told["discount_rate_annual"],
            lifetime_years=told["lifetime_years"],
            shock=plan.shock,
            correction=plan.correction,
        ),
        horizon=horizon,
        values=rows["value"].to_numpy(dtype=float),
        prob=forecast.prob,
        rates={code: Decimal(str(rate)) for code, rate in rates.items()},
        crosswalk=crosswalk,
        orders=orders,
        options=options,
    )


def ids_alike(before: Snapshot, after: Snapshot) -> tuple[Snapshot, Snapshot]:
    """Both runs with ids of one kind: where one has whole numbers and the other text, both as text.

    One id that is no number makes text of all ids of a CSV.
    """
    kinds = [pd.api.types.is_integer_dtype(run.history.table[columns.CUSTOMER_ID].dtype) for run in (before, after)]
    if kinds[0] == kinds[1]:
        return before, after
    return (_ids_as_text(before), after) if kinds[0] else (before, _ids_as_text(after))


def _ids_as_text(run: Snapshot) -> Snapshot:
    def texts(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{columns.CUSTOMER_ID: table[columns.CUSTOMER_ID].astype(str)})

    customers = run.history.customers
    history = replace(
        run.history, table=texts(run.history.table), customers=None if customers is None else texts(customers)
    )
    return replace(run, history=history, purchases=texts(run.purchases))
