"""Looking back: which day, which window, what came, and when it can't be done."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import Absent, DomainError
from clv_forecast.ranking.look_back import LookBack, look_back
from clv_forecast.ranking.trailing import carried_forward, trailing_revenue
from tests.ranking.conftest import Base


def seen(base: Base, **options) -> LookBack:
    found = look_back(base.history, base.forecast, **options)
    assert not isinstance(found, Absent)
    return found


def test_the_window_ends_today_and_money_is_what_came(base: Base) -> None:
    found = seen(base)
    assert found.days == 365 and found.origin + pd.Timedelta(days=365) == base.history.as_of
    split = base.history.split(found.origin)
    assert found.actual == pytest.approx(split.holdout["holdout_revenue"].to_numpy())
    assert found.carried == pytest.approx(trailing_revenue(found.calibration, 1.0) * 365 / 365.2425)
    assert len(found.accounts.table) == len(found.actual) <= len(base.history.table)


def test_an_origin_of_ones_own_and_a_shorter_horizon(base: Base) -> None:
    found = seen(base, origin="2024-03-31", horizon="3 months")
    assert (found.origin, found.days) == (pd.Timestamp("2024-03-31"), 91)
    orders = base.history.split("2024-03-31").holdout_orders
    inside = orders[orders["date"] <= found.origin + pd.Timedelta(days=91)]
    assert found.actual.sum() == pytest.approx(inside["amount"].sum())
    with pytest.raises(DomainError, match="origin must lie between"):
        look_back(base.history, base.forecast, origin="2030-01-01")


def test_a_short_log_shortens_the_window_or_says_why(base: Base) -> None:
    recent = base.sim.transactions[base.sim.transactions["date"] >= "2024-03-01"]
    history = clv.purchase_history(recent, as_of=base.sim.as_of)
    fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=100)
    found = look_back(history, fc)
    assert isinstance(found, LookBack) and found.days == 152
    assert "over 152 days only" in found.notes[0]
    tiny = clv.purchase_history(recent[recent["date"] >= "2024-10-01"], as_of=base.sim.as_of)
    assert "too short to look back" in str(look_back(tiny, fc))
    summary = dataclasses.replace(base.history, events=None)
    assert "summary" in str(look_back(summary, base.forecast))


def test_what_is_not_observed_is_not_zero(base: Base) -> None:
    assert trailing_revenue(base.history, 5.0) is None
    year, both = trailing_revenue(base.history, 1.0), trailing_revenue(base.history, 2.0)
    assert (both >= year).all() and year.sum() > 0.0
    bought = base.history.purchases()
    start = base.history.as_of - pd.DateOffset(years=1)
    by_hand = bought[bought["date"] > start].groupby("customer_id")["amount"].sum()
    assert year == pytest.approx(by_hand.reindex(base.history.table["customer_id"], fill_value=0.0).to_numpy())


def test_carrying_forward_a_log_shorter_than_the_window() -> None:
    log = pd.DataFrame({"customer_id": [1, 1, 2], "date": ["2024-01-01", "2024-01-20", "2024-01-10"], "amount": 10.0})
    history = clv.purchase_history(log, as_of="2024-01-20")
    assert carried_forward(history, 40) == pytest.approx(np.array([40.0, 20.0]))
    assert carried_forward(history, 10) == pytest.approx(np.array([10.0, 0.0]))
