"""Accounts that lose money, counted again by hand."""

from __future__ import annotations

import numpy as np
import pytest

import clv_forecast as clv


def test_by_hand(costly, accounts):
    found = clv.losing_accounts(costly).set_index("customer_id")
    told = costly.customers.set_index("customer_id")
    assert len(found) > 5
    lines = accounts.transactions
    for customer in found.index:
        own = lines[lines["customer_id"] == customer]
        facts = accounts.accounts.set_index("customer_id").loc[customer]
        first, last = own["date"].min(), own.loc[own["amount"] > 0, "date"].max()
        alive = told.loc[customer, "p_alive"]
        days = (last - first).days + alive * (accounts.as_of - last).days
        assert found.loc[customer, "revenue_to_date"] == pytest.approx(own["amount"].sum())
        by_hand = own["margin"].sum() - facts["cost_to_serve"] * days / 365.2425
        scale = max(abs(by_hand), facts["cost_to_serve"])
        assert found.loc[customer, "value_to_date"] == pytest.approx(by_hand, abs=0.15 * scale)
        assert found.loc[customer, "value"] == told.loc[customer, "value"]
        assert found.loc[customer, "p_loss"] == told.loc[customer, "p_loss"]
    ahead, so_far, likely = found["value"] < 0.0, found["value_to_date"] < 0.0, found["p_loss"] > 0.5
    kinds = np.select([ahead & likely & so_far, ahead & likely, ahead], ["both", "forecast", "on average"], "to date")
    assert (found["loses"] == kinds).all() and {"both", "on average"} <= set(kinds)
    assert (ahead | so_far).all() and found["value"].is_monotonic_increasing
    assert set(told.index[told["value"] < 0.0]) <= set(found.index)
    assert found["name"].str.startswith("Account").all()


def test_without_costs_nobody_loses(forecast):
    assert clv.losing_accounts(forecast).empty


def test_a_negative_margin_is_named(model, history):
    fc = clv.forecast(model, history, horizons=["12 months"], draws=100, margin=-0.1)
    found = clv.losing_accounts(fc)
    assert len(found) == len(history.table)
    assert found["reason"].str.contains("its margin is negative").all()


def test_unknown_horizon_is_refused(forecast):
    with pytest.raises(clv.DomainError, match="36 months"):
        clv.losing_accounts(forecast, horizon="36 months")
