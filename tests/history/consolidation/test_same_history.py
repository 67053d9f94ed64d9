"""Orders added up at their source give the same history as their lines, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.history.consolidation import OrderSource, consolidate
from tests.history.consolidation.messy_log import (
    AS_OF,
    COLUMNS,
    RATES,
    assert_same_history,
    messy_log,
    options_of,
    write,
)

PLACE = {"customer": "who", "date": "placed", "amount": "amount"}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return messy_log()


@pytest.mark.parametrize("left_out", [(), ("margin",), ("recorded_at", "category"), ("margin", "order_id", "category")])
def test_of_a_table(log: pd.DataFrame, tmp_path: Path, left_out: tuple[str, ...]) -> None:
    columns = {name: column for name, column in COLUMNS.items() if name not in left_out}
    made = consolidate([OrderSource("shop", log, **PLACE, **columns)], tmp_path, as_of=AS_OF, max_unreadable=0.05)
    read = made.reconciliation.loc[lambda t: t["step"] == "read"]
    assert read["groups"].sum() < 0.8 * read["rows"].sum() == 0.8 * len(log)
    assert_same_history(made, log, rates=RATES, **options_of(columns))


@pytest.mark.parametrize("kind", ["csv", "parquet", "duckdb"])
def test_of_files(log: pd.DataFrame, tmp_path: Path, kind: str) -> None:
    path = write(log, kind, tmp_path)
    table = "log" if kind == "duckdb" else None
    made = consolidate(
        [OrderSource("shop", path, table=table, **PLACE, **COLUMNS)], tmp_path, as_of=AS_OF, max_unreadable=0.05
    )
    raw = log if kind == "duckdb" else path
    assert_same_history(made, raw, rates=RATES, **options_of(COLUMNS))


def test_without_a_day_all_lines_are_kept(log: pd.DataFrame, tmp_path: Path) -> None:
    made = consolidate([OrderSource("shop", log, **PLACE, **COLUMNS)], tmp_path, max_unreadable=0.05)
    assert made.reconciliation["step"].unique().tolist() == ["read", "unreadable", "kept"]
    assert_same_history(made, log, splits=("2024-01-31",), rates=RATES, **options_of(COLUMNS))


def test_of_many_small_logs(tmp_path: Path) -> None:
    """Each customer is a log of its own: few moments, orders, categories, amounts and margins, so many ties."""
    rng = np.random.default_rng(1)
    size = 8_000
    amount = rng.choice([5.0, 10, 10.01, 3.33], size) * rng.choice([1, 1, 1, -1, -2], size)
    who = rng.integers(0, size // 30, size)
    start = np.datetime64("2024-01-01T08", "us") + (who % 90).astype("timedelta64[D]")
    order = rng.choice(np.array(["A", "B", None], dtype=object), size)
    log = pd.DataFrame(
        {
            "who": who,
            "placed": start + rng.integers(0, 3, size).astype("timedelta64[h]") * 117,
            "amount": np.round(amount, 2),
            "order_no": order,
            "kind": rng.choice(["tea", None], size),
            "margin": rng.choice([0.5, -0.25, 1.01, np.nan], size, p=[0.4, 0.3, 0.298, 0.002]),
            "known": start + np.where(order == "A", 20, 45).astype("timedelta64[D]"),
        }
    )
    columns = {name: column for name, column in COLUMNS.items() if name != "currency"}
    made = consolidate([OrderSource("shop", log, **PLACE, **columns)], tmp_path, as_of=AS_OF, max_unreadable=0.05)
    read = made.reconciliation.set_index("step").loc["read"]
    assert read["groups"] < 0.8 * read["rows"]
    assert_same_history(made, log, splits=("2024-03-15",), **options_of(columns))


def test_days_of_a_zone(tmp_path: Path) -> None:
    moments = pd.date_range("2024-03-30 21:17", "2024-07-01 03:00", freq="497min", tz="UTC")
    log = pd.DataFrame({"customer_id": np.arange(len(moments)) % 7, "date": moments, "amount": 1.25})
    log.loc[::9, "amount"] = -2.0
    log.to_csv(tmp_path / "log.csv", index=False)
    for data in (log, tmp_path / "log.csv"):
        made = consolidate([OrderSource("shop", data)], tmp_path, as_of=AS_OF, time_zone="Europe/Berlin")
        late = made.reconciliation.loc[lambda t: t["step"] == "after_as_of", "rows"]
        assert late.tolist() == [
            (moments.tz_convert("Europe/Berlin") >= pd.Timestamp("2024-07-01", tz="Europe/Berlin")).sum()
        ]
        assert_same_history(made, data, time_zone="Europe/Berlin")


def test_of_cdnow(tmp_path: Path) -> None:
    log = clv.load_cdnow("1/10")
    made = consolidate([OrderSource("cdnow", log)], tmp_path, as_of="1998-06-30")
    whole = clv.purchase_history(made.files, as_of="1998-06-30", **made.options)
    plain = clv.purchase_history(log, as_of="1998-06-30")
    pd.testing.assert_frame_equal(whole.table, plain.table, check_exact=True)
