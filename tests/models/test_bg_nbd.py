import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from clv_forecast.errors import DomainError
from clv_forecast.models import bg_nbd, mbg_nbd
from clv_forecast.models.bg_nbd import Params
from clv_forecast.models.paths import future_paths
from tests.models import beta_geometric_by_mpmath as by_mpmath
from tests.models.gradients import purchase_gradient
from tests.models.second_methods import cdnow_summary, hold_against_oracle, oracle_cases

MODELS = [pytest.param(bg_nbd, 0, id="bg_nbd"), pytest.param(mbg_nbd, 1, id="mbg_nbd")]
PRINTED = Params(0.243, 4.414, 0.793, 2.426)
OPTIMUM = Params(0.24259289, 4.41353152, 0.79288608, 2.42575356)
STATES = (np.array([0, 0, 1, 2, 2, 26, 200]), np.array([0, 0, 1.7, 30.4, 38.9, 30.9, 38.0]),
          np.array([0.0, 38.9, 38.9, 38.9, 38.9, 31.0, 40.0]))  # fmt: skip
Z_LIMIT = 4.5


@pytest.mark.parametrize("case", oracle_cases("bg_nbd"))
def test_oracle(case):
    hold_against_oracle(bg_nbd, case)


def test_oracle_covers_the_mandatory_strata():
    strata = {case.values[0]["stratum"] for case in oracle_cases("bg_nbd")}
    mandatory = {"x=0", "x=1", "t_x=T", "t_x=0", "x=200", "a near 1", "a+b<1", "a+b=1", "horizon 0", "overflow", "T=0"}
    assert mandatory <= strata


def test_cdnow_log_likelihood_is_at_its_maximum():
    table = cdnow_summary()
    state = table["frequency"], table["recency"], table["T"]
    value, gradient = purchase_gradient(bg_nbd, OPTIMUM, *state)
    np.testing.assert_allclose(value.sum(), -9582.425561, rtol=1e-10)
    assert (np.abs(gradient.sum(axis=1)) < 1e-2).all()
    off = purchase_gradient(bg_nbd, PRINTED, *state)[1].sum(axis=1)
    assert (np.abs(off) > 0.1).any()


def test_cdnow_total_of_the_holdout_period():
    table = cdnow_summary()
    expected = bg_nbd.expected_purchases(OPTIMUM, table["frequency"], table["recency"], table["T"], horizon=39)
    np.testing.assert_allclose(expected.sum(), 1653.4, atol=0.05)


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_heavy_buyers(model, initial):
    """Traps: overflow of the likelihood, of the odds' power and of 2F1, for the best customers."""
    x, t_x, T = np.array([1000, 2000, 3000, 3000]), np.array([364, 729, 729, 1.0]), np.array([365, 730, 730, 730.0])
    value, gradient = purchase_gradient(model, PRINTED, x, t_x, T)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    params = {name: float(getattr(PRINTED, name)) for name in model.PARAMETERS}
    with mp.workdps(50):
        exact = [by_mpmath.log_likelihood(params, *map(float, s), initial) for s in zip(x, t_x, T, strict=True)]
        alive = [by_mpmath.p_alive(params, *map(float, s), initial) for s in zip(x, t_x, T, strict=True)]
        future = [
            by_mpmath.given_alive_closed(params, float(n), float(t), 365.0, initial) for n, t in zip(x, T, strict=True)
        ]
    np.testing.assert_allclose(value, np.array(exact, dtype=float), rtol=1e-12)
    np.testing.assert_allclose(model.p_alive(PRINTED, x, t_x, T), np.array(alive, dtype=float), rtol=1e-9, atol=1e-300)
    given = model.expected_purchases_given_alive(PRINTED, x, T, horizon=365)
    np.testing.assert_allclose(given, np.array(future, dtype=float), rtol=1e-10)


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_pole_at_a_equal_1(model, initial):
    """Both sides of the pole and the pole itself: the expectation passes through it smoothly."""
    step = np.array([-1e-6, -1e-12, 0.0, 1e-12, 1e-6])
    value = model.expected_purchases(Params(0.243, 4.414, 1 + step[:, None], 2.426), 2, 30.4, 38.9, horizon=39)[:, 0]
    assert np.ptp(value) < 1e-5
    assert (np.diff(value) <= 1e-13).all()
    np.testing.assert_allclose(value[2], (value[0] + value[4]) / 2, rtol=1e-11)


