"""Predictive draws of one origin: the customers' scores, and sums over groups, in bounded memory."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clv_forecast.evaluation import scores
from clv_forecast.evaluation.densities import probability_of_none
from clv_forecast.evaluation.windows import Lengths, Outcome
from clv_forecast.forecasting.plan import Plan, chunks_of
from clv_forecast.forecasting.predictive import predictive_money
from clv_forecast.forecasting.totals import Grouping
from clv_forecast.streams import KeyedStreams
from clv_forecast.units import DAYS_PER_UNIT

Floats = NDArray[np.float64]

PURCHASES: Final = "purchases"
REVENUE: Final = "revenue"
FREQUENCIES: Final = ("0", "1", "2", "3", "4", "5", "6", "7+")
"""Purchases before the origin, in classes."""


def in_unit(days: NDArray[np.int64], plan: Plan) -> Floats:
    """Days in the unit of the plan."""
    return np.asarray(days / DAYS_PER_UNIT[plan.unit])


class Predicted:
    """Predictive draws, chunk by chunk: scores of the customers, and sums over groups."""

    def __init__(self, plan: Plan, outcome: Outcome, lengths: Lengths, grouping: Grouping) -> None:
        self.plan, self.lengths, self.grouping = plan, lengths, grouping
        self.quantities = (PURCHASES, REVENUE) if plan.has_spend else (PURCHASES,)
        self.ends = lengths.ends
        self.at: NDArray[np.intp] = np.asarray(np.searchsorted(self.ends, lengths.days))
        count, money = outcome.upto(self.ends)
        self.actual_ends = {PURCHASES: count, REVENUE: money}
        self.actual = {quantity: values[:, self.at] for quantity, values in self.actual_ends.items()}
        shape = (plan.customers, len(lengths.days))
        self.pit = {quantity: np.empty(shape) for quantity in self.quantities}
        self.crps = {quantity: np.empty(shape) for quantity in self.quantities}
        self.inside = {q: np.empty((*shape, len(scores.LEVELS)), dtype=bool) for q in self.quantities}
        self.log_score = np.empty(shape)
        groups = len(grouping.names)
        self.sums = {q: np.zeros((groups, len(self.ends), plan.draws)) for q in self.quantities}
        self.bins = np.minimum(plan.frequency, len(FREQUENCIES) - 1).astype(np.intp)
        self.by_bin = np.zeros((len(FREQUENCIES) + 1, len(lengths.days), plan.draws))

    def run(self) -> None:
        """Go through all customers."""
        boundaries = in_unit(self.ends, self.plan)
        horizons: list[float] = in_unit(self.lengths.days, self.plan).tolist()
        silent = np.stack([probability_of_none(self.plan, horizon) for horizon in horizons], axis=1)
        for rows in chunks_of(self.plan, len(boundaries)):
            drawn = predictive_money(self.plan, rows, boundaries)
            draws: dict[str, NDArray[Any]] = {PURCHASES: drawn.purchases, REVENUE: drawn.revenue}
            add_to_groups(self.by_bin, self.bins[rows], drawn.purchases[:, self.at])
            for quantity in self.quantities:
                add_to_groups(self.sums[quantity], self.grouping.member[rows], draws[quantity])
                for h, end in enumerate(self.at):
                    self._score(quantity, rows, h, draws[quantity][:, end])
            for h, end in enumerate(self.at):
                self.log_score[rows, h] = scores.log_score_counts(
                    self.actual[PURCHASES][rows, h].astype(np.int64), drawn.purchases[:, end], silent[rows, h]
                )

    def _score(self, quantity: str, rows: NDArray[np.intp], h: int, draws: NDArray[Any]) -> None:
        ordered = np.sort(draws, axis=-1)
        actual = self.actual[quantity][rows, h]
        streams = KeyedStreams(self.plan.keys[rows], int(self.lengths.days[h]))
        uniform = scores.keyed_uniforms(streams, 0 if quantity == PURCHASES else 1)
        self.pit[quantity][rows, h] = scores.randomised_pit(actual, ordered, uniform)
        self.crps[quantity][rows, h] = scores.crps(actual, ordered)
        self.inside[quantity][rows, h] = scores.inside_bands(actual, ordered)


@njit(cache=True)
def add_to_groups(sums, member, values):  # type: ignore[no-untyped-def]
    """Add values (customer, end, draw) to the sums (group + 1, end, draw): to the first, everyone's, and the member's.

    In the order of the customers, so that chunks do not matter; a member of -1 belongs to everyone only.
    """
    customers, ends, draws = values.shape
    for i in range(customers):
        for e in range(ends):
            for d in range(draws):
                sums[0, e, d] += values[i, e, d]
                if member[i] >= 0:
                    sums[member[i] + 1, e, d] += values[i, e, d]
