"""The priors of a fit as a table, in the user's units."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from clv_forecast.inference.hierarchical.priors import (
    CORRELATION,
    FEWEST_CORRELATED,
    MEANINGS,
    Meaning,
    PartPriors,
)
from clv_forecast.inference.hierarchical.structure import Structure

Floats = NDArray[np.float64]

COLUMNS: Final = ("name", "part", "distribution", "median", "lower", "upper", "source")
_LEVELS: Final = (0.5, 0.025, 0.975)


def priors_table(parts: Iterable[PartPriors], structure: Structure | None = None) -> pd.DataFrame:
    """One row per prior: what a fit holds likely before it has seen the outcome.

    Parameters
    ----------
    parts : iterable of PartPriors
        Of purchases, and of spend if there is one.
    structure : Structure, optional

    Returns
    -------
    DataFrame
        name (as it is overridden), part, distribution, median, lower, upper (95 %), source (``"default"`` or
        ``"given"``). Coordinates in the user's units; a ``group_sd`` on the log or logit scale; a coefficient per
        unit of the covariate on that scale.

    Examples
    --------
    >>> from clv_forecast.inference.hierarchical.priors import part_priors
    >>> priors_table([part_priors("bg_nbd", "purchases", time_scale=10.0)]).loc[0, "name"]
    'mean_purchase_rate'
    """
    structure = structure or Structure()
    rows: list[tuple[Any, ...]] = []
    for priors in parts:
        rows += _coordinate_rows(priors)
        if structure.groups:
            rows += _group_rows(priors, structure)
        rows += _coefficient_rows(priors, structure)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def from_free(values: Floats, meaning: Meaning, *, time_scale: float, money_scale: float) -> Floats:
    """Values of a coordinate in the user's units.

    Examples
    --------
    >>> from_free(np.zeros(1), MEANINGS["log_mean_spend"], time_scale=1.0, money_scale=35.0)
    array([35.])
    """
    if meaning.link == "logit":
        return np.asarray(special.expit(values))
    factor = {"per time": 1.0 / time_scale, "money": money_scale}.get(meaning.unit, 1.0)
    return np.asarray(np.exp(values) * factor)


def _source(priors: PartPriors, name: str) -> str:
    return "given" if name in priors.given else "default"


def _coordinate_rows(priors: PartPriors) -> list[tuple[Any, ...]]:
    rows = []
    z = stats.norm.ppf(_LEVELS)
    for coordinate, location, scale in zip(priors.coordinates, priors.location, priors.scale, strict=True):
        meaning = MEANINGS[coordinate]
        shown = from_free(
            location + scale * z, meaning, time_scale=priors.time_scale, money_scale=priors.money_scale
        ).tolist()
        rows.append(
            (
                meaning.name,
                priors.part,
                f"normal on the {meaning.link} scale, sd {scale:g}",
                *shown,
                _source(priors, meaning.name),
            )
        )
    return rows


def _group_rows(priors: PartPriors, structure: Structure) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for index, scale in zip(priors.varying, priors.group_scale, strict=True):
        name = f"group_sd:{MEANINGS[priors.coordinates[index]].name}"
        quantiles = [float(scale) * float(stats.halfnorm.ppf(level)) for level in _LEVELS]
        rows.append((name, priors.part, f"half-normal, scale {scale:g}", *quantiles, _source(priors, name)))
    size = len(priors.varying)
    if size > 1 and any(len(term.levels) >= FEWEST_CORRELATED for term in structure.groups):
        half = priors.eta - 1.0 + size / 2.0
        quantiles = [2.0 * float(stats.beta.ppf(level, half, half)) - 1.0 for level in _LEVELS]
        rows.append((CORRELATION, priors.part, f"LKJ, eta {priors.eta:g}", *quantiles, _source(priors, CORRELATION)))
    return rows


def _coefficient_rows(priors: PartPriors, structure: Structure) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    column = 0
    for covariate in structure.covariates:
        name = f"coefficient:{covariate.name}"
        for spread in covariate.spreads[:1]:
            scale = float(priors.coefficient_scale[column])
            quantiles = [scale / spread * float(stats.norm.ppf(level)) for level in _LEVELS]
            rows.append((name, priors.part, f"normal, sd {scale:g} standardised", *quantiles, _source(priors, name)))
        column += len(covariate.columns)
    return rows
