"""Draws of pymc-marketing become a model; what cannot be taken over is refused by name."""

import types

import numpy as np
import pytest
import xarray as xr

import clv_forecast as clv
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.forecast import forecast
from clv_forecast.inference.report import FitStatus
from clv_forecast.inference.storage import load_model
from clv_forecast.interchange import from_pymc_marketing
from tests.interchange.conftest import AS_OF

SETTING = {"unit": "week", "as_of": AS_OF}
BG = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
PARETO = {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}
GG = {"p": 6.25, "q": 3.74, "v": 15.44}


def posterior(truth, *, chains=4, length=250, seed=1, spread=0.05):
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        {
            name: (("chain", "draw"), value * np.exp(spread * rng.normal(size=(chains, length))))
            for name, value in truth.items()
        },
        coords={"chain": range(chains), "draw": range(length)},
    )


def flat(dataset, name):
    return dataset[name].to_numpy().ravel()


def test_every_draw_is_kept_in_its_order():
    bought, spent = posterior(BG), posterior(GG, seed=2)
    model = from_pymc_marketing(bought, spent, **SETTING, currency="USD", draws=1000)
    draws = model.draws.to_frame()
    for name in BG:
        np.testing.assert_allclose(draws[name], flat(bought, name), rtol=1e-12)
    for name in GG:
        np.testing.assert_allclose(draws[name], flat(spent, name), rtol=1e-12)
    assert (model.purchases, model.spend, model.method) == ("bg_nbd", "gamma_gamma", "pymc-marketing")
    assert model.draws.kind == model.draws.spend_kind == "posterior"
    assert model.report.status is FitStatus.CONVERGED
    table = model.parameters.set_index("parameter")
    assert table.loc["alpha", "standard_error"] == pytest.approx(flat(bought, "alpha").std(ddof=1), rel=1e-9)
    np.testing.assert_allclose(
        table.loc["q", ["lower", "upper"]].astype(float), np.quantile(flat(spent, "q"), [0.025, 0.975]), rtol=1e-9
    )
    assert float(model.estimate.r) == pytest.approx(np.exp(np.log(flat(bought, "r")).mean()), rel=1e-12)
    assert np.isnan(model.report.log_likelihood)


def test_thinning_is_even_over_the_chains():
    bought = posterior(BG)
    draws = from_pymc_marketing(bought, **SETTING, draws=100).draws.to_frame()
    np.testing.assert_allclose(draws["r"], flat(bought, "r")[::10], rtol=1e-12)


def test_the_shorter_result_is_repeated():
    bought, point = posterior(BG), posterior(GG, chains=1, length=1)
    model = from_pymc_marketing(bought, point, **SETTING, draws=300)
    draws = model.draws.to_frame()
    assert len(draws) == 300
    assert draws["q"].nunique() == 1
    assert draws["r"].nunique() == 300
    assert model.draws.spend_kind == "point estimate"
    assert "no parameter uncertainty" in model.report.notes[0]
    assert np.isnan(model.parameters.set_index("parameter").loc["q", "standard_error"])


@pytest.mark.parametrize("name", ["mbg_nbd", "pareto_nbd"])
def test_the_sibling_models(name):
    truth = PARETO if name == "pareto_nbd" else BG
    model = from_pymc_marketing(posterior(truth), model=name, **SETTING)
    assert model.purchases == name
    assert list(model.draws.to_frame().columns) == list(truth)


def test_containers_of_the_draws():
    dataset = posterior(BG)
    fit_data = xr.Dataset({"T": ("index", np.arange(7.0))})
    tree = xr.DataTree.from_dict({"posterior": dataset, "fit_data": fit_data})
    legacy = types.SimpleNamespace(posterior=dataset, fit_data=fit_data)
    expected = from_pymc_marketing(dataset, **SETTING).draws.to_frame()
    for container in (tree, legacy, types.SimpleNamespace(idata=tree), types.SimpleNamespace(idata=legacy)):
        model = from_pymc_marketing(container, **SETTING)
        assert model.draws.to_frame().equals(expected)
        assert model.report.n_customers == 7
    assert from_pymc_marketing(tree["posterior"], **SETTING).draws.to_frame().equals(expected)
    assert from_pymc_marketing(dataset.transpose("draw", "chain"), **SETTING).draws.to_frame().equals(expected)
    assert from_pymc_marketing(dataset, **SETTING).report.n_customers == 0


