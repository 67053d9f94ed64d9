"""What a reader of cohorts must know: by what they were judged, what the log shows of them, what was left out."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.finance.acquisition_cost import AcquisitionCost
from clv_forecast.finance.newcomers import Newcomers
from clv_forecast.forecasting.adjustments import FAILED
from clv_forecast.forecasting.plan import Plan
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.totals import NO_SHOCK_NOTE
from clv_forecast.units import DAYS_PER_YEAR, Horizon

POOLED: Final = "pooled model"
GROUPED: Final = "groups of the model"
COVARIATES: Final = "covariates of the model"


def how_judged(plan: Plan, new: Newcomers) -> str:
    """Whether the model tells cohorts or channels apart, beyond what their customers have done.

    A model with groups does when each of its groups lies within one cohort, or within one channel.
    """
    cells = [part.parameters.cell[new.rows] for part in plan.parts]
    if all(part.parameters.is_shared for part in plan.parts):
        told = [any(_within(cell, label) for label in (new.cohort, new.channel)) for cell in cells]
        return GROUPED if all(told) else POOLED
    return COVARIATES


def _within(cell: NDArray[np.intp], label: NDArray[np.intp]) -> bool:
    """Whether every cell lies within one of several labels."""
    pairs = np.unique(np.stack([cell, label]), axis=1)
    return bool(len(np.unique(label)) > 1 and len(pairs[0]) == len(np.unique(cell)))


def notes_on(
    forecast: Forecast, new: Newcomers, judged_by: str, horizon: str, pause: str, same_age: pd.DataFrame
) -> tuple[str, ...]:
    """Sentences for a reader, the most important first."""
    notes = []
    if judged_by == POOLED:
        notes.append(
            "The model pools all customers: what is to come differs between cohorts only by what their customers have "
            "done so far. Differences in the forecast part are understated; what came is compared at the same age."
        )
    elif judged_by == COVARIATES:
        notes.append(
            "Customers differ by covariates in the model: cohorts differ in the forecast part as far as these tell."
        )
    notes.append(
        "An older cohort has had more time: its value per customer is larger for that alone. Compare cohorts at the "
        "same age."
    )
    if not new.complete.all():
        cut = [name for name, whole in zip(new.cohorts, new.complete, strict=True) if not whole]
        notes.append(
            f"The log shows only a part of {' and '.join(cut)}: counts are low there, and a cost of the whole period "
            "is divided by too few."
        )
    notes += _opening_notes(forecast, new, pause)
    if same_age.empty:
        notes.append("No cohort has been seen whole for a month yet: there is nothing to compare at the same age.")
    if forecast.plan.shock is None:
        notes.append(f"Bands treat customers as independent ({NO_SHOCK_NOTE}).")
    if (forecast.customers.loc[forecast.customers["horizon"] == horizon, "evidence"] == FAILED).any():
        notes.append("A backtest found that the bands of this horizon do not hold.")
    return tuple(notes)


def _opening_notes(forecast: Forecast, new: Newcomers, pause: str) -> list[str]:
    """Where the log was watched for less than a pause before the first newcomer, some of the new came back."""
    begin = forecast.history.table[columns.FIRST_PURCHASE].min()
    watched = (new.opening - begin).days
    if not new.already_there or watched + 1 >= Horizon.parse(pause).years * DAYS_PER_YEAR:
        return []
    return [
        f"The log was watched for {watched:,} days before the first newcomer, less than a pause of {pause}: rare "
        "buyers who had been there before look new, the more so the earlier the cohort."
    ]


def notes_on_costs(new: Newcomers, costs: AcquisitionCost) -> tuple[str, ...]:
    """Money that was spent where nobody came."""
    nobody = (new.counts() == 0) & (costs.each > 0.0)
    if not nobody.any():
        return ()
    return (
        f"{np.nansum(costs.each[nobody]):,.2f} of acquisition cost was spent where nobody came ({int(nobody.sum()):,} "
        "cohorts): it counts in the sums.",
    )
