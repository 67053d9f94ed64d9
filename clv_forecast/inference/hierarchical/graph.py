r"""The PyMC model of one part: a plan, its data, and the graph they make.

Every number that depends on the data or the priors (but ``eta``) is ``pm.Data``, so that one compiled graph serves all
data of the same plan. Effects of groups are normal with covariance ``diag(sd) L L' diag(sd)``, where ``L`` is the
factor of an LKJ correlation, made of partial correlations with Beta priors (see
`clv_forecast.inference.hierarchical.effects.partial_exponents`); they are sampled non-centred as far as their
groups are small (see `clv_forecast.inference.hierarchical.effect_kernels`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.inference.hierarchical.effects import partial_exponents
from clv_forecast.inference.hierarchical.part_data import PartData, centring, level_shares
from clv_forecast.inference.hierarchical.priors import FEWEST_CORRELATED, PURCHASES, PartPriors
from clv_forecast.inference.hierarchical.structure import Assignment, Structure

Expression = Any

_MOSTLY: Final = 0.5
_TAKEN: Final = frozenset({"chain", "draw", "covariate", "sample"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A group in a graph.

    Parameters
    ----------
    name : str
        In the names of variables.
    levels : int
    correlated : bool
        Whether the correlations of its effects are learned.
    anchored : bool
        Whether its effects may be sampled together with the intercept: the term of the largest groups, as several
        would pull at the same number.
    """

    name: str
    levels: int
    correlated: bool
    anchored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPlan:
    """All that the shape of a graph depends on; equal plans share a compiled graph.

    Parameters
    ----------
    part, likelihood : str
    coordinates : tuple of str
    terms : tuple of Term
    varying, targets : tuple of int
        Coordinates that groups and covariates act on.
    columns : int
        Of the design.
    eta : float
        Of the LKJ prior.
    """

    part: str
    likelihood: str
    coordinates: tuple[str, ...]
    terms: tuple[Term, ...]
    varying: tuple[int, ...]
    targets: tuple[int, ...]
    columns: int
    eta: float

    @property
    def pairs(self) -> int:
        """Correlations of the effects of a group."""
        return len(self.varying) * (len(self.varying) - 1) // 2

    @property
    def parameter_dim(self) -> str:
        """Dimension of the coordinates."""
        return "purchase_parameter" if self.part == PURCHASES else "spend_parameter"

    def variables(self) -> dict[str, tuple[str, ...]]:
        """Names of what is sampled, as the user sees it, with the dimensions of each."""
        p, dim = self.part, self.parameter_dim
        found: dict[str, tuple[str, ...]] = {f"{p}_intercept": (dim,)}
        for term in self.terms:
            found[f"{p}_sd_{term.name}"] = (f"{dim}_varying",)
            if term.correlated:
                found[f"{p}_correlation_{term.name}"] = (f"{dim}_varying", f"{dim}_varying_bis")
            found[f"{p}_effect_{term.name}"] = (dim_of(term.name), f"{dim}_varying")
        if self.columns:
            found[f"{p}_coefficient"] = ("covariate", f"{dim}_target")
        return found


def dim_of(group: str) -> str:
    """Dimension of a group: its own name, unless that is taken.

    Examples
    --------
    >>> dim_of("region"), dim_of("draw")
    ('region', 'draw_group')
    """
    taken = group in _TAKEN or group.startswith(("purchase_parameter", "spend_parameter", "purchases_", "spend_"))
    return f"{group}_group" if taken else group


def plan_graph(data: PartData, priors: PartPriors, structure: Structure) -> GraphPlan:
    """State the graph of a part."""
    correlated = len(priors.varying) > 1
    fewest = min((len(term.levels) for term in structure.groups), default=0)
    anchor = next((term.name for term in structure.groups if len(term.levels) == fewest), None)
    return GraphPlan(
        part=data.part,
        likelihood=data.likelihood,
        coordinates=data.coordinates,
        terms=tuple(
            Term(
                name=term.name,
                levels=len(term.levels),
                correlated=correlated and len(term.levels) >= FEWEST_CORRELATED,
                anchored=term.name == anchor,
            )
            for term in structure.groups
        ),
        varying=priors.varying,
        targets=priors.targets,
        columns=len(structure.columns),
        eta=priors.eta,
    )


