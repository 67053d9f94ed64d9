"""Every test of a figure leaves matplotlib as it found it, but for the figures it opened, which are closed here."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import pytest
from matplotlib import pyplot

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    pyplot.close("all")
    yield
    pyplot.close("all")
