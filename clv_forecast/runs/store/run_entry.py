"""One run of a store: what its folder says of itself, read without trusting it.

What ``run.json`` may hold: its fields with their types, and the sum that tells when something has changed it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NotRequired, TypedDict

import pandas as pd
from pydantic import ConfigDict, TypeAdapter, ValidationError

from clv_forecast.arguments import read_only
from clv_forecast.errors import DomainError, StoreError
from clv_forecast.files import finite, json_text
from clv_forecast.report.stored_run import MANIFEST, StoredRun, files_of, read_run

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


CONTENTS: Final = "contents.json"
"""Size and checksum of each file of a run but its record, which has the checksum of this list."""
Status = Literal["published", "held", "damaged"]
_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """A run as the store lists it. Made by the methods of ``RunStore``.

    Parameters
    ----------
    run_id : str
    folder : Path
    as_of : Timestamp or None
        Last day of its log; None when its record cannot be read.
    status : {"published", "held", "damaged"}
    current : bool
        Whether ``latest`` points at it.
    record : mapping
        Content of ``run.json``; empty when it cannot be read.
    problem : str
        Why it is damaged; empty for other runs.
    """

    run_id: str
    folder: Path
    as_of: pd.Timestamp | None
    status: Status
    current: bool
    record: Mapping[str, Any]
    problem: str = ""

    @property
    def order(self) -> tuple[pd.Timestamp, str, str]:
        """What runs are sorted by: the day, then the start, then the id."""
        return self.as_of or pd.Timestamp.min, str(self.record.get("started", "")), self.run_id

    def read(self) -> StoredRun:
        """Open the run.

        Raises
        ------
        StoreError
            If it is damaged.
        """
        self.check()
        return read_run(self.folder)

    def looked_through(self) -> RunEntry:
        """The same after every byte was read and compared with its checksum: damaged where something has changed."""
        problem = self.problem or _changed_bytes(self.folder)
        return replace(self, status="damaged", problem=problem) if problem else self

    def check(self, *, every_byte: bool = False) -> None:
        """Refuse a damaged run; with ``every_byte`` its files are read and compared with their checksums.

        Raises
        ------
        StoreError
            If the run is damaged.
        """
        problem = (self.looked_through() if every_byte else self).problem
        if problem:
            raise StoreError(
                "The run is damaged.",
                value=f"{self.run_id}: {problem.rstrip('.')}",
                remedy="Run it again for the same day, or publish another run: `clv-forecast runs` lists them.",
            )


def check_run_id(run_id: str) -> None:
    """Refuse an id that is no plain name of a folder.

    Raises
    ------
    DomainError
        If it is not 1 to 100 letters, digits, dots, hyphens and underscores, or is the word ``latest``.

    Examples
    --------
    >>> check_run_id("2026-03-31_1f2e3d")
    >>> check_run_id("../elsewhere")
    Traceback (most recent call last):
    ...
    clv_forecast.errors.DomainError: The id of a run is letters, digits, dots, hyphens and underscores. Got: '../elsewhere'.
    """  # noqa: E501
    if not is_run_id(run_id):
        raise DomainError("The id of a run is letters, digits, dots, hyphens and underscores.", value=repr(run_id))


def is_run_id(run_id: object) -> bool:
    """Whether this is a plain name of a folder."""
    return isinstance(run_id, str) and _RUN_ID.fullmatch(run_id) is not None and run_id != "latest"


def check_run(folder: Path) -> None:
    """Refuse a damaged run by its folder; one that no store has put in place has no sums, and is not looked at.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    if (folder / CONTENTS).exists() or (folder / RECORD).exists():
        read_entry(folder, "published", current=False).check(every_byte=True)


def foreign_files(folder: Path) -> list[str]:
    """Files, links and folders in the folder of a run that the run did not come with.

    Where the list of its files is lost, all but those of its manifest.
    """
    try:
        known = {RECORD, CONTENTS, *_contents(folder)}
        known |= set() if len(known) > 2 else {MANIFEST, *files_of(folder)}
    except StoreError:
        known = {RECORD, CONTENTS}
    folders = {parent.as_posix() for name in known for parent in Path(name).parents}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    plain = {name for name, path in found.items() if path.is_file() and not path.is_symlink() and name in known}
    plain |= {name for name, path in found.items() if path.is_dir() and not path.is_symlink() and name in folders}
    return sorted(found.keys() - plain)


def read_entry(folder: Path, status: Status, *, current: bool) -> RunEntry:
    """Read what a folder of the store holds; whatever is wrong with it is told, not raised."""
    entry = RunEntry(
        run_id=folder.name, folder=folder, as_of=None, status=status, current=current, record=_NOTHING, problem=""
    )
    try:
        if folder.is_symlink() or not folder.is_dir():
            raise StoreError("The run is no folder of the store's own.")
        contents = folder / CONTENTS
        record = read_record(folder, contents.read_bytes() if contents.exists() else None)
        entry = replace(entry, as_of=day_of(record), record=read_only(record))
        read_run(folder)
        problem = _changed_sizes(folder) or _links_in(folder)
    except StoreError as error:
        problem = str(error)
    except (OSError, ValueError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}"
    return replace(entry, status="damaged", problem=problem) if problem else entry


def seal(folder: Path) -> None:
    """Write down size and checksum of each file of a run, and the checksum of that list in its record.

    Raises
    ------
    OSError
        If a file cannot be read or written.
    StoreError
        If the record is missing, or not that of the run.
    """
    files = {
        path.relative_to(folder).as_posix(): [path.stat().st_size, _checksum(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in (RECORD, CONTENTS)
    }
    contents = (json_text(files, indent=1) + "\n").encode("ascii")
    record = read_record(folder, None, is_sealed=False)
    (folder / CONTENTS).write_bytes(contents)
    (folder / RECORD).write_bytes(sealed(record, contents))


def sealed_record(record: Mapping[str, Any], folder: Path) -> bytes:
    """Another record for the run in ``folder``, as it is written."""
    return sealed(record, (folder / CONTENTS).read_bytes() if (folder / CONTENTS).exists() else None)


def _contents(folder: Path) -> dict[str, list[Any]]:
    """Size and checksum by name; empty for a run that has none written down."""
    path = folder / CONTENTS
    if not path.exists():
        return {}
    try:
        return {
            str(name): [int(size), str(checksum)] for name, (size, checksum) in json.loads(path.read_text()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"{CONTENTS} cannot be read.", value=error) from error


def _changed_sizes(folder: Path) -> str:
    """Files that are missing or of another length than when the run was put in place, in words."""
    for name, (size, _) in _contents(folder).items():
        path = folder / name
        if path.is_symlink():
            return f"{name} is a link"
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes instead of {size}"
    return ""


def _links_in(folder: Path) -> str:
    """Links in a run, which has none of its own."""
    links = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink()]
    return f"{', '.join(sorted(links))}: a link where a file was" if links else ""


def _changed_bytes(folder: Path) -> str:
    try:
        changed = [name for name, (_, checksum) in _contents(folder).items() if _checksum(folder / name) != checksum]
    except (OSError, StoreError) as error:
        return str(error)
    return f"{', '.join(changed)}: other bytes than when the run was made" if changed else ""


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
