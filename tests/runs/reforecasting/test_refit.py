"""When a run fits anew, and from where it starts."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

import clv_forecast as clv
from clv_forecast.runs.configuration.sections_model import ModelSection
from clv_forecast.runs.reforecasting.record import Standing, fitted_model, options_of
from tests.runs.comparison.snapshots import history, orders


@functools.cache
def of(day: str) -> clv.PurchaseHistory:
    return history(orders(), day)


@functools.cache
def first() -> clv.Model:
    return clv.fit(of("1997-12-31"), compare=False, draws=100)


def section(refit: str, **options) -> ModelSection:
    return ModelSection(refit=refit, draws=100, **options)


def standing(runs_since: int, *, model: clv.Model | None = None, **options) -> Standing:
    return Standing(model=model or first(), options=options_of(section("drift", **options)), runs_since=runs_since)


@pytest.mark.parametrize(("refit", "runs_since", "due"), [("every run", 0, True), ("every 3 runs", 1, False)])
def test_by_count(refit, runs_since, due):
    found = fitted_model(section(refit), of("1998-01-21"), standing(runs_since), seed=1)
    assert found.refitted is due and found.runs_since == (0 if due else runs_since + 1)
    assert (found.model is first()) is not due
    assert fitted_model(section("every 3 runs"), of("1998-01-21"), standing(2), seed=1).refitted


def test_a_first_run_and_other_options_fit():
    assert fitted_model(section("every 9 runs"), of("1998-01-21"), None, seed=1).refitted
    other = fitted_model(section("every 9 runs", purchases="mbg_nbd"), of("1998-01-21"), standing(0), seed=1)
    assert other.refitted and "options" in other.reason and other.model.purchases == "mbg_nbd"
    assert fitted_model(section("every 9 runs"), of("1998-01-21"), standing(0), seed=2).refitted


def test_drift_is_measured_and_fits_beyond_its_threshold():
    stays = fitted_model(section("drift", drift_z=3.0), of("1998-01-21"), standing(0), seed=1)
    assert not stays.refitted and stays.drift["z"].abs().max() < 3.0
    table = first().parameters.assign(estimate=first().parameters["estimate"] * 2.0)
    moved = dataclasses.replace(first(), parameters=table)
    fits = fitted_model(section("drift", drift_z=3.0), of("1998-01-21"), standing(0, model=moved), seed=1)
    assert fits.refitted and "standard errors" in fits.reason


def test_a_warm_start_ends_where_a_cold_one_does_in_fewer_steps():
    then, now = (history(clv.load_cdnow("1/10"), day) for day in ("1998-06-23", "1998-06-30"))
    start = clv.fit(then, compare=False, draws=100)
    for method in ("mle", "laplace"):
        cold = clv.fit(now, method=method, compare=False, draws=100)
        warm = clv.fit(now, method=method, compare=False, draws=100, start=start)
        assert np.allclose(warm.parameters["estimate"], cold.parameters["estimate"], rtol=1e-9)
        assert warm.report.purchases.evaluations < cold.report.purchases.evaluations
    other = [clv.fit(now, "mbg_nbd", compare=False, draws=100, start=one) for one in (None, start)]
    assert other[0].parameters["estimate"].equals(other[1].parameters["estimate"])


def test_a_warm_start_on_a_boundary_starts_anew():
    """These accounts do not tell when customers leave: such an optimum is no place to start from."""
    assert first().report.status.value != "converged"
    pair = [clv.fit(of("1998-01-21"), compare=False, draws=100, start=one) for one in (None, first())]
    assert pair[0].draws.to_frame().iloc[:, :4].equals(pair[1].draws.to_frame().iloc[:, :4])
