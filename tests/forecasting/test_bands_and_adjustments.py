"""Bands, horizons and adjustments by themselves."""

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.money import observed_margin
from clv_forecast.forecasting.predictive import band


@pytest.mark.parametrize("count", [100, 101, 399, 1000])
@pytest.mark.parametrize("prob", [0.5, 0.8, 0.9, 0.95])
def test_band_holds_at_least_its_share_and_hardly_more(count, prob):
    draws = np.random.default_rng(1).normal(size=(50, count))
    low, high = band(draws, prob)
    inside = ((draws >= low[:, None]) & (draws <= high[:, None])).mean(axis=1)
    assert (inside >= prob - 1e-9).all() and (inside <= prob + 4 / count).all()


def test_shock_has_mean_one_and_the_stated_variance():
    shock = clv.CommonShock(level=0.2, noise=0.3)
    multipliers = shock.multipliers(seed=3, first_draw=0, draws=40_000, periods=9)
    assert multipliers.mean() == pytest.approx(1.0, abs=0.01)
    single = np.log(multipliers[:, 0]).var()
    assert single == pytest.approx(0.2**2 + 0.3**2, rel=0.05)
    mean_of_nine = np.log(multipliers.mean(axis=1)).var()
    assert mean_of_nine == pytest.approx(0.2**2 + 0.3**2 / 9, rel=0.08)
    later = shock.multipliers(seed=3, first_draw=100, draws=5, periods=9)
    np.testing.assert_array_equal(later, multipliers[100:105])


@pytest.mark.parametrize(
    "arguments",
    [{"level": -0.1, "noise": 0}, {"level": 0, "noise": np.nan}, {"level": 0, "noise": 0, "period": "moon"}],
)
def test_shock_refuses(arguments):
    with pytest.raises(clv.DomainError):
        clv.CommonShock(**arguments)


@pytest.mark.parametrize("arguments", [{"factor": 0.0, "reason": "x"}, {"factor": 1.0, "reason": " "}])
def test_correction_refuses(arguments):
    with pytest.raises(clv.DomainError):
        clv.Correction(**arguments)


def test_grid():
    grid = Horizons.grid("month", years=1.0)
    assert len(grid.labels) == 12 and grid.years[-1] == pytest.approx(1.0)
    with pytest.raises(clv.DomainError, match="grid"):
        Horizons.grid("fortnight", years=1.0)


def test_observed_margin_shrinks_small_accounts_more():
    rng = np.random.default_rng(8)
    orders = np.repeat([1, 2, 5, 40], 300)
    true = rng.normal(0.3, 0.05, size=len(orders))
    rows = []
    for customer, (count, rate) in enumerate(zip(orders, true, strict=True)):
        days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.choice(700, size=count, replace=False), unit="D")
        amount = rng.gamma(5.0, 20.0, size=count) + 1.0
        margin = amount * (rate + rng.normal(0, 0.2, size=count))
        rows.append(pd.DataFrame({"customer_id": customer, "date": days, "amount": amount, "profit": margin}))
    log = pd.concat(rows)
    history = clv.purchase_history(log, as_of="2022-01-01", unit="week", margin="profit")
    shrunk = observed_margin(history)
    raw = (history.table["total_margin"] / history.table["total_revenue"]).to_numpy()
    error, raw_error = np.abs(shrunk - true), np.abs(raw - true)
    single, many = orders == 1, orders == 40
    assert error[single].mean() < 0.4 * raw_error[single].mean()
    assert error[many].mean() < 1.1 * raw_error[many].mean()
