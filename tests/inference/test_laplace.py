import numpy as np
import pytest
from scipy import stats

from clv_forecast.errors import FitError
from clv_forecast.inference.laplace import asymptotic_draws, laplace_posterior
from tests.inference.made_up import from_gradient, made_up

COORDINATES = ("log_rate", "log_shape")
FLAT = (np.zeros(2), np.full(2, 1e6))


def rng(seed=1):
    return np.random.default_rng(seed)


def gaussian(covariance, centre=(0.5, -1.0), prior=FLAT):
    precision, centre = np.linalg.inv(covariance), np.asarray(centre)

    def value_gradient(theta):
        return float(-0.5 * (theta - centre) @ precision @ (theta - centre)), -precision @ (theta - centre)

    def values(thetas):
        return -0.5 * np.einsum("di,ij,dj->d", thetas - centre, precision, thetas - centre)

    return made_up(COORDINATES, value_gradient, values, start=centre + 0.1, prior=prior)


def skewed(shape):
    """Each coordinate the logarithm of a Gamma(shape, shape) variable: a long left tail for a small shape."""

    def value_gradient(theta):
        return float(np.sum(shape * (theta - np.exp(theta)))), shape * (1.0 - np.exp(theta))

    def values(thetas):
        return np.sum(shape * (thetas - np.exp(thetas)), axis=1)

    return made_up(COORDINATES, value_gradient, values, start=[0.2, 0.2], prior=FLAT)


def test_a_gaussian_posterior_is_drawn_right():
    covariance = np.array([[0.04, 0.03], [0.03, 0.09]])
    posterior = laplace_posterior(gaussian(covariance), draws=4000, generator=rng())
    assert posterior.reliable
    assert posterior.k_hat < 0.3
    assert posterior.proposals == 80_000
    np.testing.assert_allclose(posterior.draws.mean(axis=0), [0.5, -1.0], atol=4 * 0.3 / np.sqrt(4000))
    np.testing.assert_allclose(np.cov(posterior.draws.T), covariance, atol=0.008)


@pytest.mark.parametrize("shape", [0.7, 5.0])
def test_a_skewed_posterior_is_drawn_right_where_the_normal_would_be_wrong(shape):
    draws = laplace_posterior(skewed(shape), draws=2000, generator=rng()).draws
    truth = stats.loggamma(shape, scale=1.0, loc=-np.log(shape))
    normal = stats.norm(0.0, shape**-0.5)
    for column in draws.T:
        assert stats.kstest(column, truth.cdf).pvalue > 1e-3
        assert stats.kstest(column, normal.cdf).pvalue < 1e-3


def test_the_prior_counts_where_the_data_say_nothing():
    prior = (np.array([1.0, -2.0]), np.array([0.5, 0.8]))
    problem = gaussian(np.diag([1e8, 1e8]), prior=prior)
    draws = laplace_posterior(problem, draws=2000, generator=rng()).draws
    np.testing.assert_allclose(draws.mean(axis=0), prior[0], atol=0.08)
    np.testing.assert_allclose(draws.std(axis=0), prior[1], rtol=0.06)


def test_the_mode_weighs_data_against_prior():
    covariance = np.array([[0.04, 0.03], [0.03, 0.09]])
    prior = (np.array([1.0, -2.0]), np.array([0.5, 0.2]))
    mode = laplace_posterior(gaussian(covariance, prior=prior), draws=100, generator=rng()).mode
    by_data, by_prior = np.linalg.inv(covariance), np.diag(prior[1] ** -2.0)
    wanted = np.linalg.solve(by_data + by_prior, by_data @ [0.5, -1.0] + by_prior @ prior[0])
    np.testing.assert_allclose(mode.theta, wanted, atol=1e-5)
    np.testing.assert_allclose(-mode.hessian, by_data + by_prior, rtol=1e-5)