def plan_coords(plan: GraphPlan, structure: Structure) -> dict[str, list[str]]:
    """Labels of every dimension."""
    dim = plan.parameter_dim
    varying = [plan.coordinates[index] for index in plan.varying]
    coords = {dim: list(plan.coordinates)}
    if plan.terms:
        coords |= {f"{dim}_varying": varying, f"{dim}_varying_bis": varying}
    for term in structure.groups:
        coords[dim_of(term.name)] = list(term.levels)
    if plan.columns:
        coords |= {
            "covariate": list(structure.columns),
            f"{dim}_target": [plan.coordinates[index] for index in plan.targets],
        }
    return coords


def graph_data(
    plan: GraphPlan, data: PartData, assignment: Assignment, *, priors: PartPriors
) -> dict[str, NDArray[Any]]:
    """All numbers that a graph reads, by the names of its ``pm.Data``."""
    arrays: dict[str, NDArray[Any]] = {"location": priors.location, "scale": priors.scale}
    if plan.terms:
        arrays["group_scale"] = priors.group_scale
    weights = centring(data, assignment, priors, levels=tuple(term.levels for term in plan.terms))
    for index, weight in enumerate(weights):
        arrays[f"codes_{index}"] = assignment.codes[:, index]
        arrays[f"centring_{index}"] = weight
        arrays[f"share_{index}"] = level_shares(data, assignment, index, levels=len(weight))
        if plan.terms[index].anchored:
            arrays["anchored"] = (arrays[f"share_{index}"] @ weight > _MOSTLY).astype(np.float64)
    if plan.columns:
        arrays["design"] = assignment.design
        arrays["coefficient_scale"] = priors.coefficient_scale
    return {f"{plan.part}_{name}": array for name, array in (arrays | data.tables._asdict()).items()}


def build_model(
    plan: GraphPlan, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, list[str]] | None = None
) -> Any:
    """Build the PyMC model of a plan.

    Parameters
    ----------
    plan : GraphPlan
    arrays : mapping of str to ndarray
        From `graph_data`.
    coords : mapping, optional
        From `plan_coords`.

    Returns
    -------
    pymc.Model
    """
    import pymc as pm  # type: ignore[import-untyped]

    from clv_forecast.inference.hierarchical.graph_ops import log_likelihood

    with pm.Model(coords=_complete(plan, coords)) as model:
        tables = {
            name.removeprefix(f"{plan.part}_"): pm.Data(name, array, dims=_data_dims(plan, name))
            for name, array in arrays.items()
        }
        intercept, shifts = build_intercept(plan, tables)
        theta = intercept[None, :]
        for index, shift in enumerate(shifts):
            theta = theta + shift[tables[f"codes_{index}"]]
        if plan.columns:
            name = f"{plan.part}_coefficient"
            coefficient = pm.Normal(name, 0.0, tables["coefficient_scale"][:, None], dims=plan.variables()[name])
            theta = theta + tables["design"] @ _placed(coefficient, plan.targets, len(plan.coordinates))
        pm.Potential(plan.part, log_likelihood(plan.likelihood, theta, tables))
    return model


def build_intercept(plan: GraphPlan, tables: Mapping[str, Expression]) -> tuple[Expression, list[Expression]]:
    """The average customer of a group in the middle, and each term's effects, shape (level, k), in a model's context.

    What the data tell is the average over their own customers, and the means of large groups. So the sampler moves in
    these. A coordinate whose groups are mostly centred is anchored: its group means are sampled, and the intercept by
    itself. For the others the average is sampled, and the intercept is what is left of it without the groups' effects:
    the two would otherwise have to move together, the more so the fewer groups there are.
    """
    import pymc as pm

    p, dim = plan.part, plan.parameter_dim
    location, scale, k = tables["location"], tables["scale"], len(plan.coordinates)
    if not plan.terms:
        z = pm.Normal(f"{p}_z", 0.0, 1.0, dims=dim)
        return pm.Deterministic(f"{p}_intercept", location + scale * z, dims=dim), []
    average = location + scale * pm.Flat(f"{p}_z", dims=dim)
    varying, anchored = len(plan.varying), tables["anchored"]
    effects, left = [], average
    for index, term in enumerate(plan.terms):
        anchor = anchored * average[:varying] if term.anchored else np.zeros(varying)
        effect = build_effect(plan, term, tables, weight=tables[f"centring_{index}"], anchor=anchor)
        shift = tables[f"share_{index}"] @ effect
        shift = (1.0 - anchored) * shift if term.anchored else shift
        left = left - _placed(shift[None, :], plan.varying, k)[0]
        effects.append(_placed(effect, plan.varying, k))
    intercept = pm.Deterministic(f"{p}_intercept", left, dims=dim)
    pm.Potential(f"{p}_prior", -0.5 * (((intercept - location) / scale) ** 2).sum())
    return intercept, effects


