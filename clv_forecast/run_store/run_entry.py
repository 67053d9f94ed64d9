"""One run of a store: what its folder says of itself, read without trusting it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import pandas as pd

from clv_forecast.arguments import read_only
from clv_forecast.errors import DomainError, StoreError
from clv_forecast.json_text import json_text
from clv_forecast.report.stored_run import MANIFEST, StoredRun, files_of, read_run
from clv_forecast.run_store.run_record import RECORD, day_of, read_record, sealed

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
