"""Imports run one way, down the floors, read from the syntax tree (also inside functions)."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

PACKAGE = "clv_forecast"
ROOT = Path(__file__).parents[1]
FLOORS = (
    {
        "arguments",
        "column_titles",
        "columns",
        "errors",
        "files",
        "notebook_html",
        "printable",
        "progress",
        "records",
        "streams",
        "threads",
        "units",
    },
    {"tables"},
    {"models", "simulation"},
    {"history"},
    {"history.consolidation"},
    {"inference"},
    {"forecasting"},
    {"interchange"},
    {"evaluation"},
    {"ranking"},
    {"finance"},
    {"figures"},
    {"report"},
    {"runs.comparison"},
    {"runs.configuration"},
    {"runs.store"},
    {"runs.reforecasting"},
    {"runs"},
    {""},  # the package's own __init__
    {"demo"},
    {"cli_output"},
    {"cli", "__main__"},
)
# The floors would allow it; the design does not
APART = {("history", "models")}
CATCH_ALL = {"util", "utils", "helper", "helpers", "misc", "common"}
LONGEST_MODULE = 600


@cache
def sources() -> dict[str, str]:
    """Text of each module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def loading_only(tree: ast.Module) -> ast.Module:
    """Take out what stands under ``if TYPE_CHECKING:``, which names types and loads nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    return tree


def imported(name: str, tree: ast.Module, modules: Iterable[str], packages: Iterable[str]) -> set[str]:
    """Modules of the package that the module ``name`` imports, anywhere in its text."""
    modules = set(modules)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                above = parts[: len(parts) - node.level + (name in packages)]
                base = ".".join([*above, *([base] if base else [])])
            children = {f"{base}.{alias.name}" for alias in node.names}
            found |= children & modules
            if children - modules:
                found.add(base)
    return {target for target in found if target == PACKAGE or target.startswith(f"{PACKAGE}.")} - {name}


@cache
def imports_of_the_package(*, types: bool = True) -> dict[str, set[str]]:
    """What each module of the package imports."""
    return imports(sources(), types=types)


def imports(texts: Mapping[str, str], *, types: bool = True) -> dict[str, set[str]]:
    """What each module imports; ``types=False`` leaves out what is imported for type checking only."""
    packages = {name for name in texts if any(other.startswith(f"{name}.") for other in texts)}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    return {
        name: imported(name, tree if types else loading_only(tree), texts, packages) for name, tree in trees.items()
    }


SUBROOMS = {name for names in FLOORS for name in names if "." in name}


def part_of(module: str) -> str:
    """Which room of the package: ``"models"`` for ``clv_forecast.models.bg_nbd``, ``""`` for the package itself."""
    _, room, subroom, *_ = [*module.split("."), "", ""]
    return f"{room}.{subroom}" if f"{room}.{subroom}" in SUBROOMS else room


def floor(module: str) -> int:
    part = part_of(module)
    for level, names in enumerate(FLOORS):
        if part in names:
            return level
    raise AssertionError(f"{module} stands on no floor: give it one in FLOORS.")


def upward(edges: Mapping[str, set[str]]) -> list[str]:
    return [
        f"{name} imports {target}"
        for name, targets in edges.items()
        for target in sorted(targets)
        if floor(target) > floor(name) or (part_of(name), part_of(target)) in APART
    ]


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """Modules in a circle: what is left when ends, which import or are imported by nothing left, are taken away."""
    left = dict(edges)
    while True:
        targets = set().union(*left.values())
        ends = [name for name in left if not left[name] & left.keys() or name not in targets]
        if not ends:
            return sorted(left)
        for name in ends:
            del left[name]


def test_imports_run_downwards() -> None:
    assert upward(imports_of_the_package()) == []


def test_no_circles() -> None:
    assert circle(imports_of_the_package(types=False)) == []


def test_every_package_of_the_floors_is_seen() -> None:
    assert {name.split(".")[1] for name in sources() if "." in name} >= FLOORS[0] | {"models", "history"}
    assert any(len(targets) > 1 for targets in imports_of_the_package().values())


@pytest.mark.parametrize("name", sources())
def test_size_and_name(name: str) -> None:
    assert len(sources()[name].splitlines()) <= LONGEST_MODULE
    assert not CATCH_ALL & set(name.split("."))


MADE_UP = {"clv_forecast": "", "clv_forecast.models": "", "clv_forecast.history": "", "clv_forecast.errors": ""}


@pytest.mark.parametrize(
    ("name", "text", "flagged"),
    [
        ("errors", "import clv_forecast.models", True),
        ("errors", "from clv_forecast import models", True),
        ("errors", "from clv_forecast import load_cdnow", True),
        ("models.bg_nbd", "def f():\n    from clv_forecast.history import load_cdnow", True),
        ("models.bg_nbd", "from ..history import load_cdnow", True),
        ("models.bg_nbd", "from .. import history", True),
        ("history.summary", "from clv_forecast import models", True),
        ("models.bg_nbd", "from clv_forecast import errors\nfrom . import registry\nimport numpy", False),
        ("inference.fit", "from clv_forecast.history import load_cdnow\nfrom ..models import registry", False),
    ],
)
def test_the_checker_flags_upward_imports(name: str, text: str, flagged: bool) -> None:
    edges = imports(MADE_UP | {f"clv_forecast.{name}": text})
    assert bool(upward(edges)) is flagged


def test_the_checker_flags_circles_and_strangers() -> None:
    texts = {
        "clv_forecast.models": "",
        "clv_forecast.models.a": "from . import b",
        "clv_forecast.models.b": "def f():\n    import clv_forecast.models.c",
        "clv_forecast.models.c": "from clv_forecast.models.a import x",
        "clv_forecast.models.d": "from . import a",
        "clv_forecast.models.e": "",
    }
    assert circle(imports(texts)) == [f"clv_forecast.models.{letter}" for letter in "abc"]
    assert circle(imports(texts | {"clv_forecast.models.c": ""})) == []
    for_types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from clv_forecast.models.a import x"
    assert circle(imports(texts | {"clv_forecast.models.c": for_types}, types=False)) == []
    assert circle(imports(texts | {"clv_forecast.models.c": for_types})) != []
    with pytest.raises(AssertionError, match="no floor"):
        upward(imports({"clv_forecast.attic": "", "clv_forecast": "from clv_forecast.attic import x"}))
