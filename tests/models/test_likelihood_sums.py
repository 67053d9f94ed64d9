"""The summed likelihoods against the likelihoods of single rows, which have their own oracles."""

import numpy as np
import pytest

from clv_forecast import threads
from clv_forecast.models import bg_nbd, gamma_gamma, mbg_nbd, pareto_likelihood, pareto_nbd
from clv_forecast.models.beta_geometric import indexed_rows
from clv_forecast.models.beta_geometric import log_likelihood_sums as beta_geometric_sums
from clv_forecast.models.gamma_gamma_likelihood import log_likelihood_sums as gamma_gamma_sums
from clv_forecast.models.gamma_gamma_likelihood import spend_sums

# x = 0, x = 1, t_x = 0 with purchases, t_x = T, many purchases, T = 0; weights of one and of many
EDGES = np.array(
    [
        [0.0, 1.0, 1.0, 2.0, 3.0, 200.0, 200.0, 0.0, 2.0],
        [0.0, 5.0, 0.0, 30.0, 39.0, 38.0, 12.0, 0.0, 30.0],
        [39.0, 39.0, 39.0, 30.0, 39.0, 39.0, 39.0, 0.0, 39.0],
        [7.0, 1.0, 2.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0],
    ]
)


def many_rows(seed=1, step=1 / 7):
    rng = np.random.default_rng(seed)
    T = np.ceil(rng.uniform(10.0, 40.0, 3000) / step) * step
    frequency = rng.poisson(rng.gamma(0.5, 4.0, 3000)).astype(float)
    recency = np.where(frequency > 0, np.ceil(T * rng.uniform(size=3000) / step) * step, 0.0)
    return np.array([frequency, np.minimum(recency, T), T, rng.integers(1, 4, 3000)])


def spread(seed=2, fields=4, count=60):
    """Parameters over ten orders of magnitude, as a fit may meet at a boundary."""
    return [np.exp(column)[:, None] for column in np.random.default_rng(seed).normal(0.0, 4.0, (fields, count))]


def by_rows(module, params, rows):
    frequency, recency, T, weights = rows
    return np.sum(module.log_likelihood(params, frequency, recency, T) * weights, axis=1)


@pytest.mark.parametrize("rows", [EDGES, many_rows(), many_rows(step=0.5), many_rows(step=1e-6)[:, :200]])
@pytest.mark.parametrize(("module", "initial"), [(bg_nbd, 0), (mbg_nbd, 1)])
def test_beta_geometric(rows, module, initial):
    params = module.Params(*spread())
    sums = beta_geometric_sums(params, indexed_rows(*rows), initial)
    np.testing.assert_allclose(sums, by_rows(module, params, rows), rtol=1e-11)
    other = beta_geometric_sums(params, indexed_rows(*rows), 1 - initial)
    assert (np.abs(other / sums - 1.0) > 1e-9).all()


@pytest.mark.parametrize("rows", [EDGES, many_rows(), many_rows(step=0.5), many_rows(step=1e-6)[:, :200]])
def test_pareto(rows):
    params = pareto_nbd.Params(*spread())
    sums = pareto_likelihood.log_likelihood_sums(params, indexed_rows(*rows))
    np.testing.assert_allclose(sums, by_rows(pareto_nbd, params, rows), rtol=1e-11)


def test_equal_scales_and_a_loyal_base_in_pareto():
    params = pareto_nbd.Params([[0.6], [1e6]], [[9.0], [1e6]], [[0.5], [1e-6]], [[9.0], [1e6]])
    sums = pareto_likelihood.log_likelihood_sums(params, indexed_rows(*EDGES))
    np.testing.assert_allclose(sums, by_rows(pareto_nbd, params, EDGES), rtol=1e-12)


def test_a_table_over_times_pays_for_days_not_for_moments():
    assert pareto_likelihood.pays(indexed_rows(*many_rows()))
    assert not pareto_likelihood.pays(indexed_rows(*many_rows(step=1e-9)))


@pytest.mark.parametrize("orders", [True, False])
def test_gamma_gamma(orders):
    rng = np.random.default_rng(3)
    n = 1.0 + rng.poisson(2.0, 800)
    total, weights = n * rng.lognormal(0.0, 1.0, 800), rng.integers(1, 3, 800).astype(float)
    sum_log = n * np.log(total / n) - rng.uniform(0.0, 1.0, 800) * (n > 1)
    p, excess, v = spread(fields=3)
    params = gamma_gamma.Params(p, 1.0 + excess, v)
    if orders:
        rows = gamma_gamma.log_likelihood_orders(params, n, total, sum_log)
    else:
        rows = gamma_gamma.log_likelihood(params, n, total / n)
    sums = gamma_gamma_sums(params, spend_sums(n, total, sum_log, weights, orders=orders))
    np.testing.assert_allclose(sums, np.sum(rows * weights, axis=1), rtol=1e-9, atol=1e-6)


def test_draws_are_summed_alone_whatever_the_number_of_threads(monkeypatch):
    rows, params = indexed_rows(*many_rows()), [np.exp(0.3 * column) for column in np.log(spread(count=200))]
    functions = [
        lambda part: beta_geometric_sums(bg_nbd.Params(*part), rows, 0),
        lambda part: pareto_likelihood.log_likelihood_sums(pareto_nbd.Params(*part), rows),
    ]
    for function in functions:
        together = function(params)
        monkeypatch.setattr(threads, "number_of_threads", lambda: 1)
        np.testing.assert_array_equal(function(params), together)
        monkeypatch.undo()
        np.testing.assert_array_equal(function([field[50:60] for field in params]), together[50:60])


def test_scalar_parameters_are_one_draw():
    one = beta_geometric_sums(bg_nbd.Params(0.3, 5.0, 0.8, 2.5), indexed_rows(*EDGES), 0)
    assert one.shape == (1,)
