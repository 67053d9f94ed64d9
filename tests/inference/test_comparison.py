import numpy as np
import pandas as pd
import pytest

from clv_forecast.inference import fit
from clv_forecast.inference.fit import compare_siblings
from clv_forecast.inference.maximum_likelihood import box, maximise
from clv_forecast.inference.problem import purchase_problem
from clv_forecast.inference.sufficient import compress
from tests.inference.simulated import simulate_purchases


@pytest.fixture(scope="module")
def rows():
    return compress(*simulate_purchases(np.random.default_rng(21), 700, r=0.6, alpha=5.0, a=0.8, b=2.5, length=70.0))


def best(model, rows):
    problem = purchase_problem(model, rows)
    lower, upper = box(problem.coordinates)
    return maximise(problem.value_gradient, problem.starts, lower=lower, upper=upper).value + problem.offset


def test_alternatives_are_the_siblings_fitted_to_the_same_rows(rows):
    own = best("mbg_nbd", rows)
    table = compare_siblings("mbg_nbd", rows, own, seed=1).table.set_index("model")
    assert sorted(table.index) == ["bg_nbd", "mbg_nbd", "pareto_nbd"]
    assert table.loc["mbg_nbd", "difference"] == 0.0
    assert table.loc["bg_nbd", "log_likelihood"] == pytest.approx(best("bg_nbd", rows), rel=1e-12)
    assert table.loc["bg_nbd", "difference"] == pytest.approx(best("bg_nbd", rows) - own, abs=1e-6)
    assert (table["aic"] == 8.0 - 2.0 * table["log_likelihood"]).all()
    assert table["log_likelihood"].is_monotonic_decreasing


def test_the_true_model_wins_and_the_sentence_says_by_how_much(rows):
    found = compare_siblings("mbg_nbd", rows, best("mbg_nbd", rows), seed=1)
    lead = found.table["difference"].iloc[0]
    assert found.table["model"].iloc[0] == "bg_nbd"
    assert found.notes == (
        f"BG/NBD fits better than MBG/NBD by {lead:.1f} log-likelihood units on the same customers.",
    )
    winner = compare_siblings("bg_nbd", rows, best("bg_nbd", rows), seed=1)
    assert winner.notes[0].startswith("BG/NBD fits best of its siblings, by ")


def test_many_rows_are_sampled_and_the_note_says_so(rows, monkeypatch):
    monkeypatch.setattr(fit, "ROWS_AT_MOST", 300)
    found = compare_siblings("bg_nbd", rows, -1.0, seed=1)
    assert found.notes[-1] == "The comparison rests on a random sample of 300 customers, for speed."
    assert found.table.set_index("model").loc["bg_nbd", "log_likelihood"] < -300
    again = compare_siblings("bg_nbd", rows, -1.0, seed=1)
    assert (again.table["log_likelihood"] == found.table["log_likelihood"]).all()


def test_a_pilot_on_some_customers_leads_to_the_same_optimum(rows, monkeypatch):
    full = compare_siblings("bg_nbd", rows, -1.0, seed=1).table.set_index("model")["log_likelihood"]
    monkeypatch.setattr(fit, "_PILOT", 200)
    pilot = compare_siblings("bg_nbd", rows, -1.0, seed=1).table.set_index("model")["log_likelihood"]
    assert pilot[["mbg_nbd", "pareto_nbd"]].to_dict() == pytest.approx(
        full[["mbg_nbd", "pareto_nbd"]].to_dict(), abs=1e-6
    )


def told(differences):
    table = pd.DataFrame({"model": list(differences), "difference": list(differences.values())})
    return fit._sentence("mbg_nbd", table)


def test_the_sentence_never_says_by_nothing():
    assert told({"mbg_nbd": 0.0, "bg_nbd": 0.0, "pareto_nbd": -3.0}) == (
        "MBG/NBD ties with BG/NBD: the same log-likelihood on these customers."
    )
    assert told({"mbg_nbd": 0.0, "bg_nbd": -0.003}).endswith("of its siblings, by 0.003 log-likelihood units.")
    assert told({"bg_nbd": 0.004, "mbg_nbd": 0.0}).endswith("data about as well (+0.004 log-likelihood units).")


def test_rounding_is_no_difference(rows):
    found = compare_siblings("mbg_nbd", rows, best("bg_nbd", rows) + 3e-7, seed=1)
    table = found.table
    assert table["model"].tolist()[:2] == ["mbg_nbd", "bg_nbd"]
    assert table["difference"].tolist()[:2] == [0.0, 0.0]
    assert table["difference"].iloc[2] < -1e-6
    lower = compare_siblings("mbg_nbd", rows, best("bg_nbd", rows) - 3e-7, seed=1)
    assert lower.table["model"].tolist() == table["model"].tolist()
