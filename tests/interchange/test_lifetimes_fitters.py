"""Fitters of lifetimes become models and models become fitters; what cannot be taken over is refused or told."""

import copy
import dataclasses
import types

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError, FitError
from clv_forecast.forecasting.forecast import forecast
from clv_forecast.history import history_from_summary
from clv_forecast.inference.draws import ASYMPTOTIC, LAPLACE
from clv_forecast.inference.fit import fit
from clv_forecast.inference.report import FitStatus
from clv_forecast.inference.storage import load_model
from clv_forecast.interchange import from_lifetimes, to_lifetimes
from clv_forecast.interchange.lifetimes_fitters import ORIGIN
from clv_forecast.models import transaction_model
from tests.interchange.conftest import AS_OF, FITTERS, quiet

MODELS = tuple(FITTERS)
SETTING = {"unit": "week", "as_of": AS_OF}


def stand_in(fitter, **changes):
    """Copy a fitter's attributes under its class name: lifetimes is not needed to read one."""
    kind = type(type(fitter).__name__, (types.SimpleNamespace,), {})
    return kind(**(vars(fitter) | changes))


def stripped(fitter):
    """A fitter of ours as if lifetimes had fitted it."""
    return stand_in(fitter, **{ORIGIN: None})


def frame(model):
    return model.parameters.set_index("parameter")


@pytest.mark.parametrize("name", MODELS)
def test_a_fitter_becomes_a_model(name, fitters, spend_fitter):
    model = from_lifetimes(fitters[name], spend_fitter, **SETTING, currency="USD", draws=500)
    module = transaction_model(name)
    assert (model.purchases, model.spend, model.method) == (name, "gamma_gamma", "lifetimes")
    assert (model.unit, model.currency, model.as_of) == ("week", "USD", pd.Timestamp(AS_OF))
    assert (model.spend_from, model.spend_level) == ("repeat", "means")
    for parameter in module.PARAMETERS:
        assert float(getattr(model.estimate, parameter)) == fitters[name].params_[parameter]
    for parameter in ("p", "q", "v"):
        assert float(getattr(model.spend_estimate, parameter)) == spend_fitter.params_[parameter]
    assert model.report.status is FitStatus.CONVERGED
    assert model.report.n_customers == 2357
    assert model.report.spend.n_customers == 946
    assert model.draws.kind == model.draws.spend_kind == ASYMPTOTIC
    assert model.draws.n_draws == 500
    assert len(model.report.notes) == 1
    assert "fitted elsewhere to customers' means" in model.report.notes[0]
    assert from_lifetimes(fitters[name], **SETTING, draws=100).report.notes == ()
    if name != "pareto_nbd":  # it has no standard errors there
        errors = frame(model).loc[list(module.PARAMETERS), "standard_error"]
        np.testing.assert_allclose(errors, fitters[name].standard_errors_, rtol=1e-4)
    errors = frame(model).loc[["p", "q", "v"], "standard_error"]
    np.testing.assert_allclose(errors, spend_fitter.standard_errors_, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_imported_agrees_with_a_model_fitted_here(name, fitters, spend_fitter, fits):
    imported = frame(from_lifetimes(fitters[name], spend_fitter, **SETTING))
    fitted = frame(fits[name])
    np.testing.assert_allclose(
        imported[["estimate", "standard_error", "lower", "upper"]],
        fitted[["estimate", "standard_error", "lower", "upper"]],
        rtol=5e-3 if name == "pareto_nbd" else 1e-4,
    )


def test_the_same_seed_gives_the_same_draws(fitters):
    one, same, other = (from_lifetimes(fitters["bg_nbd"], **SETTING, rng=seed).draws.to_frame() for seed in (3, 3, 4))
    assert one.equals(same)
    assert not one.equals(other)


def test_weights_are_repeated_customers(lifetimes, cdnow, fitters):
    rows = cdnow.groupby(["frequency", "recency", "T"], as_index=False).size()
    with quiet():
        fitter = lifetimes.BetaGeoFitter().fit(rows["frequency"], rows["recency"], rows["T"], weights=rows["size"])
    weighted, single = from_lifetimes(fitter, **SETTING), from_lifetimes(fitters["bg_nbd"], **SETTING)
    assert weighted.report.n_customers == single.report.n_customers == 2357
    assert weighted.report.log_likelihood == pytest.approx(single.report.log_likelihood, abs=1e-5)
    np.testing.assert_allclose(frame(weighted)["standard_error"], frame(single)["standard_error"], rtol=1e-4)
    unweighted = stand_in(fitter, data=fitter.data.drop(columns="weights"))
    with pytest.raises(FitError):  # the negative control: without its weights these are other data
        from_lifetimes(unweighted, **SETTING)


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back(name, history, fits):
    model = fits[name]
    purchases, spend = to_lifetimes(model, history)
    again = from_lifetimes(stripped(purchases), stripped(spend), **SETTING, draws=4000)
    assert type(purchases).__name__ == FITTERS[name]
    assert again.report.log_likelihood == pytest.approx(model.report.log_likelihood, abs=1e-9)
    for column, tolerance in (("estimate", 1e-12), ("standard_error", 1e-5), ("lower", 1e-5), ("upper", 1e-5)):
        np.testing.assert_allclose(frame(again)[column], frame(model)[column], rtol=tolerance)
    errors = frame(model)["standard_error"]
    for fitter in (purchases, spend):  # of 4,000 draws
        np.testing.assert_allclose(fitter.standard_errors_, errors[fitter.params_.index], rtol=0.1)
        assert fitter.variance_matrix_.equals(fitter.variance_matrix_.T)
        assert list(fitter.summary.columns) == ["coef", "se(coef)", "lower 95% bound", "upper 95% bound"]
    assert str(purchases).startswith(f"<lifetimes.{FITTERS[name]}: fitted with 2357 subjects")


@pytest.mark.parametrize("name", MODELS)
def test_the_fitter_predicts_as_the_model_does(name, history, fits):
    model = fits[name]
    purchases, spend = to_lifetimes(model)
    assert not hasattr(purchases, "data")
    module = transaction_model(name)
    table = history.table.head(300)
    rows = [table[column].to_numpy() for column in ("frequency", "recency", "T")]
    with quiet():
        expected = np.asarray(purchases.predict(39.0, *rows))
        alive = purchases.conditional_probability_alive(*rows)
        value = spend.customer_lifetime_value(
            purchases, *(table[c] for c in ("frequency", "recency", "T", "monetary_value")), time=3, freq="W"
        )
    np.testing.assert_allclose(expected, module.expected_purchases(model.estimate, *rows, horizon=39.0), rtol=1e-9)
    np.testing.assert_allclose(alive, module.p_alive(model.estimate, *rows), rtol=1e-9)
    assert (value[table["frequency"] > 0] > 0.0).all()


def test_plots_of_lifetimes_find_their_data(history, fits):
    fitter, _ = to_lifetimes(fits["bg_nbd"], history)
    with quiet():
        matrix = fitter.conditional_probability_alive_matrix()
    assert matrix.shape == (39, 30)  # 0..38 whole weeks, 0..29 purchases
    assert ((matrix > 0.0) & (matrix <= 1.0)).all()


def test_an_imported_model_can_be_saved_and_forecast(fitters, spend_fitter, history, tmp_path):
    model = from_lifetimes(fitters["bg_nbd"], spend_fitter, **SETTING, draws=200)
    clv.save(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.draws.to_frame().equals(model.draws.to_frame())
    table = forecast(loaded, history, horizons=["39 weeks"], discount_rate_annual=0.1, draws=200).customers
    with quiet():
        x, t_x, T = (history.table[column].to_numpy() for column in ("frequency", "recency", "T"))
        theirs = float(np.sum(fitters["bg_nbd"].predict(39.0, x, t_x, T)))
    # a mean over parameter draws against lifetimes' plug-in value
    assert table["expected_purchases"].sum() == pytest.approx(theirs, rel=0.02)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "gamma_gamma"])
