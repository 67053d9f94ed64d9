"""Days, lengths and logs at the ends of what a run can hold: refused with the name of the option, or run to the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.history.purchase_history import purchase_history
from clv_forecast.runs.reforecasting.check import backtest_configuration, check
from clv_forecast.runs.reforecasting.reforecast import MOST_RUNS, backfill, backfill_days, reforecast
from tests.runs.reforecasting.made_runs import orders, write_configuration, write_orders
from tests.test_cli import run

NO_DAYS = ("", "nan", "NaT", "now", "today", "0000-01-01", "0001-01-01", "1e400", "2262-04-12", "9999-12-31")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with orders and a configuration."""
    made = tmp_path_factory.mktemp("limits")
    write_orders(made)
    write_configuration(made)
    return made


VERBS: dict[str, Callable[[Path, Any], object]] = {
    "run": lambda folder, day: reforecast(folder / "clv.toml", as_of=day),
    "check": lambda folder, day: check(folder / "clv.toml", as_of=day),
    "backtest": lambda folder, day: backtest_configuration(folder / "clv.toml", as_of=day),
    "backfill from": lambda folder, day: [*backfill(folder / "clv.toml", start=day, end="1997-12-21")],
    "backfill to": lambda folder, day: [*backfill(folder / "clv.toml", start="1997-12-14", end=day)],
    "purchase_history": lambda folder, day: purchase_history(orders(), as_of=day),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("day", NO_DAYS)
def test_days_that_no_run_can_have(folder: Path, verb: str, day: str) -> None:
    option = {"backfill from": "start", "backfill to": "end"}.get(verb, "as_of")
    with pytest.raises(DomainError, match=rf"^{option}.* must be a day"):
        VERBS[verb](folder, day)


@pytest.mark.parametrize(
    "arguments",
    [
        *(("run", "clv.toml", f"--as-of={day}") for day in NO_DAYS),
        ("check", "clv.toml", "--as-of=9999-12-31"),
        ("backtest", "clv.toml", "--as-of=2262-04-12"),
        ("audit", "orders.csv", "--as-of=9999-12-31"),
        ("audit", "orders.csv", "--as-of=1998-06-30", "--observed-from=9999-12-31"),
        ("run", "clv.toml", "--from=1900-01-01", "--to=9999-12-31"),
        ("run", "clv.toml", "--from=nan", "--to=1997-12-21"),
    ],
)
def test_the_command_line_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, arguments: tuple[str, ...]
) -> None:
    verb, file, *options = arguments
    code, out, err = run(monkeypatch, capsys, verb, folder / file, *options)
    assert code == 2 and "must be a day" in err and "Traceback" not in err and out == ""


def test_too_many_days_are_counted_and_refused() -> None:
    with pytest.raises(DomainError, match=f"at most {MOST_RUNS:,} runs.*109,938 by day"):
        backfill_days("1900-01-01", "2200-12-31", "day")
    assert len(backfill_days("1900-01-01", "2200-12-31", "month")) == 301 * 12


def subscriptions(amount: Callable[[int, int], float]) -> pd.DataFrame:
    """80 customers who are billed every 28 days."""
    rows = [
        (f"C{i:03d}", pd.Timestamp("1997-01-02") + pd.Timedelta(days=7 * (i % 20) + 28 * k), amount(i, k))
        for i in range(80)
        for k in range(2 + i % 9)
    ]
    return pd.DataFrame(rows, columns=["customer_id", "date", "amount"])


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} in JSON")


@pytest.mark.parametrize(
    "amount",
    [lambda i, k: 10.0 + i % 7, lambda i, k: round(10.0 ** ((7 * i + 5 * k) % 18 - 6), 6)],
    ids=["steady", "of all sizes"],
)
def test_a_run_of_exact_rhythms_goes_to_the_end(tmp_path: Path, amount: Callable[[int, int], float]) -> None:
    write_orders(tmp_path, subscriptions(amount))
    write_configuration(tmp_path)
    made = reforecast(tmp_path / "clv.toml", as_of="1997-12-21")
    assert made.run is not None
    texts = [path for path in made.run.folder.rglob("*.json") if path.name != "crm.json"]
    assert {"audit.json", "manifest.json"} <= {path.name for path in texts}
    for path in texts:
        json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    audit = json.loads((made.run.folder / "audit.json").read_text(encoding="utf-8"))
    (found,) = [one for one in audit["findings"] if one["name"] == "regularity"]
    assert found["values"]["k"] == 100.0
    value = made.run.table("forecast")["value"].to_numpy(dtype=float)
    assert np.isfinite(value).all()
