"""Likelihood of BG/NBD and MBG/NBD with its gradient, and what belongs to their parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from scipy.special import expit

from clv_forecast.errors import DomainError
from clv_forecast.models.coordinates import PURCHASE_RATE, Coordinate
from clv_forecast.models.domain import Floats, checked_history, non_negative, positive_field, stacked, unstacked
from clv_forecast.models.kernels import add_waiting, astray

PARAMETERS: Final = ("r", "alpha", "a", "b")
TIME_PARAMETERS: Final = ("alpha",)  # measured in the unit of time
NANOSECONDS: Final = 40.0  # about, of a row of the likelihood
future_key: Final = ("frequency", "T")
COORDINATES: Final = (
    *PURCHASE_RATE,
    Coordinate(
        name="logit_dropout",
        quantity="mean_dropout_probability",
        limits=(-25.0, 16.0),
        at_lower="there is no dropout (a/(a+b) -> 0)",
        at_upper="every customer leaves at the first chance (a/(a+b) -> 1)",
        level=True,
        link="logit",
    ),
    Coordinate(
        name="log_concentration",
        quantity="dropout_concentration",
        limits=(-10.0, 16.0),
        at_lower="customers leave either at the first chance or never (a+b -> 0)",
        at_upper="customers do not differ in dropout probability (a+b -> infinity)",
    ),
)


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
    log_rate, log_r, logit_dropout, log_concentration = unstacked(theta, len(COORDINATES))
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


@njit(cache=True, nogil=True, error_model="numpy")
def log_likelihood_of_cells(theta, tables, initial, wanted):  # type: ignore[no-untyped-def]
    """Value, and gradient of shape (cell, 4) in the free vectors where it is wanted; see `kernels`."""
    if astray(theta):
        return -np.inf, np.zeros_like(theta)
    cells = theta.shape[0]
    r, alpha = np.exp(theta[:, 1]), np.exp(theta[:, 1] - theta[:, 0])
    a, b, log_a = np.empty(cells), np.empty(cells), np.empty(cells)
    for c in range(cells):
        odds = math.exp(-abs(theta[c, 2]))
        small, large = odds / (1.0 + odds), 1.0 / (1.0 + odds)
        concentration = math.exp(theta[c, 3])
        a[c] = concentration * (large if theta[c, 2] > 0.0 else small)
        b[c] = concentration * (small if theta[c, 2] > 0.0 else large)
        log_a[c] = theta[c, 3] + min(theta[c, 2], 0.0) - math.log1p(odds)
    by_r, by_alpha, by_a, by_b = np.zeros(cells), np.zeros(cells), np.zeros(cells), np.zeros(cells)
    value = 0.0
    for i in range(tables.steps.shape[0]):
        c, j, count = int(tables.steps[i, 0]), tables.steps[i, 1], tables.steps[i, 2]
        chance = b[c] + j + initial
        value += count * (math.log(r[c] + j) - math.log1p(a[c] / chance))
        by_r[c] += count / (r[c] + j)
        by_a[c] -= count / (a[c] + chance)
        by_b[c] += count * a[c] / (chance * (a[c] + chance))
    value = add_waiting(r, alpha, tables.spans, 1.0, value, by_r, by_alpha)
    if initial > 0.0:
        for i in range(tables.spans.shape[0]):
            c, customers = int(tables.spans[i, 0]), tables.spans[i, 2]
            value -= customers * math.log1p(a[c] / b[c])
            by_a[c] -= customers / (a[c] + b[c])
            by_b[c] += customers * a[c] / (b[c] * (a[c] + b[c]))
    rows = tables.rows
    for i in range(rows.shape[0]):
        c, x, recency, length, count = int(rows[i, 0]), rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4]
        if x + initial == 0.0:  # no chance to leave has passed
            continue
        then, shape, since = alpha[c] + recency, r[c] + x, length - recency
        silent = math.log1p(since / then)
        chance = b[c] + x + initial - 1.0
        odds = log_a[c] - math.log(chance) + shape * silent
        small = math.exp(-abs(odds))
        value += count * (max(odds, 0.0) + math.log1p(small))
        if wanted:
            left = count * (1.0 if odds > 0.0 else small) / (1.0 + small)
            by_r[c] += left * silent
            by_alpha[c] -= left * shape * since / (then * (then + since))
            by_a[c] += left / a[c]
            by_b[c] -= left / chance
    gradient = np.empty((cells, 4))
    for c in range(cells):
        shift = a[c] * (b[c] / (a[c] + b[c]))
        gradient[c, 0] = -alpha[c] * by_alpha[c]
        gradient[c, 1] = r[c] * by_r[c] + alpha[c] * by_alpha[c]
        gradient[c, 2] = shift * (by_a[c] - by_b[c])
        gradient[c, 3] = a[c] * by_a[c] + b[c] * by_b[c]
    return value, gradient