def test_without_data_the_variance_matrix_is_put_right(name, fitters, spend_fitter):
    whole = from_lifetimes(fitters.get(name, fitters["bg_nbd"]), spend_fitter, **SETTING)
    bare = from_lifetimes(
        stand_in(fitters.get(name, fitters["bg_nbd"]), data=None), stand_in(spend_fitter, data=None), **SETTING
    )
    columns = ["estimate", "standard_error", "lower", "upper"]
    np.testing.assert_allclose(frame(bare)[columns], frame(whole)[columns], rtol=1e-4)
    np.testing.assert_allclose(bare.report.parts[0].correlations, whole.report.parts[0].correlations, atol=1e-4)
    np.testing.assert_allclose(bare.report.parts[1].correlations, whole.report.parts[1].correlations, atol=1e-4)
    np.testing.assert_allclose(bare.draws.to_frame(), whole.draws.to_frame(), rtol=1e-3)
    assert np.isnan(bare.report.log_likelihood)
    assert "saved without its data" in bare.report.notes[0]


def test_without_data_there_and_back(fits):
    model = fits["pareto_nbd"]
    again = from_lifetimes(*map(stripped, to_lifetimes(model)), **SETTING)
    np.testing.assert_allclose(frame(again)["estimate"], frame(model)["estimate"], rtol=1e-12)
    np.testing.assert_allclose(frame(again)["standard_error"], frame(model)["standard_error"], rtol=0.1)
    ours, theirs = (one.report.purchases.correlations.to_numpy() for one in (again, model))
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_without_data_and_variance_matrix_nothing_can_be_drawn(fitters):
    with pytest.raises(FitError, match="ParetoNBDFitter has neither its data nor a variance matrix"):
        from_lifetimes(stand_in(fitters["pareto_nbd"], data=None), **SETTING)
    crossed = pd.DataFrame(np.ones((4, 4)), index=list("abcd"))
    with pytest.raises(FitError, match="not positive definite"):
        from_lifetimes(stand_in(fitters["bg_nbd"], data=None, variance_matrix_=crossed), **SETTING)


