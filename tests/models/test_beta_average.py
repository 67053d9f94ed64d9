import mpmath as mp
import numpy as np
import pytest
from scipy.special import hyp2f1

from clv_forecast.models import beta_average
from clv_forecast.models.beta_average import power_average, power_integral_average


def random_points(n, seed):
    """The domain asked of the models: r, alpha to 1e3, a, b to 1e4, x to 3000, T and horizon to 1e4."""
    rng = np.random.default_rng(seed)

    def log_uniform(low, high):
        return np.exp(rng.uniform(np.log(low), np.log(high), n))

    x = np.where(rng.random(n) < 0.3, 0.0, np.floor(log_uniform(1, 3001)))
    a, b, s = log_uniform(1e-3, 1e4), log_uniform(1e-3, 1e4) + x, log_uniform(1e-3, 1e3) + x
    beta = log_uniform(1e-3, 1e3) + log_uniform(1e-3, 1e4)
    return a, b, s, log_uniform(1e-6, 1e4) / beta, log_uniform(1e-6, 1.0) * beta


def integral_by_mpmath(a, b, w, nu):
    a, b, w, nu = map(mp.mpf, (a, b, w, nu))
    c = a + b - 1
    return c / ((a - 1) * (nu - 1)) * (1 - mp.hyp2f1(nu - 1, a - 1, c, -w))


def test_ten_thousand_points_against_the_closed_form():
    """Where scipy's 2F1 is finite and 1 - (...) does not cancel; elsewhere the tests below take over."""
    a, b, s, w, _ = random_points(10_000, seed=7)
    value = s * power_integral_average(a, b, w, s + 1)
    assert np.isfinite(value).all()
    assert (value > 0).all()
    c, z = a + b - 1, w / (1 + w)
    with np.errstate(all="ignore"):
        euler = (1 - z) ** (a - 1) * hyp2f1(c - s, a - 1, c, z)
        direct = (1 - z) ** s * hyp2f1(s, b, c, z)
        rest = 1 - np.where(a - 1 - s < 0, euler, direct)
        closed = c / (a - 1) * rest
    conditioned = np.isfinite(closed) & (np.abs(rest) > 1e-2)
    assert conditioned.sum() > 4_000
    np.testing.assert_allclose(value[conditioned], closed[conditioned], rtol=1e-8)


def test_ten_thousand_points_are_finite_bounded_and_in_order():
    a, b, s, w, discount = random_points(10_000, seed=8)
    rate = power_average(a, b, w, s + 1)
    assert ((rate >= 0) & (rate <= 1)).all()
    plain = power_integral_average(a, b, w, s + 1)
    worth = power_integral_average(a, b, w, s + 1, discount)
    ever = power_integral_average(a, b, np.inf, s + 1, discount)
    alive = power_integral_average(a, b, w, s)
    for value in (plain, worth, ever, alive):
        assert (np.isfinite(value) & (value > 0)).all()
    slack = 1 + 1e-9
    assert (worth <= plain * slack).all()
    assert (worth <= ever * slack).all()
    assert (plain <= alive * slack).all()
    assert (alive <= w * slack).all()
    assert (ever <= slack / discount).all()
    assert (plain >= w * rate / slack).all()


