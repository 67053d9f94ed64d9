"""One run as a comparison needs it: who was valued, by which model, on which terms, and at how much.

Which accounts are another account than before: merged, split, or gone from the log.

What a later log says about an earlier day: the history of then, from the purchase-days known now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
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
from clv_forecast.history.purchase_history import PurchaseHistory, purchase_history
from clv_forecast.inference.model import Model
from clv_forecast.report.run_tables import history_of_rows
from clv_forecast.report.stored_run import StoredRun
from clv_forecast.units import Horizon, check_unit, discount_per_unit

_SOURCE = ["source", "source_id"]


def accounts_that_changed_identity(before: Snapshot, after: Snapshot, ids: pd.Index[Any]) -> NDArray[np.bool_]:
    """Whether each account was merged or split between the runs, or is no longer in the log.

    Parameters
    ----------
    before, after : Snapshot
    ids : Index
        Accounts of either run.

    Returns
    -------
    ndarray of bool, shape (account,)

    Notes
    -----
    An account is merged or split when an id of a source means another account in the later run than in the earlier one:
    by the orders of both runs, or by their crosswalks where a run holds no orders. An account whose orders were all
    taken back is still in the log.
    """
    texts = ids.astype(str)  # ids that a history reads as whole numbers may be text in orders and crosswalk
    then, now = _owners(before), _owners(after)
    moved = _remapped(before, after) if then is None or now is None else _moved(then, now)
    still_there = [] if now is None else now["account"].dropna().unique().tolist()
    gone = ids.isin(before.ids) & ~ids.isin(after.ids) & ~texts.isin(still_there)
    return np.asarray(texts.isin(moved) | gone)


def _owners(run: Snapshot) -> pd.DataFrame | None:
    """Whose account each id of a source is, by the run's orders, kept or not; None where the run holds no orders."""
    if run.orders is None:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*_SOURCE, columns.CUSTOMER_ID]
    found = []
    for path in sorted(run.orders.glob("*.parquet")):
        known = [name for name in names if name in pq.read_schema(path).names]
        groups = pq.read_table(path, columns=known).group_by(known).aggregate([])
        # as text before pandas sees them: whole numbers beside a missing one would become decimals
        found.append(groups.cast(pa.schema([(name, pa.string()) for name in groups.column_names])).to_pandas())
    if not found:
        return None
    table: pd.DataFrame = pd.concat(found, ignore_index=True).reindex(columns=names).astype("string").drop_duplicates()
    return table.rename(columns={columns.CUSTOMER_ID: "account"})


def _moved(then: pd.DataFrame, now: pd.DataFrame) -> list[str]:
    """Accounts, old and new, of the ids that both runs have orders of, and that mean another account now."""
    both = then.dropna().merge(now.dropna(), on=_SOURCE, suffixes=("_then", "_now"))
    moved = both[both["account_then"] != both["account_now"]]
    return [*moved["account_then"], *moved["account_now"]]


def _remapped(before: Snapshot, after: Snapshot) -> list[str]:
    """Accounts, old and new, of the ids that mean another account now; an id without an entry means itself."""
    if before.crosswalk is None or after.crosswalk is None:
        return []
    first, second = (
        walk[[*_SOURCE, columns.CUSTOMER_ID]].astype("string").drop_duplicates(_SOURCE)
        for walk in (before.crosswalk, after.crosswalk)
    )
    pairs = first.merge(second, on=_SOURCE, how="outer", suffixes=("_then", "_now"))
    own = pairs["source"] + ":" + pairs["source_id"]
    moved = np.ones(len(pairs), dtype=bool)
    found = []
    for when, run in (("then", before), ("now", after)):
        mapped = pairs[f"{columns.CUSTOMER_ID}_{when}"]
        # an entry that is new, or gone, moves nobody whose own id was no account on that side
        moved &= (mapped.notna() | own.isin(run.ids.astype(str))).to_numpy(dtype=bool)
        found.append(mapped.fillna(own))
    moved &= (found[0] != found[1]).to_numpy(dtype=bool)
    return [*found[0][moved], *found[1][moved]]


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
        return plan_of(self.model, history, terms, settings=self.settings)

    def __repr__(self) -> str:
        return f"<Snapshot {self.name!r}: {len(self.values):,} accounts as of {self.as_of.date()}, {self.horizon}>"


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def plan_of(model: Model | Stack, history: PurchaseHistory, terms: Terms, *, settings: Settings) -> Plan:
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
    rates: Mapping[str, Any] = _NOTHING,
    crosswalk: pd.DataFrame | None = None,
    orders: Path | None = None,
    options: Mapping[str, Any] = _NOTHING,
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


