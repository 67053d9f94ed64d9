"""What ``run.json`` may hold: its fields with their types, and the sum that tells when something has changed it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict

import pandas as pd
from pydantic import ConfigDict, TypeAdapter, ValidationError

from clv_forecast.errors import StoreError
from clv_forecast.json_text import finite, json_text

RECORD: Final = "run.json"
SCHEMA_VERSION: Final = 2
"""From 2 on a record has the sum of itself and of the list of the run's files."""
_CHECKSUM: Final = "checksum"
_CONTENTS: Final = "contents_checksum"
_STRICT: Final = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Source(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    name: str
    lines: int
    money: float


class _Gate(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    name: str
    passed: bool
    sentence: str
    accepted: str


class _Alert(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    name: str
    found: float | None
    threshold: float | None
    sentence: str


class _Value(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    horizon: str
    currency: str | None
    prob: float
    customers: int
    value: float | None
    value_lower: float | None
    value_upper: float | None


class _Model(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    refitted: bool
    reason: str
    runs_since: int
    options: dict[str, Any]


class _Certificate(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    as_of: str | None
    runs_since: int
    reason: str
    standing: NotRequired[str | None]
    summary: NotRequired[str]


class _Record(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    run_id: str
    as_of: str
    schema_version: NotRequired[int]
    status: NotRequired[str]
    started: NotRequired[str]
    finished: NotRequired[str]
    previous: NotRequired[str | None]
    fingerprint: NotRequired[str]
    sources: NotRequired[list[_Source]]
    model: NotRequired[_Model]
    certificate: NotRequired[_Certificate]
    value: NotRequired[_Value]
    left_out: NotRequired[float | None]
    gates: NotRequired[list[_Gate]]
    alerts: NotRequired[list[_Alert]]
    notes: NotRequired[list[str]]
    configuration: NotRequired[dict[str, Any]]
    checksum: NotRequired[str]
    contents_checksum: NotRequired[str]


def read_record(folder: Path, contents: bytes | None, *, is_sealed: bool = True) -> dict[str, Any]:
    """Read the record of a run, believing nothing of it.

    Parameters
    ----------
    folder : Path
        Of the run.
    contents : bytes or None
        The list of its files, as it is on the disk.
    is_sealed : bool
        Whether it must have its sums; not before the run is put in place.

    Raises
    ------
    StoreError
        If there is none, it is of another run, has values of other types, or something has changed it or the list.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"), parse_constant=_no_number)
    except FileNotFoundError as error:
        raise StoreError(f"{RECORD} is missing.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{RECORD} cannot be read.", value=error) from error
    if not isinstance(record, dict) or record.get("run_id") != folder.name:
        raise StoreError(f"{RECORD} is not that of this run.")
    if _day(record.get("as_of")) is None:
        raise StoreError(f"{RECORD} does not say the day of the run.")
    try:
        _adapter().validate_python(record)
    except (ValidationError, RecursionError) as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) if isinstance(error, ValidationError) else "its depth"
        raise StoreError(f"{RECORD} holds values of another type than it was written with.", value=where) from None
    if not is_sealed:
        return record
    summed = _CHECKSUM in record or record.get("schema_version", 1) >= SCHEMA_VERSION
    if summed and record.get(_CHECKSUM) != _sum_of(record):
        raise StoreError(f"{RECORD} has changed since the run was made.")
    if summed and record.get(_CONTENTS) != _sum(contents):
        raise StoreError("The list of the run's files has changed since the run was made.")
    return record


def day_of(record: Mapping[str, Any]) -> pd.Timestamp:
    """Last day of the log of a record that `read_record` has read."""
    day = _day(record["as_of"])
    if day is None:
        raise StoreError(f"{RECORD} does not say the day of the run.")
    return day


def sealed(record: Mapping[str, Any], contents: bytes | None) -> bytes:
    """A record as it is written: with the sum of the list of files, and its own."""
    plain = {name: value for name, value in finite(record).items() if name != _CHECKSUM} | {_CONTENTS: _sum(contents)}
    return (json_text(plain | {_CHECKSUM: _sum_of(plain)}, indent=1) + "\n").encode("ascii")


def _sum_of(record: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in record.items() if name != _CHECKSUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def _sum(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _day(text: object) -> pd.Timestamp | None:
    try:
        day = pd.Timestamp(text) if isinstance(text, str) else pd.NaT
    except (ValueError, OverflowError):
        return None
    return None if pd.isna(day) else day.tz_localize(None)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


@cache
def _adapter() -> TypeAdapter[_Record]:
    return TypeAdapter(_Record)
