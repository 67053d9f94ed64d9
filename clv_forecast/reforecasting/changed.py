"""A run beside earlier ones: the last, and that of a quarter ago."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from clv_forecast.comparison.compare_runs import Comparison, compare_snapshots
from clv_forecast.comparison.drift import parameter_drift
from clv_forecast.comparison.since import came_since
from clv_forecast.comparison.snapshot import Snapshot, ids_alike, snapshot_of, snapshot_of_forecast
from clv_forecast.errors import ClvForecastError
from clv_forecast.inference.model import Model
from clv_forecast.progress import Progress, silent
from clv_forecast.reforecasting.inputs import Inputs
from clv_forecast.reforecasting.results import Results
from clv_forecast.report.run_tables import RANKING
from clv_forecast.report.stored_run import StoredRun, read_run
from clv_forecast.run_store.store import RunStore

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
    inputs: Inputs,
    previous: StoredRun | None,
    *,
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
    since, drift = _since_a_quarter(now, horizon, previous, store, progress)
    seen = [one for one in (comparison.since, since) if len(one)]
    return Changed(
        comparison=comparison,
        since=pd.concat(seen, ignore_index=True),
        drift=drift,
        earlier_ranking=ranking,
        notes=(),
    )


def _since_a_quarter(
    now: Snapshot, horizon: str, previous: StoredRun, store: RunStore, progress: Progress
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