@pytest.mark.parametrize("name", MODELS)
def test_a_penalised_fit_keeps_its_estimates_and_says_so(name, lifetimes, cdnow, fitters):
    with quiet():
        fitter = getattr(lifetimes, FITTERS[name])(penalizer_coef=0.01).fit(
            cdnow["frequency"], cdnow["recency"], cdnow["T"], initial_params=_start(name, fitters[name])
        )
    model = from_lifetimes(fitter, **SETTING)
    assert float(model.estimate.r) == fitter.params_["r"]
    assert model.report.status is FitStatus.CONVERGED
    assert "of the penalised likelihood" in model.report.message
    assert "penalised this fit with 0.01 times" in model.report.notes[0]
    assert model.report.log_likelihood < from_lifetimes(fitters[name], **SETTING).report.log_likelihood
    if name == "bg_nbd":
        np.testing.assert_allclose(
            frame(model).loc[list(fitter.params_.index), "standard_error"], fitter.standard_errors_, rtol=1e-4
        )
        with pytest.raises(FitError, match="likelihood"):  # the negative control: the penalty forgotten
            from_lifetimes(stand_in(fitter, penalizer_coef=0.0), **SETTING)


def _start(name, fitter):
    """Pareto/NBD starts from random numbers otherwise; it divides time by the largest T."""
    if name != "pareto_nbd":
        return None
    return fitter.params_.to_numpy() * np.array([1.0, fitter._scale, 1.0, fitter._scale])


def test_a_penalised_spend_fit(lifetimes, cdnow, fitters):
    repeaters = cdnow[cdnow["frequency"] > 0]
    with quiet():
        fitter = lifetimes.GammaGammaFitter(penalizer_coef=0.001).fit(
            repeaters["frequency"], repeaters["monetary_value"]
        )
    model = from_lifetimes(fitters["bg_nbd"], fitter, **SETTING)
    np.testing.assert_allclose(frame(model).loc[["p", "q", "v"], "standard_error"], fitter.standard_errors_, rtol=1e-4)
    assert model.report.notes[0].startswith("gamma_gamma: lifetimes penalised this fit")


@pytest.mark.parametrize("method", ["mle", "laplace"])
def test_a_fit_of_single_orders_there_and_back(method):
    history = clv.purchase_history(clv.load_cdnow("1/10"), as_of=AS_OF)
    model = fit(history, method=method, compare=False)
    with quiet():
        bought, spent = to_lifetimes(model, history)
    back = from_lifetimes(*map(copy.deepcopy, (bought, spent)), **SETTING)
    assert (back.estimate, back.spend_estimate) == (model.estimate, model.spend_estimate)
    assert (back.spend_from, back.spend_level) == (model.spend_from, model.spend_level) == ("repeat+first", "orders")
    assert back.parameters.equals(model.parameters) and back.report.message == model.report.message
    assert all("taken back as it was" in note for note in back.report.notes)
    ours, again = (clv.forecast(one, history, horizons=["12 months"], draws=200) for one in (model, back))
    pd.testing.assert_frame_equal(again.customers, ours.customers, rtol=1e-12)
    assert from_lifetimes(bought, spent, **SETTING, draws=70).draws.n_draws == 70
    with pytest.raises(DomainError, match="made of a model per week"):
        from_lifetimes(bought, spent, unit="day", as_of=AS_OF)
    for changed in (stand_in(spent, params_=spent.params_ * 1.05), stripped(spent)):
        with pytest.raises(FitError, match="off the maximum"):
            from_lifetimes(bought, changed, **SETTING)


def test_a_failed_fit_comes_back_failed(history, fits):
    model = fits["bg_nbd"]
    part = dataclasses.replace(model.report.purchases, status=FitStatus.FAILED, message="It stopped short.")
    model = dataclasses.replace(model, report=dataclasses.replace(model.report, purchases=part))
    bought, spent = to_lifetimes(model, history)
    with pytest.raises(FitError, match="It stopped short"):
        from_lifetimes(bought, spent, **SETTING)
    assert from_lifetimes(bought, spent, **SETTING, allow_unconverged=True).report.status is FitStatus.FAILED


