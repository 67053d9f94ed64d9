"""The common shock: recovered where it is known, none where there is none, and only from what is over."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from clv_forecast import InputError
from clv_forecast.evaluation.common_shock import (
    PRIOR_SCALE,
    Window,
    estimate_shock,
    independent_windows,
    window_of,
)

START = pd.Timestamp("2020-01-31")
DRAWS = 400


def made_up(generator, windows, *, level, noise, periods=6, mean=400.0, step=180):
    """Windows of Poisson totals around ``mean``, moved by a shock of the stated scales."""
    made = []
    for k in range(windows):
        shared = level * generator.normal() - 0.5 * level**2
        move = np.exp(shared + noise * generator.normal(size=periods) - 0.5 * noise**2)
        origin = START + pd.Timedelta(days=step * k)
        actual = generator.poisson(mean * move).astype(float)
        draws = generator.poisson(mean, size=(periods, DRAWS)).astype(float)
        made.append(window_of(origin, origin + pd.Timedelta(days=180), actual, draws=draws))
    return made


@pytest.mark.parametrize(("level", "noise"), [(0.25, 0.2), (0.0, 0.2), (0.3, 0.0)])
def test_recovers_the_scales_from_many_windows(level, noise):
    found = estimate_shock(made_up(np.random.default_rng(1), 60, level=level, noise=noise))
    assert found.shock.level == pytest.approx(level, abs=0.07)
    assert found.shock.noise == pytest.approx(noise, abs=0.03)
    assert found.level_interval[0] <= level + 0.03 and found.level_interval[1] >= level - 1e-9
    assert (found.windows, found.independent) == (60, 60)


def test_independent_customers_need_no_shock():
    found = estimate_shock(made_up(np.random.default_rng(2), 60, level=0.0, noise=0.0))
    assert found.shock.level < 0.03 and found.shock.noise < 0.02


def test_intervals_cover_at_their_rate():
    generator = np.random.default_rng(3)
    inside = 0
    for _ in range(100):
        level, noise = np.abs(generator.normal(scale=PRIOR_SCALE, size=2))
        found = estimate_shock(made_up(generator, 4, level=level, noise=noise, periods=3))
        inside += found.level_interval[0] <= level <= found.level_interval[1]
        inside += found.noise_interval[0] <= noise <= found.noise_interval[1]
    assert 0.9 * 200 - 4 * 4.5 < inside <= 0.9 * 200 + 4 * 4.5


def test_few_windows_leave_the_estimate_wide():
    """Two windows that happened to fit do not prove that nothing moves: the prior's width is mostly still there."""
    quiet = [w for w in made_up(np.random.default_rng(4), 40, level=0.0, noise=0.0)]
    assert estimate_shock(quiet[:2]).shock.level > 3 * estimate_shock(quiet).shock.level


def test_the_posterior_mean_by_quadrature():
    window = made_up(np.random.default_rng(5), 1, level=0.3, noise=0.1, periods=1)[0]

    def density(noise, level):
        variance = window.covariance[0, 0] + level**2 + noise**2
        center = window.mean[0] - 0.5 * (level**2 + noise**2)
        prior = np.exp(-0.5 * (level**2 + noise**2) / PRIOR_SCALE**2)
        return prior * stats.norm.pdf(window.log_ratio[0], center, np.sqrt(variance))

    total = integrate.dblquad(density, 0, 1.5, 0, 1.5)[0]
    second = integrate.dblquad(lambda n, s: s**2 * density(n, s), 0, 1.5, 0, 1.5)[0]
    assert estimate_shock([window]).shock.level == pytest.approx(np.sqrt(second / total), rel=5e-3)


def test_a_window_told_twice_tells_nothing_new():
    windows = made_up(np.random.default_rng(6), 3, level=0.2, noise=0.2)
    once, twice = estimate_shock(windows), estimate_shock([w for w in windows for _ in range(2)])
    assert twice.shock.level == pytest.approx(once.shock.level) and twice.shock.noise == pytest.approx(once.shock.noise)
    assert (twice.windows, twice.independent) == (6, 3)


def test_overlapping_windows_are_not_counted_as_independent():
    day = [START + pd.Timedelta(days=90 * k) for k in range(6)]
    assert independent_windows([(day[k], day[k + 2]) for k in range(4)]) == 2
    assert independent_windows([(day[k], day[k + 1]) for k in range(5)]) == 5
    assert independent_windows([]) == 0


def test_nothing_to_learn_from():
    assert estimate_shock([]) is None
    with pytest.raises(InputError, match="expects no purchase"):
        window_of(START, START, np.array([1.0]), draws=np.zeros((1, 10)))


def test_an_empty_period_is_finite():
    window = window_of(START, START + pd.Timedelta(days=30), np.zeros(2), draws=np.tile([1.0, 2.0, 0.0], (2, 10)))
    assert isinstance(window, Window) and np.isfinite(window.log_ratio).all() and np.isfinite(window.mean).all()
    assert estimate_shock([window]).shock.level > 0.0
