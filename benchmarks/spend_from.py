"""Compare what the spend model learns from: repeat or all orders, single orders or customers' means.

CDNOW, all 23,570 customers, calibrated to 1997-09-30 and judged on the orders after it, up to 1998-06-30. An order is
a customer-day. "repeat+first" learns its parameters from repeat orders and judges each customer by all of its orders.
For each variant:

- Gini: how well expected spend ranks the customers who came back by their realised mean spend per order
  (concentration of realised spend along the predicted order, over that along the true order; 1 is perfect);
- coverage of the central 90 % band of the *next one* order, from its predictive distribution at the optimum: a
  Gamma(p, nu) amount with nu ~ Gamma(q + p n, v + sum z), that is, a scaled F distribution;
- the mean of the next orders over the mean predicted, and the implied coefficient of variation within a customer.

Run it with ``python benchmarks/spend_from.py``.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clv_forecast import columns
from clv_forecast.history import load_cdnow, purchase_history
from clv_forecast.inference.maximum_likelihood import box, maximise
from clv_forecast.inference.problem import spend_problem
from clv_forecast.inference.sufficient import compress_spend

Floats = NDArray[np.float64]

CALIBRATED_TO = "1997-09-30"
OBSERVED_TO = "1998-06-30"


def first_and_mean_holdout_order(orders: pd.DataFrame) -> pd.DataFrame:
    """The first holdout purchase-day of each customer who came back, and the mean over all of them."""
    ordered = orders.sort_values([columns.CUSTOMER_ID, columns.DATE])
    grouped = ordered.groupby(columns.CUSTOMER_ID)[columns.AMOUNT]
    return pd.DataFrame({"next_order": grouped.first().astype(float), "mean_order": grouped.mean().astype(float)})


def gini(predicted: Floats, realised: Floats) -> float:
    """Concentration of ``realised`` along ``predicted``, over that along itself."""

    def concentration(by: Floats) -> float:
        share = np.cumsum(realised[np.argsort(by, kind="stable")]) / realised.sum()
        return 1.0 - 2.0 * float(np.mean(share))

    return concentration(predicted) / concentration(realised)


def variant(table: pd.DataFrame, holdout: pd.DataFrame, *, spend_from: str, level: str) -> dict[str, object]:
    """Fit one variant and score it on the holdout orders."""
    learnt_from = "ALL" if spend_from == "all" else "REPEAT"
    judged_by = "REPEAT" if spend_from == "repeat" else "ALL"
    names = [getattr(columns, f"SPEND_{what}_{learnt_from}") for what in ("COUNT", "SUM", "SUM_LOG")]
    fitted = table[table[names[0]] > 0]
    n, total, sum_log = (np.asarray(fitted[name], dtype=float) for name in names)
    rows = compress_spend(n, total, sum_log) if level == "orders" else compress_spend(n, total)
    problem = spend_problem(rows, orders=level == "orders")
    lower, upper = box(problem.coordinates)
    params = problem.constrain(maximise(problem.value_gradient, problem.starts, lower=lower, upper=upper).theta)
    p, q, v = float(params.p), float(params.q), float(params.v)

    back = table.merge(holdout, left_on=columns.CUSTOMER_ID, right_index=True)
    seen = np.asarray(back[getattr(columns, f"SPEND_COUNT_{judged_by}")], dtype=float)
    total = np.asarray(back[getattr(columns, f"SPEND_SUM_{judged_by}")], dtype=float)
    shape = q + p * seen
    rate = v + np.where(seen > 0, total, 0.0)
    order = np.asarray(back["next_order"])
    level_of_order = stats.betaprime.cdf(order / rate, p, shape)
    expected = p * rate / (shape - 1.0)
    return {
        "spend_from": spend_from,
        "level": level,
        "p": p,
        "q": q,
        "v": v,
        "gini": gini(expected, np.asarray(back["mean_order"])),
        "coverage_90": float(np.mean((level_of_order >= 0.05) & (level_of_order <= 0.95))),
        "below": float(np.mean(level_of_order < 0.05)),
        "above": float(np.mean(level_of_order > 0.95)),
        "next / predicted": float(order.mean() / expected.mean()),
        "cv_within": p**-0.5,
        "mae": float(np.abs(np.asarray(back["mean_order"]) - expected).mean()),
    }


def main() -> None:
    """Print the table."""
    history = purchase_history(load_cdnow(), as_of=OBSERVED_TO)
    split = history.split(at=CALIBRATED_TO)
    holdout = first_and_mean_holdout_order(split.holdout_orders)
    holdout = holdout[holdout.index.isin(split.calibration.table[columns.CUSTOMER_ID])]
    results = [
        variant(split.calibration.table, holdout, spend_from=spend_from, level=level)
        for spend_from in ("repeat", "all", "repeat+first")
        for level in ("orders", "means")
    ]
    sys.stdout.write(f"{len(holdout):,} customers of CDNOW ordered again after {CALIBRATED_TO}\n")
    sys.stdout.write(pd.DataFrame(results).to_string(index=False, float_format=lambda value: f"{value:.3f}") + "\n")


if __name__ == "__main__":
    main()
