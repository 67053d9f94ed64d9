"""The command line: what it prints, where it writes, and its exit codes."""

import pytest

import clv_forecast as clv
from clv_forecast import cli, demo
from clv_forecast.cli_output import demo_text
from clv_forecast.report.run_folder import write_run
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


@pytest.mark.slow
def test_demo_writes_two_whole_runs_and_replaces_them(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "load_cdnow", lambda: clv.load_cdnow("1/10"))
    monkeypatch.setattr(demo, "_DRAWS", 100)
    (tmp_path / "cdnow").mkdir()
    (tmp_path / "cdnow" / "forecast_assumptions.json").write_text("{}")  # of a version before there were runs
    (tmp_path / "cdnow" / "left_over").write_text("from an earlier run")
    stages = []
    made = demo.run_demo(tmp_path, accounts=80, progress=lambda stage, done, total: stages.append(stage))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b2b_simulated", "cdnow"]
    assert not (tmp_path / "cdnow" / "left_over").exists()
    assert {"read", "backtest", "forecast", "allowable spend", "payback", "write"} <= set(stages)
    text = demo_text(made)
    for part in ("log-likelihood", "no recommendation", "TEN MOST VALUABLE", str(tmp_path / "cdnow" / "report.html")):
        assert part in text
    for name, run in (("cdnow", made.cdnow), ("b2b_simulated", made.b2b)):
        stored = clv.read_run(tmp_path / name)
        assert len(stored.table("forecast")) == len(run.report.forecast.customers)
        for file in ("report.html", "finance.xlsx", "crm.csv", "manifest.json", "audit.json"):
            assert (tmp_path / name / file).stat().st_size > 500
    page = (tmp_path / "b2b_simulated" / "report.html").read_text(encoding="utf-8")
    assert "Simulated data" in page and ">(empty)<" not in page  # every section is filled
    assert ">(empty)<" in (tmp_path / "cdnow" / "report.html").read_text(encoding="utf-8")
    theirs = tmp_path / "theirs" / "cdnow"
    theirs.mkdir(parents=True)
    (theirs / "thesis.txt").write_text("years of work")
    with pytest.raises(clv.StoreError, match="Choose another folder"):
        clv.write_run(made.cdnow.report, theirs)
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
