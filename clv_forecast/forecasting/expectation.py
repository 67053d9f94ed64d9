"""Expectations in closed form, per parameter draw: purchases, revenue and value up to each horizon."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clv_forecast.forecasting.plan import Plan
from clv_forecast.threads import in_spans

_PANEL_WIDTH: Final = 0.5
_PANEL_NODES: Final = 8
_LARGEST_SHARED_FREQUENCY: Final = 24
_TIMES: Final = 6
_SHAPES: Final = ("r", "s")
_TIMES_PER_LENGTH: Final = 5
# Sums over nodes that are worth a span of their own.
_SPAN: Final = 16384


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
    tested); the panels depend on the parameters only, so a customer's numbers do not depend on the others.

    Parameters
    ----------
    plan : Plan
    rows : ndarray of int, shape (customer,)
        Sorted by (frequency, T), as in ``plan.order``.
    boundaries : ndarray, shape (horizon,)
        Ascending, in the plan's unit.
    """
    alive = plan.module.p_alive(plan.params, plan.frequency[rows], plan.recency[rows], plan.T[rows])
    p_alive = np.ascontiguousarray(np.broadcast_to(alive, (plan.draws, len(rows))).T)
    shape = (len(rows), len(boundaries), plan.draws)
    undiscounted, discounted = np.empty(shape), np.empty(shape)
    served = np.zeros(shape)
    needs_served = bool((plan.cost_per_time[rows] > 0.0).any())
    for start, stop, nodes, weights in _shared(plan, rows):
        tables = _tables(plan, plan.frequency[rows[start]], nodes, boundaries, needs_served)
        smallest = max(1, _SPAN // (len(boundaries) * plan.draws))
        for table, total in zip(tables, (undiscounted, discounted, served), strict=True):
            if total is not served or needs_served:
                in_spans(_combine, stop - start, table, weights, total[start:stop], smallest=smallest)
    reach = p_alive[:, None, :]
    purchases = undiscounted * reach
    if plan.spend is None:
        missing = np.full(shape, np.nan)
        return Expectations(p_alive=p_alive, purchases=purchases, revenue=missing, value=missing)
    amount = plan.spend.expected(rows).T[:, None, :]
    contribution = amount * plan.margin[rows][:, None, None] - plan.cost_per_order[rows][:, None, None]
    value = discounted * reach * plan.factor * contribution
    if needs_served:
        value -= plan.cost_per_time[rows][:, None, None] * served * reach
    return Expectations(p_alive=p_alive, purchases=purchases, revenue=purchases * amount * plan.factor, value=value)


def _shared(plan: Plan, rows: NDArray[np.intp]) -> Iterator[tuple[int, int, NDArray[np.float64], NDArray[np.float64]]]:
    """Runs of rows that share nodes of T: (start, stop, nodes, weights of shape (row, node))."""
    frequency, T = plan.frequency[rows], plan.T[rows]
    origin = float(min(np.min(getattr(plan.params, name)) for name in plan.module.TIME_PARAMETERS))
    y = np.log1p(T / origin)
    panel = np.floor(y / _PANEL_WIDTH)
    panel = np.where(frequency > _LARGEST_SHARED_FREQUENCY, T, panel)
    change = np.flatnonzero((np.diff(frequency) != 0) | (np.diff(panel) != 0)) + 1
    bounds = [0, *change.tolist(), len(rows)]
    for start, stop in pairwise(bounds):
        if frequency[start] > _LARGEST_SHARED_FREQUENCY:
            yield start, stop, T[start : start + 1], np.ones((stop - start, 1))
            continue
        nodes = _chebyshev(panel[start] * _PANEL_WIDTH, _PANEL_WIDTH)
        yield start, stop, origin * np.expm1(nodes), _barycentric(nodes, y[start:stop])


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


def _tables(
    plan: Plan, frequency: float, nodes: NDArray[np.float64], boundaries: NDArray[np.float64], needs_served: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Expectations given alive at the nodes: undiscounted, discounted, discounted time alive; (node, horizon, draw)."""
    ahead, length, panel = _ahead(plan, frequency, nodes, boundaries)
    shape = (len(nodes), len(boundaries), plan.draws)
    undiscounted, discounted, served = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    x = np.full(len(nodes), frequency)

    def over_time(function: Callable[..., NDArray[np.float64]]) -> NDArray[np.float64]:
        found = np.empty((len(ahead), len(nodes), plan.draws))

        def fill(start: int, stop: int) -> None:  # the functions release the interpreter's lock
            for j in range(start, stop):
                found[j].T[...] = function(plan.params, x, nodes, ahead=ahead[j])

        in_spans(fill, len(ahead))
        return found

    for j, rate in enumerate(over_time(plan.module.purchase_rate_given_alive)):
        undiscounted[:, panel[j]] += length[j] * rate
        discounted[:, panel[j]] += length[j] * math.exp(-plan.discount * ahead[j]) * rate
    if needs_served:
        for j, alive in enumerate(over_time(plan.module.survival_given_alive)):
            served[:, panel[j]] += length[j] * math.exp(-plan.discount * ahead[j]) * alive
    return np.cumsum(undiscounted, axis=1), np.cumsum(discounted, axis=1), np.cumsum(served, axis=1)


def _ahead(
    plan: Plan, frequency: float, nodes: NDArray[np.float64], boundaries: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Quadrature over future time: points, weights, and the horizon in which each point lies.

    Gauss-Legendre in ``log(1 + tau / scale)``, where ``scale`` is about the shortest time in which the purchase rate
    changes, so that one rule serves steep and slow decay.
    """
    origin = min(float(np.min(getattr(plan.params, name))) for name in plan.module.TIME_PARAMETERS)
    shape = max(float(np.max(getattr(plan.params, name))) for name in plan.module.PARAMETERS if name in _SHAPES)
    scale = (origin + float(nodes.min())) / (1.0 + shape + 0.25 * frequency)
    edges = np.log1p(np.concatenate([[0.0], boundaries]) / scale)
    ahead, weights, panel = [], [], []
    for h, (low, high) in enumerate(pairwise(edges)):
        count = _TIMES + math.ceil(_TIMES_PER_LENGTH * (high - low))
        point, weight = np.polynomial.legendre.leggauss(count)
        u = low + 0.5 * (high - low) * (point + 1.0)
        ahead.append(scale * np.expm1(u))
        weights.append(0.5 * (high - low) * weight * scale * np.exp(u))
        panel.append(np.full(count, h))
    return np.concatenate(ahead), np.concatenate(weights), np.concatenate(panel)


@njit(cache=True, nogil=True)
def _combine(tables, weights, out, start, stop):  # type: ignore[no-untyped-def]
    """Sum over nodes of weights[i, k] * tables[k, h, d], in a fixed order."""
    nodes, horizons, draws = tables.shape
    for i in range(start, stop):
        for h in range(horizons):
            for d in range(draws):
                total = 0.0
                for k in range(nodes):
                    total += weights[i, k] * tables[k, h, d]
                out[i, h, d] = total
