"""Between a package's natural parameters and the free coordinates of a likelihood here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv_forecast.inference.problem import Problem
from clv_forecast.models import gamma_gamma, transaction_model

Floats = NDArray[np.float64]

GAMMA_GAMMA = "gamma_gamma"


def model_module(name: str) -> Any:
    """Return the module of a model of purchases or of spend.

    Raises
    ------
    DomainError
        If the model is unknown.

    Examples
    --------
    >>> model_module("gamma_gamma").PARAMETERS
    ('p', 'q', 'v')
    """
    return gamma_gamma if name == GAMMA_GAMMA else transaction_model(name)


def free_coordinates(problem: Problem, params: Any) -> Floats:
    """Coordinates ``theta`` of ``problem`` at which ``problem.constrain(theta)`` is ``params``.

    Parameters
    ----------
    problem : Problem
    params : Params
        In the user's units; scalar fields, or fields of shape (draw, 1).

    Returns
    -------
    ndarray, shape (k,) or (draw, k)

    Examples
    --------
    >>> problem = problem_without_data("bg_nbd")
    >>> model_module("bg_nbd").Params(1.0, 1.0, 2.0, 2.0)
    Params(r=array(1.), alpha=array(1.), a=array(2.), b=array(2.))
    >>> free_coordinates(problem, model_module("bg_nbd").Params(1.0, 1.0, 2.0, 2.0)).round(4) + 0.0
    array([0.    , 0.    , 0.    , 1.3863])
    """
    module = model_module(problem.model)
    anywhere = np.zeros(len(problem.coordinates))
    scaled, user = module.constrain(anywhere), problem.constrain(anywhere)
    factors = [float(getattr(user, name)) / float(getattr(scaled, name)) for name in problem.parameters]
    natural = [getattr(params, name) / factor for name, factor in zip(problem.parameters, factors, strict=True)]
    return np.asarray(module.unconstrain(module.Params(*natural)), dtype=np.float64)


def problem_without_data(model: str) -> Problem:
    """State a likelihood whose data are absent: it knows its coordinates, and its value is NaN.

    Parameters
    ----------
    model : str

    Returns
    -------
    Problem
        In the user's units (``scale`` is 1), with no customers.

    Examples
    --------
    >>> problem_without_data("pareto_nbd").parameters
    ('r', 'alpha', 's', 'beta')
    """
    module = model_module(model)
    count = len(module.UNCONSTRAINED)
    location, spread = (
        module.prior_location_scale(1.0) if model == GAMMA_GAMMA else module.prior_location_scale(1.0, 1.0)
    )

    def value_gradient(theta: Floats) -> tuple[float, Floats]:
        return float("nan"), np.full(count, np.nan)

    return Problem(
        model=model,
        parameters=tuple(module.PARAMETERS),
        coordinates=tuple(module.UNCONSTRAINED),
        value_gradient=value_gradient,
        values=lambda thetas: np.full(len(thetas), np.nan),
        constrain=module.constrain,
        unconstrain=module.unconstrain,
        jacobian=module.constrain_jacobian,
        starts=(),
        prior_location=np.asarray(location, dtype=np.float64),
        prior_scale=np.asarray(spread, dtype=np.float64),
        scale=1.0,
        offset=0.0,
        n_observations=0,
        n_rows=0,
    )
