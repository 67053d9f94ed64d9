"""Runs that earlier versions wrote are read, listed and compared by this one."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

import clv_forecast as clv
from clv_forecast.report.stored_run import SCHEMA_VERSION
from clv_forecast.runs.store.lock import locked
from tests.runs.reforecasting.stored_run import DAY, FILE, run_of

OLD = sorted(FILE.parent.glob("run_of_schema_*.zip"))


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_every_table_and_the_model_of_an_old_run_are_read(file: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(file).extractall(tmp_path / "run")
    run = clv.read_run(tmp_path / "run")
    assert {"history", "forecast", "ranking", "allowable_spend", "reconciliation"} <= set(run.tables)
    for name, told in run.manifest["tables"].items():
        table = run.table(name)
        assert len(table) == told["rows"] and list(table.columns) == told["columns"], name
    assert run.model().purchases == "bg_nbd"
    assert str(clv.stored_card(run, str(run.table("ranking")["customer_id"].iloc[0])))


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_a_run_of_today_follows_an_old_one(file: Path, tmp_path: Path) -> None:
    """The old run is the last one of a store: the next compares itself with it, and so does the verb."""
    store = clv.open_store(tmp_path / "runs")
    packed = zipfile.ZipFile(file)
    run_id = clv.read_run(_unpacked(packed, tmp_path / "old")).manifest["facts"]["run_id"]
    with locked(store.folder):
        work = store.workspace(run_id)
        shutil.copytree(tmp_path / "old", work, dirs_exist_ok=True)
        store.keep(work, run_id, held=False)
        store.point(run_id)
    made = run_of(tmp_path, "1997-12-21")
    assert made.published and made.record["previous"] == run_id and run_id.startswith(DAY)
    steps = made.run.table("changes")
    assert len(steps) == 14 and abs(steps["value"].iloc[:-1].sum() - steps["value"].iloc[-1]) < 0.005
    assert clv.run_table(store)["status"].tolist() == ["published", "published"]


def test_the_present_schema_has_its_file() -> None:
    assert FILE in OLD and FILE.stem.endswith(str(SCHEMA_VERSION))


def _unpacked(packed: zipfile.ZipFile, folder: Path) -> Path:
    packed.extractall(folder)
    return folder
