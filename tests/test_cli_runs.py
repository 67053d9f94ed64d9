"""The commands of scheduled runs: what they print, and every exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clv_forecast.runs.store.lock import locked
from clv_forecast.runs.store.store import open_store
from tests.runs.reforecasting.made_runs import orders, write_configuration, write_orders
from tests.test_cli import run

LATER = "1997-12-28"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with orders and a configuration; the tests of this module run in their order on one store."""
    made = tmp_path_factory.mktemp("scheduled")
    write_orders(made)
    write_configuration(made)
    return made


def test_init_writes_a_file_that_check_takes(monkeypatch, capsys, folder, tmp_path):
    file = tmp_path / "clv.toml"
    code, out, _ = run(monkeypatch, capsys, "init", folder / "orders.csv", "--output", file)
    assert code in (0, None) and str(file) in out
    code, _, err = run(monkeypatch, capsys, "init", folder / "orders.csv", "--output", file)
    assert code == 2 and "does not write over" in err
    code, out, _ = run(monkeypatch, capsys, "check", file, "--as-of", LATER, "--json")
    told = json.loads(out)
    assert code in (0, None) and told["ok"] and not (tmp_path / "runs").exists()


def test_a_backfill_prints_one_object_a_line(monkeypatch, capsys, folder):
    days = ("--from", "1997-12-14", "--to", "1997-12-21")
    code, out, err = run(monkeypatch, capsys, "--log", "json", "run", folder / "clv.toml", *days, "--json")
    made = [json.loads(line) for line in out.splitlines()]
    assert code in (0, None) and [one["as_of"] for one in made] == ["1997-12-14", "1997-12-21"]
    assert all(one["published"] and Path(one["folder"]).is_dir() for one in made)
    assert {"time", "level", "message"} <= set(json.loads(err.splitlines()[0]))


def test_an_alert_is_4(monkeypatch, capsys, folder):
    write_configuration(folder, more="[alerts]\ntotal_move = 0.000001")
    code, out, err = run(monkeypatch, capsys, "run", folder / "clv.toml", "--as-of", LATER)
    assert code == 4 and "ALERT total_move" in out and "Alert total_move" in err


def test_a_gate_is_6_and_publish_releases_the_run(monkeypatch, capsys, folder):
    write_configuration(folder)
    write_orders(folder, orders()[orders().index % 2 == 0])
    code, out, _ = run(monkeypatch, capsys, "run", folder / "clv.toml", "--as-of", "1998-01-04", "--json")
    held = json.loads(out)
    assert code == 6 and held["status"] == "held" and not held["published"]
    at = ("--config", folder / "clv.toml")
    code, out, _ = run(monkeypatch, capsys, "runs", *at, "--json")
    assert code in (0, None) and [one["status"] for one in json.loads(out)][-1] == "held"
    code, _, err = run(monkeypatch, capsys, "publish", held["run_id"], *at)
    assert code == 6 and "gate rows_ratio: " in err and "[gates] in clv.toml has rows_ratio = 0.98" in err
    assert f"clv-forecast publish {held['run_id']} --accept rows_ratio" in err
    names = {gate["name"] for gate in held["gates"] if not gate["passed"]}
    accept = [part for name in names for part in ("--accept", name)]
    code, out, _ = run(monkeypatch, capsys, "publish", held["run_id"], *at, *accept, "--reason", "the archive moved")
    assert code in (0, None) and held["run_id"] in out
    code, out, _ = run(monkeypatch, capsys, "publish", "1997-12-21", *at)
    assert code in (0, None) and "1997-12-21" in out


def test_compare(monkeypatch, capsys, folder, tmp_path):
    at = ("--config", folder / "clv.toml")
    code, out, _ = run(monkeypatch, capsys, "compare", "1997-12-14", "1997-12-21", *at, "--json")
    steps = json.loads(out)["steps"]
    assert code in (0, None) and steps[0]["step"] == "value then" and len(steps) == 14
    picture = tmp_path / "bridge.png"
    code, out, err = run(monkeypatch, capsys, "compare", "1997-12-14", "latest", *at, "--figure", picture)
    assert code in (0, None) and "value now" in out and str(picture) in err
    assert picture.read_bytes().startswith(b"\x89PNG")
    code, _, err = run(monkeypatch, capsys, "compare", "1997-12-21", "1997-12-14", *at)
    assert code == 2 and "earlier run comes first" in err
    code, _, err = run(monkeypatch, capsys, "compare", "1996", "latest", *at)
    assert code == 2 and "no such run" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--from", "1997-12-14"], 2, "--to"),
        (["--as-of", "soon"], 2, "as_of"),
        (["--as-of", LATER, "--accept", "rows"], 2, "rows_ratio"),
        (["--as-of", "1990-01-01"], 1, "no order left"),
    ],
)
def test_errors_of_run(monkeypatch, capsys, folder, arguments, code, message):
    got, out, err = run(monkeypatch, capsys, "run", folder / "clv.toml", *arguments)
    assert got == code and message in err and "Traceback" not in err and out == ""


def test_a_wrong_configuration_is_2_and_a_missing_source_1(monkeypatch, capsys, folder, tmp_path):
    file = tmp_path / "clv.toml"
    file.write_text('[[sources]]\nname = "shop"\npth = "orders.csv"\n')
    code, _, err = run(monkeypatch, capsys, "run", file)
    assert code == 2 and "sources[0].pth" in err and "path" in err
    file.write_text('[[sources]]\nname = "shop"\npath = "nothing.csv"\n')
    code, out, err = run(monkeypatch, capsys, "run", file, "--as-of", LATER, "--json")
    assert code == 1 and "nothing.csv" in err and json.loads(out)["exit_code"] == 1
    code, out, _ = run(monkeypatch, capsys, "check", file, "--as-of", LATER)
    assert code == 1 and "NO" in out


def test_a_second_run_at_once_is_5(monkeypatch, capsys, folder):
    with locked(open_store(folder / "runs").folder):
        code, out, err = run(monkeypatch, capsys, "run", folder / "clv.toml", "--as-of", LATER)
    assert code == 5 and "One run at a time" in err and out == ""


def test_backtest_publishes_nothing(monkeypatch, capsys, folder):
    write_orders(folder)
    write_configuration(folder, backtest='horizon = "8 weeks"\ndraws = 100\norigins = 1')
    before = open_store(folder / "runs").table()
    code, out, _ = run(monkeypatch, capsys, "backtest", folder / "clv.toml", "--as-of", LATER)
    assert code in (0, None) and "8 weeks" in out
    assert open_store(folder / "runs").table().equals(before)
