"""Predictive densities: against quadrature over the times of purchase, simulation, and each other."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate

import clv_forecast as clv
from clv_forecast.evaluation.one_origin import log_predictive_density, probability_of_none
from clv_forecast.forecasting.money import Terms
from clv_forecast.forecasting.plan import make_plan
from clv_forecast.forecasting.predictive import predictive_money

HORIZON = 20.0
MODELS = ("bg_nbd", "mbg_nbd", "pareto_nbd")


@pytest.fixture(scope="module")
def orders():
    log = clv.load_cdnow("1/10")
    return log[log["customer_id"].isin(log["customer_id"].unique()[::20])]


@pytest.fixture(scope="module")
def plan_of(orders):
    """A function that makes a plan; each history is made once."""
    histories = {u: clv.purchase_history(orders, as_of="1997-09-30", unit=u) for u in ("week", "day")}
    return lambda model, unit="week", draws=100: make(histories[unit], model, draws)


def make(history, model, draws):
    fitted = clv.fit(history, purchases=model, spend=None, draws=100, compare=False)
    count = len(history.table)
    terms = Terms(margin=np.ones(count), cost_per_order=np.zeros(count), cost_per_year=np.zeros(count))
    return make_plan(fitted, history, terms=terms, discount=0.0, draws=draws, seed=1, shock=None, correction=None)


@pytest.mark.parametrize("model", MODELS)
def test_no_purchase_is_a_probability(plan_of, model):
    plan = plan_of(model)
    nothing = np.zeros(plan.customers)
    density = log_predictive_density(plan, nothing, nothing, horizon=HORIZON)
    np.testing.assert_allclose(np.exp(density), probability_of_none(plan, HORIZON), rtol=1e-9)
    assert np.exp(density).min() < 0.3 and np.exp(density).max() > 0.9


@pytest.mark.parametrize("model", MODELS)
def test_one_purchase_integrates_to_its_probability(plan_of, model):
    """The density over the time of a single purchase, by quadrature; its probability, from 5,000 paths."""
    plan = plan_of(model, draws=5_000)
    rows = plan.order[[0, len(plan.order) // 2, -1]]
    drawn = predictive_money(plan, rows, np.array([HORIZON])).purchases[:, 0]
    small = plan_of(model)
    for row, counts in zip(rows, drawn, strict=True):

        def density(day, row=row):
            one, last = np.zeros(small.customers), np.zeros(small.customers)
            one[row], last[row] = 1.0, day / 7.0
            return np.exp(log_predictive_density(small, one, last, horizon=HORIZON)[row])

        nodes, weights = np.polynomial.legendre.leggauss(8)
        days = 0.5 * 7.0 * HORIZON * (nodes + 1.0)
        probability = 0.5 * 7.0 * HORIZON * sum(w * density(d) for w, d in zip(weights, days, strict=True))
        error = np.sqrt(probability * (1 - probability) / len(counts))
        assert (counts == 1).mean() == pytest.approx(probability, abs=4 * error + 1e-3)


def test_against_quadrature_over_rate_and_dropout(plan_of):
    """BG/NBD with two purchases in the window, integrated over the latent rate and dropout at fixed parameters."""
    plan = plan_of("bg_nbd")
    part = plan.parts[0]
    row = int(np.flatnonzero(plan.frequency == 2)[0])
    params = part.purchases(np.array([row]))
    r, alpha, a, b = (float(getattr(params, n)[0, 0]) for n in ("r", "alpha", "a", "b"))
    x, t_x, T, last, y = plan.frequency[row], plan.recency[row], plan.T[row], 8.0, 2

    def moment(power, upto, lost):
        """Mean over rate and dropout of lambda^power exp(-lambda upto) times the chances not taken to leave."""
        rate = integrate.quad(lambda v: v ** (r + power - 1) * np.exp(-v * (alpha + upto)), 0, np.inf)[0]
        stay = integrate.quad(lambda p: p ** (a - 1 + lost) * (1 - p) ** (b - 1 + power - lost), 0, 1)[0]
        return rate * stay

    past = moment(x, T, 0) + moment(x, t_x, 1)
    both = moment(x + y, T + HORIZON, 0) + moment(x + y, T + last, 1)
    first = replace(plan, parts=(part.between(0, 1),))
    bought, when = np.zeros(plan.customers), np.zeros(plan.customers)
    bought[row], when[row] = y, last
    found = log_predictive_density(first, bought, when, horizon=HORIZON)[row]
    assert found == pytest.approx(np.log(both / past) - y * np.log(7.0), abs=1e-5)


def test_the_unit_of_time_does_not_matter(plan_of):
    weeks, days = plan_of("bg_nbd"), plan_of("bg_nbd", unit="day")
    bought = np.minimum(weeks.frequency, 3.0)
    by_week = log_predictive_density(weeks, bought, np.full(weeks.customers, 4.0), horizon=HORIZON)
    by_day = log_predictive_density(days, bought, np.full(weeks.customers, 28.0), horizon=7.0 * HORIZON)
    np.testing.assert_allclose(by_week, by_day, rtol=1e-3, atol=1e-3)


def test_several_parts_are_a_mixture(plan_of):
    plan = plan_of("bg_nbd")
    halves = replace(plan, parts=(plan.parts[0].between(0, 40), plan.parts[0].between(40, 100)))
    bought = np.minimum(plan.frequency, 2.0)
    last = np.full(plan.customers, 3.0)
    np.testing.assert_allclose(
        log_predictive_density(halves, bought, last, horizon=HORIZON),
        log_predictive_density(plan, bought, last, horizon=HORIZON),
    )
    np.testing.assert_allclose(probability_of_none(halves, HORIZON), probability_of_none(plan, HORIZON))
