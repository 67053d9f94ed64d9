"""Run folders of a small base: what scheduled runs leave, written without a schedule."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import clv_forecast as clv
from tests.runs.comparison.snapshots import HORIZON, history, model, orders

NEWCOMER = 900001


def log_with_newcomer() -> pd.DataFrame:
    """The base, and an account whose first order came in January 1998."""
    new = pd.DataFrame({"customer_id": [NEWCOMER], "date": [pd.Timestamp("1998-01-12")], "amount": [30.0]})
    return pd.concat([orders(), new], ignore_index=True)


def accounts() -> pd.DataFrame:
    """Attributes: two regions, named by numbers."""
    ids = log_with_newcomer()["customer_id"].drop_duplicates()
    return pd.DataFrame({"customer_id": ids, "region": ids % 2})


def write_run(
    folder: Path,
    as_of: str,
    *,
    horizons: tuple[str, ...] = (HORIZON, "6 months"),
    ranking: bool = False,
    spend: bool = False,
    since: pd.DataFrame | None = None,
    with_model: bool = True,
    **terms,
) -> clv.StoredRun:
    base = history(log_with_newcomer(), as_of, customers=accounts())
    made = clv.forecast(model(), base, horizons=list(horizons), by="region", draws=100, **terms)
    report = clv.make_report(
        made,
        horizon=horizons[0],
        ranking=clv.rank(made, horizon=horizons[0], top_k=20, draws=100) if ranking else None,
        spends=(clv.allowable_spend(made, horizon=horizons[0]),) if spend else (),
        since=since,
    )
    return clv.write_run(report, folder, model=model() if with_model else None)
