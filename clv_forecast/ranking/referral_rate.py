"""How many referrals an account will make: its own count drawn toward the base's, as far as accounts differ."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from clv_forecast.units import DAYS_PER_YEAR

_LEAST_YEARS: Final = 1.0 / DAYS_PER_YEAR
_LOG_SHAPES: Final = (-7.0, 7.0)
_STEP: Final = 0.01
_LONGEST_YEARS: Final = 1000.0
_STEPS: Final = 200_000


def expected_counts(
    counts: NDArray[np.int64], years: NDArray[np.float64], ahead: NDArray[np.float64]
) -> NDArray[np.float64]:
    r"""Expected number of events of each account in the time ahead, from its count so far.

    Parameters
    ----------
    counts : ndarray of int, shape (account,)
    years : ndarray, shape (account,)
        Time over which they were counted; NaN where unknown.
    ahead : ndarray, shape (account,)
        Years ahead.

    Returns
    -------
    ndarray, shape (account,)
        :math:`u_i (a + y_i) / (b + t_i)`; NaN where ``years`` or ``ahead`` is.

    Examples
    --------
    >>> expected_counts(np.array([0, 0, 0, 4]), np.full(4, 2.0), np.ones(4)).round(2)
    array([0.07, 0.07, 0.07, 1.8 ])
    """
    time = np.maximum(years, _LEAST_YEARS)
    known = np.isfinite(time)
    shape, mean = gamma_of_rates(counts[known], time[known])
    if math.isinf(shape):
        return ahead * np.where(known, mean, np.nan)
    rate = shape / mean
    return np.asarray(ahead * (shape + counts) / (rate + time))


def gamma_of_rates(counts: NDArray[np.int64], years: NDArray[np.float64]) -> tuple[float, float]:
    r"""Gamma distribution of Poisson rates over accounts, by maximum likelihood.

    .. math:: \ln p(y) = \ln\Gamma(a + y) - \ln\Gamma(a) - \ln y! + a \ln\frac{b}{b + t} + y \ln\frac{t}{b + t}

    Parameters
    ----------
    counts : ndarray of int, shape (account,)
    years : ndarray, shape (account,)
        > 0.

    Returns
    -------
    shape, mean : float
        ``shape`` is inf where counts vary no more than by chance at one common rate, or there are none; ``mean`` in
        events a year (``b = shape / mean``).

    Notes
    -----
    For a given shape the likelihood has one maximum in ``b``; the shape is found by a bounded search of its
    logarithm from -7 to 7. Accounts of the same count and time, to a hundredth of a year, enter once, with their
    number.

    Examples
    --------
    >>> gamma_of_rates(np.array([1, 1, 1, 1]), np.ones(4))
    (inf, 1.0)
    """
    if not len(counts) or counts.sum() == 0:
        return math.inf, 0.0
    steps = np.maximum(np.rint(np.minimum(years, _LONGEST_YEARS) / _STEP), 1.0).astype(np.int64)
    pairs, weight = np.unique(counts * _STEPS + steps, return_counts=True)
    y, t = (pairs // _STEPS).astype(np.float64), _STEP * (pairs % _STEPS)
    pooled = float(weight @ y / (weight @ t))
    excess = weight @ (np.square(y - pooled * t) - y)
    if excess <= 0.0:  # the slope of the likelihood toward unequal rates
        return math.inf, pooled

    def rate_of(shape: float) -> float:
        def slope(log_rate: float) -> float:
            return float(weight @ (shape - (shape + y) * math.exp(log_rate) / (math.exp(log_rate) + t)))

        return math.exp(optimize.brentq(slope, -40.0, 40.0, xtol=1e-10))

    def loss(log_shape: float) -> float:
        shape = math.exp(log_shape)
        rate = rate_of(shape)
        terms = special.gammaln(shape + y) - special.gammaln(shape) - shape * np.log1p(t / rate) - y * np.log(rate + t)
        return -float(weight @ terms)

    found = optimize.minimize_scalar(loss, bounds=_LOG_SHAPES, method="bounded", options={"xatol": 1e-6})
    if found.x > _LOG_SHAPES[1] - 1e-3:
        return math.inf, pooled
    shape = math.exp(found.x)
    return shape, shape / rate_of(shape)
