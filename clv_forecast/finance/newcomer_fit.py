"""Does the model describe newcomers? What they bought again so far, against what it expects of a new customer."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.forecasting.plan import Plan

Floats = NDArray[np.float64]

DRAWS: Final = 40
"""Draws behind an expectation of many customers: more change nothing that could be seen."""
LEAST: Final = 0.8
MOST: Final = 1.25
FEWEST: Final = 30
"""Below so many expected purchases a ratio says nothing."""


def expected_repeats(plan: Plan, rows: NDArray[np.intp]) -> Floats:
    """Repeat purchases that the model expects of each customer from the day it came up to now, whatever it did.

    A forecast starts from what a customer has done, and hides what is wrong about its kind. Customers whom a log has
    seen from their first order on differ from those who were there before it, and a model that was fitted on both
    may fit neither.

    Parameters
    ----------
    plan : Plan
    rows : ndarray of int, shape (newcomer,)

    Returns
    -------
    ndarray, shape (newcomer,)
    """
    few = plan.fewer_draws(DRAWS)
    found = np.zeros(len(rows))
    for part in few.parts:
        cell = part.parameters.cell[rows]
        for each in np.unique(cell):
            here = np.flatnonzero(cell == each)
            times, place = np.unique(plan.T[rows[here]], return_inverse=True)
            expected = part.module.expected_purchases_new(part.purchases_of_cell(int(each)), horizon=times[None, :])
            found[here] += (np.asarray(expected).sum(axis=0) / few.draws)[place]
    return found


def fit_note(observed: float, expected: float) -> tuple[str, ...]:
    """A caution where newcomers did much less, or much more, than the model expects of them.

    Examples
    --------
    >>> fit_note(100.0, 105.0)
    ()
    >>> fit_note(50.0, 100.0)[0][:62]
    'New customers made 50 repeat purchases where the model expects'
    """
    if expected < FEWEST or LEAST <= observed / expected <= MOST:
        return ()
    low = observed < expected
    return (
        f"New customers made {observed:,.0f} repeat purchases where the model expects {expected:,.0f} of them: it does "
        f"not describe newcomers, and their forecast is likely too {'high' if low else 'low'}. Customers who were "
        "there before the log differ from those who come: fit the model on new customers alone, or with groups that "
        "tell them apart, and forecast these accounts with it.",
    )
