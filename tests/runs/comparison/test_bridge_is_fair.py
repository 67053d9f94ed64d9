"""Where the earlier model is right, purchases and money per order are against expectation by chance alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.inference.draws import POINT, params_of_draws
from clv_forecast.models import bg_nbd, gamma_gamma
from clv_forecast.runs.comparison import value_bridge as vb
from clv_forecast.runs.comparison.drift import EARLIER, came_since
from clv_forecast.runs.comparison.value_bridge import value_bridge
from tests.runs.comparison.snapshots import snapshot

RATE = bg_nbd.Params(0.6, 9.0, 0.8, 2.5)  # per week
SPEND = gamma_gamma.Params(3.0, 5.0, 120.0)
BEGIN, THEN, NOW = pd.Timestamp("2024-01-01"), pd.Timestamp("2024-12-31"), pd.Timestamp("2025-06-30")
CUSTOMERS = 4000


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Orders of a base in which BG/NBD and Gamma-Gamma are true."""
    rng = np.random.default_rng(20)
    came = rng.integers(0, 250, CUSTOMERS)
    length = (NOW - BEGIN).days - came
    paths = bg_nbd.simulate(RATE, length / 7.0, rng=3)
    repeat_of, weeks = np.repeat(np.arange(CUSTOMERS), paths.count[0]), paths.times
    customer = np.concatenate([np.arange(CUSTOMERS), repeat_of])
    day = np.concatenate([came, came[repeat_of] + np.ceil(7.0 * weeks).astype(int)])
    level = rng.gamma(SPEND.q, 1.0 / SPEND.v, CUSTOMERS)
    amount = rng.gamma(SPEND.p, 1.0, len(customer)) / level[customer]
    return pd.DataFrame(
        {"customer_id": customer, "date": BEGIN + pd.to_timedelta(day, unit="D"), "amount": amount.round(2) + 0.01}
    )


def known_model(log: pd.DataFrame, rate: bg_nbd.Params, spend: gamma_gamma.Params) -> clv.Model:
    """A model whose parameters are known, in 100 equal draws."""
    fitted = clv.fit(clv.purchase_history(log, as_of=THEN, observed_from=BEGIN), compare=False, draws=100)
    purchases = params_of_draws(bg_nbd.Params, [np.full(100, getattr(rate, n)) for n in ("r", "alpha", "a", "b")])
    amounts = params_of_draws(gamma_gamma.Params, [np.full(100, getattr(spend, n)) for n in ("p", "q", "v")])
    draws = dataclasses.replace(
        fitted.draws, purchases=purchases, spend=amounts, kind=POINT, spend_kind=POINT, hierarchy=None
    )
    return dataclasses.replace(fitted, draws=draws, spend_from="all")


def surprise(bridge, step: str) -> float:
    """Sum of an accounts' column in its standard errors."""
    moved = bridge.accounts[step.replace(",", "").replace(" ", "_")].to_numpy()
    return float(moved.sum() / (moved.std() * np.sqrt(len(moved))))


@pytest.fixture(scope="module")
def pair(log):
    known = known_model(log, RATE, SPEND)
    return tuple(snapshot(log, day, fitted=known) for day in (THEN, NOW))


def test_surprises_have_mean_zero(pair):
    bridge = value_bridge(*pair)
    assert abs(surprise(bridge, vb.PURCHASES)) < 3.0
    assert abs(surprise(bridge, vb.PRICE)) < 3.0
    assert bridge.moved(vb.TIME) < 0.0  # some are expected to leave


def test_a_wrong_model_is_surprised(log):
    """Negative controls: customers who never leave, and orders that are a third larger."""
    loyal = bg_nbd.Params(RATE.r, RATE.alpha, 0.05, 2.5)
    wrong = known_model(log, loyal, SPEND)
    bridge = value_bridge(*(snapshot(log, day, fitted=wrong) for day in (THEN, NOW)))
    assert surprise(bridge, vb.PURCHASES) < -5.0
    rich = known_model(log, RATE, dataclasses.replace(SPEND, v=SPEND.v * 4.0 / 3.0))
    bridge = value_bridge(*(snapshot(log, day, fitted=rich) for day in (THEN, NOW)))
    assert surprise(bridge, vb.PRICE) < -4.0


def test_bands_hold_what_came(pair, log):
    table = came_since(*pair)
    rows = table[table["group"] == EARLIER].set_index("quantity")
    after = log[(log["date"] > THEN) & (log["date"] <= NOW)]
    assert rows.loc["revenue", "came"] == pytest.approx(after["amount"].sum())
    assert (log["date"] == THEN).any()  # orders of that day were known
    for quantity in ("purchases", "revenue"):
        row = rows.loc[quantity]
        assert row["coverage"] == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / CUSTOMERS))
        assert row["band_coverage"] >= row["coverage"] - 0.01
        assert row["lower"] < row["came"] < row["upper"] and row["covered"]
    assert rows.loc["purchases", "customers"] == CUSTOMERS and rows.loc["purchases", "left_out"] == 0


def test_bands_of_a_wrong_model_do_not(log):
    loyal = known_model(log, bg_nbd.Params(3.0, 4.0, 0.1, RATE.b), SPEND)
    table = came_since(*(snapshot(log, day, fitted=loyal) for day in (THEN, NOW)))
    row = table[table["group"] == EARLIER].set_index("quantity").loc["purchases"]
    assert not row["covered"] and row["coverage"] < 0.85
