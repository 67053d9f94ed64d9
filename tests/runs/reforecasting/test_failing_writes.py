"""Whichever write of a run fails, the run says so in a sentence, and the last good one stays published."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ALIKE = "2"


@pytest.mark.slow
def test_every_kind_of_write_fails_once(tmp_path: Path) -> None:
    """All of some 180 writes: ``python -m tests.runs.reforecasting.failing_writes FOLDER``."""
    command = [sys.executable, "-m", "tests.runs.reforecasting.failing_writes", str(tmp_path), ALIKE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.get("broken", 0) == 0, done.stderr
    assert found["failed"] > 25 and found["failed"] + found["unharmed"] == found["writes"]
