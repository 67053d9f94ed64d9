"""A store touches nothing that it did not make: a table of what may stand where it works, and what it does then."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from clv_forecast.errors import ClvForecastError
from clv_forecast.runs.store import durable_files
from clv_forecast.runs.store.durable_files import MARK, own_names
from clv_forecast.runs.store.lock import locked
from clv_forecast.runs.store.publication import publish, retire
from clv_forecast.runs.store.store import RunStore, open_store
from tests.runs.store.tiny_runs import kept, published

PRECIOUS = "years of work"


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files below a folder with their rights and bytes; links are not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        told = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(told.st_mode) else b""
        found[path.relative_to(folder).as_posix()] = (told.st_mode, content)
    return found


def all_that_a_run_does(folder: Path, day: str = "2026-03-31") -> RunStore:
    """Open, lock, sweep, write, publish, remove what is no longer kept."""
    store = open_store(folder)
    with locked(store.folder):
        store.sweep()
        publish(store, kept(store, day), roll_back=True)
        retire(store, runs=1, held=0, months=0)
    return store


def write(path: Path, text: str = PRECIOUS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def linked(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


# What stands there before the first run (folder of the store, a folder beside it), and what the error says
REFUSED: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "a project": (lambda at, _: [write(at / ".git/HEAD"), write(at / ".env"), write(at / "work/thesis")], "other"),
    "one hidden file": (lambda at, _: write(at / ".netrc"), "holds other things"),
    "a file in work": (lambda at, _: write(at / "work/thesis"), "holds other things"),
    "a folder in runs": (lambda at, _: write(at / "runs/2026-01-31/thesis"), "holds other things"),
    "a file": (lambda at, _: write(at), "The store is a folder"),
    "work is a link": (lambda at, by: linked(at / "work", by), "not links"),
    "runs is a link": (lambda at, by: linked(at / "runs", by), "not links"),
    "held is a link": (lambda at, by: linked(at / "held", by), "not links"),
    "work is a file": (lambda at, _: write(at / "work"), "not links or files"),
    "the mark is a link": (lambda at, by: linked(at / MARK, by / "thesis"), "holds other things"),
    "the mark is a link to a mark": (
        lambda at, by: [write(by / "mark", "clv_forecast store 1\nruns/a\n"), linked(at / MARK, by / "mark")],
        "holds other things",
    ),
    "the mark is a folder": (lambda at, _: (at / MARK).mkdir(parents=True), "holds other things"),
    "the mark is a pipe": (lambda at, _: [at.mkdir(), os.mkfifo(at / MARK)], "holds other things"),
    "the lock is a link": (lambda at, by: [open_store(at), linked(at / ".lock", by / "thesis")], "it is a link"),
    "the lock is a link to nothing": (lambda at, by: [open_store(at), linked(at / ".lock", by / "new")], "is a link"),
    "the lock is a pipe": (lambda at, _: [open_store(at), os.mkfifo(at / ".lock")], "no.* regular file|could not"),
    "latest is a folder": (lambda at, _: [open_store(at), write(at / "latest/thesis")], "a link of the store's own"),
    "work became a link": (
        lambda at, by: [open_store(at), (at / "work").rmdir(), linked(at / "work", by)],
        "not links",
    ),
    "a folder with a record of something else": (
        lambda at, _: [
            write(at / "runs/exp1/run.json", "{}"),
            write(at / ".lock"),
            linked(at / "latest", Path("runs/e")),
        ],
        "holds other things",
    ),
    "an empty work and a lock of something else": (
        lambda at, _: [(at / "work").mkdir(parents=True), write(at / ".lock")],
        "holds other things",
    ),
    "an empty runs and a pointer of something else": (
        lambda at, by: [(at / "runs").mkdir(parents=True), linked(at / "latest", by)],
        "holds other things",
    ),
    "a run's place is taken": (lambda at, _: [open_store(at), write(at / "runs/2026-03-31/thesis")], "nothing stands"),
    "a run's place is a link": (
        lambda at, by: [open_store(at), linked(at / "runs/2026-03-31", by)],
        "nothing stands",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(tmp_path: Path, case: str) -> None:
    prepare, message = REFUSED[case]
    write(tmp_path / "beside" / "thesis")
    prepare(tmp_path / "store", tmp_path / "beside")
    before = contents(tmp_path)
    with pytest.raises(ClvForecastError, match=message):
        all_that_a_run_does(tmp_path / "store")
    after = contents(tmp_path)
    assert {name: after.get(name) for name in before if name != f"store/{MARK}"} == {
        name: value for name, value in before.items() if name != f"store/{MARK}"
    }


# What is put into a store that works, and what must still be there after runs, sweeping and retention
KEPT: dict[str, Callable[[RunStore, Path], object]] = {
    "notes beside the runs": lambda store, _: write(store.folder / "notes.txt"),
    "a hidden folder": lambda store, _: write(store.folder / ".git/HEAD"),
    "a folder in work": lambda store, _: write(store.folder / "work/thesis/chapter"),
    "a hidden file in work": lambda store, _: write(store.folder / "work/.thesis"),
    "a link in work": lambda store, by: linked(store.folder / "work/thesis", by),
    "a folder in runs": lambda store, _: write(store.folder / "runs/2020-01-31/thesis"),
    "a hidden folder in runs": lambda store, _: write(store.folder / "runs/.old/thesis"),
    "a link in runs": lambda store, by: linked(store.folder / "runs/2020-01-31", by),
    "a link in held": lambda store, by: linked(store.folder / "held/2020-01-31", by),
    "a run from a backup": lambda store, _: shutil.copytree(
        store.folder / "runs/2026-01-31", store.folder.parent / "elsewhere/2026-01-31"
    ),
    "lines in the list that lead elsewhere": lambda store, _: (store.folder / MARK).write_text(
        (store.folder / MARK).read_text() + "work/../../beside\n/etc\nruns/../../beside\n../beside\nwork/\nwork/..\n"
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_it_leaves_alone(tmp_path: Path, case: str) -> None:
    store = open_store(tmp_path / "store")
    published(store, "2026-01-31", "2026-02-28")
    write(tmp_path / "beside" / "thesis")
    before = contents(tmp_path)
    KEPT[case](store, tmp_path / "beside")
    new = {name: value for name, value in contents(tmp_path).items() if name not in before}
    all_that_a_run_does(store.folder)
    after = contents(tmp_path)
    assert {name: after.get(name) for name in new} == new
    assert after["beside/thesis"][1] == PRECIOUS.encode()
    assert store.find("latest").run_id == "2026-03-31"
    assert not (store.folder / "runs/2026-01-31").exists()  # the control: what is its own does go


def test_links_in_a_run_reach_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    published(store, "2026-01-31", "2026-02-28")
    write(tmp_path / "beside" / "thesis")
    report = store.folder / "runs/2026-01-31/report.html"
    report.unlink()
    report.symlink_to(tmp_path / "beside" / "thesis")
    linked(store.folder / "runs/2026-01-31/more", tmp_path / "beside")
    assert store.find("2026-01-31").status == "damaged"
    all_that_a_run_does(store.folder)
    assert (tmp_path / "beside" / "thesis").read_text() == PRECIOUS


def test_a_store_of_a_version_without_a_mark_is_taken_on(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    published(store, "2026-01-31", "2026-02-28")
    write(store.folder / "work/left-by-an-old-run/half")
    write(store.folder / "notes.txt")
    for broken in (None, b"", b"\0" * 100):
        (store.folder / MARK).unlink()
        if broken is not None:
            (store.folder / MARK).write_bytes(broken)
        again = open_store(store.folder)
        assert {"runs/2026-01-31", "runs/2026-02-28"} <= own_names(again.folder)
    all_that_a_run_does(store.folder)
    assert [one.run_id for one in store.entries()] == ["2026-02-28", "2026-03-31"]
    assert (store.folder / "work/left-by-an-old-run/half").exists()


@pytest.mark.parametrize(
    ("readers", "modes"), [("owner", (0o700, 0o600)), ("group", (0o750, 0o640)), ("everyone", (0o755, 0o644))]
)
def test_runs_are_for_their_readers_alone(tmp_path: Path, readers: str, modes: tuple[int, int]) -> None:
    old = os.umask(0)
    try:
        store = open_store(tmp_path / "store", readable_by=readers)  # type: ignore[arg-type]
        published(store, "2026-01-31")
        with locked(store.folder):
            store.release(kept(store, "2026-02-28", held=True).run_id, dict(store.find("2026-02-28").record))
            assert stat.S_IMODE(store.workspace("2026-03-31").stat().st_mode) == 0o700
    finally:
        os.umask(old)
    for path in [store.folder, *store.folder.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        own = path.name in (MARK, ".lock")
        assert path.is_symlink() or mode == (0o600 if own else modes[0] if path.is_dir() else modes[1]), path


def test_what_is_put_into_a_run_keeps_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(tmp_path / "store")
    published(store, "2026-01-31", "2026-02-28")
    write(store.folder / "runs/2026-01-31/my notes/thesis")
    all_that_a_run_does(store.folder)
    assert (store.folder / "runs/2026-01-31/my notes/thesis").read_text() == PRECIOUS
    assert "stays, since it holds other things: my notes" in caplog.text


@pytest.mark.parametrize("other", ["a folder", "a file", "a link", "notes in the run"])
def test_what_took_the_place_of_a_run_is_kept(tmp_path: Path, other: str) -> None:
    store = open_store(tmp_path / "store")
    published(store, "2026-01-31", "2026-02-28")
    place = store.folder / "runs/2026-02-28"
    if other != "notes in the run":
        shutil.rmtree(place)
    write(tmp_path / "beside" / "thesis")
    if other == "a link":
        place.symlink_to(tmp_path / "beside")
    else:
        write(place if other == "a file" else place / "thesis")
    all_that_a_run_does(store.folder, "2026-02-28")
    assert store.find("latest").looked_through().status == "published"
    kept_aside = next((store.folder / "runs").glob(".2026-02-28.kept-*"))
    assert (kept_aside if other == "a file" else kept_aside / "thesis").read_text() == PRECIOUS


def test_files_shared_by_hard_links_stay_what_they_are(tmp_path: Path) -> None:
    """A copy of the store by ``cp -al``, and files of someone else under the names of the store's own."""
    store = open_store(tmp_path / "store")
    published(store, "2026-01-31", "2026-02-28")
    backup = tmp_path / "backup"
    shutil.copytree(store.folder, backup, symlinks=True, copy_function=os.link)
    before = contents(backup)
    all_that_a_run_does(store.folder)
    assert contents(backup) == before
    for name in (".lock", MARK):
        (store.folder / name).unlink()
        write(tmp_path / "thesis")
        os.link(tmp_path / "thesis", store.folder / name)
        with contextlib.suppress(ClvForecastError):
            all_that_a_run_does(store.folder, "2026-04-30")
        assert (tmp_path / "thesis").read_text() == PRECIOUS
        (store.folder / name).unlink()


