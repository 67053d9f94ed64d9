"""A likelihood to fit: weighted rows in scaled data, seen as a function of unconstrained coordinates.

Time is divided by the mean gap between purchases and money by the mean amount, so that hours or weeks, cents or
euros give the same optimisation; log-likelihoods are reported in the user's units through ``offset``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv_forecast.inference.sufficient import PurchaseRows, SpendRows
from clv_forecast.models import gamma_gamma, names_of, transaction_model
from clv_forecast.models.kernels import PurchaseTables, SpendTables, purchase_tables, spend_tables
from clv_forecast.threads import in_spans

Floats = NDArray[np.float64]


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
    return _problem(
        module,
        _Sum(kernel=module.log_likelihood_of_cells, tables=purchase_tables(*data, rows.weights)),
        model=model,
        weights=rows.weights,
        starts=module.starting_points(*data, rows.weights),
        prior=module.prior_location_scale(1.0, 1.0),
        factors={name: scale for name in module.TIME_PARAMETERS},
        scale=scale,
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
    logs = sum_log if orders else rows.n * np.log(total)
    return _problem(
        gamma_gamma,
        _Sum(
            kernel=gamma_gamma.KERNELS["orders" if orders else "means"],
            tables=spend_tables(rows.n, total, logs, rows.weights),
            constant=-float(np.sum(rows.weights * (logs if orders else np.log(total / rows.n)))),
        ),
        model="gamma_gamma",
        weights=rows.weights,
        starts=gamma_gamma.starting_points(rows.n, total, sum_log, rows.weights),
        prior=gamma_gamma.prior_location_scale(1.0),
        factors={name: scale for name in gamma_gamma.MONEY_PARAMETERS},
        scale=scale,
        offset=-(count if orders else float(np.sum(rows.weights))) * float(np.log(scale)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sum:
    """The log-likelihood of all customers: a compiled kernel, its tables, and what it leaves out."""

    kernel: Callable[..., tuple[float, Floats]]
    tables: PurchaseTables | SpendTables
    constant: float = 0.0


def _problem(
    module: Any,
    likelihood: _Sum,
    *,
    model: str,
    weights: Floats,
    starts: list[Floats],
    prior: tuple[Floats, Floats],
    factors: Mapping[str, float],
    scale: float,
    offset: float,
) -> Problem:
    units = np.array([factors.get(name, 1.0) for name in module.PARAMETERS])
    kernel, tables = likelihood.kernel, likelihood.tables

    def value_gradient(theta: Floats) -> tuple[float, Floats]:
        value, gradient = kernel(np.array(theta, dtype=np.float64)[None, :], tables, True)
        return value + likelihood.constant, gradient[0]

    def values(thetas: Floats) -> Floats:
        result = np.empty(len(thetas))

        def fill(start: int, stop: int) -> None:
            for draw in range(start, stop):
                result[draw] = kernel(np.array(thetas[draw : draw + 1], dtype=np.float64), tables, False)[0]

        in_spans(fill, len(thetas))
        return result + likelihood.constant

    def constrain(theta: Floats) -> Any:
        params = module.constrain(theta)
        return module.Params(*(getattr(params, n) * f for n, f in zip(module.PARAMETERS, units, strict=True)))

    def unconstrain(params: Any) -> Floats:
        scaled = (getattr(params, n) / f for n, f in zip(module.PARAMETERS, units, strict=True))
        return np.asarray(module.unconstrain(module.Params(*scaled)), dtype=np.float64).reshape(units.size)

    return Problem(
        model=model,
        parameters=tuple(module.PARAMETERS),
        coordinates=names_of(module.COORDINATES),
        value_gradient=value_gradient,
        values=values,
        constrain=constrain,
        unconstrain=unconstrain,
        jacobian=lambda theta: units[:, None] * module.constrain_jacobian(theta),
        starts=tuple(np.asarray(start, dtype=np.float64) for start in starts),
        prior_location=np.asarray(prior[0], dtype=np.float64),
        prior_scale=np.asarray(prior[1], dtype=np.float64),
        scale=scale,
        offset=offset,
        n_observations=int(np.sum(weights)),
        n_rows=weights.size,
        nanoseconds=module.NANOSECONDS * weights.size,
    )
