import mpmath as mp
import numpy as np
import pytest
from scipy.special import exp1

from clv_forecast.errors import DomainError
from clv_forecast.models.special import digamma_rising, horizon_integral, log_rising


@pytest.mark.parametrize("horizon", [0.0, 1e-9, 1.0, 52.0, 1e6])
@pytest.mark.parametrize("power", [0.01, 1.7, 300.0])
def test_horizon_integral_of_powers(horizon, power):
    scale = 40.0 / max(power, 1.0)
    value = horizon_integral(lambda tau: (1 + tau / 40.0) ** -power, horizon=horizon, discount=0.0, scale=scale)
    exact = 40.0 / (1 - power) * np.expm1((1 - power) * np.log1p(horizon / 40.0))
    np.testing.assert_allclose(value, exact, rtol=1e-12)


@pytest.mark.parametrize("discount", [1e-9, 0.0018, 1.0, 1e4])
def test_horizon_integral_for_ever(discount):
    value = horizon_integral(lambda tau: 1.0 / (1.0 + tau), horizon=np.inf, discount=discount, scale=1.0)
    exact = float(mp.exp(discount) * mp.e1(discount))
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    if discount < 700:
        np.testing.assert_allclose(exact, np.exp(discount) * exp1(discount), rtol=1e-12)


def test_horizon_integral_broadcasts():
    power = np.array([[0.5], [2.0]])
    value = horizon_integral(
        lambda tau: (1 + tau) ** -power, horizon=np.array([0.0, 1.0, 3.0]), discount=0.0, scale=np.ones((2, 1))
    )
    assert value.shape == (2, 3)
    np.testing.assert_allclose(value[1], [0.0, 0.5, 0.75], rtol=1e-12)


def test_horizon_integral_refuses_for_ever_without_discount():
    with pytest.raises(DomainError, match="positive discount"):
        horizon_integral(np.exp, horizon=np.inf, discount=np.array([0.1, 0.0]), scale=1.0)


@pytest.mark.parametrize("z", [1e-3, 0.5, 19.999, 20.0, 1e3, 1e9])
@pytest.mark.parametrize("n", [0, 1, 3, 200, 3000])
def test_rising_against_mpmath(z, n):
    with mp.workdps(40):
        log_exact = float(mp.loggamma(mp.mpf(z) + n) - mp.loggamma(mp.mpf(z)))
        slope_exact = float(mp.digamma(mp.mpf(z) + n) - mp.digamma(mp.mpf(z)))
    np.testing.assert_allclose(log_rising(z, n), log_exact, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(digamma_rising(z, n), slope_exact, rtol=2e-14, atol=1e-40)


def test_log_rising_far_out():
    """At 1e12 the difference of two log-gammas would keep three digits; a fit at the edge needs them all."""
    np.testing.assert_allclose(log_rising(1e12, 3), np.log(1e12) + np.log(1e12 + 1) + np.log(1e12 + 2), rtol=1e-15)


def test_rising_takes_small_and_large_together():
    z = np.array([[0.5], [19.0], [21.0], [1e6]])
    n = np.array([1.0, 2.0])
    np.testing.assert_allclose(log_rising(z, n)[:, 0], np.log(z[:, 0]), rtol=1e-13)
    np.testing.assert_allclose(digamma_rising(z, n)[:, 0], 1 / z[:, 0], rtol=1e-13)
