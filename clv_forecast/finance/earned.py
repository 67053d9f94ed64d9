"""What newcomers have brought so far, day by day since they came, in the money of the forecast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.finance.effects import annuity
from clv_forecast.forecasting.result import Forecast
from clv_forecast.units import DAYS_PER_UNIT

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Earned:
    """Purchases of newcomers, discounted to the day each of them came.

    Parameters
    ----------
    owner : ndarray of int, shape (purchase,)
        Place of the buyer among the newcomers.
    age : ndarray, shape (purchase,)
        Time since the buyer came, in the unit of the forecast.
    revenue, contribution : ndarray, shape (purchase,)
        Discounted; contribution is after the margin and the cost of the order, before the cost to serve.
    T, recency, p_alive, cost_per_time : ndarray, shape (newcomer,)
    discount : float
        Continuous, per unit of time.
    """

    owner: Places
    age: Floats
    revenue: Floats
    contribution: Floats
    T: Floats
    recency: Floats
    p_alive: Floats
    cost_per_time: Floats
    discount: float

    def __repr__(self) -> str:
        return f"<Earned: {len(self.owner):,} purchases of {len(self.T):,} newcomers>"

    def by_age(self, age: float, measure: str = "contribution") -> Floats:
        """Money of each newcomer up to an age, the first order included; shape (newcomer,).

        The cost to serve is that of the whole age, whoever left meanwhile: of a cohort that was watched for longer
        more is known about who left, and it would look cheaper for that alone.
        """
        money = getattr(self, measure)
        within = self.age <= age * (1.0 + 1e-9)
        found = np.bincount(self.owner[within], weights=money[within], minlength=len(self.T))
        if measure == "contribution":
            found = found - self.cost_per_time * annuity(np.full(len(self.T), age), self.discount)
        return np.asarray(found)

    def so_far(self, age: float = np.inf) -> Floats:
        """Contribution of each newcomer up to now, or up to an age if that was earlier; shape (newcomer,).

        Served up to today if it is still there, up to its last purchase if it has left, weighed by P(alive).
        """
        within = self.age <= age * (1.0 + 1e-9)
        brought = np.bincount(self.owner[within], weights=self.contribution[within], minlength=len(self.T))
        return np.asarray(brought - self._served(age))

    def by_month(self, group: Places, groups: int, months: int, month: float) -> Floats:
        """Contribution of groups of newcomers up to each month of age, shape (group, month); month 0 is the first day.

        Parameters
        ----------
        group : ndarray of int, shape (newcomer,)
        groups, months : int
        month : float
            Its length in the unit of the forecast.
        """
        found = np.zeros((groups, months + 1))
        place = np.ceil(self.age / month - 1e-9).astype(np.intp)
        np.add.at(found, (group[self.owner], np.minimum(place, months)), self.contribution)
        found = found.cumsum(axis=1)
        if self.cost_per_time.any():
            for at in range(months + 1):
                found[:, at] -= np.bincount(group, weights=self._served(at * month), minlength=groups)
        return found

    def _served(self, age: float) -> Floats:
        """Expected cost to serve up to an age, or up to now."""
        there, gone = (annuity(np.minimum(end, age), self.discount) for end in (self.T, self.recency))
        return np.asarray(self.cost_per_time * (self.p_alive * there + (1.0 - self.p_alive) * gone))


def earned_by(forecast: Forecast, purchases: pd.DataFrame, rows: Places, p_alive: Floats) -> Earned:
    """Price the purchases of some customers as the forecast prices those to come.

    Parameters
    ----------
    forecast : Forecast
    purchases : DataFrame
        ``history.purchases()``.
    rows : ndarray of int, shape (newcomer,)
        Rows of the history.
    p_alive : ndarray, shape (customer,)
        Of all customers of the history.

    Returns
    -------
    Earned

    Notes
    -----
    A customer's margin so far is that of the log, as a rate over all its purchases, where the log has it; else the
    forecast's rate.
    """
    plan, past = forecast.plan, forecast.history.table
    place = np.full(len(past), -1, dtype=np.intp)
    place[rows] = np.arange(len(rows))
    customer = pd.Index(past[columns.CUSTOMER_ID]).get_indexer(pd.Index(purchases[columns.CUSTOMER_ID]))
    kept = place[customer] >= 0
    customer, amount = customer[kept], purchases[columns.AMOUNT].to_numpy(dtype=np.float64)[kept]
    since = purchases[columns.DATE].to_numpy()[kept] - past[columns.FIRST_PURCHASE].to_numpy()[customer]
    age = since / np.timedelta64(1, "D") / DAYS_PER_UNIT[plan.unit]
    factor = np.exp(-plan.discount * age)
    margin = _margins(forecast)[customer]
    return Earned(
        owner=place[customer],
        age=age,
        revenue=factor * amount,
        contribution=factor * (margin * amount - plan.cost_per_order[customer]),
        T=plan.T[rows],
        recency=plan.recency[rows],
        p_alive=p_alive[rows],
        cost_per_time=plan.cost_per_time[rows],
        discount=plan.discount,
    )


def _margins(forecast: Forecast) -> Floats:
    rates, past = forecast.plan.margin, forecast.history.table
    if columns.TOTAL_MARGIN not in past:
        return rates
    logged = past[columns.TOTAL_MARGIN].to_numpy(dtype=np.float64, na_value=np.nan)
    revenue = past[columns.TOTAL_REVENUE].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(logged), logged / revenue, rates)