def test_pole_of_the_one_time_buyer():
    """a + b + x - 1 = 0 is a pole of the closed form only; below it, a + b < 1, its c is negative."""
    b = np.array([0.5, 0.69 - 1e-9, 0.69, 0.69 + 1e-9, 0.9])
    value = bg_nbd.expected_purchases(Params(0.11, 2.24, 0.31, b[:, None]), 0, 0, 1, horizon=30)[:, 0]
    assert (np.diff(value) > 0).all()
    np.testing.assert_allclose(value[1:4], 0.61328431856, rtol=1e-8)


def test_one_time_buyers_are_alive():
    T = np.array([0.0, 1.0, 500.0])
    np.testing.assert_array_equal(bg_nbd.p_alive(Params(0.2, 4, 0.1, 0.2), [0, 0, 0], [0, 0, 0], T), 1.0)
    assert (bg_nbd.p_alive(Params(0.2, 4, 0.1, 0.2), [1, 1, 1], [0, 0.5, 300], [1, 1, 500]) < 1.0).all()


def test_one_time_buyers_odds_are_masked():
    """At x = 0 with b < 1, b + x - 1 is negative: the mask keeps its logarithm from being taken."""
    params = Params(0.243, 4.414, 0.3, 0.4)
    value = bg_nbd.probability_no_purchase(params, 0, 0, 30, horizon=10)
    np.testing.assert_allclose(value, (34.414 / 44.414) ** 0.243, rtol=1e-13)
    likelihood, gradient = purchase_gradient(bg_nbd, params, 0, 0, 30)
    np.testing.assert_allclose(likelihood, 0.243 * np.log(4.414 / 34.414), rtol=1e-13)
    np.testing.assert_allclose(gradient[2:], 0.0, atol=1e-15)


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_infinite_horizon(model, initial):
    state = (2, 30.4, 38.9)
    assert model.expected_purchases(PRINTED, *state, horizon=np.inf) == np.inf
    assert model.expected_purchases(Params(0.243, 4.414, 1.0, 2.4), *state, horizon=np.inf) == np.inf
    params = Params(0.243, 4.414, 1.5, 2.4)
    mean_left = (1.5 + 2.4 + 2 + initial - 1) / 0.5  # E[1/p]
    ever = model.expected_purchases(params, *state, horizon=np.inf)
    np.testing.assert_allclose(ever, model.p_alive(params, *state) * mean_left, rtol=1e-12)
    np.testing.assert_allclose(model.expected_purchases(params, *state, horizon=1e12), ever, rtol=1e-4)
    assert model.expected_time_alive(params, 0, 0, 38.9, horizon=np.inf) == np.inf  # r + x <= 1
    assert np.isfinite(model.expected_time_alive(params, *state, horizon=np.inf))
    hopeless = model.expected_purchases(PRINTED, 3000, 1, 1e6, horizon=np.inf)
    assert hopeless == np.inf  # P(alive) is 0 to rounding, yet no NaN


@pytest.mark.parametrize(("model", "initial"), MODELS)
@pytest.mark.parametrize("params", [(0.25, 4.0, 0.8, 2.5), (1e-3, 1e3, 1e-3, 1e-3), (50.0, 0.01, 900.0, 1e4)])
def test_gradient_against_mpmath(model, initial, params):
    value, gradient = purchase_gradient(model, Params(*params), *STATES)
    np.testing.assert_array_equal(value, model.log_likelihood(Params(*params), *STATES))
    with mp.workdps(40):
        for i, name in enumerate(model.PARAMETERS):
            for j, state in enumerate(zip(*STATES, strict=True)):
                start = dict(zip(model.PARAMETERS, params, strict=True))
                exact = mp.diff(
                    lambda v, n=name, p=start, s=state: by_mpmath.log_likelihood(p | {n: v}, *map(float, s), initial),
                    mp.mpf(params[i]),
                    h=mp.mpf(params[i]) * mp.mpf(10) ** -12,
                )
                scale = (1 + abs(float(value[j]))) / params[i]  # of a gradient in the logarithm of the parameter
                np.testing.assert_allclose(gradient[i, j], float(exact), rtol=1e-9, atol=1e-13 * scale)


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_mean_of_discounted_draws(model, initial):
    params = OPTIMUM
    for discount in (0.0, 0.02):
        paths = model.draw_future_purchases(params, *STATES, horizon=60, rng=11, draws=40_000)
        worth = paths.discounted(discount)
        exact = model.discounted_purchases(params, *STATES, horizon=60, discount=discount)
        z = (worth.mean(axis=0) - exact) / (worth.std(axis=0) / 200)
        assert (np.abs(z) < Z_LIMIT).all(), z
    lived = paths.alive_until
    exact = model.expected_time_alive(params, *STATES, horizon=60)
    z = (lived.mean(axis=0) - exact) / (lived.std(axis=0) / 200 + 1e-12)
    # In BG/NBD and MBG/NBD a customer can leave only at a purchase: a path knows the time exactly.
    assert (np.abs(z) < Z_LIMIT).all(), z


