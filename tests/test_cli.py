"""The command line: what it prints, where it writes, and its exit codes."""

import json
from dataclasses import replace

import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast import cli, demo
from clv_forecast.report.run_folder import write_run
from clv_forecast.tables_as_text import demo_text
from tests.report.stored_runs import numbered


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["clv-forecast", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


@pytest.fixture
def log_file(tmp_path):
    path = tmp_path / "orders.csv"
    clv.load_cdnow("1/10").rename(columns={"customer_id": "who"}).to_csv(path, index=False)
    return path


def test_audit_prints_what_became_of_the_rows(monkeypatch, capsys, log_file):
    code, out, _ = run(monkeypatch, capsys, "audit", log_file, "--as-of", "1998-06-30", "--customer", "who")
    assert code in (0, None)
    assert "6,919" in out and "kept" in out and "bought once" in out


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--as-of", "1998-06-30"], 1, "who"),
        (["--as-of", "yesterday", "--customer", "who"], 2, "as_of"),
        (["--as-of", "1998-06-30", "--customer", "who", "--refunds", "maybe"], 2, "refunds must be"),
        (["--as-of", "1998-06-30", "--customer", "who", "--unit", "moon"], 2, "unit"),
        (["--as-of", "1990-01-01", "--customer", "who"], 1, "1990-01-01"),
        (["--customer", "who"], 2, "as-of"),
    ],
)
def test_errors_become_exit_codes(monkeypatch, capsys, log_file, options, code, message):
    got, out, err = run(monkeypatch, capsys, "audit", log_file, *options)
    assert got == code and message in err and "Traceback" not in err and out == ""


def test_missing_file(monkeypatch, capsys, tmp_path):
    code, _, err = run(monkeypatch, capsys, "audit", tmp_path / "nothing.csv", "--as-of", "1998-06-30")
    assert code == 1 and "nothing.csv" in err


def test_demo_writes_everything_and_replaces_it(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "load_cdnow", lambda: clv.load_cdnow("1/10"))
    folder = tmp_path / "out" / "cdnow"
    stages = []
    made = demo.run_demo(folder, progress=lambda stage, done, total: stages.append(stage))
    text = demo_text(made)
    for part in ("log-likelihood", "no season or trend: too narrow", "TEN MOST VALUABLE", str(folder / "totals.csv")):
        assert part in text
    assert {"read", "forecast"} <= set(stages)
    stored = pd.read_parquet(folder / "forecast.parquet")
    assert len(stored) == len(made.forecast.customers)
    assert json.loads((folder / "forecast_assumptions.json").read_text())["discount_rate_annual"] == 0.1
    assert json.loads((folder / "audit.json").read_text())
    assert clv.load_model(folder / "model").purchases == "bg_nbd"
    (folder / "left_over").write_text("from an earlier run")
    demo.write_folder(made)
    assert not (folder / "left_over").exists() and (folder / "totals.csv").exists()
    assert [p.name for p in folder.parent.iterdir()] == ["cdnow"]
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work")
    with pytest.raises(clv.StoreError, match="Choose another folder"):
        demo.write_folder(replace(made, folder=theirs))
    assert [p.name for p in theirs.iterdir()] == ["thesis.txt"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    made = numbered()
    return write_run(made.report, tmp_path_factory.mktemp("runs") / "cdnow", model=made.model).folder


def test_card_prints_the_account_of_the_run(monkeypatch, capsys, run_folder, tmp_path):
    made = numbered()
    expected = str(clv.card(made.report.ranking, made.report.forecast, 4, model=made.model))
    picture = tmp_path / "card.png"
    code, out, err = run(monkeypatch, capsys, "card", "4", "--run", run_folder, "--figure", picture)
    assert code in (0, None) and out == f"{expected}\n" and str(picture) in err
    assert picture.read_bytes().startswith(b"\x89PNG")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "cdnow").symlink_to(run_folder)
    code, out, _ = run(monkeypatch, capsys, "card", "4")
    assert code in (0, None) and out == f"{expected}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["5"], 2, "Nearest: 4"),
        (["4", "--figure", "card.docx"], 2, "suffix"),
        ([], 2, "ID"),
    ],
)
def test_errors_of_card_become_exit_codes(monkeypatch, capsys, run_folder, arguments, code, message):
    got, out, err = run(monkeypatch, capsys, "card", *arguments, "--run", run_folder)
    assert got == code and message in err and "Traceback" not in err and out == ""


def test_card_without_a_run(monkeypatch, capsys, tmp_path):
    code, out, err = run(monkeypatch, capsys, "card", "4", "--run", tmp_path / "nothing")
    assert code == 1 and "There is no run" in err and "clv-forecast demo" in err and out == ""
