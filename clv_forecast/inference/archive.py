"""A folder that holds one saved object: JSON for what it means, NetCDF for arrays, checksums for both. No pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.atomic_folder import atomic_folder
from clv_forecast.errors import StoreError
from clv_forecast.json_text import finite, json_text

SCHEMA_VERSION: Final = 2
_READABLE: Final = (1, 2)
"""Version 1 held pooled draws only; what it lacks is missing in a model read from it."""
_MANIFEST: Final = "model.json"
_ARRAYS: Final = "draws.nc"
_EMPTY: Final = "empty_arrays"  # a dimension of length 0 would be read back as an unlimited one
_KIND: Final = "clv_forecast model"
_REMEDY: Final = "Restore the folder from a copy, or fit the model again and save it."


def write_archive(
    folder: str | os.PathLike[str], content: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]
) -> None:
    """Write content and arrays to ``folder``: aside first, then renamed, so that it is never half there.

    Parameters
    ----------
    folder : path
        Created, or replaced when it is empty or holds an archive already.
    content : mapping
        What JSON can hold; floats keep every bit.
    arrays : mapping
        Numbers of any shape; kept as float64.

    Raises
    ------
    StoreError
        If the folder exists and is not an archive, or cannot be written.
    """
    empty = {name: list(np.shape(values)) for name, values in arrays.items() if np.size(values) == 0}
    filled = {name: values for name, values in arrays.items() if name not in empty}
    with atomic_folder(folder, replaces=lambda older: (older / _MANIFEST).is_file()) as aside:
        _write_files(aside, {**content, _EMPTY: empty}, filled)


def read_archive(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Read what `write_archive` wrote, after checking it.

    Returns
    -------
    content : dict
    arrays : dict of ndarray

    Raises
    ------
    StoreError
        If a file is missing, cut short or changed, or the schema version is another.
    """
    source = Path(folder)
    manifest = _read_manifest(source)
    content = manifest["content"]
    data = _read_bytes(source / _ARRAYS)
    if hashlib.sha256(data).hexdigest() != manifest["arrays_sha256"]:
        raise StoreError("The arrays of a saved model must match their checksum.", value=_ARRAYS, remedy=_REMEDY)
    empty = content.pop(_EMPTY, {})
    return content, _from_netcdf(source / _ARRAYS) | {name: np.empty(shape) for name, shape in empty.items()}


def _read_manifest(source: Path) -> dict[str, Any]:
    if not source.is_dir():
        raise StoreError("There is no saved model at this path.", value=source, remedy="Check the path.")
    try:
        manifest = json.loads(_read_bytes(source / _MANIFEST))
    except ValueError as error:
        raise StoreError("The file of a saved model must be JSON.", value=_MANIFEST, remedy=_REMEDY) from error
    if not isinstance(manifest, dict) or manifest.get("kind") != _KIND:
        raise StoreError("The folder holds something other than a saved model.", value=source, remedy="Check the path.")
    if manifest.get("schema_version") not in _READABLE:
        raise StoreError(
            f"This version reads models of schema versions {' and '.join(map(str, _READABLE))}.",
            value=f"{manifest.get('schema_version')}, written by {manifest.get('written_by')}",
            remedy="Load it with the package version that wrote it, or fit the model again.",
        )
    if manifest.get("checksum") != _checksum(manifest):
        raise StoreError("The content of a saved model must match its checksum.", value=_MANIFEST, remedy=_REMEDY)
    return manifest


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError("A file of the saved model cannot be read.", value=path.name, remedy=_REMEDY) from error


def _write_files(aside: Path, content: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> None:
    _to_netcdf(aside / _ARRAYS, arrays)
    manifest = {
        "kind": _KIND,
        "schema_version": SCHEMA_VERSION,
        "content": dict(content),
        "arrays_sha256": hashlib.sha256((aside / _ARRAYS).read_bytes()).hexdigest(),
        "written_by": {name: version(name) for name in ("clv-forecast", "numpy", "scipy", "pandas")},
    }
    manifest["checksum"] = _checksum(manifest)
    (aside / _MANIFEST).write_text(json_text(manifest, indent=1), encoding="utf-8")
    for name in (_ARRAYS, _MANIFEST):
        with (aside / name).open("rb") as file:
            os.fsync(file.fileno())


def _checksum(manifest: Mapping[str, Any]) -> str:
    checked = {key: manifest.get(key) for key in ("kind", "schema_version", "content", "arrays_sha256")}
    text = json.dumps(finite(checked), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _to_netcdf(path: Path, arrays: Mapping[str, NDArray[np.float64]]) -> None:
    import xarray as xr

    dataset = xr.Dataset(
        {
            name: ([f"{name}_{axis}" for axis in range(np.ndim(values))], np.asarray(values, dtype=np.float64))
            for name, values in arrays.items()
        }
    )
    dataset.to_netcdf(path, engine="scipy")


def _from_netcdf(path: Path) -> dict[str, NDArray[np.float64]]:
    import xarray as xr

    with xr.open_dataset(path, engine="scipy", decode_times=False, mask_and_scale=False) as dataset:
        return {
            str(name): np.array(values.values, dtype=np.float64) for name, values in dataset.load().data_vars.items()
        }
