"""A run of a store that something has changed is said to be damaged, is passed over, and stops nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clv_forecast as clv
from clv_forecast.errors import ClvForecastError, StoreError
from clv_forecast.runs.reforecasting.reforecast import reforecast, run_table
from clv_forecast.runs.store.lock import locked
from clv_forecast.runs.store.publication import publish
from clv_forecast.runs.store.store import open_store
from tests.runs.reforecasting.made_runs import DAYS, run_days
from tests.test_cli import run

FLIPS = 200


@pytest.fixture(scope="module")
def weekly(tmp_path_factory):
    """Two weekly runs."""
    return run_days(
        tmp_path_factory.mktemp("weekly"), DAYS[:2], backtest='horizon = "13 weeks"\norigins = 1\ndraws = 100'
    )


@pytest.fixture
def folder(weekly, tmp_path):
    """A copy of their folder that a test may change."""
    copy = tmp_path / "copy"
    shutil.copytree(weekly[0].folder.parents[2], copy, symlinks=True)
    return copy


def zeros(path: Path) -> None:
    size = path.stat().st_size
    path.unlink()  # it may be shared with another run
    path.write_bytes(b"\0" * size)


def another_kind(path: Path) -> None:
    """The same length, and of the right form where it is JSON, with a value of another type."""
    content = path.read_bytes()
    path.unlink()
    try:
        table = json.loads(content)
        first = next(iter(table))
        table = {**table, first: [table[first]]} if isinstance(table, dict) else [table]
        path.write_text(json.dumps(table))
    except ValueError:
        path.write_bytes(content[::-1])


def link(path: Path) -> None:
    moved = path.rename(path.parent.parents[3] / path.name)
    path.symlink_to(moved)


def removed(path: Path) -> None:
    path.unlink()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "runs" / "latest").resolve().rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", [zeros, another_kind, link, removed])
def test_every_file_of_a_run(weekly, folder: Path, damage: Callable[[Path], None]) -> None:
    store = open_store(folder / "runs")
    names, last = [path.relative_to(folder) for path in files(folder)], store.find("latest").run_id
    assert len(names) > 30
    kept = folder.parent / "kept"
    for name in names:
        shutil.copytree(store.folder / "runs" / last, kept)
        damage(folder / name)
        table = run_table(store).set_index("run_id")
        assert table.loc[last, "status"] == "damaged" and table.loc[last, "problem"], name
        assert store.before("1998-01-04").run_id == weekly[0].run_id  # type: ignore[union-attr]
        with locked(store.folder), pytest.raises(StoreError, match="damaged"):
            publish(store, store.find(last), roll_back=True)
        shutil.rmtree(store.folder / "runs" / last)
        kept.rename(store.folder / "runs" / last)
    assert store.find("latest").looked_through().status == "published"


def test_every_byte_counts(folder: Path) -> None:
    """Of the bytes of a run any one may change: what is not found then is white space of a record."""
    store, chosen = open_store(folder / "runs"), random.Random(1)  # noqa: S311
    last = store.find("latest").run_id
    listed = files(folder)
    weights = [path.stat().st_size for path in listed]
    found = 0
    for path in [*chosen.choices(listed, weights, k=FLIPS - len(listed)), *listed]:
        content = bytearray(path.read_bytes())
        place = chosen.randrange(len(content))
        content[place] ^= 1 << chosen.randrange(8)
        before = path.with_name("before")
        path.rename(before)
        path.write_bytes(content)
        row = run_table(store).set_index("run_id").loc[last]
        found += row["status"] == "damaged"
        if row["status"] != "damaged":
            assert path.name == "run.json" and json.loads(content) == json.loads(before.read_bytes())
        path.unlink()
        before.rename(path)
    assert found >= FLIPS - 1


CHANGES: dict[str, Callable[[Path], Any]] = {
    "a record with values of another type": lambda run: changed(run / "run.json", value=None, sources=None),
    "orders of zeros": lambda run: zeros(sorted((run / "orders").iterdir())[3]),
    "a model of zeros": lambda run: zeros(next((run / "model").iterdir())),
    "a certificate that is another": lambda run: another_kind(next((run / "certificate").glob("*.json"))),
    "a manifest with values of another type": lambda run: changed(run / "manifest.json", tables=[1], as_of=7),
    "a link to nowhere": lambda run: (shutil.rmtree(run), run.symlink_to("nowhere")),
}


def changed(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("change", CHANGES)
def test_the_next_run_passes_over_it(folder: Path, change: str, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    last = Path(os.readlink("runs/latest")).name
    CHANGES[change](folder / "runs" / "runs" / last)
    code, out, err = run(monkeypatch, capsys, "runs")
    assert code == 0 and "damaged" in out and "Traceback" not in err
    code, out, err = run(monkeypatch, capsys, "compare", DAYS[0], DAYS[1])
    assert code in (1, 2) and "Traceback" not in err and out == ""
    made = reforecast("clv.toml", as_of="1997-12-28")
    assert made.published and "damaged_run" in made.alerts["name"].tolist()
    assert made.record["previous"] not in (None, last)


@pytest.mark.parametrize("name", ["run.json", "manifest.json"])
def test_an_unsealed_run_of_before_is_judged_by_its_types(folder: Path, name: str) -> None:
    """Runs of 0.5 had no sum of their record."""
    run_folder = (folder / "runs" / "latest").resolve()
    record = json.loads((run_folder / "run.json").read_text())
    for key in ("checksum", "contents_checksum"):
        del record[key]
    (run_folder / "run.json").write_text(json.dumps(record | {"schema_version": 1}))
    store = open_store(folder / "runs")
    assert store.find("latest").status == "published"
    content = json.loads((run_folder / name).read_text())
    for key, value in content.items():
        for other in (None, 7.5, "x", [1], {"a": 1}, True):
            (run_folder / name).write_text(json.dumps(content | {key: other}))
            assert len(run_table(store, every_byte=False)) == 2
            try:
                clv.read_run(run_folder)
            except ClvForecastError as error:
                assert "Traceback" not in str(error)
            assert store.earlier("1998-01-04")
        (run_folder / name).write_text(json.dumps(content | {key: value}))
