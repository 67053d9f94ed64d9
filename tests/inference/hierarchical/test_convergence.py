from __future__ import annotations

import numpy as np
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.inference.hierarchical.chains import Chains, diagnose_chains
from clv_forecast.inference.recipe import Sampler

CHAINS, DRAWS = 4, 500


def chains(values, diverging=0):
    told = np.zeros((CHAINS, DRAWS), dtype=bool)
    told.ravel()[:diverging] = True
    dims = {"x": ("region",)}
    return Chains(variables={"x": values}, dims=dims, coords={"region": ("n", "s")}, sample_stats={"diverging": told})


@pytest.fixture
def mixed():
    return np.random.default_rng(1).normal(size=(CHAINS, DRAWS, 2))


def test_chains_that_agree(mixed):
    judged = diagnose_chains(chains(mixed))
    assert judged.converged
    assert "agree" in judged.verdict
    assert judged.draws == CHAINS * DRAWS


def test_a_chain_elsewhere_is_found_and_named(mixed):
    mixed[2, :, 1] += 1.0
    judged = diagnose_chains(chains(mixed))
    assert not judged.converged
    assert "R-hat must lie below 1.01" in judged.verdict
    assert judged.table.loc[0, "worst"] == "s"


def test_a_chain_of_another_width_is_found(mixed):
    mixed[2] *= 3.0
    assert not diagnose_chains(chains(mixed)).converged


def test_slow_chains_are_found():
    steps = np.random.default_rng(2).normal(size=(CHAINS, DRAWS, 2))
    slow = np.empty_like(steps)
    slow[:, 0] = steps[:, 0]
    for i in range(1, DRAWS):
        slow[:, i] = 0.97 * slow[:, i - 1] + np.sqrt(1.0 - 0.97**2) * steps[:, i]
    judged = diagnose_chains(chains(slow))
    assert not judged.converged
    assert "400 effective draws" in judged.verdict


def test_divergences_are_counted(mixed):
    assert diagnose_chains(chains(mixed, diverging=2)).converged
    judged = diagnose_chains(chains(mixed, diverging=3))
    assert not judged.converged
    assert "3 divergent" in judged.verdict
    assert "one draw in a thousand" in judged.verdict


@pytest.mark.parametrize(("diverging", "broken"), [(40, False), (41, True)])
def test_more_than_one_draw_in_fifty_is_broken(mixed, diverging, broken):
    judged = diagnose_chains(chains(mixed, diverging=diverging))
    assert judged.broken is broken
    assert ("have not converged" if broken else "closely enough to be used") in judged.verdict


def test_a_chain_far_off_is_broken_and_one_a_little_off_is_not(mixed):
    mixed[2, :, 1] += 0.35
    little = diagnose_chains(chains(mixed))
    assert 1.01 < little.r_hat < 1.05 and not little.broken and not little.converged
    mixed[2, :, 1] += 0.65
    assert diagnose_chains(chains(mixed)).broken
    mixed[0, 0, 0] = np.nan
    assert diagnose_chains(chains(mixed)).broken


def test_what_is_constant_is_left_out_and_what_is_not_a_number_never_converged(mixed):
    constant = mixed.copy()
    constant[..., 0] = 1.0
    judged = diagnose_chains(chains(constant))
    assert judged.converged
    assert judged.table["size"].tolist() == [1]
    mixed[0, 0, 0] = np.nan
    assert not diagnose_chains(chains(mixed)).converged


def test_a_retry_is_more_careful():
    retry = Sampler(tune=100, draws=200, target_accept=0.85).more_careful()
    assert (retry.tune, retry.draws, retry.target_accept) == (200, 400, pytest.approx(0.95))


@pytest.mark.parametrize(
    "options",
    [{"name": "stan"}, {"chains": 1}, {"tune": 0}, {"draws": 0}, {"target_accept": 1.0}, {"retries": -1}, {"cores": 0}],
)
def test_options_of_the_sampler_are_checked(options):
    with pytest.raises(DomainError):
        Sampler(**options)