def test_groups_do_not_fit_into_a_fitter(fits):
    structure = types.SimpleNamespace(groups=(types.SimpleNamespace(name="region"),), covariates=())
    draws = dataclasses.replace(fits["bg_nbd"].draws, hierarchy=types.SimpleNamespace(structure=structure))
    with pytest.raises(DomainError, match=r"same parameters for everyone.*by region"):
        to_lifetimes(dataclasses.replace(fits["bg_nbd"], draws=draws))


def test_estimates_off_the_maximum_are_refused(fitters):
    moved = stand_in(fitters["bg_nbd"], params_=fitters["bg_nbd"].params_ * 1.05)
    with pytest.raises(FitError, match=r"standard errors off the maximum of the likelihood.*Fit here instead"):
        from_lifetimes(moved, **SETTING)
    model = from_lifetimes(moved, **SETTING, allow_unconverged=True)
    assert model.report.status is FitStatus.FAILED
    assert float(model.estimate.r) == moved.params_["r"]
    barely = stand_in(fitters["bg_nbd"], params_=fitters["bg_nbd"].params_ * np.array([1.001, 1.001, 1.0, 1.0]))
    assert from_lifetimes(barely, **SETTING).report.status is FitStatus.CONVERGED


@pytest.fixture(scope="module")
def immortals():
    """Customers who never leave: the last of ``count`` uniform purchase times is a Beta(count, 1) share of T."""
    rng = np.random.default_rng(4)
    T = np.full(150, 40.0)
    count = rng.poisson(rng.gamma(2.0, 0.1, size=150) * T)
    recency = np.where(count > 0, T * rng.beta(np.maximum(count, 1), 1.0), 0.0)
    data = pd.DataFrame({"frequency": count, "recency": recency, "T": T, "weights": 1})
    history = history_from_summary(data.assign(customer_id=range(150)), **SETTING, monetary_value=None)
    fitted = fit(history, purchases="bg_nbd", spend=None, compare=False, draws=100)
    assert fitted.report.status is FitStatus.BOUNDARY
    return data, pd.Series({name: float(getattr(fitted.estimate, name)) for name in ("r", "alpha", "a", "b")})


def test_data_without_dropout_give_a_boundary_and_laplace_draws(fitters, immortals):
    """A fitter whose a/(a+b) ran to 0: its Hessian would give standard errors without meaning."""
    data, params = immortals
    model = from_lifetimes(stand_in(fitters["bg_nbd"], params_=params, data=data), **SETTING, draws=100)
    assert model.report.status is FitStatus.BOUNDARY
    assert model.draws.kind == LAPLACE
    assert "no dropout" in model.report.message
    assert np.isnan(frame(model).loc["a", "standard_error"])


def test_a_boundary_does_not_hide_estimates_off_the_supremum(fitters, immortals):
    data, params = immortals
    moved = stand_in(fitters["bg_nbd"], params_=params * np.array([1.5, 1.0, 1.0, 1.0]), data=data)
    with pytest.raises(FitError, match="standard errors off the maximum"):
        from_lifetimes(moved, **SETTING)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "weeks"}, "The unit must be one of"),
        ({"as_of": 19970930}, "as_of must be a day"),
        ({"spend_from": "auto"}, "spend_from must be"),
        ({"draws": 0}, "draws must be a whole number of at least 1"),
        ({"rng": -1}, "rng must be"),
    ],
)
def test_options_are_checked(change, message, fitters):
    with pytest.raises(DomainError, match=message):
        from_lifetimes(fitters["bg_nbd"], **(SETTING | change))


def test_other_objects_are_refused(lifetimes, fitters, spend_fitter):
    with pytest.raises(DomainError, match=r"purchases_fitter must be fitted.*fit method"):
        from_lifetimes(lifetimes.BetaGeoFitter(), **SETTING)
    with pytest.raises(DomainError, match=r"BetaGeoFitter or ModifiedBetaGeoFitter.*Got: GammaGammaFitter"):
        from_lifetimes(spend_fitter, **SETTING)
    with pytest.raises(DomainError, match=r"spend_fitter must be a fitted GammaGammaFitter.*Got: BetaGeoFitter"):
        from_lifetimes(fitters["bg_nbd"], fitters["bg_nbd"], **SETTING)
    nameless = stand_in(fitters["bg_nbd"], params_=pd.Series({"r": 1.0}))
    with pytest.raises(DomainError, match="has the parameters r, alpha, a, b"):
        from_lifetimes(nameless, **SETTING)


def test_data_in_another_unit_are_refused(history, fits):
    daily = dataclasses.replace(history, unit="day")
    with pytest.raises(DomainError, match="a history in days and a model per week"):
        to_lifetimes(fits["bg_nbd"], daily)
