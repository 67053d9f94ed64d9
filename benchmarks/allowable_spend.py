"""Time and peak memory of allowable spend on the full CDNOW log, beside the forecast that it replays.

Run: ``python benchmarks/allowable_spend.py [--draws 1000] [--tenth]``. Ratios are to the forecast's time in the same
run. Accuracy: in the draws themselves, how often the return is met, for each account alone and for the pool.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import clv_forecast as clv

ROI = 0.2
CONFIDENCE = 0.8


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Do it; the result and the wall time."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def peak() -> float:
    """Peak memory of the process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def often_met(fc: clv.Forecast, found: clv.AllowableSpend) -> tuple[float, float]:
    """Least share of the draws that earn the return among accounts with an allowance of their own; and the pool's."""
    single, pooled = (found.table[name].to_numpy() for name in ("allowable_single", "allowable_pooled"))
    least, total = 1.0, 0.0
    ids = {customer: place for place, customer in enumerate(found.table["customer_id"])}
    for block in fc.iter_value_draws(by="customer", horizons=["12 months"]):
        rows = [ids[customer] for customer in block.customer_ids]
        value = block.value[:, :, 0]
        some = single[rows] > 0.0
        if some.any():
            met = (value[:, some] >= (1.0 + ROI) * single[rows][some]).mean(axis=0)
            least = min(least, float(met.min()))
        total = total + value.sum(axis=1)
    return least, float((total >= (1.0 + ROI) * pooled.sum()).mean())


def main() -> None:
    """Forecast, and allow on each basis."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--tenth", action="store_true", help="the 1/10 sample instead of the full log")
    given = parser.parse_args()
    log = clv.load_cdnow("1/10" if given.tenth else None)
    history = clv.purchase_history(log, as_of="1998-06-30", observed_from="1997-01-01")
    model = clv.fit(history, compare=False)
    clv.forecast(model, history, horizons=["1 months"], draws=100)  # compiles
    fc, base = timed(lambda: clv.forecast(model, history, horizons=["12 months"], draws=given.draws))
    print(
        f"{len(history.table):,} customers x {given.draws:,} draws; 12 months; forecast {base:.1f} s, {peak():,.0f} MiB"
    )
    uplift = clv.Uplift(share=0.2, lower=0.1, upper=0.3)
    cases = {
        "ceiling": {},
        "ceiling, payback in 6 months": {"payback": "6 months"},
        "retain": {"basis": "retain", "uplift": uplift},
        "acquire, 1,000 new customers": {"basis": "acquire", "model": model},
    }
    for name, options in cases.items():
        found, seconds = timed(
            lambda options=options: clv.allowable_spend(fc, target_roi=ROI, confidence=CONFIDENCE, **options)
        )
        print(
            f"{name:32s} {seconds:7.1f} s = {seconds / base:4.2f} x forecast, peak so far {peak():8,.0f} MiB",
            flush=True,
        )
        if name == "ceiling":
            least, pool = often_met(fc, found)
            print(f"  return met in at least {least:.3f} of the draws of each account, in {pool:.3f} by the pool")


if __name__ == "__main__":
    main()
