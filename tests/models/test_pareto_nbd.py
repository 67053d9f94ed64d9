from __future__ import annotations

import warnings

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_forecast.errors import DomainError
from clv_forecast.models import pareto_nbd as model
from clv_forecast.models.pareto_nbd import Params
from tests.models.gradients import purchase_gradient
from tests.models.second_methods import (
    cdnow_summary,
    hold_against_oracle,
    log_decay_by_fine_quadrature,
    oracle_cases,
    pareto_log_likelihood_2f1,
    pareto_pmf_by_mpmath,
)

CDNOW = Params(0.55315, 10.57633, 0.60625, 11.67150)
AXES = ("r", "alpha", "s", "beta")


def _random_points(count, seed):
    rng = np.random.default_rng(seed)
    params = Params(
        10 ** rng.uniform(-2, 1.5, count),
        10 ** rng.uniform(-1.5, 3, count),
        10 ** rng.uniform(-2, 1.5, count),
        10 ** rng.uniform(-1.5, 3, count),
    )
    T = 10 ** rng.uniform(-2, 3.5, count)
    x = np.floor(10 ** rng.uniform(0, 3.5, count)) * (rng.random(count) < 0.7)
    t_x = np.where(x > 0, T * rng.random(count) ** rng.choice([0.05, 1.0, 5.0], count), 0.0)
    return params, x, t_x, T


def _one(params, i):
    return Params(*(getattr(params, name)[i] for name in AXES))


# --- reference values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", oracle_cases("pareto_nbd"))
def test_oracle(case):
    hold_against_oracle(model, case)


def test_oracle_covers_the_mandatory_strata():
    strata = {case.values[0]["stratum"] for case in oracle_cases("pareto_nbd")}
    assert {"x=0", "x=1", "t_x=T", "t_x=0", "x=200", "s near 1", "horizon 0", "alpha=beta", "T=0"} <= strata


def test_log_likelihood_of_cdnow():
    table = cdnow_summary()
    data = table["frequency"], table["recency"], table["T"]
    value, gradient = purchase_gradient(model, CDNOW, *data)
    # Fader & Hardie print -9595.0, BTYD -9594.976 from dates less rounded than those of this file.
    np.testing.assert_allclose(value.sum(), -9594.976, atol=5e-3)
    np.testing.assert_allclose(value.sum(), -9594.973934770, atol=1e-8)  # as ParetoNBDFitter's closed form
    np.testing.assert_allclose(value, model.log_likelihood(CDNOW, *data), rtol=1e-13)
    # The parameters are rounded to five digits: near the optimum, not at it.
    assert np.abs(model.constrain_jacobian(model.unconstrain(CDNOW)).T @ gradient.sum(axis=1)).max() < 0.05


def test_lifetimes_gives_the_same_likelihood_and_p_alive():
    table = cdnow_summary()
    data = table["frequency"], table["recency"], table["T"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import ParetoNBDFitter

        theirs = ParetoNBDFitter()._conditional_log_likelihood((0.55315, 10.57633, 0.60625, 11.67150), *data)
    np.testing.assert_allclose(model.log_likelihood(CDNOW, *data), theirs, rtol=1e-9)


# --- second methods over the parameter space ----------------------------------------------------------------------


def test_ten_thousand_points_of_likelihood_and_p_alive():
    params, x, t_x, T = _random_points(10_000, 1)
    log_j = log_decay_by_fine_quadrature(params.r + x, params.alpha + t_x, params.s + 1, params.beta + t_x, T - t_x)
    died = np.log(params.s) - (params.r + x) * np.log(params.alpha + t_x) - (params.s + 1) * np.log(params.beta + t_x)
    lived = -(params.r + x) * np.log(params.alpha + T) - params.s * np.log(params.beta + T)
    odds = died + log_j - lived
    value, alive = model.log_likelihood(params, x, t_x, T), model.p_alive(params, x, t_x, T)
    assert np.isfinite(value).all()
    assert ((alive >= 0.0) & (alive <= 1.0)).all()
    # ``odds`` is a difference of sums of size up to 3e4 here: that, not the code under test, sets 1e-8.
    np.testing.assert_allclose(alive, np.exp(-np.logaddexp(0.0, odds)), rtol=1e-8, atol=1e-300)
    from scipy.special import gammaln

    prefix = gammaln(params.r + x) - gammaln(params.r) + params.r * np.log(params.alpha)
    expected = prefix + params.s * np.log(params.beta) + np.logaddexp(lived, died + log_j)
    np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-9)


