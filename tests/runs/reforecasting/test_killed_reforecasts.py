"""Whole scheduled runs, killed at random moments, with a database beside the folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KILLS = 10


@pytest.mark.slow
def test_killed_runs_leave_the_last_one_published_and_the_next_succeeds() -> None:
    """Two hundred kills: ``python benchmarks/killed_runs.py``."""
    command = [sys.executable, "benchmarks/killed_runs.py", "--kills", str(KILLS)]
    quiet = {"OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True, check=True)  # noqa: S603
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["broken"] == seen["failed"] == seen["next failed"] == 0, done.stderr
    assert seen["killed"] + seen.get("done", 0) == KILLS and seen["killed"] > KILLS // 2
    assert seen["next succeeded"] == KILLS // 5 and seen["control noticed"] == 1
