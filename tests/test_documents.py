"""The documents: no blank left unfilled, no link to a file that is not there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(ROOT.glob("*.md"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_complete(path):
    text = path.read_text(encoding="utf-8")
    assert "@@" not in text
    named = re.findall(r"`((?:benchmarks|notebooks|tests)/[\w./]+\.\w+)`|python ((?:benchmarks)/\w+\.py)", text)
    for first, second in named:
        assert (ROOT / (first or second)).exists(), first or second


def test_there_are_documents():
    assert {"README.md", "CHANGELOG.md"} <= {path.name for path in DOCUMENTS}
