"""From value to allowance: what is reached with a confidence, and whole cents that add up.

One pass over the draws: what each account, and each pool of accounts, reaches with which confidence.

When a spend comes back: by account and by pool, from draws of value month by month.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.finance.effects import Effect
from clv_forecast.finance.spend import CONFIDENCES
from clv_forecast.forecasting.plan import chunks_of
from clv_forecast.progress import Progress

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


def share_out(pool_cents: Floats, before: Floats, upto: Floats, *, group: NDArray[np.intp]) -> Floats:
    """Cents of each account, which add up to its group's: rungs of the ladder, rounded to whole cents.

    Examples
    --------
    >>> before, upto = np.array([0.0, 1 / 3, 2 / 3]), np.array([1 / 3, 2 / 3, 1.0])
    >>> share_out(np.array([100.0]), before, upto, group=np.zeros(3, int))
    array([33., 34., 33.])
    """
    pool = pool_cents[group]
    return np.asarray(np.floor(pool * upto + 0.5) - np.floor(pool * before + 0.5))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Levels:
    """Values of accounts and pools; ``*_repaid`` are those within the limit of payback, None without one.

    Parameters
    ----------
    expected, expected_repaid : ndarray, shape (account,)
    reached, repaid : ndarray, shape (account, level)
        What is reached with each of the stored confidences.
    p_loss : ndarray, shape (account,)
        Probability that the value is negative.
    p_nothing : ndarray, shape (account,)
        Probability that it is not positive.
    sharing : ndarray of bool, shape (account,)
        Whose expected value is positive, also within the limit: they share the pool.
    pool, pool_repaid : ndarray, shape (group, level)
        Of the joint value of the accounts that share.
    """

    expected: Floats
    expected_repaid: Floats | None
    reached: Floats
    repaid: Floats | None
    p_loss: Floats
    p_nothing: Floats
    sharing: NDArray[np.bool_]
    pool: Floats
    pool_repaid: Floats | None

    @classmethod
    def stacked(cls, parts: list[Levels]) -> Levels:
        """Rows, and pools, of several passes after each other."""
        found: dict[str, Any] = {}
        for field in fields(cls):
            values = [getattr(part, field.name) for part in parts]
            found[field.name] = None if values[0] is None else np.concatenate(values)
        return cls(**found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ends:
    """Boundaries of a pass, in the plan's unit: month ends up to the limit of payback, and the horizon.

    The value *within the limit* is the largest that has accumulated by the end of a month up to it (payback is the
    first month in which the spend has come back), or by the limit itself.
    """

    boundaries: Floats
    horizon: int
    within_limit: int

    @classmethod
    def of(cls, horizon: float, limit: float | None, month: float) -> Ends:
        """All in one unit; ``month`` is the length of a month."""
        if limit is None:
            return cls(boundaries=np.array([horizon]), horizon=0, within_limit=0)
        ends = np.unique(np.append(month_ends(limit, month), horizon))
        return cls(boundaries=ends, horizon=len(ends) - 1, within_limit=int(np.searchsorted(ends, limit)) + 1)

    def split(self, values: Floats) -> tuple[Floats, Floats | None]:
        """At the horizon, and within the limit, from values whose second axis is that of the boundaries."""
        within = None if self.within_limit == 0 else values[:, : self.within_limit].max(axis=1)
        return values[:, self.horizon], within


def month_ends(length: float, month: float) -> Floats:
    """Ends of the months up to ``length``, which is the last; all in one unit.

    Examples
    --------
    >>> month_ends(2.5, 1.0).tolist(), month_ends(2.0, 1.0).tolist()
    ([1.0, 2.0, 2.5], [1.0, 2.0])
    """
    whole = int(np.floor(length / month + 1e-9))
    ends: Floats = month * np.arange(1.0, whole + 1.0)
    if whole and abs(ends[-1] - length) < 1e-9 * length:
        ends[-1] = length
        return ends
    return np.append(ends, length)


def levels_of(
    effect: Effect,
    ends: Ends,
    *,
    eligible: NDArray[np.bool_],
    group: NDArray[np.intp],
    groups: int,
    progress: Progress,
) -> Levels:
    """Expectations, quantiles and joint quantiles of an effect.

    Parameters
    ----------
    effect : Effect
    ends : Ends
    eligible : ndarray of bool, shape (account,)
        Who may have an allowance at all.
    group : ndarray of int, shape (account,)
        Which pool an account belongs to.
    groups : int
    progress : callable
    """
    plan = effect.plan
    limited = ends.within_limit > 0
    size, width = plan.customers, len(CONFIDENCES)
    expected, repaid_mean = np.empty(size), np.empty(size)
    at_horizon, within = np.empty((size, width)), np.empty((size, width))
    p_loss, p_nothing = np.empty(size), np.empty(size)
    sharing = np.zeros(size, dtype=bool)
    sums = np.zeros((groups, len(ends.boundaries), plan.draws))
    done = 0
    for rows in chunks_of(plan, 2 * len(ends.boundaries)):
        mean, mean_repaid = ends.split(effect.expected(rows, ends.boundaries))
        drawn = effect.drawn(rows, ends.boundaries)
        at_end, repaid = ends.split(drawn)
        expected[rows], at_horizon[rows] = mean, reached(at_end)
        p_loss[rows], p_nothing[rows] = (at_end < 0.0).mean(axis=-1), (at_end <= 0.0).mean(axis=-1)
        shares = eligible[rows] & (mean > 0.0)
        if mean_repaid is not None and repaid is not None:
            repaid_mean[rows], within[rows] = mean_repaid, reached(repaid)
            shares &= mean_repaid > 0.0
        sharing[rows] = shares
        for g in np.unique(group[rows[shares]]):
            sums[g] += drawn[shares & (group[rows] == g)].sum(axis=0)
        done += len(rows)
        progress("allowable spend", done, size)
    pool_end, pool_within = ends.split(sums)
    return Levels(
        expected=expected,
        expected_repaid=repaid_mean if limited else None,
        reached=at_horizon,
        repaid=within if limited else None,
        p_loss=p_loss,
        p_nothing=p_nothing,
        sharing=sharing,
        pool=reached(pool_end),
        pool_repaid=None if pool_within is None else reached(pool_within),
    )


def levels_of_alike(effect: Effect, ends: Ends) -> Levels:
    """Levels of one of several customers who are all alike, in one row, and of all of them together as its pool."""
    rows = np.arange(effect.plan.customers)
    mean, mean_repaid = ends.split(effect.expected(rows[:1], ends.boundaries))
    drawn = effect.drawn(rows, ends.boundaries)
    at_end, repaid = ends.split(drawn)
    pool, pool_repaid = ends.split(drawn.sum(axis=0, keepdims=True))
    gains = (mean > 0.0) if mean_repaid is None else (mean > 0.0) & (mean_repaid > 0.0)
    return Levels(
        expected=mean,
        expected_repaid=mean_repaid,
        reached=reached(at_end.reshape(1, -1)),
        repaid=None if repaid is None else reached(repaid.reshape(1, -1)),
        p_loss=(at_end < 0.0).mean(keepdims=True)[0],
        p_nothing=(at_end <= 0.0).mean(keepdims=True)[0],
        sharing=gains,
        pool=reached(pool),
        pool_repaid=None if pool_repaid is None else reached(pool_repaid),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Payback:
    """When spends come back; NaN where nothing is spent.

    Parameters
    ----------
    months, p : ndarray, shape (account,)
        The first month by whose end at least half of the draws have repaid the spend, missing where fewer than half
        ever do; and the probability that it is repaid within the horizon.
    pool_months, pool_p : ndarray, shape (group,)
        The same of what each pool spends together.
    """

    months: Floats
    p: Floats
    pool_months: Floats
    pool_p: Floats


def payback_of(
    effect: Effect,
    spent: Floats,
    *,
    horizon: float,
    month: float,
    group: NDArray[np.intp],
    groups: int,
    progress: Progress,
) -> Payback:
    """Find when each account's spend, and each pool's, is repaid.

    Parameters
    ----------
    effect : Effect
    spent : ndarray, shape (account,)
        Money; accounts at 0 are left out.
    horizon, month : float
        Lengths, in the plan's unit.
    group : ndarray of int, shape (account,)
    groups : int
    progress : callable
    """
    plan = effect.plan
    ends = month_ends(horizon, month)
    months, p = np.full(plan.customers, np.nan), np.full(plan.customers, np.nan)
    sums = np.zeros((groups, len(ends), plan.draws))
    done = 0
    for chunk in chunks_of(plan, 2 * len(ends)):
        rows = chunk[spent[chunk] > 0.0]
        done += len(chunk)
        if len(rows):
            drawn = effect.drawn(rows, ends)
            months[rows], p[rows] = first_months(drawn, spent[rows])
            for g in np.unique(group[rows]):
                sums[g] += drawn[group[rows] == g].sum(axis=0)
        progress("payback", done, plan.customers)
    together = np.bincount(group, weights=spent, minlength=groups)
    pool_months, pool_p = first_months(sums, together)
    nothing = together <= 0.0
    pool_months[nothing], pool_p[nothing] = np.nan, np.nan
    return Payback(months=months, p=p, pool_months=pool_months, pool_p=pool_p)


def first_months(drawn: Floats, spent: Floats) -> tuple[Floats, Floats]:
    """Median month of payback, and the share of the draws that repay at all.

    Parameters
    ----------
    drawn : ndarray, shape (row, month, draw)
        Value accumulated by the end of each month.
    spent : ndarray, shape (row,)

    Examples
    --------
    >>> drawn = np.array([[[1.0, 0.0], [3.0, 0.0], [3.0, 5.0]]])
    >>> first_months(drawn, np.array([2.0])), first_months(drawn, np.array([4.0]))
    ((array([2.]), array([1.])), (array([3.]), array([0.5])))
    """
    by_then = np.maximum.accumulate(drawn, axis=1) >= spent[:, None, None]
    share = by_then.mean(axis=-1)
    half = share >= 0.5
    month = np.where(half.any(axis=1), half.argmax(axis=1) + 1.0, np.nan)
    return month, share[:, -1]
