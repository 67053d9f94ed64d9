"""Growth goals: for each account its own, from its headroom and readiness, and for each owner their sum."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.forecasting.predictive import band

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