def test_ten_thousand_points_of_the_future():
    params, x, t_x, T = _random_points(10_000, 2)
    rng = np.random.default_rng(3)
    horizon, discount = 10 ** rng.uniform(-3, 3.5, 10_000), 10 ** rng.uniform(-5, 0, 10_000)
    rate_b = params.beta + T
    seconds = np.exp(log_decay_by_fine_quadrature(0.0, rate_b, params.s, rate_b, horizon, discount))
    alive = model.p_alive(params, x, t_x, T)
    time = model.expected_time_alive(params, x, t_x, T, horizon=horizon, discount=discount)
    np.testing.assert_allclose(time, alive * seconds, rtol=1e-10, atol=1e-300)
    bought = model.discounted_purchases(params, x, t_x, T, horizon=horizon, discount=discount)
    np.testing.assert_allclose(bought, alive * seconds * (params.r + x) / (params.alpha + T), rtol=1e-10, atol=1e-300)
    undiscounted = model.expected_purchases(params, x, t_x, T, horizon=horizon)
    growth = np.log1p(horizon / rate_b) * (1 - params.s)
    closed = rate_b * np.expm1(growth) / (1 - params.s)
    np.testing.assert_allclose(
        undiscounted, alive * closed * (params.r + x) / (params.alpha + T), rtol=1e-10, atol=1e-300
    )
    silent = model.probability_no_purchase(params, x, t_x, T, horizon=horizon)
    ratio = model.log_likelihood(params, x, t_x, T + horizon) - model.log_likelihood(params, x, t_x, T)
    np.testing.assert_allclose(silent, np.exp(ratio), rtol=1e-8)
    assert ((silent >= 0.0) & (silent <= 1.0)).all()


def _hold_likelihood_against_2f1(count, seed):
    params, x, t_x, T = _random_points(count, seed)
    value = model.log_likelihood(params, x, t_x, T)
    for i in range(count):
        with mp.workdps(60):
            point = [float(getattr(params, name)[i]) for name in AXES]
            exact = pareto_log_likelihood_2f1(*point, x[i], t_x[i], T[i])
            assert abs(mp.mpf(float(value[i])) - exact) <= 1e-11 + 1e-13 * abs(exact), (point, x[i], t_x[i], T[i])


def test_likelihood_against_2f1():
    _hold_likelihood_against_2f1(60, 4)


@pytest.mark.slow
def test_likelihood_against_2f1_on_many_points():
    _hold_likelihood_against_2f1(600, 5)


def test_gradient_against_mpmath():
    params, x, t_x, T = _random_points(8, 6)
    x = np.minimum(x, 200.0)
    for i in range(8):
        _, gradient = purchase_gradient(model, _one(params, i), x[i], t_x[i], T[i])
        point = [mp.mpf(float(getattr(params, name)[i])) for name in AXES]
        with mp.workdps(50):
            for axis in range(4):

                def along(value, axis=axis, point=point, i=i):
                    moved = [*point[:axis], value, *point[axis + 1 :]]
                    return pareto_log_likelihood_2f1(*moved, x[i], t_x[i], T[i])

                exact = float(mp.diff(along, point[axis]))
                scale = (float(x[i]) + 1.0) / float(point[axis])
                np.testing.assert_allclose(gradient[axis, 0], exact, rtol=1e-9, atol=1e-12 * scale)


def test_gradient_against_differences():
    rng = np.random.default_rng(7)
    x, T = rng.integers(0, 30, 200), np.full(200, 40.0)
    t_x = np.where(x > 0, 40.0 * rng.random(200), 0.0)
    t_x[:20] = np.where(x[:20] > 0, 40.0, 0.0)
    for params in (CDNOW, Params(0.6, 11.0, 0.7, 11.0), Params(5.0, 300.0, 1.0, 2.0), Params(0.1, 0.01, 20.0, 900.0)):
        value, gradient = purchase_gradient(model, params, x, t_x, T)
        np.testing.assert_allclose(value, model.log_likelihood(params, x, t_x, T), rtol=1e-12, atol=1e-13)
        for axis, name in enumerate(AXES):
            step = 1e-5 * float(getattr(params, name))
            up, down = (
                Params(*(float(getattr(params, n)) + sign * step * (n == name) for n in AXES)) for sign in (1, -1)
            )
            numeric = model.log_likelihood(up, x, t_x, T) - model.log_likelihood(down, x, t_x, T)
            scale = 1.0 + np.abs(gradient[axis]).max()
            np.testing.assert_allclose(gradient[axis], numeric / (2 * step), rtol=1e-6, atol=1e-7 * scale)


