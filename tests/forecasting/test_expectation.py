"""The shared tables of the forecast against the array functions of each model, customer by customer."""

from dataclasses import replace

import numpy as np
import pytest

from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.plan import Plan, future_order
from clv_forecast.models import transaction_model

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
    return Plan(
        module=module,
        params=params,
        draws=6,
        spend=None,
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
    from clv_forecast.forecasting.plan import Spend

    ones, zeros = np.ones(plan.draws), np.zeros(plan.customers)
    return replace(
        plan,
        spend=Spend(p=ones * 4.0, q=ones * 5.0, v=ones, count=zeros, total=zeros),
        margin=np.ones(plan.customers),
    )


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("boundaries", [[52.0, 156.0, 520.0], [0.14], [1.0, 1.1, 2000.0]])
def test_tables_equal_the_array_functions(name, boundaries):
    plan = with_unit_spend(make_plan(name))
    got = expected_money(plan, plan.order, np.array(boundaries))
    x, recency, length = (a[plan.order] for a in (plan.frequency, plan.recency, plan.T))
    for h, horizon in enumerate(boundaries):
        purchases = plan.module.expected_purchases(plan.params, x, recency, length, horizon=horizon)
        value = plan.module.discounted_purchases(
            plan.params, x, recency, length, horizon=horizon, discount=plan.discount
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
        alive = plan.module.expected_time_alive(
            plan.params, x, recency, length, horizon=horizon, discount=plan.discount
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
    value = plan.module.discounted_purchases(plan.params, x, recency, length, horizon=520.0, discount=plan.discount)
    np.testing.assert_allclose(got.value[:, 1], value.T, rtol=1e-8)


def test_other_customers_change_nothing():
    plan = with_unit_spend(make_plan("bg_nbd"))
    boundaries = np.array([52.0, 520.0])
    together = expected_money(plan, plan.order, boundaries).value
    for position, row in enumerate(plan.order):
        alone = expected_money(plan, np.array([row]), boundaries).value
        np.testing.assert_array_equal(alone[0], together[position])
