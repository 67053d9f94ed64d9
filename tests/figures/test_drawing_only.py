"""Figures draw from finished tables: they load no model, compute nothing, and load matplotlib on the first drawing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clv_forecast import figures

FOLDER = Path(figures.__file__).parent
MODULES = sorted(FOLDER.glob("*.py"))
ALLOWED = ("clv_forecast.errors", "clv_forecast.columns", "clv_forecast.figures", "clv_forecast.printable")
LIBRARIES = {"__future__", "collections", "math", "matplotlib", "numpy", "pandas", "textwrap", "typing"}
COMPUTING = {
    "mean", "std", "var", "median", "quantile", "percentile", "sum", "cumsum", "diff", "groupby", "agg", "histogram",
    "interp", "polyfit", "apply", "rolling", "exp", "log", "corr", "random", "default_rng", "hist", "boxplot",
}  # fmt: skip
SUM_OF_FLAGS = {("account_card", "sum")}  # how many of the rows are purchases


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module if node.module != "clv_forecast.figures" else "clv_forecast.figures"


def strangers(text: str) -> set[str]:
    names = set(imported(ast.parse(text)))
    return {
        name
        for name in names
        if not name.startswith(ALLOWED) and (name.partition(".")[0] not in LIBRARIES or "clv_forecast" in name)
    }


def computed(text: str, module: str) -> set[str]:
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return {name for name in called & COMPUTING if (module, name) not in SUM_OF_FLAGS}


def loads_matplotlib(text: str) -> bool:
    """Whether importing the module loads matplotlib: at its top level, outside of ``if TYPE_CHECKING``."""
    top = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return any(name.startswith("matplotlib") for node in top for name in imported(node))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_figures_only_draw(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert strangers(text) == set()
    assert computed(text, path.stem) == set()
    assert not loads_matplotlib(text)


def test_the_checks_can_fail() -> None:
    assert strangers("from clv_forecast.models import bg_nbd\nimport scipy") == {"clv_forecast.models", "scipy"}
    assert strangers("def f():\n    from clv_forecast.inference.model import Model") != set()
    assert computed("table['x'].mean()\nnp.quantile(x, .9)", "any") == {"mean", "quantile"}
    assert loads_matplotlib("from matplotlib import pyplot")
    assert not loads_matplotlib("def f():\n    from matplotlib import pyplot")


def test_importing_the_figures_loads_no_matplotlib() -> None:
    probe = "import clv_forecast.figures, sys; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "False"
