"""The PyMC model against its density written out in NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

from clv_forecast.inference.hierarchical.effect_kernels import effects_backward, effects_forward
from clv_forecast.inference.hierarchical.effects import correlation_factor, partial_exponents
from clv_forecast.inference.hierarchical.graph import build_model, dim_of, graph_data, plan_coords, plan_graph
from clv_forecast.inference.hierarchical.part_data import purchase_part, spend_part
from clv_forecast.inference.hierarchical.priors import Prior, part_priors
from clv_forecast.inference.hierarchical.structure import assign, learn_structure
from clv_forecast.inference.sufficient import spend_data
from clv_forecast.models import bg_nbd, gamma_gamma
from tests.inference.hierarchical.made_up import attributed
from tests.inference.simulated import simulate_purchases, simulate_spend, summary

GIVEN = {"mean_purchase_rate": Prior(median=0.2, sd=0.7), "group_sd:purchase_rate_shape": Prior(sd=0.2)}


@pytest.fixture(scope="module")
def history():
    rng = np.random.default_rng(21)
    frequency, recency, T = simulate_purchases(rng, 240, r=0.8, alpha=5.0, a=0.8, b=2.5, length=60.0)
    counts, total, sum_log = simulate_spend(rng, frequency, p=6.0, q=4.0, v=15.0)
    spread = {name: np.zeros(240) for name in ("n", "total", "sum_log")}
    for name, values in zip(spread, (counts, total, sum_log), strict=True):
        spread[name][frequency > 0] = values
    customers = pd.DataFrame(
        {
            "region": rng.choice(list("abcdef"), 240),
            "chain": rng.choice(["x", "y"], 240),
            "age": rng.normal(40.0, 10.0, 240).round(),
        }
    )
    return attributed(customers, table=summary(frequency, recency, T, **spread).table)


def log_half_normal(sd, scale):
    return stats.halfnorm(scale=scale).logpdf(sd)


@pytest.mark.parametrize(
    ("part", "anchored"), [("purchases", [1.0, 0.0, 0.0, 1.0]), ("spend", [0.0]), ("spend", [1.0])]
)
def test_the_density_is_likelihood_times_priors(history, part, anchored):
    structure = learn_structure(history, groups=["region", "chain"], covariates=["age"])
    assignment = assign(structure, history)
    if part == "purchases":
        data = purchase_part("bg_nbd", history.table, assignment)
    else:
        data = spend_part(history.table, spend_data(history.table, "repeat"), assignment)
    priors = part_priors(
        data.model,
        part,
        GIVEN if part == "purchases" else None,
        structure=structure,
        time_scale=data.time_scale,
        money_scale=data.money_scale,
    )
    plan = plan_graph(data, priors, structure)
    arrays = graph_data(plan, data, assignment, priors=priors)
    arrays[f"{part}_anchored"] = np.array(anchored[: len(priors.varying)])
    model = build_model(plan, arrays, plan_coords(plan, structure))
    assert model.named_vars_to_dims[f"{part}_effect_region"][0] == "region"
    assert model.named_vars_to_dims[f"{part}_effect_chain"][0] == "chain_group"
    density = model.compile_logp(mode="FAST_COMPILE")
    start = model.initial_point()
    rng = np.random.default_rng(22)
    for _ in range(3):
        point = {name: 0.5 * rng.normal(size=np.shape(value)) for name, value in start.items()}
        expected = written_out(plan, data, arrays, assignment, priors, point)
        assert float(density(point)) == pytest.approx(expected, rel=1e-9)


def written_out(plan, data, arrays, assignment, priors, point):
    part, k, varying = plan.part, len(plan.coordinates), list(plan.varying)
    z = point[f"{part}_z"]
    total, average = 0.0, priors.location + priors.scale * z  # of the customers; the intercept is what is left of it
    start = average.copy()
    theta = np.zeros((assignment.n_cells, k))
    for index, term in enumerate(plan.terms):
        log_unit = point[f"{part}_unit_sd_{term.name}_log__"]
        sd = np.exp(log_unit) * priors.group_scale
        # density of the standard deviation, times what it changes by the logarithm of its share of the scale
        total += log_half_normal(sd, priors.group_scale).sum() + np.log(sd).sum()
        factor = np.eye(len(varying))
        if term.correlated:
            free = point[f"{part}_partial_{term.name}_logodds__"]
            share = expit(free)
            exponent = partial_exponents(len(varying), priors.eta)
            total += (stats.beta(exponent, exponent).logpdf(share) + np.log(share) + np.log1p(-share)).sum()
            factor = correlation_factor(2.0 * share[None] - 1.0, len(varying))[0]
        weight = arrays[f"{part}_centring_{index}"]
        assert ((weight > 0) & (weight < 1)).all()
        anchored = arrays[f"{part}_anchored"] if term.anchored else np.zeros(len(varying))
        raw = point[f"{part}_raw_{term.name}"] - weight * (anchored * start[varying])
        effect, stretch = effects_and_stretch(raw, weight, sd, factor)
        covariance = (sd[:, None] * factor) @ (sd[:, None] * factor).T
        constant = 0.5 * effect.size * np.log(2.0 * np.pi)  # left out of the graph
        total += stats.multivariate_normal(cov=covariance).logpdf(effect).sum() + constant + stretch
        theta[:, varying] += effect[assignment.codes[:, index]]
        average[varying] -= (1.0 - anchored) * (arrays[f"{part}_share_{index}"] @ effect)
    coefficient = np.zeros((1, k))
    coefficient[:, list(plan.targets)] = point[f"{part}_coefficient"]
    total += stats.norm(scale=0.5).logpdf(point[f"{part}_coefficient"]).sum()
    theta += assignment.design @ coefficient + average
    total -= 0.5 * (((average - priors.location) / priors.scale) ** 2).sum()
    return total + likelihood(data, theta)


def effects_and_stretch(raw, weight, sd, factor):
    """Effects of the sampler's coordinates, and the logarithm of the determinant of the map."""
    effect, stretch = np.empty_like(raw), 0.0
    for level, w in enumerate(weight):
        mixed = np.diag(1.0 - w) + w[:, None] * factor
        matrix = (sd[:, None] * factor) @ np.linalg.inv(mixed) @ np.diag(sd**-w)
        effect[level] = matrix @ raw[level]
        stretch += np.log(np.abs(np.linalg.det(matrix)))
    return effect, stretch


