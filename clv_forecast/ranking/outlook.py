"""What a forecast expects of each account: over a year if it is alive, and over the horizon as things stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.forecasting.expectation import expected_money, p_alive_of
from clv_forecast.forecasting.plan import Plan, chunks_of
from clv_forecast.forecasting.predictive import predictive_money
from clv_forecast.progress import Progress, silent
from clv_forecast.units import units_per_year

Floats = NDArray[np.float64]

DRAWS_FOR_SPREAD: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlook:
    """Expectations of every account at one day; arrays of shape (account,), in the order of the history.

    Parameters
    ----------
    years : float
        Length of the horizon.
    p_alive : ndarray
    annual_revenue : ndarray
        Expected revenue of the next 12 months *given that the account is alive today*.
    revenue, revenue_sd : ndarray
        Of the horizon, as things stand: expectation, and standard deviation of the predictive draws.
    value, value_if_alive : ndarray
        Discounted contribution of the horizon, as things stand and given that the account is alive today.
    contribution : ndarray
        What one unit of further revenue within the horizon is worth: margin less the cost of its orders, discounted as
        if spread evenly over the horizon. Negative where the account loses money on each order.
    cost : ndarray
        Expected cost of serving over the horizon, discounted; 0 where none was given.
    """

    years: float
    p_alive: Floats
    annual_revenue: Floats
    revenue: Floats
    revenue_sd: Floats
    value: Floats
    value_if_alive: Floats
    contribution: Floats
    cost: Floats

    @property
    def value_at_risk(self) -> Floats:
        """Value that is lost if accounts that may have left have left: value if alive less value as things stand."""
        return self.value_if_alive - self.value


def outlook_of(plan: Plan, years: float, *, progress: Progress = silent) -> Outlook:
    """Expectations and spread of every account of a plan.

    Parameters
    ----------
    plan : Plan
        With a spend part.
    years : float
        Length of the horizon.
    progress : callable

    Returns
    -------
    Outlook
        Means are those of the forecast: closed-form expectations over all parameter draws. The standard deviation
        takes at most ``DRAWS_FOR_SPREAD`` predictive draws.
    """
    alive, few = plan.known_alive(), plan.fewer_draws(DRAWS_FOR_SPREAD)
    ends = np.unique([1.0, years])
    year, horizon = (int(np.searchsorted(ends, length)) for length in (1.0, years))
    boundaries = ends * units_per_year(plan.unit)
    names = ("p_alive", "annual_revenue", "revenue", "revenue_sd", "value", "value_if_alive", "spend")
    out = {name: np.empty(plan.customers) for name in names}
    done = 0
    for rows in chunks_of(plan, len(ends)):
        lives, p_alive = expected_money(alive, rows, boundaries), p_alive_of(plan, rows)
        out["p_alive"][rows] = p_alive.mean(axis=-1)
        out["annual_revenue"][rows] = (lives.revenue[:, year] / lives.p_alive).mean(axis=-1)
        for name in ("revenue", "value"):
            given_alive = getattr(lives, name)[:, horizon] / lives.p_alive
            out[name][rows] = (given_alive * p_alive).mean(axis=-1)
        out["value_if_alive"][rows] = given_alive.mean(axis=-1)
        out["revenue_sd"][rows] = predictive_money(few, rows, boundaries[horizon:][:1]).revenue[:, 0].std(axis=-1)
        out["spend"][rows] = plan.expected_spend(rows).mean(axis=0)
        done += len(rows)
        progress("expected revenue", done, plan.customers)
    spend = out.pop("spend")
    rate = plan.margin - np.divide(plan.cost_per_order, spend, out=np.zeros_like(spend), where=spend > 0.0)
    contribution = rate * _even_discount(plan, years)
    cost = np.where(plan.cost_per_time > 0.0, out["revenue"] * contribution - out["value"], 0.0)
    return Outlook(years=years, contribution=contribution, cost=cost, **out)


def _even_discount(plan: Plan, years: float) -> float:
    """Mean discount factor of money spread evenly over the horizon: (1 - e^(-dt)) / (dt)."""
    exponent = plan.discount * years * units_per_year(plan.unit)
    return 1.0 if exponent == 0.0 else float(-np.expm1(-exponent) / exponent)
