"""The study of partial pooling of the benchmarks: its simulations and scores, and the sign of what it finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import partial_pooling as study
from clv_forecast.models import bg_nbd

REPETITIONS = 8
SMALL = 50  # customers, at most: the three smallest groups together


@pytest.fixture(scope="module")
def data():
    return study.simulate(3)


def test_every_size_falls_to_every_rate_once():
    sizes = np.array([study.simulate(repetition).sizes for repetition in range(8)])
    for of_one_rate in sizes.T:
        assert sorted(of_one_rate) == list(study.SIZES)
    assert np.std(study.LOG_RATE) == pytest.approx(0.5)
    assert np.std(study.LOGIT_DROPOUT) == pytest.approx(0.5)


def test_calibration_and_holdout_are_one_path(data):
    table = data.history.table
    assert np.bincount(data.group).tolist() == list(data.sizes)
    x, t_x, T = (table[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    assert data.after.shape == data.last.shape == (study.FUTURES, len(T))
    silent = data.after == 0
    assert (data.last[silent] == np.broadcast_to(t_x, silent.shape)[silent]).all()
    assert (data.last[~silent] > np.broadcast_to(T, silent.shape)[~silent]).all()
    assert (data.last <= T + study.HOLDOUT).all()
    expected = bg_nbd.expected_purchases(study.true_params(data.group), x, t_x, T, horizon=study.HOLDOUT).sum()
    assert data.after.mean(axis=0).sum() == pytest.approx(expected, rel=0.1)


def test_scores_are_the_densities_of_the_formula(data):
    params = tuple(
        bg_nbd.Params(*(np.array([[value], [1.3 * value]]) for value in (1.0, 8.0, 0.6, 1.8))) for _ in data.sizes
    )
    found = study.scores(data, params)
    x, t_x, T = (data.history.table[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    future = 4
    both = bg_nbd.log_likelihood(params[0], x + data.after[future], data.last[future], T + study.HOLDOUT)
    ratio = np.exp(both - bg_nbd.log_likelihood(params[0], x, t_x, T))
    np.testing.assert_allclose(found[future], np.log(ratio.mean(axis=0)), rtol=1e-9)


def test_true_parameters_score_best_on_average(data):
    groups = range(len(data.sizes))
    truth = study.scores(data, tuple(study.true_params(np.array([index])) for index in groups))
    alike = study.scores(data, (study.true_params(np.array([4])),) * len(data.sizes))
    assert truth.mean(axis=0).sum() > alike.mean(axis=0).sum() + 10.0


def test_gains_are_paired_by_repetition():
    rows = [
        {"repetition": repetition, "size": size, "method": method, "score": score + 100.0 * repetition}
        for repetition, size, method, score in [
            (0, 25, "groups", 3.0), (0, 25, "other", 1.0), (0, 40, "groups", 5.0), (0, 40, "other", 6.0),
            (1, 25, "groups", 4.0), (1, 25, "other", 0.0), (1, 40, "groups", 5.0), (1, 40, "other", 4.0),
        ]
    ]  # fmt: skip
    found = study.gains(pd.DataFrame(rows), "other")
    assert found["mean"].to_dict() == {"all": 3.0, 25: 3.0, 40: 0.0}
    assert found["error"].to_dict() == pytest.approx({"all": 2.0, 25: 1.0, 40: 1.0})
    assert found["wins"].to_dict() == {"all": 1.0, 25: 1.0, 40: 0.5}


@pytest.mark.slow
def test_groups_beat_no_pooling_and_full_pooling(monkeypatch):
    # Half the benchmark's: as many as are used, from chains of the same length of tuning
    monkeypatch.setattr(study, "SAMPLER", replace(study.SAMPLER, draws=study.DRAWS // study.SAMPLER.chains))
    table = pd.concat([study.repeat(repetition) for repetition in range(REPETITIONS)], ignore_index=True)
    for over in ("each alone", "all alike"):
        everyone = study.gains(table, over)
        small = study.gains(table[table["size"] <= SMALL], over).loc["all"]
        assert everyone.loc["all", "mean"] > 3.0 * everyone.loc["all", "error"]
        assert small["mean"] > 2.0 * small["error"]
        assert everyone.loc[25, "mean"] > 0.0  # with 30 repetitions, as in the benchmark, beyond its error as well
    by_method = table.groupby("method")["covered"].sum()
    assert by_method["groups"] >= 50  # of 64 intervals at 90 %
    assert by_method["all alike"] < 32  # one rate for all is refuted
