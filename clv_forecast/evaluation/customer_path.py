"""One customer, day by day: what it bought, how likely it was still there, and what is expected of it."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.money import resolve_terms
from clv_forecast.forecasting.plan import Plan, make_plan
from clv_forecast.forecasting.predictive import band, check_prob, predictive_money
from clv_forecast.forecasting.stack import Stack
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.model import Model
from clv_forecast.streams import as_seed
from clv_forecast.units import DAYS_PER_UNIT, DAYS_PER_YEAR, Horizon

PAST: Final = "past"
FUTURE: Final = "future"
_CELLS_AT_ONCE: Final = 500_000
_MOST_FUTURE_DAYS: Final = 60
_DAY: Final = pd.Timedelta(days=1)


def customer_path(
    model: Model | Stack,
    history: PurchaseHistory,
    customer_id: Any,
    *,
    horizon: str = "12 months",
    draws: int = 1000,
    prob: float = 0.9,
    rng: int | np.random.Generator = 1,
) -> pd.DataFrame:
    """Replay one customer's history day by day, and look ahead.

    Parameters
    ----------
    model : Model or Stack
    history : PurchaseHistory
        Made from an order log.
    customer_id : int or str
        As in the history.
    horizon : str
        How far ahead, such as ``"12 months"``; rounded to whole days.
    draws : int
        At least 100.
    prob : float
        Probability inside the intervals and bands.
    rng : int or Generator
        Seed; with the seed of a forecast its very draws are taken.

    Returns
    -------
    DataFrame
        One row per day from the first purchase to ``as_of`` (when "past"), then about 60 rows ahead ("future"):
        customer_id, date, when, purchase (whether it bought on that day), amount; frequency, recency, T as known at
        the end of that day; p_alive with p_alive_lower and p_alive_upper (interval over parameter draws); purchases
        (repeat purchases so far, then those plus the expected ones) with purchases_lower and purchases_upper (the
        predictive band); prob, as_of, unit.

    Raises
    ------
    DomainError
        If the customer is not in the history, or an argument lies outside its domain.
    InputError
        If the history was made from a summary.

    Notes
    -----
    The parameters are the model's throughout: the past is judged with what is known today, and refunds are taken off
    as known today.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30", unit="week")
    >>> model = clv.fit(history, spend=None, draws=200, compare=False)
    >>> path = customer_path(model, history, 4)
    >>> path.loc[path["purchase"], ["frequency", "recency", "T"]].round(2).values.tolist()
    [[0.0, 0.0, 0.0], [1.0, 2.43, 2.43], [2.0, 30.43, 30.43]]
    """
    check_prob(prob)
    if not isinstance(model, Stack):
        instance_of(model, Model, "model", made_by="fit")
    instance_of(history, PurchaseHistory, "history", made_by="purchase_history")
    purchases = history.purchases()
    bought = purchases[(purchases[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool)]
    return path_of(
        model, history, bought, customer_id=customer_id, horizon=horizon, draws=draws, prob=prob, seed=as_seed(rng)
    )


def path_of(
    model: Model | Stack,
    history: PurchaseHistory,
    bought: pd.DataFrame,
    *,
    customer_id: Any,
    horizon: str,
    draws: int,
    prob: float,
    seed: int,
) -> pd.DataFrame:
    """The path of ``customer_path`` from the customer's own purchases, which the history need not be able to list.

    Raises
    ------
    DomainError
        If the customer is not in the history, or an argument lies outside its domain.
    """
    ahead = Horizon.parse(horizon)
    row = _row_of(history, customer_id)
    terms = resolve_terms(history, margin=1.0, cost_to_serve=0.0, cost_per_order=0.0)
    plan = make_plan(model, history, terms=terms, discount=0.0, draws=draws, seed=seed, shock=None, correction=None)
    past = _replay(bought, history)
    past = _with_alive(past, plan, row, prob=prob)
    past["purchases_lower"] = past["purchases_upper"] = past["purchases"] = past[columns.FREQUENCY].astype(float)
    future = _look_ahead(plan, row, history, horizon=ahead, prob=prob)
    table = pd.concat([past, future], ignore_index=True)
    table.insert(0, columns.CUSTOMER_ID, customer_id)
    return table.assign(prob=prob, as_of=history.as_of, unit=history.unit)


def _row_of(history: PurchaseHistory, customer_id: Any) -> NDArray[np.intp]:
    found = np.flatnonzero((history.table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool))
    if len(found) != 1:
        raise DomainError(
            "The customer must be in the history.",
            value=repr(customer_id),
            remedy="Check the id and its type (1 and '1' differ).",
        )
    return found


def _replay(bought: pd.DataFrame, history: PurchaseHistory) -> pd.DataFrame:
    """Frequency, recency and T at the end of every day from the first purchase to the end of observation."""
    days = bought[columns.DATE].to_numpy(dtype="datetime64[D]")
    every = np.arange(days[0], history.as_of.to_datetime64().astype("datetime64[D]") + np.timedelta64(1, "D"))
    seen = np.searchsorted(days, every, side="right")  # purchases up to and including the day
    length = DAYS_PER_UNIT[history.unit]
    amount = np.full(len(every), np.nan)
    amount[(days - days[0]).astype(np.intp)] = bought[columns.AMOUNT].to_numpy(dtype=float)
    return pd.DataFrame(
        {
            columns.DATE: every.astype("datetime64[us]"),
            "when": PAST,
            "purchase": np.isfinite(amount),
            columns.AMOUNT: amount,
            columns.FREQUENCY: seen - 1,
            columns.RECENCY: (days[seen - 1] - days[0]).astype(float) / length,
            columns.T: (every - days[0]).astype(float) / length,
        }
    )


def _with_alive(past: pd.DataFrame, plan: Plan, row: NDArray[np.intp], *, prob: float) -> pd.DataFrame:
    """Add P(alive) at the end of each day and its interval, some days at a time."""
    x, t_x, T = (past[name].to_numpy(dtype=float) for name in (columns.FREQUENCY, columns.RECENCY, columns.T))
    params = [part.purchases(row) for part in plan.parts]
    step = max(1, _CELLS_AT_ONCE // plan.draws)
    told = []
    for start in range(0, len(x), step):
        days = slice(start, start + step)
        alive = [
            part.module.p_alive(fields, x[days], t_x[days], T[days])
            for part, fields in zip(plan.parts, params, strict=True)
        ]
        told.append(_summary(np.concatenate(alive).T, prob))
    return pd.concat([past, pd.concat(told, ignore_index=True)], axis=1)


def _summary(alive: NDArray[np.float64], prob: float) -> pd.DataFrame:
    """Mean and interval over the draws of P(alive), shape (day, draw)."""
    lower, upper = band(alive, prob)
    return pd.DataFrame({"p_alive": alive.mean(axis=1), "p_alive_lower": lower, "p_alive_upper": upper})


def _look_ahead(
    plan: Plan, row: NDArray[np.intp], history: PurchaseHistory, *, horizon: Horizon, prob: float
) -> pd.DataFrame:
    """P(alive) and purchases on some days ahead, the last of them the end of the horizon."""
    days = max(1, round(horizon.years * DAYS_PER_YEAR))
    ahead = np.unique(np.append(np.arange(0, days, math.ceil(days / _MOST_FUTURE_DAYS))[1:], days))
    boundaries = ahead / DAYS_PER_UNIT[history.unit]
    expected = expected_money(plan, row, boundaries)
    drawn = predictive_money(plan, row, boundaries).purchases[0]
    x, T = plan.frequency[row], plan.T[row]
    survival = np.concatenate(
        [part.module.survival_given_alive(part.purchases(row), x, T, ahead=boundaries) for part in plan.parts]
    )
    table = pd.DataFrame({columns.DATE: history.as_of.normalize() + ahead * _DAY, "when": FUTURE, "purchase": False})
    table[columns.AMOUNT] = np.nan
    table[columns.FREQUENCY] = int(x[0])
    table[columns.RECENCY] = float(plan.recency[row][0])
    table[columns.T] = float(T[0]) + boundaries
    table = pd.concat([table, _summary(expected.p_alive[0] * survival.T, prob)], axis=1)
    table["purchases"] = x[0] + expected.purchases[0].mean(axis=1)
    lower, upper = band(drawn, prob)
    table["purchases_lower"], table["purchases_upper"] = x[0] + lower, x[0] + upper
    return table
