"""The path of an account toward its wallet: integral, inverse and both sides of each special case."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from clv_forecast.simulation.parameters import cumulative_penetration, penetration, time_of

PATHS = [(u0, g, s) for u0 in (0.01, 0.3, 0.99) for g in (0.0, 1e-6, 0.5, 4.0) for s in (0.0, 1.3, 9.0)]


@pytest.mark.parametrize(("u0", "growth", "start"), PATHS)
def test_the_integral_is_the_integral(u0: float, growth: float, start: float) -> None:
    for t in (0.0, 0.7, 1.3, 4.0):
        by_rule, _ = integrate.quad(lambda x: float(penetration(u0, growth, start, x)), 0.0, t, points=[1.3])
        assert float(cumulative_penetration(u0, growth, start, t)) == pytest.approx(by_rule, abs=1e-9)


@pytest.mark.parametrize(("u0", "growth", "start"), PATHS)
def test_the_inverse_is_the_inverse(u0: float, growth: float, start: float) -> None:
    t = np.array([0.0, 1e-6, 0.7, 1.3, 1.31, 4.0, 12.0])
    level = cumulative_penetration(u0, growth, start, t)
    np.testing.assert_allclose(time_of(u0, growth, start, cumulative=level), t, rtol=1e-6, atol=1e-7)


def test_the_path_solves_its_equation() -> None:
    t, step = np.linspace(1.0, 5.0, 9) + 0.01, 1e-6
    slope = (penetration(0.2, 0.7, 1.0, t + step) - penetration(0.2, 0.7, 1.0, t - step)) / (2 * step)
    np.testing.assert_allclose(slope, 0.7 * (1.0 - penetration(0.2, 0.7, 1.0, t)), rtol=1e-6)
    assert np.ptp(penetration(0.2, 0.0, 1.0, t)) == 0.0
