"""The shared tables of the forecast against the array functions of each model, customer by customer."""

from dataclasses import replace

import numpy as np
import pytest

from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.plan import Part, Plan, future_order
from clv_forecast.forecasting.predictive import predictive_money
from clv_forecast.inference.hierarchy import PooledParameters, map_fields
from clv_forecast.models import gamma_gamma, transaction_model

PARAMETERS = {
    "bg_nbd": (0.243, 4.414, 0.793, 2.426),
    "mbg_nbd": (0.525, 6.183, 0.891, 1.614),
    "pareto_nbd": (0.553, 10.578, 0.606, 11.669),
}
FREQUENCY = np.array([0, 0, 0, 1, 1, 2, 5, 12, 24, 25, 60, 400], dtype=float)
T = np.array([0.0, 0.01, 38.9, 3.0, 200.0, 38.9, 104.0, 27.0, 39.0, 31.0, 300.0, 365.0])


def make_plan(name, *, scale=1.0, cost_per_time=0.0, discount=0.0018):
    module = transaction_model(name)
    spread = np.exp(np.random.default_rng(5).normal(0.0, 0.15, size=(4, 6, 1)))
    params = module.Params(*(p * s for p, s in zip(PARAMETERS[name], spread, strict=True)))
    customers = len(FREQUENCY)
    pooled = PooledParameters(everyone_purchases=params, everyone_spend=None, cell=np.zeros(customers, dtype=np.intp))
    return Plan(
        parts=(Part(model=name, parameters=pooled),),
        unit="week",
        discount=discount,
        frequency=FREQUENCY,
        recency=T * np.where(FREQUENCY > 0, 0.9, 0.0),
        T=T * scale,
        margin=np.full(customers, 0.3),
        cost_per_order=np.zeros(customers),
        cost_per_time=np.full(customers, cost_per_time),
        keys=np.arange(customers, dtype=np.uint64),
        order=future_order(FREQUENCY, T),
        seed=1,
    )


def with_unit_spend(plan):
    """Spend of exactly one unit of money in expectation, so that value is discounted purchases."""
    ones, zeros = np.ones((plan.draws, 1)), np.zeros(plan.customers)
    part = plan.parts[0]
    spend = gamma_gamma.Params(ones * 4.0, ones * 5.0, ones)
    parameters = replace(part.parameters, everyone_spend=spend)
    return replace(
        plan,
        parts=(replace(part, parameters=parameters, spend_count=zeros, spend_total=zeros),),
        margin=np.ones(plan.customers),
    )


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("boundaries", [[52.0, 156.0, 520.0], [0.14], [1.0, 1.1, 2000.0]])
def test_tables_equal_the_array_functions(name, boundaries):
    plan = with_unit_spend(make_plan(name))
    got = expected_money(plan, plan.order, np.array(boundaries))
    x, recency, length = (a[plan.order] for a in (plan.frequency, plan.recency, plan.T))
    for h, horizon in enumerate(boundaries):
        purchases = plan.parts[0].module.expected_purchases(
            plan.parts[0].purchases_of_cell(0), x, recency, length, horizon=horizon
        )
        value = plan.parts[0].module.discounted_purchases(
            plan.parts[0].purchases_of_cell(0), x, recency, length, horizon=horizon, discount=plan.discount
        )
        np.testing.assert_allclose(got.purchases[:, h], purchases.T, rtol=1e-8)
        np.testing.assert_allclose(got.value[:, h], value.T, rtol=1e-8)


