import numpy as np
import pytest
from scipy import optimize, stats

from clv_forecast.errors import DomainError, FitError
from clv_forecast.evaluation import stacking
from clv_forecast.evaluation.stacking import (
    stacked_log_density,
    stacking_replicates,
    stacking_weights,
)


def noisy(customers, models, scale, seed=1):
    return np.random.default_rng(seed).normal(0.0, scale, (customers, models))


def score(values, weights):
    return float(np.mean(stacked_log_density(values, weights)))


@pytest.mark.parametrize("scale", [0.02, 1.0, 300.0])
def test_no_point_of_a_grid_is_better(scale):
    values = noisy(400, 3, scale) + np.array([0.0, 0.1, -0.1]) * scale
    weights = stacking_weights(values)
    grid = [(i / 40, j / 40, (40 - i - j) / 40) for i in range(1, 40) for j in range(1, 40 - i)]
    scores = [score(values, point) for point in grid]
    assert score(values, weights) >= max(scores) - 1e-7
    nearest = np.array(grid[int(np.argmax(scores))])
    np.testing.assert_allclose(weights, nearest, atol=0.05)


@pytest.mark.parametrize(("customers", "models", "scale"), [(3, 6, 1.0), (500, 4, 2.0), (50, 2, 500.0), (1, 3, 1.0)])
def test_the_conditions_of_the_optimum_hold(customers, models, scale):
    """No model gains at the margin, and those in the mixture gain nothing."""
    values = noisy(customers, models, scale)
    weights = stacking_weights(values)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0.0).all()
    mixed = stacked_log_density(values, weights)
    marginal = np.exp(values - mixed[:, None]).mean(axis=0)
    assert marginal.max() <= 1.0 + 2e-7
    np.testing.assert_allclose(marginal[weights > 0.0], 1.0, atol=1e-4)


def test_a_known_mixture_is_found():
    """Data from 70 % of one density and 30 % of another."""
    rng = np.random.default_rng(5)
    first = rng.random(20_000) < 0.7
    y = np.where(first, rng.normal(0.0, 1.0, first.size), rng.normal(3.0, 0.5, first.size))
    densities = [stats.norm(0.0, 1.0), stats.norm(3.0, 0.5), stats.norm(-6.0, 1.0)]
    weights = stacking_weights(np.column_stack([density.logpdf(y) for density in densities]))
    np.testing.assert_allclose(weights, [0.7, 0.3, 0.0], atol=0.015)


def test_a_dominated_model_gets_nothing():
    values = noisy(1000, 1, 0.1) + np.array([0.0, -0.5, -3.0])
    assert stacking_weights(values).tolist() == [1.0, 0.0, 0.0]


def test_densities_far_apart_are_safe():
    values = np.array([[-1500.0, -2000.0], [-2000.0, -1500.0], [-1500.0, -2000.0]])
    weights = stacking_weights(values)
    np.testing.assert_allclose(weights, [2 / 3, 1 / 3], atol=1e-4)
    np.testing.assert_allclose(stacked_log_density(values, weights), -1500.0 + np.log(weights[[0, 1, 0]]))
    never = np.array([[-1.0, -np.inf], [-1.0, -0.5]])
    assert stacking_weights(never)[0] > 0.2
    assert stacked_log_density(never, [0.0, 1.0])[0] == -np.inf


def test_a_common_shift_of_a_customer_and_the_order_of_models_do_not_matter():
    values = noisy(200, 3, 1.0)
    weights = stacking_weights(values)
    np.testing.assert_allclose(stacking_weights(values - 1e3 * np.arange(200)[:, None]), weights, atol=1e-4)
    np.testing.assert_allclose(stacking_weights(values[:, [2, 0, 1]]), weights[[2, 0, 1]], atol=1e-4)


def test_counts_are_repeated_rows():
    values, times = noisy(60, 2, 1.0), np.arange(60) % 4
    np.testing.assert_allclose(
        stacking_weights(values, counts=times), stacking_weights(np.repeat(values, times, axis=0)), atol=1e-5
    )


def test_a_failed_search_is_repaired_and_a_failed_repair_refused(monkeypatch):
    values = noisy(300, 3, 1.0)
    weights = stacking_weights(values)

    def lost(function, start, **options):
        return optimize.OptimizeResult(x=np.array([np.nan, 1.0, 0.0]))

    monkeypatch.setattr(optimize, "minimize", lost)
    np.testing.assert_allclose(stacking_weights(values), weights, atol=1e-3)
    monkeypatch.setattr(stacking, "_REPAIRS", 2)
    with pytest.raises(FitError, match="short of the maximum"):
        stacking_weights(values)


def test_replicates_draw_whole_customers():
    """Rows copied to three origins say no more: the spread stays that of one origin."""
    values = noisy(300, 2, 0.5)
    once = stacking_replicates(values, np.arange(300), replicates=200, rng=2)
    thrice = stacking_replicates(np.tile(values, (3, 1)), np.tile(np.arange(300), 3), replicates=200, rng=3)
    as_if_apart = stacking_replicates(np.tile(values, (3, 1)), np.arange(900), replicates=200, rng=3)
    assert thrice.std(axis=0)[0] == pytest.approx(once.std(axis=0)[0], rel=0.2)
    assert as_if_apart.std(axis=0)[0] < 0.75 * once.std(axis=0)[0]
    np.testing.assert_allclose(once.sum(axis=1), 1.0)
    np.testing.assert_array_equal(once, stacking_replicates(values, np.arange(300), replicates=200, rng=2))


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: stacking_weights([1.0, 2.0]), "shape"),
        (lambda: stacking_weights(np.empty((0, 2))), "shape"),
        (lambda: stacking_weights([[np.nan, 1.0]]), "NaN under none"),
        (lambda: stacking_weights([[-np.inf, -np.inf]]), "finite log density under some model"),
        (lambda: stacking_weights([[0.0, 1.0]], counts=[-1.0]), "none negative"),
        (lambda: stacked_log_density([[0.0, 1.0]], [0.5, 0.6]), "adding up to one"),
        (lambda: stacked_log_density([[0.0, 1.0]], [1.0]), "2 numbers"),
        (lambda: stacking_replicates([[0.0, 1.0]], [1, 2]), "its customer"),
    ],
)
def test_what_it_refuses(call, rule):
    with pytest.raises(DomainError, match=rule):
        call()
