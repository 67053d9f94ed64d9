"""CDNOW's holdout: the figures the papers print, and bands that hold what came."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import clv_forecast as clv
from clv_forecast.forecasting.predictive import band
from clv_forecast.models import bg_nbd, gamma_gamma, transaction_model
from tests.forecasting.conftest import AS_OF, MODELS


@pytest.fixture(scope="module")
def split(transactions):
    return clv.purchase_history(transactions, as_of="1998-06-30", unit="week").split(at=AS_OF)


def randomised_pit(counts, actual, seed=1):
    below, at_most = (counts < actual).mean(axis=0), (counts <= actual).mean(axis=0)
    return below + np.random.default_rng(seed).uniform(size=len(actual)) * (at_most - below)


def test_the_papers_total(transactions):
    """Fader, Hardie & Lee (2005): 2,357 customers, also the 8 who ordered only for 0.00; 39 weeks ahead."""
    wheel = Path(importlib.util.find_spec("lifetimes").origin).parent
    summary = pd.read_csv(wheel / "datasets" / "cdnow_customers_summary.csv")
    later = transactions[transactions["date"] > AS_OF].drop_duplicates(["customer_id", "date"])
    sample = pd.read_csv(wheel / "datasets" / "CDNOW_sample.txt", sep=r"\s+", header=None)
    number = sample.drop_duplicates(0).set_index(0)[1]  # the csv numbers the sample's customers from 1
    held = later["customer_id"].map(number).value_counts()
    actual = summary["ID"].map(held).fillna(0).to_numpy()
    history = clv.history_from_summary(summary, unit="week", as_of=AS_OF, customer="ID", monetary_value=None)
    model = clv.fit(history, spend=None, draws=100, compare=False)
    x, recency, T = (history.table[c].to_numpy() for c in ("frequency", "recency", "T"))
    expected = bg_nbd.expected_purchases(model.estimate, x, recency, T, horizon=39.0)
    assert (history.table["customer_id"] == summary["ID"]).all()
    assert model.report.purchases.log_likelihood == pytest.approx(-9582.4256, abs=1e-3)
    assert len(actual) == 2357 and actual.sum() == 1882 and (actual == 0).sum() == 1673
    assert expected.sum() == pytest.approx(1653.4, abs=0.1)
    assert np.abs(expected - actual).mean() == pytest.approx(0.785, abs=5e-4)
    assert np.sqrt(((expected - actual) ** 2).mean()) == pytest.approx(1.608, abs=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_predictive_bands_hold_and_parameter_bands_do_not(split, name):
    history = split.calibration
    model = clv.fit(history, purchases=name, spend=None, draws=400, compare=False)
    fc = clv.forecast(model, history, horizons="39 weeks", draws=400)
    actual = split.holdout["holdout_purchases"].to_numpy()
    assert (split.holdout["customer_id"].to_numpy() == history.table["customer_id"].to_numpy()).all()
    inside = fc.customers["purchases_lower"].le(actual) & fc.customers["purchases_upper"].ge(actual)
    assert 0.93 < inside.mean() < 0.97  # counts are whole, so a nominal 90 % band holds a little more
    pit = randomised_pit(fc.value_draws(history.table["customer_id"]).purchases[:, :, 0], actual)
    assert stats.kstest(pit, "uniform").statistic < 0.06
    x, recency, T = (history.table[c].to_numpy() for c in ("frequency", "recency", "T"))
    module = transaction_model(name)
    low, high = band(module.expected_purchases(model.draws.purchases, x, recency, T, horizon=39.0).T, 0.9)
    assert ((low <= actual) & (actual <= high)).mean() < 0.03  # what a band of parameters alone would cover
    wrong = randomised_pit(np.roll(fc.value_draws(history.table["customer_id"]).purchases[:, :, 0], 1, axis=1), actual)
    assert stats.kstest(wrong, "uniform").statistic > 0.06  # the check sees a forecast of the wrong customers


def test_one_future_order_is_covered():
    """The next single order of everyone who came back, in the full log, from the draws of the spend model."""
    split = clv.purchase_history(clv.load_cdnow(), as_of="1998-06-30", unit="week").split(at=AS_OF)
    model = clv.fit(split.calibration, draws=400, compare=False)
    orders = split.holdout_orders.sort_values(["customer_id", "date"]).groupby("customer_id")["amount"].first()
    table = split.calibration.table.set_index("customer_id").loc[orders.index]
    draws = gamma_gamma.draw_one_order(
        model.draws.spend, table["spend_count_all"], table["spend_sum_all"], rng=1, draws=400
    )
    low, high = band(draws.T, 0.9)
    actual = orders.to_numpy(dtype=float)
    assert len(actual) > 7000
    assert ((low <= actual) & (actual <= high)).mean() == pytest.approx(0.9, abs=0.015)
    means = gamma_gamma.expected_spend(
        model.draws.spend, table["spend_count_all"], table["spend_sum_all"] / table["spend_count_all"]
    )
    low, high = band(means.T, 0.9)
    assert ((low <= actual) & (actual <= high)).mean() < 0.2
