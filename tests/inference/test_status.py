import numpy as np
import pytest
from scipy.special import expit

from clv_forecast.inference.maximum_likelihood import box, maximise
from clv_forecast.inference.report import FitStatus, diagnose
from tests.inference.made_up import from_gradient

RATE_AND_DROPOUT = ("log_rate", "logit_dropout")


def diagnosed(problem):
    lower, upper = box(problem.coordinates)
    return diagnose(problem, maximise(problem.value_gradient, problem.starts, lower=lower, upper=upper))


def quadratic(precision, centre, coordinates=RATE_AND_DROPOUT):
    precision, centre = np.asarray(precision, float), np.asarray(centre, float)

    def value_gradient(theta):
        return float(-0.5 * (theta - centre) @ precision @ (theta - centre)), -precision @ (theta - centre)

    return from_gradient(coordinates, value_gradient, start=centre + 0.5)


def towards(strength, *, bump=0.0):
    """Rises as dropout falls to zero, by ``strength`` in all; ``bump`` adds a hill inside, that high."""

    def value_gradient(theta):
        rate, dropout = theta
        phi, hill = expit(dropout), bump * np.exp(-0.5 * (dropout + 2.0) ** 2)
        value = -50.0 * (rate - 0.3) ** 2 - strength * phi + hill
        return float(value), np.array([-100.0 * (rate - 0.3), -strength * phi * (1 - phi) - hill * (dropout + 2.0)])

    return from_gradient(RATE_AND_DROPOUT, value_gradient, start=[0.0, -2.0])


def test_an_interior_optimum_is_converged_with_its_inverse_hessian():
    precision = np.array([[100.0, 20.0], [20.0, 50.0]])
    optimum, diagnosis = diagnosed(quadratic(precision, [0.2, -1.0]))
    assert diagnosis.status is FitStatus.CONVERGED
    assert diagnosis.evaluations == 0
    np.testing.assert_allclose(diagnosis.covariance, np.linalg.inv(precision), rtol=1e-7)
    values = np.linalg.eigvalsh(precision)
    assert diagnosis.condition == pytest.approx(values[1] / values[0], rel=1e-6)
    np.testing.assert_allclose(optimum.theta, [0.2, -1.0], atol=1e-9)


def test_no_dropout_is_a_boundary_named_in_words_and_its_error_is_missing():
    optimum, diagnosis = diagnosed(towards(40.0))
    assert diagnosis.status is FitStatus.BOUNDARY
    assert diagnosis.message == (
        "made_up: the maximum has no dropout (a/(a+b) -> 0): the data show none; draws and forecasts use the posterior "
        "under the default priors. Estimates and standard errors of the parameters concerned are left out."
    )
    assert optimum.value == pytest.approx(0.0, abs=1e-4)
    np.testing.assert_array_equal(diagnosis.identified, [True, False])
    assert np.sqrt(diagnosis.covariance[0, 0]) == pytest.approx(0.1, rel=1e-6)
    assert np.isnan(diagnosis.covariance[1]).all()


def test_a_clear_hill_beside_a_boundary_is_converged():
    assert diagnosed(towards(1.0, bump=30.0))[1].status is FitStatus.CONVERGED


def test_a_low_hill_beside_a_boundary_is_a_ridge():
    optimum, diagnosis = diagnosed(towards(1.0, bump=1.0))
    assert diagnosis.status is FitStatus.RIDGE
    assert "log-likelihood units away, there is no dropout (a/(a+b) -> 0); draws and forecasts use" in diagnosis.message
    assert -4.0 < optimum.theta[1] < -1.0
    np.testing.assert_array_equal(diagnosis.identified, [True, False])


def test_a_ridge_names_the_combination():
    precision = 1e4 * np.array([[1.0, 1.0], [1.0, 1.0]]) + 0.05 * np.array([[1.0, -1.0], [-1.0, 1.0]])
    _, diagnosis = diagnosed(quadratic(precision, [0.0, 0.0], ("log_rate", "log_mean_spend")))
    assert diagnosis.status is FitStatus.RIDGE
    assert "+0.71 log rate -0.71 log mean spend is not identified" in diagnosis.message.replace("-0.71 log rate +", "")
    assert not diagnosis.identified.any()
    assert diagnosis.condition == pytest.approx(2e5, rel=1e-2)


def test_a_search_that_stopped_short_is_failed():
    problem = quadratic(np.eye(2) * 100.0, [0.2, -1.0])
    lower, upper = box(problem.coordinates)
    optimum = maximise(problem.value_gradient, problem.starts, lower=lower, upper=upper, fixed=np.array([True, True]))
    stopped = type(optimum)(
        theta=optimum.theta,
        value=optimum.value,
        gradient=optimum.gradient,
        hessian=optimum.hessian,
        decrement=12.5,
        evaluations=1,
        fixed=np.zeros(2, dtype=bool),
    )
    diagnosis = diagnose(problem, stopped)[1]
    assert diagnosis.status is FitStatus.FAILED
    assert "stopped short" in diagnosis.message


def test_a_likelihood_that_is_finite_nowhere_is_failed():
    problem = from_gradient(RATE_AND_DROPOUT, lambda theta: (np.nan, theta), start=[0.0, 0.0])
    diagnosis = diagnosed(problem)[1]
    assert diagnosis.status is FitStatus.FAILED
    assert "not finite" in diagnosis.message
