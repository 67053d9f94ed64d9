"""The configuration as a file that explains itself: every key, defaults commented out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from clv_forecast.configuration.configuration_keys import LISTED, Key, Table, tables
from clv_forecast.configuration.toml_text import toml_value

_WIDTH: Final = 100
TO_COPY: Final = " " * 5
"""How lines begin that are not wrapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What one table of the file says.

    Parameters
    ----------
    values : mapping of str to object
        Keys that are given.
    why : mapping of str to str
        Sentences above a key, given or not.
    note : str
        Above the table.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def commented_file(head: Sequence[str], filled: Mapping[str, Filled | Sequence[Filled]]) -> str:
    r"""Write a configuration file.

    Parameters
    ----------
    head : sequence of str
        Paragraphs at the top.
    filled : mapping of str to Filled or several
        By dotted name of the table, "" for the top; several for ``sources``.

    Returns
    -------
    str
        TOML. A line such as ``#seed = 1`` is a default or an example that may be uncommented.

    Examples
    --------
    >>> text = commented_file(["Ours."], {"sources": [Filled(values={"name": "shop", "path": "orders.csv"})]})
    >>> print("\n".join(text.splitlines()[:6]))
    # Ours.
    <BLANKLINE>
    # Title of the page and of the workbook.
    #title = "Customer lifetime value"
    <BLANKLINE>
    # Folder that the runs are kept in: a POSIX file system, one host at a time.
    """
    parts = [_comment(paragraph) for paragraph in head]
    for table in tables():
        said = filled.get(table.name, Filled())
        listed = [said] if isinstance(said, Filled) else list(said)
        parts += [_table(table, one, explained=place == 0) for place, one in enumerate(listed)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(table: Table, said: Filled, *, explained: bool) -> str:
    open_table = bool(said.values) or not table.optional
    lines: list[str] = []
    if table.header:
        lines = [_comment(table.meaning)] if explained else []
        lines += [_comment(said.note)] if said.note else []
        lines.append(table.header if open_table else f"#{table.header}")
    keys = [_key(key, said, explained) for key in table.keys if explained or key.name in {*said.values, *said.why}]
    between = "\n\n" if explained and not table.optional and table.name not in LISTED else "\n"
    start = "\n".join(lines)
    body = between.join(keys)
    return f"{start}\n{body}" if start else body


def _key(key: Key, said: Filled, explained: bool) -> str:
    told = [key.meaning] if explained else []
    told += [said.why[key.name]] if key.name in said.why else []
    comment = f"{_comment(' '.join(told))}\n" if told else ""
    if key.name in said.values:
        return f"{comment}{key.name} = {toml_value(said.values[key.name])}"
    return f"{comment}#{key.name} = {toml_value(key.value)}"


def _comment(text: str) -> str:
    """Text as comments; a line that begins with many blanks is one to copy, and stays whole."""
    lines: list[str] = []
    for line in text.split("\n"):
        printable = "".join(sign if sign.isprintable() else " " for sign in line)
        whole = printable.startswith(TO_COPY)
        lines += [printable] if whole else _wrapped(printable)
    return "\n".join(f"# {line}".rstrip() for line in lines)


def _wrapped(text: str) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False, subsequent_indent=indent) or [""]
