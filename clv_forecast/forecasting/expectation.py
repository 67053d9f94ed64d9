"""Expectations in closed form, per parameter draw: purchases, revenue and value up to each horizon."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clv_forecast.forecasting.plan import Part, Plan, future_order
from clv_forecast.inference.hierarchy import map_fields
from clv_forecast.models import TransactionModel
from clv_forecast.threads import in_spans

_PANEL_WIDTH: Final = 0.5
_PANEL_NODES: Final = 8
_LARGEST_SHARED_FREQUENCY: Final = 24
_TIMES: Final = 6
_SHAPES: Final = ("r", "s")
_TIMES_PER_LENGTH: Final = 5
# Sums over nodes that are worth a span of their own.
_SPAN: Final = 16384

_Totals = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """Expectations of some customers; ``p_alive`` has shape (customer, draw), the others (customer, horizon, draw)."""

    p_alive: NDArray[np.float64]
    purchases: NDArray[np.float64]
    revenue: NDArray[np.float64]
    value: NDArray[np.float64]


def expected_money(plan: Plan, rows: NDArray[np.intp], boundaries: NDArray[np.float64]) -> Expectations:
    """Expected purchases, revenue and value of some customers, given each parameter draw.

    Given alive, the future depends on (frequency, T) alone and is smooth in T. So the expensive functions are
    evaluated at Chebyshev nodes of panels of ``log(1 + T / alpha)`` and interpolated between them (error below 1e-9,
    tested); the panels depend on the parameters only, so a customer's numbers do not depend on the others. Where
    every customer has its own parameters there is nothing to share, and each is evaluated at its own T.

    Parameters
    ----------
    plan : Plan
    rows : ndarray of int, shape (customer,)
        Positions of the customers in the plan.
    boundaries : ndarray, shape (horizon,)
        Ascending, in the plan's unit.
    """
    found = [_part_money(plan, part, rows, boundaries=boundaries) for part in plan.parts]
    if len(found) == 1:
        return found[0]
    p_alive, purchases, revenue, value = (
        np.concatenate([getattr(money, name) for money in found], axis=-1)
        for name in ("p_alive", "purchases", "revenue", "value")
    )
    return Expectations(p_alive=p_alive, purchases=purchases, revenue=revenue, value=value)


def p_alive_of(plan: Plan, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """P(alive) of some customers given each parameter draw, shape (customer, draw)."""
    return np.concatenate([_part_p_alive(plan, part, rows) for part in plan.parts], axis=-1)


def _part_p_alive(plan: Plan, part: Part, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    alive = part.module.p_alive(part.purchases(rows), plan.frequency[rows], plan.recency[rows], plan.T[rows])
    return np.ascontiguousarray(np.broadcast_to(alive, (part.draws, len(rows))).T)


def _part_money(plan: Plan, part: Part, rows: NDArray[np.intp], *, boundaries: NDArray[np.float64]) -> Expectations:
    p_alive = _part_p_alive(plan, part, rows)
    given_alive = _shared if part.parameters.is_shared else _each
    needs_served = bool((plan.cost_per_time[rows] > 0.0).any())
    undiscounted, discounted, served = given_alive(plan, part, rows, boundaries=boundaries, needs_served=needs_served)
    reach = p_alive[:, None, :]
    purchases = undiscounted * reach
    if not plan.has_spend:
        missing = np.full(purchases.shape, np.nan)
        return Expectations(p_alive=p_alive, purchases=purchases, revenue=missing, value=missing)
    amount = part.expected_spend(rows).T[:, None, :]
    contribution = amount * plan.margin[rows][:, None, None] - plan.cost_per_order[rows][:, None, None]
    value = discounted * reach * plan.factor * contribution
    if needs_served:
        value -= plan.cost_per_time[rows][:, None, None] * served * reach
    return Expectations(p_alive=p_alive, purchases=purchases, revenue=purchases * amount * plan.factor, value=value)


def _shared(
    plan: Plan, part: Part, rows: NDArray[np.intp], *, boundaries: NDArray[np.float64], needs_served: bool
) -> _Totals:
    """Given alive, with tables shared by customers of one cell and frequency: each (customer, horizon, draw)."""
    order = future_order(plan.frequency[rows], plan.T[rows], part.parameters.cell[rows])
    rows = rows[order]
    shape = (len(rows), len(boundaries), part.draws)
    totals = np.empty(shape), np.empty(shape), np.zeros(shape)
    smallest = max(1, _SPAN // (len(boundaries) * part.draws))
    for start, stop, params, nodes, weights in _runs(plan, part, rows):
        at_nodes = _Nodes(module=part.module, params=params, draws=part.draws, frequency=plan.frequency[rows[start]])
        tables = at_nodes.tables(nodes, boundaries, discount=plan.discount, needs_served=needs_served)
        for table, total in zip(tables, totals, strict=True):
            if total is not totals[2] or needs_served:
                in_spans(_combine, stop - start, table, weights, order[start:stop], total, smallest=smallest)
    return totals


def _runs(
    plan: Plan, part: Part, rows: NDArray[np.intp]
) -> Iterator[tuple[int, int, Any, NDArray[np.float64], NDArray[np.float64]]]:
    """Runs of sorted rows that share nodes of T: (start, stop, parameters, nodes, weights of shape (row, node))."""
    cell, frequency, T = part.parameters.cell[rows], plan.frequency[rows], plan.T[rows]
    for first, last in _equal(cell):
        params = part.purchases_of_cell(int(cell[first]))
        origin = _origin(part.module, params)
        y = np.log1p(T[first:last] / origin)
        panel = np.floor(y / _PANEL_WIDTH)
        x = frequency[first:last]
        panel = np.where(x > _LARGEST_SHARED_FREQUENCY, T[first:last], panel)
        for start, stop in _equal(x, panel):
            if x[start] > _LARGEST_SHARED_FREQUENCY:
                nodes, weights = T[first + start : first + start + 1], np.ones((stop - start, 1))
            else:
                at = _chebyshev(panel[start] * _PANEL_WIDTH, _PANEL_WIDTH)
                nodes, weights = origin * np.expm1(at), _barycentric(at, y[start:stop])
            yield first + start, first + stop, params, nodes, weights


def _equal(*columns: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Runs of equal neighbours."""
    changes = np.zeros(len(columns[0]) - 1, dtype=bool)
    for column in columns:
        changes |= column[1:] != column[:-1]
    return pairwise([0, *(np.flatnonzero(changes) + 1).tolist(), len(columns[0])])


