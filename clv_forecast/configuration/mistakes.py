"""Mistakes in a configuration: which key, on which line, what is wrong, and the nearest key that exists."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from clv_forecast.arguments import with_a_point
from clv_forecast.configuration.section import no_such_key
from clv_forecast.printable import printable, without_logins
from clv_forecast.tables.connection_url import is_url

Location = tuple[str | int, ...]
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST: Final = 60
_WORDS: Final[Mapping[str, str]] = {
    "missing": "It is required.",
    "string_type": "It must be text.",
    "int_type": "It must be a whole number.",
    "float_type": "It must be a number.",
    "finite_number": "It must be a finite number.",
    "bool_type": "It must be true or false.",
    "tuple_type": "It must be a list.",
}
_TABLES: Final = ("model_type", "model_attributes_type", "dict_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake.

    Parameters
    ----------
    location : tuple of str or int
        Names of tables and keys, and places in lists.
    text : str
    """

    location: Location
    text: str


def dotted(location: Location) -> str:
    """Write a place in the configuration as its reader would name it.

    Examples
    --------
    >>> dotted(("sources", 1, "colum")), dotted(("rates", "of", "E U"))
    ('sources[1].colum', "rates.of.'E U'")
    """
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE.fullmatch(part) else repr(_shown(part))
            text += f".{name}" if text else name
    return text or "the file"


def mistakes_in(error: ValidationError, root: type[BaseModel]) -> list[Mistake]:
    """All mistakes of a validation, in the words of this package; nothing secret is shown.

    Parameters
    ----------
    error : ValidationError
    root : type
        What was to be made.
    """
    found = []
    for one in error.errors(include_url=False):
        location = tuple(one["loc"])
        between = one.get("ctx", {}).get("found")
        if between is not None:
            found += [
                Mistake(
                    location=(*location, *(_parts(key) if isinstance(key, str) else key)), text=without_logins(text)
                )
                for key, text in between
            ]
        elif one["type"] == "extra_forbidden":
            found.append(Mistake(location=location, text=_unknown(location, root)))
        else:
            found.append(Mistake(location=location, text=_sentence(one, location)))
    return found


def _sentence(one: Mapping[str, Any], location: Location) -> str:
    kind = one["type"]
    if kind == "value_error":
        text = str(one["ctx"]["error"])
        return printable(text if text.endswith((".", "?", "'", '"')) else f"{text}.")
    if kind in _TABLES:
        where = next((part for part in reversed(location) if isinstance(part, str)), "")
        text = (
            f"It must be a table: [[{where}]]." if isinstance(location[-1], int) else f"It must be a table: [{where}]."
        )
    elif kind == "tuple_type" and location == ("sources",):
        text = "It must be a list of tables: write [[sources]] above each."
    else:
        text = _WORDS.get(kind, str(one["msg"]).replace("Input should be", "It must be").rstrip(".") + ".")
    value = one.get("input")
    secret = bool(location) and isinstance(location[-1], str) and location[-1].endswith("url")
    if kind == "missing" or secret or isinstance(value, (Mapping, list, tuple)):
        return text
    return f"{text} Got: {_written(value)}. {with_a_point(value)}".rstrip()


def _unknown(location: Location, root: type[BaseModel]) -> str:
    name, section = str(location[-1]), _section_at(location[:-1], root)
    told = no_such_key(name, () if section is None else known_keys(section))
    elsewhere = [key for key in all_keys(root) if key.rpartition(".")[2] == name]
    if "Nearest" not in told and elsewhere:
        return f"There is no such key here. It belongs to {elsewhere[0]}."
    return told


def known_keys(section: type[BaseModel]) -> tuple[str, ...]:
    """Names of a section's keys, as they are written."""
    return tuple(field.alias or name for name, field in section.model_fields.items())


def all_keys(section: type[BaseModel], place: str = "") -> Iterator[str]:
    """Dotted names of all keys of a section and of those below, in their order."""
    for name, field in section.model_fields.items():
        below = section_of(field.annotation)
        key = f"{place}{field.alias or name}"
        yield key
        if below is not None:
            yield from all_keys(below, f"{key}.")


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section in a field's type, if it holds one: itself, optional, or a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := section_of(part)) is not None), None)


def _section_at(location: Location, root: type[BaseModel]) -> type[BaseModel] | None:
    section: type[BaseModel] | None = root
    for part in location:
        if isinstance(part, int):
            continue
        fields = {} if section is None else {f.alias or name: f for name, f in section.model_fields.items()}
        if part not in fields:
            return None
        section = section_of(fields[part].annotation)
    return section


def _parts(key: str) -> Location:
    """A dotted key of this package's own as its parts."""
    return tuple(int(number) if number else name for name, number in re.findall(r"([A-Za-z_]+)|\[(\d+)\]", key))


def _written(value: Any) -> str:
    try:
        return repr(_shown(value)) if isinstance(value, str) else _shown(repr(value))
    except ValueError:  # an integer of thousands of digits
        return "a number too large to show"


def _shown(text: str) -> str:
    """A text of the file, cut to a readable length; of one with a URL, nothing that could be its login."""
    if is_url(text):
        return "a text with a URL"
    text = printable(without_logins(text))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
