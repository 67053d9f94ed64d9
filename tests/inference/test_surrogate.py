"""The density of proposals from a checked polynomial: the same draws as from exact evaluation, or exact evaluation."""

from dataclasses import replace

import numpy as np
import pytest

from clv_forecast import threads
from clv_forecast.inference import surrogate
from clv_forecast.inference.laplace import laplace_posterior
from clv_forecast.inference.problem import purchase_problem, spend_problem
from clv_forecast.inference.sufficient import compress, spend_data
from tests.inference.simulated import cdnow_sample, simulate_purchases

DEAR = 1e12  # nanoseconds of an evaluation: never affordable


@pytest.fixture(scope="module")
def cdnow():
    table = cdnow_sample().table
    rows = compress(table["frequency"], table["recency"], table["T"])
    amounts = spend_data(table, "auto")
    problems = {name: purchase_problem(name, rows) for name in ("bg_nbd", "mbg_nbd", "pareto_nbd")}
    return problems | {"gamma_gamma": spend_problem(amounts.rows, orders=amounts.level == "orders")}


@pytest.fixture(scope="module")
def loyal():
    """Nobody leaves: dropout runs to its boundary, the posterior has long curved tails."""
    customers = simulate_purchases(np.random.default_rng(2), 400, r=2.0, alpha=20.0, a=0.0, b=1.0, length=60.0)
    return purchase_problem("bg_nbd", compress(*customers))


def posterior(problem, *, nanoseconds, draws=1000, seed=1):
    return laplace_posterior(
        replace(problem, nanoseconds=nanoseconds), draws=draws, generator=np.random.default_rng(seed)
    )


def standard_difference(first, second, statistic):
    return np.max(np.abs(statistic(first) - statistic(second)) / first.std(axis=0))


def assert_alike(exact, quick):
    assert abs(exact.k_hat - quick.k_hat) < 0.05
    assert standard_difference(exact.draws, quick.draws, lambda d: d.mean(axis=0)) < 4 * np.sqrt(2 / len(exact.draws))
    np.testing.assert_allclose(quick.draws.std(axis=0), exact.draws.std(axis=0), rtol=0.1)
    for share in (0.05, 0.25, 0.75, 0.95):
        assert standard_difference(exact.draws, quick.draws, lambda d, p=share: np.quantile(d, p, axis=0)) < 0.25


def in_common(first, second):
    return len({tuple(draw) for draw in first.draws} & {tuple(draw) for draw in second.draws}) / len(first.draws)


@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd", "gamma_gamma"])
def test_the_surrogate_resamples_the_proposals_that_exact_weights_do(cdnow, model):
    exact, quick = (posterior(cdnow[model], nanoseconds=cost) for cost in (0.0, DEAR))
    assert exact.evaluation == "exact"
    assert exact.density_error == 0.0
    assert quick.evaluation.startswith("surrogate, checked to 0.00")
    assert 0.0 < quick.density_error < 0.005
    assert quick.proposal == exact.proposal
    assert in_common(exact, quick) > 0.98
    assert_alike(exact, quick)


def test_the_adapted_mixture_of_pareto_goes_through_the_surrogate_too(cdnow):
    exact, quick = (posterior(cdnow["pareto_nbd"], nanoseconds=cost, draws=500) for cost in (0.0, DEAR))
    assert quick.evaluation.startswith("surrogate")
    assert_alike(exact, quick)


def test_a_posterior_with_long_tails_falls_back_to_exact_evaluation(loyal):
    exact, quick = (posterior(loyal, nanoseconds=cost) for cost in (0.0, DEAR))
    assert quick.evaluation == "exact"
    np.testing.assert_array_equal(quick.draws, exact.draws)
    assert quick.k_hat == exact.k_hat


def spoiled(change):
    def fitted(points, values, weights, *, monomials):
        polynomial = honest(points, values, weights, monomials=monomials)
        return lambda points: change(points, polynomial(points))

    honest = surrogate.fitted
    return fitted


SPOILED = {
    "tilted": lambda points, values: values + 2.0 * points[:, 0],
    "wavy": lambda points, values: values + 0.05 * np.sin(20.0 * points[:, 1]),
    "a peak where there is none": lambda points, values: values + 60.0 * (points[:, 0] > 0.7),
    "a part left out": lambda points, values: values - 5.0 * (points[:, 2] > 0.15),
    "not a number": lambda points, values: np.where(points[:, 0] > 0.1, np.nan, values),
}