def _origin(module: TransactionModel, params: Any) -> float:
    """How near a singularity of the functions of T lies to zero, in the draw where it is nearest."""
    return min(float(np.min(getattr(params, name))) for name in module.TIME_PARAMETERS)


def _each(
    plan: Plan, part: Part, rows: NDArray[np.intp], *, boundaries: NDArray[np.float64], needs_served: bool
) -> _Totals:
    """Given alive, for customers with parameters of their own: each (customer, horizon, draw).

    Customers whose quadratures over time have the same number of points are evaluated together.
    """
    params = part.purchases(rows)
    module, x, T = part.module, plan.frequency[rows], plan.T[rows]
    origin = np.min([np.min(getattr(params, name), axis=0) for name in module.TIME_PARAMETERS], axis=0)
    shape = np.max([np.max(getattr(params, n), axis=0) for n in module.PARAMETERS if n in _SHAPES], axis=0)
    points = [_ahead(scale, boundaries) for scale in (origin + T) / (1.0 + shape + 0.25 * x)]
    size = (len(rows), len(boundaries), part.draws)
    totals = np.zeros(size), np.zeros(size), np.zeros(size)
    by_count: dict[tuple[int, ...], list[int]] = {}
    for i, (_, _, panel) in enumerate(points):
        by_count.setdefault(tuple(np.bincount(panel)), []).append(i)
    for members in by_count.values():
        panel = points[members[0]][2]

        def add(start: int, stop: int, *, members: list[int] = members, panel: NDArray[np.intp] = panel) -> None:
            mine = np.array(members[start:stop])
            own = map_fields(params, lambda field: field[:, mine])
            ahead, length = (np.stack([points[i][part] for i in mine]) for part in (0, 1))
            for j, h in enumerate(panel):
                worth = np.exp(-plan.discount * ahead[:, j])
                rate = module.purchase_rate_given_alive(own, x[mine], T[mine], ahead=ahead[:, j])
                totals[0][mine, h] += (length[:, j] * rate).T
                totals[1][mine, h] += (length[:, j] * worth * rate).T
                if needs_served:
                    alive = module.survival_given_alive(own, x[mine], T[mine], ahead=ahead[:, j])
                    totals[2][mine, h] += (length[:, j] * worth * alive).T

        in_spans(add, len(members))
    return tuple(np.cumsum(total, axis=1) for total in totals)  # type: ignore[return-value]


