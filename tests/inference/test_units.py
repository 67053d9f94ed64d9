"""Dollars and weeks, cents and days, euros and hours: the same customers, hence the same parameters and forecasts.

Random numbers are the same in all units, so the forecasts must agree far inside their Monte-Carlo error: to rounding
where the sampler reads scaled data, and to what the optimiser leaves where the scale is met by an optimum.
"""

from functools import cache

import numpy as np
import pytest

import clv_forecast as clv
from clv_forecast.inference.hierarchical.graph import graph_data, plan_graph
from clv_forecast.inference.hierarchical.part_data import purchase_part, spend_part
from clv_forecast.inference.hierarchical.priors import part_priors
from clv_forecast.inference.hierarchical.structure import Structure, assign
from clv_forecast.inference.sufficient import spend_data
from clv_forecast.models import TRANSACTION_MODELS

DOLLARS = "dollars and weeks"
OTHERS = ("cents and days", "euros and hours")
UNIT = {DOLLARS: "week", "cents and days": "day", "euros and hours": "hour"}
PER_WEEK = {DOLLARS: 1.0, "cents and days": 7.0, "euros and hours": 168.0}
PER_DOLLAR = {DOLLARS: 1.0, "cents and days": 100.0, "euros and hours": 0.92}
AS_OF = "1997-09-30"
HORIZON = "39 weeks"
DRAWS = 200
SAMPLER = clv.Sampler(chains=2, tune=400, draws=500, retries=0)
NEARLY = 1e-6
ROUNDING = 1e-9

COUNTED = ["p_alive", "expected_purchases", "purchases_lower", "purchases_upper", "parameter_share", "p_loss"]
MONEY = ["expected_spend", "revenue", "revenue_lower", "revenue_upper", "value", "value_sd", "value_lower"]
MONEY += ["value_upper", "mean_lower", "mean_upper"]
TOTAL_COUNTED = ["purchases", "purchases_lower", "purchases_upper", "parameter_share", "process_share"]
TOTAL_MONEY = ["revenue", "revenue_lower", "revenue_upper", "value", "value_lower", "value_upper", "mean_lower"]
TOTAL_MONEY += ["mean_upper"]


@cache
def history(units):
    log = clv.load_cdnow("1/10")
    log = log[log["customer_id"] % 3 == 0]
    return clv.purchase_history(
        log.assign(amount=(log["amount"] * PER_DOLLAR[units]).round(4)), as_of=AS_OF, unit=UNIT[units]
    )


@cache
def fitted(method, units, purchases="bg_nbd", rng=7):
    """Few customers: whether chains or weights can be trusted does not matter here, that they are the same does."""
    return clv.fit(
        history(units),
        purchases=purchases,
        method=method,
        sampler=SAMPLER if method == "nuts" else None,
        draws=DRAWS,
        rng=rng,
        compare=False,
        allow_unconverged=True,
    )


def forecast(model, units):
    """Customers and totals, in the units of the history."""
    ahead = clv.forecast(model, history(units), horizons=[HORIZON], draws=DRAWS, rng=3)
    return ahead.customers, ahead.totals


def scale_of(name, units):
    """What a parameter is multiplied by when dollars and weeks become other units."""
    return {"alpha": PER_WEEK[units], "beta": PER_WEEK[units], "v": PER_DOLLAR[units]}.get(name, 1.0)


def check_draws(model, base, units, *, rtol):
    draws, expected = model.draws.to_frame(), base.draws.to_frame()
    assert list(draws) == list(expected)
    for name in draws:
        np.testing.assert_allclose(draws[name] / scale_of(name, units), expected[name], rtol=rtol, err_msg=name)


def check_forecast(found, expected, units, *, rtol):
    for (table, base), counted, money in zip(
        zip(found, expected, strict=True), (COUNTED, TOTAL_COUNTED), (MONEY, TOTAL_MONEY), strict=True
    ):
        np.testing.assert_allclose(table[counted], base[counted], rtol=rtol, atol=1e-12)
        np.testing.assert_allclose(table[money] / PER_DOLLAR[units], base[money], rtol=rtol, atol=1e-9)


def total(method, units, **options):
    """Purchases expected of all customers."""
    model = clv.fit(
        history(units), spend=None, method=method, draws=DRAWS, rng=7, compare=False, allow_unconverged=True, **options
    )
    return float(forecast(model, units)[1]["purchases"].iloc[0])


# --- maximum likelihood and Laplace ---------------------------------------------------------------------------------


@pytest.mark.parametrize("units", OTHERS)
@pytest.mark.parametrize("method", ["mle", "laplace"])
def test_parameters_and_forecasts_are_those_in_dollars_and_weeks(method, units):
    model, base = fitted(method, units), fitted(method, DOLLARS)
    check_draws(model, base, units, rtol=NEARLY)
    for part, expected in ((model.estimate, base.estimate), (model.spend_estimate, base.spend_estimate)):
        for name in part.__dataclass_fields__:
            assert getattr(part, name) / scale_of(name, units) == pytest.approx(getattr(expected, name), rel=NEARLY)
    check_forecast(forecast(model, units), forecast(base, DOLLARS), units, rtol=NEARLY)


