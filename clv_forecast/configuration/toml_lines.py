"""On which line of a TOML text each table and key stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from clv_forecast.configuration.mistakes import Location

_PART: Final = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_SKIPPED: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[\[\]{}]|\n|[^"'#\[\]{}\n]+''',
    re.DOTALL,
)


def lines_of(text: str) -> dict[Location, int]:
    r"""Lines, from 1, of the tables and of the keys that begin a line; of a valid TOML text.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict
        From locations such as ``("sources", 1, "path")``.

    Examples
    --------
    >>> lines_of('seed = 1\n[[sources]]\nname = "shop"\n')
    {('seed',): 1, ('sources',): 2, ('sources', 0): 2, ('sources', 0, 'name'): 3}
    """
    found: dict[Location, int] = {}
    counts: dict[Location, int] = {}
    table: Location = ()
    for line, statement in _statements(text):
        stripped = statement.strip()
        if stripped.startswith("["):
            double = stripped.startswith("[[")
            names = _names(stripped[2 if double else 1 :])
            table = _numbered(names[:-1], counts) + names[-1:]
            found.setdefault(table, line)
            if double:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
                found[table] = line
        elif stripped and not stripped.startswith("#"):
            key = (*table, *_names(stripped))
            for length in range(len(table) + 1, len(key) + 1):
                found.setdefault(key[:length], line)
    return found


def line_of(location: Location, lines: Mapping[Location, int]) -> int | None:
    """Line of a place, or of the nearest table around it; None for the file as a whole."""
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return None


def _statements(text: str) -> list[tuple[int, str]]:
    """Headers and assignments, each whole, with the line it begins on."""
    found: list[tuple[int, str]] = []
    line, start, depth, current = 1, 1, 0, ""
    for match in _SKIPPED.finditer(text):
        piece = match[0]
        if piece == "\n" and depth == 0:
            found.append((start, current))
            current, start = "", line + 1
        elif not piece.startswith("#"):
            current += piece
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(piece, 0)
        line += piece.count("\n")
    return [*found, (start, current)]


def _names(text: str) -> tuple[str, ...]:
    """The dotted name that a text begins with."""
    names, place = [], 0
    while (match := _PART.match(text, place)) is not None:
        names.append(next(part for part in match.groups() if part is not None))
        place = match.end()
        if text[place : place + 1] != ".":
            break
        place += 1
    return tuple(names)


def _numbered(names: Location, counts: Mapping[Location, int]) -> Location:
    """A name with the number of the last element of each list of tables on its way."""
    place: Location = ()
    for name in names:
        place = (*place, name)
        if place in counts:
            place = (*place, counts[place])
    return place
