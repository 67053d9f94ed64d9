from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from clv_forecast.models.decay import decay_moments, log_decay_integral
from tests.models.second_methods import log_decay_by_fine_quadrature


def moments(*fields):
    out = np.empty((np.size(fields[0]), 5))
    for place, point in zip(out, zip(*np.broadcast_arrays(*fields), strict=True), strict=True):
        decay_moments(*point, place)
    return out[:, 0], out[:, 1:].T


def _points(count, seed, discounted):
    rng = np.random.default_rng(seed)
    k_a, k_b = 10 ** rng.uniform(-2, 3.5, count), 1.0 + 10 ** rng.uniform(-2, 2, count)
    a, b = 10 ** rng.uniform(-1, 3, count), 10 ** rng.uniform(-1, 3, count)
    length = 10 ** rng.uniform(-4, 4, count)
    discount = 10 ** rng.uniform(-5, 0.5, count) if discounted else np.zeros(count)
    return k_a, a, k_b, b, length, discount


@pytest.mark.parametrize("discounted", [False, True])
def test_ten_thousand_points_against_fine_quadrature(discounted):
    points = _points(10_000, 7, discounted)
    value = log_decay_integral(*points[:5], discount=points[5])
    assert np.isfinite(value).all()
    np.testing.assert_allclose(value, log_decay_by_fine_quadrature(*points), rtol=0.0, atol=1e-11)


def test_against_mpmath():
    points = np.array(_points(25, 8, discounted=True))
    values = log_decay_integral(*points[:5], discount=points[5])
    for value, point in zip(values, points.T, strict=True):
        k_a, a, k_b, b, length, discount = map(mp.mpf, point)

        near = min(a, b)

        def integrand(w, k_a=k_a, a=a, k_b=k_b, b=b, d=discount, c=near):
            u = c * mp.expm1(w)
            return c * mp.exp(w - d * u - k_a * mp.log1p(u / a) - k_b * mp.log1p(u / b))

        end = mp.log1p(length / near)
        steps = [mp.mpf(0)]
        step = 1 / (1 + k_a + k_b + discount * near)
        while steps[-1] < end:
            steps.append(min(end, steps[-1] + step))
            step = min(step * 1.7, mp.mpf(1))
        with mp.workdps(30):
            assert abs(mp.expm1(mp.mpf(float(value)) - mp.log(mp.quad(integrand, steps)))) < 1e-12


@pytest.mark.parametrize("offset", [0.0, 1e-17, 1e-14, -1e-14, 1e-9, -1e-9, 1e-5])
def test_equal_scales_join_smoothly(offset):
    # At a = b the integral is elementary; its derivative in b is O(1).
    k_a, k_b, a, length = 2.5, 1.7, 11.0, 300.0
    exact = np.log(a / (k_a + k_b - 1.0)) + np.log(-np.expm1(-(k_a + k_b - 1.0) * np.log1p(length / a)))
    value = log_decay_integral(k_a, a, k_b, a * (1.0 + offset), length)
    assert abs(value - exact) <= 1e-13 + 2.0 * abs(offset)


@pytest.mark.parametrize("excess", [-1e-8, -1e-15, 0.0, 1e-15, 1e-8])
def test_smooth_where_the_exponents_add_up_to_one(excess):
    value = np.exp(log_decay_integral(0.0, 5.0, 1.0 + excess, 5.0, 45.0))
    log_span = np.log(10.0)
    np.testing.assert_allclose(value, 5.0 * (log_span - 0.5 * excess * log_span**2), rtol=1e-13)


def test_infinite_length():
    diverging = log_decay_integral(0.0, 5.0, [0.5, 1.0], 5.0, np.inf)
    assert (diverging == np.inf).all()
    np.testing.assert_allclose(np.exp(log_decay_integral(0.0, 5.0, 1.5, 5.0, np.inf)), 10.0, rtol=1e-14)
    # Far-apart scales and a tail of almost nothing: the limit of finite lengths.
    far = log_decay_integral(0.03, 1e-3, 1.02, 1e3, [1e80, 1e200, np.inf])
    np.testing.assert_allclose(far[1:], log_decay_by_fine_quadrature(0.03, 1e-3, 1.02, 1e3, 1e250), rtol=1e-9)
    assert (np.diff(far) > 0.0).all()


def test_length_zero_and_tiny():
    assert log_decay_integral(3.0, 2.0, 1.5, 4.0, 0.0) == -np.inf
    np.testing.assert_allclose(np.exp(log_decay_integral(3.0, 2.0, 1.5, 4.0, 1e-12)), 1e-12, rtol=1e-11)


def test_layout_of_the_arguments_does_not_matter():
    k_a, a = np.array([[0.5], [3.0], [40.0]]), np.array([1.0, 20.0])
    block = log_decay_integral(k_a, a, 1.6, 7.0, 30.0)
    assert block.shape == (3, 2)
    assert log_decay_integral(0.5, 1.0, 1.6, 7.0, 30.0).shape == ()
    one_by_one = [[float(log_decay_integral(k[0], x, 1.6, 7.0, 30.0)) for x in a] for k in k_a]
    np.testing.assert_array_equal(block, one_by_one)
    doubled = np.repeat(a, 2)[::2]
    np.testing.assert_array_equal(log_decay_integral(k_a, doubled, 1.6, 7.0, 30.0), block)


def test_moments_are_ratios_of_integrals():
    k_a, a, k_b, b, length, _ = _points(300, 9, discounted=False)
    value, (_, over_a, _, over_b) = moments(k_a, a, k_b, b, length)
    np.testing.assert_allclose(value, log_decay_integral(k_a, a, k_b, b, length), rtol=0.0, atol=1e-12)
    by_a = np.exp(log_decay_integral(k_a + 1.0, a, k_b, b, length) - value) / a
    by_b = np.exp(log_decay_integral(k_a, a, k_b + 1.0, b, length) - value) / b
    np.testing.assert_allclose(over_a, by_a, rtol=1e-11)
    np.testing.assert_allclose(over_b, by_b, rtol=1e-11)


def test_moments_of_logarithms_are_derivatives():
    k_a, a, k_b, b, length, _ = _points(300, 10, discounted=False)
    _, (log_a, _, log_b, _) = moments(k_a, a, k_b, b, length)
    step = 1e-5
    by_a = log_decay_integral(k_a * (1 + step), a, k_b, b, length) - log_decay_integral(
        k_a * (1 - step), a, k_b, b, length
    )
    by_b = log_decay_integral(k_a, a, k_b * (1 + step), b, length) - log_decay_integral(
        k_a, a, k_b * (1 - step), b, length
    )
    np.testing.assert_allclose(-by_a / (2 * step), k_a * log_a, rtol=2e-8, atol=2e-8)
    np.testing.assert_allclose(-by_b / (2 * step), k_b * log_b, rtol=2e-8, atol=2e-8)


def test_moments_at_length_zero():
    value, means = moments([2.0], 4.0, [1.5], 5.0, [0.0])
    assert value[0] == -np.inf
    np.testing.assert_array_equal(means[:, 0], [0.0, 0.25, 0.0, 0.2])
