import numpy as np
import pytest
from scipy.optimize import approx_fprime

from clv_forecast import threads
from clv_forecast.inference.problem import purchase_problem, spend_problem
from clv_forecast.inference.sufficient import compress, compress_spend
from clv_forecast.models import TRANSACTION_MODELS
from tests.inference.simulated import cdnow_sample, simulate_purchases, simulate_spend

MODELS = sorted(TRANSACTION_MODELS)


@pytest.fixture(scope="module")
def customers():
    return simulate_purchases(np.random.default_rng(5), 300, r=0.5, alpha=6.0, a=0.8, b=2.0, length=60.0)


def problems(customers, factor=1.0):
    frequency, recency, T = customers
    for model in MODELS:
        yield purchase_problem(model, compress(frequency, recency * factor, T * factor))
    n, total, sum_log = simulate_spend(np.random.default_rng(6), frequency, p=6.0, q=4.0, v=15.0)
    yield spend_problem(compress_spend(n, total * factor, sum_log + n * np.log(factor)), orders=True)
    yield spend_problem(compress_spend(n, total * factor), orders=False)


def test_gradient_and_jacobian_agree_with_finite_differences(customers):
    for problem in problems(customers):
        theta = problem.starts[0] + 0.1
        numeric = approx_fprime(theta, lambda t, p=problem: p.value_gradient(t)[0], 1e-6)
        np.testing.assert_allclose(problem.value_gradient(theta)[1], numeric, rtol=1e-4, atol=1e-2)

        def natural(t, problem=problem):
            return np.array([float(getattr(problem.constrain(t), name)) for name in problem.parameters])

        np.testing.assert_allclose(problem.jacobian(theta), approx_fprime(theta, natural, 1e-7), rtol=1e-4, atol=1e-4)


def test_values_agree_with_the_gradients_value_draw_by_draw(customers):
    for problem in problems(customers):
        thetas = np.array([*problem.starts, problem.prior_location])
        single = [problem.value_gradient(theta)[0] for theta in thetas]
        np.testing.assert_allclose(problem.values(thetas), single, rtol=1e-11)


def test_cents_and_hours_change_nothing_but_the_offset(customers):
    for problem, other in zip(problems(customers), problems(customers, factor=128.0), strict=True):
        theta = problem.starts[0]
        np.testing.assert_allclose(other.starts[0], theta, rtol=1e-13)
        np.testing.assert_array_equal(other.prior_location, problem.prior_location)
        assert other.value_gradient(theta)[0] == pytest.approx(problem.value_gradient(theta)[0], rel=1e-12)


def test_log_likelihood_is_in_the_users_unit():
    table = cdnow_sample().table
    rows = compress(table["frequency"], table["recency"], table["T"])
    problem = purchase_problem("bg_nbd", rows)
    params = problem.constrain(problem.starts[0])
    direct = TRANSACTION_MODELS["bg_nbd"].log_likelihood(params, table["frequency"], table["recency"], table["T"])
    assert problem.value_gradient(problem.starts[0])[0] + problem.offset == pytest.approx(direct.sum(), rel=1e-12)


def test_weights_equal_repeated_rows(customers):
    frequency, recency, T = customers
    doubled = purchase_problem("bg_nbd", compress(*(np.repeat(c, 2) for c in customers)))
    once = purchase_problem("bg_nbd", compress(frequency, recency, T))
    theta = once.starts[0]
    assert doubled.n_rows == once.n_rows
    assert doubled.n_observations == 2 * once.n_observations
    assert doubled.value_gradient(theta)[0] == pytest.approx(2.0 * once.value_gradient(theta)[0], rel=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_the_prior_is_centred_on_the_rate_of_the_data_once_in_any_unit(model, customers):
    frequency, recency, T = customers
    for factor in (1.0, 7.0, 168.0):
        problem = purchase_problem(model, compress(frequency, recency * factor, T * factor))
        params = problem.constrain(problem.prior_location)
        assert float(params.r / params.alpha) == pytest.approx(frequency.sum() / (T.sum() * factor), rel=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_draws_are_summed_alone_whatever_the_number_of_threads(model, customers, monkeypatch):
    problem = purchase_problem(model, compress(*customers))
    thetas = problem.prior_location + np.random.default_rng(7).normal(size=(200, 4))
    together = problem.values(thetas)
    monkeypatch.setattr(threads, "number_of_threads", lambda: 1)
    np.testing.assert_array_equal(problem.values(thetas), together)
    np.testing.assert_array_equal(problem.values(thetas[50:60]), together[50:60])


@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd"])
def test_rows_of_one_frequency_share_its_factorials_without_changing_any_value(model, customers):
    module = TRANSACTION_MODELS[model]
    thetas = np.array([[0.0, 0.0, -1.0, 1.0], [0.3, 9.0, -20.0, 12.0], [-2.0, -4.0, 2.0, -3.0]])
    params = module.constrain(thetas)
    together = module.log_likelihood(params, *customers)
    alone = np.array([module.log_likelihood(params, *(column[[i]] for column in customers))[:, 0] for i in range(60)])
    np.testing.assert_allclose(together[:, :60], alone.T, rtol=1e-12)
    by_customer = module.Params(*(np.repeat(getattr(params, n), 300, axis=1) for n in module.PARAMETERS))
    np.testing.assert_allclose(module.log_likelihood(by_customer, *customers), together, rtol=1e-12)
