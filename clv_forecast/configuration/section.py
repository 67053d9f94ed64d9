"""What every section of the configuration is: strict, frozen, and without unknown keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationInfo, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from clv_forecast.arguments import finite_number
from clv_forecast.errors import ClvForecastError, DomainError
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
