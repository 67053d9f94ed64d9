"""Alerts: what a published run warns of.

A run beside earlier ones: the last, and that of a quarter ago.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.errors import ClvForecastError
from clv_forecast.inference.model import Model
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, silent
from clv_forecast.report.report import NOW, THEN
from clv_forecast.report.run_tables import RANKING
from clv_forecast.report.stored_run import StoredRun, read_run
from clv_forecast.runs.comparison.compare_runs import Comparison, compare_snapshots
from clv_forecast.runs.comparison.drift import EARLIER, came_since, largest_drift, most_moved, parameter_drift
from clv_forecast.runs.comparison.snapshot import Snapshot, ids_alike, snapshot_of, snapshot_of_forecast
from clv_forecast.runs.configuration.sections_data import AlertsSection
from clv_forecast.runs.reforecasting.inputs import Inputs
from clv_forecast.runs.reforecasting.results import Results
from clv_forecast.runs.store.store import RunStore

_log = logging.getLogger(__name__)
_QUARTER_DAYS: Final = 91
"""How old the forecast is, at least, whose bands are judged beside the last run's."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Changed:
    """What the comparison with earlier runs has found; ``drift`` is that of the parameters since a quarter ago."""

    comparison: Comparison | None
    since: pd.DataFrame
    drift: pd.DataFrame
    earlier_ranking: pd.DataFrame | None
    notes: tuple[str, ...]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Tables of the run folder that no report has."""
        if self.comparison is None:
            return {}
        return {"value_bridge_accounts": self.comparison.bridge.accounts, "input_drift": self.comparison.inputs}


_NO_DRIFT: Final = pd.DataFrame(columns=["parameter", "then", "now", "z"])
UNKNOWN: Final = Changed(comparison=None, since=pd.DataFrame(), drift=_NO_DRIFT, earlier_ranking=None, notes=())


def changed_since(
    run_id: str,
    results: Results,
    model: Model,
    *,
    inputs: Inputs,
    previous: StoredRun | None,
    store: RunStore,
    horizon: str,
    progress: Progress = silent,
) -> Changed:
    """Compare results with the last run, and judge the bands of the newest run of at least a quarter ago.

    Runs that cannot be compared (another horizon, another currency) are told of in a note, and stop nothing.

    Parameters
    ----------
    run_id : str
    results : Results
    model : Model
        That the forecast was made with.
    inputs : Inputs
    previous : StoredRun or None
    store : RunStore
    horizon : str
        Over which value is compared.
    progress : callable

    Returns
    -------
    Changed
    """
    if previous is None or not results.forecast.plan.has_spend:
        return UNKNOWN
    ranking = None
    now_ranking = None if results.ranking is None else results.ranking.table
    known = previous.manifest["assumptions"]["horizons"]
    if horizon not in known:  # the first that both have
        horizon = next((one for one in results.forecast.horizons.labels if one in known), horizon)
    try:
        ranking = previous.table(RANKING) if RANKING in previous.tables else None
        now = snapshot_of_forecast(
            run_id,
            results.forecast,
            model,
            horizon=horizon,
            rates=inputs.rates,
            crosswalk=inputs.consolidated.crosswalk,
            orders=inputs.consolidated.orders,
            options=inputs.options,
        )
        then = snapshot_of(previous, horizon=horizon)
        comparison = compare_snapshots(then, now, rankings=(ranking, now_ranking), progress=progress)
    except ClvForecastError as error:
        note = f"This run cannot be compared with {previous.folder.name}: {error}"
        _log.warning(note)
        return replace(UNKNOWN, earlier_ranking=ranking, notes=(note,))
    since, drift = _since_a_quarter(now, horizon, previous, store=store, progress=progress)
    seen = [one for one in (comparison.since, since) if len(one)]
    return Changed(
        comparison=comparison,
        since=pd.concat(seen, ignore_index=True),
        drift=drift,
        earlier_ranking=ranking,
        notes=(),
    )


def _since_a_quarter(
    now: Snapshot, horizon: str, previous: StoredRun, *, store: RunStore, progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What came, and how parameters drifted, since the newest run of at least a quarter ago.

    Nothing where that is the last run itself, or there is none.
    """
    limit = now.as_of - pd.Timedelta(days=_QUARTER_DAYS)
    published = [one for one in store.entries() if one.status == "published" and one.as_of is not None]
    older = [one for one in published if one.as_of is not None and one.as_of <= limit]
    if not older or older[-1].folder.resolve() == previous.folder.resolve():
        return pd.DataFrame(), _NO_DRIFT
    try:
        older[-1].check(every_byte=True)
        then = snapshot_of(read_run(older[-1].folder), horizon=horizon)
        return came_since(*ids_alike(then, now), progress=progress), parameter_drift(then.model, now.model)
    except ClvForecastError as error:
        _log.warning("The bands of %s cannot be judged: %s", older[-1].run_id, error)
        return pd.DataFrame(), _NO_DRIFT


