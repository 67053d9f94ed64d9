import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime

from clv_forecast.inference.draws import ASYMPTOTIC, LAPLACE, POINT
from clv_forecast.inference.laplace import asymptotic_draws
from clv_forecast.inference.parameter_table import COLUMNS, NOT_IDENTIFIED, parameter_table
from clv_forecast.inference.problem import purchase_problem, spend_problem
from clv_forecast.inference.sufficient import compress, compress_spend
from tests.inference.simulated import simulate_spend

COVARIANCE = np.array(
    [[0.004, 0.002, 0.001, 0.0], [0.002, 0.006, 0.002, -0.001], [0.001, 0.002, 0.02, 0.003], [0.0, -0.001, 0.003, 0.05]]
)
THETA = np.array([0.3, -0.5, -1.2, 1.1])


@pytest.fixture(scope="module")
def problem():
    return purchase_problem("bg_nbd", compress([2, 0, 1], [30.0, 0.0, 5.0], [38.0, 38.0, 20.0]))


def tabulated(problem, theta=THETA, covariance=COVARIANCE, *, kind=ASYMPTOTIC, bayesian=False):
    usable = np.where(np.isnan(covariance), 0.0, covariance) + 1e-12 * np.eye(theta.size)
    draws = asymptotic_draws(theta, usable, 40_000, generator=np.random.default_rng(1))
    table = parameter_table(problem, theta, covariance, draws=draws, kind=kind, bayesian=bayesian)
    return table.set_index("parameter"), draws


def test_delta_method_agrees_with_finite_differences_on_both_sides(problem):
    table, _ = tabulated(problem)
    for name in problem.parameters:
        slope = approx_fprime(THETA, lambda t, name=name: float(getattr(problem.constrain(t), name)), 1e-7)
        expected = np.sqrt(slope @ COVARIANCE @ slope)
        assert table.loc[name, "standard_error"] == pytest.approx(expected, rel=1e-5)
        assert table.loc[name, "estimate"] == pytest.approx(float(getattr(problem.constrain(THETA), name)), rel=1e-14)


def test_delta_method_agrees_with_draws_for_a_tight_fit(problem):
    table, draws = tabulated(problem, covariance=COVARIANCE / 100.0)
    params = problem.constrain(draws)
    for name in problem.parameters:
        assert table.loc[name, "standard_error"] == pytest.approx(np.std(getattr(params, name)), rel=0.02)
    ratio = params.r / params.alpha
    assert table.loc["mean_purchase_rate", "standard_error"] == pytest.approx(np.std(ratio), rel=0.02)
    share = params.a / (params.a + params.b)
    assert table.loc["mean_dropout_probability", "standard_error"] == pytest.approx(np.std(share), rel=0.02)


def test_derived_rows_are_functions_of_the_parameters(problem):
    table = tabulated(problem)[0]["estimate"]
    assert table["mean_purchase_rate"] == pytest.approx(table["r"] / table["alpha"], rel=1e-12)
    assert table["mean_dropout_probability"] == pytest.approx(table["a"] / (table["a"] + table["b"]), rel=1e-12)


def test_asymptotic_intervals_are_the_quantiles_of_the_draws_where_the_link_is_exact(problem):
    table, draws = tabulated(problem)
    params = problem.constrain(draws)
    for name, drawn in (("r", params.r), ("alpha", params.alpha), ("mean_purchase_rate", params.r / params.alpha)):
        np.testing.assert_allclose(
            table.loc[name, ["lower", "upper"]].astype(float), np.quantile(drawn, [0.025, 0.975]), rtol=0.01
        )
    assert (table["lower"] < table["estimate"]).all()
    assert (table["estimate"] < table["upper"]).all()
    assert (table.loc["mean_dropout_probability", ["lower", "upper"]].astype(float).between(0, 1)).all()


def test_q_stays_above_one():
    n, total, sum_log = simulate_spend(np.random.default_rng(2), np.full(50, 2), p=2.0, q=1.5, v=5.0)
    problem = spend_problem(compress_spend(n, total, sum_log), orders=True)
    theta = np.array([0.0, 0.7, -3.0])
    table, _ = tabulated(problem, theta, np.diag([0.1, 0.1, 2.0]))
    assert 1.0 < table.loc["q", "lower"] < table.loc["q", "estimate"]
    assert table.loc["mean_spend", "estimate"] == pytest.approx(problem.scale, rel=1e-12)


def test_what_leans_on_an_unidentified_coordinate_has_no_error_and_the_rest_has(problem):
    covariance = COVARIANCE.copy()
    covariance[3], covariance[:, 3] = np.nan, np.nan
    table, _ = tabulated(problem, covariance=covariance, kind=LAPLACE)
    missing = table.index[table["standard_error"].isna()].tolist()
    assert missing == ["a", "b"]
    assert table.index[table["estimate"].isna()].tolist() == missing
    assert table.index[table["note"] == NOT_IDENTIFIED].tolist() == missing
    assert (table["note"].drop(missing) == "").all()
    assert np.isfinite(table[["lower", "upper"]]).all().all()
    assert (table["interval"] == LAPLACE).all()


def test_posterior_standard_deviation_when_a_posterior_was_asked_for(problem):
    table, draws = tabulated(problem, kind=LAPLACE, bayesian=True)
    assert table.loc["a", "standard_error"] == pytest.approx(np.std(problem.constrain(draws).a, ddof=1), rel=1e-12)


def test_one_point_keeps_its_estimates(problem):
    table, _ = tabulated(problem, covariance=np.full((4, 4), np.nan), kind=POINT)
    assert table["estimate"].notna().all()
    assert (table["note"] == "").all()


def test_columns(problem):
    table, _ = tabulated(problem)
    assert [table.index.name, *table.columns] == list(COLUMNS)
    assert isinstance(table, pd.DataFrame)
