"""Whether the band of a total covers at its rate once the common shock is learnt: simulated logs with a known shock.

Run: ``python benchmarks/common_shock.py [--repetitions 200] [--level 0.25] [--noise 0.2]``. Each repetition simulates
an order log whose customers buy BG/NBD, all at a rate multiplied by a shock (one level per window of 13 weeks, noise in
each month), backtests it at five origins, and looks whether the 90 % band of the total of purchases held: with the
shock learnt from the windows closed before, and without a shock, which must fail.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd

import clv_forecast as clv
from clv_forecast.evaluation.baselines import PastPurchases
from clv_forecast.evaluation.one_origin import Task, evaluate_origin, origin_seed
from clv_forecast.evaluation.score_tables import bands_of_totals, shock_of
from clv_forecast.evaluation.windows import Lengths, Outcome
from clv_forecast.forecasting.totals import Grouping
from clv_forecast.inference.recipe import Recipe
from clv_forecast.units import DAYS_PER_YEAR

START = pd.Timestamp("2020-01-01")
WINDOW = 91
MONTH = DAYS_PER_YEAR / 12.0
FEWEST_WINDOWS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """BG/NBD in days, and the scales of the common shock."""

    r: float = 0.6
    alpha: float = 40.0
    a: float = 0.6
    b: float = 3.0
    level: float = 0.25
    noise: float = 0.2


def simulate_log(
    truth: Truth, *, customers: int, windows: int, rng: np.random.Generator, calibration: int = 2 * WINDOW
) -> pd.DataFrame:
    """Order log of ``windows`` windows after a first calibration, in whose first half the customers arrive.

    Purchases come at rate ``lambda m(t)``; a repeat purchase ends a customer with probability ``p / m(t)``, so that
    customers leave at the rate ``lambda p`` whatever the shock.
    """
    edges, multiplier = _shocks(truth, windows, rng, calibration)
    operational = np.concatenate([[0.0], np.cumsum(np.diff(edges) * multiplier)])
    rate = rng.gamma(truth.r, 1.0 / truth.alpha, customers)
    leaves = rng.beta(truth.a, truth.b, customers)
    clock = rng.uniform(0.0, 0.5 * calibration, customers)
    alive, who, when = np.ones(customers, dtype=bool), [np.arange(customers)], [clock.copy()]
    while alive.any():
        index = np.flatnonzero(alive)
        wait = rng.exponential(1.0, index.size) / np.maximum(rate[index], 1e-300)
        reached = np.interp(clock[index], edges, operational) + wait
        inside = reached < operational[-1]
        alive[index[~inside]] = False
        index = index[inside]
        clock[index] = np.interp(reached[inside], operational, edges)
        who.append(index)
        when.append(clock[index].copy())
        now = multiplier[np.searchsorted(edges, clock[index], side="right") - 1]
        alive[index] = rng.random(index.size) * now >= leaves[index]
    day = np.floor(np.concatenate(when)).astype(int)
    log = pd.DataFrame({"customer_id": np.concatenate(who), "date": START + pd.to_timedelta(day, unit="D")})
    return log.assign(amount=10.0).sort_values(["customer_id", "date"], ignore_index=True)


def _shocks(truth: Truth, windows: int, rng: np.random.Generator, calibration: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the periods in days, and the multiplier of each: windows of the calibration come first."""
    starts = np.arange(-(calibration // WINDOW), windows) * WINDOW + calibration
    months = np.arange(0.0, WINDOW - 1.0, MONTH)
    edges = np.append((starts[:, None] + months).ravel(), starts[-1] + WINDOW)
    level = truth.level * rng.normal(size=(len(starts), 1)) - 0.5 * truth.level**2
    noise = truth.noise * rng.normal(size=(len(starts), len(months))) - 0.5 * truth.noise**2
    return edges, np.exp(level + noise).ravel()


def last_day(windows: int, calibration: int = 2 * WINDOW) -> pd.Timestamp:
    """Last day of a simulated log, which ends with its last window."""
    return START + pd.Timedelta(days=calibration + windows * WINDOW - 1)


def covered_totals(log: pd.DataFrame, windows: int, *, draws: int = 200, seed: int = 1) -> pd.DataFrame:
    """Evaluate a log at the starts of its windows: one row per origin with ``total_covered``, ``shocked_covered``.

    What ``backtest`` does, without its databases and tables (a test holds that they agree).
    """
    lengths = Lengths.parse("13 weeks")
    origins = [last_day(windows) - pd.Timedelta(days=WINDOW * k) for k in range(windows, 0, -1)]
    results = [evaluate_origin(task_of(log, origin, lengths, draws=draws, seed=seed)) for origin in origins]
    bands, shock = bands_of_totals(results, lengths), shock_of(results, lengths)
    rows = []
    for result in results:
        row = bands.row(str(result.origin.date()), lengths.labels[0], "all", quantity="purchases")
        totals = result.totals["purchases"]
        bias = totals.draws[0, -1].mean() / totals.actual[0, -1] - 1.0
        rows.append(row | {"bias": bias, "level": shock.shock.level, "noise": shock.shock.noise})
    return pd.DataFrame(rows)


def task_of(log: pd.DataFrame, origin: pd.Timestamp, lengths: Lengths, *, draws: int, seed: int) -> Task:
    """One origin of a simulated log."""
    orders = log.drop_duplicates(["customer_id", "date"])
    before = orders[orders["date"] <= origin]
    seen = before.groupby("customer_id")["date"].agg(["min", "max", "size"])
    summary = pd.DataFrame(
        {
            "customer_id": seen.index,
            "frequency": seen["size"].to_numpy() - 1,
            "recency": (seen["max"] - seen["min"]).dt.days.to_numpy() / 7.0,
            "T": (origin - seen["min"]).dt.days.to_numpy() / 7.0,
        }
    )
    history = clv.history_from_summary(summary, unit="week", as_of=origin, monetary_value=None)
    day = (orders["date"] - origin).dt.days.to_numpy()
    place = seen.index.get_indexer(orders["customer_id"])
    after, past, new = (day > 0) & (place >= 0) & (day <= lengths.longest), day <= 0, (day > 0) & (place < 0)
    return Task(
        calibration=history,
        outcome=Outcome(
            customer=place[after],
            day=day[after],
            amount=orders["amount"].to_numpy()[after],
            new_day=day[new],
            new_amount=orders["amount"].to_numpy()[new],
            new_customer=orders["customer_id"].to_numpy()[new],
            past=PastPurchases(
                customer=place[past],
                day=day[past],
                amount=orders["amount"].to_numpy()[past],
                customers=len(seen),
            ),
        ),
        lengths=lengths,
        grouping=Grouping.of(None, len(seen)),
        recipe=Recipe(spend=None, draws=draws),
        draws=draws,
        seed=origin_seed(seed, origin),
    )


def main() -> None:
    """Print the rates of coverage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--level", type=float, default=Truth().level)
    parser.add_argument("--noise", type=float, default=Truth().noise)
    options = parser.parse_args()
    truth = Truth(level=options.level, noise=options.noise)
    tables = []
    for repetition in range(options.repetitions):
        rng = np.random.default_rng([7, repetition])
        log = simulate_log(truth, customers=options.customers, windows=options.windows, rng=rng)
        tables.append(covered_totals(log, options.windows, seed=repetition).assign(repetition=repetition))
    table = pd.concat(tables)
    found = table.groupby("shock_windows")[["total_covered", "shocked_covered", "bias"]].mean()
    found["windows scored"] = table.groupby("shock_windows").size()
    print(f"{options.repetitions} repetitions, level {truth.level:g}, noise {truth.noise:g} per month")
    print(found.to_string(float_format=lambda value: f"{value:.3f}"))
    known = table[table["shock_windows"] >= FEWEST_WINDOWS]
    for name in ("total_covered", "shocked_covered"):
        by_log = known.groupby("repetition")[name].mean()
        error = by_log.std() / np.sqrt(len(by_log))
        print(f"{name}, from {FEWEST_WINDOWS} windows on: {by_log.mean():.3f} (standard error {error:.3f})")
    last = table.drop_duplicates("repetition", keep="last")
    print(f"learnt from all windows: level {last['level'].mean():.2f}, noise {last['noise'].mean():.2f} on average")


if __name__ == "__main__":
    main()
