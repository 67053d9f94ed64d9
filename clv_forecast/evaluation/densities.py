r"""Exact predictive probabilities of what a customer does in a window, averaged over the parameter draws.

With :math:`L` the model's likelihood of a customer, in which purchase rate and dropout are integrated out, what a
customer does in a window of length :math:`h` has, given its past and the parameters, the density

.. math:: p(y, t \mid x, t_x, T; \theta) = \frac{L(\theta; x + y, t_{x + y}, T + h)}{L(\theta; x, t_x, T)}

and the predictive density is its mean over the draws of :math:`\theta`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from clv_forecast.forecasting.plan import Part, Plan
from clv_forecast.units import DAYS_PER_UNIT

Floats = NDArray[np.float64]

_CELLS: Final = 1_000_000


def log_predictive_density(plan: Plan, purchases: Floats, last: Floats, horizon: float) -> Floats:
    """Log density of each customer's purchases in ``(T, T + horizon]``, per day of time.

    Parameters
    ----------
    plan : Plan
    purchases : ndarray, shape (customer,)
        Purchases in the window.
    last : ndarray, shape (customer,)
        Time from ``T`` to the last of them, in the plan's unit; anything without a purchase.
    horizon : float
        In the plan's unit.

    Returns
    -------
    ndarray, shape (customer,)
        It is a density of ``purchases`` points in time, counted in days whatever the plan's unit, and a probability
        where there is none.
    """
    parts = []
    after = np.where(purchases > 0, plan.T + last, plan.recency)
    for part in plan.parts:
        of_part = np.empty(plan.customers)
        for rows, chosen, back in _distinct(plan, part, purchases, after):
            x, length = plan.frequency[chosen], plan.T[chosen]
            params = part.purchases(chosen)
            before = part.module.log_likelihood(params, x, plan.recency[chosen], length)
            both = part.module.log_likelihood(params, x + purchases[chosen], after[chosen], length + horizon)
            of_part[rows] = logsumexp(both - before, axis=0)[back]
        parts.append(of_part)
    together = logsumexp(np.stack(parts), axis=0) - np.log(plan.draws)
    return np.asarray(together - purchases * np.log(DAYS_PER_UNIT[plan.unit]))


def probability_of_none(plan: Plan, horizon: float) -> Floats:
    """Probability of no purchase in ``(T, T + horizon]``: closed form, averaged over the draws; shape (customer,)."""
    total = np.zeros(plan.customers)
    for part in plan.parts:
        for rows, chosen, back in _distinct(plan, part, plan.recency):
            silent = part.module.probability_no_purchase(
                part.purchases(chosen), plan.frequency[chosen], plan.recency[chosen], plan.T[chosen], horizon=horizon
            )
            total[rows] += np.broadcast_to(silent, (part.draws, len(chosen))).sum(axis=0)[back]
    return np.asarray(total / plan.draws)


def _distinct(
    plan: Plan, part: Part, *more: Floats
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]]:
    """Blocks of customers who share their rows: all customers of the block, one of each kind, and each one's kind."""
    cell = part.parameters.cell.astype(np.float64)
    what = np.stack([cell, plan.frequency, plan.recency, plan.T, *more])
    _, first, kind = np.unique(what, axis=1, return_index=True, return_inverse=True)
    kind = kind.ravel()
    order = np.argsort(kind, kind="stable")
    step = max(1, _CELLS // part.draws)
    for start in range(0, len(first), step):
        stop = min(start + step, len(first))
        low, high = np.searchsorted(kind[order], [start, stop])
        rows = order[low:high]
        yield rows, first[start:stop], kind[rows] - start
