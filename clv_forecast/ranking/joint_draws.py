"""Joint draws of all accounts: value, potential and referral together, and the rank of every account in every draw."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clv_forecast.atomic_folder import scratch_folder
from clv_forecast.forecasting.plan import Plan, chunks_of
from clv_forecast.forecasting.predictive import band, predictive_money
from clv_forecast.progress import Progress, silent
from clv_forecast.ranking.outlook import Floats

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
        ranks, shares = _rank_one(np.asarray(matrix[draw]), mean, by_mean, top_k)
        matrix[draw] = ranks
        p_top += shares
        if draw % 50 == 49:
            progress("ranks", draw + 1, draws)
    lower, upper = np.empty(accounts), np.empty(accounts)
    for block in column_blocks(matrix):
        lower[block], upper[block] = band(np.ascontiguousarray(matrix[:, block].T), prob)
    return Ranks(lower=np.floor(lower).astype(np.int64), upper=np.ceil(upper).astype(np.int64), p_top=p_top / draws)


def _rank_one(values: Singles, mean: Floats, by_mean: NDArray[np.intp], top_k: int) -> tuple[Floats, Floats]:
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
