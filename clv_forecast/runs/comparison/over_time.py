"""Runs one after the other: the base's value, one account's, and how the bands of earlier runs have held."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.report.run_tables import RANKING, SPEND, known_id
from clv_forecast.report.stored_run import StoredRun, read_run

Runs = Iterable[StoredRun | str | os.PathLike[str]]

SINCE: Final = "came_since"
_FORECAST: Final = ("p_alive", "expected_purchases", "value", "value_lower", "value_upper")
_RANKED: Final = ("rank", "rank_lower", "rank_upper", "cell", "grade", "adjusted_value")
_SPENT: Final = ("basis", "allowable_expected", "allowable_single", "allowable_pooled")


def value_over_runs(runs: Runs, *, horizon: str | None = None) -> pd.DataFrame:
    """The value of the whole base from run to run.

    Parameters
    ----------
    runs : iterable of StoredRun or path
    horizon : str, optional
        Default: that of each run's report.

    Returns
    -------
    DataFrame
        run, as_of, horizon, customers, purchases, revenue and value with their bands, prob, currency; by day.

    Raises
    ------
    DomainError
        If there is no run, or one has no such horizon.
    StoreError
        If a run is missing or damaged.
    """
    rows = []
    for run in _opened(runs):
        chosen = _horizon(run, horizon)
        totals = run.table("totals")
        found = totals[(totals["group"] == EVERYONE) & (totals["horizon"] == chosen)]
        rows.append(found.assign(run=run.folder.name))
    first = ["run", "as_of", "horizon", "customers"]
    measures = [f"{name}{end}" for name in ("purchases", "revenue", "value") for end in ("", "_lower", "_upper")]
    return pd.concat(rows, ignore_index=True)[[*first, *measures, "prob", "currency"]]


def account_over_runs(runs: Runs, customer_id: Any, *, horizon: str | None = None) -> pd.DataFrame:
    """One account from run to run: what it bought, what was expected of it, where it stood, what it allowed.

    Parameters
    ----------
    runs : iterable of StoredRun or path
    customer_id : int or str
        As in the runs; an id given as text also means the whole number.
    horizon : str, optional
        Default: that of each run's report.

    Returns
    -------
    DataFrame
        run, as_of, frequency, last_purchase, total_revenue, p_alive, expected_purchases, value with its band; of runs
        with a ranking rank with its band, cell, grade and adjusted_value; of runs with a spend its allowances of the
        first basis. By day; runs before the account came are left out.

    Raises
    ------
    DomainError
        If no run knows the account, or there is no run.
    StoreError
        If a run is missing or damaged.
    """
    rows, problem = [], None
    for run in _opened(runs):
        try:
            known = known_id(run.table("history", only=[columns.CUSTOMER_ID])[columns.CUSTOMER_ID], customer_id)
        except DomainError as error:
            problem = error
            continue
        rows.append(_row(run, known, _horizon(run, horizon)))
    if not rows:
        raise problem or DomainError("No run knows the account.", value=repr(customer_id))
    return pd.DataFrame(rows)


def bands_over_runs(runs: Runs) -> pd.DataFrame:
    """How the bands of earlier runs have held, as each later run saw it: see ``came_since``.

    Parameters
    ----------
    runs : iterable of StoredRun or path

    Returns
    -------
    DataFrame
        The tables ``came_since`` of all runs, by previous_as_of and days. A scheduled run judges the run before it, and
        the newest of at least a quarter ago.

    Raises
    ------
    DomainError
        If there is no run, or none has looked back on another.
    StoreError
        If a run is missing or damaged.
    """
    found = [run.table(SINCE).assign(seen_by=run.folder.name) for run in _opened(runs) if SINCE in run.tables]
    if not found:
        raise DomainError("None of the runs has looked back on an earlier one.", remedy="Make runs with reforecast.")
    order = ["previous_as_of", "days", "group", "quantity"]
    return pd.concat(found, ignore_index=True).sort_values(order, ignore_index=True)


def _opened(runs: Runs) -> list[StoredRun]:
    """All runs, the earliest day first."""
    listed = [runs] if isinstance(runs, StoredRun | str | os.PathLike) else list(runs)
    if not listed:
        raise DomainError("At least one run is needed.")
    opened = [run if isinstance(run, StoredRun) else read_run(run) for run in listed]
    return sorted(opened, key=lambda run: run.as_of)


def _horizon(run: StoredRun, asked: str | None) -> str:
    """The run's label of the horizon asked for; that of its report where none is."""
    told = run.manifest["assumptions"]
    known = Horizons.parse(told["horizons"], lifetime_years=told["forecast"]["lifetime_years"])
    return str(run.manifest["horizon"]) if asked is None else known.one(asked, of=f"Run {run.folder.name}")


def _row(run: StoredRun, known: Any, horizon: str) -> dict[str, Any]:
    past = run.rows_of("history", known).iloc[0]
    row = {"run": run.folder.name, "as_of": run.as_of}
    row |= {name: past[name] for name in (columns.FREQUENCY, columns.LAST_PURCHASE, columns.TOTAL_REVENUE)}
    row |= _first(run, "forecast", known, horizon=horizon, names=_FORECAST)
    if RANKING in run.tables:
        row |= _first(run, RANKING, known, horizon=horizon, names=_RANKED)
    if SPEND in run.tables:
        row |= _first(run, SPEND, known, horizon=horizon, names=_SPENT)
    return row


def _first(run: StoredRun, table: str, known: Any, *, horizon: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The named columns of an account's first row over the horizon; those that the table has."""
    rows = run.rows_of(table, known)
    rows = rows[(rows["horizon"] == horizon).to_numpy(dtype=bool)]
    return {name: rows[name].iloc[0] for name in names if name in rows and len(rows)}
