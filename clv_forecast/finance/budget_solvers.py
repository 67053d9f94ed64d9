"""The best allocation of a budget: smooth returns by the price of a unit, whole measures by an integer programme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AT_COST: Final = -np.expm1(-1.0)
"""Share of the attainable value that a spend of exactly the cost brings, 1 - 1/e."""
MIP_GAP: Final = 1e-6
MIP_SECONDS: Final = 10.0
_MOST_OPEN: Final = 5000
_FILLED: Final = 1000  # measures tried in what is left, to have a good choice at hand
_CENT: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """One problem of allocation, checked.

    Parameters
    ----------
    worth : ndarray, shape (account,)
        What a spend of ``cost`` brings.
    cost, least, most : ndarray, shape (account,)
        In the unit of the budget; ``most`` equals ``least`` where nothing more may be spent, and may be infinite.
    total : float
    required : float
        What a unit must bring back to be spent at all; 0 asks for nothing.
    """

    worth: Floats
    cost: Floats
    least: Floats
    most: Floats
    total: float
    required: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """Amounts, the value of one more unit of the budget, and the gap to the best bound (0 where exact)."""

    amounts: Floats
    price: float
    gap: float


def brought(task: Task, amounts: Floats, *, whole: bool) -> Floats:
    """Incremental value of the amounts, shape (account,)."""
    if whole:
        return np.where(amounts > 0.0, task.worth, 0.0)
    return np.asarray(task.worth * (-np.expm1(-amounts / task.cost) / AT_COST))


def marginal(task: Task, amounts: Floats, *, whole: bool) -> Floats:
    """What a further unit brings on each account; of whole measures: what a unit of the measure brings."""
    slope = task.worth / task.cost
    return np.asarray(slope if whole else slope * np.exp(-amounts / task.cost) / AT_COST)


def solve_diminishing(task: Task) -> Solution:
    r"""Spend until a further unit brings the same everywhere.

    With price :math:`\lambda` of a unit the conditions of the optimum give

    .. math:: s_i = \min\{u_i, \max\{l_i, c_i (\ln \tfrac{V_i}{c_i (1 - 1/e)} - \ln \lambda)\}\}

    whose sum falls with :math:`\ln \lambda`, piecewise linear; ``scipy.optimize.brentq`` finds where it is the total,
    and the piece on which it lies gives the rest of the digits.

    Examples
    --------
    >>> alike = Task(worth=np.array([50.0, 50.0]), cost=np.array([10.0, 10.0]), least=np.zeros(2),
    ...              most=np.full(2, 12.0), total=12.0, required=0.0)
    >>> solve_diminishing(alike).amounts
    array([6., 6.])
    """
    from scipy.optimize import brentq

    room = task.most > task.least
    height = np.full(len(task.worth), -np.inf)  # logarithm of what the first unit brings
    height[room] = np.log(task.worth[room]) - np.log(task.cost[room]) - np.log(AT_COST)
    amounts = task.least.copy()
    if not room.any():
        return Solution(amounts=amounts, price=0.0, gap=0.0)
    top, cost, least, most = height[room], task.cost[room], task.least[room], task.most[room]
    left = task.total - task.least[~room].sum()
    most = np.minimum(most, np.maximum(left, least))

    def at(log_price: float) -> Floats:
        return np.clip(cost * (top - log_price), least, most)

    lowest = float(np.min(top - most / cost))
    if task.required > 0.0:
        lowest = max(lowest, float(np.log(task.required)))
    if at(lowest).sum() <= left:
        amounts[room] = at(lowest)
    else:
        highest = max(float(np.max(top - least / cost)), lowest)
        log_price = float(brentq(lambda y: at(y).sum() - left, lowest, highest, xtol=1e-12, rtol=1e-14, maxiter=500))
        found = at(log_price)
        free = (found > least) & (found < most)
        if free.any():
            log_price = float((cost[free] @ top[free] - (left - found[~free].sum())) / cost[free].sum())
            found = at(log_price)
        amounts[room] = found
    return Solution(amounts=amounts, price=_price(task, height, amounts), gap=0.0)


def _price(task: Task, height: Floats, amounts: Floats) -> float:
    """What one more unit of the budget would bring: 0 where it would stay unspent."""
    open_ = amounts < task.most * (1.0 - 1e-12)
    if not open_.any():
        return 0.0
    best = float(np.exp(np.max(height[open_] - amounts[open_] / task.cost[open_])))
    unspent = amounts.sum() < task.total * (1.0 - 1e-9)
    return 0.0 if unspent or best < task.required * (1.0 - 1e-9) else best


def in_cents(task: Task, amounts: Floats) -> Floats:
    """Whole cents, rounded down; cents that rounding left over go where the next cent brings most.

    ``least``, ``most`` and ``total`` of the task are whole cents.

    Examples
    --------
    >>> alike = Task(worth=np.full(3, 9.0), cost=np.full(3, 1.0), least=np.zeros(3), most=np.full(3, 1.0), total=1.0,
    ...              required=0.0)
    >>> in_cents(alike, np.full(3, 1 / 3))
    array([0.34, 0.33, 0.33])
    """
    low, high = np.rint(task.least * 100.0), np.rint(task.most * 100.0)
    cents = np.clip(np.floor(amounts * 100.0 + 1e-7), low, high)
    wanted = np.rint(task.total * 100.0)
    spare = int(wanted - cents.sum()) if amounts.sum() >= task.total * (1.0 - 1e-9) else 0
    while spare != 0:
        step = 1.0 if spare > 0 else -1.0
        gain = marginal(task, cents / 100.0 + (0.0 if step > 0 else -_CENT), whole=False)
        gain *= -np.expm1(-_CENT / task.cost) * task.cost / _CENT  # mean over the cent
        ready = np.flatnonzero((cents < high) & (gain >= task.required) if step > 0 else cents > low)
        if not len(ready):
            break
        chosen = ready[np.argsort(-step * gain[ready], kind="stable")[: abs(spare)]]
        cents[chosen] += step
        spare -= int(step) * len(chosen)
    return np.asarray(cents / 100.0)


def solve_whole(task: Task) -> Solution:
    """Choose the accounts on which the measure is taken: a knapsack, by HiGHS through ``scipy.optimize.milp``.

    An account whose ``least`` is above 0 is taken in any case, one whose ``most`` is below its cost never. The price of
    a unit is that of the relaxed problem, in which measures can be split.

    Examples
    --------
    >>> three = Task(worth=np.array([60.0, 100.0, 120.0]), cost=np.array([10.0, 20.0, 30.0]), least=np.zeros(3),
    ...              most=np.full(3, 50.0), total=50.0, required=1.0)
    >>> solve_whole(three).amounts
    array([ 0., 20., 30.])
    """
    taken = task.least > 0.0
    left = task.total - task.cost[taken].sum()
    worthwhile = (task.worth > 0.0) & (task.worth >= task.required * task.cost)
    candidate = np.flatnonzero(~taken & worthwhile & (task.most >= task.cost))
    fits = candidate[task.cost[candidate] <= left * (1.0 + 1e-12)]
    gap = 0.0
    if task.cost[fits].sum() <= left * (1.0 + 1e-12):
        taken[fits] = True
    else:
        chosen, gap = _knapsack(task.worth[fits], task.cost[fits], left)
        taken[fits[chosen]] = True
    price = _relaxed_price(task.worth[candidate], task.cost[candidate], left)
    return Solution(amounts=np.where(taken, task.cost, 0.0), price=price, gap=gap)


def _knapsack(worth: Floats, cost: Floats, left: float) -> tuple[NDArray[np.bool_], float]:
    """Which measures to take, and how much more another choice could bring at most, as a share.

    Most are settled before the solver starts: a measure whose value differs from its cost at the price of the relaxed
    problem by more than that problem brings beyond a choice at hand cannot change sides in any better choice.
    """
    steps = cost / cost.min()
    if np.all(np.abs(steps - np.rint(steps)) <= 1e-12 * steps):  # all alike, most often: only whole steps can be filled
        left = np.floor(left / cost.min() * (1.0 + 1e-12)) * cost.min()
    rate = worth / cost
    best_first = np.argsort(-rate, kind="stable")
    climbed = np.cumsum(cost[best_first])
    split = int(np.searchsorted(climbed, left * (1.0 + 1e-12), side="right"))
    relaxed, after = np.zeros(len(worth), dtype=bool), best_first[split:]
    relaxed[best_first[:split]] = True
    chosen, spare = relaxed.copy(), left - cost[relaxed].sum()
    bound = worth[relaxed].sum() + rate[after[0]] * max(spare, 0.0)
    for place in after[:_FILLED]:
        if cost[place] <= spare:
            chosen[place] = True
            spare -= cost[place]
    better = bound - worth[chosen].sum()
    if better > MIP_GAP * bound:
        apart = np.abs(worth - rate[after[0]] * cost)
        open_ = apart <= better * (1.0 + 1e-9)
        all_open = open_.sum() <= _MOST_OPEN
        if not all_open:  # nearly all alike: the solver would take minutes for less than a measure's value
            open_[np.argsort(apart, kind="stable")[_MOST_OPEN:]] = False
        settled = relaxed & ~open_
        found, limit = _integer_programme(worth[open_], cost[open_], left - cost[settled].sum())
        other = settled.copy()
        other[open_] = found
        if cost[other].sum() <= left * (1.0 + 1e-12) and worth[other].sum() > worth[chosen].sum():
            chosen = other
        bound = min(bound, worth[settled].sum() + limit) if all_open else bound
    return chosen, max(float(bound / worth[chosen].sum() - 1.0), 0.0) if chosen.any() else 0.0


def _integer_programme(worth: Floats, cost: Floats, left: float) -> tuple[NDArray[np.bool_], float]:
    """Choice of the solver (nothing, if it found none in time), and the bound on what any choice brings."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    found = milp(
        -worth / worth.max(),
        integrality=np.ones(len(worth), dtype=np.int64),
        bounds=Bounds(0.0, 1.0),
        constraints=LinearConstraint(cost[None, :] / cost.max(), -np.inf, left / cost.max()),
        options={"mip_rel_gap": MIP_GAP, "time_limit": MIP_SECONDS},
    )
    chosen = np.zeros(len(worth), dtype=bool) if found.x is None else np.asarray(found.x) > 0.5
    bound = np.inf if found.mip_dual_bound is None else -float(found.mip_dual_bound) * float(worth.max())
    return chosen, bound


def _relaxed_price(worth: Floats, cost: Floats, left: float) -> float:
    """Value per unit of the measure that would be split: measures are taken from the best value per unit on."""
    if cost.sum() <= left * (1.0 + 1e-12):
        return 0.0
    rate = worth / cost
    best_first = np.argsort(-rate, kind="stable")
    split = int(np.searchsorted(np.cumsum(cost[best_first]), left, side="right"))
    return float(rate[best_first[min(split, len(rate) - 1)]])
