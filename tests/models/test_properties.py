"""Properties that every transaction model must satisfy, over the registry, each with a wrong model that fails it."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_forecast.models import TRANSACTION_MODELS, bg_nbd
from tests.models.gradients import purchase_gradient

EXAMPLES = settings(max_examples=60)
MODELS = pytest.mark.parametrize("model", [pytest.param(m, id=name) for name, m in TRANSACTION_MODELS.items()])
SLACK = 1e-9
TINY = 1e-290  # below it doubles lose digits, and nothing is asked of them


def scaled(low, high):
    return st.floats(np.log(low), np.log(high)).map(lambda v: float(np.exp(v)))


PARAMETERS = st.tuples(scaled(0.01, 50), scaled(0.1, 200), scaled(0.01, 50), scaled(0.1, 200))


@st.composite
def states(draw):
    T = draw(scaled(0.1, 1000))
    x = draw(st.integers(0, 300))
    return x, T * draw(st.floats(0, 1)) if x else 0.0, T


# --- the checks -------------------------------------------------------------------------------------------------------


def check_alive(model, values, state):
    alive = model.p_alive(model.Params(*values), *state)
    assert ((alive >= 0) & (alive <= 1)).all()
    silent = model.probability_no_purchase(model.Params(*values), *state, horizon=np.array([0.0, 1.0, 50.0, np.inf]))
    np.testing.assert_allclose(silent[0], 1, rtol=SLACK)
    assert silent[3] >= 1 - alive[0] - SLACK  # equal where customers leave at purchases only
    assert (np.diff(silent) <= SLACK).all()


def check_expectation_in_the_horizon(model, values, state):
    horizon = np.linspace(0, 100, 21)
    expected = model.expected_purchases(model.Params(*values), *state, horizon=horizon)
    assert expected[0] == 0
    assert (expected >= 0).all()
    size = expected[-1] * SLACK + TINY
    assert (np.diff(expected) >= -size).all()
    assert (np.diff(expected, 2) <= size).all()
    given_alive = model.expected_purchases_given_alive(model.Params(*values), state[0], state[2], horizon=horizon)
    product = model.p_alive(model.Params(*values), *state) * given_alive
    np.testing.assert_allclose(expected, product, rtol=SLACK, atol=TINY)
    lived = model.expected_time_alive(model.Params(*values), *state, horizon=horizon)
    assert ((lived >= 0) & (lived <= horizon * (1 + SLACK))).all()


def check_discounting(model, values, state):
    params, horizon = model.Params(*values), np.array([1.0, 50.0, 2000.0])
    plain = model.expected_purchases(params, *state, horizon=horizon)
    none = model.discounted_purchases(params, *state, horizon=horizon, discount=0.0)
    tiny = model.discounted_purchases(params, *state, horizon=horizon, discount=1e-14)
    some = model.discounted_purchases(params, *state, horizon=horizon, discount=0.01)
    ever = model.discounted_purchases(params, *state, horizon=np.inf, discount=0.01)
    np.testing.assert_array_equal(none, plain)
    np.testing.assert_allclose(tiny, plain, rtol=1e-8, atol=TINY)
    assert (some <= plain * (1 + SLACK) + TINY).all()
    assert (np.diff(some) >= -SLACK * some[-1] - TINY).all()
    np.testing.assert_allclose(some[2], ever, rtol=1e-6, atol=TINY)
    assert some[2] <= ever * (1 + SLACK) + TINY


def check_pmf(model, values, horizon):
    n = np.arange(6000)
    params = model.Params(*values)
    pmf = model.purchase_pmf(params, n, horizon=horizon)
    assert (pmf >= 0).all()
    np.testing.assert_allclose(pmf.sum(), 1, rtol=1e-8)
    np.testing.assert_allclose(pmf @ n, model.expected_purchases_new(params, horizon=horizon), rtol=1e-7)
    np.testing.assert_allclose(pmf[0], model.probability_no_purchase(params, 0, 0, 0, horizon=horizon)[0], rtol=1e-9)


def check_unit_of_time(model, values, state, factor):
    other = [v * factor if name in ("alpha", "beta") else v for name, v in zip(model.PARAMETERS, values, strict=True)]
    params, rescaled = model.Params(*values), model.Params(*other)
    x, t_x, T = state
    moved = x, t_x * factor, T * factor
    shift = model.log_likelihood(rescaled, *moved) - model.log_likelihood(params, *state)
    scale = 1 + abs(model.log_likelihood(params, *state)[0]) + x * abs(np.log(factor))
    np.testing.assert_allclose(shift, -x * np.log(factor), atol=1e-10 * scale)
    np.testing.assert_allclose(model.p_alive(rescaled, *moved), model.p_alive(params, *state), rtol=1e-8, atol=TINY)
    np.testing.assert_allclose(
        model.discounted_purchases(rescaled, *moved, horizon=40 * factor, discount=0.01 / factor),
        model.discounted_purchases(params, *state, horizon=40, discount=0.01),
        rtol=1e-7,
        atol=TINY,
    )


def check_gradient(model, values, state):
    value, gradient = purchase_gradient(model, model.Params(*values), *state)
    for i, v in enumerate(values):
        step = 1e-4 * v
        ends = []
        for k in (-2, -1, 1, 2):
            moved = list(values)
            moved[i] = v + k * step
            ends.append(model.log_likelihood(model.Params(*moved), *state))
        slope = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * step)
        np.testing.assert_allclose(gradient[i] * v, slope * v, rtol=1e-6, atol=1e-9 * (1 + np.abs(value).max()))


def check_free_vector(model, values):
    theta = model.unconstrain(model.Params(*values))
    back = model.constrain(theta)
    np.testing.assert_allclose([getattr(back, name) for name in model.PARAMETERS], values, rtol=1e-10)
    step = 1e-5
    for k in range(4):
        shift = step * np.eye(4)[k]
        ends = [model.constrain(theta + sign * shift) for sign in (1, -1)]
        column = [float(getattr(ends[0], name) - getattr(ends[1], name)) / (2 * step) for name in model.PARAMETERS]
        np.testing.assert_allclose(model.constrain_jacobian(theta)[:, k], column, rtol=1e-6, atol=1e-6 * max(values))


# --- on the models ----------------------------------------------------------------------------------------------------


@MODELS
@EXAMPLES
@given(values=PARAMETERS, state=states())
def test_alive(model, values, state):
    check_alive(model, values, state)


@MODELS
@EXAMPLES
@given(values=PARAMETERS, state=states())
def test_expectation_in_the_horizon(model, values, state):
    check_expectation_in_the_horizon(model, values, state)


@MODELS
@EXAMPLES
@given(values=PARAMETERS, state=states())
def test_discounting(model, values, state):
    check_discounting(model, values, state)


@MODELS
@EXAMPLES
@given(
    values=st.tuples(scaled(0.01, 5), scaled(1, 200), scaled(0.01, 50), scaled(0.1, 200)),
    horizon=st.just(0.0) | scaled(1e-6, 50),
)
def test_pmf(model, values, horizon):
    check_pmf(model, values, horizon)


@MODELS
@EXAMPLES
@given(values=PARAMETERS, state=states(), factor=scaled(0.01, 100))
def test_unit_of_time(model, values, state, factor):
    check_unit_of_time(model, values, state, factor)


@MODELS
@EXAMPLES
@given(values=PARAMETERS, state=states())
def test_gradient(model, values, state):
    check_gradient(model, values, state)


@MODELS
@EXAMPLES
@given(values=PARAMETERS)
def test_free_vector(model, values):
    check_free_vector(model, values)


@MODELS
@EXAMPLES
@given(values=PARAMETERS, rows=st.lists(states(), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_row_order_does_not_matter(model, values, rows, seed):
    x, t_x, T = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    order = np.random.default_rng(seed).permutation(x.size)
    params = model.Params(*values)
    for whole, moved in (
        (model.log_likelihood(params, x, t_x, T), model.log_likelihood(params, x[order], t_x[order], T[order])),
        (
            model.discounted_purchases(params, x, t_x, T, horizon=52, discount=0.002),
            model.discounted_purchases(params, x[order], t_x[order], T[order], horizon=52, discount=0.002),
        ),
    ):
        np.testing.assert_allclose(whole[order], moved, rtol=1e-12, atol=TINY)


# --- on wrong models --------------------------------------------------------------------------------------------------

VALUES, STATE = (0.25, 4.0, 0.8, 2.5), (2, 30.0, 40.0)


def spoiled(**wrong):
    return SimpleNamespace(**({name: getattr(bg_nbd, name) for name in bg_nbd.__all__} | wrong))


WRONG = {
    "alive above 1": (
        check_alive,
        (VALUES, STATE),
        spoiled(p_alive=lambda p, x, t, T: 1.5 * bg_nbd.p_alive(p, x, t, T)),
    ),
    "expectation grows faster than time": (
        check_expectation_in_the_horizon,
        (VALUES, STATE),
        spoiled(
            expected_purchases=lambda *s, horizon: bg_nbd.expected_purchases(*s, horizon=horizon) * horizon,
        ),
    ),
    "expectation without P(alive)": (
        check_expectation_in_the_horizon,
        (VALUES, STATE),
        spoiled(
            expected_purchases=lambda p, x, t, T, horizon: bg_nbd.expected_purchases_given_alive(
                p, x, T, horizon=horizon
            )
        ),
    ),
    "discount at the end of the horizon": (
        check_discounting,
        (VALUES, STATE),
        spoiled(
            discounted_purchases=lambda *s, horizon, discount: (
                np.exp(-discount * np.minimum(horizon, 1e4))
                * bg_nbd.expected_purchases(*s, horizon=np.minimum(horizon, 1e4))
            )
        ),
    ),
    "pmf without those who left": (
        check_pmf,
        (VALUES, 39.0),
        spoiled(purchase_pmf=lambda p, n, horizon: bg_nbd.purchase_pmf(p, n, horizon=horizon) * (np.asarray(n) < 3)),
    ),
    "likelihood in rescaled time": (
        check_unit_of_time,
        (VALUES, STATE, 7.0),
        spoiled(log_likelihood=lambda p, x, t, T: bg_nbd.log_likelihood(p, x, t, T) + x * np.log(T)),
    ),
    "gradient with a wrong sign": (
        check_gradient,
        (VALUES, STATE),
        spoiled(
            log_likelihood_of_cells=lambda *a: (0.0, -bg_nbd.log_likelihood_of_cells(*a)[1]),
        ),
    ),
    "jacobian transposed": (
        check_free_vector,
        (VALUES,),
        spoiled(constrain_jacobian=lambda theta: bg_nbd.constrain_jacobian(theta).T),
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_models_fail(wrong):
    check, arguments, model = WRONG[wrong]
    check(bg_nbd, *arguments)
    with pytest.raises(AssertionError):
        check(model, *arguments)
