"""Customers simulated one by one, with their future in two worlds: with a spend that keeps some, and without."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

import clv_forecast as clv
from clv_forecast.inference.draws import POINT, ParameterDraws
from clv_forecast.models import bg_nbd, gamma_gamma

WEEKS = 52.1775  # a year of 365.2425 days
OBSERVED = 16.0
DISCOUNT = 0.10
MARGIN = 0.4
TRUE_PURCHASES = {"r": 1.2, "alpha": 6.0, "a": 0.8, "b": 4.0}
TRUE_SPEND = {"p": 4.0, "q": 4.0, "v": 60.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Summary of each customer, and what it brings in a year: without the spend, and if it is kept from leaving."""

    summary: pd.DataFrame
    without: np.ndarray
    kept: np.ndarray
    forecast: clv.Forecast
    model: clv.Model


def simulate(customers: int, *, per_pool: int, seed: int, draws: int = 400, horizon_years: float = 1.0) -> World:
    rng = np.random.default_rng(seed)
    rows, without, kept = [], [], []
    for number in range(customers):
        rate = rng.gamma(TRUE_PURCHASES["r"], 1.0 / TRUE_PURCHASES["alpha"])
        leaves = rng.beta(TRUE_PURCHASES["a"], TRUE_PURCHASES["b"])
        level = rng.gamma(TRUE_SPEND["q"], 1.0 / TRUE_SPEND["v"])
        end = OBSERVED + horizon_years * WEEKS
        times, gone = [], np.inf
        now = rng.exponential(1.0 / rate)
        while now <= end:  # as if nobody ever left; who leaves after which purchase is drawn beside
            times.append(now)
            if gone == np.inf and rng.random() < leaves:
                gone = now
            now += rng.exponential(1.0 / rate)
        times = np.array(times)
        amounts = rng.gamma(TRUE_SPEND["p"], 1.0 / level, len(times))
        past = (times <= OBSERVED) & (times <= gone)
        ahead = times > OBSERVED
        worth = MARGIN * amounts * (1.0 + DISCOUNT) ** (-(times - OBSERVED) / WEEKS)
        without.append(worth[ahead & (times <= gone)].sum())
        # an account that had left by today is not won back
        kept.append(worth[ahead].sum() if gone > OBSERVED else without[-1])
        rows.append(
            {
                "customer_id": f"c{number:05d}",
                "frequency": past.sum(),
                "recency": times[past].max(initial=0.0),
                "T": OBSERVED,
                "monetary_value": amounts[past].mean() if past.any() else 0.0,
                "pool": f"pool {number // per_pool:03d}",
            }
        )
    summary = pd.DataFrame(rows)
    history = clv.history_from_summary(
        summary.drop(columns="pool"), unit="week", as_of="2024-12-31", customers=summary[["customer_id", "pool"]]
    )
    model = at_the_truth(clv.fit(history, draws=100, compare=False), draws)
    forecast = clv.forecast(
        model,
        history,
        horizons=f"{12 * horizon_years:g} months",
        margin=MARGIN,
        discount_rate_annual=DISCOUNT,
        draws=draws,
    )
    return World(summary=summary, without=np.array(without), kept=np.array(kept), forecast=forecast, model=model)


def at_the_truth(model: clv.Model, draws: int) -> clv.Model:
    """The model with the parameters that made the data in every draw: only chance is left uncertain."""

    def repeat(values: dict[str, float]) -> list[np.ndarray]:
        return [np.full((draws, 1), value) for value in values.values()]

    return dataclasses.replace(
        model,
        draws=ParameterDraws(
            purchases=bg_nbd.Params(*repeat(TRUE_PURCHASES)),
            spend=gamma_gamma.Params(*repeat(TRUE_SPEND)),
            kind=POINT,
        ),
    )
