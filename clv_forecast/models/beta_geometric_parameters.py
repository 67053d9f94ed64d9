"""Parameters of BG/NBD and MBG/NBD: their type, the free vector of a fit, its starts and its prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from clv_forecast.errors import DomainError
from clv_forecast.models.domain import Floats, checked_history, non_negative, positive_field, stacked, unstacked

PARAMETERS: Final = ("r", "alpha", "a", "b")
UNCONSTRAINED: Final = ("log_rate", "log_shape", "logit_dropout", "log_concentration")


@dataclass(frozen=True, slots=True, init=False)
class Params:
    """Parameters of BG/NBD and MBG/NBD.

    Parameters
    ----------
    r, alpha : array_like
        Shape and rate of the purchase rate's Gamma distribution; ``alpha`` in the unit of ``T``.
    a, b : array_like
        The dropout probability's Beta distribution.

    Raises
    ------
    DomainError
        Unless every entry is finite and positive.

    Examples
    --------
    >>> Params(0.243, 4.414, 0.793, 2.426).a
    array(0.793)
    """

    r: Floats
    alpha: Floats
    a: Floats
    b: Floats

    def __init__(self, r: ArrayLike, alpha: ArrayLike, a: ArrayLike, b: ArrayLike) -> None:
        for name, value in zip(PARAMETERS, (r, alpha, a, b), strict=True):
            object.__setattr__(self, name, positive_field(name, value))


def unconstrain(params: Params) -> Floats:
    """Free vector ``(ln r/alpha, ln r, logit a/(a+b), ln a+b)``: two means, and how alike customers are in each.

    Returns
    -------
    ndarray, shape (4,) or (draw, 4)

    Raises
    ------
    DomainError
        If a field varies by customer.

    Examples
    --------
    >>> unconstrain(Params(1.0, 10.0, 0.5, 0.5)).round(6) + 0.0
    array([-2.302585,  0.      ,  0.      ,  0.      ])
    """
    log_r = np.log(params.r)
    return stacked(
        [log_r - np.log(params.alpha), log_r, np.log(params.a) - np.log(params.b), np.log(params.a + params.b)]
    )


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
    >>> constrain([0.0, 0.0, 0.0, 0.0]).b
    array(0.5)
    """
    log_rate, log_r, logit_dropout, log_concentration = unstacked(theta, len(UNCONSTRAINED))
    with np.errstate(over="ignore", under="ignore"):
        concentration = np.exp(log_concentration)
        return Params(
            np.exp(log_r),
            np.exp(log_r - log_rate),
            expit(logit_dropout) * concentration,
            expit(-logit_dropout) * concentration,
        )


def constrain_jacobian(theta: ArrayLike) -> Floats:
    """Derivatives of (r, alpha, a, b), rows, with respect to the free vector, columns.

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
    if np.ndim(theta) != 1:
        raise DomainError("constrain_jacobian takes one free vector.", value=np.shape(theta))
    params = constrain(theta)
    r, alpha, a, b = (float(getattr(params, name)) for name in PARAMETERS)
    shift = a * b / (a + b)
    return np.array([[0.0, r, 0.0, 0.0], [-alpha, alpha, 0.0, 0.0], [0.0, 0.0, shift, a], [0.0, 0.0, -shift, b]])


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
        Customers unlike each other with mild dropout, alike with rare dropout, very unlike with frequent dropout.

    Raises
    ------
    DomainError
        If the history is out of its domain or the weights are negative.

    Examples
    --------
    >>> starting_points([2, 0], [30.0, 0.0], [40.0, 40.0], [1, 1])[1].round(2).tolist()
    [-3.47, 0.5, -2.5, 2.0]
    """
    x, _, length = checked_history(frequency, recency, T)
    weight = non_negative("weights", weights)
    time = float((weight * length).sum())
    log_rate = float(np.log((float((weight * x).sum()) + 0.5) / (time if time > 0.0 else 1.0)))
    return [
        np.array([log_rate + 0.5, -0.7, -1.0, 1.1]),
        np.array([log_rate, 0.5, -2.5, 2.0]),
        np.array([log_rate + 1.0, -1.5, 0.0, 0.0]),
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
    >>> prior_location_scale(1.0, 1.0)[0].round(4).tolist()
    [0.0, 0.0, -1.0, 1.0986]
    """
    log_rate = float(np.log(positive_field("rate", rate)) + np.log(positive_field("time_scale", time_scale)))
    return np.array([log_rate, 0.0, -1.0, np.log(3.0)]), np.array([1.5, 2.5, 1.5, 2.0])