def test_series_and_trapezoid_agree():
    """Both ways to compute one average, on points where either may be asked."""
    a, b, s, w, discount = random_points(400, seed=9)
    few = (w < 20) & (s * w < 3_000) & (s * np.log1p(w) < 600)
    assert few.sum() > 150
    for a_i, b_i, nu, w_i, d in zip(a[few], b[few], s[few] + 1, w[few], discount[few], strict=True):
        times, weights = beta_average._nodes(min(w_i, 42.0 / d), nu, d)
        one = beta_average._series(a_i, b_i, nu, times, weights)
        reach = min(w_i, 1.0 / d) * max(nu, 1.0)
        other = beta_average._trapezoid(a_i, b_i, w_i, nu, reach, 1.0, times, weights)
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("a", [0.4, 0.999, 1.0, 1.001, 7.0])
@pytest.mark.parametrize("w", [1e-12, 0.1, 3.0, 40.0, 5e3])
@pytest.mark.parametrize("nu", [0.3, 1.0, 1.0 + 1e-9, 2.24])
def test_integral_by_quadrature(a, w, nu):
    """Against mpmath's quadrature over time, through both singular orders nu = 1 and a = 1."""
    with mp.workdps(25):
        exact = mp.quad(lambda u: mp.exp(u) * mp.hyp2f1(nu, a, a + 2.4, -mp.expm1(u)), [0, mp.log1p(w)])
    np.testing.assert_allclose(power_integral_average(a, 2.4, w, nu), float(exact), rtol=1e-10)


@pytest.mark.parametrize("discount", [1e-12, 1e-3, 0.07, 5.0, 1e3])
def test_discounted_for_ever_by_quadrature(discount):
    with mp.workdps(20):
        end = mp.log1p(60 / discount)
        exact = mp.quad(
            lambda u: mp.exp(u - discount * mp.expm1(u)) * mp.hyp2f1(1.24, 0.8, 3.2, -mp.expm1(u)),
            mp.linspace(0, end, 12),
        )
    np.testing.assert_allclose(power_integral_average(0.8, 2.4, np.inf, 1.24, discount), float(exact), rtol=1e-10)


def test_limits():
    assert power_average(0.8, 2.4, 0.0, 2.0) == 1.0
    assert power_integral_average(0.8, 2.4, 0.0, 2.0, 0.1) == 0.0
    assert power_integral_average(1.0, 2.4, np.inf, 2.0) == np.inf
    assert power_integral_average(2.0, 2.4, np.inf, 1.0) == np.inf
    np.testing.assert_allclose(power_integral_average(2.0, 2.4, 1e12, 2.0), 3.4, rtol=1e-9)
    np.testing.assert_allclose(power_integral_average(2.0, 2.4, np.inf, 2.0), 3.4, rtol=1e-15)
    np.testing.assert_allclose(
        power_integral_average(0.8, 2.4, 3.0, 2.0, 1e-300), power_integral_average(0.8, 2.4, 3.0, 2.0), rtol=1e-12
    )


def test_broadcasts_and_leaves_its_arguments():
    a = np.array([[0.5], [0.8]])
    w = np.array([0.1, 1.0, 2.0])
    before = w.copy()
    assert power_average(a, 2.0, w, 1.5).shape == (2, 3)
    np.testing.assert_array_equal(w, before)


@pytest.mark.slow
def test_wide_points_against_mpmath():
    """Sixty points of the whole domain at 50 digits, each of the rate and of both integrals."""
    a, b, s, w, _ = random_points(60, seed=11)
    checked = 0
    with mp.workdps(50):
        for a_i, b_i, s_i, w_i in zip(a, b, s, w, strict=True):
            try:
                exact = [
                    float(mp.hyp2f1(mp.mpf(s_i) + 1, a_i, mp.mpf(a_i) + mp.mpf(b_i), -mp.mpf(w_i))),
                    float(integral_by_mpmath(a_i, b_i, w_i, mp.mpf(s_i) + 1)),
                    float(integral_by_mpmath(a_i, b_i, w_i, s_i)),
                ]
            except (ValueError, ZeroDivisionError, mp.libmp.NoConvergence):
                continue  # mpmath itself gives up far out; the count below bounds how often
            if not np.isfinite(exact).all():
                continue
            value = [
                power_average(a_i, b_i, w_i, s_i + 1),
                power_integral_average(a_i, b_i, w_i, s_i + 1),
                power_integral_average(a_i, b_i, w_i, s_i),
            ]
            np.testing.assert_allclose(value, exact, rtol=1e-9, atol=1e-290)
            checked += 1
    assert checked > 54
