"""Saved certificates: `read_certificate` reads what ``certificate.save`` wrote."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.errors import ClvForecastError, StoreError
from clv_forecast.evaluation.baseline_table import NaiveWin
from clv_forecast.evaluation.certificate import FILE, SCHEMA_VERSION, TABLES, Certificate, ShockReport
from clv_forecast.evaluation.statuses import BandStatus
from clv_forecast.evaluation.verdict import Verdict
from clv_forecast.forecasting.adjustments import CommonShock, Evidence
from clv_forecast.inference.hierarchical.priors import Prior
from clv_forecast.inference.hierarchical.sampler import Sampler
from clv_forecast.inference.leave_one_out import PURCHASES, SPEND, LooResult
from clv_forecast.inference.loo import Loo
from clv_forecast.inference.recipe import Recipe

_REMEDY: Final = "Restore the folder from a copy, or run the backtest again and save it."
_CALLS: Final[Mapping[str, Callable[..., Any]]] = {"Prior": Prior, "Sampler": Sampler, "mappingproxy": dict}
_WRITTEN_BY: Final = "versions"


def read_certificate(folder: str | os.PathLike[str]) -> Certificate:
    """Read a saved certificate: its tables, verdict, evidence, shock and recipe as they were.

    Parameters
    ----------
    folder : path
        What was given to ``certificate.save``.

    Returns
    -------
    Certificate
        Of its leave-one-out the sums only: the numbers of single rows, and notes on the draws, are not in the file.

    Raises
    ------
    StoreError
        If the folder is missing, a file is missing, cut short or changed, or the schema version is another.

    Examples
    --------
    >>> import tempfile
    >>> import clv_forecast as clv
    >>> orders = clv.load_cdnow("1/10").head(1000)
    >>> made = clv.backtest(orders, as_of="1998-06-30", horizon="39 weeks", draws=100, recipe=Recipe(draws=100))
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     made.save(Path(parent) / "certificate")
    ...     found = read_certificate(Path(parent) / "certificate")
    >>> found.shock == made.shock, found.verdict == made.verdict, found.recipe == made.recipe
    (True, True, True)
    """
    source = Path(folder)
    content = _read_content(source)
    tables = {name: _read_table(source / f"{name}.parquet") for name in TABLES}
    try:
        made = _certificate(content, tables)
        same = {key: value for key, value in made.to_dict().items() if key != _WRITTEN_BY}
        changed = [key for key in same if same[key] != content[key]]
    except (KeyError, TypeError, ValueError, AttributeError, SyntaxError, ClvForecastError) as error:
        raise StoreError(
            "A saved certificate must hold every field of a certificate.",
            value=f"{source}: {type(error).__name__}: {error}",
            remedy=_REMEDY,
        ) from error
    if changed:
        raise StoreError(
            "The files of a saved certificate must tell the same.",
            value=f"{source} differs in {', '.join(changed)}",
            remedy=_REMEDY,
        )
    return made


def _read_content(source: Path) -> dict[str, Any]:
    if not (source / FILE).is_file():
        raise StoreError("There is no saved certificate at this path.", value=source, remedy="Check the path.")
    try:
        content = json.loads((source / FILE).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(
            "The file of a saved certificate must be JSON.", value=source / FILE, remedy=_REMEDY
        ) from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise StoreError("The file holds something other than a certificate.", value=source / FILE, remedy=_REMEDY)
    version = content["schema_version"]
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        remedy = "It was written by a later clv_forecast: use that." if newer else _REMEDY
        raise StoreError(f"A certificate of schema version {SCHEMA_VERSION} is read.", value=version, remedy=remedy)
    return content


def _read_table(path: Path) -> pd.DataFrame:
    import pyarrow as pa

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(
            "A table of the certificate cannot be read.", value=f"{path}: {error}", remedy=_REMEDY
        ) from error


def _certificate(content: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Certificate:
    verdict, shock, evidence = content["verdict"], content["shock"], content["evidence"]
    return Certificate(
        title=content["title"],
        recipe=_recipe(content["recipe"]),
        horizons=tuple(one["label"] for one in content["horizons"]),
        years=tuple(float(one["years"]) for one in content["horizons"]),
        shock=None if shock is None else CommonShock(**shock),
        shock_report=ShockReport(**{key: _tupled(value) for key, value in content["shock_report"].items()}),
        evidence=None if evidence is None else Evidence(**{key: _tupled(value) for key, value in evidence.items()}),
        verdict=Verdict(
            sentences=tuple(verdict["sentences"]),
            statuses=tuple(BandStatus(**one) for one in verdict["statuses"]),
            naive_wins=tuple(NaiveWin(**one) for one in verdict["naive_wins"]),
        ),
        undated=tuple(content["undated"]),
        loo=_leave_one_out(content["loo"]),
        notes=tuple(content["notes"]),
        draws=content["draws"],
        seed=content["seed"],
        unit=content["unit"],
        currency=content["currency"],
        as_of=pd.Timestamp(content["as_of"]),
        **tables,
    )


def _recipe(given: Mapping[str, Any]) -> Recipe:
    """The recipe; priors and sampler stand in the file as Python writes them."""
    options = {field.name: _tupled(given[field.name]) for field in fields(Recipe)}
    for name in ("priors", "sampler"):
        if options[name] is not None:
            options[name] = _evaluated(ast.parse(options[name], mode="eval").body)
    return Recipe(**options)


def _evaluated(node: ast.expr) -> Any:
    """The value of an expression of literals and of the objects that a recipe may hold; nothing else is run.

    Raises
    ------
    ValueError
        If it holds anything else.
    """
    if isinstance(node, ast.Dict):
        keys = [ast.literal_eval(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_evaluated, node.values), strict=True))
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in _CALLS:
            raise ValueError(f"unknown object {ast.unparse(node.func)}")
        named = {str(keyword.arg): _evaluated(keyword.value) for keyword in node.keywords}
        return _CALLS[node.func.id](*map(_evaluated, node.args), **named)
    return ast.literal_eval(node)


def _leave_one_out(rows: list[dict[str, Any]] | None) -> LooResult | None:
    if rows is None:
        return None
    parts = {row["part"]: _loo(row) for row in rows}
    return LooResult(purchases=parts[PURCHASES], spend=parts.get(SPEND))


def _loo(row: Mapping[str, Any]) -> Loo:
    def number(name: str) -> float:
        return float("nan") if row[name] is None else float(row[name])

    return Loo(
        elpd=number("elpd"),
        se=number("se"),
        p_loo=number("p_loo"),
        customers=row["customers"],
        draws=row["draws"],
        k_threshold=number("k_threshold"),
        unreliable=row["unreliable"],
        k_max=number("k_max"),
        **{name: np.empty(0) for name in ("elpd_of_rows", "p_of_rows", "k_of_rows", "weights")},
    )


def _tupled(value: Any) -> Any:
    """Lists, which JSON makes of tuples, as tuples again."""
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
