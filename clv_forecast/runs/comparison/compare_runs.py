"""The verb ``compare_runs``: two runs side by side."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from clv_forecast import columns
from clv_forecast.progress import Progress, automatic, shows_progress, silent
from clv_forecast.ranking.migration import migration, migration_summary
from clv_forecast.report.report import plain_value
from clv_forecast.report.run_tables import RANKING
from clv_forecast.report.stored_run import StoredRun, read_run
from clv_forecast.runs.comparison.drift import EARLIER, came_since, input_drift, largest_drift, parameter_drift
from clv_forecast.runs.comparison.snapshot import Snapshot, ids_alike, snapshot_of
from clv_forecast.runs.comparison.value_bridge import ValueBridge, value_bridge


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Comparison:
    """What changed between two runs, and how the earlier one has done since.

    Parameters
    ----------
    bridge : ValueBridge
        Where the change of value comes from.
    since : DataFrame
        What came since the earlier run against its bands; empty for two runs of one day. See ``came_since``.
    parameters : DataFrame
        Shifts of the parameters in standard errors; empty for models of different kinds. See ``parameter_drift``.
    inputs : DataFrame
        What the runs were made of. See ``input_drift``.
    migration : DataFrame or None
        How many accounts went from which cell of the matrix to which; None where a run holds no ranking.
    """

    bridge: ValueBridge
    since: pd.DataFrame
    parameters: pd.DataFrame
    inputs: pd.DataFrame
    migration: pd.DataFrame | None

    def sentences(self) -> tuple[str, ...]:
        """What a reader should know first."""
        found = []
        for _, row in self.since[self.since["group"] == EARLIER].iterrows() if len(self.since) else ():
            found.append(
                f"{str(row['quantity']).capitalize()} since {row['previous_as_of'].date()}: {row['came']:z,.0f} came, "
                f"{row['expected']:z,.0f} were expected ({row['prob']:.0%} band {row['lower']:z,.0f} to "
                f"{row['upper']:z,.0f}); customers' own bands held {row['coverage']:.1%}."
            )
        drift = largest_drift(self.parameters)
        if not math.isnan(drift):
            found.append(f"The parameter that moved most moved by {drift:.2f} standard errors.")
        if self.migration is not None:
            found.append(migration_summary(self.migration))
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """The bridge and the sentences as plain values for JSON."""
        return {
            "steps": plain_value(self.bridge.steps),
            "since": plain_value(self.since),
            "parameters": plain_value(self.parameters),
            "inputs": plain_value(self.inputs),
            "sentences": list(self.sentences()),
            "notes": list(self.bridge.notes),
        }

    def __str__(self) -> str:
        return "\n".join([str(self.bridge), *self.sentences()])

    def __repr__(self) -> str:
        return f"<Comparison: {self.bridge!r}>"

    def _repr_html_(self) -> str:
        steps = replace(self.bridge, notes=(*self.bridge.notes, *self.sentences()))
        return steps._repr_html_()


@shows_progress
def compare_runs(
    before: StoredRun | str | os.PathLike[str],
    after: StoredRun | str | os.PathLike[str],
    *,
    horizon: str | None = None,
    progress: Progress = automatic,
) -> Comparison:
    """Compare two runs: the value bridge, what came since, drift, and moves between cells.

    Parameters
    ----------
    before, after : StoredRun or path
        Run folders, from ``read_run``; the earlier one first.
    horizon : str, optional
        Over which value is compared; default: that of the later run's report.
    progress : callable

    Returns
    -------
    Comparison

    Raises
    ------
    DomainError
        If the runs do not come in that order, or differ in unit of time or currency, or one has no such horizon.
    InputError
        If a run has no spend part or was made from a summary, or the bridge does not arrive at the published value.
    StoreError
        If a run is missing, damaged, or holds no model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import clv_forecast as clv
    >>> orders = clv.load_cdnow("1/10")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for day in ("1997-12-31", "1998-01-07"):
    ...         history = clv.purchase_history(orders, as_of=day, observed_from="1997-01-01")
    ...         model = clv.fit(history, compare=False)
    ...         fc = clv.forecast(model, history, horizons=["12 months"], draws=100)
    ...         _ = clv.write_run(clv.make_report(fc), Path(folder) / day, model=model)
    ...     found = compare_runs(Path(folder) / "1997-12-31", Path(folder) / "1998-01-07")
    >>> steps = found.bridge.steps
    >>> len(steps), bool(abs(steps["value"].iloc[:-1].sum() - steps["value"].iloc[-1]) < 0.005)
    (14, True)
    """
    first, second = (run if isinstance(run, StoredRun) else read_run(run) for run in (before, after))
    chosen = second.manifest["horizon"] if horizon is None else horizon
    return compare_snapshots(
        snapshot_of(first, horizon=chosen),
        snapshot_of(second, horizon=chosen),
        rankings=(_ranking(first), _ranking(second)),
        progress=progress,
    )


def compare_snapshots(
    before: Snapshot,
    after: Snapshot,
    *,
    rankings: tuple[pd.DataFrame | None, pd.DataFrame | None] = (None, None),
    progress: Progress = silent,
) -> Comparison:
    """Compare two runs that are at hand.

    Raises
    ------
    DomainError, InputError
        As ``compare_runs``.
    """
    before, after = ids_alike(before, after)
    first, second = (None if one is None else _with_ids_of(one, after) for one in rankings)
    return Comparison(
        bridge=value_bridge(before, after, progress=progress),
        since=came_since(before, after, progress=progress) if before.as_of < after.as_of else pd.DataFrame(),
        parameters=parameter_drift(before.model, after.model),
        inputs=input_drift(before, after),
        migration=None if first is None or second is None else migration(first, second),
    )


def _with_ids_of(table: pd.DataFrame, run: Snapshot) -> pd.DataFrame:
    """The table with its ids as text where the run's are."""
    ids = table[columns.CUSTOMER_ID]
    if pd.api.types.is_integer_dtype(ids.dtype) and not pd.api.types.is_integer_dtype(run.ids.dtype):
        return table.assign(**{columns.CUSTOMER_ID: ids.astype(str)})
    return table


def _ranking(run: StoredRun) -> pd.DataFrame | None:
    return run.table(RANKING) if RANKING in run.tables else None
