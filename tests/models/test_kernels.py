"""The compiled sums against the likelihoods of single customers, which have their own oracles."""

import numpy as np
import pytest
from scipy.special import digamma

from clv_forecast.models import bg_nbd, gamma_gamma, kernels, mbg_nbd, pareto_nbd
from clv_forecast.models.kernels import purchase_tables, spend_tables

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
    """Free vectors over ten orders of magnitude of the parameters, as a fit may meet at a boundary."""
    return np.random.default_rng(seed).normal(0.0, 4.0, (count, fields))


def sums(kernel, thetas, tables):
    return np.array([kernel(theta[None], tables, False)[0] for theta in thetas])


@pytest.mark.parametrize("rows", [EDGES, many_rows(), many_rows(step=0.5), many_rows(step=1e-6)[:, :200]])
@pytest.mark.parametrize("model", [bg_nbd, mbg_nbd, pareto_nbd], ids=lambda model: model.TITLE)
def test_purchases(rows, model):
    frequency, recency, T, weights = rows
    thetas = spread()
    single = model.log_likelihood(model.constrain(thetas), frequency, recency, T) @ weights
    found = sums(model.log_likelihood_of_cells, thetas, purchase_tables(*rows))
    np.testing.assert_allclose(found, single, rtol=1e-11)


def test_one_chance_more_to_leave_is_another_model():
    thetas = spread()
    one, other = (sums(m.log_likelihood_of_cells, thetas, purchase_tables(*EDGES)) for m in (bg_nbd, mbg_nbd))
    assert (np.abs(other / one - 1.0) > 1e-9).all()


def test_equal_scales_and_a_loyal_base_in_pareto():
    params = pareto_nbd.Params([[0.6], [1e6]], [[9.0], [1e6]], [[0.5], [1e-6]], [[9.0], [1e6]])
    found = sums(pareto_nbd.log_likelihood_of_cells, pareto_nbd.unconstrain(params), purchase_tables(*EDGES))
    single = pareto_nbd.log_likelihood(params, *EDGES[:3]) @ EDGES[3]
    np.testing.assert_allclose(found, single, rtol=1e-12)


@pytest.mark.parametrize("level", ["orders", "means"])
def test_spend(level):
    rng = np.random.default_rng(3)
    n = 1.0 + rng.poisson(2.0, 800)
    total, weights = n * rng.lognormal(0.0, 1.0, 800), rng.integers(1, 3, 800).astype(float)
    sum_log = n * np.log(total / n) - rng.uniform(0.0, 1.0, 800) * (n > 1)
    thetas = spread(fields=3)
    params = gamma_gamma.constrain(thetas)
    if level == "orders":
        logs, left_out = sum_log, sum_log
        single = gamma_gamma.log_likelihood_orders(params, n, total, sum_log)
    else:
        logs, left_out = n * np.log(total), np.log(total / n)
        single = gamma_gamma.log_likelihood(params, n, total / n)
    found = sums(gamma_gamma.KERNELS[level], thetas, spend_tables(n, total, logs, weights))
    np.testing.assert_allclose(found - weights @ left_out, single @ weights, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("model", [bg_nbd, mbg_nbd, pareto_nbd], ids=lambda model: model.TITLE)
def test_cells_are_sums_of_their_own_customers(model):
    rows = many_rows()
    cell = np.random.default_rng(4).integers(3, size=rows.shape[1])
    thetas = 0.3 * spread(count=3)
    value, gradient = model.log_likelihood_of_cells(thetas, purchase_tables(*rows, cell), True)
    alone = [model.log_likelihood_of_cells(thetas[[c]], purchase_tables(*rows[:, cell == c]), True) for c in range(3)]
    np.testing.assert_allclose(value, sum(one for one, _ in alone), rtol=1e-12)
    np.testing.assert_allclose(gradient, np.concatenate([one for _, one in alone]), rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("model", [bg_nbd, mbg_nbd, pareto_nbd], ids=lambda model: model.TITLE)
def test_the_value_is_the_same_without_its_gradient(model):
    for theta in 0.5 * spread(count=20):
        asked, alone = (
            model.log_likelihood_of_cells(theta[None], purchase_tables(*EDGES), wanted)[0] for wanted in (True, False)
        )
        np.testing.assert_allclose(asked, alone, rtol=1e-13)


def test_rows_are_shared_and_nothing_depends_on_their_order():
    rows = many_rows()
    once, order = purchase_tables(*rows), np.random.default_rng(1).permutation(rows.shape[1])
    for table, shuffled in zip(once, purchase_tables(*rows[:, order]), strict=True):
        np.testing.assert_array_equal(table, shuffled)
    twice = purchase_tables(*np.concatenate([rows, rows], axis=1))
    np.testing.assert_array_equal(twice.rows[:, :4], once.rows[:, :4])
    np.testing.assert_array_equal(twice.rows[:, 4], 2.0 * once.rows[:, 4])
    np.testing.assert_array_equal(twice.steps[:, 2], 2.0 * once.steps[:, 2])


def test_digamma_is_scipys():
    x = np.concatenate([np.logspace(-6, 8, 300), [1.0, 1.4616321449683623, 9.999999, 10.0]])
    ours = np.array([kernels.digamma(value) for value in x])
    np.testing.assert_allclose(ours, digamma(x), rtol=2e-14, atol=2e-15)
