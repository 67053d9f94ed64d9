"""The scheduled run: what it publishes, holds, repeats, compares, and how it takes what goes wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.runs.reforecasting import reforecast as verb
from clv_forecast.runs.reforecasting.reforecast import publish_run, reforecast, run_table
from clv_forecast.runs.store.store import open_store
from tests.runs.reforecasting.made_runs import DAYS, orders, run_days, write_configuration, write_orders


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three weekly runs."""
    return run_days(tmp_path_factory.mktemp("weekly"), ranking="draws = 100", bases='["ceiling"]')


@pytest.fixture
def store_of(made, tmp_path):
    """A copy of their folder that a test may change; its configuration."""
    folder = tmp_path / "copy"
    shutil.copytree(made[0].folder.parents[2], folder, symlinks=True)
    return folder / "clv.toml"


def latest(configuration: Path) -> str:
    return open_store(configuration.parent / "runs").find("latest").run_id


def test_each_run_is_published_and_readable(made):
    store = open_store(made[0].folder.parents[1])
    assert [one.published for one in made] == [True] * 3 and store.find("latest").run_id == made[-1].run_id
    for one in made:
        run = one.run
        assert {"forecast", "totals", "ranking", "allowable_spend", "reconciliation", "source_days"} <= set(run.tables)
        for name in run.tables:
            assert len(run.table(name)) >= 0
        assert {"report.html", "finance.xlsx", "crm.csv", "reconciliation.json"} <= set(run.manifest["files"])
        record = json.loads((one.folder / "run.json").read_text())
        assert record["gates"] and record["value"]["value"] > 0 and record["status"] == "published"
    table = run_table(store)
    assert table["as_of"].dt.strftime("%Y-%m-%d").tolist() == list(DAYS)
    assert table["current"].tolist() == [False, False, True] and (table["held_by"] == "").all()


def test_the_bridge_of_each_run_adds_up_and_is_that_of_compare_runs(made):
    for earlier, later in pairwise(made):
        steps = later.run.table("changes")
        cents = (steps["value"] * 100).round().astype(int)
        assert cents.iloc[:-1].sum() == cents.iloc[-1]
        again = clv.compare_runs(earlier.folder, later.folder)
        names = ["step", "accounts", "value"]
        pd.testing.assert_frame_equal(again.bridge.steps[names], steps[names], check_dtype=False)
        since = later.run.table("came_since")
        assert set(since["run"]) == {earlier.run_id} and (since["days"] == 7).all()
        assert "What changed" in (later.folder / "report.html").read_text(encoding="utf-8")
    assert "changes" not in made[0].run.tables


def test_the_same_again_makes_nothing_new(store_of):
    before = run_table(open_store(store_of.parent / "runs"))
    again = reforecast(store_of, as_of=DAYS[-1])
    assert again.repeated and again.published
    pd.testing.assert_frame_equal(run_table(open_store(store_of.parent / "runs")), before)


def test_same_inputs_same_bytes(made, tmp_path):
    """Another folder, another time of day: every table and the manifest are the same to the byte."""
    other = run_days(tmp_path, DAYS[:2], ranking="draws = 100", bases='["ceiling"]')
    for first, second in zip(made[:2], other, strict=True):
        assert first.run_id == second.run_id
        files = [*first.folder.glob("*.parquet"), *first.folder.glob("orders/*"), first.folder / "manifest.json"]
        assert len(files) > 20
        for path in files:
            assert path.read_bytes() == (second.folder / path.relative_to(first.folder)).read_bytes(), path.name


