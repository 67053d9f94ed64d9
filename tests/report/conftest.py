"""Programs that read what a report writes: the tests open it as a user would."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

PACKAGES = {"chromium": "chromium", "chromedriver": "chromium-driver", "soffice": "libreoffice-calc-nogui"}


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Path of a program; where it is missing, skips, and fails under CI."""

    def path_of(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            advice = f"{name} is missing: install the Debian package {PACKAGES[name]}."
            (pytest.fail if os.environ.get("CI") else pytest.skip)(advice)
        return str(found)

    return path_of
