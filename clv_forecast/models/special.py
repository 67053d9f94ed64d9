"""Functions that several models use.

While a customer is alive all transaction models say the same: a Poisson buyer whose rate is Gamma distributed.

Given ``x`` purchases up to some time and being alive, ``lambda ~ Gamma(r + x, alpha + time)``: the next wait is
Pareto of the second kind, whatever ends the customer's life. Each model offers these functions under its own name.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from clv_forecast.models.domain import Floats, checked_history, checked_probability, non_negative


class GammaRate(Protocol):
    """Parameters of a model whose purchase rate is ``Gamma(r, alpha)``."""

    @property
    def r(self) -> Floats:
        """Shape."""
        ...

    @property
    def alpha(self) -> Floats:
        """Rate, in the unit of time."""
        ...


def next_purchase_quantile(params: GammaRate, frequency: ArrayLike, T: ArrayLike, *, probability: ArrayLike) -> Floats:
    r"""Time since ``T`` by which a customer who is alive and stays so has bought again, with a given probability.

    .. math:: (\alpha + T) \left[ (1 - \pi)^{-1/(r+x)} - 1 \right]

    Parameters
    ----------
    params : Params
        Of any transaction model; each field scalar or broadcasting to (draw, customer).
    frequency, T : array_like, shape (customer,)
    probability : array_like
        In [0, 1).

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        In the unit of ``T``; ``inf`` where it exceeds the largest float.

    Raises
    ------
    DomainError
        If an argument is out of its domain.

    Examples
    --------
    >>> from clv_forecast.models.bg_nbd import Params
    >>> next_purchase_quantile(Params(0.243, 4.414, 0.793, 2.426), 2, 38.86, probability=0.5).round(4)
    array([15.6695])
    """
    x, length = np.broadcast_arrays(non_negative("frequency", frequency), non_negative("T", T))
    level = checked_probability(probability)
    with np.errstate(over="ignore"):
        return np.asarray((params.alpha + length) * np.expm1(-np.log1p(-level) / (params.r + x)))


def probability_of_silence(params: GammaRate, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
    r"""Probability that a customer with this history up to its last purchase, and alive throughout, buys nothing since.

    .. math:: P(\text{no purchase in } (t_x, T] \mid x, t_x, \text{alive until } T)
              = \left(\frac{\alpha + t_x}{\alpha + T}\right)^{r + x}

    Parameters
    ----------
    params : Params
        Of any transaction model; each field scalar or broadcasting to (draw, customer).
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        In [0, 1]; exactly 1 where ``recency == T``.

    Raises
    ------
    DomainError
        If an argument is negative or not finite, or recency exceeds T.

    Examples
    --------
    >>> from clv_forecast.models.bg_nbd import Params
    >>> probability_of_silence(Params(1.0, 10.0, 0.8, 2.5), [0, 1], [0.0, 30.0], [30.0, 30.0])
    array([0.25, 1.  ])
    """
    x, t_x, length = checked_history(frequency, recency, T)
    return np.asarray(np.exp(-(params.r + x) * np.log1p((length - t_x) / (params.alpha + t_x))))


# From here on six terms of Stirling's series are exact to rounding.
_STIRLING_FROM: Final = 20.0
_STIRLING: Final = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)


def log_rising(z: ArrayLike, n: ArrayLike) -> Floats:
    r"""Logarithm of the rising factorial, ``ln Gamma(z + n) - ln Gamma(z)``.

    Parameters
    ----------
    z : array_like
        Positive.
    n : array_like
        Not negative; need not be an integer.

    Returns
    -------
    ndarray
        Broadcast shape.

    Notes
    -----
    For large ``z`` the two log-gammas agree in their leading digits; there the difference of Stirling's series is
    used, so that a likelihood stays smooth when a fit runs to the edge (test: ``test_log_rising_far_out``).

    Examples
    --------
    >>> round(float(np.exp(log_rising(1.0, 4))), 9)
    24.0
    """
    base, step = np.asarray(z, dtype=np.float64), np.asarray(n, dtype=np.float64)
    large = base >= _STIRLING_FROM
    if large.all():
        return _log_rising_far(base, step)
    if not large.any():
        return _log_rising_near(base, step)
    far = _log_rising_far(np.maximum(base, _STIRLING_FROM), step)
    return np.where(large, far, _log_rising_near(base, step))


def _log_rising_near(z: Floats, n: Floats) -> Floats:
    difference: Floats = gammaln(z + n) - gammaln(z)
    return difference


def _log_rising_far(z: Floats, n: Floats) -> Floats:
    tail = sum(c * ((z + n) ** -(2 * k + 1) - z ** -(2 * k + 1)) for k, c in enumerate(_STIRLING))
    main: Floats = n * np.log(z) + (z + n - 0.5) * np.log1p(n / z) - n
    return main + tail
