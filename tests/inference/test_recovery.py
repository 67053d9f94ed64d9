"""Do the intervals cover the truth as often as they say? Simulation studies, with negative controls."""

import numpy as np
import pytest
from scipy import stats

from clv_forecast.inference.draws import ASYMPTOTIC
from clv_forecast.inference.maximum_likelihood import box, maximise
from clv_forecast.inference.parameter_table import parameter_table
from clv_forecast.inference.problem import purchase_problem, spend_problem
from clv_forecast.inference.report import FitStatus, diagnose
from clv_forecast.inference.sufficient import compress, compress_spend
from tests.inference.simulated import simulate_purchases, simulate_spend

PURCHASES = {"r": 0.6, "alpha": 5.0, "a": 0.8, "b": 2.5}
SPEND = {"p": 4.0, "q": 4.0, "v": 15.0}
DERIVED = {"mean_purchase_rate": 0.12, "mean_dropout_probability": 0.8 / 3.3, "mean_spend": 20.0}
TRUTH = PURCHASES | SPEND | DERIVED


def table(problem):
    lower, upper = box(problem.coordinates)
    # One start, for speed: test_fit has them all.
    optimum = maximise(problem.value_gradient, problem.starts[:1], lower=lower, upper=upper)
    optimum, diagnosis = diagnose(problem, optimum)
    assert diagnosis.status is FitStatus.CONVERGED, diagnosis.message
    draws = np.tile(optimum.theta, (2, 1))
    return parameter_table(problem, optimum.theta, diagnosis.covariance, draws=draws, kind=ASYMPTOTIC)


def study(repetitions, customers, *, seed):
    """Estimate, standard error and interval of every quantity: arrays (repetition, quantity)."""
    results = []
    for repetition in range(repetitions):
        rng = np.random.default_rng([seed, repetition])
        frequency, recency, T = simulate_purchases(rng, customers, **PURCHASES, length=70.0)
        n, total, sum_log = simulate_spend(rng, frequency, **SPEND)
        parts = [
            table(purchase_problem("bg_nbd", compress(frequency, recency, T))).set_index("parameter"),
            table(spend_problem(compress_spend(n, total, sum_log), orders=True)).set_index("parameter"),
        ]
        results.append([part.loc[name] for part in parts for name in TRUTH if name in part.index])
    names = [row.name for row in results[0]]
    return names, *(
        np.array([[float(row[column]) for row in rows] for rows in results])
        for column in ("estimate", "standard_error", "lower", "upper")
    )


def coverage(lower, upper, truth):
    return np.mean((lower <= truth) & (truth <= upper), axis=0)


def check(names, estimate, error, lower, upper):
    """Coverage within what chance allows, of the intervals; and not of intervals from halved standard errors."""
    truth = np.array([TRUTH[name] for name in names])
    count = len(estimate)
    allowed = stats.binom.ppf([1e-4, 1 - 1e-4], count, 0.95) / count
    covered = coverage(lower, upper, truth)
    assert ((covered >= allowed[0]) & (covered <= allowed[1])).all(), dict(zip(names, covered, strict=True))

    centre, reach = np.log(estimate), (np.log(upper) - np.log(lower)) / 4.0  # half of half the width
    halved = coverage(np.exp(centre - reach), np.exp(centre + reach), truth)
    assert np.mean(halved) < allowed[0], dict(zip(names, halved, strict=True))

    ratio = np.mean(error, axis=0) / np.std(estimate, axis=0, ddof=1)
    assert (np.abs(ratio - 1.0) < 4.0 / np.sqrt(2.0 * count) + 0.05).all(), dict(zip(names, ratio, strict=True))


def test_intervals_cover_in_a_small_study():
    check(*study(40, 1000, seed=41))


@pytest.mark.slow
def test_intervals_cover_in_a_large_study_and_the_estimates_are_unbiased():
    names, estimate, error, lower, upper = study(70, 20_000, seed=42)
    check(names, estimate, error, lower, upper)
    truth = np.array([TRUTH[name] for name in names])
    bias = (np.mean(estimate, axis=0) - truth) / (np.std(estimate, axis=0, ddof=1) / np.sqrt(len(estimate)))
    assert (np.abs(bias) < 5.0).all(), dict(zip(names, bias, strict=True))


@pytest.mark.slow
def test_the_study_sees_a_wrong_model():
    """MBG/NBD fitted to BG/NBD data: its intervals miss the mean purchase rate nearly always."""
    missed = 0
    for repetition in range(20):
        rng = np.random.default_rng([43, repetition])
        rows = compress(*simulate_purchases(rng, 20_000, **PURCHASES, length=70.0))
        rate = table(purchase_problem("mbg_nbd", rows)).set_index("parameter").loc["mean_purchase_rate"]
        missed += not rate["lower"] <= DERIVED["mean_purchase_rate"] <= rate["upper"]
    assert missed >= 15


@pytest.mark.slow
def test_standard_errors_agree_with_the_bootstrap():
    rng = np.random.default_rng(44)
    customers = simulate_purchases(rng, 3000, **PURCHASES, length=70.0)
    own = table(purchase_problem("bg_nbd", compress(*customers))).set_index("parameter")
    logs = []
    for _ in range(200):
        kept = rng.integers(3000, size=3000)
        refit = table(purchase_problem("bg_nbd", compress(*(column[kept] for column in customers))))
        logs.append(np.log(refit.set_index("parameter")["estimate"]))
    spread = np.std(np.array(logs), axis=0, ddof=1)
    np.testing.assert_allclose(spread, own["standard_error"] / own["estimate"], rtol=0.25)