def test_pmf_against_mpmath_and_sums_to_one():
    for point, n, horizon in [
        ((0.55, 10.6, 0.6, 11.7), 300, 500.0),
        ((0.05, 0.3, 0.2, 80.0), 5, 10.0),
        ((30.0, 60.0, 8.0, 3.0), 12, 52.0),
        ((2.0, 1.0, 1.0, 1.0), 700, 900.0),
        ((1.0, 500.0, 25.0, 0.5), 1, 1e4),
    ]:
        exact = float(pareto_pmf_by_mpmath(*point, n, horizon))
        np.testing.assert_allclose(model.purchase_pmf(Params(*point), n, horizon=horizon), [exact], rtol=1e-11)
    probability = model.purchase_pmf(CDNOW, np.arange(4000), horizon=39.0)
    np.testing.assert_allclose(probability.sum(), 1.0, rtol=1e-12)
    mean = (probability * np.arange(4000)).sum()
    np.testing.assert_allclose(mean, model.expected_purchases_new(CDNOW, horizon=39.0), rtol=1e-10)


def test_pmf_at_zero_purchases_is_the_likelihood_of_silence():
    silence = model.purchase_pmf(CDNOW, 0, horizon=[0.0, 5.0, 500.0])
    np.testing.assert_allclose(silence, np.exp(model.log_likelihood(CDNOW, 0, 0, [0.0, 5.0, 500.0])), rtol=1e-13)
    np.testing.assert_array_equal(model.purchase_pmf(CDNOW, [1, 7], horizon=0.0), 0.0)


# --- traps, on both sides -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [-1e-8, 1e-8])
def test_alpha_equals_beta(side):
    data = ([0, 2, 40], [0.0, 30.0, 38.0], [38.0, 38.0, 39.0])
    at, beside = (Params(0.6, 11.0, 0.7, beta) for beta in (11.0, 11.0 * (1 + side)))
    by_beta = purchase_gradient(model, at, *data)[1][3]
    change = model.log_likelihood(beside, *data) - model.log_likelihood(at, *data)
    np.testing.assert_allclose(change, by_beta * 11.0 * side, rtol=1e-5, atol=2e-14)
    np.testing.assert_allclose(model.p_alive(beside, *data), model.p_alive(at, *data), rtol=2e-8)


@pytest.mark.parametrize("side", [-1e-8, 1e-8])
def test_pole_at_s_equal_1(side):
    at, beside = (Params(0.55, 10.6, s, 11.7) for s in (1.0, 1.0 + side))
    for discount in (0.0, 0.002):
        exact = model.expected_purchases_given_alive(at, 2, 38.0, horizon=39.0, discount=discount)
        near = model.expected_purchases_given_alive(beside, 2, 38.0, horizon=39.0, discount=discount)
        assert abs(near / exact - 1.0) < abs(side)
        assert near != exact
    logarithm = 2.55 / 48.6 * 49.7 * np.log1p(39.0 / 49.7)
    np.testing.assert_allclose(model.expected_purchases_given_alive(at, 2, 38.0, horizon=39.0), [logarithm], rtol=1e-14)


def test_last_purchase_at_the_end_of_observation():
    np.testing.assert_array_equal(model.p_alive(CDNOW, [0, 3, 3000], [0, 39, 39], [0, 39, 39]), 1.0)
    just_before = model.p_alive(CDNOW, 3, 39.0 - 1e-9, 39.0)
    assert 1.0 - 1e-9 < just_before[0] < 1.0
    assert np.isfinite(purchase_gradient(model, CDNOW, [0, 3], [0, 39], [0, 39])[1]).all()


def test_long_silence_of_the_best_customers_does_not_overflow():
    alive = model.p_alive(CDNOW, 3000, [0.0, 100.0, 700.0, 729.9], 730.0)
    assert (alive >= 0.0).all()
    assert (np.diff(alive) >= 0.0).all()
    assert alive[0] < 1e-300
    assert model.expected_purchases(CDNOW, 3000, 0.0, 730.0, horizon=52.0)[0] < 1e-300
    # Infinity times an underflowed probability is still infinity, never NaN.
    assert model.expected_purchases(CDNOW, 3000, 0.0, 730.0, horizon=np.inf)[0] == np.inf
    assert model.probability_no_purchase(CDNOW, 3000, 0.0, 730.0, horizon=52.0)[0] == 1.0