@pytest.mark.parametrize("name", PARAMETERS)
def test_cost_while_alive_equals_the_array_function(name):
    plan = with_unit_spend(make_plan(name, cost_per_time=2.0))
    free = with_unit_spend(make_plan(name))
    boundaries = np.array([52.0, 520.0])
    cost = expected_money(free, plan.order, boundaries).value - expected_money(plan, plan.order, boundaries).value
    x, recency, length = (a[plan.order] for a in (plan.frequency, plan.recency, plan.T))
    for h, horizon in enumerate(boundaries):
        alive = plan.parts[0].module.expected_time_alive(
            plan.parts[0].purchases_of_cell(0), x, recency, length, horizon=horizon, discount=plan.discount
        )
        np.testing.assert_allclose(cost[:, h], 2.0 * alive.T, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shape", [20.0, 2000.0])
@pytest.mark.parametrize("name", PARAMETERS)
def test_steep_decay_of_customers_who_hardly_differ(name, shape, monkeypatch):
    """Large shapes make the rate fall on a short scale, which the quadrature has to see."""
    steep = {"bg_nbd": (shape, shape, 9.0, 1.0), "mbg_nbd": (shape, shape, 9.0, 1.0), "pareto_nbd": (shape,) * 4}
    monkeypatch.setitem(PARAMETERS, name, steep[name])
    plan = with_unit_spend(make_plan(name))
    got = expected_money(plan, plan.order, np.array([52.0, 520.0]))
    x, recency, length = (a[plan.order] for a in (plan.frequency, plan.recency, plan.T))
    value = plan.parts[0].module.discounted_purchases(
        plan.parts[0].purchases_of_cell(0), x, recency, length, horizon=520.0, discount=plan.discount
    )
    np.testing.assert_allclose(got.value[:, 1], value.T, rtol=1e-8)


def test_other_customers_change_nothing():
    plan = with_unit_spend(make_plan("bg_nbd"))
    boundaries = np.array([52.0, 520.0])
    together = expected_money(plan, plan.order, boundaries).value
    for position, row in enumerate(plan.order):
        alone = expected_money(plan, np.array([row]), boundaries).value
        np.testing.assert_array_equal(alone[0], together[position])


class CellsOf:
    """Parameters of the cells of a plan: those of the pooled plan, scaled by a factor of the cell."""

    def __init__(self, pooled, cell, *, is_shared):
        self.pooled, self.cell, self.is_shared = pooled, np.asarray(cell), is_shared
        self.n_draws, self.notes = pooled.n_draws, ()

    def purchases(self, cells):
        return map_fields(self.pooled.everyone_purchases, lambda field: field * (1.0 + 0.1 * cells))

    def spend(self, cells):
        spend = self.pooled.everyone_spend
        return type(spend)(*(getattr(spend, n) * (1.0 + s * cells) for n, s in (("p", 0), ("q", 0), ("v", 1))))

    def between(self, start, stop):
        return CellsOf(self.pooled.between(start, stop), self.cell, is_shared=self.is_shared)


def in_cells(plan, cell, *, is_shared):
    part = plan.parts[0]
    return replace(plan, parts=(replace(part, parameters=CellsOf(part.parameters, cell, is_shared=is_shared)),))


CELLS = np.array([2, 0, 1, 1, 0, 0, 2, 1, 0, 0, 2, 1])


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_by_cell_equal_the_array_functions(name, is_shared):
    plan = in_cells(with_unit_spend(make_plan(name, cost_per_time=0.5)), CELLS, is_shared=is_shared)
    boundaries = np.array([1.0, 52.0, 520.0])
    rows = np.random.default_rng(1).permutation(len(CELLS))
    got = expected_money(plan, rows, boundaries)
    part = plan.parts[0]
    params = part.parameters.purchases(CELLS[rows])
    x, recency, length = (a[rows] for a in (plan.frequency, plan.recency, plan.T))
    for h, horizon in enumerate(boundaries):
        purchases = part.module.expected_purchases(params, x, recency, length, horizon=horizon)
        worth = part.module.discounted_purchases(params, x, recency, length, horizon=horizon, discount=plan.discount)
        served = part.module.expected_time_alive(params, x, recency, length, horizon=horizon, discount=plan.discount)
        np.testing.assert_allclose(got.purchases[:, h].T, purchases, rtol=2e-7)
        np.testing.assert_allclose(got.value[:, h].T, worth * (1.0 + CELLS[rows]) - 0.5 * served, rtol=1e-6)


@pytest.mark.parametrize("is_shared", [True, False])
def test_cells_give_the_same_numbers_in_any_chunk(is_shared):
    plan = in_cells(with_unit_spend(make_plan("bg_nbd")), CELLS, is_shared=is_shared)
    boundaries = np.array([52.0])
    together = expected_money(plan, plan.order, boundaries).value
    drawn = predictive_money(plan, plan.order, boundaries)
    for position, row in enumerate(plan.order):
        assert (expected_money(plan, np.array([row]), boundaries).value == together[position]).all()
        assert (predictive_money(plan, np.array([row]), boundaries).value == drawn.value[position]).all()


def test_draws_follow_the_parameters_of_their_cell():
    """Cells whose spend differs by a factor: the same purchases bring that much more."""
    plan = with_unit_spend(make_plan("bg_nbd"))
    pooled = predictive_money(plan, plan.order, np.array([520.0]))
    none = CellsOf(plan.parts[0].parameters, CELLS, is_shared=True)
    none.purchases = lambda cells: plan.parts[0].parameters.everyone_purchases
    by_cell = replace(plan, parts=(replace(plan.parts[0], parameters=none),))
    drawn = predictive_money(by_cell, plan.order, np.array([520.0]))
    factor = 1.0 + CELLS[plan.order][:, None, None]
    assert (drawn.purchases == pooled.purchases).all()
    np.testing.assert_allclose(drawn.value, pooled.value * factor, rtol=1e-12)
    assert pooled.value.max() > 0.0


def test_parts_follow_each_other():
    plan = with_unit_spend(make_plan("bg_nbd"))
    part = plan.parts[0]
    twice = replace(plan, parts=(part, replace(part, first_draw=6)))
    boundaries = np.array([52.0, 520.0])
    one, two = (predictive_money(p, p.order, boundaries).value for p in (plan, twice))
    assert two.shape == (12, 2, 12)
    assert (two[..., :6] == one).all()
    assert (two[..., 6:] != one).any()
    expected = expected_money(twice, plan.order, boundaries).value
    assert (expected[..., 6:] == expected[..., :6]).all()
    for start, stop in [(0, 4), (4, 9), (9, 12), (2, 12)]:
        part = predictive_money(twice.slice_draws(start, stop), plan.order, boundaries).value
        assert (part == two[..., start:stop]).all()
