"""Publishing goes folder, rows, pointer, view; wherever it is cut off, a retry completes it and nothing moves back."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from clv_forecast.errors import DomainError, StoreError
from clv_forecast.runs.store.database import ResultDatabase, result_database
from clv_forecast.runs.store.lock import locked
from clv_forecast.runs.store.publication import moves_back, publish
from clv_forecast.runs.store.store import RunStore, open_store
from tests.runs.store.tiny_runs import kept, published, record, write_tiny_run


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return open_store(tmp_path / "store")


@pytest.fixture
def database(tmp_path: Path) -> ResultDatabase:
    return result_database(f"duckdb://{tmp_path}/results.duckdb")


def shown(database: ResultDatabase) -> list[str]:
    with duckdb.connect(database.url.path, read_only=True) as connection:
        return [row[0] for row in connection.execute("SELECT DISTINCT run_id FROM clv.forecast_current").fetchall()]


def test_folder_pointer_and_view_move_together(store: RunStore, database: ResultDatabase) -> None:
    with locked(store.folder):
        done = publish(store, kept(store, "2026-01-31"), database)
        assert (done.run_id, done.previous, dict(done.rows)) == ("2026-01-31", None, {"forecast": 3})
        done = publish(store, kept(store, "2026-02-28"), database)
        assert (done.run_id, done.previous) == ("2026-02-28", "2026-01-31")
        again = publish(store, store.find("latest"), database)
        assert (again.run_id, again.previous) == ("2026-02-28", "2026-02-28")
    assert os.readlink(store.folder / "latest") == "runs/2026-02-28"
    assert shown(database) == ["2026-02-28"]


@pytest.mark.parametrize("step", ["write_rows", "make_current", "point"])
@pytest.mark.parametrize("after", [False, True])
def test_a_retry_completes_what_was_cut_off(
    store: RunStore, database: ResultDatabase, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    owner = RunStore if step == "point" else ResultDatabase
    real = getattr(owner, step)

    def cut(*given: object, **named: object) -> None:
        if after:
            real(*given, **named)
        raise KeyboardInterrupt

    with locked(store.folder):
        publish(store, kept(store, "2026-01-31"), database)
        entry = kept(store, "2026-02-28")
        monkeypatch.setattr(owner, step, cut)
        with pytest.raises(KeyboardInterrupt):
            publish(store, entry, database)
        monkeypatch.undo()
        pointed = store.find("latest")
        assert pointed.status == "published"
        moved = step == "make_current" or (step, after) == ("point", True)
        assert pointed.run_id == ("2026-02-28" if moved else "2026-01-31")
        assert shown(database) == ["2026-02-28" if (step, after) == ("make_current", True) else "2026-01-31"]
        assert dict(publish(store, store.find("2026-02-28"), database).rows) == {"forecast": 3}
    assert (store.find("latest").run_id, shown(database)) == ("2026-02-28", ["2026-02-28"])


def test_a_clock_that_goes_backwards_is_refused(store: RunStore, database: ResultDatabase) -> None:
    with locked(store.folder):
        publish(store, kept(store, "2026-02-28"), database)
        earlier = kept(store, "2026-01-31")
        assert moves_back(store, "2026-01-31")
        assert not moves_back(store, "2026-02-28")
        message = r"later day.*2026-01-31 as of 2026-01-31, while latest shows 2026-02-28.*Check the clock"
        with pytest.raises(DomainError, match=message):
            publish(store, earlier, database)
        assert (store.find("latest").run_id, shown(database)) == ("2026-02-28", ["2026-02-28"])
        done = publish(store, earlier, database, roll_back=True)
        assert (done.run_id, done.previous) == ("2026-01-31", "2026-02-28")
        assert shown(database) == ["2026-01-31"]
        same_day = kept(store, "2026-01-31", run_id="another")
        assert publish(store, same_day, database).run_id == "another"
        publish(store, store.find("2026-02-28"), database)
    assert shown(database) == ["2026-02-28"]


def test_a_new_store_does_not_move_an_old_database_back(
    store: RunStore, database: ResultDatabase, tmp_path: Path
) -> None:
    other = open_store(tmp_path / "other")
    with locked(store.folder), locked(other.folder):
        publish(store, kept(store, "2026-02-28"), database)
        entry = kept(other, "2026-01-31")
        with pytest.raises(DomainError, match="while the database shows 2026-02-28"):
            publish(other, entry, database)
        assert other.current() is None
        publish(other, entry, database, roll_back=True)
    assert shown(database) == ["2026-01-31"]


def test_what_may_not_be_published(store: RunStore) -> None:
    entry = kept(store, "2026-01-31")
    with pytest.raises(DomainError, match="under its lock"):
        publish(store, entry)
    held = kept(store, "2026-02-28", held=True)
    with locked(store.folder):
        with pytest.raises(DomainError, match=r"among the published ones.*--accept GATE"):
            publish(store, held)
        path = entry.folder / "forecast.parquet"
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"?")
        with pytest.raises(StoreError, match=r"damaged.*forecast\.parquet: other bytes.*Run it again"):
            publish(store, entry)
        path.write_bytes(content[:50])
        with pytest.raises(StoreError, match=r"damaged.*has 50 bytes"):
            publish(store, store.find("2026-01-31"))
        assert store.current() is None
        publish(store, store.release("2026-02-28", record("2026-02-28", "2026-02-28")))
    assert store.find("latest").run_id == "2026-02-28"


def test_a_damaged_current_run_does_not_hinder_the_next(store: RunStore) -> None:
    published(store, "2026-01-31")
    (store.folder / "latest" / "run.json").write_text("{")
    published(store, "2026-02-28")
    assert store.find("latest").status == "published"


def test_only_the_tables_that_are_asked_for_are_written(store: RunStore, tmp_path: Path) -> None:
    database = result_database(f"duckdb://{tmp_path}/results.duckdb", tables=["totals", "ranking"])
    tables = {"totals": pd.DataFrame({"value": [1.0]}), "forecast": pd.DataFrame({"value": [1.0]})}
    with locked(store.folder):
        workspace = store.workspace("2026-01-31")
        write_tiny_run(workspace, "2026-01-31", "2026-01-31", tables=tables)
        done = publish(store, store.keep(workspace, "2026-01-31", held=False), database)
    assert dict(done.rows) == {"totals": 1}
    with duckdb.connect(str(tmp_path / "results.duckdb"), read_only=True) as connection:
        told = connection.execute("SELECT run_id, as_of, title, currency, customers FROM clv.runs").fetchall()
    assert told == [("2026-01-31", pd.Timestamp("2026-01-31").to_pydatetime(), "Tiny", "EUR", 3)]
