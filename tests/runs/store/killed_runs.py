"""Runs that are cut off, again and again, and what a reader finds after each: a program, so that it can fork safely.

``python -m tests.runs.store.killed_runs FOLDER HOW...``; HOW is ``killed`` (before each operation on a file in turn),
``full`` (the disk is full from each operation on in turn), ``once`` (each operation fails once in turn), a number
(killed that often at random moments, with a database) or ``naive`` (as ``killed``, with a pointer that moves in two
steps; the last). It prints one JSON object.
"""

from __future__ import annotations

import errno
import functools
import json
import logging
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from clv_forecast.errors import StoreError
from clv_forecast.runs.store import database_session, store
from clv_forecast.runs.store.database import result_database
from clv_forecast.runs.store.durable_files import writing
from clv_forecast.runs.store.lock import locked
from clv_forecast.runs.store.publication import publish, retire
from clv_forecast.runs.store.run_entry import RunEntry
from tests.runs.store.tiny_runs import record, write_tiny_run

FIRST = pd.Timestamp("2026-01-04")
OPERATIONS = {
    "ctypes.dlopen",  # before two folders are exchanged
    "os.chmod",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
}
KINDS = ("new", "again", "held")
FULL = 3
ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS)
locked_now = False


def run(folder: Path, *, with_database: bool, kind: str = "new") -> None:
    """What a scheduled run does with its store: a week more, or the same week again, or one that is held first."""
    place = store.open_store(folder / "store")
    database = result_database(f"duckdb://{folder}/results.duckdb") if with_database else None
    global locked_now
    with locked(place.folder):
        locked_now = True
        place.sweep()
        current = place.current()
        day = (
            FIRST
            if current is None or current.as_of is None
            else current.as_of + pd.Timedelta(weeks=0 if kind == "again" else 1)
        )
        run_id = str(day.date())
        entry = _kept(place, run_id, held=False)
        if kind == "held":  # over one that was kept, but not published
            entry = _kept(place, run_id, held=True)
            entry = place.release(run_id, record(run_id, run_id) | {"accepted": {"rows": "known"}})
        publish(place, entry, database)
        retire(place, database, runs=2, held=1, months=0)


def _kept(place: store.RunStore, run_id: str, *, held: bool) -> RunEntry:
    workspace = place.workspace(run_id)
    with writing(workspace):  # as ``write_run`` does
        write_tiny_run(workspace, run_id, run_id)
    return place.keep(workspace, run_id, held=held)


def check(folder: Path, *, with_database: bool) -> None:
    """What must hold at any moment, for a reader who takes no lock."""
    place = store.open_store(folder / "store", create=False)
    entries = place.entries()
    assert not [entry.problem for entry in entries if entry.status == "damaged"], entries
    current = place.current()
    assert current is not None, "no current run"
    current.check(every_byte=True)
    assert (place.folder / "latest" / "report.html").read_text() == f"<p>{current.run_id}</p>"
    if with_database:
        assert len(current.read().table("forecast")) == 3
        _check_view(folder, {entry.run_id for entry in entries if entry.status == "published"})


def _check_view(folder: Path, published: set[str]) -> None:
    database = result_database(f"duckdb://{folder}/results.duckdb")
    shown = database.current()
    assert shown is not None, "no current run in the database"
    assert shown[0] in published, f"the view shows {shown[0]}, which has no folder"
    with database_session.session(database.url) as at:
        rows = at.rows("SELECT count(*), count(DISTINCT customer_id), min(run_id) FROM clv.forecast_current")
    assert rows == [(3, 3, shown[0])], rows


def forked(work: Callable[[], object]) -> int:
    """Start ``work`` in a child; the child's exit code says whether it went well."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended(pid: int) -> int:
    """Exit code of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _writes(given: tuple[object, ...]) -> bool:
    flags = given[2] if len(given) > 2 else 0
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def cut_off(operation: int, work: Callable[[], None], how: str) -> Callable[[], None]:
    """``work``, killed before its n-th operation on a file, or with that operation failing, and those after it."""

    def work_cut_off() -> None:
        seen = 0

        def hook(event: str, given: tuple[object, ...]) -> None:
            nonlocal seen
            # the number of operations differs with where the run before was killed: a certain moment could be missed
            elsewhere = how == "naive" and not any(str(one).endswith("/latest") for one in given[:2])
            if locked_now and not elsewhere and (event in OPERATIONS or (event == "open" and _writes(given))):
                seen += 1
                if seen == operation and how in ("killed", "naive"):
                    os.kill(os.getpid(), signal.SIGKILL)
                if seen >= operation and how == "full" and event in ("open", "os.mkdir", "os.symlink"):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if seen == operation and how == "once":
                    code = ERRORS[operation % len(ERRORS)]
                    raise OSError(code, os.strerror(code))

        sys.addaudithook(hook)
        try:
            work()
        except StoreError as error:
            assert how not in ("killed", "naive") and "Check" in str(error)
            assert how == "once" or "No space left" in str(error)
            os._exit(FULL)
        if seen >= operation:  # what failed was no loss
            os._exit(FULL)

    return work_cut_off


def naive_link(link: Path, target: str, _scratch: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def everywhere(folder: Path, kinds: tuple[str, ...], how: str) -> Counter[str]:
    """Cut each kind of run off at each of its operations in turn, each time checking."""
    found: Counter[str] = Counter()
    expected = -signal.SIGKILL if how in ("killed", "naive") else FULL
    for kind in kinds:
        work = functools.partial(run, folder, with_database=False, kind=kind)
        operation, code = 0, expected
        while code == expected:
            operation += 1
            code = ended(forked(cut_off(operation, work, how)))
            found[kind] += code == expected
            try:
                check(folder, with_database=False)
            except AssertionError:
                traceback.print_exc()
                found["broken"] += 1
        found["failed"] += code != 0
    return found


def anytime(folder: Path, rounds: int) -> Counter[str]:
    """Kill runs at random moments, each time checking; at the end one is left alone."""
    found: Counter[str] = Counter()
    begun = time.monotonic()
    found["failed"] += ended(forked(lambda: run(folder, with_database=True)))
    usual = time.monotonic() - begun
    moments = random.Random(1)  # noqa: S311
    for _ in range(rounds):
        pid = forked(functools.partial(run, folder, with_database=True, kind=moments.choice(KINDS)))
        time.sleep(moments.uniform(0.0, usual))
        os.kill(pid, signal.SIGKILL)
        code = ended(pid)
        found["killed" if code == -signal.SIGKILL else "done" if code == 0 else "failed"] += 1
        found["broken"] += ended(forked(lambda: check(folder, with_database=True)))
    for work in (run, check):
        found["failed"] += ended(forked(functools.partial(work, folder, with_database=True)))
    return found


def main(folder: str, *hows: str) -> None:
    """Run it, and print what was counted."""
    os.fsync = lambda _: None  # a killed process loses nothing that was written; only a machine that stops does
    logging.disable()  # each run tells that the one before it was killed
    counted = {}
    for how in hows:
        place = Path(folder) / how
        ended(forked(functools.partial(run, place, with_database=how.isdigit())))
        if how == "naive":
            store.link_durably = naive_link
        if how.isdigit():
            counted[how] = anytime(place, int(how))
        else:
            counted[how] = everywhere(place, KINDS[:1] if how == "naive" else KINDS, how)
    print(json.dumps(counted))


if __name__ == "__main__":
    main(*sys.argv[1:])