def test_mean_of_draws_notices_the_wrong_dropout():
    """Negative control: Beta(a, b + x + 1), which is MBG's, fails the check of the mean in BG."""
    x, t_x, T = STATES
    wrong = future_paths(
        p_alive=bg_nbd.p_alive(OPTIMUM, x, t_x, T), shape=OPTIMUM.r + x, rate=OPTIMUM.alpha + T,
        dropout=(OPTIMUM.a, OPTIMUM.b + x + 1), horizon=60, rng=11, draws=40_000,
    ).count  # fmt: skip
    exact = bg_nbd.expected_purchases(OPTIMUM, x, t_x, T, horizon=60)
    z = (wrong.mean(axis=0) - exact) / (wrong.std(axis=0) / 200)
    assert np.abs(z).max() > 2 * Z_LIMIT


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_counts_of_existing_customers(model, initial):
    """Given alive, a customer is a BG/NBD newcomer with parameters (r + x, alpha + T, a, b + m)."""
    x, _, T = STATES
    count = model.draw_future_purchases(OPTIMUM, *STATES, horizon=39, rng=12, draws=20_000).count
    alive = model.p_alive(OPTIMUM, *STATES)
    silent = model.probability_no_purchase(OPTIMUM, *STATES, horizon=39)
    for j in range(x.size):
        living = Params(OPTIMUM.r + x[j], OPTIMUM.alpha + T[j], OPTIMUM.a, OPTIMUM.b + x[j] + initial)
        pmf = alive[j] * bg_nbd.purchase_pmf(living, np.arange(400), horizon=39)
        pmf[0] += 1 - alive[j]
        np.testing.assert_allclose(pmf[0], silent[j], rtol=1e-11)
        np.testing.assert_allclose(pmf.sum(), 1.0, rtol=1e-9)
        assert goodness_of_fit(count[:, j], pmf) > 1e-4


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_counts_of_new_customers(model, initial):
    count = model.simulate(OPTIMUM, np.full(20_000, 39.0), rng=13).count[0]
    pmf = model.purchase_pmf(OPTIMUM, np.arange(400), horizon=39)
    assert goodness_of_fit(count, pmf) > 1e-4
    other = (mbg_nbd if model is bg_nbd else bg_nbd).purchase_pmf(OPTIMUM, np.arange(400), horizon=39)
    assert goodness_of_fit(count, other) < 1e-6  # the control: the sibling's distribution
    error = count.std() / np.sqrt(count.size)
    assert abs(count.mean() - model.expected_purchases_new(OPTIMUM, horizon=39)) < Z_LIMIT * error