def history_as_dated(
    purchases: pd.DataFrame, day: pd.Timestamp, like: PurchaseHistory, *, ids: pd.Index[Any]
) -> PurchaseHistory | None:
    """The history as of ``day`` of purchase-days as they are known now, of the accounts ``ids``.

    Parameters
    ----------
    purchases : DataFrame
        customer_id, date, amount.
    day : Timestamp
    like : PurchaseHistory
        Of today: its unit, currency and attributes.
    ids : Index
        Accounts to look at; those without a purchase by that day are left out.

    Returns
    -------
    PurchaseHistory or None
        None where no account had bought by then.
    """
    chosen = purchases[(purchases[columns.DATE] <= day) & purchases[columns.CUSTOMER_ID].isin(ids)]
    if not len(chosen):
        return None
    # every customer was there already or not as of today: what the audit would say of the opening months is not asked
    found = purchase_history(chosen, as_of=day, unit=like.unit, observed_from=chosen[columns.DATE].min())
    customers = like.customers
    if customers is not None:
        place = pd.Index(customers[columns.CUSTOMER_ID]).get_indexer(pd.Index(found.table[columns.CUSTOMER_ID]))
        customers = customers.take(place).reset_index(drop=True)
    return replace(found, customers=customers, currency=like.currency, events=None)


def accounts_of(history: PurchaseHistory, kept: NDArray[np.bool_]) -> PurchaseHistory:
    """The history of some of its accounts."""
    customers = history.customers
    return replace(
        history,
        table=history.table[kept].reset_index(drop=True),
        customers=None if customers is None else customers[kept].reset_index(drop=True),
        events=None,
    )


def terms_of(terms: Terms, kept: NDArray[Any]) -> Terms:
    """The terms of some accounts, by mask or place."""
    return Terms(
        margin=terms.margin[kept].copy(),
        cost_per_order=terms.cost_per_order[kept].copy(),
        cost_per_year=terms.cost_per_year[kept].copy(),
    )


def terms_before(before: Snapshot, after: Snapshot) -> Terms:
    """Terms of the later run's accounts as they stood before: of accounts that are new, as they stand now."""
    place = before.ids.get_indexer(after.ids)
    known = place >= 0

    def mixed(name: str) -> NDArray[np.float64]:
        then, now = getattr(before.terms, name), getattr(after.terms, name)
        found: NDArray[np.float64] = np.where(known, then[np.maximum(place, 0)], now)
        return found

    return Terms(**{name: mixed(name) for name in ("margin", "cost_per_order", "cost_per_year")})


def at_earlier_rates(after: Snapshot, rates: Mapping[str, Decimal]) -> Snapshot:
    """The later run's log, its money converted at the earlier run's rates; codes new since keep today's.

    Raises
    ------
    InputError
        If the run holds no orders: what was converted once cannot be converted back.
    """
    if after.orders is None:
        raise InputError(
            "Exchange rates differ between the runs, and the later one holds no orders to convert again.",
            value=after.name,
            remedy="Compare runs of one set of rates, or runs that the scheduled reforecast wrote.",
        )
    history = purchase_history(
        str(after.orders / "*.parquet"),
        as_of=after.as_of,
        unit=after.history.unit,
        customers=after.history.customers,
        rates={**after.rates, **rates},
        **after.options,
    )
    if not history.table[columns.CUSTOMER_ID].equals(after.history.table[columns.CUSTOMER_ID]):
        raise InputError("The orders of the run must be those of its history.", value=after.name)
    return replace(after, history=replace(history, currency=after.history.currency), purchases=history.purchases())
