from __future__ import annotations

import warnings

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import kstest

from clv_forecast.errors import DomainError
from clv_forecast.models import gamma_gamma as model
from clv_forecast.models.gamma_gamma import Params
from clv_forecast.streams import KeyedStreams, customer_keys
from tests.models.gradients import spend_gradient
from tests.models.second_methods import cdnow_summary, hold_against_oracle, oracle_cases

PAPER = Params(6.25, 3.74, 15.44)
AXES = ("p", "q", "v")


def _random_points(count, seed):
    rng = np.random.default_rng(seed)
    params = Params(10 ** rng.uniform(-1.5, 2, count), 10 ** rng.uniform(-1, 2, count), 10 ** rng.uniform(-2, 4, count))
    n = np.floor(10 ** rng.uniform(0, 3.5, count)) * (rng.random(count) < 0.8)
    mean = 10 ** rng.uniform(-2, 5, count)
    sum_log = n * (np.log(mean) - rng.exponential(0.5, count))
    return params, n, mean, sum_log


def _cdnow_means():
    table = cdnow_summary(with_spend=True)
    repeat = table["x"] > 0
    return table["x"][repeat], table["zbar"][repeat]


# --- reference values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", oracle_cases("gamma_gamma"))
def test_oracle(case):
    hold_against_oracle(model, case)


def test_oracle_covers_the_mandatory_strata():
    strata = {case.values[0]["stratum"] for case in oracle_cases("gamma_gamma")}
    assert {"x=0", "x=1", "x=200", "x=3000", "q near 1", "q<1"} <= strata


def test_log_likelihood_of_cdnow():
    x, mean = _cdnow_means()
    assert x.size == 946
    value, gradient = spend_gradient(Params(6.24880, 3.74459, 15.44775), x, x * mean)
    np.testing.assert_allclose(value.sum(), -4055.9232, atol=5e-5)
    # The parameters are rounded to six digits: near the optimum, not at it.
    assert np.abs(gradient.sum(axis=1)).max() < 1e-3


def test_lifetimes_gives_the_same_likelihood_and_spend():
    x, mean = _cdnow_means()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from lifetimes import GammaGammaFitter

        fitter = GammaGammaFitter()
        fitter.params_ = pd.Series({"p": 6.25, "q": 3.74, "v": 15.44})
        theirs = fitter._negative_log_likelihood(np.log([6.25, 3.74, 15.44]), x, mean, np.ones(x.size), 0.0)
        spend = fitter.conditional_expected_average_profit(x, mean)
    np.testing.assert_allclose(-model.log_likelihood(PAPER, x, mean).mean(), theirs, rtol=1e-12)
    np.testing.assert_allclose(model.expected_spend(PAPER, x, mean), spend, rtol=1e-12)


# --- second methods -----------------------------------------------------------------------------------------------


def test_ten_thousand_points():
    params, n, mean, sum_log = _random_points(10_000, 1)
    p, q, v = params.p, params.q, params.v
    k, total = np.maximum(n, 1.0), np.maximum(n, 1.0) * mean
    mean_only = (
        gammaln(p * k + q) - gammaln(p * k) - gammaln(q) + q * np.log(v) + (p * k - 1) * np.log(mean)
        + p * k * np.log(k) - (p * k + q) * np.log(v + total)
    )  # fmt: skip
    value = model.log_likelihood(params, n, mean)
    assert np.isfinite(value).all()
    # The plain form subtracts terms up to 1e7 of size: hence the absolute tolerance.
    np.testing.assert_allclose(value, np.where(n > 0, mean_only, 0.0), rtol=1e-8, atol=2e-8)
    orders = (
        (p - 1) * sum_log - n * gammaln(p) + gammaln(n * p + q) - gammaln(q) + q * np.log(v)
        - (n * p + q) * np.log(v + total)
    )  # fmt: skip
    value = model.log_likelihood_orders(params, n, n * mean, sum_log)
    np.testing.assert_allclose(value, np.where(n > 0, orders, 0.0), rtol=1e-8, atol=2e-8)
    assert (value[n == 0] == 0.0).all()
    above = Params(p, q + 1.0, v)
    spend = model.expected_spend(above, n, mean)
    assert (spend > 0.0).all()
    own, everyone = p * n / (p * n + q), q / (p * n + q)
    np.testing.assert_allclose(spend, everyone * v * p / q + own * mean, rtol=1e-11)


