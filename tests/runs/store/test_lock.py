"""One run at a time: by the system's lock, which ends with its holder, whatever that leaves in the file."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clv_forecast.errors import DomainError, LockedError, StoreError
from clv_forecast.runs.store import lock
from clv_forecast.runs.store.lock import Holder, check_locked, locked
from clv_forecast.runs.store.store import RunStore, open_store

# Takes the lock of the store named by its argument, then waits: as the verb does, without the seconds of its imports
HOLDER = """
import importlib.util, sys, time, types, pathlib
errors = types.ModuleType("clv_forecast.errors")
for name in ("DomainError", "LockedError", "StoreError"):
    setattr(errors, name, type(name, (Exception,), {}))
sys.modules["clv_forecast"] = types.ModuleType("clv_forecast")
sys.modules["clv_forecast.errors"] = errors
spec = importlib.util.spec_from_file_location("lock", sys.argv[1])
lock = sys.modules["lock"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lock)
store = types.SimpleNamespace(folder=pathlib.Path(sys.argv[2]))
with lock.locked(store.folder, run="as of 2026-03-31"):
    print("locked", flush=True)
    exec(sys.argv[3])
"""


def holder_of(store: RunStore) -> Holder | None:
    """Who is written in the lock's file; None when there is none or it is empty."""
    file = lock_file(store)
    return Holder(**json.loads(file.read_text())) if file.exists() and file.stat().st_size else None


def held_by_another(store: RunStore, then: str = "time.sleep(60)") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(lock.__file__), str(store.folder), then]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return open_store(tmp_path / "store")


def lock_file(store: RunStore) -> Path:
    return store.folder / ".lock"


def test_the_holder_is_named_and_lets_go(store: RunStore) -> None:
    assert holder_of(store) is None
    with locked(store.folder, run="as of 2026-03-31") as holder:
        assert (holder.pid, holder.host, holder.run) == (os.getpid(), socket.gethostname(), "as of 2026-03-31")
        assert holder_of(store) == holder
        check_locked(store.folder)
        with (
            pytest.raises(LockedError, match=rf"One run at a time.*process {os.getpid()} on .*as of 2026-03-31"),
            locked(store.folder),
        ):
            pass
        assert holder_of(store) == holder
    assert (holder_of(store), lock_file(store).read_bytes()) == (None, b"")
    with pytest.raises(DomainError, match="under its lock"):
        check_locked(store.folder)
    with locked(store.folder):
        pass


def test_an_error_in_the_block_lets_go(store: RunStore) -> None:
    with pytest.raises(KeyboardInterrupt), locked(store.folder):
        raise KeyboardInterrupt
    with locked(store.folder):
        pass


def test_another_process_holds_it_until_it_is_killed(store: RunStore, caplog: pytest.LogCaptureFixture) -> None:
    process = held_by_another(store)
    try:
        with (
            pytest.raises(
                LockedError, match=rf"process {process.pid} on .* since .* \(as of 2026-03-31\).*nothing was"
            ),
            locked(store.folder),
        ):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
    assert json.loads(lock_file(store).read_bytes())["pid"] == process.pid
    with caplog.at_level(logging.WARNING), locked(store.folder):
        assert holder_of(store).pid == os.getpid()  # type: ignore[union-attr]
    assert f"left behind by process {process.pid} on " in caplog.text
    caplog.clear()
    with locked(store.folder):
        pass
    assert caplog.text == ""


@pytest.mark.parametrize(
    "child",
    [
        "import subprocess; print(subprocess.Popen(['sleep', '60'], close_fds=False).pid, flush=True)",
        "import os\nif os.fork() == 0:\n    print(os.getpid(), flush=True)\n    time.sleep(60)",
    ],
)
def test_children_do_not_keep_it(store: RunStore, child: str) -> None:
    process = held_by_another(store, f"{child}\ntime.sleep(60)")
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    try:
        with pytest.raises(LockedError), locked(store.folder):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with locked(store.folder):
            os.kill(pid, 0)  # the child lives on
    finally:
        os.kill(pid, signal.SIGKILL)
        process.stdout.close()


def test_a_child_that_leaves_the_block_does_not_release_its_parents(store: RunStore) -> None:
    forked = "import os\npid = os.fork()\nif pid == 0:\n    sys.exit(0)\nos.waitpid(pid, 0)"
    then = f"{forked}\nprint('left', flush=True)\ntime.sleep(60)"
    process = held_by_another(store, then)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "left\n"
        with pytest.raises(LockedError, match=f"process {process.pid} "), locked(store.folder):
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_run_of_another_host_is_not_overtaken(store: RunStore, caplog: pytest.LogCaptureFixture) -> None:
    left = {"pid": 1, "host": "another", "started": "2026-03-31T06:00:00+00:00", "run": ""}
    lock_file(store).write_text(json.dumps(left))
    with pytest.raises(LockedError, match=r"process 1 on another since 2026.*delete .*\.lock"), locked(store.folder):
        pass
    assert json.loads(lock_file(store).read_bytes()) == left
    with caplog.at_level(logging.WARNING), locked(store.folder, take_over=True):
        assert "left behind by process 1 on another" in caplog.text
    with locked(store.folder):
        pass


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"pid": "x"}', b"\xff" * 10_000])
def test_a_file_that_cannot_be_read_is_taken(store: RunStore, content: bytes) -> None:
    lock_file(store).write_bytes(content)
    with locked(store.folder) as holder:
        assert holder_of(store) == holder


def test_a_full_disk_is_locked_without_a_name(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(code: int) -> None:
        def write(*_: object) -> int:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "pwrite", write)

    fails(errno.ENOSPC)
    with caplog.at_level(logging.WARNING), locked(store.folder):
        assert "The disk is full" in caplog.text
        check_locked(store.folder)
        with pytest.raises(LockedError, match="a process that did not write its name"), locked(store.folder):
            pass
    fails(errno.EIO)
    with pytest.raises(StoreError, match=r"lock of the store could not be written.*Check space"), locked(store.folder):
        pass
    monkeypatch.undo()
    with locked(store.folder):
        pass
    lock_file(store).unlink()
    lock_file(store).mkdir()
    with pytest.raises(StoreError, match="lock of the store could not be written"), locked(store.folder):
        pass


def test_two_at_once_take_turns(store: RunStore) -> None:
    first = held_by_another(store, "time.sleep(0.3)")
    waited = 0
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            with locked(store.folder):
                break
        except LockedError:
            waited += 1
            time.sleep(0.02)
    assert waited > 0
    assert first.wait() == 0
    first.stdout.close()  # type: ignore[union-attr]
