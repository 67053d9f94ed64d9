"""From value to allowance: what is reached with a confidence, and whole cents that add up."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.finance.spend import CONFIDENCES

Floats = NDArray[np.float64]

BARELY_MORE: Final = 1.0 + 1e-13
"""An amount is raised by so much before it is cut to whole cents: a whole cent stays a whole cent."""


def reached(draws: Floats) -> Floats:
    """What the draws reach with each of the stored confidences: at least that share of them is no smaller.

    Parameters
    ----------
    draws : ndarray, shape (..., draw)

    Returns
    -------
    ndarray, shape (..., level)
        Order statistics, without interpolation.

    Examples
    --------
    >>> reached(np.arange(1.0, 101.0)).tolist()
    [51.0, 41.0, 31.0, 26.0, 21.0, 16.0, 11.0, 6.0]
    """
    count = draws.shape[-1]
    places = [(100 - level) * count // 100 for level in CONFIDENCES]
    return np.partition(draws, places, axis=-1)[..., places]


def reached_with(draws: Floats, confidence: float) -> float:
    """What some draws reach with a confidence between 0 and 1, one of the stored levels or not; see `reached`.

    Examples
    --------
    >>> reached_with(np.arange(1.0, 11.0), 0.8)
    3.0
    """
    place = min(int((1.0 - confidence) * len(draws) + 1e-9), len(draws) - 1)
    return float(np.partition(draws, place)[place])


def whole_cents(amounts: Floats) -> Floats:
    """Amounts in whole cents, rounded down, never below 0; NaN counts as nothing.

    An amount that is a whole number of cents but for the last bits of the number stays what it is.

    Examples
    --------
    >>> whole_cents(np.array([1.15, 2.999, -3.0, np.nan])).tolist()
    [115.0, 299.0, 0.0, 0.0]
    """
    cents = np.maximum(np.nan_to_num(amounts), 0.0) * 100.0
    return np.asarray(np.floor(cents * BARELY_MORE))


def allowance(at_horizon: Floats, repaid: Floats | None, target_roi: float) -> Floats:
    """What may be spent, in whole cents: earns the target return at the horizon, and is repaid within the limit.

    Parameters
    ----------
    at_horizon : ndarray
        Value at the horizon that counts: an expectation, or what is reached with a confidence.
    repaid : ndarray or None
        The same of the value within the limit of payback; None without a limit.
    target_roi : float

    Examples
    --------
    >>> allowance(np.array([120.0, 120.0]), np.array([90.0, 200.0]), 0.2).tolist()
    [9000.0, 10000.0]
    """
    earns = at_horizon / (1.0 + target_roi)
    return whole_cents(earns if repaid is None else np.minimum(earns, repaid))


def ladder(weights: Floats, group: NDArray[np.intp], groups: int) -> tuple[Floats, Floats]:
    """Where each account's share of its group lies between 0 and 1: before, and up to, and including it.

    Parameters
    ----------
    weights : ndarray, shape (account,)
        Not negative; an account of weight 0 has no share.
    group : ndarray of int, shape (account,)
    groups : int

    Examples
    --------
    >>> before, upto = ladder(np.array([1.0, 0.0, 3.0]), np.zeros(3, dtype=int), 1)
    >>> before.tolist(), upto.tolist()
    ([0.0, 0.0, 0.25], [0.25, 0.0, 1.0])
    """
    before, upto = np.zeros(len(weights)), np.zeros(len(weights))
    for g in range(groups):
        rows = np.flatnonzero((group == g) & (weights > 0.0))
        if not len(rows):
            continue
        climbed = np.cumsum(weights[rows])
        upto[rows] = climbed / climbed[-1]
        before[rows] = np.concatenate([[0.0], upto[rows][:-1]])
    return before, upto


def each_of(pool_cents: Floats, count: int) -> Floats:
    """Whole cents for each of so many alike, rounded down, so that together they stay within the pool.

    Examples
    --------
    >>> each_of(np.array([100.0]), 3).tolist()
    [33.0]
    """
    return np.asarray(np.floor(pool_cents * (1.0 / count) * BARELY_MORE))


def share_out(pool_cents: Floats, before: Floats, upto: Floats, group: NDArray[np.intp]) -> Floats:
    """Cents of each account, which add up to its group's: rungs of the ladder, rounded to whole cents.

    Examples
    --------
    >>> share_out(np.array([100.0]), np.array([0.0, 1 / 3, 2 / 3]), np.array([1 / 3, 2 / 3, 1.0]), np.zeros(3, int))
    array([33., 34., 33.])
    """
    pool = pool_cents[group]
    return np.asarray(np.floor(pool * upto + 0.5) - np.floor(pool * before + 0.5))
