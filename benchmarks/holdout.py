"""How the forecast does on CDNOW's holdout: 39 weeks to fit, 39 weeks to look at.

Run: ``python benchmarks/holdout.py [--full]``. Prints, per transaction model: the log-likelihood, the total, the errors
per customer, and the share of customers inside 90 % bands (predictive, and of the parameters alone), with the
randomised probability integral transform (PIT) of the predictive counts, which is uniform for honest bands.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy import stats

import clv_forecast as clv
from clv_forecast.forecasting.predictive import band
from clv_forecast.models import transaction_model

AS_OF = "1997-09-30"
HORIZON = "39 weeks"


def score(name: str, split: clv.Split, draws: int) -> dict[str, float | str]:
    """Fit on the calibration part and compare with the holdout."""
    history = split.calibration
    model = clv.fit(history, purchases=name, draws=draws, compare=False)
    fc = clv.forecast(model, history, horizons=[HORIZON], draws=draws)
    actual = split.holdout["holdout_purchases"].to_numpy()
    table = history.table
    x, recency, length = (table[c].to_numpy(dtype=float) for c in ("frequency", "recency", "T"))
    module = transaction_model(name)
    plug_in = module.expected_purchases(model.estimate, x, recency, length, horizon=39.0)
    mean = module.expected_purchases(model.draws.purchases, x, recency, length, horizon=39.0)
    low, high = band(mean.T, 0.9)
    counts = fc.value_draws(table["customer_id"]).purchases[:, :, 0]
    pit = randomised_pit(counts, actual)
    total = fc.totals.iloc[0]
    return {
        "model": name,
        "log-likelihood": model.report.log_likelihood,
        "total (plug-in)": plug_in.sum(),
        "actual": actual.sum(),
        "MAE": np.abs(plug_in - actual).mean(),
        "RMSE": np.sqrt(((plug_in - actual) ** 2).mean()),
        "predictive 90 % covers": inside(fc.customers, actual),
        "parameter-only 90 % covers": ((low <= actual) & (actual <= high)).mean(),
        "PIT: worst decile share": np.abs(np.histogram(pit, 10, (0, 1))[0] / len(pit) - 0.1).max() + 0.1,
        "PIT: KS distance": stats.kstest(pit, "uniform").statistic,
        "band of the total": f"{total['purchases_lower']:,.0f} to {total['purchases_upper']:,.0f}",
    }


def inside(table: pd.DataFrame, actual: np.ndarray) -> float:
    """Share of customers whose purchases lie in their band."""
    low, high = table["purchases_lower"].to_numpy(), table["purchases_upper"].to_numpy()
    return float(((low <= actual) & (actual <= high)).mean())


def randomised_pit(counts: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Randomised PIT of counts; ``counts`` has shape (draw, customer)."""
    below = (counts < actual).mean(axis=0)
    at_most = (counts <= actual).mean(axis=0)
    return below + np.random.default_rng(1).uniform(size=len(actual)) * (at_most - below)


def main() -> None:
    """Print one column per model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all 23,570 customers instead of the 1/10 sample")
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    log = clv.load_cdnow(None if options.full else "1/10")
    split = clv.purchase_history(log, as_of="1998-06-30", unit="week").split(at=AS_OF)
    rows = [score(name, split, options.draws) for name in ("bg_nbd", "mbg_nbd", "pareto_nbd")]
    print(
        pd.DataFrame(rows)
        .set_index("model")
        .T.to_string(float_format=lambda v: f"{v:,.4f}" if abs(v) < 10 else f"{v:,.1f}")
    )


if __name__ == "__main__":
    main()
