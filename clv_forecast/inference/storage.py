"""Saved models: `save` writes one to a folder, `load_model` reads it back.

A folder that holds one saved object: JSON for what it means, NetCDF for arrays, checksums for both. No pickle.

Fitted rows, hierarchies and chains as plain values and arrays, and back.

A model as plain values and back: what goes into its JSON and its arrays.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import ClvForecastError, StoreError
from clv_forecast.files import atomic_folder, finite, json_text
from clv_forecast.inference.draws import ParameterDraws, params_of_draws
from clv_forecast.inference.hierarchical.chains import Chains
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.structure import Assignment, Structure
from clv_forecast.inference.hierarchy import Hierarchy
from clv_forecast.inference.model import FittedRows, Model
from clv_forecast.inference.report import FitReport, PartReport
from clv_forecast.inference.sufficient import PurchaseRows, SpendRows
from clv_forecast.models import gamma_gamma, transaction_model
from clv_forecast.records import plain, rebuilt

if TYPE_CHECKING:
    pass


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


Arrays = dict[str, NDArray[Any]]
Encoded = tuple[dict[str, Any], Arrays]

_PURCHASE_ROWS: Final = ("frequency", "recency", "T", "weights", "cell")
_SPEND_ROWS: Final = ("n", "total", "sum_log", "weights", "cell")
_NO_ROW: Final = np.empty(0, dtype=np.intp)


def encode_rows(model: Model) -> Encoded:
    """The fitted rows; which customer was in which row is not kept."""
    if model.rows is None:
        return {"rows": None}, {}
    rows, assignment = model.rows, model.rows.assignment
    arrays = {f"rows_purchases_{name}": np.asarray(getattr(rows.purchases, name)) for name in _PURCHASE_ROWS}
    if rows.spend is not None:
        arrays |= {f"rows_spend_{name}": np.asarray(getattr(rows.spend, name)) for name in _SPEND_ROWS}
    content: dict[str, Any] = {"spend": rows.spend is not None, "labels": None}
    if assignment is not None:
        content["labels"] = assignment.labels.tolist()
        arrays |= {"assignment_codes": assignment.codes, "assignment_design": assignment.design}
    return {"rows": content}, arrays


def decode_rows(content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> FittedRows | None:
    """Read what `encode_rows` gave."""
    told = content.get("rows")
    if told is None:
        return None
    purchases = {name: arrays[f"rows_purchases_{name}"] for name in _PURCHASE_ROWS}
    spend = {name: arrays[f"rows_spend_{name}"] for name in _SPEND_ROWS} if told["spend"] else None
    assignment = None
    if told["labels"] is not None:
        codes = arrays["assignment_codes"].astype(np.intp)
        assignment = Assignment(
            cell=_NO_ROW,
            codes=codes,
            labels=np.array(told["labels"], dtype=object).reshape(codes.shape),
            design=arrays["assignment_design"],
        )
    return FittedRows(
        purchases=PurchaseRows(**_with_cells(purchases)),
        spend=None if spend is None else SpendRows(**_with_cells(spend)),
        assignment=assignment,
    )


def _with_cells(columns: dict[str, NDArray[Any]]) -> dict[str, Any]:
    return columns | {"cell": columns["cell"].astype(np.intp), "row": _NO_ROW}


def encode_hierarchy(model: Model) -> Encoded:
    """Structure and effects of a hierarchical fit."""
    hierarchy = model.draws.hierarchy
    if hierarchy is None:
        return {"hierarchy": None}, {}
    content: dict[str, Any] = {"structure": hierarchy.structure.to_dict(), "parts": {}}
    arrays: Arrays = {}
    for part, effects in (("purchases", hierarchy.purchases), ("spend", hierarchy.spend)):
        if effects is not None:
            content["parts"][part] = {"coordinates": list(effects.coordinates), "terms": list(effects.terms)}
            arrays |= {f"effects_{part}_{name}": values for name, values in effects.to_arrays().items()}
    return {"hierarchy": content}, arrays


def decode_hierarchy(content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], *, seed: int) -> Hierarchy | None:
    """Read what `encode_hierarchy` gave."""
    told = content.get("hierarchy")
    if told is None:
        return None
    parts: dict[str, EffectDraws] = {}
    for part, names in told["parts"].items():
        own = {name.removeprefix(f"effects_{part}_"): array for name, array in arrays.items() if _of(name, part)}
        parts[part] = EffectDraws.from_arrays(own, coordinates=names["coordinates"], terms=names["terms"])
    return Hierarchy(
        structure=Structure.from_dict(told["structure"]),
        purchases=parts["purchases"],
        spend=parts.get("spend"),
        model=content["purchases"],
        time_scale=content["time_scale"],
        money_scale=content["money_scale"],
        seed=seed,
    )


def _of(name: str, part: str) -> bool:
    return name.startswith(f"effects_{part}_")


def encode_chains(model: Model) -> Encoded:
    """All draws of the samplers."""
    content: dict[str, Any] = {}
    arrays: Arrays = {}
    for part, chains in (("purchases", model.purchase_chains), ("spend", model.spend_chains)):
        if chains is None:
            continue
        content[part] = {
            "variables": list(chains.variables),
            "sample_stats": list(chains.sample_stats),
            "dims": {name: list(dims) for name, dims in chains.dims.items()},
            "coords": {name: list(labels) for name, labels in chains.coords.items()},
        }
        arrays |= {f"chains_{name}": values for name, values in chains.variables.items()}
        arrays |= {f"stats_{part}_{name}": values for name, values in chains.sample_stats.items()}
    return {"chains": content}, arrays


def decode_chains(
    content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> tuple[Chains | None, Chains | None]:
    """Read what `encode_chains` gave: of purchases and of spend."""
    found: dict[str, Chains] = {}
    for part, told in content.get("chains", {}).items():
        found[part] = Chains(
            variables={name: arrays[f"chains_{name}"] for name in told["variables"]},
            dims={name: tuple(dims) for name, dims in told["dims"].items()},
            coords={name: tuple(labels) for name, labels in told["coords"].items()},
            sample_stats={name: arrays[f"stats_{part}_{name}"] for name in told["sample_stats"]},
        )
    return found.get("purchases"), found.get("spend")


_PLAIN: Final = (
    "purchases",
    "spend",
    "method",
    "unit",
    "currency",
    "spend_from",
    "spend_level",
    "time_scale",
    "money_scale",
    "seed",
    "as_of",
    "estimate",
    "spend_estimate",
    "parameters",
)


def encode_model(model: Model) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Split a model into JSON content and arrays.

    Returns
    -------
    content : dict
        Without NaN or infinity (written as text), so that it is valid JSON.
    arrays : dict of ndarray
        Draws of each parameter, the fitted rows, and what a hierarchical fit and a sampler add.
    """
    report, draws = model.report, model.draws
    content: dict[str, Any] = {name: plain(getattr(model, name)) for name in _PLAIN}
    content["priors"] = plain(model.priors)
    content["draws"] = {"kind": draws.kind, "spend_kind": draws.spend_kind}
    content["report"] = {
        "n_customers": report.n_customers,
        "notes": list(report.notes),
        "alternatives": plain(report.alternatives),
        "parts": [plain(part) for part in report.parts],
    }
    arrays = {str(name): np.asarray(values) for name, values in draws.to_frame().items()}
    for encode in (encode_rows, encode_hierarchy, encode_chains):
        more, more_arrays = encode(model)
        content |= more
        arrays |= more_arrays
    return content, arrays


