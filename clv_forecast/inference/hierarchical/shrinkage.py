"""How much each group borrows: its own estimate, everyone's, and the partially pooled one between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError, FitError, InputError
from clv_forecast.history.purchase_history import customer_attribute
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.priors import from_free
from clv_forecast.inference.hierarchical.structure import level_texts
from clv_forecast.inference.laplace import laplace_posterior
from clv_forecast.inference.problem import Problem, purchase_problem, spend_problem
from clv_forecast.inference.sufficient import compress, spend_data
from clv_forecast.models import coordinate
from clv_forecast.models.coordinates import Coordinate
from clv_forecast.progress import Progress, automatic, shows_progress

if TYPE_CHECKING:
    from clv_forecast.history import PurchaseHistory
    from clv_forecast.inference.model import Model

Floats = NDArray[np.float64]

COLUMNS: Final = (
    "attribute", "group", "part", "quantity", "unit", "customers",
    "own", "own_lower", "own_upper", "pooled", "pooled_lower", "pooled_upper",
    "partial", "partial_lower", "partial_upper", "weight", "prob", "note",
)  # fmt: skip
FEWEST_REPEATERS: Final = 10
_DRAWS: Final = 500
_AGREE: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Own:
    """Draws of the coordinates of a fit to some customers alone; none where they say too little."""

    free: Floats | None  # in the user's units: rates per unit of time, money
    note: str = ""


@shows_progress
def shrinkage_table(
    model: Model, history: PurchaseHistory, *, prob: float = 0.95, progress: Progress = automatic
) -> pd.DataFrame:
    """Tabulate every group's own, pooled and partially pooled estimate.

    Parameters
    ----------
    model : Model
        A hierarchical fit with groups.
    history : PurchaseHistory
        The one it was fitted to.
    prob : float
        Of the intervals.
    progress : Progress

    Returns
    -------
    DataFrame
        One row per group and quantity (mean purchase rate, mean dropout, mean spend): attribute, group, part, quantity,
        unit, customers; ``own`` (the Laplace posterior of the group's customers alone, under the same weak default
        priors in their own scale), ``pooled`` (that of all customers as one), ``partial`` (the hierarchical fit, other
        groups and covariates at their middle), each a median in the user's units with ``_lower`` and ``_upper``;
        ``weight``, how far the partial estimate lies from the pooled (0) toward the own one (1) on the log or logit
        scale; prob; note, where a group has no estimate of its own or no weight.

    Raises
    ------
    DomainError
        If the model has no groups, or ``prob`` is no probability.

    Notes
    -----
    The weight is missing where own and pooled estimates agree to within a quarter of the own one's standard
    deviation: between such neighbours the share of the way says nothing. It may fall outside 0 and 1 where other
    quantities of a group pull at it.
    """
    hierarchy = model.draws.hierarchy
    if hierarchy is None or not hierarchy.structure.groups:
        raise DomainError("A shrinkage report needs a fit with groups.", remedy="Fit with method='nuts', groups=...")
    if not 0.0 < prob < 1.0:
        raise DomainError("prob must lie between 0 and 1.", value=prob)
    parts = [("purchases", hierarchy.purchases)]
    if hierarchy.spend is not None:
        parts.append(("spend", hierarchy.spend))
    steps = len(parts) * (1 + sum(len(term.levels) for term in hierarchy.structure.groups))
    labels = [level_texts(customer_attribute(history, term.name).values) for term in hierarchy.structure.groups]
    rows: list[tuple[Any, ...]] = []
    done = 0
    for part, effects in parts:
        alone = _alone(model, history, part)
        everyone = alone(np.ones(len(history.table), dtype=bool))
        for index, term in enumerate(hierarchy.structure.groups):
            for level, label in enumerate(term.levels):
                mine = labels[index] == label
                own = alone(mine)
                partial = _partial(model, effects, index, level=level)
                facts = (term.name, label, part), int(mine.sum())
                rows += _rows(model, effects.coordinates, facts, estimates=(own, everyone, partial), prob=prob)
                done += 1
                progress("shrinkage", done, steps)
    progress("shrinkage", steps, steps)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _partial(model: Model, effects: EffectDraws, term: int, *, level: int) -> Floats:
    theta = effects.intercept + effects.effects[term][:, level]
    return _in_units(theta, effects.coordinates, time_scale=model.time_scale, money_scale=model.money_scale or 1.0)


def _in_units(theta: Floats, coordinates: tuple[str, ...], *, time_scale: float, money_scale: float) -> Floats:
    """Free coordinates of scaled data as those of the user's units."""
    shift = {"per time": -np.log(time_scale), "money": np.log(money_scale)}
    return np.asarray(theta + np.array([shift.get(coordinate(name).unit, 0.0) for name in coordinates]))