def test_likelihoods_are_integrals_over_nu():
    p, q, v, orders = 1.7, 2.4, 9.0, [3.0, 8.5, 4.25]
    n, total = len(orders), sum(orders)

    def gamma_density(z, shape, rate):
        return rate**shape * z ** (shape - 1) * mp.exp(-rate * z) / mp.gamma(shape)

    def of_orders(nu):
        return mp.fprod(gamma_density(mp.mpf(z), p, nu) for z in orders) * gamma_density(nu, q, v)

    def of_mean(nu):
        return gamma_density(mp.mpf(total / n), p * n, n * nu) * gamma_density(nu, q, v)

    breaks = [0, 0.1, 0.3, 1, 3, 10, mp.inf]
    params = Params(p, q, v)
    exact = float(mp.log(mp.quad(of_orders, breaks)))
    sum_log = np.log(orders).sum()
    np.testing.assert_allclose(model.log_likelihood_orders(params, n, total, sum_log), [exact], rtol=1e-11)
    exact = float(mp.log(mp.quad(of_mean, breaks)))
    np.testing.assert_allclose(model.log_likelihood(params, n, total / n), [exact], rtol=1e-11)


def test_the_two_likelihoods_are_one_for_single_orders():
    amount = np.array([0.5, 20.0, 3000.0])
    single = model.log_likelihood_orders(PAPER, 1, amount, np.log(amount))
    np.testing.assert_allclose(single, model.log_likelihood(PAPER, 1, amount), rtol=1e-13)


def test_gradients_against_mpmath():
    params, n, mean, sum_log = _random_points(12, 2)
    for i in range(12):
        point = [mp.mpf(float(getattr(params, name)[i])) for name in AXES]
        k, m, s = mp.mpf(n[i]), mp.mpf(mean[i]), mp.mpf(sum_log[i])

        def orders(p, q, v, k=k, m=m, s=s):
            prefix = (p - 1) * s - k * mp.loggamma(p) + mp.loggamma(k * p + q) - mp.loggamma(q)
            return prefix + q * mp.log(v) - (k * p + q) * mp.log(v + k * m)

        def means(p, q, v, k=k, m=m):
            prefix = mp.loggamma(k * p + q) - mp.loggamma(k * p) - mp.loggamma(q) + q * mp.log(v)
            return prefix + (p * k - 1) * mp.log(m) + p * k * mp.log(k) - (k * p + q) * mp.log(v + k * m)

        here = Params(*(float(value) for value in point))
        by_orders = spend_gradient(here, n[i], n[i] * mean[i], sum_log[i])[1]
        by_means = spend_gradient(here, n[i], n[i] * mean[i])[1]
        if n[i] == 0:
            assert (by_orders == 0.0).all()
            assert (by_means == 0.0).all()
            continue
        with mp.workdps(50):
            for axis in range(3):
                unit = tuple(int(a == axis) for a in range(3))
                scale = float(n[i]) * 1e-11 / min(1.0, float(point[axis]))
                np.testing.assert_allclose(
                    by_orders[axis, 0], float(mp.diff(orders, point, unit)), rtol=1e-9, atol=scale
                )
                np.testing.assert_allclose(by_means[axis, 0], float(mp.diff(means, point, unit)), rtol=1e-9, atol=scale)


# --- traps, on both sides -----------------------------------------------------------------------------------------


def test_what_stands_at_no_orders_is_not_read():
    for junk in (0.0, np.nan, -5.0, np.inf):
        assert model.log_likelihood(PAPER, [0], [junk])[0] == 0.0
        assert model.log_likelihood_orders(PAPER, [0], [junk], [junk])[0] == 0.0
        assert model.expected_spend(PAPER, [0], [junk])[0] == pytest.approx(6.25 * 15.44 / 2.74, rel=1e-15)
        assert model.posterior_shape_rate(PAPER, [0], [junk])[1][0] == 15.44


@pytest.mark.parametrize("q", [0.5, 1.0, 1.0 - 1e-12])
def test_no_expectation_at_or_below_q_1(q):
    params = Params(6.25, [[3.74], [q]], 15.44)
    assert np.isfinite(model.log_likelihood(params, 2, 22.35)).all()
    for call in (
        lambda: model.expected_spend(params, 2, 22.35),
        lambda: model.draw_future_spend(params, 2, 44.7, 1, rng=1),
        lambda: model.draw_future_orders(params, 2, 44.7, 1, rng=1),
        lambda: model.draw_one_order(params, 2, 44.7, rng=1),
        lambda: model.simulate(params, [3], rng=1),
        lambda: model.unconstrain(params),
    ):
        with pytest.raises(DomainError, match="q > 1"):
            call()


@pytest.mark.parametrize("log_excess", [-800.0, -40.0, -36.0, 0.0, 300.0])
def test_q_stays_above_1_in_the_free_vector(log_excess):
    params = model.constrain([3.5, 0.5, log_excess]) if log_excess > -700 else None
    if params is None:
        with pytest.raises(DomainError):  # v underflows before q does
            model.constrain([3.5, 0.5, log_excess])
        return
    assert float(params.q) > 1.0
    assert (model.expected_spend(params, [0, 5], [np.nan, 20.0]) > 0.0).all()


