"""Orders added up at their source give the same history as their lines, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.consolidation import OrderSource, consolidate
from tests.consolidation.messy_log import AS_OF, COLUMNS, RATES, assert_same_history, messy_log, options_of, write

PLACE = {"customer": "who", "date": "placed", "amount": "amount"}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return messy_log()


@pytest.mark.parametrize("left_out", [(), ("margin",), ("recorded_at", "category"), ("margin", "order_id", "category")])
def test_of_a_table(log: pd.DataFrame, tmp_path: Path, left_out: tuple[str, ...]) -> None:
    columns = {name: column for name, column in COLUMNS.items() if name not in left_out}
    made = consolidate([OrderSource("shop", log, **PLACE, **columns)], tmp_path, as_of=AS_OF)
    read = made.reconciliation.loc[lambda t: t["step"] == "read"]
    assert read["groups"].sum() < 0.8 * read["rows"].sum() == 0.8 * len(log)
    assert_same_history(made, log, rates=RATES, **options_of(columns))


@pytest.mark.parametrize("kind", ["csv", "parquet", "duckdb"])
def test_of_files(log: pd.DataFrame, tmp_path: Path, kind: str) -> None:
    path = write(log, kind, tmp_path)
    table = "log" if kind == "duckdb" else None
    made = consolidate([OrderSource("shop", path, table=table, **PLACE, **COLUMNS)], tmp_path, as_of=AS_OF)
    raw = log if kind == "duckdb" else path
    assert_same_history(made, raw, rates=RATES, **options_of(COLUMNS))


def test_without_a_day_all_lines_are_kept(log: pd.DataFrame, tmp_path: Path) -> None:
    made = consolidate([OrderSource("shop", log, **PLACE, **COLUMNS)], tmp_path)
    assert made.reconciliation["step"].unique().tolist() == ["read", "kept"]
    assert_same_history(made, log, splits=("2024-01-31",), rates=RATES, **options_of(COLUMNS))


def test_of_cdnow(tmp_path: Path) -> None:
    log = clv.load_cdnow("1/10")
    made = consolidate([OrderSource("cdnow", log)], tmp_path, as_of="1998-06-30")
    whole = clv.purchase_history(made.files, as_of="1998-06-30", **made.options)
    plain = clv.purchase_history(log, as_of="1998-06-30")
    pd.testing.assert_frame_equal(whole.table, plain.table, check_exact=True)
