"""Alerts: what a published run warns of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.comparison.compare_runs import Comparison
from clv_forecast.comparison.drift import largest_drift, most_moved
from clv_forecast.comparison.since import EARLIER
from clv_forecast.configuration.sections_run import AlertsSection
from clv_forecast.printable import printable
from clv_forecast.report.report import NOW, THEN

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