@pytest.mark.parametrize("unit", [7.0, 1 / 52.1775, 168.0])
def test_rescaling_time(unit):
    x, t_x, T = np.array([0, 1, 2, 26]), np.array([0.0, 1.71, 30.43, 30.86]), np.array([38.86, 38.86, 38.86, 31.0])
    scaled = Params(CDNOW.r, CDNOW.alpha * unit, CDNOW.s, CDNOW.beta * unit)
    difference = model.log_likelihood(scaled, x, t_x * unit, T * unit) - model.log_likelihood(CDNOW, x, t_x, T)
    np.testing.assert_allclose(difference, -x * np.log(unit), rtol=1e-12, atol=1e-12)
    here = model.discounted_purchases(CDNOW, x, t_x, T, horizon=52.0, discount=0.002)
    there = model.discounted_purchases(scaled, x, t_x * unit, T * unit, horizon=52.0 * unit, discount=0.002 / unit)
    np.testing.assert_allclose(there, here, rtol=1e-12)


def test_infinite_horizon():
    history = (7, 35.0, 77.86)
    assert model.expected_purchases(CDNOW, *history, horizon=np.inf) == np.inf
    assert model.expected_purchases(Params(0.55, 10.6, 1.0, 11.7), *history, horizon=np.inf) == np.inf
    finite = Params(0.55, 10.6, 1.4, 11.7)
    limit = model.p_alive(finite, *history) * 7.55 / (10.6 + 77.86) * (11.7 + 77.86) / 0.4
    np.testing.assert_allclose(model.expected_purchases(finite, *history, horizon=np.inf), limit, rtol=1e-13)
    rising = [model.discounted_purchases(CDNOW, *history, horizon=h, discount=0.0027)[0] for h in (1e2, 1e3, 1e4)]
    assert rising[0] < rising[1] < rising[2]
    dert = model.discounted_purchases(CDNOW, *history, horizon=np.inf, discount=0.0027)
    np.testing.assert_allclose(dert, rising[2], rtol=1e-10)
    never = model.probability_no_purchase(CDNOW, *history, horizon=[1e6, 1e12, np.inf])
    assert (np.diff(never) <= 0.0).all()
    np.testing.assert_allclose(never[1:], never[2], rtol=1e-6)


# --- properties ---------------------------------------------------------------------------------------------------

positive = st.floats(0.02, 50.0)
scales = st.floats(0.05, 2000.0)


@given(r=positive, alpha=scales, s=positive, beta=scales, x=st.integers(0, 500), share=st.floats(0, 1), T=scales)
def test_properties_in_the_horizon(r, alpha, s, beta, x, share, T):
    params, t_x = Params(r, alpha, s, beta), share * T * (x > 0)
    horizons = np.array([0.0, 1.0, 2.0, 3.0, 50.0, 2000.0])
    expected = model.expected_purchases(params, x, t_x, T, horizon=horizons)
    assert expected[0] == 0.0
    assert (np.diff(expected) >= 0.0).all()
    steps = np.diff(expected[:4])
    assert (np.diff(steps) <= 1e-12 * steps[0] + 1e-300).all()  # concave, but for denormal numbers
    silent = model.probability_no_purchase(params, x, t_x, T, horizon=horizons)
    assert silent[0] == pytest.approx(1.0, rel=1e-14)
    assert (np.diff(silent) <= 1e-13).all()
    assert (model.expected_time_alive(params, x, t_x, T, horizon=horizons) <= horizons * (1 + 1e-13)).all()
    same = model.discounted_purchases(params, x, t_x, T, horizon=horizons, discount=0.0)
    np.testing.assert_array_equal(same, expected)
    less = model.discounted_purchases(params, x, t_x, T, horizon=horizons, discount=0.01)
    assert (less <= expected * (1 + 1e-12)).all()