def test_dropout_as_share_and_total():
    dataset = posterior({"r": 0.243, "alpha": 4.414, "phi_dropout": 0.25, "kappa_dropout": 3.2})
    draws = from_pymc_marketing(dataset, **SETTING).draws.to_frame()
    share, total = flat(dataset, "phi_dropout"), flat(dataset, "kappa_dropout")
    np.testing.assert_allclose(draws["a"], share * total, rtol=1e-12)
    np.testing.assert_allclose(draws["b"], (1.0 - share) * total, rtol=1e-12)


def test_chains_that_disagree_do_not_pass_silently():
    dataset = posterior(BG)
    apart = dataset.assign(r=dataset["r"] * xr.DataArray([1.0, 1.0, 1.0, 1.5], dims="chain"))
    model = from_pymc_marketing(apart, **SETTING)
    assert model.report.status is FitStatus.FAILED
    assert "R-hat at most 1." in model.report.message
    near = dataset.assign(r=dataset["r"] * xr.DataArray([1.0, 1.0, 1.0, 1.02], dims="chain"))
    assert from_pymc_marketing(near, **SETTING).report.status is FitStatus.NEARLY_CONVERGED
    assert from_pymc_marketing(posterior(BG, length=3), **SETTING).report.status is FitStatus.FAILED


def test_few_effective_draws_are_noted():
    model = from_pymc_marketing(posterior(BG, chains=2, length=100), **SETTING)
    assert "is low" in model.report.notes[0]
    assert from_pymc_marketing(posterior(BG), **SETTING).report.notes == ()


def test_covariates_are_refused_by_name():
    dataset = posterior(BG)
    per_customer = dataset["alpha"].expand_dims(customer_id=5)
    with pytest.raises(DomainError, match="alpha varies by customer_id"):
        from_pymc_marketing(dataset.assign(alpha=per_customer), **SETTING)
    effects = dataset.assign(purchase_coefficient_alpha=dataset["r"], dropout_coefficient_a=dataset["r"])
    with pytest.raises(DomainError, match="Got: purchase_coefficient_alpha, dropout_coefficient_a"):
        from_pymc_marketing(effects, **SETTING)


def test_what_is_missing_is_named():
    with pytest.raises(DomainError, match="missing: s, beta"):
        from_pymc_marketing(posterior(BG), model="pareto_nbd", **SETTING)
    with pytest.raises(DomainError, match="spend_result must have the variables p, q, v"):
        from_pymc_marketing(posterior(BG), posterior(BG), **SETTING)
    with pytest.raises(DomainError, match=r"must hold a posterior.*Got: dict"):
        from_pymc_marketing({"r": 1.0}, **SETTING)
    with pytest.raises(DomainError, match="ggom"):
        from_pymc_marketing(posterior(BG), model="ggom_nbd", **SETTING)
    with pytest.raises(DomainError, match="The unit must be"):
        from_pymc_marketing(posterior(BG), unit="W", as_of=AS_OF)


def test_draws_out_of_their_domain_are_refused():
    dataset = posterior(BG)
    with pytest.raises(DomainError, match=r"Every draw of r.*1 of 1000"):
        from_pymc_marketing(dataset.assign(r=dataset["r"].where(dataset["r"] > dataset["r"].min())), **SETTING)
    spend = posterior(GG)
    low = spend.assign(q=spend["q"].where(spend["q"] > spend["q"].quantile(0.01), 0.9))
    with pytest.raises(DomainError, match="10 of 1000 draws at or below 1"):
        from_pymc_marketing(dataset, low, **SETTING)


def test_an_imported_posterior_can_be_saved_and_forecast(history, tmp_path):
    model = from_pymc_marketing(posterior(BG), posterior(GG), **SETTING, draws=200)
    clv.save(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.draws.to_frame().equals(model.draws.to_frame())
    assert str(loaded) == str(model)
    table = forecast(loaded, history, horizons=["39 weeks"], discount_rate_annual=0.1, draws=200).customers
    assert table["expected_purchases"].sum() == pytest.approx(1653.4, rel=0.03)  # BG/NBD's holdout total
