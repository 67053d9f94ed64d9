from __future__ import annotations

import numpy as np
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.inference.hierarchical.effects import EffectDraws

DRAWS, K = 4000, 2


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(3)
    factor = np.tile(np.array([[0.5, 0.0], [0.3, 0.4]]), (DRAWS, 1, 1))
    return EffectDraws(
        coordinates=["log_rate", "log_shape"],
        terms=["region", "store"],
        intercept=rng.normal(size=(DRAWS, K)),
        effects=[rng.normal(size=(DRAWS, 3, K)), rng.normal(size=(DRAWS, 2, K))],
        factors=[factor, np.zeros((DRAWS, K, K))],
        coefficients=rng.normal(size=(DRAWS, 1, K)),
    )


CODES = np.array([[0, 1], [2, 0], [-1, 0], [-1, 1], [-1, 0]])
LABELS = np.array([["a", "y"], ["c", "x"], ["new", "x"], ["new", "y"], ["other", "x"]], dtype=object)
DESIGN = np.array([[0.0], [2.0], [0.0], [0.0], [0.0]])


def test_theta_adds_population_groups_and_covariates(draws):
    theta = draws.theta(CODES, LABELS, DESIGN, seed=1)
    expected = draws.intercept + draws.effects[0][:, 2] + draws.effects[1][:, 0] + 2.0 * draws.coefficients[:, 0]
    np.testing.assert_allclose(theta[:, 1], expected)


def test_unseen_groups_come_from_the_population(draws):
    theta = draws.theta(CODES, LABELS, DESIGN, seed=1)
    effect = theta[:, 2] - draws.intercept - draws.effects[1][:, 0]
    covariance = draws.factors[0][0] @ draws.factors[0][0].T
    np.testing.assert_allclose(np.cov(effect.T), covariance, atol=0.02)
    np.testing.assert_allclose(effect.mean(axis=0), 0.0, atol=0.04)
    # the same label has the same effect in another cell; another label has its own
    np.testing.assert_allclose(theta[:, 3] - draws.effects[1][:, 1], theta[:, 2] - draws.effects[1][:, 0])
    other = theta[:, 4] - draws.intercept - draws.effects[1][:, 0]
    assert abs(np.corrcoef(effect[:, 0], other[:, 0])[0, 1]) < 0.06


def test_what_an_unseen_group_gets_depends_on_nothing_else_asked(draws):
    whole = draws.theta(CODES, LABELS, DESIGN, seed=1)
    alone = draws.theta(CODES[4:], LABELS[4:], DESIGN[4:], seed=1)
    np.testing.assert_array_equal(alone[:, 0], whole[:, 4])
    kept = np.array([7, 3, 3, 2999])
    np.testing.assert_array_equal(draws.take(kept).theta(CODES, LABELS, DESIGN, seed=1), whole[kept])
    later = draws.take(slice(1000, 1500))
    np.testing.assert_array_equal(later.theta(CODES, LABELS, DESIGN, seed=1), whole[1000:1500])
    assert not np.array_equal(draws.theta(CODES, LABELS, DESIGN, seed=2)[:, 2], whole[:, 2])
    np.testing.assert_array_equal(draws.theta(CODES, LABELS, DESIGN, seed=2)[:, :2], whole[:, :2])


def test_arrays_and_back(draws):
    arrays = draws.take(slice(5, 9)).to_arrays()
    assert all(array.shape[0] == 4 for array in arrays.values())
    back = EffectDraws.from_arrays(arrays, coordinates=draws.coordinates, terms=draws.terms)
    np.testing.assert_array_equal(
        back.theta(CODES, LABELS, DESIGN, seed=1), draws.theta(CODES, LABELS, DESIGN, seed=1)[5:9]
    )


def test_shapes_must_agree(draws):
    with pytest.raises(DomainError, match="agree"):
        EffectDraws(coordinates=["log_rate"], intercept=np.zeros((3, 2)))
    with pytest.raises(DomainError, match="agree"):
        EffectDraws(
            coordinates=["log_rate"], intercept=np.zeros((3, 1)), terms=["a"], effects=[], factors=[np.zeros((3, 1, 1))]
        )
    with pytest.raises(DomainError, match="terms and columns"):
        draws.theta(CODES[:, :1], LABELS[:, :1], DESIGN, seed=1)
