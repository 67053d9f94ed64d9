"""Two stored runs side by side: what is read from folders says what the forecasts said."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.runs.comparison.compare_runs import compare_runs, compare_snapshots
from clv_forecast.runs.comparison.value_bridge import MARGIN, NEW_CUSTOMERS
from tests.runs.comparison.snapshots import HORIZON, NOW, THEN, after, before, snapshot
from tests.runs.comparison.stored import NEWCOMER, accounts, log_with_newcomer, write_run

RATES = {"region": {0: 0.30, 1: 0.25}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two ranked runs, margins by region, a region dearer in the second."""
    folder = tmp_path_factory.mktemp("runs")
    shock, correction = clv.CommonShock(level=0.1, noise=0.05), clv.Correction(factor=1.1, reason="a look back")
    terms = {"ranking": True, "shock": shock, "correction": correction}
    first = write_run(folder / "then", THEN, margin=RATES, **terms)
    return first, write_run(folder / "now", NOW, margin={"region": {0: 0.30, 1: 0.35}}, **terms)


@pytest.fixture(scope="module")
def found(runs):
    return compare_runs(runs[0].folder, str(runs[1].folder))


def test_folders_say_what_the_forecasts_said(runs, found):
    terms = {
        "shock": clv.CommonShock(level=0.1, noise=0.05),
        "correction": clv.Correction(factor=1.1, reason="a look back"),
        "made_of": {"customers": accounts()},
    }
    first = snapshot(log_with_newcomer(), THEN, margin=RATES, **terms)
    second = snapshot(log_with_newcomer(), NOW, margin={"region": {0: 0.30, 1: 0.35}}, **terms)
    at_hand = compare_snapshots(first, second)
    steps = ["step", "accounts", "value"]
    pd.testing.assert_frame_equal(found.bridge.steps[steps], at_hand.bridge.steps[steps])
    numbers = found.since.select_dtypes("number").columns
    assert np.allclose(found.since[numbers], at_hand.since[numbers], equal_nan=True)
    pd.testing.assert_frame_equal(found.inputs, at_hand.inputs)
    assert at_hand.migration is None


def test_it_adds_up_and_each_cause_is_there(found):
    cents = (found.bridge.steps["value"] * 100.0).round().astype(int)
    assert cents.iloc[:-1].sum() == cents.iloc[-1]
    assert found.bridge.moved(MARGIN) > 0.0 and found.bridge.moved(NEW_CUSTOMERS) > 0.0
    new = found.bridge.accounts.set_index("customer_id").loc[NEWCOMER]
    assert new["value_then"] == 0.0 and new["value_now"] > 0.0


def test_sentences_and_plain_values(found):
    told = found.sentences()
    assert told[0].startswith(f"Purchases since {THEN}: ") and told[1].startswith("Revenue since")
    assert "standard errors" in told[2] and "account" in told[3] and len(told) == 4
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["sentences"] == list(told) and len(plain["steps"]) == 14
    assert all(sentence in str(found) for sentence in told) and repr(found).startswith("<Comparison: <ValueBridge")
    assert ">new customers</td>" in found._repr_html_()


def test_over_another_horizon(runs):
    shorter = compare_runs(*runs, horizon="6 months")
    assert set(shorter.bridge.steps["horizon"]) == {"6 months"}
    with pytest.raises(clv.DomainError, match="Run then has the horizons 6 months"):
        compare_runs(*runs, horizon="9 months")


def test_runs_of_one_day_have_nothing_that_came_since(runs):
    same = compare_runs(runs[0], runs[0])
    assert len(same.since) == 0 and (same.parameters["z"].dropna() == 0.0).all()
    assert not any("came" in sentence for sentence in same.sentences())


def test_the_earlier_run_comes_first(runs):
    with pytest.raises(clv.DomainError, match="earlier run comes first"):
        compare_runs(runs[1], runs[0])


def test_without_rankings_nobody_migrates_and_without_a_model_nothing_is_compared(runs, tmp_path):
    bare = write_run(tmp_path / "bare", NOW, horizons=(HORIZON,), with_model=False)
    with pytest.raises(clv.StoreError, match="holds no model"):
        compare_runs(runs[0], bare)
    other = write_run(tmp_path / "other", NOW, horizons=(HORIZON,))
    assert compare_runs(runs[0], other).migration is None


def test_models_of_other_kinds_tell_of_no_drift():
    base = before().history
    other = clv.fit(base, "mbg_nbd", compare=False, draws=200)
    made = compare_snapshots(before(), snapshot(log_with_newcomer(), NOW, fitted=other))
    assert len(made.parameters) == 0 and not any("standard errors" in sentence for sentence in made.sentences())


def test_notes_reach_reader_and_json():
    made = compare_snapshots(before(), after())
    noted = replace(made, bridge=replace(made.bridge, notes=("A <note>.",)))
    assert "Note: A <note>." in str(noted) and noted.to_dict()["notes"] == ["A <note>."]
    assert "<li>A &lt;note&gt;.</li>" in noted._repr_html_()