def decode_model(content: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Turn content and arrays into the fields of a model.

    Raises
    ------
    KeyError, ValueError, TypeError
        If something is missing or is not what it should be.
    """
    purchases = transaction_model(content["purchases"])
    spend = None if content["spend"] is None else gamma_gamma
    hints = get_type_hints(Model)
    values: dict[str, Any] = {name: rebuilt(hints[name], content[name]) for name in _PLAIN}
    values["estimate"] = purchases.Params(**content["estimate"])
    values["spend_estimate"] = None if spend is None else spend.Params(**content["spend_estimate"])
    values["priors"] = None if content.get("priors") is None else rebuilt(pd.DataFrame, content["priors"])
    values["draws"] = ParameterDraws(
        purchases=params_of_draws(purchases.Params, [arrays[name] for name in purchases.PARAMETERS]),
        spend=None if spend is None else params_of_draws(spend.Params, [arrays[name] for name in spend.PARAMETERS]),
        kind=content["draws"]["kind"],
        spend_kind=content["draws"]["spend_kind"],
        hierarchy=decode_hierarchy(content, arrays, seed=values["seed"]),
    )
    values["rows"] = decode_rows(content, arrays)
    values["purchase_chains"], values["spend_chains"] = decode_chains(content, arrays)
    report = content["report"]
    parts = [_decode_part(part) for part in report["parts"]]
    values["report"] = FitReport(
        purchases=parts[0],
        spend=parts[1] if len(parts) > 1 else None,
        n_customers=report["n_customers"],
        alternatives=None if report["alternatives"] is None else rebuilt(pd.DataFrame, report["alternatives"]),
        notes=tuple(report["notes"]),
    )
    return values


def _decode_part(told: Mapping[str, Any]) -> PartReport:
    part = rebuilt(PartReport, told)
    return replace(part, correlations=part.correlations.set_axis(part.correlations.columns))


def save(model: Model, folder: str | os.PathLike[str]) -> None:
    """Write a model to a folder, in one step; `load_model` reads it back.

    Parameters
    ----------
    model : Model
    folder : path
        Replaced if it holds a saved model; parents are made.

    Raises
    ------
    StoreError
        If the folder exists and is not a saved model, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow(sample="1/10"), as_of="1997-09-30", unit="week")
    >>> model = clv.fit(history, spend=None, draws=100)
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     clv.save(model, f"{parent}/model")
    ...     again = clv.load_model(f"{parent}/model")
    >>> again.parameters.equals(model.parameters)
    True
    """
    write_archive(folder, *encode_model(model))


def load_model(folder: str | os.PathLike[str]) -> Model:
    """Read a saved model; its draws, and so its forecasts, are the same to the last byte.

    Parameters
    ----------
    folder : path
        What was given to `save`.

    Returns
    -------
    Model

    Raises
    ------
    StoreError
        If the folder is missing, a file is missing, cut short or changed, or the schema version is another.
    """
    content, arrays = read_archive(folder)
    try:
        return Model(**decode_model(content, arrays))
    except (KeyError, ValueError, TypeError, ClvForecastError) as error:
        raise StoreError(
            "A saved model must hold every field of a model.",
            value=f"{type(error).__name__}: {error}",
            remedy="Fit the model again and save it.",
        ) from error