def goodness_of_fit(count, pmf):
    """p-value of a chi-square test, cells of at least 10 expected."""
    edges, mass = [0], 0.0
    for n, p in enumerate(pmf):
        mass += p * count.size
        if mass >= 10 and pmf[n + 1 :].sum() * count.size >= 10:
            edges.append(n + 1)
            mass = 0.0
    expected = np.add.reduceat(pmf, edges) / pmf.sum() * count.size
    seen = np.add.reduceat(np.bincount(count, minlength=pmf.size), edges)
    return stats.chisquare(seen, expected).pvalue


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_simulated_histories_speak_for_their_parameters(model, initial):
    """The mean score is zero at the truth, and not elsewhere (the control)."""
    T = np.linspace(20, 60, 60_000)
    x, t_x = (array[0] for array in model.simulate(OPTIMUM, T, rng=14).summary())
    for params, right in ((OPTIMUM, True), (Params(0.26, 4.4, 0.79, 2.43), False)):
        score = purchase_gradient(model, params, x, t_x, T)[1]
        z = score.mean(axis=1) / (score.std(axis=1) / np.sqrt(T.size))
        assert (np.abs(z).max() < Z_LIMIT) == right, z


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_next_purchase_quantile(model, initial):
    """Paths of customers who never leave: the share that has bought by the quantile is the probability."""
    x, T = np.array([0, 2, 26]), np.array([38.9, 38.9, 31.0])
    time = model.next_purchase_quantile(PRINTED, x, T, probability=np.array(0.3))
    np.testing.assert_allclose(((PRINTED.alpha + T) / (PRINTED.alpha + T + time)) ** (PRINTED.r + x), 0.7, rtol=1e-12)
    assert (model.next_purchase_quantile(PRINTED, x, T, probability=0.0) == 0).all()


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_shapes(model, initial):
    by_draw = model.constrain(np.tile([-2.9, -1.4, -1.1, 1.2], (5, 1)))
    scalar = model.constrain([-2.9, -1.4, -1.1, 1.2])
    by_customer = Params(0.2, 4.0, np.linspace(0.5, 1, 7), 2.4)
    for params, shape in ((scalar, (7,)), (by_customer, (7,)), (by_draw, (5, 7))):
        assert model.log_likelihood(params, *STATES).shape == shape
        assert model.p_alive(params, *STATES).shape == shape
        assert model.expected_purchases(params, *STATES, horizon=np.arange(7)).shape == shape
        assert model.discounted_purchases(params, *STATES, horizon=np.inf, discount=0.01).shape == shape
        assert model.expected_time_alive(params, *STATES, horizon=9).shape == shape
        assert model.probability_no_purchase(params, *STATES, horizon=9).shape == shape
        drawn = model.draw_future_purchases(params, *STATES, horizon=9, rng=1)
        assert drawn.count.shape == (5 if len(shape) == 2 else 1, 7)
    assert model.expected_purchases_new(scalar, horizon=39).shape == ()
    assert model.purchase_pmf(by_draw, np.arange(3), horizon=39).shape == (5, 3)
    assert model.expected_purchases(scalar, 2, 30, 40, horizon=39).shape == (1,)


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_pmf_far_out_and_for_ever(model, initial):
    tail = model.purchase_pmf(PRINTED, [200, 3000], horizon=1e4)
    assert (np.isfinite(tail) & (tail > 0)).all()
    ever = model.purchase_pmf(PRINTED, np.arange(4), horizon=np.inf)
    a, b = 0.793, 2.426
    left_after = a / (a + b), a * b / ((a + b) * (a + b + 1))
    exact = [0.0, *left_after] if initial == 0 else list(left_after)
    np.testing.assert_allclose(ever[: len(exact)], exact, rtol=1e-12)


@pytest.mark.parametrize(("model", "initial"), MODELS)
def test_refusals(model, initial):
    with pytest.raises(DomainError, match="horizon"):
        model.expected_purchases(PRINTED, 2, 30, 40, horizon=-1)
    with pytest.raises(DomainError, match="recency must not exceed"):
        model.p_alive(PRINTED, 2, 41, 40)
    with pytest.raises(DomainError, match="frequency"):
        model.log_likelihood(PRINTED, np.nan, 0, 40)
    with pytest.raises(DomainError, match="discount"):
        model.discounted_purchases(PRINTED, 2, 30, 40, horizon=1, discount=-0.1)
    with pytest.raises(DomainError, match="finite horizon"):
        model.draw_future_purchases(PRINTED, 2, 30, 40, horizon=np.inf, rng=1)
    with pytest.raises(DomainError, match="probability"):
        model.next_purchase_quantile(PRINTED, 2, 40, probability=1.0)
    with pytest.raises(DomainError, match="n must"):
        model.purchase_pmf(PRINTED, -1, horizon=1)
    with pytest.raises(DomainError, match="T must"):
        model.simulate(PRINTED, [-1.0], rng=1)
