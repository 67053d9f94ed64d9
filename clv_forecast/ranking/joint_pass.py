"""One pass over joint draws of all accounts: bands, ranks, cells, goals and concentration from the same worlds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.forecasting.result import Forecast
from clv_forecast.progress import Progress
from clv_forecast.ranking.concentration import MEASURE, concentration, lorenz_curves
from clv_forecast.ranking.goals import OwnerSums
from clv_forecast.ranking.joint_draws import (
    Ranks,
    Singles,
    add_by_block,
    draw_matrix,
    fill_values,
    rank_draws,
    referral_draws,
)
from clv_forecast.ranking.matrix import MatrixRule, cell_probabilities
from clv_forecast.ranking.potential import Potential
from clv_forecast.ranking.referral import Referrals

Floats = NDArray[np.float64]
CONCENTRATION_DRAWS: Final = 200
MEASURE_AHEAD: Final = "value forecast"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointTask:
    """What a pass needs beside the draws; arrays of shape (account,).

    ``shift`` moves each account's draws of the adjusted value to what the order is by, whose mean is ``centre``;
    ``expected`` is the forecast's value, ``current`` the revenue of the last 12 months, None where the log is shorter.
    """

    forecast: Forecast
    potential: Potential | None
    referrals: Referrals
    credit: tuple[float, ...] | None
    owners: pd.Series | None
    current: Floats | None
    expected: Floats
    shift: Floats
    centre: Floats
    boundary: float
    draws: int
    top_k: int
    rule: MatrixRule
    value_cuts: tuple[float, ...]
    potential_cuts: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointResult:
    """Band of the adjusted value, ranks, probability of each cell, sums by owner, and concentration."""

    adjusted: tuple[Floats, Floats]
    ranks: Ranks
    p_cell: Floats
    owners: OwnerSums
    concentration: pd.DataFrame
    lorenz: pd.DataFrame


def joint_pass(task: JointTask, *, progress: Progress) -> JointResult:
    """Draw values, add potential and referrals, and rank, in memory of 4 bytes per account and draw."""
    plan, prob = task.forecast.plan.fewer_draws(task.draws), task.forecast.prob
    owners = OwnerSums(task.owners, plan.customers, plan.draws)
    p_cell = np.zeros((plan.customers, len(task.rule.cells())))
    with draw_matrix(plan.draws, plan.customers) as matrix:
        fill_values(matrix, plan, task.boundary, progress=progress)
        measures = _measures(task, matrix)
        spread = concentration(measures, prob=prob)
        totals = {MEASURE_AHEAD: float(task.expected.sum())}  # not the mean of draws, which misses by its error
        spread["total"] = spread[MEASURE].map(totals).fillna(spread["total"])
        curves = lorenz_curves(measures, prob=prob)
        credited = _credited(task, matrix)

        def extra(block: slice) -> Floats:
            added = _of_block(credited, block, plan.draws)
            if task.potential is None:
                return added
            rows = np.arange(block.start, block.stop)
            revenue = _realised(task.potential, matrix, rows)
            owners.add(block, np.where(task.potential.outlook.contribution[rows, None] > 0.0, revenue, 0.0))
            p_cell[block] = cell_probabilities(
                _value_axis(task, matrix, block),
                _potential_axis(task, task.potential, rows, plan.draws),
                task.rule,
                value_cuts=task.value_cuts,
                potential_cuts=task.potential_cuts,
            )
            return added + revenue * task.potential.outlook.contribution[rows, None]

        adjusted = add_by_block(matrix, extra, prob=prob, progress=progress)
        if task.shift.any():
            matrix += task.shift[None, :].astype(np.float32)
        ranks = rank_draws(matrix, task.centre, top_k=task.top_k, prob=prob, progress=progress)
    return JointResult(
        adjusted=adjusted, ranks=ranks, p_cell=p_cell, owners=owners, concentration=spread, lorenz=curves
    )


def _measures(task: JointTask, matrix: Singles) -> dict[str, Floats]:
    measures: dict[str, Floats] = {}
    if task.current is not None:
        measures["revenue of the last 12 months"] = task.current
    rows = np.unique(np.linspace(0, len(matrix) - 1, CONCENTRATION_DRAWS).astype(np.intp))  # of all models of a stack
    measures[MEASURE_AHEAD] = np.asarray(matrix[rows], dtype=np.float64)
    return measures


def _realised(potential: Potential, matrix: Singles, rows: NDArray[np.intp]) -> Floats:
    """Revenue above the forecast, shape (account, draw): realised only in draws in which the account is active.

    An account whose value is 0 in a draw orders nothing in it. Where a purchase is worth 0, that shows in no value.
    """
    active = (matrix[:, rows[0] : rows[-1] + 1] != 0.0).T
    shown = potential.outlook.contribution[rows] != 0.0
    return potential.revenue_draws(rows, active.shape[1], active=active | ~shown[:, None])


def _credited(task: JointTask, matrix: Singles) -> tuple[NDArray[np.intp], Singles] | None:
    return None if task.credit is None else referral_draws(matrix, task.referrals.credited(task.credit))


def _of_block(credited: tuple[NDArray[np.intp], Singles] | None, block: slice, draws: int) -> Floats:
    """Credited value of a block's accounts, shape (account, draw)."""
    added = np.zeros((block.stop - block.start, draws))
    if credited is not None:
        referrers, drawn = credited
        first, last = np.searchsorted(referrers, [block.start, block.stop])
        added[referrers[first:last] - block.start] = drawn[:, first:last].T
    return added


def _value_axis(task: JointTask, matrix: Singles, block: slice) -> Floats | Singles:
    """What the matrix shows of value, shape (draw, account)."""
    if task.rule.value_axis == "value":
        return matrix[:, block]
    known = np.full(matrix.shape[1], np.nan) if task.current is None else task.current
    return np.broadcast_to(known[block], (len(matrix), block.stop - block.start))


def _potential_axis(task: JointTask, potential: Potential, rows: NDArray[np.intp], draws: int) -> Floats:
    """What the matrix shows of potential, shape (draw, account); NaN where no wallet is known."""
    unknown = potential.table["headroom"].isna().to_numpy()[rows]
    if task.rule.potential_axis == "headroom":
        found = potential.headroom_draws(rows, draws)
    else:
        found = potential.expected_draws(rows, draws) * potential.outlook.contribution[rows, None]
    return np.where(unknown[:, None], np.nan, found).T
