"""The configuration as a file that explains itself: every key, defaults commented out.

Values as TOML writes them.

Every key of the configuration with its default and its meaning, in the order of the file.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from clv_forecast.errors import DomainError
from clv_forecast.ranking.grading import Grading
from clv_forecast.runs.configuration.configuration import Configuration
from clv_forecast.runs.configuration.section import section_of

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: Any) -> str:
    """Write one value, tables and lists on one line.

    Parameters
    ----------
    value : bool, int, float, str, date, mapping, list or tuple

    Raises
    ------
    DomainError
        If TOML has no such value.

    Examples
    --------
    >>> toml_value(("a", 1, 0.5, True)), toml_value({"EUR": 1, "U S": 0.92})
    ('["a", 1, 0.5, true]', '{EUR = 1, "U S" = 0.92}')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml_key(str(key))} = {toml_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    raise DomainError("TOML has no such value.", value=type(value).__name__)


def toml_string(text: str) -> str:
    r"""Write text between quotation marks.

    Examples
    --------
    >>> print(toml_string('a "b" \\ c'))
    "a \"b\" \\ c"
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """Write a key, in quotation marks where it needs them.

    Examples
    --------
    >>> toml_key("region"), toml_key("sales region")
    ('region', '"sales region"')
    """
    return name if _BARE.fullmatch(name) else toml_string(name)


LISTED: Final = ("sources",)
"""Tables of which there may be several: ``[[sources]]``."""
BY_OWN_RULES: Final = ("grading",)
"""Tables whose keys are those of another object of this package."""

TOP: Final = "(top)"
NONE: Final = "none"
REQUIRED: Final = "required"
_GRADING: Final = {
    "weights": "Columns to grade by and their weights; only the ratios matter.",
    "cuts": "Least points of each grade, 0 to 100; the last begins at 0.",
    "lower_is_better": "Columns of which less is better.",
    "least_weight": "Share of the weight that must be known of an account to grade it.",
    "cut_on": 'Whether cuts are points of the "score", or shares of accounts ("place").',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of the configuration.

    Parameters
    ----------
    section : str
        Dotted name of its table; empty at the top.
    name : str
    meaning : str
    default, example : object
        None where there is none.
    required : bool
    """

    section: str
    name: str
    meaning: str
    default: Any
    example: Any
    required: bool

    @property
    def value(self) -> Any:
        """What stands in the file when nothing is said: the default, else the example."""
        return self.example if self.default is None else self.default


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of the configuration.

    Parameters
    ----------
    name : str
        Dotted; empty at the top.
    meaning : str
    optional : bool
        Whether it may be missing, which says something else than an empty one.
    keys : tuple of Key
    """

    name: str
    meaning: str
    optional: bool
    keys: tuple[Key, ...]

    @property
    def header(self) -> str:
        """As it stands in the file; empty at the top."""
        if not self.name:
            return ""
        return f"[[{self.name}]]" if self.name in LISTED else f"[{self.name}]"


def tables(root: type[BaseModel] = Configuration) -> tuple[Table, ...]:
    """All tables of the configuration, with their keys.

    Examples
    --------
    >>> [table.header for table in tables()][:4]
    ['', '[[sources]]', '[log]', '[rates]']
    """
    return tuple(_tables(root, "", "", optional=False))


def configuration_reference() -> pd.DataFrame:
    """Every key of the configuration: table, key, default and meaning.

    Returns
    -------
    DataFrame
        The default as TOML writes it; "required" or "none" where there is none.

    Examples
    --------
    >>> reference = configuration_reference().set_index(["table", "key"])
    >>> reference.loc[("[gates]", "rows_ratio"), "default"]
    '0.98'
    """
    rows = []
    for table in tables():
        for key in table.keys:
            default = NONE if key.default is None else toml_value(key.default)
            rows.append(
                {
                    "table": table.header or TOP,
                    "key": key.name,
                    "default": REQUIRED if key.required else default,
                    "meaning": key.meaning,
                }
            )
    return pd.DataFrame(rows)


def _tables(section: type[BaseModel], name: str, meaning: str, *, optional: bool) -> Iterator[Table]:
    """The table of a section, and then those below it."""
    fields = {field.alias or key: field for key, field in section.model_fields.items()}
    below = {key: found for key, field in fields.items() if (found := section_of(field.annotation)) is not None}
    own = [key for key in fields if key not in below and key not in BY_OWN_RULES]
    yield Table(
        name=name,
        meaning=meaning,
        optional=optional,
        keys=tuple(_key_of(name, key, fields[key]) for key in own),
    )
    for key, described in fields.items():
        path = f"{name}.{key}" if name else key
        if key in below:
            yield from _tables(below[key], path, str(described.description), optional=described.default is None)
        elif key in BY_OWN_RULES:
            yield _grading_table(path, str(described.description))


def _key_of(section: str, name: str, field: FieldInfo) -> Key:
    return Key(
        section=section,
        name=name,
        meaning=str(field.description),
        default=None if field.default is PydanticUndefined else field.default,
        example=field.examples[0] if field.examples else None,
        required=field.is_required(),
    )


def _grading_table(name: str, meaning: str) -> Table:
    defaults = Grading(weights={"value": 1.0})
    keys = tuple(
        Key(
            section=name,
            name=key,
            meaning=said,
            default=None if key == "weights" else getattr(defaults, key),
            example={"value": 3, "cagr": 1} if key == "weights" else None,
            required=key == "weights",
        )
        for key, said in _GRADING.items()
    )
    return Table(name=name, meaning=meaning, optional=True, keys=keys)


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
