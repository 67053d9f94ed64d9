import dataclasses

import numpy as np
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.models.beta_geometric_likelihood import (
    PARAMETERS,
    Params,
    constrain,
    constrain_jacobian,
    prior_location_scale,
    starting_points,
    unconstrain,
)

THETA = np.array([-2.9, -1.4, -1.1, 1.2])


def test_params_are_frozen_and_checked():
    params = Params(1, [[0.5], [2]], 0.3, 4)
    assert params.alpha.shape == (2, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.r = params.a
    with pytest.raises(DomainError, match="Parameter b"):
        Params(1, 1, 1, 0)


@pytest.mark.parametrize("theta", [THETA, np.stack([THETA, THETA + 0.3])])
def test_constrain_undoes_unconstrain(theta):
    params = constrain(theta)
    assert params.r.shape == ((2, 1) if theta.ndim == 2 else ())
    np.testing.assert_allclose(unconstrain(params), theta, rtol=1e-12)


def test_meaning_of_the_free_vector():
    params = constrain(THETA)
    np.testing.assert_allclose(params.r / params.alpha, np.exp(-2.9))
    np.testing.assert_allclose(params.a / (params.a + params.b), 1 / (1 + np.exp(1.1)))
    np.testing.assert_allclose(params.a + params.b, np.exp(1.2))


def test_dropout_near_one_keeps_its_digits():
    """1 - expit(l) would be rounded away."""
    np.testing.assert_allclose(constrain([0.0, 0.0, 45.0, 0.0]).b, np.exp(-45.0), rtol=1e-12)


def test_jacobian_by_differences():
    step = 1e-6
    columns = [
        (
            np.stack(
                [getattr(constrain(THETA + step * e), n) - getattr(constrain(THETA - step * e), n) for n in PARAMETERS]
            )
        )
        / (2 * step)
        for e in np.eye(4)
    ]
    np.testing.assert_allclose(constrain_jacobian(THETA), np.stack(columns, axis=1), rtol=1e-8, atol=1e-9)


def test_refusals():
    with pytest.raises(DomainError, match="one free vector"):
        constrain_jacobian(np.zeros((2, 4)))
    with pytest.raises(DomainError, match="theta must"):
        constrain([0.0])
    with pytest.raises(DomainError, match="Parameter r"):
        constrain([0.0, 800.0, 0.0, 0.0])
    with pytest.raises(DomainError, match="Parameter r"):
        constrain([0.0, -800.0, 0.0, 0.0])
    with pytest.raises(DomainError, match="scalar or of shape"):
        unconstrain(Params(np.ones(3), 1, 1, 1))


def test_starting_points_follow_the_unit_and_the_weights():
    x, t_x, T, weights = [2.0, 0.0], [30.0, 0.0], [40.0, 40.0], [3, 1]
    weeks = starting_points(x, t_x, T, weights)
    days = starting_points(x, np.multiply(7, t_x), np.multiply(7, T), weights)
    rows = starting_points([2, 2, 2, 0], [30, 30, 30, 0], [40] * 4, [1] * 4)
    for week, day, row in zip(weeks, days, rows, strict=True):
        np.testing.assert_allclose(week - day, [np.log(7), 0, 0, 0], atol=1e-12)
        np.testing.assert_allclose(week, row)
        constrain(week)


@pytest.mark.parametrize("T", [0.0, 40.0])
def test_starting_points_without_a_purchase(T):
    for theta in starting_points([0], [0], [T], [5]):
        assert np.isfinite(theta).all()


def test_prior_follows_the_unit():
    week, scale = prior_location_scale(1.0, 0.05)
    day, day_scale = prior_location_scale(1.0, 0.05 / 7)
    np.testing.assert_allclose(week - day, [np.log(7), 0, 0, 0], atol=1e-12)
    np.testing.assert_array_equal(scale, day_scale)
    np.testing.assert_allclose(prior_location_scale(7.0, 0.05 / 7)[0], week)
    with pytest.raises(DomainError, match="rate"):
        prior_location_scale(1.0, 0.0)