def test_draws_broadcast_to_draw_by_customer():
    rng = np.random.default_rng(11)
    params = model.constrain(model.unconstrain(CDNOW) + 0.1 * rng.standard_normal((5, 4)))
    x, t_x, T = np.array([0, 2, 26]), np.array([0.0, 30.43, 30.86]), np.array([38.86, 38.86, 31.0])
    for call in (
        lambda p: model.log_likelihood(p, x, t_x, T),
        lambda p: model.p_alive(p, x, t_x, T),
        lambda p: model.discounted_purchases(p, x, t_x, T, horizon=[10, 20, np.inf], discount=0.002),
        lambda p: model.expected_purchases_given_alive(p, x, T, horizon=52),
        lambda p: model.probability_no_purchase(p, x, t_x, T, horizon=52),
        lambda p: model.purchase_pmf(p, [0, 1, 400], horizon=52),
        lambda p: model.next_purchase_quantile(p, x, T, probability=[0.0, 0.5, 0.9]),
    ):
        block = call(params)
        assert block.shape == (5, 3)
        for d in range(5):
            row = call(Params(*(float(getattr(params, name)[d, 0]) for name in AXES)))
            np.testing.assert_allclose(block[d], row, rtol=1e-14)


def test_next_purchase_quantile_inverts_the_wait():
    wait = model.next_purchase_quantile(CDNOW, 2, 38.86, probability=[0.1, 0.5, 0.99])
    survival = (1.0 + wait / (CDNOW.alpha + 38.86)) ** -(CDNOW.r + 2)
    np.testing.assert_allclose(1.0 - survival, [0.1, 0.5, 0.99], rtol=1e-13)


def test_free_vector_round_trip_and_jacobian():
    theta = np.array([-3.0, -0.6, -2.5, 0.4])
    np.testing.assert_allclose(model.unconstrain(model.constrain(theta)), theta, rtol=1e-14)
    block = np.stack([theta, theta + 1.0])
    np.testing.assert_allclose(model.unconstrain(model.constrain(block)), block, rtol=1e-14)
    assert model.constrain(block).r.shape == (2, 1)
    jacobian = model.constrain_jacobian(theta)
    for column in range(4):
        step = 1e-6 * np.eye(4)[column]
        up, down = model.constrain(theta + step), model.constrain(theta - step)
        numeric = [(getattr(up, name) - getattr(down, name)) / 2e-6 for name in AXES]
        np.testing.assert_allclose(jacobian[:, column], numeric, rtol=1e-8, atol=1e-8)


def test_starts_and_prior_follow_the_unit_of_time():
    x, t_x, T, w = np.array([0, 3]), np.array([0.0, 20.0]), np.array([30.0, 40.0]), np.array([5, 2])
    shift = np.log(7.0) * np.array([1.0, 0.0, 1.0, 0.0])
    for weekly, daily in zip(
        model.starting_points(x, t_x, T, w), model.starting_points(x, 7 * t_x, 7 * T, w), strict=True
    ):
        np.testing.assert_allclose(daily, weekly - shift, atol=1e-12)
    assert all(np.isfinite(start).all() for start in model.starting_points([0], [0.0], [0.0], [1]))
    weekly, scale = model.prior_location_scale(1.0, 0.07)
    np.testing.assert_allclose(model.prior_location_scale(7.0, 0.01)[0], weekly)
    np.testing.assert_allclose(weekly, [np.log(0.07), 0.0, np.log(0.07) - 1.0, 0.0])
    np.testing.assert_allclose(scale, [1.5, 2.5, 2.0, 2.0])


@pytest.mark.parametrize(
    "call",
    [
        lambda: Params(0.0, 1.0, 1.0, 1.0),
        lambda: Params(1.0, np.inf, 1.0, 1.0),
        lambda: Params(1.0, 1.0, [1.0, np.nan], 1.0),
        lambda: model.log_likelihood(CDNOW, -1, 0.0, 1.0),
        lambda: model.p_alive(CDNOW, 1, 2.0, 1.0),
        lambda: model.p_alive(CDNOW, 1, np.nan, 1.0),
        lambda: model.expected_purchases(CDNOW, 1, 1.0, 2.0, horizon=-1.0),
        lambda: model.discounted_purchases(CDNOW, 1, 1.0, 2.0, horizon=1.0, discount=-0.1),
        lambda: model.purchase_pmf(CDNOW, 0.5, horizon=1.0),
        lambda: model.next_purchase_quantile(CDNOW, 1, 2.0, probability=1.0),
        lambda: model.draw_future_purchases(CDNOW, 1, 1.0, 2.0, horizon=np.inf, rng=1),
        lambda: model.unconstrain(Params([1.0, 2.0], 1.0, 1.0, 1.0)),
        lambda: model.constrain(np.zeros(3)),
    ],
)
def test_out_of_domain(call):
    with pytest.raises(DomainError):
        call()


