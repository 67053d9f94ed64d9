"""Parameters of the Pareto/NBD model: their type, the free vector of a fit, its starts and its prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from clv_forecast.errors import DomainError
from clv_forecast.models.domain import Floats, checked_history, non_negative, positive_field, stacked, unstacked

PARAMETERS: Final = ("r", "alpha", "s", "beta")
UNCONSTRAINED: Final = ("log_rate", "log_shape", "log_dropout_rate", "log_dropout_shape")


@dataclass(frozen=True, slots=True, init=False)
class Params:
    """Parameters of the Pareto/NBD model.

    Parameters
    ----------
    r, alpha : array_like
        Shape and rate of the purchase rate's Gamma distribution; ``alpha`` in the unit of ``T``.
    s, beta : array_like
        Shape and rate of the death rate's Gamma distribution; ``beta`` in the unit of ``T``.

    Raises
    ------
    DomainError
        Unless every entry is finite and positive.

    Examples
    --------
    >>> Params(0.553, 10.578, 0.606, 11.669).s
    array(0.606)
    """

    r: Floats
    alpha: Floats
    s: Floats
    beta: Floats

    def __init__(self, r: ArrayLike, alpha: ArrayLike, s: ArrayLike, beta: ArrayLike) -> None:
        for name, value in zip(PARAMETERS, (r, alpha, s, beta), strict=True):
            object.__setattr__(self, name, positive_field(name, value))


def unconstrain(params: Params) -> Floats:
    """Parameters as the free vector ``(ln r/alpha, ln r, ln s/beta, ln s)``: mean rates, and how alike customers are.

    Returns
    -------
    ndarray, shape (4,) or (draw, 4)

    Raises
    ------
    DomainError
        If a field varies by customer.

    Examples
    --------
    >>> unconstrain(Params(1.0, 10.0, 1.0, 1.0)).round(6) + 0.0
    array([-2.302585,  0.      ,  0.      ,  0.      ])
    """
    log_r, log_s = np.log(params.r), np.log(params.s)
    return stacked([log_r - np.log(params.alpha), log_r, log_s - np.log(params.beta), log_s])


def constrain(theta: ArrayLike) -> Params:
    """Parameters from the free vector of :func:`unconstrain`.

    Parameters
    ----------
    theta : array_like, shape (4,) or (draw, 4)

    Returns
    -------
    Params
        Scalar fields, or fields of shape (draw, 1).

    Raises
    ------
    DomainError
        If ``theta`` has another shape, or leads beyond the largest or below the smallest float.

    Examples
    --------
    >>> constrain([0.0, 0.0, 0.0, 0.0]).alpha
    array(1.)
    """
    log_rate, log_r, log_death, log_s = unstacked(theta, len(UNCONSTRAINED))
    with np.errstate(over="ignore"):
        return Params(np.exp(log_r), np.exp(log_r - log_rate), np.exp(log_s), np.exp(log_s - log_death))


def constrain_jacobian(theta: ArrayLike) -> Floats:
    """Derivatives of (r, alpha, s, beta), rows, with respect to the free vector, columns.

    Parameters
    ----------
    theta : array_like, shape (4,)

    Returns
    -------
    ndarray, shape (4, 4)

    Raises
    ------
    DomainError
        As :func:`constrain`, or if ``theta`` holds several draws.

    Examples
    --------
    >>> constrain_jacobian([0.0, 0.0, 0.0, 0.0])[1]
    array([-1.,  1.,  0.,  0.])
    """
    r, alpha, s, beta = scalar_values(constrain(theta))
    return np.array([[0.0, r, 0.0, 0.0], [-alpha, alpha, 0.0, 0.0], [0.0, 0.0, 0.0, s], [0.0, 0.0, -beta, beta]])


def starting_points(frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, weights: ArrayLike) -> list[Floats]:
    """Free vectors to start a fit from, scaled by the data.

    Parameters
    ----------
    frequency, recency, T : array_like, shape (customer,)
    weights : array_like, shape (customer,)
        How many customers each row stands for.

    Returns
    -------
    list of ndarray, shape (4,)
        Mild, rare and frequent death.

    Raises
    ------
    DomainError
        If the history is out of its domain or the weights are negative.

    Examples
    --------
    >>> [theta.round(2).tolist() for theta in starting_points([2, 0], [30.0, 0.0], [40.0, 40.0], [1, 1])][0]
    [-2.97, -0.4, -3.69, -0.4]
    """
    x, _, length = checked_history(frequency, recency, T)
    weight = non_negative("weights", weights)
    time = float((weight * length).sum())
    people = float(weight.sum())
    if time <= 0.0:
        time = people = 1.0
    log_rate = np.log((float((weight * x).sum()) + 0.5) / time)
    log_death = np.log(people / time)
    return [
        np.array([log_rate + 0.5, -0.4, log_death, -0.4]),
        np.array([log_rate, 0.0, log_death - 2.5, 0.0]),
        np.array([log_rate + 1.0, -0.7, log_death + 1.0, -0.7]),
    ]


def prior_location_scale(time_scale: float, rate: float) -> tuple[Floats, Floats]:
    """Location and scale of the weakly informative normal prior on the free vector, from the data's own scale.

    Parameters
    ----------
    time_scale : float
        Length of the time unit in which the prior is asked, in that of ``rate`` (1 for the same unit).
    rate : float
        Repeat purchases per customer and unit of time.

    Returns
    -------
    location, scale : ndarray, shape (4,)

    Raises
    ------
    DomainError
        If an argument is not finite and positive.

    Examples
    --------
    >>> prior_location_scale(1.0, 1.0)[0].tolist()
    [0.0, 0.0, -1.0, 0.0]
    """
    log_rate = float(np.log(positive_field("rate", rate)) + np.log(positive_field("time_scale", time_scale)))
    return np.array([log_rate, 0.0, log_rate - 1.0, 0.0]), np.array([1.5, 2.5, 2.0, 2.0])


def scalar_values(params: Params) -> tuple[float, float, float, float]:
    """The four parameters as floats; DomainError unless all are scalars."""
    values = [np.asarray(getattr(params, name)) for name in PARAMETERS]
    if any(value.ndim for value in values):
        raise DomainError("This needs scalar parameters.", value=[value.shape for value in values])
    r, alpha, s, beta = (float(value) for value in values)
    return r, alpha, s, beta
