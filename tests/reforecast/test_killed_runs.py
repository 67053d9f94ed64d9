"""Wherever a run is killed or the disk fills up, ``latest`` points at a complete run and the next run succeeds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def counted(folder: Path, how: str) -> dict[str, int]:
    command = [sys.executable, "-W", "error", "-m", "tests.reforecast.killed_runs", str(folder), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    print(how, found, done.stderr[-2000:])
    return found


@pytest.mark.parametrize("how", ["killed", "full"])
def test_cut_off_at_every_operation(tmp_path: Path, how: str) -> None:
    """Some 3 s of CPU each: a process is forked for each of some 60 operations."""
    found = counted(tmp_path, how)
    assert {kind: count for kind, count in found.items() if count and kind in ("broken", "failed")} == {}
    assert all(found[kind] >= 12 for kind in ("new", "again", "held"))


def test_a_pointer_that_moves_in_two_steps_is_seen(tmp_path: Path) -> None:
    assert counted(tmp_path, "naive")["broken"] > 0


@pytest.mark.parametrize("rounds", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_random_moments(tmp_path: Path, rounds: int) -> None:
    """Folder, pointer and database; half a second of CPU for each kill."""
    found = counted(tmp_path, str(rounds))
    assert found.get("broken", 0) == found["failed"] == 0
    assert found["killed"] + found.get("done", 0) == rounds
    assert found["killed"] > rounds // 2
