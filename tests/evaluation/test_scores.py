"""Scores against closed forms, quadrature and second methods; ties, zeros and single customers."""

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from clv_forecast.evaluation import scores
from clv_forecast.streams import KeyedStreams, customer_keys


@pytest.fixture(scope="module")
def generator():
    return np.random.default_rng(20)


def normal_crps(y):
    return y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)


def test_crps_of_few_draws_has_the_closed_form_as_its_mean(generator):
    """Fair: unbiased at five draws, where the plain form of an ensemble is far off (the negative control)."""
    y = np.full(40_000, 0.7)
    draws = np.sort(generator.normal(size=(len(y), 5)), axis=1)
    fair = scores.crps(y, draws)
    plain = fair + np.abs(draws[:, :, None] - draws[:, None, :]).sum(axis=(1, 2)) * (1 / (2 * 5 * 4) - 1 / (2 * 25))
    error = 4 * fair.std() / np.sqrt(len(y))
    assert fair.mean() == pytest.approx(normal_crps(0.7), abs=error)
    assert plain.mean() > normal_crps(0.7) + 10 * error


@pytest.mark.parametrize("y", [0, 1, 7])
def test_crps_of_counts_against_summation(generator, y):
    law = stats.poisson(2.5)
    n = np.arange(200)
    exact = ((law.cdf(n) - (n >= y)) ** 2).sum()
    draws = np.sort(law.rvs(size=(1, 400_000), random_state=generator), axis=1)
    assert scores.crps([y], draws)[0] == pytest.approx(exact, abs=0.01)


def test_crps_is_the_integral_over_the_empirical_distribution(generator):
    """The definition by quadrature, with the fair correction of the spread added back."""
    draws = np.sort(generator.gamma(2.0, size=12))
    spread = np.abs(draws[:, None] - draws).sum() * (1 / (2 * 12 * 11) - 1 / (2 * 144))
    edges = np.sort(np.append(draws, 1.3))

    def squared(z):
        return ((draws <= z).mean() - (z >= 1.3)) ** 2

    integral = sum(integrate.quad(squared, low, high)[0] for low, high in itertools.pairwise(edges) if high > low)
    assert scores.crps([1.3], draws[None, :])[0] == pytest.approx(integral - spread, abs=1e-9)


def test_crps_prefers_the_truth(generator):
    y = generator.normal(size=4000)
    score = {
        scale: scores.crps(y, np.sort(generator.normal(scale=scale, size=(4000, 60)), axis=1)).mean()
        for scale in (0.4, 1.0, 2.5)
    }
    assert score[1.0] == min(score.values())
    assert min(score[0.4], score[2.5]) > score[1.0] + 0.03


@pytest.mark.parametrize("draws", [9, 200])
@pytest.mark.parametrize("law", [stats.poisson(0.3), stats.nbinom(0.4, 0.2), stats.norm()])
def test_pit_is_uniform_for_honest_draws_only(generator, law, draws):
    size = 6000
    ordered = np.sort(law.rvs(size=(size, draws), random_state=generator), axis=1)
    actual, uniform = law.rvs(size=size, random_state=generator), generator.uniform(size=size)
    pit = scores.randomised_pit(actual, ordered, uniform)
    assert ((pit > 0) & (pit < 1)).all()
    assert stats.kstest(pit, "uniform").pvalue > 1e-3
    off = scores.randomised_pit(actual * 2 + 1, ordered, uniform)
    assert stats.kstest(off, "uniform").pvalue < 1e-9


def test_pit_of_ties_and_extremes():
    ordered = np.zeros((3, 4))
    assert scores.randomised_pit([0, 1, -1], ordered, [0.25, 0.5, 0.5]) == pytest.approx([0.25, 0.9, 0.1])


