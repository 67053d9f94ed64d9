"""A skipped test must not be green where CI is set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPS = {
    "in the test": "import pytest\ndef test_a():\n    pytest.skip('no data')\n",
    "by a mark": "import pytest\n@pytest.mark.skip(reason='no data')\ndef test_a():\n    pass\n",
    "of the whole module": "import pytest\npytest.skip('no data', allow_module_level=True)\n",
}


def exit_code(source: str, folder: Path, *, ci: bool) -> int:
    (folder / "test_made_up.py").write_text(source)
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": "true"} if ci else {})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: S603
        [*command, "--rootdir", str(folder), "-c", os.devnull, str(folder / "test_made_up.py")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize("where", SKIPS)
def test_a_skip_fails_in_ci(where: str, tmp_path: Path) -> None:
    assert exit_code(SKIPS[where], tmp_path, ci=True) in {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}


def test_a_skip_passes_elsewhere_and_a_pass_passes_in_ci(tmp_path: Path) -> None:
    assert exit_code(SKIPS["in the test"], tmp_path, ci=False) == pytest.ExitCode.OK
    assert exit_code("def test_a():\n    pass\n", tmp_path, ci=True) == pytest.ExitCode.OK
    expected_to_fail = "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_a():\n    assert False\n"
    assert exit_code(expected_to_fail, tmp_path, ci=True) == pytest.ExitCode.OK