def _chebyshev(low: float, width: float) -> NDArray[np.float64]:
    angles = (np.arange(_PANEL_NODES) + 0.5) * math.pi / _PANEL_NODES
    return low + 0.5 * width * (1.0 - np.cos(angles))


def _barycentric(nodes: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights that interpolate from Chebyshev nodes of the first kind, shape (at, node)."""
    angles = (np.arange(_PANEL_NODES) + 0.5) * math.pi / _PANEL_NODES
    barycentric = np.where(np.arange(_PANEL_NODES) % 2 == 0, 1.0, -1.0) * np.sin(angles)
    distance = at[:, None] - nodes[None, :]
    hit = distance == 0.0
    terms = barycentric / np.where(hit, 1.0, distance)
    weights = terms / terms.sum(axis=1, keepdims=True)
    return np.where(hit.any(axis=1)[:, None], hit.astype(float), weights)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Nodes:
    """Expectations given alive of one cell and frequency."""

    module: TransactionModel
    params: Any
    draws: int
    frequency: float

    def tables(
        self, nodes: NDArray[np.float64], boundaries: NDArray[np.float64], *, discount: float, needs_served: bool
    ) -> _Totals:
        """At nodes of T: undiscounted, discounted, discounted time alive; each (node, horizon, draw)."""
        shape = max(float(np.max(getattr(self.params, n))) for n in self.module.PARAMETERS if n in _SHAPES)
        scale = (_origin(self.module, self.params) + float(nodes.min())) / (1.0 + shape + 0.25 * self.frequency)
        ahead, length, panel = _ahead(scale, boundaries)
        size = (len(nodes), len(boundaries), self.draws)
        undiscounted, discounted, served = np.zeros(size), np.zeros(size), np.zeros(size)
        for j, rate in enumerate(self._over_time(self.module.purchase_rate_given_alive, nodes, ahead)):
            undiscounted[:, panel[j]] += length[j] * rate
            discounted[:, panel[j]] += length[j] * math.exp(-discount * ahead[j]) * rate
        if needs_served:
            for j, alive in enumerate(self._over_time(self.module.survival_given_alive, nodes, ahead)):
                served[:, panel[j]] += length[j] * math.exp(-discount * ahead[j]) * alive
        return np.cumsum(undiscounted, axis=1), np.cumsum(discounted, axis=1), np.cumsum(served, axis=1)

    def _over_time(
        self, function: Callable[..., NDArray[np.float64]], nodes: NDArray[np.float64], ahead: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        found = np.empty((len(ahead), len(nodes), self.draws))
        x = np.full(len(nodes), self.frequency)

        def fill(start: int, stop: int) -> None:  # the functions release the interpreter's lock
            for j in range(start, stop):
                found[j].T[...] = function(self.params, x, nodes, ahead=ahead[j])

        in_spans(fill, len(ahead))
        return found


def _ahead(
    scale: float, boundaries: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Quadrature over future time: points, weights, and the horizon in which each point lies.

    Gauss-Legendre in ``log(1 + tau / scale)``, where ``scale`` is about the shortest time in which the purchase rate
    changes, so that one rule serves steep and slow decay.
    """
    edges = np.log1p(np.concatenate([[0.0], boundaries]) / scale)
    ahead, weights, panel = [], [], []
    for h, (low, high) in enumerate(pairwise(edges)):
        count = _TIMES + math.ceil(_TIMES_PER_LENGTH * (high - low))
        point, weight = _legendre(count)
        u = low + 0.5 * (high - low) * (point + 1.0)
        ahead.append(scale * np.expm1(u))
        weights.append(0.5 * (high - low) * weight * scale * np.exp(u))
        panel.append(np.full(count, h))
    return np.concatenate(ahead), np.concatenate(weights), np.concatenate(panel)


@cache
def _legendre(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(count)


@njit(cache=True, nogil=True)
def _combine(tables, weights, places, out, start, stop):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
    """Sum over nodes of weights[i, k] * tables[k, h, d] into out[places[i], h, d], in a fixed order."""
    nodes, horizons, draws = tables.shape
    for i in range(start, stop):
        for h in range(horizons):
            for d in range(draws):
                total = 0.0
                for k in range(nodes):
                    total += weights[i, k] * tables[k, h, d]
                out[places[i], h, d] = total