def test_rescaling_money():
    _, n, mean, sum_log = _random_points(200, 4)
    cents = Params(PAPER.p, PAPER.q, 100.0 * PAPER.v)
    np.testing.assert_allclose(
        model.log_likelihood_orders(cents, n, 100 * n * mean, sum_log + n * np.log(100.0)),
        model.log_likelihood_orders(PAPER, n, n * mean, sum_log) - n * np.log(100.0),
        rtol=1e-11,
        atol=1e-11,
    )
    shift = model.log_likelihood(cents, n, 100 * mean) - model.log_likelihood(PAPER, n, mean)
    np.testing.assert_allclose(shift, -np.log(100.0) * (n > 0), atol=1e-9)
    np.testing.assert_allclose(
        model.expected_spend(cents, n, 100 * mean), 100 * model.expected_spend(PAPER, n, mean), rtol=1e-13
    )


@given(
    p=st.floats(0.05, 50),
    q=st.floats(1.001, 100),
    v=st.floats(0.01, 1e4),
    x=st.integers(0, 1000),
    m=st.floats(0.01, 1e5),
)
def test_expected_spend_lies_between_the_population_and_the_customer(p, q, v, x, m):
    spend = model.expected_spend(Params(p, q, v), x, m)[0]
    population = p * v / (q - 1.0)
    assert min(population, m) * (1 - 1e-9) <= spend <= max(population, m) * (1 + 1e-9) or x == 0
    if x == 0:
        assert spend == pytest.approx(population, rel=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Params(0.0, 1.0, 1.0),
        lambda: Params(1.0, np.nan, 1.0),
        lambda: model.log_likelihood(PAPER, -1, 3.0),
        lambda: model.log_likelihood(PAPER, 1, 0.0),
        lambda: model.log_likelihood(PAPER, 1, np.nan),
        lambda: model.log_likelihood_orders(PAPER, 1, -3.0, 1.0),
        lambda: model.log_likelihood_orders(PAPER, 1, 3.0, np.nan),
        lambda: model.expected_spend(PAPER, 2, np.inf),
        lambda: model.draw_future_spend(PAPER, 2, 44.7, 0.5, rng=1),
        lambda: model.draw_future_spend(PAPER, 2, 44.7, -1, rng=1),
        lambda: model.draw_one_order(PAPER, 2, 44.7, rng=1, draws=0),
        lambda: model.draw_one_order(Params([[6.0], [7.0]], 3.0, 15.0), 2, 44.7, rng=1, draws=3),
        lambda: model.constrain(np.zeros(4)),
        lambda: model.prior_location_scale(0.0),
        lambda: model.starting_points([0], [0.0], [0.0], [1]),
    ],
)
def test_out_of_domain(call):
    with pytest.raises(DomainError):
        call()


# --- free vector --------------------------------------------------------------------------------------------------


def test_free_vector_round_trip_and_jacobian():
    theta = np.array([3.5, 0.8, -0.4])
    np.testing.assert_allclose(model.unconstrain(model.constrain(theta)), theta, rtol=1e-14)
    block = np.stack([theta, theta + 0.5])
    params = model.constrain(block)
    assert params.q.shape == (2, 1)
    np.testing.assert_allclose(model.unconstrain(params), block, rtol=1e-13)
    np.testing.assert_allclose((params.p * params.v / (params.q - 1.0))[:, 0], np.exp(block[:, 0]), rtol=1e-13)
    jacobian = model.constrain_jacobian(theta)
    for column in range(3):
        step = 1e-6 * np.eye(3)[column]
        up, down = model.constrain(theta + step), model.constrain(theta - step)
        numeric = [(getattr(up, name) - getattr(down, name)) / 2e-6 for name in AXES]
        np.testing.assert_allclose(jacobian[:, column], numeric, rtol=1e-8, atol=1e-8)


def test_starts_and_prior_follow_the_unit_of_money():
    n, total, sum_log, w = np.array([1, 4]), np.array([30.0, 100.0]), np.array([3.4, 12.5]), np.array([3, 1])
    for dollars, cents in zip(
        model.starting_points(n, total, sum_log, w),
        model.starting_points(n, 100 * total, sum_log + n * np.log(100.0), w),
        strict=True,
    ):
        np.testing.assert_allclose(cents, dollars + np.array([np.log(100.0), 0.0, 0.0]), atol=1e-12)
    unknown = model.starting_points(n, total, np.full(2, np.nan), w)
    assert all(np.isfinite(start).all() for start in unknown)
    location, scale = model.prior_location_scale(35.0)
    np.testing.assert_allclose(location, [np.log(35.0), 0.5, 1.0])
    np.testing.assert_allclose(scale, [1.0, 1.25, 1.25])