def test_draws_are_distinct_and_shuffled():
    draws = laplace_posterior(skewed(1.0), draws=1000, generator=rng()).draws
    assert len(np.unique(draws, axis=0)) == 1000
    halves = draws[:500, 0], draws[500:, 0]
    assert stats.ks_2samp(*halves).pvalue > 1e-3


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    first, again, other = (laplace_posterior(skewed(2.0), draws=200, generator=rng(seed)).draws for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()


def from_values(values):
    def value_gradient(theta):
        step = 1e-5 * np.eye(2)
        return float(values(theta[None])[0]), (values(theta + step) - values(theta - step)) / 2e-5

    return made_up(COORDINATES, value_gradient, values, start=[0.1, 0.1], prior=FLAT)


def test_a_narrow_peak_on_broad_shoulders_is_found_by_adaptation():
    """A normal approximation at the mode sees the peak only, a sixteenth of the width and half of the mass."""

    def values(thetas):
        parts = [stats.norm(0.0, sd).logpdf(thetas).sum(axis=1) for sd in (0.05, 0.8)]
        return np.logaddexp(*parts)

    posterior = laplace_posterior(from_values(values), draws=500, generator=rng())
    assert posterior.proposal == "adapted mixture"
    assert posterior.reliable
    variance = 0.5 * 0.05**2 + 0.5 * 0.8**2
    np.testing.assert_allclose(posterior.draws.var(axis=0), variance, rtol=0.25)


def test_a_posterior_beyond_the_reach_of_any_proposal_is_told_by_k_hat():
    """A ridge so long and so light that its tails are heavier than any t: weights have no finite mean."""

    def values(thetas):
        return -0.55 * np.log1p(np.sum((thetas / 1e-3) ** 2, axis=1) / 2)

    posterior = laplace_posterior(from_values(values), draws=500, generator=rng())
    assert not posterior.reliable
    assert posterior.k_hat > posterior.k_threshold


def test_a_coordinate_that_no_prior_holds_back_is_held_at_the_edge_of_the_box():
    def values(thetas):
        return -50.0 * (thetas[:, 0] - 0.2) ** 2 + 30.0 * thetas[:, 1]

    posterior = laplace_posterior(from_values(values), draws=500, generator=rng())
    assert (posterior.draws[:, 1] == 16.0).all()
    assert posterior.draws[:, 0].mean() == pytest.approx(0.2, abs=0.02)
    assert posterior.draws[:, 0].std() == pytest.approx(0.1, rel=0.15)


def test_no_mode_is_an_error():
    problem = from_gradient(COORDINATES, lambda t: (float(t.sum()), np.ones(2)), start=[0.0, 0.0], prior=FLAT)
    with pytest.raises(FitError, match="no mode"):
        laplace_posterior(problem, draws=100, generator=rng())


def test_asymptotic_draws_have_the_covariance_and_nest():
    covariance = np.array([[0.04, 0.03], [0.03, 0.09]])
    many = asymptotic_draws(np.array([1.0, 2.0]), covariance, 20_000, generator=rng())
    np.testing.assert_allclose(np.cov(many.T), covariance, rtol=0.05)
    np.testing.assert_allclose(many.mean(axis=0), [1.0, 2.0], atol=0.01)
    np.testing.assert_array_equal(asymptotic_draws(np.array([1.0, 2.0]), covariance, 50, generator=rng()), many[:50])


def test_progress_is_told_step_by_step_and_grows_with_another_set_of_proposals():
    def told(problem):
        seen = []
        posterior = laplace_posterior(
            problem, draws=500, generator=rng(), progress=lambda stage, done, total: seen.append((stage, done, total))
        )
        return posterior, seen

    posterior, seen = told(gaussian(np.eye(2)))
    assert posterior.proposal == "t"
    assert seen == [("laplace", done, 10) for done in range(11)]

    posterior, seen = told(from_values(lambda t: -0.55 * np.log1p(np.sum((t / 1e-3) ** 2, axis=1) / 2)))
    assert not posterior.reliable
    assert [total for _, _, total in seen] == [total for total in (10, 20, 30, 40, 50) for _ in range(11)]
    assert [done for _, done, _ in seen] == [start + step for start in (0, 10, 20, 30, 40) for step in range(11)]
