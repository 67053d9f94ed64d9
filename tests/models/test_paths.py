import numpy as np
import pytest
from scipy import stats

from clv_forecast.errors import DomainError
from clv_forecast.models import bg_nbd, mbg_nbd, pareto_nbd, transaction_model
from clv_forecast.models.paths import FuturePurchases, future_paths
from clv_forecast.streams import KeyedStreams, customer_keys

Z_LIMIT = 4.5
STATES = {
    "p_alive": np.array([1.0, 0.7, 0.97, 0.0, 0.4]),
    "shape": np.array([0.3, 2.2, 26.2, 2.2, 0.01]),
    "rate": np.array([43.0, 43.0, 35.0, 43.0, 4.4]),
}
LEAVING = {
    "dropout": {"dropout": (0.8, np.array([2.4, 4.4, 28.4, 4.4, 0.2]))},
    "death": {"death": (0.6, np.array([50.0, 50.0, 42.0, 50.0, 11.0]))},
}


def draw(leaving, *, states=STATES, rng=1, horizon=52.0, draws=20_000):
    return future_paths(**states, **LEAVING[leaving], horizon=horizon, rng=rng, draws=draws)


@pytest.mark.parametrize("leaving", LEAVING)
def test_shape_and_order(leaving):
    paths = draw(leaving, draws=500)
    assert paths.count.dtype == np.int32
    assert paths.count.shape == paths.alive_until.shape == (500, 5)
    assert paths.offsets[-1] == paths.count.sum() == paths.times.size
    np.testing.assert_array_equal(np.diff(paths.offsets), paths.count.ravel())
    owner = np.repeat(np.arange(paths.count.size), paths.count.ravel())
    within = np.diff(owner) == 0
    assert within.any()
    assert (np.diff(paths.times)[within] > 0).all()
    assert (paths.times <= paths.alive_until.ravel()[owner]).all()
    assert (paths.alive_until <= 52.0).all()
    assert (paths.count[:, 3] == 0).all()
    assert (paths.alive_until[:, 3] == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        paths.times[0] = 0.0


@pytest.mark.parametrize("leaving", LEAVING)
def test_first_wait_and_survival(leaving):
    """P(no purchase) in closed form when nobody leaves before buying (dropout)."""
    paths = draw(leaving)
    gone = (paths.alive_until == 0).mean(axis=0)
    error = np.sqrt(STATES["p_alive"] * (1 - STATES["p_alive"]) / 20_000) + 1e-12
    assert (np.abs(gone - (1 - STATES["p_alive"])) < Z_LIMIT * error).all()
    silent = (paths.count == 0).mean(axis=0)
    if leaving == "dropout":
        exact = 1 - STATES["p_alive"] * (1 - (1 + 52.0 / STATES["rate"]) ** -STATES["shape"])
        assert (np.abs(silent - exact) < Z_LIMIT * np.sqrt(exact * (1 - exact) / 20_000) + 1e-12).all()
    else:
        shape, rate = LEAVING["death"]["death"]
        lived = (paths.alive_until == 52.0).mean(axis=0)
        exact = STATES["p_alive"] * (1 + 52.0 / rate) ** -shape
        assert (np.abs(lived - exact) < Z_LIMIT * np.sqrt(exact * (1 - exact) / 20_000) + 1e-12).all()


def test_counts_are_those_of_the_latent_construction():
    """Dropout: alive x min(N, K) with N Poisson, K geometric, drawn the long way by numpy."""
    paths = draw("dropout")
    rng = np.random.default_rng(3)
    size = (20_000, 5)
    shape, rate = STATES["shape"], STATES["rate"]
    a, b = LEAVING["dropout"]["dropout"]
    n = rng.poisson(rng.gamma(shape, 1.0 / rate, size) * 52.0)
    k = rng.geometric(np.maximum(rng.beta(a, b, size), 1e-12))
    long_way = np.where(rng.random(size) < STATES["p_alive"], np.minimum(n, k), 0)
    for customer in (0, 1, 2, 4):
        assert stats.ks_2samp(paths.count[:, customer], long_way[:, customer]).pvalue > 1e-4


def test_purchase_times_are_those_of_the_latent_construction():
    """Death: the times of a Poisson process up to an exponential death, both rates drawn."""
    paths = future_paths(p_alive=1.0, shape=2.2, rate=20.0, death=(0.6, 15.0), horizon=40.0, rng=5, draws=20_000)
    rng = np.random.default_rng(4)
    lived = np.minimum(rng.exponential(1.0 / rng.gamma(0.6, 1 / 15.0, 20_000)), 40.0)
    n = rng.poisson(rng.gamma(2.2, 1 / 20.0, 20_000) * lived)
    times = rng.random(n.sum()) * np.repeat(lived, n)
    assert stats.ks_2samp(paths.count[:, 0], n).pvalue > 1e-4
    assert stats.ks_2samp(paths.alive_until[:, 0], lived).pvalue > 1e-4
    first = np.full(20_000, np.inf)
    np.minimum.at(first, np.repeat(np.arange(20_000), n), times)
    bought = paths.count[:, 0] > 0
    drawn_first = paths.times[paths.offsets[:-1][bought]]
    assert stats.ks_2samp(drawn_first, first[np.isfinite(first)]).pvalue > 1e-4
    assert stats.ks_2samp(drawn_first, times).pvalue < 1e-6  # the control: first times are not all times


@pytest.mark.parametrize("leaving", LEAVING)
def test_horizons_nest_exactly(leaving):
    short, long = draw(leaving, horizon=10.0, draws=400), draw(leaving, horizon=80.0, draws=400)
    owner = np.repeat(np.arange(long.count.size), long.count.ravel())
    np.testing.assert_array_equal(long.times[long.times <= 10.0], short.times)
    np.testing.assert_array_equal(
        np.bincount(owner[long.times <= 10.0], minlength=short.count.size), short.count.ravel()
    )
    np.testing.assert_array_equal(np.minimum(long.alive_until, 10.0), short.alive_until)


@pytest.mark.parametrize("leaving", LEAVING)
def test_any_subset_order_and_chunk_of_draws(leaving):
    keys = customer_keys(1, ["a", "b", "c", "d", "e"])
    chosen = np.array([4, 1, 2])
    whole = draw(leaving, rng=KeyedStreams(keys), draws=60)
    first, second = LEAVING[leaving][leaving]
    part = future_paths(
        **{name: value[chosen] for name, value in STATES.items()},
        **{leaving: (first, second[chosen])},
        horizon=52.0,
        rng=KeyedStreams(keys[chosen], first_draw=20),
        draws=30,
    )
    np.testing.assert_array_equal(part.count, whole.count[20:50][:, chosen])
    np.testing.assert_array_equal(part.alive_until, whole.alive_until[20:50][:, chosen])
    np.testing.assert_array_equal(part.discounted(0.01), whole.discounted(0.01)[20:50][:, chosen])
    assert not np.array_equal(part.count, whole.count[:30][:, chosen])


def test_parameters_by_draw():
    shape = np.array([[0.5], [5.0], [50.0]])
    paths = future_paths(p_alive=np.ones(400), shape=shape, rate=50.0, dropout=(1e-9, 1.0), horizon=52.0, rng=2)
    assert paths.count.shape == (3, 400)
    np.testing.assert_allclose(paths.count.mean(axis=1), shape[:, 0] * 52 / 50, rtol=0.15)


def test_horizon_by_customer():
    horizon = np.array([0.0, 5.0, 50.0])
    paths = future_paths(p_alive=1.0, shape=5.0, rate=10.0, dropout=(0.1, 5.0), horizon=horizon, rng=1, draws=200)
    assert (paths.alive_until <= horizon).all()
    assert (paths.count[:, 0] == 0).all()
    assert (np.diff(paths.count.mean(axis=0)) > 0).all()


def test_summary_and_discounted():
    paths = FuturePurchases(
        count=np.array([[2, 0, 1]], dtype=np.int32),
        times=np.array([1.0, 4.0, 3.0]),
        offsets=np.array([0, 2, 2, 3]),
        alive_until=np.full((1, 3), 5.0),
        horizon=np.array(5.0),
    )
    frequency, recency = paths.summary()
    np.testing.assert_array_equal(frequency, [[2, 0, 1]])
    np.testing.assert_array_equal(recency, [[4.0, 0.0, 3.0]])
    np.testing.assert_allclose(paths.discounted(0.1), [[np.exp(-0.1) + np.exp(-0.4), 0.0, np.exp(-0.3)]])
    np.testing.assert_array_equal(paths.discounted(0.0), [[2.0, 0.0, 1.0]])
    with pytest.raises(DomainError, match="discount"):
        paths.discounted(-0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": np.inf}, "finite horizon"),
        ({"horizon": -1.0}, "horizon must"),
        ({"draws": 0}, "draws must"),
        ({"shape": np.ones((3, 1)), "draws": 2}, "draws must"),
        ({"death": (1.0, 1.0)}, "exactly one"),
        ({"dropout": None}, "exactly one"),
    ],
)
def test_refusals(change, message):
    arguments = {"p_alive": 1.0, "shape": 1.0, "rate": 1.0, "dropout": (1.0, 1.0), "horizon": 1.0, "rng": 1}
    with pytest.raises(DomainError, match=message):
        future_paths(**(arguments | change))


