"""The verb ``read_run``: a run folder as an object that reads its tables when they are asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NotRequired, TypedDict

import pandas as pd
from pydantic import ConfigDict, TypeAdapter, ValidationError

from clv_forecast.errors import DomainError, StoreError
from clv_forecast.forecasting.stack import Stack
from clv_forecast.inference.model import Model
from clv_forecast.inference.storage import load_model
from clv_forecast.report.run_tables import read_table

KIND: Final = "clv_forecast run"
SCHEMA_VERSION: Final = 1
MANIFEST: Final = "manifest.json"
MODEL: Final = "model"
STACK: Final = "stack.json"
_REMEDY: Final = "Write the run again: write_run, `clv-forecast run`, or `clv-forecast demo`."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class StoredRun:
    """A run folder; its tables are read when they are asked for. Made by `write_run` and `read_run`.

    Parameters
    ----------
    folder : Path
    manifest : mapping
        What the run depends on: title, simulated, as_of, currency, unit, horizon, seed, draws, assumptions and their
        hash, versions, tables (rows and columns of each) and files.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables."""
        return tuple(self.manifest["tables"])

    @property
    def as_of(self) -> pd.Timestamp:
        """Last day of the log."""
        return pd.Timestamp(self.manifest["as_of"])

    @property
    def has_model(self) -> bool:
        """Whether the model was stored too."""
        return (self.folder / MODEL).is_dir()

    def table(self, name: str, *, only: Sequence[str] | None = None) -> pd.DataFrame:
        """Read a table, or some columns of it.

        Raises
        ------
        DomainError
            If the run has no such table.
        StoreError
            If its file is damaged.
        """
        return read_table(self._path(name), only=only)

    def rows_of(self, name: str, customer_id: Any) -> pd.DataFrame:
        """Read the rows of one customer; the others are passed over on the way.

        Raises
        ------
        DomainError
            If the run has no such table.
        StoreError
            If its file is damaged.
        """
        return read_table(self._path(name), customer_id=customer_id)

    def model(self) -> Model | Stack:
        """Read the model, or the stack of models, that the forecast was made with.

        Raises
        ------
        StoreError
            If it was not stored, or is damaged.
        """
        folder = self.folder / MODEL
        if not self.has_model:
            raise StoreError("The run holds no model.", value=self.folder, remedy="Write it with model=.")
        if not (folder / STACK).is_file():
            return load_model(folder)
        try:
            weights = tuple(map(float, json.loads((folder / STACK).read_text(encoding="utf-8"))["weights"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError("The stack of the run is damaged.", value=folder / STACK, remedy=_REMEDY) from error
        return Stack(
            models=tuple(load_model(folder / str(place)) for place in range(1, len(weights) + 1)), weights=weights
        )

    def __repr__(self) -> str:
        return f"<StoredRun {self.manifest['title']!r} as of {self.as_of.date()}: {len(self.tables)} tables>"

    def _path(self, name: str) -> Path:
        if name not in self.manifest["tables"]:
            raise DomainError("The run has no such table.", value=name, remedy=f"It has {', '.join(self.tables)}.")
        return self.folder / f"{name}.parquet"


class _Table(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]
    rows: int
    columns: list[str]


class _Manifest(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]
    schema_version: int
    tables: dict[str, _Table]
    files: list[str]
    title: NotRequired[str]
    as_of: NotRequired[str]
    currency: NotRequired[str | None]
    horizon: NotRequired[str]
    assumptions: NotRequired[dict[str, Any]]
    facts: NotRequired[dict[str, Any]]


def _read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest, believing nothing of it."""
    problem: object = path
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest.get("schema_version") == SCHEMA_VERSION:
            _manifests().validate_python(manifest)
            pd.Timestamp(manifest.get("as_of"))
        elif not isinstance(manifest.get("schema_version"), int):
            raise ValueError("schema_version")
        return {"tables": {}, "files": []} | dict(manifest)
    except ValidationError as error:
        problem = f"{path}: {'.'.join(map(str, error.errors()[0]['loc']))} is of another type than it was written with"
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        problem = f"{path}: {error}"
    raise StoreError("The manifest of the run is damaged.", value=problem, remedy=_REMEDY)


@cache
def _manifests() -> TypeAdapter[_Manifest]:
    return TypeAdapter(_Manifest)


def files_of(folder: Path) -> list[str]:
    """Names of the files that the manifest of a run names.

    Raises
    ------
    StoreError
        If the manifest is missing or damaged.
    """
    manifest = _read_manifest(folder / MANIFEST)
    return [*(f"{name}.parquet" for name in manifest["tables"]), *manifest["files"]]


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run, of whatever version."""
    return (folder / MANIFEST).is_file() and KIND in (folder / MANIFEST).read_text(encoding="utf-8", errors="replace")


def read_run(folder: str | os.PathLike[str]) -> StoredRun:
    """Open a run folder; nothing but its manifest is read yet.

    Parameters
    ----------
    folder : path
        What was given to ``write_run``.

    Returns
    -------
    StoredRun

    Raises
    ------
    StoreError
        If there is no run, a file of it is missing, or it is of another schema version.
    """
    place = Path(folder)
    if not place.is_dir() or not is_run(place):
        raise StoreError(
            "There is no run in the folder.",
            value=place,
            remedy="Name the folder of a run, or make one: `clv-forecast demo`, or write_run.",
        )
    manifest, files = _read_manifest(place / MANIFEST), files_of(place)
    version = manifest["schema_version"]
    if version != SCHEMA_VERSION:
        remedy = "It was written by a later clv_forecast: use that." if version > SCHEMA_VERSION else _REMEDY
        raise StoreError(f"A run of schema version {SCHEMA_VERSION} is read.", value=version, remedy=remedy)
    missing = [name for name in files if not (place / name).is_file()]
    if missing:
        raise StoreError("The run is not complete.", value=f"{place} without {', '.join(missing)}", remedy=_REMEDY)
    return StoredRun(folder=place, manifest=MappingProxyType(manifest))
