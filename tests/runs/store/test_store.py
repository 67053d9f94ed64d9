"""A store lists what it holds, puts complete runs in place in one step, and never lets ``latest`` point elsewhere."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from clv_forecast.errors import DomainError, StoreError
from clv_forecast.runs.store import durable_files, lock, store_place
from clv_forecast.runs.store import store as store_module
from clv_forecast.runs.store.lock import locked
from clv_forecast.runs.store.store import RunStore, open_store
from tests.runs.store.tiny_runs import kept, published, record, write_tiny_run


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return open_store(tmp_path / "store")


def latest_report(store: RunStore) -> str:
    return (store.folder / "latest" / "report.html").read_text()


def test_runs_are_listed_by_day_with_their_status(store: RunStore) -> None:
    published(store, "2026-01-31", "2026-02-28")
    kept(store, "2026-03-31", held=True)
    kept(store, "2025-12-31")
    table = store.table()
    assert table["run_id"].tolist() == ["2025-12-31", "2026-01-31", "2026-02-28", "2026-03-31"]
    assert table["status"].tolist() == ["published", "published", "published", "held"]
    assert table["current"].tolist() == [False, False, True, False]
    assert (table["as_of"] == pd.to_datetime(table["run_id"])).all()
    assert table["problem"].eq("").all()
    assert table["started"].iloc[0] == "2025-12-31T06:00:00+00:00"
    assert os.readlink(store.folder / "latest") == "runs/2026-02-28"
    assert store.entries()[2].read().table("forecast")["value"].tolist() == [1.5, 3.0, 4.5]
    assert open_store(store.folder, create=False).table().equals(table)


def test_an_empty_store(store: RunStore) -> None:
    assert (store.entries(), store.current(), store.before("2026-01-01")) == ((), None, None)
    assert store.table().dtypes["as_of"] == "datetime64[us]"
    with pytest.raises(DomainError, match="No run is published yet"):
        store.find("latest")
    with pytest.raises(DomainError, match=r"no such run.*'x'.*holds no runs"):
        store.find("x")
    with pytest.raises(StoreError, match=r"no store of runs.*clv-forecast run"):
        open_store(store.folder / "nowhere", create=False)
    assert not (store.folder / "nowhere").exists()


def test_find(store: RunStore) -> None:
    published(store, "2026-01-31", "2026-02-28")
    kept(store, "2026-02-28", held=True)
    assert store.find("latest").run_id == store.find("2026-02").run_id == "2026-02-28"
    assert store.find("2026-01-31").run_id == "2026-01-31"
    assert (store.find("2026-02").status, store.find("2026-02", held=True).status) == ("published", "held")
    with pytest.raises(DomainError, match=r"Several.*'2026'.*2026-01-31, 2026-02-28\?"):
        store.find("2026")
    with pytest.raises(DomainError, match=r"no such run.*Did you mean 2026-01-31"):
        store.find("2026-10-31")
    with pytest.raises(DomainError, match="no such run"):
        store.find("")
    with pytest.raises(DomainError, match="no such run"):
        store.find("2026-01-31", held=True)


def test_the_run_to_compare_with(store: RunStore) -> None:
    published(store, "2026-01-31", "2026-02-28", "2026-03-31")
    kept(store, "2026-04-15", held=True)
    assert [
        None if found is None else found.run_id
        for found in map(store.before, ("2026-01-31", "2026-02-01", "2026-03-31", "2026-04-30"))
    ] == [None, "2026-01-31", "2026-02-28", "2026-03-31"]
    with locked(store.folder):
        store.point("2026-01-31")
    assert store.before("2026-04-30").run_id == "2026-01-31"  # type: ignore[union-attr]
    (store.folder / "runs" / "2026-01-31" / "forecast.parquet").write_bytes(b"PAR1")
    assert store.before("2026-04-30").run_id == "2026-03-31"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("run.json", None, "run.json is missing"),
        ("run.json", b"{", "run.json cannot be read"),
        ("run.json", b"[" * 100_000, "run.json cannot be read"),
        ("run.json", b"[]", "not that of this run"),
        ("run.json", b'{"run_id": "other"}', "not that of this run"),
        ("run.json", b'{"run_id": "2026-01-31"}', "does not say the day"),
        ("run.json", b'{"run_id": "2026-01-31", "as_of": null}', "does not say the day"),
        ("run.json", b'{"run_id": "2026-01-31", "as_of": "soon"}', "does not say the day"),
        ("manifest.json", None, "no run in the folder"),
        ("manifest.json", b'{"kind": "clv_forecast run"', "manifest of the run is damaged"),
        ("manifest.json", b'{"kind": "clv_forecast run", "schema_version": 99, "tables": {}, "files": []}', "later"),
        ("forecast.parquet", None, "without forecast.parquet"),
        ("forecast.parquet", b"PAR1", "forecast.parquet has 4 bytes instead of"),
        ("run.json", b'{"run_id": "2026-01-31", "as_of": "2026-01-31", "value": 7}', "another type than .*: value"),
        ("run.json", b'{"run_id": "2026-01-31", "as_of": "2026-01-31", "left_out": NaN}', "run.json cannot be read"),
        ("run.json", b'{"run_id": "2026-01-31", "as_of": "2026-01-31", "checksum": "x"}', "run.json has changed"),
        ("run.json", b'{"run_id": "2026-01-31", "as_of": "2026-01-31", "schema_version": 2}', "run.json has changed"),
        ("contents.json", b'{"a": 1}', "list of the run's files has changed"),
        ("contents.json", None, "list of the run's files has changed"),
    ],
)
def test_damaged_runs_are_told_not_raised(store: RunStore, file: str, content: bytes | None, problem: str) -> None:
    published(store, "2026-01-31", "2026-02-28")
    path = store.folder / "runs" / "2026-01-31" / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    entry = store.entries()[0]
    assert (entry.run_id, entry.status) == ("2026-01-31", "damaged")
    assert re.search(problem, entry.problem)
    with pytest.raises(StoreError, match="The run is damaged"):
        entry.read()
    with locked(store.folder), pytest.raises(StoreError, match="The run is damaged"):
        store.point("2026-01-31")
    assert store.table()["status"].tolist().count("damaged") == 1
    assert "2026-02-28" in latest_report(store)


def test_a_current_run_that_went_away_is_told(store: RunStore) -> None:
    published(store, "2026-01-31", "2026-02-28")
    shutil.rmtree(store.folder / "runs" / "2026-02-28")
    found = store.find("latest")
    assert (found.status, found.current) == ("damaged", True)
    assert store.current().status == "damaged"  # type: ignore[union-attr]
    assert store.before("2026-03-31").run_id == "2026-01-31"  # type: ignore[union-attr]
    with locked(store.folder), pytest.raises(DomainError, match="No run of this id is published"):
        store.point("2026-02-28")
    published(store, "2026-02-28")
    assert store.find("latest").status == "published"


def test_a_run_made_again_takes_the_place_of_the_earlier(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    published(store, "2026-01-31", "2026-02-28")
    with locked(store.folder):
        for exchanges in (True, False):
            if not exchanges:
                monkeypatch.setattr(durable_files, "_exchanged", lambda first, second: False)
            workspace = store.workspace("2026-01-31")
            again = pd.DataFrame({"a": [int(exchanges)]})
            write_tiny_run(workspace, "2026-01-31", "2026-01-31", tables={"again": again})
            store.keep(workspace, "2026-01-31", held=False)
            assert store.find("2026-01-31").read().table("again")["a"].tolist() == [int(exchanges)]
            assert [path.name for path in (store.folder / "runs").iterdir() if path.name.startswith(".")] == []
        workspace = store.workspace("2026-02-28")
        write_tiny_run(workspace, "2026-02-28", "2026-02-28")
        with pytest.raises(StoreError, match="cannot exchange two folders"):
            store.keep(workspace, "2026-02-28", held=False)
    assert store.find("latest").status == "published"


def test_the_current_run_is_replaced_without_a_gap(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    published(store, "2026-01-31")
    real, seen = durable_files._exchanged, []

    def watched(first: Path, second: Path) -> bool:
        seen.append(latest_report(store))
        done = real(first, second)
        seen.append(latest_report(store))
        return done

    monkeypatch.setattr(durable_files, "_exchanged", watched)
    with locked(store.folder):
        workspace = store.workspace("2026-01-31")
        write_tiny_run(workspace, "2026-01-31", "2026-01-31")
        (workspace / "report.html").write_text("made again")
        store.keep(workspace, "2026-01-31", held=False)
    assert seen == ["<p>2026-01-31</p>", "made again"]
    assert [*(store.folder / "work").iterdir()] == []


def test_only_complete_runs_are_kept(store: RunStore) -> None:
    with pytest.raises(DomainError, match="under its lock"):
        store.workspace("2026-01-31")
    with locked(store.folder):
        workspace = store.workspace("2026-01-31")
        with pytest.raises(StoreError, match=r"run\.json is missing"):
            store.keep(workspace, "2026-01-31", held=False)
        write_tiny_run(workspace, "2026-01-31", "2026-01-31")
        (workspace / "report.html").unlink()
        with pytest.raises(StoreError, match=r"without report\.html"):
            store.keep(workspace, "2026-01-31", held=False)
        write_tiny_run(workspace, "2026-02-28", "2026-02-28")
        with pytest.raises(StoreError, match="not that of this run"):
            store.keep(workspace, "2026-01-31", held=False)
        with pytest.raises(DomainError, match="from the workspace of its id"):
            store.keep(workspace, "2026-02-28", held=False)
        assert [*store.workspace("2026-01-31").iterdir()] == []
    assert store.entries() == ()


@pytest.mark.parametrize("run_id", ["", "..", ".hidden", "a/b", "/tmp/x", "latest", "a\nb", "x" * 101, "é"])  # noqa: S108
def test_ids_are_plain_names(store: RunStore, run_id: str) -> None:
    with locked(store.folder):
        for call in (store.workspace, store.point, lambda one: store.release(one, {})):
            with pytest.raises(DomainError, match="The id of a run is letters"):
                call(run_id)


def test_a_held_run_is_released(store: RunStore) -> None:
    published(store, "2026-01-31")
    kept(store, "2026-02-28", held=True)
    accepted = record("2026-02-28", "2026-02-28") | {"accepted": {"rows": "half a month, as expected"}}
    with locked(store.folder):
        with pytest.raises(DomainError, match="No run of this id is published"):
            store.point("2026-02-28")
        with pytest.raises(DomainError, match="No run of this id is held"):
            store.release("2026-01-31", record("2026-01-31", "2026-01-31"))
        with pytest.raises(DomainError, match="must be that of the run"):
            store.release("2026-02-28", record("2026-01-31", "2026-01-31"))
        entry = store.release("2026-02-28", accepted)
        assert (entry.status, entry.record["accepted"]) == ("published", {"rows": "half a month, as expected"})
        assert [one.status for one in store.entries()] == ["published", "published"]
        assert store.point("2026-02-28").current


def test_a_published_run_takes_the_place_of_the_held_one(store: RunStore) -> None:
    kept(store, "2026-01-31", held=True)
    kept(store, "2026-01-31")
    assert [one.status for one in store.entries()] == ["published"]


def test_a_damaged_run_is_not_released(store: RunStore) -> None:
    kept(store, "2026-01-31", held=True)
    (store.folder / "held" / "2026-01-31" / "forecast.parquet").unlink()
    with locked(store.folder), pytest.raises(StoreError, match="The run is damaged"):
        store.release("2026-01-31", record("2026-01-31", "2026-01-31"))


def test_bytes_changed_in_place_are_found(store: RunStore) -> None:
    entry = kept(store, "2026-01-31")
    entry.check(every_byte=True)
    path = entry.folder / "report.html"
    path.write_text(path.read_text().replace("2026", "2036"))
    assert store.entries()[0].status == "published"
    with pytest.raises(StoreError, match=r"report\.html: other bytes"):
        entry.check(every_byte=True)
    path.unlink()
    with pytest.raises(StoreError, match="No such file"):
        entry.check(every_byte=True)


def cut_off(store: RunStore, run_id: str) -> Path:
    """What a run leaves that is killed while it writes."""
    with locked(store.folder):
        half = store.workspace(run_id) / "half"
        half.write_text("written")
        lock._endings.clear()
        store_module._sessions.clear()
    return half.parents[1]


def test_leftovers_are_swept_under_the_lock_only(store: RunStore) -> None:
    published(store, "2026-01-31")
    left = cut_off(store, "2026-02-28")
    (store.folder / "work" / "2026-02-28").mkdir()
    (store.folder / "runs" / ".2026-01-31.old.x").mkdir()
    (store.folder / ".latest.x").symlink_to("runs/nowhere")
    (store.folder / "notes.txt").write_text("of the people who look after it")
    before = {path.name for path in store.folder.iterdir()}
    with pytest.raises(DomainError, match="under its lock"):
        store.sweep()
    with locked(store.folder):
        assert store.sweep() == (f"work/{left.name}",)
        assert store.sweep() == ()
    assert {path.name for path in store.folder.iterdir()} == before
    assert [path.name for path in (store.folder / "work").iterdir()] == ["2026-02-28"]
    assert store.find("latest").status == "published"


def test_runs_are_removed_but_not_the_current_one(store: RunStore) -> None:
    published(store, "2026-01-31", "2026-02-28")
    first, second = store.entries()
    with pytest.raises(DomainError, match="under its lock"):
        store.remove(first)
    with locked(store.folder):
        with pytest.raises(DomainError, match="current run is not removed"):
            store.remove(second)
        store.remove(first)
    assert [one.run_id for one in store.entries()] == ["2026-02-28"]
    assert [*(store.folder / "work").iterdir()] == []


def test_a_foreign_latest_is_not_replaced(store: RunStore) -> None:
    (store.folder / "latest").mkdir()
    (store.folder / "latest" / "thesis.txt").write_text("years of work")
    kept(store, "2026-01-31")
    with locked(store.folder), pytest.raises(StoreError, match="a link of the store's own"):
        store.point("2026-01-31")
    assert (store.folder / "latest" / "thesis.txt").exists()


def test_a_store_may_be_moved(store: RunStore, tmp_path: Path) -> None:
    published(store, "2026-01-31")
    moved = Path(store.folder.rename(tmp_path / "elsewhere"))
    assert open_store(moved).find("latest").read().as_of == pd.Timestamp("2026-01-31")


@pytest.mark.parametrize(
    "place", ["s3://bucket/runs", "gs://bucket", "abfss://x@y/z", "file:///srv/runs", "postgresql://host/db"]
)
def test_urls_are_refused(place: str) -> None:
    with pytest.raises(DomainError, match=r"^Supported store: a POSIX file system, one host at a time\. Got: "):
        open_store(place)


@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        ("nfs4", False),
        ("nfs", False),
        ("cifs", False),
        ("smb3", False),
        ("fuse.sshfs", False),
        ("fuse.s3fs", False),
        ("fuse.gcsfuse", False),
        ("ceph", False),
        ("ext4", True),
        ("xfs", True),
        ("overlay", True),
        ("fuse.fuse-overlayfs", True),
        ("9p", True),
    ],
)
def test_shared_file_systems_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, fits: bool
) -> None:
    deep = tmp_path / "with space"
    written = str(deep).replace(" ", "\\040")
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"rootfs / ext4 rw 0 0\nhost:/share {written} ext4 rw 0 0\nhost:/x {written} {kind} rw 0 0\nodd\n"
    )
    monkeypatch.setattr(store_place, "_MOUNTS", mounts)
    if fits:
        open_store(deep / "store")
    else:
        with pytest.raises(DomainError, match=rf"Supported store.*which lies on {kind}"):
            open_store(deep / "store")
        assert not deep.exists()
    open_store(tmp_path / "beside")


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("symlink", errno.EPERM, "Supported store"),
        ("rename", errno.ENOTSUP, "Supported store"),
        ("symlink", errno.EIO, r"could not be written.*space"),
    ],
)
def test_abilities_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, error: int, message: str
) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    store = open_store(tmp_path / "store")
    monkeypatch.setattr(os, function, lacking)
    with locked(store.folder), pytest.raises((DomainError, StoreError), match=message):
        store.workspace("2026-01-31")
    assert [*(store.folder / "work").iterdir()] == []


def test_leftovers_on_a_full_disk_can_be_removed(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    left = cut_off(store, "2026-02-28")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("mkdir", "symlink", "pwrite"):
        monkeypatch.setattr(os, name, full)
    again = open_store(store.folder)
    with locked(again.folder):
        assert again.sweep() == (f"work/{left.name}",)


def test_locks_that_do_not_exclude_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    store = open_store(tmp_path / "store")
    with locked(store.folder), pytest.raises(DomainError, match=r"Supported store.*locks do not exclude"):
        store.workspace("2026-01-31")


def test_other_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_place, "_POSIX", False)
    with pytest.raises(DomainError, match="Supported store"):
        open_store(tmp_path / "store")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StoreError, match=r"could not be written.*Check the path, space and rights"):
        open_store(tmp_path / "file" / "store")


def test_the_record_is_a_mapping_that_cannot_be_changed(store: RunStore) -> None:
    entry = kept(store, "2026-01-31")
    assert json.loads((entry.folder / "run.json").read_text()) == dict(entry.record)
    with pytest.raises(TypeError):
        entry.record["status"] = "held"  # type: ignore[index]
