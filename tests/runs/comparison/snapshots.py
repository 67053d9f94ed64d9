"""Snapshots of a small base for comparisons, made without writing a run."""

from __future__ import annotations

import functools

import pandas as pd

import clv_forecast as clv
from clv_forecast.runs.comparison.snapshot import Snapshot, snapshot_of_forecast

THEN, NOW = "1997-12-31", "1998-01-21"
HORIZON = "12 months"


@functools.cache
def orders() -> pd.DataFrame:
    log = clv.load_cdnow("1/10")
    return log[log["customer_id"] < 1200].reset_index(drop=True)


def history(log: pd.DataFrame, as_of: str, **options) -> clv.PurchaseHistory:
    return clv.purchase_history(log, as_of=as_of, observed_from="1997-01-01", **options)


@functools.cache
def model() -> clv.Model:
    return clv.fit(history(orders(), THEN), compare=False, draws=200)


def snapshot(
    log: pd.DataFrame,
    as_of: str,
    *,
    fitted: clv.Model | None = None,
    rates: dict | None = None,
    crosswalk: pd.DataFrame | None = None,
    orders_at=None,
    options: dict | None = None,
    made_of: dict | None = None,
    **terms,
) -> Snapshot:
    fitted = fitted or model()
    base = history(log, as_of, **(made_of or {}))
    forecast = clv.forecast(fitted, base, horizons=[HORIZON], draws=100, **terms)
    return snapshot_of_forecast(
        as_of,
        forecast,
        fitted,
        horizon=HORIZON,
        rates=rates or {},
        crosswalk=crosswalk,
        orders=orders_at,
        options=options or {},
    )


@functools.cache
def before() -> Snapshot:
    return snapshot(orders(), THEN)


@functools.cache
def after() -> Snapshot:
    return snapshot(orders(), NOW)
