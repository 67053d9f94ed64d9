import mpmath as mp
import numpy as np
import pytest

from clv_forecast.models import kernels
from clv_forecast.models.special import log_rising


@pytest.mark.parametrize("z", [1e-3, 0.5, 19.999, 20.0, 1e3, 1e9])
@pytest.mark.parametrize("n", [0, 1, 3, 200, 3000])
def test_rising_against_mpmath(z, n):
    with mp.workdps(40):
        log_exact = float(mp.loggamma(mp.mpf(z) + n) - mp.loggamma(mp.mpf(z)))
    np.testing.assert_allclose(log_rising(z, n), log_exact, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(kernels.log_rising(z, float(n)), log_exact, rtol=1e-12, atol=1e-13)


def test_log_rising_far_out():
    """At 1e12 the difference of two log-gammas would keep three digits; a fit at the edge needs them all."""
    np.testing.assert_allclose(log_rising(1e12, 3), np.log(1e12) + np.log(1e12 + 1) + np.log(1e12 + 2), rtol=1e-15)


def test_rising_takes_small_and_large_together():
    z = np.array([[0.5], [19.0], [21.0], [1e6]])
    n = np.array([1.0, 2.0])
    np.testing.assert_allclose(log_rising(z, n)[:, 0], np.log(z[:, 0]), rtol=1e-13)
