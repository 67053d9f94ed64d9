"""A likelihood to fit: weighted rows in scaled data, seen as a function of unconstrained coordinates.

Time is divided by the mean gap between purchases and money by the mean amount, so that hours or weeks, cents or
euros give the same optimisation; log-likelihoods are reported in the user's units through ``offset``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.inference.sufficient import PurchaseRows, SpendRows
from clv_forecast.models import (
    beta_geometric,
    gamma_gamma,
    gamma_gamma_likelihood,
    pareto_likelihood,
    transaction_model,
)

Floats = NDArray[np.float64]

_TIME_PARAMETERS: Final = frozenset({"alpha", "beta"})
_MONEY_PARAMETERS: Final = frozenset({"v"})
_CELLS_AT_ONCE: Final = 250_000  # a few MB for each array of a block: they stay in the processor's cache
_CHANCES_AT_FIRST: Final = {"bg_nbd": 0, "mbg_nbd": 1}  # to leave, which the first purchase brings
# Nanoseconds, about: they need be right to a factor of two only.
_BETA_GEOMETRIC_ROW: Final = 15.0
_SPEND_ROW: Final = 4.0
_PARETO_CELL: Final = 30.0
_ANY_ROW: Final = 800.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """One likelihood over unconstrained coordinates ``theta``, in scaled data.

    Parameters
    ----------
    model : str
        Name of the model.
    parameters, coordinates : tuple of str
        Names of the natural parameters and of the unconstrained coordinates.
    value_gradient : callable
        ``theta (k,)`` to the log-likelihood and its gradient ``(k,)``.
    values : callable
        ``theta (draw, k)`` to log-likelihoods ``(draw,)``.
    constrain : callable
        ``theta (k,)`` or ``(draw, k)`` to ``Params`` in the user's units.
    unconstrain : callable
        ``Params`` in the user's units to ``theta (k,)``.
    jacobian : callable
        ``theta (k,)`` to ``d natural / d theta``, natural parameters in the user's units as rows.
    starts : tuple of ndarray
        Starting points.
    prior_location, prior_scale : ndarray, shape (k,)
        The weakly informative independent normal prior on ``theta``.
    scale : float
        What the data were divided by (time or money), in the user's unit.
    offset : float
        Add it to a scaled log-likelihood to have it in the user's units.
    n_observations, n_rows : int
        Customers in the likelihood, and distinct rows.
    nanoseconds : float
        About what one evaluation by ``values`` costs, from the size of the data; decides whether thousands of them
        are made or a surrogate is asked.
    """

    model: str
    parameters: tuple[str, ...]
    coordinates: tuple[str, ...]
    value_gradient: Callable[[Floats], tuple[float, Floats]]
    values: Callable[[Floats], Floats]
    constrain: Callable[[Floats], Any]
    unconstrain: Callable[[Any], Floats]
    jacobian: Callable[[Floats], Floats]
    starts: tuple[Floats, ...]
    prior_location: Floats
    prior_scale: Floats
    scale: float
    offset: float
    n_observations: int
    n_rows: int
    nanoseconds: float = 0.0


def purchase_problem(model: str, rows: PurchaseRows) -> Problem:
    """State the fit of a transaction model to distinct rows.

    Raises
    ------
    DomainError
        If the model is unknown.

    Examples
    --------
    >>> from clv_forecast.inference.sufficient import compress
    >>> problem = purchase_problem("bg_nbd", compress([2, 0], [30.0, 0.0], [38.0, 38.0]))
    >>> problem.parameters, problem.scale
    (('r', 'alpha', 'a', 'b'), 38.0)
    """
    module = transaction_model(model)
    purchases = float(np.sum(rows.weights * rows.frequency))
    scale = float(np.sum(rows.weights * rows.T)) / purchases
    data = (rows.frequency, rows.recency / scale, rows.T / scale)
    location, spread = module.prior_location_scale(1.0, 1.0)
    return _problem(
        model,
        module,
        lambda params: module.log_likelihood_gradient(params, *data),
        _purchase_sums(model, module, data, rows.weights),
        rows.weights,
        starts=module.starting_points(*data, rows.weights),
        prior=(location, spread),
        scale=scale,
        scaled=_TIME_PARAMETERS,
        offset=-purchases * float(np.log(scale)),
    )


def spend_problem(rows: SpendRows, *, orders: bool) -> Problem:
    """State the fit of the Gamma-Gamma model to distinct rows.

    Parameters
    ----------
    rows : SpendRows
    orders : bool
        True for the order-level likelihood, which needs ``sum_log``; False for the likelihood of customers' means.

    Examples
    --------
    >>> from clv_forecast.inference.sufficient import compress_spend
    >>> spend_problem(compress_spend([2, 1], [30.0, 5.0]), orders=False).offset == -2 * np.log(35 / 3)
    np.True_
    """
    count = float(np.sum(rows.weights * rows.n))
    scale = float(np.sum(rows.weights * rows.total)) / count
    total, sum_log = rows.total / scale, rows.sum_log - rows.n * np.log(scale)
    gradient: Callable[..., tuple[Floats, Floats]]
    if orders:
        gradient = gamma_gamma.log_likelihood_orders_gradient
        data: tuple[Floats, ...] = (rows.n, total, sum_log)
        densities = count
    else:
        gradient = gamma_gamma.log_likelihood_gradient
        data = (rows.n, total / rows.n)
        densities = float(np.sum(rows.weights))
    sums = gamma_gamma_likelihood.spend_sums(rows.n, total, sum_log, rows.weights, orders=orders)
    return _problem(
        "gamma_gamma",
        gamma_gamma,
        lambda params: gradient(params, *data),
        _Sums(
            of=lambda params: gamma_gamma_likelihood.log_likelihood_sums(params, sums),
            cells=sums.counts.size,
            nanoseconds=_SPEND_ROW * total.size,
        ),
        rows.weights,
        starts=gamma_gamma.starting_points(rows.n, total, sum_log, rows.weights),
        prior=gamma_gamma.prior_location_scale(1.0),
        scale=scale,
        scaled=_MONEY_PARAMETERS,
        offset=-densities * float(np.log(scale)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """The log-likelihood of all customers for many draws, ``Params`` to ``(draw,)``; cells held and time, per draw."""

    of: Callable[[Any], Floats]
    cells: int
    nanoseconds: float


def _purchase_sums(model: str, module: Any, data: tuple[Floats, Floats, Floats], weights: Floats) -> _Sums:
    rows = beta_geometric.indexed_rows(*data, weights)
    if model in _CHANCES_AT_FIRST:
        initial = _CHANCES_AT_FIRST[model]
        return _Sums(
            of=lambda params: beta_geometric.log_likelihood_sums(params, rows, initial),
            cells=rows.counts.size,
            nanoseconds=_BETA_GEOMETRIC_ROW * weights.size,
        )
    if model == "pareto_nbd" and pareto_likelihood.pays(rows):
        return _Sums(
            of=lambda params: pareto_likelihood.log_likelihood_sums(params, rows),
            cells=rows.counts.size,
            nanoseconds=_PARETO_CELL * (pareto_likelihood.cells(rows) + weights.size),
        )
    return _Sums(
        of=lambda params: np.asarray(np.sum(module.log_likelihood(params, *data) * weights, axis=1)),
        cells=weights.size,
        nanoseconds=_ANY_ROW * weights.size,
    )


def _problem(
    model: str,
    module: Any,
    gradient_of_rows: Callable[[Any], tuple[Floats, Floats]],
    sums: _Sums,
    weights: Floats,
    *,
    starts: list[Floats],
    prior: tuple[Floats, Floats],
    scale: float,
    scaled: frozenset[str],
    offset: float,
) -> Problem:
    factors = np.array([scale if name in scaled else 1.0 for name in module.PARAMETERS])

    def value_gradient(theta: Floats) -> tuple[float, Floats]:
        value, gradient = gradient_of_rows(module.constrain(theta))
        natural = np.sum(gradient * weights, axis=1)
        return float(np.sum(value * weights)), module.constrain_jacobian(theta).T @ natural

    def values(thetas: Floats) -> Floats:
        result = np.empty(len(thetas))
        step = max(1, _CELLS_AT_ONCE // sums.cells)
        for start in range(0, len(thetas), step):
            block = slice(start, start + step)
            result[block] = sums.of(module.constrain(thetas[block]))
        return result

    def constrain(theta: Floats) -> Any:
        params = module.constrain(theta)
        return module.Params(*(getattr(params, n) * f for n, f in zip(module.PARAMETERS, factors, strict=True)))

    def unconstrain(params: Any) -> Floats:
        scaled = (getattr(params, n) / f for n, f in zip(module.PARAMETERS, factors, strict=True))
        return np.asarray(module.unconstrain(module.Params(*scaled)), dtype=np.float64).reshape(len(factors))

    return Problem(
        model=model,
        parameters=tuple(module.PARAMETERS),
        coordinates=tuple(module.UNCONSTRAINED),
        value_gradient=value_gradient,
        values=values,
        constrain=constrain,
        unconstrain=unconstrain,
        jacobian=lambda theta: factors[:, None] * module.constrain_jacobian(theta),
        starts=tuple(np.asarray(start, dtype=np.float64) for start in starts),
        prior_location=np.asarray(prior[0], dtype=np.float64),
        prior_scale=np.asarray(prior[1], dtype=np.float64),
        scale=scale,
        offset=offset,
        n_observations=int(np.sum(weights)),
        n_rows=weights.size,
        nanoseconds=sums.nanoseconds,
    )
