"""The calibration study of the benchmarks: its bands, its simulations, and a smoke of both verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import simulation_based_calibration as sbc
from clv_forecast.inference.hierarchical.effects import EffectDraws

SMOKE_FITS = 20


@pytest.fixture(scope="module")
def bands():
    return sbc.Uniformity.of(SMOKE_FITS, simulations=4000)


def share_inside(bands, sets):
    return np.mean([bands.judge(ranks)[2] > 1.0 - sbc.BAND for ranks in sets])


def test_the_bands_hold_uniform_ranks_at_their_rate(bands):
    uniform = np.random.default_rng(5).integers(0, sbc.RANKS + 1, (1000, SMOKE_FITS))
    assert 0.93 < share_inside(bands, uniform) < 0.985  # ranks are discrete, so a little above 95 %


@pytest.mark.parametrize(
    "distort",
    [lambda u: u**2, lambda u: 0.5 + 0.3 * (u - 0.5), lambda u: (u > 0.5) * (1.0 - 1e-9)],
    ids=["biased", "too wide a posterior", "too narrow a posterior"],
)
def test_the_bands_find_ranks_that_are_not_uniform(distort):
    bands = sbc.Uniformity.of(100, simulations=4000)
    uniform = np.random.default_rng(6).uniform(size=(200, 100))
    assert share_inside(bands, np.floor(distort(uniform) * (sbc.RANKS + 1))) < 0.05


def test_a_verdict_says_where_ranks_leave_the_band(bands):
    deviation, width, p = bands.judge(np.zeros(SMOKE_FITS))
    assert deviation == pytest.approx(1.0 - 1.0 / (sbc.RANKS + 1))
    assert p < 0.001
    assert 0.0 < width < deviation
    deviation, _, p = bands.judge(np.full(SMOKE_FITS, sbc.RANKS))
    assert deviation == pytest.approx(-sbc.RANKS / (sbc.RANKS + 1))
    assert p < 0.001
    assert bands.judge(np.linspace(0, sbc.RANKS, SMOKE_FITS).astype(int))[2] > 0.9


@pytest.mark.parametrize("study", [sbc.POOLED, sbc.GROUPED, sbc.SPENDING], ids=lambda study: study.title)
def test_simulations_are_reproducible_and_never_degenerate(study):
    for index in range(10):
        truth, table = sbc.simulated(study, np.random.default_rng([1, index]))
        again, same = sbc.simulated(study, np.random.default_rng([1, index]))
        np.testing.assert_array_equal(truth.intercept, again.intercept)
        assert table.equals(same)
        assert len(table) == sum(study.sizes)
        if study.part == sbc.PURCHASES:
            assert (table["recency"] <= table["T"]).all()
            assert 0.2 < (table["frequency"] > 0).mean() < 1.0


def test_quantities_do_not_depend_on_the_scale_of_time():
    """What is ranked is in weeks: draws in data divided by 7 are those of undivided data."""
    study = sbc.GROUPED
    truth, table = sbc.simulated(study, np.random.default_rng(3))
    scaled = EffectDraws(
        coordinates=truth.coordinates,
        terms=truth.terms,
        intercept=truth.intercept + np.array([np.log(7.0), 0.0, 0.0, 0.0]),
        effects=truth.effects,
        factors=truth.factors,
    )
    expected, found = sbc.quantities(study, truth, table), sbc.quantities(study, scaled, table, time_scale=7.0)
    assert list(expected) == list(found)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9, err_msg=name)
    shift = study.prior("bg_nbd", time_scale=7.0).location - study.prior("bg_nbd").location
    np.testing.assert_allclose(shift, [np.log(7.0), 0.0, 0.0, 0.0], atol=1e-12)


def test_the_control_differs_from_the_study_in_the_model_fitted_only():
    assert sbc.CONTROL.fitted != sbc.CONTROL.simulated == sbc.POOLED.simulated == sbc.POOLED.fitted
    assert (sbc.CONTROL.priors, sbc.CONTROL.sizes) == (sbc.POOLED.priors, sbc.POOLED.sizes)
    assert sbc.CONTROL.sampler == sbc.POOLED.sampler


@pytest.mark.slow
def test_the_posterior_is_calibrated_and_that_of_one_chance_to_leave_too_many_is_not():
    right, wrong = (sbc.calibrate(study, SMOKE_FITS, seed=1) for study in (sbc.POOLED, sbc.CONTROL))
    for calibration in (right, wrong):
        assert calibration.fits["r_hat"].max() < 1.05
        assert calibration.fits["ess"].min() > sbc.RANKS
    assert sbc.overall(sbc.verdict(right)) > 0.01
    assert sbc.overall(sbc.verdict(wrong)) < 0.001
    assert right.contraction["log_rate"] > 0.8  # the ranks are those of posteriors, not of the prior
