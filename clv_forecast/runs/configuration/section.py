"""What every section of the configuration is: strict, frozen, and without unknown keys.

Mistakes in a configuration: which key, on which line, what is wrong, and the nearest key that exists.
"""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from clv_forecast.arguments import finite_number, with_a_point
from clv_forecast.errors import ClvForecastError, DomainError
from clv_forecast.printable import printable, without_logins
from clv_forecast.tables.connection_url import check_url, is_url, shown_url
from clv_forecast.units import Horizon

FOLDER = "folder"
"""Key of the validation context: the folder that relative paths start from."""


class Section(BaseModel):
    """A table of the configuration."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Fields for ``repr``: of URLs what may be shown."""
        for name, value in super().__repr_args__():
            yield name, shown_url(value) if str(name).endswith("url") and isinstance(value, str) else value


def no_such_key(name: str, known: Iterable[str]) -> str:
    """Say that a key is unknown, and which one may be meant.

    Examples
    --------
    >>> no_such_key("horizn", ["horizon", "draws"]), no_such_key("seed", ["horizon", "draws"])
    ('There is no such key. Nearest: horizon.', 'There is no such key. Known here: horizon, draws.')
    """
    listed = list(known)
    near = get_close_matches(name.casefold(), listed, n=1, cutoff=0.6)
    return f"There is no such key. {f'Nearest: {near[0]}' if near else f'Known here: {", ".join(listed)}'}."


def other_name(other: str, own: str) -> Any:
    """Validate a section whose key ``own`` may be written by another name too."""

    def renamed(given: Any) -> Any:
        if isinstance(given, Mapping) and other in given and own not in given:
            return {own if key == other else key: value for key, value in given.items()}
        return given

    return model_validator(mode="before")(renamed)


def refuse(mistakes: Iterable[tuple[str | tuple[str, ...], str]]) -> None:
    """Refuse a section for mistakes in it: each a key, dotted or its parts (empty: the section itself), and a sentence.

    Raises
    ------
    PydanticCustomError
        If there is a mistake.
    """
    found = list(mistakes)
    if found:
        raise PydanticCustomError("mistakes", "{text}", {"text": "; ".join(text for _, text in found), "found": found})


@dataclass(frozen=True, slots=True)
class Checked:
    """Validates a field by a check of this package, whose error becomes the key's."""

    check: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Nothing but the check; what it returns is written as it is."""
        return core_schema.no_info_plain_validator_function(self._validated)

    def _validated(self, value: Any) -> Any:
        try:
            return self.check(value)
        except ClvForecastError as error:
            raise ValueError(str(error)) from error
        except (OverflowError, RecursionError, TypeError) as error:  # a number too large, a list where a name belongs
            raise ValueError("The value is of no use here.") from error


def check_text(value: Any) -> str:
    """Return text that is there and can be printed.

    Raises
    ------
    DomainError
        Otherwise.

    Examples
    --------
    >>> check_text("customer_id")
    'customer_id'
    """
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise DomainError("It must be text, not empty, on one line.")
    return value


def check_names(value: Any) -> tuple[str, ...]:
    """Return one name or several as a tuple, each once.

    Raises
    ------
    DomainError
        If one is no text or stands twice.

    Examples
    --------
    >>> check_names("region"), check_names(["region", "segment"])
    (('region',), ('region', 'segment'))
    """
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)):
        raise DomainError("It must be a name, or a list of names.")
    names = tuple(check_text(name) for name in listed)
    if len(set(names)) < len(names):
        raise DomainError("Each name may stand once.", value=", ".join(names))
    return names


def check_length(value: Any) -> str:
    """Return a length of time as it is written.

    Raises
    ------
    DomainError
        If it is none.

    Examples
    --------
    >>> check_length("12 months")
    '12 months'
    """
    return Horizon.parse(value).label


def number_or_off(lowest: float, highest: float) -> Checked:
    """Validate a threshold, above ``lowest`` and at most ``highest``, or ``false``, which turns it off."""

    def check(value: Any) -> float | bool:
        if value is False:
            return False
        if isinstance(value, bool) or not lowest < finite_number(value, "A threshold") <= highest:
            domain = f"above {lowest:g}" + ("" if highest == float("inf") else f" and at most {highest:g}")
            raise DomainError(f"It must be a number {domain}, or false, which turns it off.", value=repr(value))
        return float(value)

    return Checked(check)


def _path(value: str, info: ValidationInfo) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("A path must not be empty and stands on one line.")
    if is_url(value):
        store = "Supported store: a POSIX file system, one host at a time."
        raise ValueError(store if info.field_name == "store" else "A path leads to files; write a connection as url.")
    folder = (info.context or {}).get(FOLDER)
    expanded = os.path.expanduser(value)
    return expanded if folder is None else os.path.normpath(os.path.join(folder, expanded))


def _url(value: str) -> str:
    try:
        return check_url(value)
    except ClvForecastError as error:
        raise ValueError(str(error)) from error


Text = Annotated[str, Checked(check_text)]
Names = Annotated[tuple[str, ...], Checked(check_names)]
Length = Annotated[str, Checked(check_length)]
FilePath = Annotated[str, AfterValidator(_path)]
Url = Annotated[str, AfterValidator(_url)]


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
