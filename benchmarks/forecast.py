"""Time and memory of the whole chain: 100,000 customers, 1,000 draws, 3 horizons.

Run: ``python benchmarks/forecast.py [--customers 100000] [--draws 1000] [--purchases bg_nbd]``
"""

from __future__ import annotations

import argparse
import resource
import time
from itertools import pairwise

import numpy as np
import pandas as pd

import clv_forecast as clv
from clv_forecast.models import transaction_model

PARAMETERS = {
    "bg_nbd": (0.243, 4.414, 0.793, 2.426),
    "mbg_nbd": (0.525, 6.183, 0.891, 1.614),
    "pareto_nbd": (0.553, 10.578, 0.606, 11.669),
}


def simulated_log(name: str, customers: int) -> pd.DataFrame:
    """Two years of orders of customers who arrive evenly over the first year and a half."""
    rng = np.random.default_rng(1)
    module = transaction_model(name)
    born = rng.uniform(0.0, 78.0, size=customers)
    paths = module.simulate(module.Params(*PARAMETERS[name]), 104.0 - born, rng=2)
    customer = np.repeat(np.arange(customers), paths.count[0])
    week = np.concatenate([born, born[customer] + paths.times])
    customer = np.concatenate([np.arange(customers), customer])
    rate = rng.gamma(3.74, 1.0 / 15.44, size=customers)
    amount = np.round(rng.gamma(6.25, 1.0, size=len(customer)) / rate[customer], 2) + 0.01
    date = pd.Timestamp("2023-01-01") + pd.to_timedelta(week * 7.0, unit="D")
    return pd.DataFrame({"customer_id": customer, "date": date.floor("s"), "amount": amount})


def peak_mebibytes() -> float:
    """Largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run the chain once small (to compile) and once at size, and print each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--purchases", default="bg_nbd", choices=sorted(PARAMETERS))
    options = parser.parse_args()
    for customers in (2000, options.customers):
        log = simulated_log(options.purchases, customers)
        marks = [("log", time.perf_counter())]
        history = clv.purchase_history(log, as_of="2024-12-29", unit="week")
        marks.append(("history", time.perf_counter()))
        model = clv.fit(history, purchases=options.purchases, draws=options.draws, compare=False)
        marks.append(("fit", time.perf_counter()))
        before = peak_mebibytes()
        fc = clv.forecast(model, history, draws=options.draws)
        marks.append(("forecast", time.perf_counter()))
    print(f"{options.purchases}: {len(log):,} orders of {customers:,} customers, {options.draws} draws, 3 horizons")
    for (_, start), (name, end) in pairwise(marks):
        print(f"  {name:<9}{end - start:8.1f} s")
    print(f"  peak memory before the forecast {before:,.0f} MiB, after {peak_mebibytes():,.0f} MiB")
    cells = customers * options.draws * 3 * 8 / 2**20
    print(f"  (one array of all draws would take {cells:,.0f} MiB)")
    print(fc)


if __name__ == "__main__":
    main()
