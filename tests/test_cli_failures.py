"""Whatever a command raises is a line on stderr and an exit code, and nothing in it steers a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

from clv_forecast import cli
from clv_forecast.errors import DomainError, FitError, InputError, LockedError, StoreError
from tests.runs.reforecasting.made_runs import write_configuration, write_orders
from tests.test_cli import run

ESCAPES = "\x1b]0;owned\x07\n2026-11-30 06:00:00 INFO Run 2026-11-29-deadbeef is published.\u202e"
FAILURES: list[tuple[BaseException, int, str]] = [
    (InputError("Rows are missing.", value=ESCAPES), 1, "Rows are missing"),
    (InputError("Odd customers.", customer_ids=[ESCAPES]), 1, "Odd customers"),
    (StoreError(f"No room in {ESCAPES}."), 1, "No room"),
    (DomainError("Several mistakes:", lines=["  line 1: a", f"  line 2: {ESCAPES}"], remedy="Mend them."), 2, "line 1"),
    (FitError("No fit.", value="postgres://clv:s3cr3t@h/d?token=s3cr3t"), 3, "No fit"),
    (LockedError("Held."), 5, "Held"),
    (OSError(28, "No space left on device", f"/srv/{ESCAPES}"), 1, "No space left"),
    (MemoryError(), 1, "not enough memory"),
    (RuntimeError(f"no route to postgres://clv:s3cr3t@h/d: {ESCAPES}"), 1, "Unexpected RuntimeError"),
    (KeyError(ESCAPES), 1, "Unexpected KeyError"),
    (RecursionError(), 1, "Unexpected RecursionError"),
    (KeyboardInterrupt(), 130, "Interrupted"),
]


@pytest.mark.parametrize("log", ["lines", "json", "off"])
@pytest.mark.parametrize(("error", "code", "part"), FAILURES, ids=lambda value: type(value).__name__)
def test_failures(monkeypatch, capsys, log: str, error: BaseException, code: int, part: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli, "run_demo", fail)
    got, out, err = run(monkeypatch, capsys, "--log", log, "demo")
    assert (got, out) == (code, "")
    assert part in err and "Traceback" not in err and "s3cr3t" not in err
    assert all(line.isprintable() for line in err.splitlines())
    lines = err.splitlines()
    assert not [line for line in lines if line.startswith("2026-11-30 06:00:00")]
    if log == "json":
        assert [json.loads(line)["level"] for line in lines] == ["ERROR"]
    else:
        assert lines[0].startswith("Error: ") and (len(lines) == 1 or isinstance(error, DomainError))


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run", "--every"], ["audit", "x", "--as-of"], ["--log", "loud", "runs"]]
)
def test_usage_is_2_and_json_where_it_is_asked_for(monkeypatch, capsys, arguments: list[str]) -> None:
    code, _, err = run(monkeypatch, capsys, *arguments)
    assert code == 2 and err.startswith("Error: ") and len(err.splitlines()) == 1
    code, _, err = run(monkeypatch, capsys, "--log=json", *arguments[-1:])
    assert code == 2 and json.loads(err)["level"] == "ERROR"


@pytest.mark.parametrize("command", ["run", "check", "backtest", "runs"])
def test_without_a_name_it_is_clv_toml_in_this_folder(monkeypatch, capsys, tmp_path, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(monkeypatch, capsys, command)
    assert code == 2 and "no such configuration. Got: 'clv.toml'." in err and "`clv-forecast init`" in err


def test_what_python_warns_of_is_a_line_of_the_log(monkeypatch, capsys) -> None:
    def warn(*_: object, **__: object) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(f"odd {ESCAPES}", RuntimeWarning, stacklevel=1)
        raise InputError("The end.")

    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # is put back
    monkeypatch.setattr(cli, "run_demo", warn)
    _, _, err = run(monkeypatch, capsys, "--log", "json", "demo")
    told = [json.loads(line) for line in err.splitlines()]
    assert [one["level"] for one in told] == ["WARNING", "ERROR"] and "\\x1b" in told[0]["message"]


@pytest.mark.parametrize("place", ["currency", "column", "id", "file"])
def test_names_from_the_data_forge_nothing(monkeypatch, capsys, tmp_path: Path, place: str) -> None:
    """The control: the escaped name is there, so that it was told of."""
    monkeypatch.chdir(tmp_path)
    write_orders(tmp_path)
    orders = pd.read_csv(tmp_path / "orders.csv")
    if place == "currency":
        orders["cur"] = ["EUR" if row % 2 else ESCAPES for row in range(len(orders))]
    if place == "column":
        orders = orders.rename(columns={"amount": ESCAPES})
    if place == "id":
        orders["customer_id"] = orders["customer_id"].astype(str)
        orders.loc[0, "customer_id"] = ESCAPES
    orders.to_parquet(tmp_path / "orders.parquet", index=False)
    path = write_configuration(tmp_path)
    source = 'path = "orders.parquet"' + ('\ncurrency = "cur"' if place == "currency" else "")
    path.write_text(path.read_text(encoding="utf-8").replace('path = "orders.csv"', source), encoding="utf-8")
    told = ""
    for arguments in (
        ["check", "clv.toml", "--as-of", "1997-12-14"],
        ["audit", "orders.parquet", "--as-of", "1997-12-14"],
    ):
        options = ["--currency", "cur"] if place == "currency" and arguments[0] == "audit" else []
        if place == "file":
            arguments = [*arguments[:1], str(tmp_path / ESCAPES), *arguments[2:]]
        _, out, err = run(monkeypatch, capsys, *arguments, *options)
        told += out + err
    assert all(line.isprintable() for line in told.splitlines())
    assert not [line for line in told.splitlines() if line.startswith("2026-11-30 06:00:00")]
    assert "\\x1b]0;owned" in told or place == "id"


def test_an_interrupt_that_a_library_swallows_is_130(tmp_path: Path) -> None:
    """DuckDB turns Ctrl-C into an error of its own."""
    program = (
        "import os, signal, sys\nfrom clv_forecast import cli\n"
        "def ask(*_, **__):\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n        [None for _ in range(10**7)]\n"
        "    except KeyboardInterrupt:\n        raise RuntimeError('Query interrupted') from None\n"
        "cli.run_demo = ask\nsys.argv = ['clv-forecast', 'demo']\ncli.main()\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert (done.returncode, done.stderr.strip()) == (130, "Error: Interrupted.")