# --- simulation ---------------------------------------------------------------------------------------------------


def _standard_errors_off(draws, exact):
    return np.abs(draws.mean(axis=0) - exact) / (draws.std(axis=0) / np.sqrt(draws.shape[0]))


def test_mean_of_discounted_draws_equals_the_closed_form():
    x, t_x, T = np.array([0, 2, 26, 7]), np.array([0.0, 30.43, 30.86, 35.0]), np.array([38.86, 38.86, 31.0, 77.86])
    paths = model.draw_future_purchases(CDNOW, x, t_x, T, horizon=104.0, rng=5, draws=40_000)
    worth = paths.discounted(0.01)
    exact = model.discounted_purchases(CDNOW, x, t_x, T, horizon=104.0, discount=0.01)
    assert (_standard_errors_off(worth, exact) < 4.0).all()
    silent = model.probability_no_purchase(CDNOW, x, t_x, T, horizon=104.0)
    assert (_standard_errors_off(1.0 * (paths.count == 0), silent) < 4.0).all()
    living = model.expected_time_alive(CDNOW, x, t_x, T, horizon=104.0)
    assert (_standard_errors_off(paths.alive_until, living) < 4.0).all()
    # Negative control: where purchases are many, the same test tells 5 % more of them apart.
    assert (_standard_errors_off(worth, 1.05 * exact)[1:3] > 4.0).all()


def test_simulated_counts_follow_the_pmf():
    paths = model.simulate(CDNOW, np.full(100_000, 39.0), rng=6)
    observed = np.bincount(paths.count[0], minlength=6)[:6]
    expected = 100_000 * model.purchase_pmf(CDNOW, np.arange(6), horizon=39.0)
    assert (np.abs(observed - expected) < 4.0 * np.sqrt(expected)).all()


@pytest.mark.slow
def test_simulated_histories_agree_with_p_alive():
    # Bayes' rule on simulated customers: among those with a given p_alive, that share is alive.
    paths = model.simulate(CDNOW, np.full(400_000, 39.0), rng=8)
    x, t_x = (part[0] for part in paths.summary())
    alive = paths.alive_until[0] >= 39.0
    predicted = model.p_alive(CDNOW, x, t_x, 39.0)
    for low in np.arange(0.0, 1.0, 0.1):
        inside = (predicted >= low) & (predicted < low + 0.1)
        if inside.sum() > 500:
            error = np.sqrt((predicted[inside] * (1 - predicted[inside])).sum())
            assert abs(alive[inside].sum() - predicted[inside].sum()) < 4.0 * error


def test_rates_over_time_add_up_to_the_expectations():
    nodes, weights = np.polynomial.legendre.leggauss(40)
    ahead, share = 26.0 * (1.0 + nodes)[:, None], 26.0 * weights[:, None]
    x, T = np.array([0, 2, 26]), np.array([38.86, 38.86, 31.0])
    rate = model.purchase_rate_given_alive(CDNOW, x, T, ahead=ahead)
    expected = model.expected_purchases_given_alive(CDNOW, x, T, horizon=52.0)
    np.testing.assert_allclose((share * rate).sum(axis=0), expected, rtol=1e-12)
    alive = model.survival_given_alive(CDNOW, x, T, ahead=ahead)
    seconds = model.expected_time_alive(CDNOW, x, T, T, horizon=52.0)  # recency = T: alive for sure
    np.testing.assert_allclose((share * alive).sum(axis=0), seconds, rtol=1e-12)


@pytest.mark.parametrize("n", [0, 1, 5, 300])
@pytest.mark.parametrize("horizon", [1e-300, 4e-81, 1e-30, 1e-18, 1e-12])
def test_pmf_of_a_vanishing_horizon(n, horizon):
    params = Params(0.55, 10.6, 0.61, 11.7)
    pmf = float(model.purchase_pmf(params, n, horizon=horizon)[0])
    if n == 0:
        assert pmf == pytest.approx(1.0, abs=1e-12)
    else:  # to first order in the horizon: r h / alpha for one purchase, less than the horizon's power for more
        assert 0.0 <= pmf <= 1.001 * 0.55 / 10.6 * horizon
        assert n > 1 or pmf == pytest.approx(0.55 / 10.6 * horizon, rel=1e-6)
