"""Wherever a run is killed or the disk fills up, ``latest`` points at a complete run and the next run succeeds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROUNDS = "5"


def counted(folder: Path, *hows: str) -> dict[str, dict[str, int]]:
    command = [sys.executable, "-W", "error", "-m", "tests.runs.store.killed_runs", str(folder), *hows]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    print(found, done.stderr[-2000:])
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """Some 15 s of CPU: a process is forked for each of some 150 operations at which a run is cut off."""
    return counted(tmp_path_factory.mktemp("killed"), "killed", "full", "once", ROUNDS, "naive")


@pytest.mark.parametrize("how", ["killed", "full", "once"])
def test_cut_off_at_every_operation(found: dict[str, dict[str, int]], how: str) -> None:
    assert found[how].get("broken", 0) == found[how]["failed"] == 0
    assert all(found[how][kind] >= 12 for kind in ("new", "again", "held"))


def test_killed_at_random_moments(found: dict[str, dict[str, int]]) -> None:
    assert found[ROUNDS].get("broken", 0) == found[ROUNDS]["failed"] == 0
    assert found[ROUNDS]["killed"] + found[ROUNDS].get("done", 0) == int(ROUNDS)


def test_a_pointer_that_moves_in_two_steps_is_seen(found: dict[str, dict[str, int]]) -> None:
    assert found["naive"]["broken"] > 0


@pytest.mark.slow
def test_killed_at_many_random_moments(tmp_path: Path) -> None:
    """Folder, pointer and database; half a second of CPU for each kill."""
    found = counted(tmp_path, "60")["60"]
    assert found.get("broken", 0) == found["failed"] == 0
    assert found["killed"] + found.get("done", 0) == 60
    assert found["killed"] > 30
