"""Fits by NUTS on customers whose parameters are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clv_forecast.errors import FitError
from clv_forecast.inference.hierarchical import sampling
from clv_forecast.inference.hierarchical.part_data import PartData, purchase_part, spend_part
from clv_forecast.inference.hierarchical.priors import part_priors
from clv_forecast.inference.hierarchical.sampling import fit_part_nuts
from clv_forecast.inference.hierarchical.structure import Structure, assign
from clv_forecast.inference.laplace import laplace_posterior
from clv_forecast.inference.recipe import Sampler
from clv_forecast.inference.sufficient import spend_data
from tests.inference.hierarchical.simulated_groups import (
    COEFFICIENT,
    GROUPS,
    LOG_RATE,
    LOG_SPEND,
    LOGIT_DROPOUT,
    simulated_groups,
)

QUICK = Sampler(tune=500, draws=600, target_accept=0.92)


def fitted(data: PartData, structure, assignment, *, sampler=QUICK, seed=5, progress=None):
    priors = part_priors(
        data.model, data.part, structure=structure, time_scale=data.time_scale, money_scale=data.money_scale
    )
    more = {} if progress is None else {"progress": progress}
    return fit_part_nuts(data, structure, assignment, priors=priors, sampler=sampler, seed=seed, **more)


@pytest.fixture(scope="module")
def simulated():
    return simulated_groups(250, seed=31)


@pytest.fixture(scope="module")
def reports():
    return []


@pytest.fixture(scope="module")
def grouped(simulated, reports):
    data = purchase_part("bg_nbd", simulated.history.table, simulated.assignment)
    return fitted(data, simulated.structure, simulated.assignment, progress=lambda *step: reports.append(step))


def group_means(part, coordinate):
    """Draws of each group's coordinate at the average age, in the user's units."""
    effects = part.effects
    values = effects.intercept[:, None, coordinate] + effects.effects[0][:, :, coordinate]
    return values - np.log(part.time_scale) if coordinate == 0 else values


def covered(draws, truth):
    lower, upper = np.quantile(draws, [0.025, 0.975], axis=0)
    return (lower < truth) & (truth < upper)


def test_known_groups_and_coefficients_are_recovered(grouped):
    rates, dropout = group_means(grouped, 0), group_means(grouped, 2)
    inside = np.concatenate([covered(rates, LOG_RATE), covered(dropout, LOGIT_DROPOUT)])
    assert inside.sum() >= len(inside) - 1
    pooled = rates.mean()
    assert covered(rates, pooled).sum() <= 3  # negative control: one rate for all is refuted
    coefficient = grouped.effects.coefficients[:, 0, 0]
    assert covered(coefficient, COEFFICIENT)
    assert not covered(coefficient, 0.0)


def test_the_chains_are_judged_and_labelled(grouped, reports):
    assert grouped.convergence.converged, grouped.convergence.verdict
    chains = grouped.chains
    assert chains.shape == (4, grouped.sampler.draws)
    assert chains.variables["purchases_effect_region"].shape[2:] == (6, 4)
    assert chains.coords["region"] == GROUPS
    assert chains.coords["covariate"] == ("age",)
    assert chains.dims["purchases_coefficient"] == ("covariate", "purchase_parameter_target")
    assert {"diverging", "energy", "n_steps"} <= set(chains.sample_stats)
    table = grouped.convergence.table.set_index("variable")
    assert table.loc["purchases_correlation_region", "size"] == 12  # without the diagonal
    stages = {stage for stage, _, _ in reports}
    assert stages == {"sampling purchases"}
    assert reports[0][1] == 0
    assert reports[-1][1] == reports[-1][2]


def test_effects_are_the_chains_one_after_the_other(grouped):
    intercept = grouped.chains.variables["purchases_intercept"]
    np.testing.assert_array_equal(grouped.effects.intercept[: intercept.shape[1]], intercept[0])
    np.testing.assert_array_equal(grouped.effects.intercept[-1], intercept[-1, -1])
    factor = grouped.effects.factors[0]
    sd = np.sqrt(np.einsum("dij,dij->di", factor, factor))
    np.testing.assert_allclose(sd[: intercept.shape[1]], grouped.chains.variables["purchases_sd_region"][0])
    assert not np.triu(factor, 1).any()


def test_the_same_seed_gives_the_same_draws_whatever_the_cores(simulated, grouped):
    data = purchase_part("bg_nbd", simulated.history.table, simulated.assignment)
    short = Sampler(tune=100, draws=100, chains=2, retries=0)
    runs = [
        fitted(data, simulated.structure, simulated.assignment, sampler=sampler, seed=seed)
        for sampler, seed in ((short, 1), (Sampler(tune=100, draws=100, chains=2, retries=0, cores=1), 1), (short, 2))
    ]
    np.testing.assert_array_equal(runs[0].effects.intercept, runs[1].effects.intercept)
    assert not np.array_equal(runs[0].effects.intercept, runs[2].effects.intercept)


def test_too_few_draws_are_not_called_converged_and_are_sampled_again(simulated, grouped):
    data = purchase_part("bg_nbd", simulated.history.table, simulated.assignment)
    few = fitted(
        data, simulated.structure, simulated.assignment, sampler=Sampler(tune=100, draws=100, chains=2, retries=1)
    )
    assert few.attempts == 2 or few.convergence.converged
    assert not few.convergence.converged or few.convergence.draws > 200


def test_a_second_attempt_that_cannot_start_keeps_the_first(simulated, grouped, monkeypatch):
    started = []

    def once(*arguments, sample_part=sampling.sample_part, **options):
        if started:
            raise FitError("The sampler could not sample the purchases.")
        started.append(True)
        return sample_part(*arguments, **options)

    monkeypatch.setattr(sampling, "sample_part", once)
    data = purchase_part("bg_nbd", simulated.history.table, simulated.assignment)
    few = Sampler(tune=100, draws=100, chains=2, retries=2)
    part = fitted(data, simulated.structure, simulated.assignment, sampler=few)
    assert part.attempts == 1 and part.effects.n_draws == 200 and not part.convergence.converged
    with pytest.raises(FitError, match="could not sample"):
        fitted(data, simulated.structure, simulated.assignment, sampler=few)


def test_a_pooled_fit_is_the_laplace_posterior(simulated):
    structure = Structure()
    assignment = assign(structure, simulated.history)
    data = purchase_part("bg_nbd", simulated.history.table, assignment)
    part = fitted(data, structure, assignment, sampler=Sampler(tune=500, draws=1000))
    assert part.convergence.converged
    laplace = laplace_posterior(data.pooled, draws=2000, generator=np.random.default_rng(1))
    assert laplace.reliable
    spread = laplace.draws.std(axis=0)
    np.testing.assert_allclose(
        part.effects.intercept.mean(axis=0), laplace.draws.mean(axis=0), atol=0.15 * spread.max()
    )
    np.testing.assert_allclose(part.effects.intercept.std(axis=0), spread, rtol=0.12)


@pytest.mark.slow
def test_spend_levels_of_groups_are_recovered():
    simulated = simulated_groups(300, seed=33)
    data = spend_part(simulated.history.table, spend_data(simulated.history.table, "repeat"), simulated.assignment)
    part = fitted(data, simulated.structure, simulated.assignment)
    assert part.convergence.converged, part.convergence.verdict
    levels = part.effects.intercept[:, None, 0] + part.effects.effects[0][:, :, 0] + np.log(part.money_scale)
    assert covered(levels, LOG_SPEND).sum() >= 5
    assert not part.effects.effects[0][:, :, 1:].any()
    assert covered(part.effects.coefficients[:, 0, 0], 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "per_group"), [("mbg_nbd", 250), ("pareto_nbd", 80)])
def test_the_siblings_recover_known_groups(model, per_group):
    simulated = simulated_groups(per_group, seed=33, model=model)
    data = purchase_part(model, simulated.history.table, simulated.assignment)
    part = fitted(data, simulated.structure, simulated.assignment, sampler=replace(QUICK, chains=2))
    assert part.convergence.converged, part.convergence.verdict
    assert covered(group_means(part, 0), LOG_RATE).sum() >= 5


@pytest.mark.slow
def test_pymcs_own_sampler_agrees(simulated):
    structure = Structure()
    assignment = assign(structure, simulated.history)
    data = purchase_part("bg_nbd", simulated.history.table, assignment)
    parts = [
        fitted(data, structure, assignment, sampler=Sampler(name=name, tune=500, draws=1000))
        for name in ("nutpie", "pymc")
    ]
    assert all(part.convergence.converged for part in parts)
    means = [part.effects.intercept.mean(axis=0) for part in parts]
    np.testing.assert_allclose(means[0], means[1], atol=0.15 * parts[0].effects.intercept.std(axis=0).max())