@pytest.mark.parametrize("purchases", ["mbg_nbd", pytest.param("pareto_nbd", marks=pytest.mark.slow)])
def test_the_siblings_do_not_depend_on_units_either(purchases):
    base = fitted("laplace", DOLLARS, purchases)
    model = fitted("laplace", OTHERS[0], purchases)
    check_draws(model, base, OTHERS[0], rtol=1e-5)
    check_forecast(forecast(model, OTHERS[0]), forecast(base, DOLLARS), OTHERS[0], rtol=1e-5)


def test_what_agrees_to_rounding_is_noise_between_seeds():
    """Control: the tolerance is far below the Monte-Carlo error that another seed shows."""
    tables = [forecast(fitted("laplace", DOLLARS, rng=rng), DOLLARS)[0]["value"] for rng in (7, 8)]
    assert np.max(np.abs(tables[0] / tables[1] - 1.0)) > 1e3 * NEARLY
    units = OTHERS[0]
    with pytest.raises(AssertionError):
        check_draws(fitted("laplace", units, rng=8), fitted("laplace", DOLLARS), units, rtol=NEARLY)


# --- a prior that the user states is in the user's units ------------------------------------------------------------


def test_a_prior_converted_by_the_user_changes_nothing_and_one_that_is_not_does():
    rate = {units: clv.Prior(median=0.08 / PER_WEEK[units], sd=0.05) for units in UNIT}
    weekly = total("laplace", DOLLARS, priors={"mean_purchase_rate": rate[DOLLARS]})
    for units in OTHERS:
        converted = total("laplace", units, priors={"mean_purchase_rate": rate[units]})
        assert converted == pytest.approx(weekly, rel=NEARLY)
    forgotten = total("laplace", OTHERS[0], priors={"mean_purchase_rate": rate[DOLLARS]})
    assert abs(forgotten / weekly - 1.0) > 0.1


def test_a_prior_of_spend_is_in_the_users_money():
    def spend(units, median):
        priors = {"mean_spend": clv.Prior(median=median, sd=0.01)}
        model = clv.fit(history(units), method="laplace", priors=priors, draws=DRAWS, rng=7, compare=False)
        return float(np.mean(forecast(model, units)[0]["expected_spend"])) / PER_DOLLAR[units]

    dollars = spend(DOLLARS, 50.0)
    assert spend("cents and days", 5000.0) == pytest.approx(dollars, rel=NEARLY)
    assert abs(spend("cents and days", 50.0) / dollars - 1.0) > 0.1


# --- NUTS -----------------------------------------------------------------------------------------------------------


def graph_inputs(units, purchases="bg_nbd", priors=None):
    """Plans and arrays of both graphs, as `fit` gives them to the sampler."""
    found, table, structure = [], history(units).table, Structure()
    assignment = assign(structure, history(units))
    parts = (purchase_part(purchases, table, assignment), spend_part(table, spend_data(table, "auto"), assignment))
    for data in parts:
        prior = part_priors(
            data.model,
            data.part,
            priors,
            structure=structure,
            time_scale=data.time_scale,
            money_scale=data.money_scale,
        )
        plan = plan_graph(data, prior, structure)
        found.append((plan, graph_data(plan, data, assignment, priors=prior)))
    return found


def largest_difference(units, purchases="bg_nbd", priors=None):
    """Of any number that the sampler reads, relative to 1 or to its size."""
    worst = 0.0
    pairs = zip(graph_inputs(units, purchases, priors), graph_inputs(DOLLARS, purchases, priors), strict=True)
    for (plan, arrays), (expected_plan, expected) in pairs:
        assert plan == expected_plan  # one compiled graph serves all units
        assert arrays.keys() == expected.keys()
        for name, values in arrays.items():
            assert np.shape(values) == np.shape(expected[name]), name
            if np.size(values):
                difference = np.abs(np.subtract(values, expected[name])) / np.maximum(np.abs(expected[name]), 1.0)
                worst = max(worst, float(np.max(difference)))
    return worst


@pytest.mark.parametrize("purchases", list(TRANSACTION_MODELS))
@pytest.mark.parametrize("units", OTHERS)
def test_the_sampler_reads_the_same_numbers(units, purchases):
    assert largest_difference(units, purchases) < 1e-12


def test_the_sampler_reads_other_numbers_under_a_prior_in_fixed_units():
    prior = {"mean_purchase_rate": clv.Prior(median=0.08, sd=0.5)}
    assert largest_difference("cents and days", priors=prior) > 0.1
    assert largest_difference("cents and days", priors={"purchase_rate_shape": clv.Prior(median=0.5)}) < 1e-12


@pytest.mark.slow
def test_the_samplers_draws_are_the_same_to_rounding():
    """Two graphs are compiled, for some 20 seconds each, and serve all units."""
    base = fitted("nuts", DOLLARS)
    expected = forecast(base, DOLLARS)
    for units in OTHERS:
        model = fitted("nuts", units)
        check_draws(model, base, units, rtol=ROUNDING)
        check_forecast(forecast(model, units), expected, units, rtol=ROUNDING)
    prior = {"mean_purchase_rate": clv.Prior(median=0.08, sd=0.05)}
    weekly, forgotten = (total("nuts", units, priors=prior, sampler=SAMPLER) for units in (DOLLARS, OTHERS[0]))
    assert abs(forgotten / weekly - 1.0) > 0.1