NOT_COMPARED: Final = "not_compared"
"""An alert that needs no threshold: a run that cannot be compared with the last one is looked at."""


DAMAGED_RUN: Final = "damaged_run"
"""The same of a current run that can no longer be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A threshold that was crossed.

    Parameters
    ----------
    name : str
        As in the configuration.
    found, threshold : float
    sentence : str
    """

    name: str
    found: float
    threshold: float
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``run.json``."""
        return asdict(self)


def alerts_of(
    section: AlertsSection,
    comparison: Comparison | None,
    *,
    has_previous: bool,
    since: pd.DataFrame,
    drift: pd.DataFrame,
    rankings: tuple[pd.DataFrame | None, pd.DataFrame | None],
) -> tuple[Alert, ...]:
    """Compare what changed with the thresholds of the configuration.

    Parameters
    ----------
    section : AlertsSection
    comparison : Comparison or None
        With the last run; None where there is none, or where the two cannot be compared, which is an alert itself.
    has_previous : bool
        Whether there is a last run with money; a first run warns of nothing.
    since : DataFrame
        From ``came_since``, of one or several earlier runs; the one longest ago is judged.
    drift : DataFrame
        From ``parameter_drift``, since the last fit and since a quarter ago.
    rankings : (DataFrame or None, DataFrame or None)
        Of the last run and of this one.

    Returns
    -------
    tuple of Alert
    """
    if not has_previous:
        return ()
    found = [
        *_drift(section.parameter_drift, drift),
        *_coverage(section.band_coverage, since),
        *_top_lost(section.top_accounts_lost, *rankings),
    ]
    if comparison is None:
        told = "This run could not be compared with the last one: its notes say why."
        return (Alert(name=NOT_COMPARED, found=1.0, threshold=0.0, sentence=told), *found)
    moved = _total_move(section.total_move, comparison)
    return (*moved, *found, *_cell_moves(section.cell_moves, comparison.migration))


def _total_move(threshold: float | None, comparison: Comparison) -> Iterator[Alert]:
    then, now = comparison.bridge.moved(THEN), comparison.bridge.moved(NOW)
    if threshold is None or then == 0.0:
        return
    move = now / then - 1.0
    if abs(move) > threshold:
        yield Alert(
            name="total_move",
            found=move,
            threshold=threshold,
            sentence=f"The total value moved by {move:+z.1%}, from {then:z,.0f} to {now:z,.0f}.",
        )


def _drift(threshold: float | None, drift: pd.DataFrame) -> Iterator[Alert]:
    largest = largest_drift(drift)
    if threshold is None or math.isnan(largest) or largest <= threshold:
        return
    yield Alert(name="parameter_drift", found=largest, threshold=threshold, sentence=f"{most_moved(drift)}.")


def _coverage(threshold: float | None, since: pd.DataFrame) -> Iterator[Alert]:
    if threshold is None or not len(since):
        return
    known = since[since["group"] == EARLIER]
    longest = known[known["days"] == known["days"].max()]
    for _, row in longest.iterrows():
        if row["coverage"] < threshold:
            yield Alert(
                name="band_coverage",
                found=float(row["coverage"]),
                threshold=threshold,
                sentence=f"Of the customers' {row['prob']:.0%} bands of {row['quantity']}, forecast on "
                f"{row['previous_as_of'].date()}, {row['coverage']:.1%} held what came in {row['days']} days.",
            )


def _top_lost(threshold: int | None, then: pd.DataFrame | None, now: pd.DataFrame | None) -> Iterator[Alert]:
    if threshold is None or then is None or now is None:
        return
    first, second = (
        ranking.loc[ranking["rank"] <= ranking["top_k"], columns.CUSTOMER_ID].astype(str) for ranking in (then, now)
    )
    lost = first[~first.isin(second)]
    if len(lost) >= threshold:
        named = ", ".join(map(printable, lost.iloc[:5]))
        yield Alert(
            name="top_accounts_lost",
            found=float(len(lost)),
            threshold=float(threshold),
            sentence=f"{len(lost)} of the {len(first)} top accounts of the last run are no longer: {named}"
            f"{', ...' if len(lost) > 5 else ''}.",
        )


def _cell_moves(threshold: float | None, moves: pd.DataFrame | None) -> Iterator[Alert]:
    if threshold is None or moves is None:
        return
    known = moves[~moves["from_cell"].isin(["new"]) & ~moves["to_cell"].isin(["gone"])]
    customers = float(known["customers"].sum())
    moved = float(known.loc[known["from_cell"].astype(str) != known["to_cell"].astype(str), "customers"].sum())
    if customers and moved / customers > threshold:
        yield Alert(
            name="cell_moves",
            found=moved / customers,
            threshold=threshold,
            sentence=f"{moved / customers:.1%} of the accounts changed their cell of value and potential.",
        )
