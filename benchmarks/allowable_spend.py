"""Time and peak memory of allowable spend on the full CDNOW log, beside the forecast that it replays.

Run: ``python benchmarks/allowable_spend.py [--draws 1000] [--tenth] [--holdout]``. Ratios are to the forecast's time in
the same run. Accuracy: in the draws themselves, how often the return is met, for each account alone and for the pool;
with ``--holdout``, on how many customers it really came in the last 39 weeks of the log.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

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


def holdout(log: pd.DataFrame, draws: int) -> None:
    """Allow as of 1997-09-30, and count on how many customers the return came in the 39 weeks that followed."""
    split = clv.purchase_history(log, as_of="1998-06-30", observed_from="1997-01-01").split("1997-09-30")
    model = clv.fit(split.calibration, compare=False)
    fc = clv.forecast(model, split.calibration, horizons=["39 weeks"], margin=0.3, draws=draws)
    later = split.holdout_orders
    weeks = (pd.to_datetime(later["date"]) - pd.Timestamp("1997-09-30")).dt.days / 7.0
    worth = 0.3 * later["amount"].astype(float) * 1.1 ** (-weeks / 52.1775)
    came = worth.groupby(later["customer_id"]).sum()
    for confidence in (0.5, 0.6, 0.7, 0.8, 0.9):
        table = clv.allowable_spend(fc, horizon="39 weeks", target_roi=ROI, confidence=confidence).table
        own = came.reindex(table["customer_id"], fill_value=0.0).to_numpy()
        single = table["allowable_single"].to_numpy()
        some = single > 0.0
        met = (own[some] >= (1.0 + ROI) * single[some]).mean()
        error = np.sqrt(met * (1.0 - met) / some.sum())
        pooled = (1.0 + ROI) * table["allowable_pooled"].sum()
        print(
            f"confidence {confidence:.0%}: return met on {met:.1%} (standard error {error:.1%}) of {some.sum():,} "
            f"customers with an allowance of their own; pool needed {pooled:,.0f}, {own.sum():,.0f} came",
            flush=True,
        )


def main() -> None:
    """Forecast, and allow on each basis."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--tenth", action="store_true", help="the 1/10 sample instead of the full log")
    parser.add_argument("--holdout", action="store_true", help="what came in CDNOW's last 39 weeks, instead of times")
    given = parser.parse_args()
    log = clv.load_cdnow("1/10" if given.tenth else None)
    if given.holdout:
        holdout(log, given.draws)
        return
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
