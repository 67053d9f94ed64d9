"""Bands on simulated logs: honest at single customers, and at totals once the common shock is learnt."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import clv_forecast as clv
from benchmarks.common_shock import FEWEST_WINDOWS, Truth, covered_totals, last_day, simulate_log, task_of
from clv_forecast.evaluation import scores
from clv_forecast.evaluation.backtest import backtest
from clv_forecast.evaluation.one_origin import evaluate_origin
from clv_forecast.evaluation.windows import Lengths
from clv_forecast.inference.recipe import Recipe
from clv_forecast.models import bg_nbd

CALM = Truth(level=0.0, noise=0.0)
LENGTHS = Lengths.parse("13 weeks")


@pytest.fixture(scope="module")
def calm():
    """One origin of a log without a shock."""
    log = simulate_log(CALM, customers=4000, windows=1, rng=np.random.default_rng(11))
    task = task_of(log, last_day(1) - pd.Timedelta(days=91), LENGTHS, draws=300, seed=1)
    return task, evaluate_origin(task)


def test_the_simulator_has_the_models_mean():
    """Expected purchases of new customers, by the closed form; and a shock of mean one keeps them."""
    truth = Truth(level=0.0, noise=0.0)
    log = simulate_log(truth, customers=20_000, windows=2, rng=np.random.default_rng(1))
    day = (log["date"] - log["date"].min()).dt.days
    first = day.groupby(log["customer_id"]).transform("min")
    early = log[day - first <= 180].groupby("customer_id").size() - 1
    params = bg_nbd.Params(truth.r, truth.alpha, truth.a, truth.b)
    assert early.mean() == pytest.approx(float(bg_nbd.expected_purchases_new(params, horizon=180.0)), rel=0.03)
    shocked = [
        len(simulate_log(Truth(), customers=3000, windows=2, rng=np.random.default_rng([2, k]))) for k in range(30)
    ]
    assert np.mean(shocked) == pytest.approx(len(log) * 3000 / 20_000, rel=0.06)
    assert np.std(shocked) > 5 * np.sqrt(np.mean(shocked))


def test_customers_bands_are_honest(calm):
    measured = calm[1].measured["purchases"]
    pit = measured.pit[:, 0]
    assert stats.kstest(pit, "uniform").pvalue > 0.01
    for level in scores.LEVELS:
        assert scores.covered(pit, level).mean() == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 4000))
    totals = calm[1].totals["purchases"]
    low, high = np.quantile(totals.draws[0, -1], [0.005, 0.995])
    assert low < totals.actual[0, -1] < high


def test_bands_of_the_parameters_alone_are_not(calm):
    """The negative control: what is known of the parameters says little about single customers."""
    task, result = calm
    model = clv.fit(task.calibration, spend=None, draws=300, compare=False)
    table = task.calibration.table
    means = bg_nbd.expected_purchases(
        model.draws.purchases, table["frequency"], table["recency"], table["T"], horizon=13.0
    )
    actual = result.measured["purchases"].actual[:, 0]
    pit = scores.randomised_pit(actual, np.sort(means.T, axis=1), np.full(len(actual), 0.5))
    assert scores.covered(pit, 0.9).mean() < 0.2
    assert scores.ks_distance(pit) > 0.3


def test_a_world_that_changed_is_noticed():
    """Everybody buys three times as often after the origin: bands of customers and totals both fail."""
    log = simulate_log(CALM, customers=1200, windows=1, rng=np.random.default_rng(12))
    origin = last_day(1) - pd.Timedelta(days=91)
    after = log[log["date"] > origin]
    more = [after.assign(date=after["date"] + pd.Timedelta(days=k)) for k in (1, 2)]
    more = [extra[extra["date"] <= last_day(1)] for extra in more]
    found = backtest(
        pd.concat([log, *more]), as_of=last_day(1), origins=[origin], horizon="13 weeks",
        recipe=Recipe(spend=None, draws=200), draws=200, workers=1,
    )  # fmt: skip
    assert found.verdict.of("13 weeks") == "too narrow"
    assert found.evidence.of(0.2) == "failed"
    assert found.scores["total_covered"].iloc[0] == 0.0 and found.scores["bias"].iloc[0] < -0.5
    assert any("take the" in sentence for sentence in found.verdict)


def test_the_benchmark_does_what_the_verb_does():
    log = simulate_log(Truth(), customers=300, windows=2, rng=np.random.default_rng(13))
    quick = covered_totals(log, 2, draws=100, seed=3)
    origins = [last_day(2) - pd.Timedelta(days=91 * k) for k in (2, 1)]
    found = backtest(
        log, as_of=last_day(2), origins=origins, horizon="13 weeks",
        recipe=Recipe(spend=None, draws=100), draws=100, rng=3, workers=1,
    )  # fmt: skip
    table = found.scores[found.scores["origin"] != "all"]
    for name in ("total_lower", "total_upper", "shocked_lower", "shocked_upper", "shocked_covered"):
        np.testing.assert_allclose(quick[name], table[name])
    assert quick["level"].iloc[-1] == pytest.approx(found.shock.level)


@pytest.mark.slow
def test_totals_cover_with_the_shock_and_not_without():
    """24 logs with a known shock: 90 % bands hold at their rate once it is learnt from two windows or more."""
    rows = []
    for repetition in range(24):
        log = simulate_log(Truth(), customers=1000, windows=5, rng=np.random.default_rng([7, repetition]))
        rows.append(covered_totals(log, 5, draws=100, seed=repetition).assign(repetition=repetition))
    table = pd.concat(rows)
    known = table[table["shock_windows"] >= FEWEST_WINDOWS]
    by_log = known.groupby("repetition")["shocked_covered"].mean()
    error = by_log.std() / np.sqrt(len(by_log))
    assert by_log.mean() == pytest.approx(0.9, abs=max(2.5 * error, 0.05))
    assert known["total_covered"].mean() < 0.5  # without a shock: the negative control
    last = table.drop_duplicates("repetition", keep="last")
    assert last["noise"].mean() == pytest.approx(Truth().noise, abs=0.05)
    assert Truth().level - 0.05 < last["level"].mean() < Truth().level + 0.15  # the fits' errors count as level


@pytest.mark.slow
def test_totals_of_calm_logs_need_no_shock():
    """Without a shock the plain bands hold, and the shock that is learnt is small."""
    rows = []
    for repetition in range(12):
        log = simulate_log(CALM, customers=1000, windows=5, rng=np.random.default_rng([8, repetition]))
        rows.append(covered_totals(log, 5, draws=100, seed=repetition))
    table = pd.concat(rows)
    assert 0.8 < table["total_covered"].mean() <= 0.98
    assert table["level"].mean() < 0.12 and table["noise"].mean() < 0.12