@pytest.mark.parametrize("change", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_surrogate_is_caught(cdnow, change, monkeypatch):
    monkeypatch.setattr(surrogate, "fitted", spoiled(change))
    caught = posterior(cdnow["bg_nbd"], nanoseconds=DEAR)
    monkeypatch.undo()
    assert caught.evaluation == "exact"
    np.testing.assert_array_equal(caught.draws, posterior(cdnow["bg_nbd"], nanoseconds=0.0).draws)


def test_a_spoiled_surrogate_would_have_been_believed_without_the_check(cdnow, monkeypatch):
    monkeypatch.setattr(surrogate, "fitted", spoiled(SPOILED["tilted"]))
    monkeypatch.setattr(surrogate, "TOLERANCE", np.inf)
    monkeypatch.setattr(surrogate, "WORST", np.inf)
    believed = posterior(cdnow["bg_nbd"], nanoseconds=DEAR)
    assert believed.evaluation.startswith("surrogate")
    assert in_common(believed, posterior(cdnow["bg_nbd"], nanoseconds=0.0)) < 0.98


def test_the_seed_decides_and_threads_do_not(cdnow, monkeypatch):
    first, other = (posterior(cdnow["mbg_nbd"], nanoseconds=DEAR, seed=seed) for seed in (1, 2))
    assert in_common(first, other) == 0.0
    monkeypatch.setattr(threads, "number_of_threads", lambda: 1)
    again = posterior(cdnow["mbg_nbd"], nanoseconds=DEAR)
    np.testing.assert_array_equal(again.draws, first.draws)
    assert again.k_hat == first.k_hat


def test_only_a_few_proposals_are_evaluated_exactly(cdnow):
    seen = []

    def values(thetas):
        seen.append(len(thetas))
        return cdnow["bg_nbd"].values(thetas)

    result = posterior(replace(cdnow["bg_nbd"], values=values), nanoseconds=DEAR)
    assert result.evaluation.startswith("surrogate")
    assert sum(seen) < 0.05 * result.proposals


def test_cheap_likelihoods_are_evaluated_exactly_by_themselves(cdnow):
    assert posterior(cdnow["gamma_gamma"], nanoseconds=cdnow["gamma_gamma"].nanoseconds).evaluation == "exact"


def test_a_narrower_prior_drives_the_surrogate_as_it_drives_exact_evaluation(cdnow):
    problem = cdnow["bg_nbd"]
    narrow = replace(problem, prior_location=problem.prior_location + 1.0, prior_scale=0.05 * problem.prior_scale)
    exact, quick = (posterior(narrow, nanoseconds=cost) for cost in (0.0, DEAR))
    assert quick.evaluation.startswith("surrogate")
    assert in_common(exact, quick) > 0.98
    assert np.max(np.abs(quick.draws.mean(axis=0) - posterior(problem, nanoseconds=0.0).draws.mean(axis=0))) > 0.2


def test_least_squares_agrees_with_lapack_and_leaves_out_what_adds_nothing():
    rng = np.random.default_rng(1)
    points, weights = rng.standard_normal((300, 3)), rng.uniform(0.5, 1.0, 300)
    values = np.cos(points).sum(axis=1)
    monomials = surrogate.monomials_up_to(4, 3)
    polynomial = surrogate.fitted(points, values, weights, monomials=monomials)
    terms = np.ones((300, len(monomials)))
    for i in range(1, len(monomials)):
        terms[:, i] = terms[:, monomials.parent[i]] * points[:, monomials.coordinate[i]]
    best = np.linalg.lstsq(terms * weights[:, None], values * weights, rcond=None)[0]
    np.testing.assert_allclose(polynomial.coefficients, best, atol=1e-10)
    flat = surrogate.fitted(points * [1.0, 1.0, 0.0], values, weights, monomials=monomials)
    assert np.isfinite(flat.coefficients).all()


def test_progress_ends_at_ten_tenths(cdnow):
    seen = []
    laplace_posterior(
        replace(cdnow["bg_nbd"], nanoseconds=DEAR),
        draws=500,
        generator=np.random.default_rng(1),
        progress=lambda stage, done, total: seen.append((stage, done, total)),
    )
    assert seen == [("laplace", 0, 10), ("laplace", 10, 10)]
