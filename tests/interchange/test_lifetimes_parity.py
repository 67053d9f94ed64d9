"""The same numbers as lifetimes where lifetimes is right: CDNOW 1/10, its parameters, its functions, live."""

import numpy as np
import pytest

from clv_forecast.models import gamma_gamma, transaction_model
from tests.interchange.conftest import FITTERS, quiet

MODELS = tuple(FITTERS)


def params_of(name, fitter):
    module = transaction_model(name)
    return module, module.Params(*(fitter.params_[parameter] for parameter in module.PARAMETERS))


def columns(cdnow):
    return cdnow["frequency"].to_numpy(), cdnow["recency"].to_numpy(), cdnow["T"].to_numpy()


@pytest.mark.parametrize("name", MODELS)
def test_log_likelihood_of_every_customer(name, fitters, cdnow):
    module, params = params_of(name, fitters[name])
    # distinct rows only: lifetimes is asked one customer at a time
    rows = cdnow[["frequency", "recency", "T"]].drop_duplicates().iloc[::7].to_numpy()
    assert len(rows) > 100
    natural = fitters[name].params_.to_numpy()
    theirs = []
    with quiet():
        for x, t_x, T in rows:
            arguments = (np.array([x]), np.array([t_x]), np.array([T]))
            if name == "pareto_nbd":
                theirs.append(fitters[name]._conditional_log_likelihood(natural, *arguments)[0])
            else:
                theirs.append(-fitters[name]._negative_log_likelihood(np.log(natural), *arguments, np.ones(1), 0.0))
    np.testing.assert_allclose(module.log_likelihood(params, *rows.T), theirs, rtol=1e-10)


@pytest.mark.parametrize("horizon", [1.0, 39.0, 520.0])
@pytest.mark.parametrize("name", MODELS)
def test_expected_purchases_of_every_customer(name, horizon, fitters, cdnow):
    module, params = params_of(name, fitters[name])
    with quiet():
        theirs = np.asarray(fitters[name].conditional_expected_number_of_purchases_up_to_time(horizon, *columns(cdnow)))
    np.testing.assert_allclose(module.expected_purchases(params, *columns(cdnow), horizon=horizon), theirs, rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_p_alive_of_every_customer(name, fitters, cdnow):
    module, params = params_of(name, fitters[name])
    with quiet():
        theirs = fitters[name].conditional_probability_alive(*columns(cdnow))
    np.testing.assert_allclose(module.p_alive(params, *columns(cdnow)), theirs, rtol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_expected_purchases_of_a_new_customer(name, fitters):
    module, params = params_of(name, fitters[name])
    with quiet():
        theirs = [fitters[name].expected_number_of_purchases_up_to_time(time) for time in (1.0, 39.0, 520.0)]
    ours = [float(np.squeeze(module.expected_purchases_new(params, horizon=time))) for time in (1.0, 39.0, 520.0)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 20])
@pytest.mark.parametrize("name", MODELS)
def test_probability_of_n_purchases(name, n, fitters):
    module, params = params_of(name, fitters[name])
    with quiet():
        if name == "pareto_nbd":  # it has the conditional one only: a new customer is one of age 0
            theirs = fitters[name].conditional_probability_of_n_purchases_up_to_time(n, 39.0, 0, 0.0, 1e-12)
        else:
            theirs = fitters[name].probability_of_n_purchases_up_to_time(39.0, n)
    # Pareto/NBD at lifetimes' end is a difference of sums: it keeps 12 digits of 1
    np.testing.assert_allclose(np.squeeze(module.purchase_pmf(params, n, horizon=39.0)), theirs, rtol=1e-8, atol=1e-12)


def test_probability_of_no_purchase_pareto(fitters, cdnow):
    module, params = params_of("pareto_nbd", fitters["pareto_nbd"])
    some = [column[:200] for column in columns(cdnow)]
    with quiet():
        theirs = fitters["pareto_nbd"].conditional_probability_of_n_purchases_up_to_time(0, 10.0, *some)
    np.testing.assert_allclose(module.probability_no_purchase(params, *some, horizon=10.0), theirs, rtol=1e-8)


def test_expected_spend_and_its_likelihood(spend_fitter, cdnow):
    params = gamma_gamma.Params(*(spend_fitter.params_[name] for name in gamma_gamma.PARAMETERS))
    x, _, _ = columns(cdnow)
    money = cdnow["monetary_value"].to_numpy()
    with quiet():
        theirs = spend_fitter.conditional_expected_average_profit(cdnow["frequency"], cdnow["monetary_value"])
    np.testing.assert_allclose(gamma_gamma.expected_spend(params, x, money), theirs, rtol=1e-12)
    again = x > 0
    total = gamma_gamma.log_likelihood(params, x[again], money[again]).sum()
    assert total == pytest.approx(-spend_fitter._negative_log_likelihood_ * again.sum(), rel=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_our_maximum_is_theirs_and_not_lower(name, fits, fitters, cdnow):
    module, theirs = params_of(name, fitters[name])
    at_theirs = module.log_likelihood(theirs, *columns(cdnow)).sum()
    gain = fits[name].report.log_likelihood - at_theirs
    assert -1e-8 < gain < 1e-4
    # Nelder-Mead stops at 1e-4 of the log-likelihood: 3 digits of Pareto/NBD's weakest parameter
    ours = [float(getattr(fits[name].estimate, parameter)) for parameter in module.PARAMETERS]
    np.testing.assert_allclose(ours, fitters[name].params_, rtol=2e-3 if name == "pareto_nbd" else 2e-5)


def test_our_spend_maximum_is_theirs_and_not_lower(fits, spend_fitter):
    repeaters = 946
    theirs = -spend_fitter._negative_log_likelihood_ * repeaters
    report = fits["bg_nbd"].report.spend
    assert report.n_customers == repeaters
    assert -1e-8 < report.log_likelihood - theirs < 1e-5
    ours = [float(getattr(fits["bg_nbd"].spend_estimate, name)) for name in gamma_gamma.PARAMETERS]
    np.testing.assert_allclose(ours, spend_fitter.params_, rtol=1e-5)
