"""A model of one file and one entry in the registry goes the whole way: fit, draws, forecast, save, backtest."""

from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast import models
from clv_forecast.inference.recipe import Recipe
from tests.models import nbd

TRUTH = nbd.Params(0.9, 6.0)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(models, "TRANSACTION_MODELS", MappingProxyType({**models.TRANSACTION_MODELS, "nbd": nbd}))


@pytest.fixture(scope="module")
def orders():
    """Orders of 600 customers who never leave, over two years; one order a day at most, as a history counts them."""
    paths = nbd.simulate(TRUTH, np.full(600, 104.0), rng=3)
    customer = np.repeat(np.arange(600), paths.count[0])
    weeks = np.concatenate([np.zeros(600), paths.times])
    day = pd.Timestamp("2022-01-03") + pd.to_timedelta(np.floor(7.0 * weeks), unit="D")
    amount = np.random.default_rng(4).lognormal(3.0, 0.4, weeks.size).round(2)
    return pd.DataFrame({"customer_id": np.concatenate([np.arange(600), customer]), "date": day, "amount": amount})


@pytest.fixture(scope="module")
def history(orders):
    return clv.purchase_history(orders, as_of="2023-12-31", unit="week")


def test_it_offers_what_a_model_offers():
    names = {name for name in vars(models.TransactionModel) if not name.startswith("_")}
    assert set(nbd.__all__) == names and all(hasattr(nbd, name) for name in names)


@pytest.mark.parametrize("method", ["mle", "laplace"])
def test_fit_finds_the_truth(history, method):
    model = clv.fit(history, "NBD", method=method, draws=200, compare=False)
    estimates = model.parameters.set_index("parameter")
    for name, truth in (("r", 0.9), ("alpha", 6.0)):
        assert estimates.loc[name, "lower"] < truth < estimates.loc[name, "upper"]
    assert model.parameters["parameter"].tolist()[:3] == ["r", "alpha", "mean_purchase_rate"]


def test_forecast_and_storage(history, tmp_path):
    model = clv.fit(history, "nbd", draws=200, compare=False)
    clv.save(model, tmp_path / "model")
    first, again = (
        clv.forecast(m, history, horizons="12 months", draws=200) for m in (model, clv.load_model(tmp_path / "model"))
    )
    pd.testing.assert_frame_equal(first.customers, again.customers)
    assert (first.customers["p_alive"] == 1.0).all()
    x, T = history.table["frequency"], history.table["T"]
    params = model.draws.purchases
    year = 365.2425 / 7.0
    expected = np.mean((params.r + x.to_numpy()) / (params.alpha + T.to_numpy()) * year, axis=0)
    np.testing.assert_allclose(first.customers["expected_purchases"], expected, rtol=1e-9)
    drawn = first.value_draws(first.customers["customer_id"])
    assert drawn.value.mean() == pytest.approx(first.customers["value"].mean(), rel=0.05)


def test_backtest(orders):
    found = clv.backtest(
        orders, as_of="2023-12-31", horizon="26 weeks", recipe=Recipe(purchases="nbd"), draws=200, workers=1
    )
    assert "NBD" in found.recipe.title
    assert len(found.scores)
