"""How the package is laid out: files, rooms, lines of code, modules with one importer, long argument lists, circles.

``python benchmarks/house.py [CHECKOUT ...]`` prints one column for each checkout (default: this one), such as one of
an earlier commit beside today's.
"""

from __future__ import annotations

import ast
import sys
import tokenize
from pathlib import Path

PACKAGE = "clv_forecast"
MOST_POSITIONAL = 3
COMPILED = ("njit", "vectorize")


def modules(root: Path) -> dict[str, Path]:
    """Each module of the package by its dotted name."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def lines_of_code(path: Path) -> int:
    """Lines that hold more than comments and docstrings."""
    docs: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docs |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    kept = set()
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
                kept |= set(range(token.start[0], token.end[0] + 1)) if token.string else set()
    return len(kept - docs)


def imports(found: dict[str, Path]) -> dict[str, set[str]]:
    """Modules of the package that each module imports, for types too."""
    edges: dict[str, set[str]] = {}
    for name, path in found.items():
        targets = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == PACKAGE:
                children = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= children & found.keys() or {node.module}
        edges[name] = targets & found.keys() - {name}
    return edges


def in_circles(edges: dict[str, set[str]]) -> int:
    """Modules left when ends, which import or are imported by nothing left, are taken away again and again."""
    left = dict(edges)
    while True:
        targets = set().union(*left.values())
        ends = [name for name in left if not left[name] & left.keys() or name not in targets]
        if not ends:
            return len(left)
        for name in ends:
            del left[name]


def over_the_limit(path: Path) -> int:
    """Functions with more positional parameters than allowed; compiled ones apart."""
    count = 0
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            compiled = any(word in ast.unparse(one) for one in node.decorator_list for word in COMPILED)
            names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
            own = names[1:] if names[:1] in (["self"], ["cls"]) else names
            count += not compiled and len(own) > MOST_POSITIONAL
    return count


def measured(root: Path) -> dict[str, int]:
    """All figures of one checkout."""
    found = modules(root)
    edges = imports(found)
    named = {name: path for name, path in found.items() if path.name != "__init__.py"}
    importers = {name: sum(name in targets for targets in edges.values()) for name in named}
    sizes = sorted(lines_of_code(path) for path in named.values())
    apart = ("models", "streams")
    return {
        "files": len(found),
        "rooms": sum(path.name == "__init__.py" for path in found.values()),
        "lines": sum(len(path.read_text(encoding="utf-8").splitlines()) for path in found.values()),
        "lines of code": sum(lines_of_code(path) for path in found.values()),
        "lines of code, median file": sizes[len(sizes) // 2],
        "modules with one importer": sum(count == 1 for count in importers.values()),
        "functions of more than three positional parameters": sum(
            over_the_limit(path) for name, path in found.items() if name.split(".")[1:2] not in ([one] for one in apart)
        ),
        "modules in circles": in_circles(edges),
    }


def main() -> None:
    """Print the figures, one column for each checkout."""
    roots = [Path(root).resolve() for root in sys.argv[1:]] or [Path(__file__).resolve().parents[1]]
    columns = [measured(root) for root in roots]
    print(f"{'':52}" + "".join(f"{root.name:>14}" for root in roots))
    for name in columns[0]:
        print(f"{name:52}" + "".join(f"{column[name]:>14,}" for column in columns))


if __name__ == "__main__":
    main()