@pytest.mark.slow
def test_a_million_paths():
    paths = future_paths(
        p_alive=np.ones(1000), shape=0.3, rate=43.0, dropout=(0.8, 2.4), horizon=52.0, rng=1, draws=1000
    )
    silent = (1.0 + 52.0 / 43.0) ** -0.3
    assert (paths.count == 0).mean() == pytest.approx(silent, abs=4.0 * (silent * (1.0 - silent) / 1e6) ** 0.5)


STAYING = {
    "bg_nbd": bg_nbd.Params(0.243, 4.414, 0.793, 2.426),
    "mbg_nbd": mbg_nbd.Params(0.525, 6.183, 0.891, 1.614),
    "pareto_nbd": pareto_nbd.Params(0.553, 10.578, 0.606, 11.669),
}


@pytest.mark.parametrize("name", STAYING)
def test_who_stays_goes_on_from_where_it_would_have_left(name):
    module, params = transaction_model(name), STAYING[name]
    state, draws = ([3, 3, 0], [30.0, 5.0, 0.0], [38.0, 38.0, 38.0]), 20_000
    leaving = module.draw_future_purchases(params, *state, horizon=52.0, rng=4, draws=draws)
    staying = module.draw_future_purchases(params, *state, horizon=52.0, rng=4, draws=draws, stays=True)
    for path in range(0, leaving.count.size, 997):
        old = leaving.times[leaving.offsets[path] : leaving.offsets[path + 1]]
        new = staying.times[staying.offsets[path] : staying.offsets[path + 1]]
        assert (new[: len(old)] == old).all()
        if leaving.alive_until.ravel()[path] == 52.0:
            assert len(new) == len(old)
    gone = leaving.alive_until == 0.0
    assert gone.any() and (staying.count[gone] == 0).all()  # who has left is not won back
    alive = np.asarray(module.p_alive(params, *state))
    rate = (params.r + np.array(state[0])) / (params.alpha + np.array(state[2]))
    mean, error = staying.count.mean(axis=0), staying.count.std(axis=0) / np.sqrt(draws)
    assert (np.abs(mean - alive * rate * 52.0) < 4.5 * error).all()
    assert (leaving.count.mean(axis=0) < mean - 4.5 * error)[:2].all()
