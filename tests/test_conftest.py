"""A skipped test must not be green where CI is set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPS = {
    "in_the_test": "import pytest\ndef test_a():\n    pytest.skip('no data')\n",
    "by_a_mark": "import pytest\n@pytest.mark.skip(reason='no data')\ndef test_a():\n    pass\n",
    "of_the_whole_module": "import pytest\npytest.skip('no data', allow_module_level=True)\n",
}
PASSES = {
    "a_pass": "def test_a():\n    pass\n",
    "expected_to_fail": "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_a():\n    assert False\n",
}


def run(sources: dict[str, str], folder: Path, *, ci: bool) -> tuple[int, str]:
    """Exit code and report of one process of pytest for all modules: starting it takes longer than they do."""
    for name, source in sources.items():
        (folder / f"test_{name}.py").write_text(source)
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": "true"} if ci else {})
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: S603
        [*command, "--continue-on-collection-errors", "--rootdir", str(folder), "-c", os.devnull, str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def in_ci(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    return run(SKIPS | PASSES, tmp_path_factory.mktemp("in_ci"), ci=True)


def outcomes(report: str, name: str) -> list[str]:
    """What the summary says of a module, one word per line about it."""
    words = ("PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL", "XPASS")
    lines = [line for line in report.splitlines() if line.startswith(words)]
    return [line.split()[0] for line in lines if f"test_{name}.py" in line]


@pytest.mark.parametrize("where", SKIPS)
def test_a_skip_fails_in_ci(in_ci: tuple[int, str], where: str) -> None:
    code, report = in_ci
    assert code == pytest.ExitCode.TESTS_FAILED
    found = outcomes(report, where)
    assert found and set(found) <= {"FAILED", "ERROR"}


def test_a_pass_and_an_expected_failure_pass_in_ci(in_ci: tuple[int, str], tmp_path: Path) -> None:
    assert outcomes(in_ci[1], "a_pass") == ["PASSED"]
    assert outcomes(in_ci[1], "expected_to_fail") == ["XFAIL"]
    assert run(PASSES, tmp_path, ci=True)[0] == pytest.ExitCode.OK


def test_a_skip_passes_elsewhere(tmp_path: Path) -> None:
    assert run({"in_the_test": SKIPS["in_the_test"]}, tmp_path, ci=False)[0] == pytest.ExitCode.OK
