"""From backtests to a stacked forecast: weights by time holdout, draws like any other."""

import numpy as np
import pytest

from clv_forecast.evaluation.backtest import backtest
from clv_forecast.evaluation.model_comparison import compare_models
from clv_forecast.evaluation.stacking import stacked_log_density
from clv_forecast.forecasting.forecast import forecast
from clv_forecast.forecasting.stack import stack
from clv_forecast.history import load_cdnow, purchase_history
from clv_forecast.inference.fit import fit_recipe
from clv_forecast.inference.leave_one_out import loo
from clv_forecast.inference.recipe import Recipe

RECIPES = {name: Recipe(purchases=name, draws=300) for name in ("bg_nbd", "pareto_nbd")}
DRAWS = 500


@pytest.fixture(scope="module")
def history():
    return purchase_history(load_cdnow("1/10"), as_of="1998-06-30")


@pytest.fixture(scope="module")
def certificates(history):
    return {
        name: backtest(history, origins=["1997-09-30"], horizon="39 weeks", recipe=recipe, draws=100, workers=1)
        for name, recipe in RECIPES.items()
    }


@pytest.fixture(scope="module")
def comparison(certificates):
    return compare_models(certificates)


@pytest.fixture(scope="module")
def models(history):
    return {name: fit_recipe(recipe, history) for name, recipe in RECIPES.items()}


def test_the_certificates_own_numbers_are_shown(certificates, comparison):
    for row in comparison.table.itertuples():
        scores = certificates[row.model].scores
        mine = scores[(scores["origin"] == "all") & (scores["quantity"] == "purchases")].iloc[0]
        assert row.elpd == pytest.approx(mine["elpd"])
        assert (row.bias, row.coverage_90, row.crps, row.gini) == tuple(mine[["bias", "coverage_90", "crps", "gini"]])
        assert row.status == certificates[row.model].verdict.of("39 weeks", "purchases")
    wide = certificates["bg_nbd"].densities.merge(
        certificates["pareto_nbd"].densities, on=["customer_id", "origin", "horizon"]
    )
    both = wide[["log_density_x", "log_density_y"]].to_numpy()
    mixed = stacked_log_density(both, list(comparison.weights.values()))
    assert np.exp(both - mixed[:, None]).mean(axis=0).max() < 1.0 + 1e-6  # no model gains at the margin
    assert len(wide) == comparison.customers == 2349


def test_a_stack_forecasts_what_its_parts_forecast(history, models, comparison):
    weights = list(comparison.weights.values())
    assert all(0.2 < weight < 0.8 for weight in weights)
    stacked = forecast(stack(list(models.values()), weights), history, horizons=["39 weeks"], draws=DRAWS)
    counts = [round(weights[0] * DRAWS), DRAWS - round(weights[0] * DRAWS)]
    parts = [
        forecast(model, history, horizons=["39 weeks"], draws=count)
        for model, count in zip(models.values(), counts, strict=True)
    ]
    for column in ("expected_purchases", "revenue", "value", "p_alive"):
        mean = sum(count * part.customers[column].to_numpy() for count, part in zip(counts, parts, strict=True)) / DRAWS
        np.testing.assert_allclose(stacked.customers[column], mean, rtol=1e-9)
    drawn = stacked.value_draws(stacked.customers["customer_id"].tolist())
    assert drawn.value.shape == (DRAWS, len(history.table), 1)
    sums = drawn.purchases.sum(axis=(1, 2))
    error = sums.std() / np.sqrt(DRAWS)
    assert sums.mean() == pytest.approx(stacked.customers["expected_purchases"].sum(), abs=4.0 * error)
    total = stacked.totals.iloc[0]
    low, high = sorted(float(part.totals["value"].iloc[0]) for part in parts)
    assert low < total["value"] < high
    assert total["value_lower"] < total["value"] < total["value_upper"]


def test_leave_one_out_stands_beside(certificates, history):
    calibration = history.split("1997-09-30").calibration
    results = {name: loo(fit_recipe(recipe, calibration)) for name, recipe in RECIPES.items()}
    table = compare_models(certificates, loo=results, replicates=1).table.set_index("model")
    for name, result in results.items():
        assert table.loc[name, "loo"] == result.purchases.elpd
        assert result.purchases.customers == 2349
