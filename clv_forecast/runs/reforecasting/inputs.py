"""From the configuration to the history: sources opened, consolidated and read, with all that the run depends on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import numbers_in
from clv_forecast.errors import InputError
from clv_forecast.history.attributes import ACCOUNT_DAYS, LABELS
from clv_forecast.history.cleaning import check_rates
from clv_forecast.history.consolidation.consolidate import Consolidated, consolidate
from clv_forecast.history.consolidation.crosswalk import CROSSWALK
from clv_forecast.history.consolidation.order_source import OrderSource
from clv_forecast.history.purchase_history import PurchaseHistory, purchase_history
from clv_forecast.progress import Progress, silent
from clv_forecast.runs.configuration.configuration import Configuration
from clv_forecast.runs.configuration.sections_data import RatesSection
from clv_forecast.runs.configuration.sections_model import ForecastSection
from clv_forecast.runs.reforecasting.gates import SeenSource
from clv_forecast.tables.databases import read_database_table
from clv_forecast.tables.source import read_frame
from clv_forecast.tables.text_format import FORMAT_KEYS, TextFormat

_log = logging.getLogger(__name__)
_VERSIONS: Final = ("clv-forecast", "numpy", "scipy", "pandas", "pyarrow", "numba", "duckdb")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """All that a run reads.

    Parameters
    ----------
    consolidated : Consolidated
    sources : tuple of SeenSource
    rates : mapping of str to str
        Exchange rates as exact decimals; empty without.
    options : mapping
        How ``purchase_history`` reads the consolidated orders, as plain values.
    accounts, acquisition_cost, events : DataFrame or None
    fingerprint : str
        Of all of them.
    """

    consolidated: Consolidated
    sources: tuple[SeenSource, ...]
    rates: Mapping[str, str]
    options: Mapping[str, Any]
    accounts: pd.DataFrame | None
    acquisition_cost: pd.DataFrame | None
    events: pd.DataFrame | None
    fingerprint: str

    def history(self, configuration: Configuration, as_of: pd.Timestamp) -> PurchaseHistory:
        """Make the history.

        Raises
        ------
        InputError
            If no purchase is left by that day, or a column cannot be used.
        """
        found = purchase_history(
            self.consolidated.files,
            as_of=as_of,
            unit=configuration.log.unit,
            customers=self.accounts,
            rates=dict(self.rates) or None,
            max_unreadable=configuration.log.max_unreadable,
            **self.options,
        )
        return replace(found, customers=_filled(found.customers, configuration.forecast))


def order_sources(configuration: Configuration) -> list[OrderSource]:
    """The sources as they are opened, their secrets from the environment.

    Raises
    ------
    DomainError
        If a variable of the environment is not set.
    """
    found = []
    for section in configuration.sources:
        data = section.path if section.url is None else configuration.resolved_url(section.url)
        plain = ("name", "table", "customer", "date", "amount", "order_id", "category", "margin", "recorded_at")
        names = plain + FORMAT_KEYS
        found.append(
            OrderSource(
                data=data,
                currency=section.currency or configuration.log.currency,
                infer=False,
                **{name: getattr(section, name) for name in names},
            )
        )
    return found


def read_inputs(
    configuration: Configuration, folder: Path, *, as_of: pd.Timestamp, progress: Progress = silent
) -> Inputs:
    """Read every source once, and consolidate them into ``folder``.

    Parameters
    ----------
    configuration : Configuration
    folder : Path
        Gets the consolidated orders.
    as_of : Timestamp
        Nothing dated or recorded later is read.
    progress : callable

    Returns
    -------
    Inputs

    Raises
    ------
    DomainError
        If a variable of the environment is not set.
    InputError
        If a source, or another table, cannot be read or used.
    StoreError
        If the folder cannot be written.
    """
    told = configuration.consolidation
    tables: dict[str, pd.DataFrame | None] = {name: read() for name, read in other_tables(configuration)}
    consolidated = consolidate(
        order_sources(configuration),
        folder,
        as_of=as_of,
        crosswalk=tables.pop("crosswalk", None),
        unmatched=told.unmatched,
        same_orders=told.same_orders,
        time_zone=configuration.time_zone,
        max_unreadable=configuration.log.max_unreadable,
        progress=progress,
    )
    rates = _rates(configuration.rates)
    options = {
        **consolidated.options,
        "refunds": configuration.log.refunds,
        "observed_from": None
        if configuration.log.observed_from is None
        else configuration.log.observed_from.isoformat(),
    }
    return Inputs(
        consolidated=consolidated,
        sources=seen_sources(consolidated),
        rates=rates,
        options=options,
        fingerprint=_fingerprint(consolidated.fingerprint, rates, tables),
        accounts=tables.get("accounts"),
        acquisition_cost=tables.get("acquisition_cost"),
        events=tables.get("events"),
    )


def other_tables(configuration: Configuration) -> list[tuple[str, Callable[[], pd.DataFrame]]]:
    """Every table that a run reads beside the orders, by name, each with how it is read."""
    walk, accounts = configuration.consolidation, configuration.accounts
    found: list[tuple[str, Callable[[], pd.DataFrame]]] = []
    if walk.crosswalk is not None or walk.crosswalk_url is not None:
        place = (walk.crosswalk, walk.crosswalk_url, walk.crosswalk_table)
        found.append(
            (
                "crosswalk",
                lambda: _table(
                    configuration,
                    place,
                    "crosswalk",
                    format=walk.crosswalk_format,
                    labels=CROSSWALK[:2],
                    ids=CROSSWALK[2:],
                ),
            )
        )
    if accounts is not None:
        where = (accounts.path, accounts.url, accounts.table)
        found.append(("accounts", lambda: _renamed(_accounts(configuration, where), accounts.customer)))
    cost, events = configuration.acquisition_cost, configuration.events
    if cost is not None:
        found.append(("acquisition_cost", lambda: _file(cost, "acquisition_cost", ("cohort", columns.CHANNEL))))
    if events is not None:
        labels, days = (columns.CUSTOMER_ID, columns.KIND), (columns.DATE, columns.RECORDED_AT)
        found.append(("events", lambda: _file(events, "events", labels, days=days)))
    return found


def seen_sources(consolidated: Consolidated) -> tuple[SeenSource, ...]:
    """What arrived from each source, day by day."""
    days = consolidated.source_days
    days = days[days["day"].notna()]
    return tuple(
        SeenSource(
            name=name,
            days=days[(days["source"] == name).to_numpy(dtype=bool)].reset_index(drop=True),
            matched_share=consolidated.matched_share.get(name),
        )
        for name in dict.fromkeys(consolidated.reconciliation["source"])
    )


def run_id_of(configuration: Configuration, inputs: Inputs, as_of: pd.Timestamp, *, previous: str | None) -> str:
    """Id of a run: its day, and a mark of all that its tables depend on.

    The same inputs, configuration, versions and previous run give the same id, so that a run which was cut off is
    completed and not doubled. What decides only on publication (gates, alerts, retention, outputs) is no part of it.
    """
    told = configuration.to_dict()
    for name in ("store", "gates", "alerts", "retention", "outputs", "days_back"):
        told.pop(name, None)
    marked = {
        "configuration": told,
        "simulated": configuration.outputs.simulated,
        "crm_fields": configuration.outputs.crm_fields,
        "as_of": as_of.isoformat(),
        "fingerprint": inputs.fingerprint,
        "previous": previous,
        "versions": {name: metadata.version(name) for name in _VERSIONS},
    }
    text = json.dumps(marked, sort_keys=True, default=str)
    return f"{as_of:%Y-%m-%d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _table(
    configuration: Configuration,
    where: tuple[str | None, str | None, str | None],
    name: str,
    *,
    format: TextFormat,
    labels: tuple[str, ...],
    ids: tuple[str, ...] = (),
    days: tuple[str, ...] = (),
) -> pd.DataFrame:
    path, url, table = where
    if table is None:
        return read_frame(path, f"The table {name}", format=format, labels=labels, ids=ids, days=days)
    place = configuration.resolved_url(url) if url is not None else Path(str(path))
    return read_database_table(place, table, name)


def _file(section: Any, name: str, labels: tuple[str, ...], *, days: tuple[str, ...] = ()) -> pd.DataFrame:
    return read_frame(section.path, f"The table {name}", format=section.text_format, labels=labels, days=days)


def _accounts(configuration: Configuration, where: tuple[str | None, str | None, str | None]) -> pd.DataFrame:
    section = configuration.accounts
    if section is None:
        raise InputError("The configuration names no accounts.")
    labels = (section.customer, columns.CUSTOMER_ID, *LABELS)
    return _table(configuration, where, "accounts", format=section.text_format, labels=labels, days=ACCOUNT_DAYS)


def _renamed(accounts: pd.DataFrame, customer: str) -> pd.DataFrame:
    if customer == columns.CUSTOMER_ID or customer not in accounts:
        return accounts
    if columns.CUSTOMER_ID in accounts:
        raise InputError(
            f"The accounts have {customer!r} and {columns.CUSTOMER_ID!r}: one of them must go.", remedy="Drop one."
        )
    return accounts.rename(columns={customer: columns.CUSTOMER_ID})


def _filled(customers: pd.DataFrame | None, told: ForecastSection) -> pd.DataFrame | None:
    """Margins and costs of accounts that their table does not tell, where the configuration says what to take."""
    if customers is None:
        return None
    filled = {
        column: value
        for column, value in (
            (told.margin, told.margin_where_unknown),
            (told.cost_to_serve, told.cost_where_unknown),
            (told.cost_per_order, told.cost_where_unknown),
        )
        if isinstance(column, str) and column in customers and value is not None
    }
    missing = {column: int(customers[column].isna().sum()) for column in filled}
    for column, count in missing.items():
        if count:
            _log.info("%d accounts without %s are taken to have %g.", count, column, filled[column])
    return customers.assign(
        **{column: numbers_in(customers[column], column).fillna(value) for column, value in filled.items()}
    )


def _rates(section: RatesSection | None) -> dict[str, str]:
    if section is None:
        return {}
    if section.of is not None:
        given: Mapping[str, Any] = section.of
    else:
        table = read_frame(section.file, "The table of exchange rates", format=section.text_format)
        missing = {"currency", "rate"} - set(table.columns)
        if missing:
            raise InputError(
                "The table of exchange rates has the columns currency and rate.", value=list(table.columns)
            )
        if table["currency"].isna().any() or table["currency"].duplicated().any():
            raise InputError("Each currency of the table of exchange rates stands once.", value=section.file)
        given = dict(zip(table["currency"].astype(str), table["rate"].tolist(), strict=True))
    return {code: str(rate) for code, rate in check_rates(given)}


def _fingerprint(orders: str, rates: Mapping[str, str], tables: Mapping[str, pd.DataFrame | None]) -> str:
    """A mark of everything read; a table counts by its values, whatever its file looks like."""
    digest = hashlib.sha256(orders.encode())
    digest.update(json.dumps(sorted(rates.items())).encode())
    for name, table in tables.items():
        digest.update(name.encode())
        if table is not None:
            digest.update(table.to_csv(index=False).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