@pytest.mark.slow
def test_eight_runs_over_the_same_source_give_the_same_bytes(tmp_path):
    """Money is summed as decimals, and every random number belongs to a customer: order and threads do not matter."""
    write_orders(tmp_path, clv.load_cdnow("1/10"))
    configuration = write_configuration(tmp_path, ranking="draws = 100", bases='["ceiling"]')
    marks = set()
    for _ in range(8):
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        folder = reforecast(configuration, as_of=DAYS[0]).folder
        files = sorted(path for path in folder.rglob("*.parquet") if path.is_file())
        assert len(files) > 30
        marks.add(tuple((path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files))
    assert len(marks) == 1


def test_months_of_orders_that_did_not_change_are_stored_once(made):
    first, second = (one.folder / "orders" / "1997-03.parquet" for one in made[:2])
    assert first.samefile(second) and not (made[0].folder / "orders" / "1997-12.parquet").samefile(
        made[1].folder / "orders" / "1997-12.parquet"
    )


def test_a_half_loaded_source_is_held_and_can_be_accepted(store_of):
    half = orders()[orders().index % 2 == 0]
    write_orders(store_of.parent, half)
    before = latest(store_of)
    held = reforecast(store_of, as_of="1997-12-28")
    assert held.held and not held.published and latest(store_of) == before
    stopped = {gate["name"] for gate in held.record["gates"] if not gate["passed"]}
    assert {"rows_ratio", "money_ratio"} <= stopped
    assert "--accept rows_ratio" in str(held) and held.folder.parent.name == "held"
    assert len(held.run.table("forecast")) > 0  # kept whole
    with pytest.raises(clv.DomainError, match="every gate that holds it is accepted"):
        publish_run(store_of, held.run_id, accept={"rows_ratio": "the archive moved"})
    with pytest.raises(clv.DomainError, match="with a reason"):
        publish_run(store_of, held.run_id, accept=dict.fromkeys(stopped, " "))
    publish_run(store_of, held.run_id, accept=dict.fromkeys(stopped, "the archive moved"))
    assert latest(store_of) == held.run_id
    record = json.loads((store_of.parent / "runs" / "latest" / "run.json").read_text())
    assert record["status"] == "published"
    assert {gate["accepted"] for gate in record["gates"] if not gate["passed"]} == {"the archive moved"}


def test_a_gate_is_accepted_in_the_run_itself(store_of):
    write_orders(store_of.parent, orders()[orders().index % 2 == 0])
    gates = ("rows_ratio", "money_ratio", "total_move", "recent_rows_ratio")
    done = reforecast(store_of, as_of="1997-12-28", accept=dict.fromkeys(gates, "the archive moved"))
    assert done.published and latest(store_of) == done.run_id
    with pytest.raises(clv.DomainError, match="Did you mean rows_ratio"):
        reforecast(store_of, as_of="1997-12-28", accept={"row_ratio": "why not"})


def test_roll_back_and_forward(made, store_of):
    publish_run(store_of, made[0].run_id)
    assert latest(store_of) == made[0].run_id
    publish_run(store_of, made[2].run_id)
    assert latest(store_of) == made[2].run_id


def test_a_run_of_an_earlier_day_does_not_become_current(store_of):
    done = reforecast(store_of, as_of="1997-12-10")
    assert not done.published and not done.held and latest(store_of).startswith(DAYS[-1])
    assert done.record["previous"].startswith(DAYS[0])


def test_a_clock_that_went_back_is_refused(store_of, monkeypatch):
    monkeypatch.setattr(verb, "today", lambda configuration: pd.Timestamp("1997-12-10"))
    with pytest.raises(clv.DomainError, match="clock is behind"):
        reforecast(store_of)
    assert latest(store_of).startswith(DAYS[-1])


@pytest.mark.parametrize("what", ["missing", "truncated", "other columns"])
def test_a_source_that_cannot_be_read_leaves_the_last_run_published(store_of, what):
    before, file = latest(store_of), store_of.parent / "orders.csv"
    text = file.read_bytes()
    if what == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if what == "truncated" else text.replace(b"amount", b"amnt", 1))
    with pytest.raises(clv.InputError):
        reforecast(store_of, as_of="1997-12-28")
    assert latest(store_of) == before and not list((store_of.parent / "runs" / "work").iterdir())
    file.write_bytes(text)
    assert reforecast(store_of, as_of="1997-12-28").published


def test_a_damaged_model_of_the_last_run_costs_no_run(store_of):
    file = store_of.parent / "runs" / "latest" / "model" / "draws.nc"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))
    write_configuration(store_of.parent, model='refit = "every 9 runs"')
    done = reforecast(store_of, as_of="1997-12-28")
    assert done.published and done.alerts["name"].tolist() == ["damaged_run"]
    assert done.record["previous"] == open_store(store_of.parent / "runs").entries()[1].run_id
    assert not done.record["model"]["refitted"]  # that of the run before it is whole


