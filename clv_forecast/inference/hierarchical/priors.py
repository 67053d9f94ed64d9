"""Priors of a hierarchical fit: weakly informative in scaled data, shown in the user's units, overridden by name.

Coordinates are normal on their free scale (log or logit), with the locations and scales of the models'
``prior_location_scale``. Standard deviations between groups are half-normal with scale 0.5 for means (rate, dropout,
spend: a group one standard deviation away then differs by up to two thirds) and 0.3 for shapes, which data of a
group seldom tell. Correlations between a group's effects are LKJ with ``eta = 2`` where a term has at least
5 groups, and zero where it has fewer. Coefficients are normal with standard deviation 0.5 per standard deviation of
a numeric covariate, or between a level and the reference of a categorical one.

The priors of a fit as a table, in the user's units.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError
from clv_forecast.inference.hierarchical.structure import Structure
from clv_forecast.models import coordinate, gamma_gamma, names_of, transaction_model
from clv_forecast.models.coordinates import Coordinate

Floats = NDArray[np.float64]

PURCHASES: Final = "purchases"
SPEND: Final = "spend"
CORRELATION: Final = "group_correlation"
FEWEST_CORRELATED: Final = 5
COEFFICIENT_SD: Final = 0.5
ETA: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A prior that replaces a default one; what is left out keeps its default.

    Parameters
    ----------
    median : float, optional
        In the user's units: purchases per unit of time, a probability, money. Not for standard deviations between
        groups and coefficients, which are centred on nothing.
    sd : float, optional
        Standard deviation on the free scale (log, or logit for a probability); of a ``group_sd`` the scale of its
        half-normal distribution; of a coefficient per standard deviation of the covariate.

    Raises
    ------
    DomainError
        If neither is given, a value is not finite, or ``sd`` is not positive.

    Examples
    --------
    >>> Prior(median=0.05, sd=0.5).sd
    0.5
    """

    median: float | None = None
    sd: float | None = None

    def __post_init__(self) -> None:
        if self.median is None and self.sd is None:
            raise DomainError("A prior needs a median, an sd, or both.")
        if self.median is not None:
            finite_number(self.median, "The median of a prior")
        if self.sd is not None and finite_number(self.sd, "The sd of a prior") <= 0.0:
            raise DomainError("The sd of a prior must be positive.", value=self.sd)


