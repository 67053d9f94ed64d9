"""Histories for the tests of inference: the CDNOW files, and an independent plain-NumPy simulator."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import distribution

import numpy as np
import pandas as pd

from clv_forecast import columns

AS_OF = pd.Timestamp("1997-09-30")


@dataclass(frozen=True)
class Summary:
    """What `fit` reads of a history."""

    table: pd.DataFrame
    unit: str = "week"
    currency: str | None = None
    as_of: pd.Timestamp = AS_OF


def summary(frequency, recency, T, *, n=None, total=None, sum_log=None) -> Summary:
    """Build a history's table; the amounts given count as repeat and as all amounts alike."""
    count = len(frequency)
    missing = np.full(count, np.nan)
    table = pd.DataFrame({name: missing for name in columns.HISTORY})
    table[columns.CUSTOMER_ID] = np.arange(count)
    table[columns.FREQUENCY] = np.asarray(frequency, dtype=np.int64)
    table[columns.RECENCY], table[columns.T] = np.asarray(recency, float), np.asarray(T, float)
    for amounts in ("REPEAT", "ALL"):
        table[getattr(columns, f"SPEND_COUNT_{amounts}")] = 0 if n is None else np.asarray(n, dtype=np.int64)
        table[getattr(columns, f"SPEND_SUM_{amounts}")] = 0.0 if total is None else np.asarray(total, float)
        table[getattr(columns, f"SPEND_SUM_LOG_{amounts}")] = missing if sum_log is None else np.asarray(sum_log, float)
    return Summary(table)


def lifetimes_file(name: str) -> pd.DataFrame:
    """One of the csv files that ship with lifetimes, without importing it."""
    return pd.read_csv(str(distribution("lifetimes").locate_file(f"lifetimes/datasets/{name}")))


def cdnow_sample() -> Summary:
    """The 2,357 customers of the papers, with the rounding of the papers; means only."""
    frame = lifetimes_file("cdnow_customers_summary_with_transactions.csv")
    total = np.where(frame["x"] > 0, frame["x"] * frame["zbar"], 0.0)
    return summary(frame["x"], frame["t_x"], frame["T"], n=frame["x"], total=total)


def simulate_purchases(rng, customers, *, r, alpha, a, b, length):
    """BG/NBD by its story: exponential gaps, and a coin after every repeat purchase."""
    T = rng.uniform(0.5 * length, length, customers)
    rate = rng.gamma(r, 1.0 / alpha, customers)
    dropout = rng.beta(a, b, customers) if a > 0 else np.zeros(customers)
    frequency, recency = np.zeros(customers, dtype=np.int64), np.zeros(customers)
    clock, alive = np.zeros(customers), np.ones(customers, dtype=bool)
    while alive.any():
        index = np.flatnonzero(alive)
        clock[index] += rng.exponential(1.0, index.size) / np.maximum(rate[index], 1e-300)
        bought = index[clock[index] <= T[index]]
        alive[index] = False
        frequency[bought] += 1
        recency[bought] = clock[bought]
        alive[bought] = rng.random(bought.size) >= dropout[bought]
    return frequency, recency, T


def simulate_spend(rng, counts, *, p, q, v):
    """Gamma-Gamma by its story: number, sum and sum of logarithms of the amounts of each customer with any."""
    counts = counts[counts > 0]
    scale = np.repeat(1.0 / rng.gamma(q, 1.0 / v, counts.size), counts)
    amounts = rng.gamma(p, scale)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    return counts, np.add.reduceat(amounts, starts), np.add.reduceat(np.log(amounts), starts)