def test_models_stand_between_fits_and_certificates_between_tests(tmp_path):
    days = ("1997-12-07", "1997-12-14", "1997-12-21", "1997-12-28")
    options = {
        "model": 'refit = "every 3 runs"',
        "backtest": 'every = 2\nhorizon = "8 weeks"\ndraws = 100\norigins = 1',
    }
    made = run_days(tmp_path, days, **options)
    assert [one.record["model"]["refitted"] for one in made] == [True, False, False, True]
    assert [one.record["model"]["fitted_as_of"] for one in made] == [days[0], days[0], days[0], days[3]]
    assert [one.record["certificate"]["as_of"] for one in made] == [days[0], days[0], days[2], days[2]]
    moved = made[1].run.table("changes").set_index("step")["value"]
    assert moved["parameters"] == 0.0 and moved["passage of time, as expected"] < 0.0
    assert made[3].run.table("changes").set_index("step")["value"]["parameters"] != 0.0
    assert (made[1].folder / "certificate" / "certificate.json").exists()


def test_an_alert_is_told(store_of):
    write_configuration(store_of.parent, more="[alerts]\ntotal_move = 0.0001\nparameter_drift = 0.01")
    done = reforecast(store_of, as_of="1997-12-28")
    assert done.published and set(done.alerts["name"]) == {"total_move", "parameter_drift"}
    assert "ALERT total_move" in str(done)


def test_rows_without_a_customer_hold_the_run_and_one_of_them_changes_nothing(store_of):
    """Whole numbers beside a missing one are the same ids as before."""
    log = orders().astype({"customer_id": "Int64"})
    log.loc[0, "customer_id"] = pd.NA
    write_orders(store_of.parent, log)
    one = reforecast(store_of, as_of="1997-12-28")
    assert one.published and not len(one.alerts) and not one.record["notes"]
    steps = one.run.table("changes").set_index("step")
    assert steps.loc["merged, split or removed accounts", "accounts"] == 0
    assert steps.loc["restated history", "accounts"] == 1
    log.loc[log.index % 10 == 0, "customer_id"] = pd.NA
    write_orders(store_of.parent, log)
    many = reforecast(store_of, as_of="1998-01-04")
    assert many.held and {g["name"] for g in many.record["gates"] if not g["passed"]} >= {"left_out_share"}


def test_a_damaged_current_run_is_told_of(store_of, made):
    (store_of.parent / "runs" / "latest" / "forecast.parquet").unlink()
    done = reforecast(store_of, as_of="1997-12-28")
    assert done.published and set(done.alerts["name"]) == {"damaged_run"}
    assert done.record["previous"] == made[1].run_id


def test_a_part_that_the_data_do_not_allow_is_left_out_with_a_note(tmp_path):
    """By default the opening months count as already there, and nobody is new."""
    path = write_configuration(tmp_path)
    write_orders(tmp_path)
    text = path.read_text().replace('observed_from = "1997-01-01"', "").replace("[cohorts]\nenabled = false", "")
    path.write_text(text)
    done = reforecast(path, as_of=DAYS[0])
    assert done.published and "New customers could not be judged" in done.record["notes"][0]
    assert "cohorts" not in done.run.tables


def test_margins_that_are_not_known_yet_can_have_a_rate(tmp_path):
    write_orders(tmp_path)
    ids = orders()["customer_id"].unique()
    pd.DataFrame({"customer_id": ids[:-5], "margin": 0.2}).to_csv(tmp_path / "accounts.csv", index=False)
    more = '[accounts]\npath = "accounts.csv"\n[potential]\nenabled = false\n'
    path = write_configuration(tmp_path, more=more)
    text = path.read_text().replace("[forecast]\n", '[forecast]\nmargin = "margin"\n')
    path.write_text(text)
    with pytest.raises(clv.InputError, match="5 of"):
        reforecast(path, as_of=DAYS[0])
    path.write_text(text.replace('margin = "margin"\n', 'margin = "margin"\nmargin_where_unknown = 0.4\n'))
    run = reforecast(path, as_of=DAYS[0]).run
    margins = run.table("customers").set_index("customer_id")["margin"]
    assert margins[ids[0]] == 0.2 and margins[ids[-1]] == 0.4


def test_another_horizon_and_a_currency_named_since_are_compared(store_of):
    path = write_configuration(store_of.parent, more="")
    path.write_text(
        path.read_text()
        .replace('["12 months"]', '["6 months", "12 months"]')
        .replace("[log]", '[log]\ncurrency = "USD"')
    )
    done = reforecast(path, as_of="1997-12-28")
    steps = done.run.table("changes")
    assert done.published and set(steps["horizon"]) == {"12 months"} and not len(done.alerts)
