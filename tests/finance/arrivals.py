"""A plain-NumPy base of customers who arrive, buy and leave, with the future behind it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

DAYS_PER_WEEK = 7.0
START = pd.Timestamp("2022-01-01")
AS_OF = pd.Timestamp("2023-06-30")


def arrivals(
    rng: np.random.Generator,
    customers: int,
    *,
    worth: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    shape: float = 4.0,
    until: str = "2024-06-30",
) -> pd.DataFrame:
    """customer_id, channel, date, amount: BG/NBD with Gamma-Gamma spend, arrivals uniform from START to AS_OF.

    ``worth(quarter, channel)`` multiplies the amounts; quarters count from 0, channels are 0 and 1.
    """
    span = (AS_OF - START).days + 1
    arrived = rng.integers(0, span, customers)
    channel = rng.integers(0, 2, customers)
    quarter = (START + pd.to_timedelta(arrived, unit="D")).to_period("Q").astype("int64")
    quarter = np.asarray(quarter - quarter.min())
    level = np.ones(customers) if worth is None else worth(quarter, channel)
    rate = rng.gamma(0.7, 1.0 / 6.0, customers) / DAYS_PER_WEEK
    dropout = rng.beta(0.8, 2.5, customers)
    scale = level / rng.gamma(3.5, 1.0 / 40.0, customers)
    last = (pd.Timestamp(until) - START).days
    who, when = [np.arange(customers)], [arrived.astype(float)]
    clock, alive = arrived.astype(float), np.arange(customers)
    while len(alive):
        clock[alive] += rng.exponential(1.0 / rate[alive])
        alive = alive[clock[alive] < last + 1]
        who.append(alive)
        when.append(np.floor(clock[alive]))
        alive = alive[rng.random(len(alive)) >= dropout[alive]]
    place, day = np.concatenate(who), np.concatenate(when)
    log = pd.DataFrame(
        {
            "customer_id": place,
            "channel": np.where(channel[place] == 0, "field", "online"),
            "date": START + pd.to_timedelta(day, unit="D"),
            "amount": np.round(rng.gamma(shape, scale[place]), 2) + 0.01,
        }
    )
    return log.sample(frac=1.0, random_state=int(rng.integers(2**31)), ignore_index=True)
