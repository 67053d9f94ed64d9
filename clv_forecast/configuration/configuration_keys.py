"""Every key of the configuration with its default and its meaning, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from clv_forecast.configuration.configuration import Configuration
from clv_forecast.configuration.mistakes import section_of
from clv_forecast.configuration.toml_text import toml_value
from clv_forecast.ranking.grading import Grading

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


def reference_markdown() -> str:
    r"""Write the reference as one Markdown table.

    Examples
    --------
    >>> print("\n".join(reference_markdown().splitlines()[:3]))
    | table | key | default | meaning |
    |---|---|---|---|
    | (top) | `title` | `"Customer lifetime value"` | Title of the page and of the workbook. |
    """
    lines = ["| table | key | default | meaning |", "|---|---|---|---|"]
    for row in configuration_reference().astype(str).to_dict("records"):
        table, default = row["table"], row["default"]
        cells = (
            table if table == TOP else f"`{table}`",
            f"`{row['key']}`",
            default if default in (NONE, REQUIRED) else f"`{default}`",
            row["meaning"],
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _tables(section: type[BaseModel], name: str, meaning: str, *, optional: bool) -> Iterator[Table]:
    """The table of a section, and then those below it."""
    fields = {field.alias or key: field for key, field in section.model_fields.items()}
    below = {key: found for key, field in fields.items() if (found := section_of(field.annotation)) is not None}
    own = [key for key in fields if key not in below and key not in BY_OWN_RULES]
    yield Table(
        name=name,
        meaning=meaning,
        optional=optional,
        keys=tuple(_key(name, key, fields[key]) for key in own),
    )
    for key, field in fields.items():
        path = f"{name}.{key}" if name else key
        if key in below:
            yield from _tables(below[key], path, str(field.description), optional=field.default is None)
        elif key in BY_OWN_RULES:
            yield _grading_table(path, str(field.description))


def _key(section: str, name: str, field: FieldInfo) -> Key:
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