def test_readers_of_a_new_run_do_not_read_shared_files_elsewhere(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    published(store, "2026-01-31")
    shared = tmp_path / "backup.html"
    os.link(store.folder / "runs/2026-01-31/report.html", shared)
    opened = open_store(store.folder, readable_by="everyone")
    opened.let_read(store.folder / "runs/2026-01-31")
    assert stat.S_IMODE(shared.stat().st_mode) == 0o600
    assert stat.S_IMODE((store.folder / "runs/2026-01-31/report.html").stat().st_mode) == 0o644
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o755


def test_a_mount_in_a_run_is_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root may mount, so that here a folder says of itself that it lies on another device."""
    store = open_store(tmp_path / "store")
    published(store, "2026-01-31", "2026-02-28")
    inside = store.folder / "runs/2026-01-31/mnt"
    write(inside / "thesis")
    real = Path.lstat

    def on_another_device(path: Path) -> os.stat_result:
        found = list(real(path))
        found[stat.ST_DEV] += path == inside
        return os.stat_result(found)

    monkeypatch.setattr(Path, "lstat", on_another_device)
    durable_files.remove_tree(store.folder / "runs/2026-01-31")
    all_that_a_run_does(store.folder)
    assert (inside / "thesis").read_text() == PRECIOUS
    monkeypatch.undo()
    durable_files.remove_tree(store.folder / "runs/2026-01-31")  # the control
    assert not inside.exists()