Priors = Mapping[str, Prior | float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartPriors:
    """The priors of one part, in scaled data.

    Parameters
    ----------
    model, part : str
    coordinates : tuple of str, length k
    location, scale : ndarray, shape (k,)
        Normal priors of the coordinates of the average customer.
    varying : tuple of int
        Coordinates that differ between groups.
    group_scale : ndarray, shape (varying,)
        Half-normal scales of their standard deviations between groups.
    targets : tuple of int
        Coordinates that covariates act on.
    columns : tuple of str
        Of the design.
    coefficient_scale : ndarray, shape (column,)
        Normal priors of the coefficients, mean zero.
    eta : float
        Of the LKJ prior of correlations.
    given : frozenset of str
        Names that were overridden.
    time_scale, money_scale : float
        What the data were divided by.
    """

    model: str
    part: str
    coordinates: tuple[str, ...]
    location: Floats
    scale: Floats
    varying: tuple[int, ...]
    group_scale: Floats
    targets: tuple[int, ...]
    columns: tuple[str, ...]
    coefficient_scale: Floats
    eta: float
    given: frozenset[str]
    time_scale: float
    money_scale: float


def coordinate_priors(
    model: str, part: str, overrides: Priors | None = None, *, time_scale: float = 1.0, money_scale: float = 1.0
) -> tuple[Floats, Floats]:
    """Location and scale of the normal priors of a model's coordinates, on scaled data.

    Parameters
    ----------
    model : str
        A transaction model, or ``"gamma_gamma"``.
    part : str
        ``"purchases"`` or ``"spend"``.
    overrides : mapping of str to Prior, optional
        By name; names of the other part and of groups and covariates are passed over: see `check_priors`.
    time_scale, money_scale : float
        What the data were divided by.

    Returns
    -------
    location, scale : ndarray, shape (k,)

    Raises
    ------
    DomainError
        If a median lies outside its domain, or an override is no `Prior`.

    Examples
    --------
    >>> location, scale = coordinate_priors("bg_nbd", "purchases", {"mean_purchase_rate": Prior(median=0.5, sd=0.3)},
    ...                                     time_scale=2.0)
    >>> location[0].round(6) + 0.0, scale[0]
    (np.float64(0.0), np.float64(0.3))
    """
    if part == PURCHASES:
        location, scale = transaction_model(model).prior_location_scale(1.0, 1.0)
    else:
        location, scale = gamma_gamma.prior_location_scale(1.0)
    location, scale = np.array(location, dtype=np.float64), np.array(scale, dtype=np.float64)
    for index, name in enumerate(_coordinates(model, part)):
        meaning = coordinate(name)
        prior = _prior(overrides or {}, meaning.quantity)
        if prior is None:
            continue
        if prior.median is not None:
            location[index] = _free(prior.median, meaning, time_scale, money_scale=money_scale)
        if prior.sd is not None:
            scale[index] = prior.sd
    return location, scale


def part_priors(
    model: str,
    part: str,
    overrides: Priors | None = None,
    *,
    structure: Structure | None = None,
    time_scale: float = 1.0,
    money_scale: float = 1.0,
) -> PartPriors:
    """All priors of one part.

    Parameters
    ----------
    model, part, overrides, time_scale, money_scale
        As for `coordinate_priors`.
    structure : Structure, optional
        Groups and covariates (default none).

    Returns
    -------
    PartPriors

    Raises
    ------
    DomainError
        If an override is of the wrong kind or outside its domain.

    Examples
    --------
    >>> part_priors("bg_nbd", "purchases").group_scale
    array([0.5, 0.3, 0.5, 0.3])
    """
    given = overrides or {}
    coordinates = _coordinates(model, part)
    location, scale = coordinate_priors(model, part, given, time_scale=time_scale, money_scale=money_scale)
    varying = tuple(range(len(coordinates))) if part == PURCHASES else (0,)
    structure = structure or Structure()
    widths = []
    for index in varying:
        meaning = coordinate(coordinates[index])
        prior = _centred(given, f"group_sd:{meaning.quantity}")
        widths.append(meaning.group_sd if prior is None else prior)
    coefficient_scale = []
    for covariate in structure.covariates:
        prior = _centred(given, f"coefficient:{covariate.name}")
        coefficient_scale += [COEFFICIENT_SD if prior is None else prior] * len(covariate.columns)
    return PartPriors(
        model=model,
        part=part,
        coordinates=coordinates,
        location=location,
        scale=scale,
        varying=varying,
        group_scale=np.array(widths),
        targets=tuple(index for index, name in enumerate(coordinates) if coordinate(name).level),
        columns=structure.columns,
        coefficient_scale=np.array(coefficient_scale, dtype=np.float64),
        eta=_eta(given),
        given=frozenset(given),
        time_scale=float(time_scale),
        money_scale=float(money_scale),
    )


def prior_names(purchases: str, spend: str | None, structure: Structure | None = None) -> tuple[str, ...]:
    """Every name that a fit's priors can be overridden by.

    Examples
    --------
    >>> prior_names("pareto_nbd", None)[:4]
    ('mean_purchase_rate', 'purchase_rate_shape', 'mean_dropout_rate', 'dropout_rate_shape')
    """
    structure = structure or Structure()
    named = [coordinate(name).quantity for name in _coordinates(purchases, PURCHASES)]
    varying = list(named)
    if spend is not None:
        own = [coordinate(name).quantity for name in _coordinates(spend, SPEND)]
        named, varying = named + own, [*varying, own[0]]
    if structure.groups:
        named += [f"group_sd:{name}" for name in varying]
        if any(len(term.levels) >= FEWEST_CORRELATED for term in structure.groups):
            named.append(CORRELATION)
    named += [f"coefficient:{covariate.name}" for covariate in structure.covariates]
    return tuple(named)


def check_priors(
    overrides: Priors | None, purchases: str, spend: str | None, *, structure: Structure | None = None
) -> None:
    """Refuse overrides of priors that the fit does not have.

    Raises
    ------
    DomainError
        If a name is unknown (with the nearest known one and all of them), or a value is of the wrong kind.

    Examples
    --------
    >>> check_priors({"mean_spend": Prior(median=30.0)}, "bg_nbd", "gamma_gamma")
    """
    known = prior_names(purchases, spend, structure)
    for name in overrides or {}:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise DomainError(
                f"There is no prior named {name!r} in this fit.",
                remedy=(f"Did you mean {near[0]!r}? " if near else "") + f"Known: {', '.join(known)}.",
            )
    part_priors(purchases, PURCHASES, overrides, structure=structure)
    if spend is not None:
        part_priors(spend, SPEND, overrides, structure=structure)


def _coordinates(model: str, part: str) -> tuple[str, ...]:
    if part == PURCHASES:
        return names_of(transaction_model(model).COORDINATES)
    if part == SPEND and model == "gamma_gamma":
        return names_of(gamma_gamma.COORDINATES)
    raise DomainError("A part is 'purchases', or 'spend' of gamma_gamma.", value=f"{part!r} of {model!r}")


def _prior(overrides: Priors, name: str) -> Prior | None:
    prior = overrides.get(name)
    if prior is None or isinstance(prior, Prior):
        return prior
    raise DomainError(
        f"The prior of {name} must be a Prior.", value=repr(prior), remedy="Write Prior(median=..., sd=...)."
    )


def _centred(overrides: Priors, name: str) -> float | None:
    """Scale of a prior that is centred on nothing."""
    prior = _prior(overrides, name)
    if prior is None:
        return None
    if prior.median is not None or prior.sd is None:
        raise DomainError(
            f"The prior of {name} has an sd only.", value=f"median {prior.median}", remedy="Write Prior(sd=...)."
        )
    return prior.sd


def _eta(overrides: Priors) -> float:
    value: Any = overrides.get(CORRELATION, ETA)
    if isinstance(value, Prior):
        raise DomainError(
            f"The prior of {CORRELATION} is one number, eta: 1 is uniform, larger favours no correlation.",
            remedy=f"Write {CORRELATION!r}: 2.0.",
        )
    eta = finite_number(value, CORRELATION)
    if eta < 1.0:
        raise DomainError(f"{CORRELATION} (eta) must be at least 1.", value=eta)
    return eta


def _free(median: float, meaning: Coordinate, time_scale: float, *, money_scale: float) -> float:
    if meaning.link == "logit":
        if not 0.0 < median < 1.0:
            raise DomainError(f"The median of {meaning.quantity} is a probability between 0 and 1.", value=median)
        return float(np.log(median) - np.log1p(-median))
    if not median > 0.0:
        raise DomainError(f"The median of {meaning.quantity} must be positive.", value=median)
    factor = {"per time": time_scale, "money": 1.0 / money_scale}.get(meaning.unit, 1.0)
    return float(np.log(median * factor))


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


def from_free(values: Floats, meaning: Coordinate, *, time_scale: float, money_scale: float) -> Floats:
    """Values of a coordinate in the user's units.

    Examples
    --------
    >>> from_free(np.zeros(1), coordinate("log_mean_spend"), time_scale=1.0, money_scale=35.0)
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
    for name, location, scale in zip(priors.coordinates, priors.location, priors.scale, strict=True):
        meaning = coordinate(name)
        shown = from_free(
            location + scale * z, meaning, time_scale=priors.time_scale, money_scale=priors.money_scale
        ).tolist()
        rows.append(
            (
                meaning.quantity,
                priors.part,
                f"normal on the {meaning.link} scale, sd {scale:g}",
                *shown,
                _source(priors, meaning.quantity),
            )
        )
    return rows


def _group_rows(priors: PartPriors, structure: Structure) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for index, scale in zip(priors.varying, priors.group_scale, strict=True):
        name = f"group_sd:{coordinate(priors.coordinates[index]).quantity}"
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