def test_the_gradient_of_effects_is_that_of_finite_differences():
    """Every input of the kernel, with and without correlations."""
    rng = np.random.default_rng(23)
    for pairs in (0, 3):
        given = [
            rng.normal(size=(5, 3)),
            0.3 * rng.normal(size=3),
            rng.uniform(-0.8, 0.8, pairs),
            rng.uniform(0.0, 1.0, (5, 3)),
            rng.normal(size=3),
        ]
        by_effect, by_value = rng.normal(size=(5, 3)), 0.7

        def scalar(arguments, by_effect=by_effect, by_value=by_value):
            effect, value, _ = effects_forward(*arguments)
            return float((by_effect * effect).sum() + by_value * value)

        found = effects_backward(*given, by_effect, by_value)
        for gradient, place in zip(found, (0, 1, 2, 4), strict=True):
            for index in np.ndindex(given[place].shape):
                moved = []
                for sign in (1.0, -1.0):
                    shifted = [array.copy() for array in given]
                    shifted[place][index] += sign * 1e-6
                    moved.append(scalar(shifted))
                assert gradient[index] == pytest.approx((moved[0] - moved[1]) / 2e-6, rel=1e-6, abs=1e-7)
        _, _, matrix = effects_forward(*given)
        expected = correlation_factor(given[2][None], 3)[0] if pairs else np.eye(3)
        np.testing.assert_allclose(matrix, expected @ expected.T, atol=1e-14)


def likelihood(data, theta):
    """By the NumPy models on the rows of the part."""
    if data.part == "spend":
        (cell, n, total, count), (of_count, _, _, logs) = data.tables.rows.T, data.tables.counts.T
        params = gamma_gamma.constrain(theta[cell.astype(int)])
        params = gamma_gamma.Params(*(getattr(params, field).ravel() for field in gamma_gamma.PARAMETERS))
        without_logs = gamma_gamma.log_likelihood_orders(params, n, total, np.zeros(len(n)))
        return float(count @ without_logs + logs @ params_by_cell(gamma_gamma, theta).p[of_count.astype(int)])
    cell, x, t_x, T, count = data.tables.rows.T
    params = bg_nbd.constrain(theta[cell.astype(int)])
    params = bg_nbd.Params(*(getattr(params, field).ravel() for field in bg_nbd.PARAMETERS))
    return float(bg_nbd.log_likelihood(params, x, t_x, T) @ count)


def params_by_cell(module, theta):
    params = module.constrain(theta)
    return module.Params(*(getattr(params, field).ravel() for field in module.PARAMETERS))


def test_units_change_nothing_in_the_graph(history):
    """Days for weeks and cents for euros: the same numbers go into the sampler, to rounding of the division."""
    structure = learn_structure(history, groups="region")
    assignment = assign(structure, history)
    table = history.table
    scaled = table.copy()
    for name in ("recency", "T"):
        scaled[name] = 8.0 * scaled[name]  # a power of two divides without rounding: equal to the last bit
    for name in ("spend_sum_repeat", "spend_sum_all"):
        scaled[name] = 128.0 * scaled[name]
    for amounts in ("repeat", "all"):
        scaled[f"spend_sum_log_{amounts}"] += scaled[f"spend_count_{amounts}"] * np.log(128.0)
    given = {"mean_purchase_rate": Prior(median=0.2, sd=0.7)}
    slower = {"mean_purchase_rate": Prior(median=0.2 / 8.0, sd=0.7)}
    one = purchase_part("bg_nbd", table, assignment)
    other = purchase_part("bg_nbd", scaled, assignment)
    assert other.time_scale == 8.0 * one.time_scale
    inputs = []
    for data, override in ((one, given), (other, slower)):
        priors = part_priors("bg_nbd", "purchases", override, structure=structure, time_scale=data.time_scale)
        inputs.append(graph_data(plan_graph(data, priors, structure), data, assignment, priors=priors))
    for name, array in inputs[0].items():
        np.testing.assert_array_equal(array, inputs[1][name], err_msg=name)
    one, other = (spend_part(t, spend_data(t, "repeat"), assignment) for t in (table, scaled))
    for array, same in zip(one.tables, other.tables, strict=True):
        np.testing.assert_allclose(array, same, rtol=1e-12, atol=1e-9)


def test_a_group_may_be_named_as_a_dimension():
    assert dim_of("chain") == "chain_group"
    assert dim_of("spend_parameter") == "spend_parameter_group"
    assert dim_of("shop") == "shop"