def build_effect(
    plan: GraphPlan, term: Term, tables: Mapping[str, Expression], *, weight: Expression, anchor: Expression
) -> Expression:
    """Effects of the levels of a group on the varying coordinates, shape (level, varying), in a model's context."""
    import pymc as pm

    from clv_forecast.inference.hierarchical.graph_ops import GroupEffects

    p, varying = plan.part, f"{plan.parameter_dim}_varying"
    dims = (dim_of(term.name), varying)
    unit = pm.HalfNormal(f"{p}_unit_sd_{term.name}", 1.0, dims=varying)
    sd = pm.Deterministic(f"{p}_sd_{term.name}", tables["group_scale"] * unit, dims=varying)
    partials: Expression = np.zeros(0)
    if term.correlated:
        exponent = partial_exponents(len(plan.varying), plan.eta)
        share = pm.Beta(f"{p}_partial_{term.name}", exponent, exponent, dims=f"{plan.parameter_dim}_pair")
        partials = 2.0 * share - 1.0
    raw = pm.Flat(f"{p}_raw_{term.name}", dims=dims)
    build: Any = GroupEffects()
    effect, density, correlation = build(raw, _log(sd), partials, weight, anchor)
    pm.Potential(f"{p}_prior_{term.name}", density)
    if term.correlated:
        pm.Deterministic(f"{p}_correlation_{term.name}", correlation, dims=(varying, f"{varying}_bis"))
    return pm.Deterministic(f"{p}_effect_{term.name}", effect, dims=dims)


def _log(values: Expression) -> Expression:
    import pytensor.tensor as pt

    return pt.log(values)


def _placed(values: Expression, places: tuple[int, ...], size: int) -> Expression:
    """Columns of ``values`` at their places among ``size`` columns, zeros elsewhere."""
    if places == tuple(range(size)):
        return values
    selection = _selection(places, size)
    return values[:, 0][:, None] * selection if len(places) == 1 else values @ selection


def _selection(places: tuple[int, ...], size: int) -> NDArray[np.float64]:
    """Matrix that puts entries into their places among ``size``."""
    return np.asarray(np.eye(size)[list(places)])


def _complete(plan: GraphPlan, coords: Mapping[str, list[str]] | None) -> dict[str, Any]:
    """Coordinates with labels, or with numbers where none are given."""
    dim = plan.parameter_dim
    found: dict[str, Any] = {dim: list(plan.coordinates), f"{dim}_pair": list(range(plan.pairs))}
    for name in (f"{dim}_varying", f"{dim}_varying_bis"):
        found[name] = [plan.coordinates[index] for index in plan.varying]
    found[f"{dim}_target"] = [plan.coordinates[index] for index in plan.targets]
    found["covariate"] = list(range(plan.columns))
    found |= {dim_of(term.name): list(range(term.levels)) for term in plan.terms}
    return found | dict(coords or {})


def _data_dims(plan: GraphPlan, name: str) -> tuple[str, ...]:
    """Dimensions of a ``pm.Data``: named after the table for rows."""
    known: dict[str, tuple[str, ...]] = {
        "location": (plan.parameter_dim,),
        "scale": (plan.parameter_dim,),
        "group_scale": (f"{plan.parameter_dim}_varying",),
        "anchored": (f"{plan.parameter_dim}_varying",),
        "coefficient_scale": ("covariate",),
        "design": (f"{plan.part}_cell", "covariate"),
    }
    short = name.removeprefix(f"{plan.part}_")
    if short in known:
        return known[short]
    if short.startswith("share_"):
        return (dim_of(plan.terms[int(short.removeprefix("share_"))].name),)
    if short.startswith("centring_"):
        term = plan.terms[int(short.removeprefix("centring_"))]
        return (dim_of(term.name), f"{plan.parameter_dim}_varying")
    if short.startswith("codes_"):
        return (f"{plan.part}_cell",)
    return (f"{name}_row", f"{name}_column")
