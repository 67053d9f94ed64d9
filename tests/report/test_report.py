"""What belongs together in a report, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError
from clv_forecast.report.crm import crm_table
from clv_forecast.report.page import page_data
from clv_forecast.report.page_text import account_table

HORIZONS = ["12 months", "24 months"]


@cache
def history_of(accounts: int = 60) -> clv.PurchaseHistory:
    made = clv.simulate_accounts(60, rng=1)
    some = made.accounts.iloc[:accounts].assign(owner=[k % 3 + 7 for k in range(accounts)], name=range(accounts))
    orders = made.transactions[made.transactions["customer_id"].isin(some["customer_id"])]
    return clv.purchase_history(orders, as_of=made.as_of, customers=some, order_id="order_id")


@cache
def model_of(accounts: int = 60) -> clv.Model:
    return clv.fit(history_of(accounts), compare=False)


@cache
def forecast_of(accounts: int = 60, **terms: Any) -> clv.Forecast:
    return clv.forecast(model_of(accounts), history_of(accounts), horizons=HORIZONS, draws=100, **terms)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (lambda: {"spends": clv.allowable_spend(forecast_of(margin=0.9))}, "margin 0.9"),
        (lambda: {"spends": clv.allowable_spend(forecast_of(rng=2))}, "seed 2"),
        (lambda: {"spends": clv.allowable_spend(forecast_of(accounts=50))}, "same accounts"),
        (lambda: {"spends": replace(clv.allowable_spend(forecast_of()), currency="EUR")}, "currency EUR"),
        (lambda: {"ranking": clv.rank(forecast_of(accounts=50), draws=100)}, "same accounts"),
        (lambda: {"ranking": clv.rank(forecast_of(), draws=100), "horizon": "24 months"}, "horizon 12 months"),
        (lambda: {"cohorts": replace(clv.cohorts(forecast_of()), as_of=pd.Timestamp("2020-01-01"))}, "as_of 2020"),
        (lambda: {"potential": clv.potential(history_of(50), forecast_of(accounts=50))}, "same accounts"),
        (lambda: {"horizon": "6 months"}, "6 months"),
        (lambda: {"cohorts": "x"}, "made by cohorts"),
        (lambda: {"certificate": "x"}, "made by backtest"),
        (lambda: {"drivers": "x"}, "made by loss_drivers"),
        (lambda: {"title": 5}, "title"),
    ],
)
def test_parts_of_another_forecast_are_refused(parts: Any, words: str) -> None:
    with pytest.raises(DomainError, match=words):
        clv.make_report(forecast_of(), **parts())


def test_parts_of_one_forecast_belong_together() -> None:
    fc = forecast_of()
    parts = {"ranking": clv.rank(fc, draws=100), "spends": clv.allowable_spend(fc), "cohorts": clv.cohorts(fc)}
    assert clv.make_report(fc, **parts).horizon == "12 months"


def test_owners_and_names_that_are_numbers_are_labels(tmp_path: Path) -> None:
    report = clv.make_report(forecast_of(), ranking=clv.rank(forecast_of(), draws=100))
    shown = json.loads(page_data(report, account_table(report))[0])
    filters = shown["grids"]["ranking"]["filters"]
    assert "owner" in filters
    assert all("labels" in shown["columns"][key] for key in filters)
    assert set(shown["columns"]["name"]["texts"]) == {str(k) for k in range(60)}


def test_an_allowance_over_another_horizon_is_no_field() -> None:
    spend = clv.allowable_spend(forecast_of(), horizon="24 months")
    assert "allowable_spend" not in crm_table(clv.make_report(forecast_of(), spends=spend, horizon="12 months"))
    assert "allowable_spend" in crm_table(clv.make_report(forecast_of(), spends=spend))
