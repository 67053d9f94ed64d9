"""The smallest folders that a store takes for runs, and stores that hold them."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.runs.store.lock import check_locked, locked
from clv_forecast.runs.store.publication import publish
from clv_forecast.runs.store.run_entry import RunEntry
from clv_forecast.runs.store.store import RunStore


def record(run_id: str, as_of: str) -> dict[str, object]:
    started = f"{as_of}T06:00:00+00:00"
    return {"run_id": run_id, "as_of": as_of, "status": "published", "started": started, "finished": started}


def forecast_of(as_of: str, customers: int = 3) -> pd.DataFrame:
    ids = range(1, customers + 1)
    return pd.DataFrame({"customer_id": ids, "value": [one * 1.5 for one in ids], "as_of": pd.Timestamp(as_of)})


def write_tiny_run(folder: Path, run_id: str, as_of: str, *, tables: dict[str, pd.DataFrame] | None = None) -> None:
    """What ``write_run`` and the caller write, with one small table."""
    tables = {"forecast": forecast_of(as_of)} if tables is None else tables
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    (folder / "report.html").write_text(f"<p>{run_id}</p>")
    manifest = {
        "kind": "clv_forecast run",
        "schema_version": 1,
        "title": "Tiny",
        "as_of": as_of,
        "currency": "EUR",
        "horizon": "12 months",
        "customers": 3,
        "seed": 1,
        "assumptions_hash": "0" * 64,
        "versions": {"clv-forecast": "0"},
        "tables": {name: {"rows": len(table), "columns": list(table.columns)} for name, table in tables.items()},
        "files": ["report.html"],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "run.json").write_text(json.dumps(record(run_id, as_of)))


def kept(store: RunStore, as_of: str, *, held: bool = False, run_id: str = "") -> RunEntry:
    """A tiny run put in place under the lock, which this process may hold already."""
    run_id = run_id or as_of
    with nullcontext() if holds_lock(store) else locked(store.folder):
        workspace = store.workspace(run_id)
        write_tiny_run(workspace, run_id, as_of)
        return store.keep(workspace, run_id, held=held)


def holds_lock(store: RunStore) -> bool:
    try:
        check_locked(store.folder)
    except DomainError:
        return False
    return True


def published(store: RunStore, *days: str) -> None:
    with locked(store.folder):
        for day in days:
            publish(store, kept(store, day))
