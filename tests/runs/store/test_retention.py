"""Retention keeps the newest, the last of each month, and what the next run compares with; linked files share bytes."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clv_forecast.errors import DomainError, StoreError
from clv_forecast.runs.store.database import result_database
from clv_forecast.runs.store.durable_files import Linked, link_unchanged
from clv_forecast.runs.store.lock import locked
from clv_forecast.runs.store.publication import publish, retire, retired
from clv_forecast.runs.store.run_entry import RunEntry, Status
from clv_forecast.runs.store.store import open_store
from tests.runs.store.tiny_runs import kept, write_tiny_run

WEEKS = [str(day.date()) for day in pd.date_range("2025-01-05", "2026-03-29", freq="7D")]


def entry(day: str, status: Status = "published", *, current: bool = False, run_id: str = "") -> RunEntry:
    folder = Path("/store") / ("held" if status == "held" else "runs") / (run_id or day)
    return RunEntry(
        run_id=folder.name, folder=folder, as_of=pd.Timestamp(day), status=status, current=current, record={}
    )


def ids(entries: tuple[RunEntry, ...]) -> list[str]:
    return [one.run_id for one in entries]


def test_the_newest_and_the_last_of_each_month_are_kept() -> None:
    entries = tuple(entry(day, current=day == WEEKS[-1]) for day in WEEKS)
    gone = set(ids(retired(entries, runs=3, months=3)))
    assert [day for day in WEEKS if day not in gone] == [
        "2026-01-25",
        "2026-02-22",
        "2026-03-15",
        "2026-03-22",
        "2026-03-29",
    ]
    assert ids(retired(entries, runs=3, months=0)) == WEEKS[:-3]
    assert len(set(WEEKS) - set(ids(retired(entries, runs=1, months=15)))) == 16
    assert retired(entries, runs=len(WEEKS), months=0) == retired((), runs=1) == ()
    assert len(retired(entries)) == len(WEEKS) - 60 - 1


def test_the_current_run_and_the_one_before_it_are_kept() -> None:
    entries = tuple(entry(day, current=day == WEEKS[10]) for day in WEEKS)
    left = set(WEEKS) - set(ids(retired(entries, runs=1, months=0)))
    assert left == {WEEKS[9], WEEKS[10], WEEKS[-1]}
    again = (*entries[:10], entry(WEEKS[10], run_id="again"), *entries[10:])
    assert set(WEEKS) - set(ids(retired(again, runs=1, months=0))) == left


def test_held_runs_have_a_number_of_their_own_and_damaged_ones_stay() -> None:
    held = tuple(entry(day, "held") for day in WEEKS[:7])
    broken = dataclasses.replace(entry("2020-01-05", "damaged"), as_of=None)
    entries = (broken, *held, entry(WEEKS[-1], current=True))
    assert ids(retired(entries, runs=1, held=5, months=0)) == WEEKS[:2]
    assert ids(retired(entries, runs=1, held=0, months=0)) == WEEKS[:7]


@pytest.mark.parametrize("numbers", [{"runs": 0}, {"runs": True}, {"held": -1}, {"months": 1.5}, {"months": False}])
def test_numbers_out_of_their_domain(numbers: dict[str, Any]) -> None:
    with pytest.raises(DomainError, match="whole number of at least"):
        retired((), **numbers)


def test_runs_go_with_their_rows(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    database = result_database(f"duckdb://{tmp_path}/results.duckdb")
    days = WEEKS[:4]
    with locked(store.folder):
        for day in days:
            publish(store, kept(store, day), database)
        kept(store, days[0], held=True)
    with pytest.raises(DomainError, match="under its lock"):
        retire(store, runs=1)
    with locked(store.folder):
        gone = retire(store, database, runs=1, held=0, months=0)
    assert [(one.run_id, one.status) for one in gone] == [
        (days[0], "published"),
        (days[0], "held"),
        (days[1], "published"),
    ]
    assert ids(store.entries()) == days[2:]
    assert [*(store.folder / "work").iterdir()] == []
    assert database.current() == (days[3], pd.Timestamp(days[3]))
    with pytest.raises(StoreError, match="whose rows it has"):
        database.make_current(days[0])
    database.make_current(days[2])


def with_orders(folder: Path, **months: str) -> Path:
    (folder / "orders").mkdir(parents=True)
    for month, content in months.items():
        (folder / "orders" / f"{month}.parquet").write_text(content)
    return folder


def test_unchanged_months_are_stored_once(tmp_path: Path) -> None:
    old = with_orders(tmp_path / "old", jan="January", feb="February", gone="away")
    new = with_orders(tmp_path / "new", jan="January", feb="Februara", mar="March")
    (new / "forecast.parquet").write_text("same")
    (old / "forecast.parquet").write_text("same")
    assert link_unchanged(new, old) == Linked(files=1, size=7, copies=0)
    assert link_unchanged(new, old) == Linked(files=0, size=0, copies=0)
    assert (new / "orders" / "jan.parquet").samefile(old / "orders" / "jan.parquet")
    assert not (new / "forecast.parquet").samefile(old / "forecast.parquet")
    shutil.rmtree(old)
    assert {path.name: path.read_text() for path in (new / "orders").iterdir()} == {
        "jan.parquet": "January",
        "feb.parquet": "Februara",
        "mar.parquet": "March",
    }
    assert link_unchanged(new, old) == link_unchanged(tmp_path, new) == Linked(files=0, size=0, copies=0)


def test_where_links_cannot_be_made_copies_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = with_orders(tmp_path / "old", jan="January")
    new = with_orders(tmp_path / "new", jan="January")

    def unable(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unable)
    assert link_unchanged(new, old) == Linked(files=0, size=0, copies=1)
    assert [path.name for path in (new / "orders").iterdir()] == ["jan.parquet"]


def test_links_survive_the_removal_of_the_older_run(tmp_path: Path) -> None:
    store, days = open_store(tmp_path / "store"), ("2026-01-31", "2026-02-28", "2026-03-31")
    with locked(store.folder):
        for number, day in enumerate(days):
            workspace = store.workspace(day)
            write_tiny_run(workspace, day, day)
            with_orders(workspace, jan="January")
            store.let_read(workspace)
            if number:
                assert link_unchanged(workspace, store.folder / "runs" / days[number - 1]).files == 1
            publish(store, store.keep(workspace, day, held=False))
        first, second, _ = store.entries()
        store.remove(first)
    assert (second.folder / "orders" / "jan.parquet").read_text() == "January"
    assert (second.folder / "orders" / "jan.parquet").stat().st_nlink == 2
