from __future__ import annotations

import numpy as np
import pytest

from clv_forecast import columns
from clv_forecast.inference.hierarchical.part_data import purchase_part, spend_part
from clv_forecast.inference.hierarchical.structure import Assignment
from clv_forecast.inference.sufficient import SpendData, spend_data
from clv_forecast.models import gamma_gamma, transaction_model
from tests.inference.simulated import simulate_purchases, simulate_spend, summary

# x = 0, x = 1, x = 200, t_x = T, t_x = 0 with x > 0 (limit), T = 0, and simulated customers
EDGES = np.array([[0, 0, 40], [0, 0, 0], [1, 40, 40], [200, 38, 40], [200, 40, 40], [1, 1e-9, 40], [3, 2, 40.0]])
POINTS = 6


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    frequency, recency, T = simulate_purchases(rng, 300, r=0.6, alpha=5.0, a=0.8, b=2.5, length=70.0)
    frequency, recency, T = (
        np.concatenate([edge, made]) for edge, made in zip(EDGES.T, (frequency, recency, np.ceil(T)), strict=True)
    )
    counts, total, sum_log = simulate_spend(rng, frequency.astype(int), p=6.0, q=4.0, v=15.0)
    spread = {name: np.zeros(frequency.size) for name in ("n", "total", "sum_log")}
    for name, values in zip(spread, (counts, total, sum_log), strict=True):
        spread[name][frequency > 0] = values
    return summary(frequency, recency, T, **spread).table


def assigned(customers: int, cells: int) -> Assignment:
    nothing = np.zeros((cells, 0), dtype=np.intp)
    cell = np.random.default_rng(6).integers(cells, size=customers)
    return Assignment(cell=cell, codes=nothing, labels=nothing.astype(object), design=np.zeros((cells, 0)))


@pytest.fixture(scope="module")
def compiled():
    """Value and gradient of each likelihood in ``theta``, in PyTensor's own (interpreted) mode."""
    import pytensor
    import pytensor.tensor as pt

    from clv_forecast.inference.hierarchical.graph_ops import log_likelihood

    made = {}

    def build(data, mode="FAST_COMPILE"):
        key = (data.likelihood, mode)
        if key not in made:
            theta = pt.dmatrix("theta")
            inputs = {name: pt.dmatrix(name) for name in data.tables._fields}
            value = log_likelihood(data.likelihood, theta, inputs)
            made[key] = pytensor.function(
                [theta, *inputs.values()], [value, pytensor.grad(value, theta)], mode=mode, on_unused_input="ignore"
            )
        return lambda theta: made[key](theta, *data.tables)

    return build


def random_thetas(rng, model, part, cells):
    location, scale = model.prior_location_scale(1.0) if part == "spend" else model.prior_location_scale(1.0, 1.0)
    return location + scale * rng.normal(size=(POINTS, cells, len(location)))


def check_gradient(function, theta, value_of):
    _, gradient = function(theta)
    for index in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[index] = 1e-4
        ahead, behind = value_of(theta + step), value_of(theta - step)
        numeric = (ahead - behind) / 2e-4
        assert gradient[index] == pytest.approx(numeric, rel=2e-5, abs=2e-4 * max(1.0, abs(ahead) / 1e4))


@pytest.mark.parametrize("cells", [1, 3])
@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_purchases_equal_the_numpy_likelihood(table, compiled, name, cells):
    model = transaction_model(name)
    assignment = assigned(len(table), cells)
    data = purchase_part(name, table, assignment)
    x, t_x, T = (table[column].to_numpy(float) for column in (columns.FREQUENCY, columns.RECENCY, columns.T))
    function = compiled(data)

    def numpy_value(theta):
        params = model.constrain(theta[assignment.cell])
        params = model.Params(*(getattr(params, field).T for field in model.PARAMETERS))
        return float(model.log_likelihood(params, x, t_x / data.time_scale, T / data.time_scale).sum())

    for theta in random_thetas(np.random.default_rng(7), model, "purchases", cells):
        value, gradient = function(theta)
        expected = numpy_value(theta)
        assert float(value) + data.constant == pytest.approx(expected, rel=1e-9)
        assert np.isfinite(gradient).all()
        if cells == 1:
            own, ours = data.pooled.value_gradient(theta[0])
            assert float(value) == pytest.approx(own, rel=1e-9)
            np.testing.assert_allclose(gradient[0], ours, rtol=1e-7, atol=1e-7 * np.abs(ours).max())
    theta = np.tile(np.log([1.0, 0.7, 0.3, 2.0]), (cells, 1)) + 0.1 * np.arange(cells)[:, None]
    check_gradient(function, theta, numpy_value)


@pytest.mark.parametrize("cells", [1, 3])
@pytest.mark.parametrize("level", ["orders", "means"])
def test_spend_equals_the_numpy_likelihood(table, compiled, level, cells):
    assignment = assigned(len(table), cells)
    given = table if level == "orders" else table.assign(**{columns.SPEND_SUM_LOG_REPEAT: np.nan})
    amounts = spend_data(given, "repeat")
    assert isinstance(amounts, SpendData)
    assert amounts.level == level
    data = spend_part(given, amounts, assignment)
    kept = table[columns.SPEND_COUNT_REPEAT].to_numpy() > 0
    n, total, logs = (
        table.loc[kept, column].to_numpy(float)
        for column in (columns.SPEND_COUNT_REPEAT, columns.SPEND_SUM_REPEAT, columns.SPEND_SUM_LOG_REPEAT)
    )
    total, logs = total / data.money_scale, logs - n * np.log(data.money_scale)
    function = compiled(data)

    def numpy_value(theta):
        params = gamma_gamma.constrain(theta[assignment.cell[kept]])
        params = gamma_gamma.Params(*(getattr(params, field).T for field in gamma_gamma.PARAMETERS))
        if level == "orders":
            return float(gamma_gamma.log_likelihood_orders(params, n, total, logs).sum())
        return float(gamma_gamma.log_likelihood(params, n, total / n).sum())

    for theta in random_thetas(np.random.default_rng(8), gamma_gamma, "spend", cells):
        value, gradient = function(theta)
        assert float(value) + data.constant == pytest.approx(numpy_value(theta), rel=1e-9)
        assert np.isfinite(gradient).all()
        if cells == 1:
            _, ours = data.pooled.value_gradient(theta[0])
            np.testing.assert_allclose(gradient[0], ours, rtol=1e-6, atol=1e-7 * np.abs(ours).max())
    check_gradient(function, np.tile([0.1, 1.5, 1.0], (cells, 1)) + 0.1 * np.arange(cells)[:, None], numpy_value)


@pytest.mark.parametrize("name", ["bg_nbd", "pareto_nbd"])
def test_inside_a_compiled_graph_it_is_the_same_kernel(table, compiled, name):
    """As the sampler runs it: PyTensor's numba mode."""
    data = purchase_part(name, table, assigned(len(table), 3))
    theta = random_thetas(np.random.default_rng(9), transaction_model(name), "purchases", 3)[0]
    for mine, other in zip(compiled(data, "NUMBA")(theta), compiled(data)(theta), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_a_sampler_gone_astray_is_turned_back(table, compiled, name):
    """Nothing raises and nothing runs for ever, however far out."""
    data = purchase_part(name, table, assigned(len(table), 1))
    function = compiled(data)
    for far in (59.0, -59.0, 249.0, -750.0, np.inf, np.nan):
        for place in range(4):
            theta = np.zeros((1, 4))
            theta[0, place] = far
            value, _ = function(theta)
            assert abs(far) < 60.0 or value == -np.inf
