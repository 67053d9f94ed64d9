"""Fitted rows, hierarchies and chains as plain values and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.inference.chains import Chains
from clv_forecast.inference.fitted_rows import FittedRows
from clv_forecast.inference.hierarchical.assignment import Assignment
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.structure import Structure
from clv_forecast.inference.hierarchy import Hierarchy
from clv_forecast.inference.sufficient import PurchaseRows, SpendRows

if TYPE_CHECKING:
    from clv_forecast.inference.model import Model

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
