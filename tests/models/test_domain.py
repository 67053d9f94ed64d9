import numpy as np
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.models.domain import (
    checked_counts,
    checked_discount,
    checked_history,
    checked_horizon,
    checked_probability,
    positive_field,
    stacked,
    unstacked,
)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, [1.0, 0.0]])
def test_parameters_are_finite_and_positive(value):
    with pytest.raises(DomainError, match="Parameter r"):
        positive_field("r", value)


def test_parameters_are_copied_and_read_only():
    own = np.ones(3)
    field = positive_field("r", own)
    own[0] = 7.0
    assert field[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        field[0] = 2.0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (([-1], [0], [1]), "frequency must"),
        (([1], [np.nan], [1]), "recency must"),
        (([1], [1], [np.inf]), "T must"),
        (([1, 1], [1.0, 2.1], [2, 2]), "recency must not exceed T.*recency 2.1 with T 2.0"),
    ],
)
def test_history_out_of_domain(state, message):
    with pytest.raises(DomainError, match=message):
        checked_history(*state)


def test_recency_beyond_T_by_rounding_is_T():
    _, recency, T = checked_history([1], [30.0 * (1 + 1e-12)], [30.0])
    assert recency == T


@pytest.mark.parametrize("horizon", [-1.0, np.nan, [1.0, -1.0]])
def test_horizon_out_of_domain(horizon):
    with pytest.raises(DomainError, match="horizon must"):
        checked_horizon(horizon)


def test_infinite_horizon_where_finite_is_asked():
    assert checked_horizon(np.inf) == np.inf
    with pytest.raises(DomainError, match="finite horizon"):
        checked_horizon(np.inf, finite=True)


@pytest.mark.parametrize("discount", [-0.1, np.nan, np.inf])
def test_discount_out_of_domain(discount):
    with pytest.raises(DomainError, match="discount must"):
        checked_discount(discount)


@pytest.mark.parametrize("n", [-1, 0.5, np.nan])
def test_counts_are_whole(n):
    with pytest.raises(DomainError, match="n must"):
        checked_counts(n)


@pytest.mark.parametrize("probability", [-0.1, 1.0, np.nan])
def test_probability_out_of_domain(probability):
    with pytest.raises(DomainError, match="probability must"):
        checked_probability(probability)


@pytest.mark.parametrize("shape", [(4,), (6, 4)])
def test_stacked_undoes_unstacked(shape):
    theta = np.arange(np.prod(shape), dtype=float).reshape(shape)
    np.testing.assert_array_equal(stacked(unstacked(theta, 4)), theta)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 2, 4), ()])
def test_unstacked_refuses_other_shapes(shape):
    with pytest.raises(DomainError, match="theta must"):
        unstacked(np.zeros(shape), 4)


def test_stacked_refuses_a_customer_axis():
    with pytest.raises(DomainError, match="scalar or of shape"):
        stacked([np.zeros(3), np.zeros(3)])
