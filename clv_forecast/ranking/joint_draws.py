"""Joint draws of all accounts: value, potential and referral together, and the rank of every account in every draw.

Growth goals: for each account its own, from its headroom and readiness, and for each owner their sum.

One pass over joint draws of all accounts: bands, ranks, cells, goals and concentration from the same worlds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clv_forecast.files import scratch_folder
from clv_forecast.forecasting.plan import Plan, chunks_of
from clv_forecast.forecasting.predictive import band, predictive_money
from clv_forecast.forecasting.result import Forecast
from clv_forecast.progress import Progress, silent
from clv_forecast.ranking.concentration import MEASURE, concentration, lorenz_curves
from clv_forecast.ranking.matrix import MatrixRule, cell_probabilities
from clv_forecast.ranking.potential import Potential
from clv_forecast.ranking.referral import Referrals

Floats = NDArray[np.float64]

EVERYBODY: Final = "all"
NO_OWNER: Final = "(no owner)"


class OwnerSums:
    """Sums of draws by owner, added up block by block.

    Parameters
    ----------
    owners : Series, shape (account,)
        Missing owners are put together.
    draws : int
    """

    def __init__(self, owners: pd.Series | None, accounts: int, draws: int) -> None:
        named = pd.Series(NO_OWNER, index=range(accounts)) if owners is None else owners.astype("string")
        codes, names = pd.factorize(named.fillna(NO_OWNER), sort=True)
        self.codes: NDArray[np.intp] = np.asarray(codes, dtype=np.intp)
        self.names = [str(name) for name in names]
        self.by_owner = owners is not None
        self.sums = np.zeros((len(self.names), draws))

    def add(self, block: slice, drawn: Floats) -> None:
        """Add draws of shape (account, draw) of a block of accounts."""
        np.add.at(self.sums, self.codes[block], drawn)

    def table(self, *, goal: Floats, current: Floats | None, expected: Floats, prob: float) -> pd.DataFrame:
        """Goals by owner, and of all accounts first.

        Parameters
        ----------
        goal : ndarray, shape (account,)
            Revenue above the forecast; NaN where it is not known.
        current, expected : ndarray, shape (account,)
            Revenue of the last 12 months, and forecast over the horizon.
        prob : float

        Returns
        -------
        DataFrame
            owner, accounts, with_goal, current_revenue (where known), forecast_revenue, goal, goal_lower, goal_upper
            (band of the sum, from joint draws), goal_share (goal over forecast), prob. The goals of owners add up to
            that of all.
        """
        lower, upper = band(self.sums, prob)
        low_all, high_all = band(self.sums.sum(axis=0)[None, :], prob)
        frame = pd.DataFrame(
            {
                "owner": [EVERYBODY, *self.names],
                "accounts": self._sum(np.ones(len(goal))),
                "with_goal": self._sum(np.isfinite(goal).astype(np.float64)),
            }
        ).astype({"accounts": np.int64, "with_goal": np.int64})
        if current is not None:
            frame["current_revenue"] = self._sum(current)
        frame["forecast_revenue"] = self._sum(expected)
        frame["goal"] = self._sum(np.nan_to_num(goal))
        frame["goal_lower"], frame["goal_upper"] = np.r_[low_all, lower], np.r_[high_all, upper]
        frame["goal_share"] = frame["goal"] / frame["forecast_revenue"].where(frame["forecast_revenue"] > 0.0)
        nothing = frame["with_goal"] == 0
        frame.loc[nothing, ["goal", "goal_lower", "goal_upper", "goal_share"]] = np.nan
        frame["prob"] = prob
        return frame if self.by_owner else frame.iloc[:1]

    def _sum(self, values: Floats) -> Floats:
        each = np.bincount(self.codes, weights=values, minlength=len(self.names))
        return np.asarray(np.r_[each.sum(), each])


Singles = NDArray[np.float32]

MOST_BYTES_IN_MEMORY: Final = 1 << 30
_COLUMNS_AT_ONCE: Final = 2_000


@contextmanager
def draw_matrix(draws: int, accounts: int) -> Iterator[Singles]:
    """An empty (draw, account) matrix of 4 bytes each: in memory up to a gibibyte, beyond in a temporary file.

    Examples
    --------
    >>> with draw_matrix(2, 3) as matrix:
    ...     matrix.shape
    (2, 3)
    """
    if draws * accounts * 4 <= MOST_BYTES_IN_MEMORY:
        yield np.zeros((draws, accounts), dtype=np.float32)
        return
    with scratch_folder() as folder:
        place = folder / "draws"
        with place.open("wb") as file:
            if hasattr(os, "posix_fallocate"):  # on a full disk a write to mapped pages would end the process
                os.posix_fallocate(file.fileno(), 0, draws * accounts * 4)
        mode = "r+" if place.stat().st_size else "w+"
        mapped = np.memmap(place, dtype=np.float32, mode=mode, shape=(draws, accounts))  # type: ignore[call-overload]
        yield mapped
        del mapped


def fill_values(matrix: Singles, plan: Plan, boundary: float, *, progress: Progress = silent) -> None:
    """Write the value draws of every account up to ``boundary`` (in the plan's unit) into the matrix."""
    done = 0
    for rows in chunks_of(plan, 1):
        matrix[:, rows] = predictive_money(plan, rows, np.array([boundary])).value[:, 0].T
        done += len(rows)
        progress("draws", done, plan.customers)


def column_blocks(matrix: Singles) -> Iterator[slice]:
    """Blocks of accounts of bounded memory."""
    for start in range(0, matrix.shape[1], _COLUMNS_AT_ONCE):
        yield slice(start, min(start + _COLUMNS_AT_ONCE, matrix.shape[1]))


def referral_draws(matrix: Singles, credited: sparse.csr_array) -> tuple[NDArray[np.intp], Singles]:
    """Credited value of referred accounts, draw by draw: the referrers' positions, and shape (draw, referrer)."""
    referrers = np.flatnonzero(np.diff(credited.indptr))
    referred = np.unique(credited.indices)
    if not len(referrers):
        return referrers, np.zeros((len(matrix), 0), dtype=np.float32)
    share = credited[referrers][:, referred]
    return referrers, np.asarray((share @ matrix[:, referred].T).T, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranks:
    """Where accounts stand over the draws; arrays of shape (account,).

    ``lower`` and ``upper`` bound the rank (1 is first), ``p_top`` is the probability of being among the first
    ``top_k``. Accounts that tie in a draw, most of them at nothing, stand in it as they do by their means; those that
    tie there too share the smallest rank, and the places left among the first.
    """

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    p_top: Floats


def rank_draws(matrix: Singles, mean: Floats, *, top_k: int, prob: float, progress: Progress = silent) -> Ranks:
    """Rank all accounts in every draw; the matrix is used up (its values become ranks).

    Parameters
    ----------
    matrix : ndarray of float32, shape (draw, account)
    mean : ndarray, shape (account,)
        What accounts that tie in a draw are put in order by.
    top_k : int
    prob : float
        Probability inside the band of ranks.
    progress : callable

    Returns
    -------
    Ranks

    Examples
    --------
    >>> drawn = np.array([[3.0, 2.0, 1.0], [3.0, 0.0, 0.0]], dtype=np.float32)
    >>> found = rank_draws(drawn, np.array([3.0, 1.0, 2.0]), top_k=2, prob=0.9)
    >>> found.lower.tolist(), found.upper.tolist(), found.p_top.tolist()
    ([1, 2, 2], [1, 3, 3], [1.0, 0.5, 0.5])
    """
    draws, accounts = matrix.shape
    by_mean = np.argsort(-mean, kind="stable")
    p_top = np.zeros(accounts)
    for draw in range(draws):
        ranks, shares = _rank_one(np.asarray(matrix[draw]), mean, by_mean, top_k=top_k)
        matrix[draw] = ranks
        p_top += shares
        if draw % 50 == 49:
            progress("ranks", draw + 1, draws)
    lower, upper = np.empty(accounts), np.empty(accounts)
    for block in column_blocks(matrix):
        lower[block], upper[block] = band(np.ascontiguousarray(matrix[:, block].T), prob)
    return Ranks(lower=np.floor(lower).astype(np.int64), upper=np.ceil(upper).astype(np.int64), p_top=p_top / draws)


def _rank_one(values: Singles, mean: Floats, by_mean: NDArray[np.intp], *, top_k: int) -> tuple[Floats, Floats]:
    """Ranks in one draw, and each account's share of the first ``top_k`` places."""
    order = by_mean[np.argsort(-values[by_mean], kind="stable")]
    differs = [sorted_[1:] != sorted_[:-1] for sorted_ in (values[order], mean[order])]
    begins = np.flatnonzero(np.r_[True, differs[0] | differs[1]])
    size = np.diff(begins, append=len(order))
    ranks, shares = np.empty(len(values)), np.empty(len(values))
    ranks[order] = np.repeat(begins + 1.0, size)
    shares[order] = np.repeat(np.clip(top_k - begins, 0, size) / size, size)
    return ranks, shares


def add_by_block(
    matrix: Singles, extra: Callable[[slice], Floats], *, prob: float, progress: Progress = silent
) -> tuple[Floats, Floats]:
    """Add draws of shape (account, draw) block by block, and give the band of the sums."""
    lower, upper = np.empty(matrix.shape[1]), np.empty(matrix.shape[1])
    for block in column_blocks(matrix):
        total = matrix[:, block].T + extra(block)
        matrix[:, block] = total.T
        lower[block], upper[block] = band(total, prob)
        progress("adjusted value", block.stop, matrix.shape[1])
    return lower, upper


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
                _potential_axis(task, task.potential, rows, draws=plan.draws),
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


def _potential_axis(task: JointTask, potential: Potential, rows: NDArray[np.intp], *, draws: int) -> Floats:
    """What the matrix shows of potential, shape (draw, account); NaN where no wallet is known."""
    unknown = potential.table["headroom"].isna().to_numpy()[rows]
    if task.rule.potential_axis == "headroom":
        found = potential.headroom_draws(rows, draws)
    else:
        found = potential.expected_draws(rows, draws) * potential.outlook.contribution[rows, None]
    return np.where(unknown[:, None], np.nan, found).T