# --- draws --------------------------------------------------------------------------------------------------------


def test_draws_follow_the_posterior_predictive():
    n, total, draws = np.array([0, 2, 40]), np.array([0.0, 44.7, 1600.0]), 60_000
    one = model.draw_one_order(PAPER, n, total, rng=3, draws=draws)
    shape, rate = model.posterior_shape_rate(PAPER, n, total)
    for c in range(3):
        # z / (z + rate) is Beta(p, shape) when z ~ Gamma(p, nu), nu ~ Gamma(shape, rate).
        share = one[:, c] / (one[:, c] + rate[c])
        assert kstest(share, "beta", args=(6.25, shape[c])).pvalue > 1e-3
        assert kstest(share, "beta", args=(6.25, 1.05 * shape[c])).pvalue < 1e-3  # negative control
    spend = model.expected_spend(PAPER, n, total / np.maximum(n, 1))
    error = one.std(axis=0) / np.sqrt(draws)
    assert (np.abs(one.mean(axis=0) - spend) < 5.0 * error).all()


def test_one_customer_keeps_one_nu_for_all_orders():
    seven = model.draw_future_spend(PAPER, [2], [44.7], np.full((60_000, 1), 7), rng=4)[:, 0]
    shape, rate = (float(part[0]) for part in model.posterior_shape_rate(PAPER, [2], [44.7]))
    assert kstest(seven / (seven + rate), "beta", args=(7 * 6.25, shape)).pvalue > 1e-3


def test_horizons_nest_and_sums_agree_with_orders():
    count = np.array([[0, 1, 5], [2, 0, 9]])
    few = model.draw_future_orders(PAPER, [2, 0, 7], [44.7, 0.0, 500.0], count, rng=5)
    more = model.draw_future_orders(PAPER, [2, 0, 7], [44.7, 0.0, 500.0], count + 3, rng=5)
    for path in range(6):
        k = count.ravel()[path]
        start, longer = few.offsets[path], more.offsets[path]
        np.testing.assert_array_equal(few.amount[start : start + k], more.amount[longer : longer + k])
    total = model.draw_future_spend(PAPER, [2, 0, 7], [44.7, 0.0, 500.0], count, rng=5)
    number, summed, sum_log = few.summary()
    np.testing.assert_array_equal(number, count)
    np.testing.assert_allclose(total, summed, rtol=1e-14)
    assert (total[count == 0] == 0.0).all()
    assert (
        sum_log[count > 0] <= (count * np.log(np.maximum(total, 1e-9) / np.maximum(count, 1)))[count > 0] + 1e-12
    ).all()


def test_a_customer_keeps_the_numbers_whoever_else_is_asked():
    params = model.constrain(model.unconstrain(PAPER) + 0.1 * np.random.default_rng(6).standard_normal((4, 3)))
    n, total, count = np.array([2, 0, 7]), np.array([44.7, 0.0, 500.0]), np.array([[1, 2, 3]] * 4)
    keys = customer_keys(9, ["a", "b", "c"])
    everyone = model.draw_future_spend(params, n, total, count, rng=KeyedStreams(keys))
    alone = model.draw_future_spend(params, n[2:], total[2:], count[:, 2:], rng=KeyedStreams(keys[2:]))
    np.testing.assert_array_equal(everyone[:, 2:], alone)
    last = Params(*(getattr(params, name)[2:] for name in AXES))
    tail = model.draw_future_spend(last, n, total, count[2:], rng=KeyedStreams(keys, first_draw=2))
    np.testing.assert_array_equal(everyone[2:], tail)


def test_the_likelihood_peaks_at_the_parameters_simulated_from():
    counts = np.random.default_rng(7).integers(1, 8, 40_000)
    n, total, sum_log = (part[0] for part in model.simulate(PAPER, counts, rng=8).summary())
    _, gradient = spend_gradient(PAPER, n, total, sum_log)
    z = gradient.sum(axis=1) / np.sqrt((gradient**2).sum(axis=1))
    assert (np.abs(z) < 4.0).all()
    _, elsewhere = spend_gradient(Params(6.6, 3.74, 15.44), n, total, sum_log)
    assert abs(elsewhere[0].sum()) > 4.0 * np.sqrt((elsewhere[0] ** 2).sum())  # negative control
    _, by_means = spend_gradient(PAPER, n, total)
    assert (np.abs(by_means.sum(axis=1)) < 4.0 * np.sqrt((by_means**2).sum(axis=1))).all()


def test_tiny_shapes_never_give_an_order_of_zero():
    orders = model.simulate(Params(0.005, 1.5, 1.0), np.full(500, 4), rng=9)
    assert (orders.amount > 0.0).all()
    assert np.isfinite(orders.summary()[2]).all()
