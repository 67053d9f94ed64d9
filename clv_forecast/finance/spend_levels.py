"""One pass over the draws: what each account, and each pool of accounts, reaches with which confidence."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv_forecast.finance.allowances import reached
from clv_forecast.finance.effects import Effect
from clv_forecast.finance.spend import CONFIDENCES
from clv_forecast.forecasting.plan import chunks_of
from clv_forecast.progress import Progress

Floats = NDArray[np.float64]


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