def _alone(model: Model, history: PurchaseHistory, part: str) -> Callable[[NDArray[np.bool_]], _Own]:
    """A function that fits some customers by themselves."""

    def fit(mine: NDArray[np.bool_]) -> _Own:
        table = history.table[mine]
        repeaters = int((table[columns.FREQUENCY] > 0).sum())
        if repeaters < FEWEST_REPEATERS:
            return _Own(free=None, note=f"only {repeaters} of {len(table):,} customers bought again")
        try:
            problem = _problem(model, table, part)
            posterior = laplace_posterior(problem, draws=_DRAWS, generator=np.random.default_rng(model.seed))
        except (InputError, FitError) as error:
            return _Own(free=None, note=error.rule)
        if not posterior.reliable:
            return _Own(free=None, note="its posterior alone cannot be drawn from reliably")
        time_scale, money_scale = (problem.scale, 1.0) if part == "purchases" else (1.0, problem.scale)
        free = _in_units(posterior.draws, problem.coordinates, time_scale=time_scale, money_scale=money_scale)
        return _Own(free=free)

    return fit


def _problem(model: Model, table: pd.DataFrame, part: str) -> Problem:
    if part == "purchases":
        return purchase_problem(
            model.purchases, compress(table[columns.FREQUENCY], table[columns.RECENCY], table[columns.T])
        )
    amounts = spend_data(table, str(model.spend_from))
    return spend_problem(amounts.rows, orders=amounts.level == "orders")


def _rows(
    model: Model,
    coordinates: tuple[str, ...],
    facts: tuple[tuple[str, str, str], int],
    *,
    estimates: tuple[_Own, _Own, Floats],
    prob: float,
) -> Iterator[tuple[Any, ...]]:
    (attribute, group, part), customers = facts
    own, everyone, partial = estimates
    for k, name in enumerate(coordinates):
        meaning = coordinate(name)
        if not meaning.level:
            continue
        columns_of = [None if draws is None else draws[:, k] for draws in (own.free, everyone.free, partial)]
        weight, note = _weight(*columns_of)
        shown = [number for draws in columns_of for number in _summary(draws, meaning, prob)]
        yield (
            attribute, group, part, meaning.quantity, _unit(model, meaning), customers, *shown, weight, prob,
            own.note or everyone.note or note,
        )  # fmt: skip


def _summary(draws: Floats | None, meaning: Coordinate, prob: float) -> tuple[float, float, float]:
    """Median and equal-tailed interval in the user's units."""
    if draws is None:
        return (float("nan"),) * 3
    free = np.quantile(draws, [0.5, 0.5 - prob / 2.0, 0.5 + prob / 2.0])
    middle, lower, upper = from_free(free, meaning, time_scale=1.0, money_scale=1.0).tolist()
    return middle, lower, upper


def _weight(own: Floats | None, pooled: Floats | None, partial: Floats | None) -> tuple[float, str]:
    if own is None or pooled is None or partial is None:
        return float("nan"), ""
    distance = float(np.median(own) - np.median(pooled))
    if abs(distance) < _AGREE * float(np.std(own)):
        return float("nan"), "own and pooled estimates agree"
    return float(np.median(partial) - np.median(pooled)) / distance, ""


def _unit(model: Model, meaning: Coordinate) -> str:
    if meaning.unit == "per time":
        return f"per {model.unit}"
    return (model.currency or "money") if meaning.unit == "money" else "probability"