def test_uniforms_belong_to_the_customer():
    ids = ["c", "a", "b"]
    keys = customer_keys(5, ids)
    drawn = scores.keyed_uniforms(KeyedStreams(keys, 3), 1)
    alone = scores.keyed_uniforms(KeyedStreams(customer_keys(5, ["b"]), 3), 1)
    assert drawn[2] == alone[0]
    assert (drawn != scores.keyed_uniforms(KeyedStreams(keys, 3), 2)).all()
    assert (drawn != scores.keyed_uniforms(KeyedStreams(keys, 4), 1)).all()
    many = scores.keyed_uniforms(KeyedStreams(customer_keys(5, range(20_000))), 1)
    assert stats.kstest(many, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("count", [100, 101, 250])
def test_bands_are_the_forecasts_own(generator, count):
    from clv_forecast.forecasting.predictive import band

    draws = generator.poisson(3.0, size=(300, count))
    actual = generator.poisson(3.0, size=300)
    inside = scores.inside_bands(actual, np.sort(draws, axis=1))
    for k, prob in enumerate(scores.LEVELS):
        low, high = band(draws, prob)
        np.testing.assert_array_equal(inside[:, k], (low <= actual) & (actual <= high))


def test_coverage_and_the_level_needed(generator):
    pit = generator.uniform(size=20_000)
    assert scores.covered(pit, 0.8).mean() == pytest.approx(0.8, abs=0.01)
    assert scores.level_needed(pit, 0.9) == pytest.approx(0.9, abs=0.01)
    law = stats.norm(scale=2.0)  # the truth is twice as wide as the forecast
    narrow = stats.norm.cdf(law.rvs(size=20_000, random_state=generator))
    assert scores.level_needed(narrow, 0.9) == pytest.approx(
        stats.norm.cdf(2 * 1.645) - stats.norm.cdf(-2 * 1.645), abs=1e-3
    )
    assert np.isnan(scores.level_needed([], 0.9))


def test_ks_distance_is_scipys(generator):
    for size in (1, 2, 50):
        pit = generator.uniform(size=size)
        assert scores.ks_distance(pit) == pytest.approx(stats.kstest(pit, "uniform").statistic)
    assert np.isnan(scores.ks_distance([]))


def test_log_score_of_counts_is_close_to_the_mass_and_never_infinite(generator):
    law = stats.poisson(1.2)
    draws = law.rvs(size=(1, 200_000), random_state=generator)
    for y in (0, 1, 3):
        assert scores.log_score_counts([y], draws, [law.pmf(0)])[0] == pytest.approx(law.logpmf(y), abs=0.02)
    few = draws[:, :100]
    every = np.array([scores.log_score_counts([y], few, [law.pmf(0)])[0] for y in range(400)])
    assert np.isfinite(every).all() and np.exp(every).sum() == pytest.approx(1.0, abs=1e-9)
    silent = np.zeros((1, 100), dtype=int)
    assert np.isfinite(scores.log_score_counts([5], silent, [0.999])).all()


def test_log_score_prefers_the_truth(generator):
    y = generator.poisson(1.0, size=3000)
    score = {m: scores.log_score_counts(y, generator.poisson(m, size=(3000, 300)), np.full(3000, np.exp(-m))).mean()
             for m in (0.5, 1.0, 2.0)}  # fmt: skip
    assert score[1.0] == max(score.values())


def gini_by_lorenz(actual, expected):
    """The area between the curve of concentration and the diagonal, without ties."""

    def area(by):
        curve = np.cumsum(actual[np.argsort(-by)]) / actual.sum()
        return integrate.trapezoid(np.append(0.0, curve), dx=1 / len(actual)) - 0.5

    return area(expected) / area(actual)


def test_gini_is_the_area_under_the_curve_of_concentration(generator):
    actual = generator.gamma(0.3, size=500)
    expected = actual * generator.lognormal(sigma=1.0, size=500)
    assert scores.normalised_gini(actual, expected) == pytest.approx(gini_by_lorenz(actual, expected))
    assert scores.normalised_gini(actual, -actual) == pytest.approx(-1.0)
    assert abs(scores.normalised_gini(actual, generator.uniform(size=500))) < 0.2


def test_ordering_scores_share_ties_evenly(generator):
    actual = generator.poisson(0.7, size=400)
    expected = np.round(actual + generator.normal(size=400))
    shuffles = [generator.permutation(400) for _ in range(400)]
    ginis = [gini_by_lorenz(actual[s].astype(float), expected[s] + 1e-9 * np.arange(400)) for s in shuffles]
    assert np.mean(ginis) == pytest.approx(scores.normalised_gini(actual, expected), abs=0.01)
    order = shuffles[0]
    for function in (scores.normalised_gini, scores.top_share):
        assert function(actual[order], expected[order]) == pytest.approx(function(actual, expected), rel=1e-12)
    for a, b in zip(scores.deciles(actual, expected), scores.deciles(actual[order], expected[order]), strict=True):
        np.testing.assert_allclose(a, b)


def test_a_constant_forecast_orders_nothing():
    actual = np.array([3.0, 0.0, 1.0, 0.0, 0.0])
    assert scores.normalised_gini(actual, np.ones(5)) == pytest.approx(0.0)
    assert scores.top_share(actual, np.ones(5), 0.4) == pytest.approx(0.4)


def test_outcomes_that_are_all_zero_and_single_customers():
    zeros = np.zeros(20)
    assert np.isnan(scores.normalised_gini(zeros, np.arange(20)))
    assert np.isnan(scores.top_share(zeros, np.arange(20)))
    assert scores.deciles(zeros, np.arange(20))[2].sum() == 0.0
    assert np.isnan(scores.normalised_gini([4], [1.0]))
    assert scores.top_share([4], [1.0]) == pytest.approx(0.1)
    count, expected, actual = scores.deciles([4], [1.0])
    assert (count.sum(), expected.sum(), actual.sum()) == (1, 1.0, 4.0)
    assert scores.crps([0], np.zeros((1, 2)))[0] == 0.0
    assert np.isnan(scores.clustered_error([1.0]))


def test_deciles_keep_all_and_fall(generator):
    expected = generator.gamma(1.0, size=1003)
    actual = generator.poisson(expected)
    count, sums, came = scores.deciles(actual, expected)
    assert count.sum() == 1003 and set(count) == {100, 101}
    assert sums.sum() == pytest.approx(expected.sum()) and came.sum() == pytest.approx(actual.sum())
    assert (np.diff(sums / count) < 0).all()
    assert came[0] == pytest.approx(actual[np.argsort(-expected)[:101]].sum())


def test_clustered_errors_cover(generator):
    """Three windows of a customer share its effect: errors that ignore it cover too rarely (negative control)."""
    inside = {"clustered": 0, "alone": 0}
    for _ in range(400):
        values = (generator.normal(size=100)[:, None] + 0.3 * generator.normal(size=(100, 3))).ravel()
        cluster = np.repeat(np.arange(100), 3)
        inside["clustered"] += abs(values.mean()) < 1.96 * scores.clustered_error(values, cluster)
        inside["alone"] += abs(values.mean()) < 1.96 * scores.clustered_error(values)
    assert 365 <= inside["clustered"] <= 395
    assert inside["alone"] < 330
