import numpy as np
import pytest

from clv_forecast.inference.maximum_likelihood import DECREMENT_CONVERGED, hessian, maximise

LOWER, UPPER = np.full(2, -10.0), np.full(2, 10.0)


def banana(theta):
    x, y = theta
    value = -((1.0 - x) ** 2) - 100.0 * (y - x**2) ** 2
    return float(value), np.array([2.0 * (1.0 - x) + 400.0 * x * (y - x**2), -200.0 * (y - x**2)])


def two_hills(theta):
    """The higher hill at (4, 0), the lower at (-4, 0)."""
    centres, heights = np.array([[4.0, 0.0], [-4.0, 0.0]]), np.array([2.0, 1.0])
    parts = heights * np.exp(-0.5 * np.sum((theta - centres) ** 2, axis=1))
    return float(parts.sum()), (parts[:, None] * (centres - theta)).sum(axis=0)


def plateau(theta):
    """Rises for ever towards theta[0] -> infinity, by less and less."""
    return float(-np.exp(-theta[0]) - theta[1] ** 2), np.array([np.exp(-theta[0]), -2.0 * theta[1]])


def test_finds_the_optimum_of_a_curved_valley_to_full_precision():
    optimum = maximise(banana, [np.array([-3.0, 5.0])], lower=LOWER, upper=UPPER)
    np.testing.assert_allclose(optimum.theta, [1.0, 1.0], atol=1e-9)
    assert optimum.decrement < 1e-12
    np.testing.assert_allclose(optimum.hessian, [[-802.0, 400.0], [400.0, -200.0]], rtol=1e-5)


def test_several_starts_find_the_higher_hill():
    starts = [np.array([-3.5, 0.3]), np.array([3.5, 0.3])]
    assert maximise(two_hills, starts, lower=LOWER, upper=UPPER).theta[0] == pytest.approx(4.0, abs=1e-6)
    assert maximise(two_hills, starts[:1], lower=LOWER, upper=UPPER).theta[0] == pytest.approx(-4.0, abs=1e-6)


def test_a_supremum_at_infinity_is_reached_and_does_not_run_away():
    optimum = maximise(plateau, [np.zeros(2)], lower=LOWER, upper=np.full(2, 30.0))
    assert optimum.value > -1e-6
    assert optimum.theta[0] <= 30.0


def test_held_coordinates_stay():
    optimum = maximise(banana, [np.array([0.5, 3.0])], lower=LOWER, upper=UPPER, fixed=np.array([True, False]))
    np.testing.assert_allclose(optimum.theta, [0.5, 0.25], atol=1e-9)


def test_an_optimum_outside_the_box_ends_on_its_face():
    optimum = maximise(banana, [np.array([-3.0, 0.0])], lower=LOWER, upper=np.array([0.5, 10.0]))
    np.testing.assert_allclose(optimum.theta, [0.5, 0.25], atol=1e-6)
    assert optimum.decrement < DECREMENT_CONVERGED


def test_values_that_are_not_finite_are_stepped_around():
    def edge(theta):
        return (
            (float(np.log(theta[0]) - theta[0]), np.array([1.0 / theta[0] - 1.0])) if theta[0] > 0 else (np.nan, theta)
        )

    optimum = maximise(edge, [np.array([0.01])], lower=np.array([-5.0]), upper=np.array([50.0]))
    assert optimum.theta[0] == pytest.approx(1.0, abs=1e-9)


def test_nothing_finite_anywhere_is_told():
    optimum = maximise(lambda theta: (np.nan, theta), [np.zeros(2)], lower=LOWER, upper=UPPER)
    assert optimum.value == -np.inf
    assert optimum.decrement == np.inf


def test_hessian_by_differences_of_the_gradient():
    np.testing.assert_allclose(hessian(banana, np.array([1.0, 1.0])), [[-802.0, 400.0], [400.0, -200.0]], rtol=1e-6)
