"""When a spend comes back: by account and by pool, from draws of value month by month."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clv_forecast.finance.effects import Effect
from clv_forecast.finance.spend_levels import month_ends
from clv_forecast.forecasting.plan import chunks_of
from clv_forecast.progress import Progress

Floats = NDArray[np.float64]


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
