"""Whether one customer's orders come more evenly than at random: a test by customer, and how evenly."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

FEWEST_GAPS: Final = 4
LEAST_MEAN_GAP: Final = 4.0
"""Days. Where gaps are shorter, a calendar of whole days makes any buyer look regular."""
_SLOPE_STEP: Final = 1e-3
_SHAPES: Final = (1e-3, 1e6)
_HALVINGS: Final = 60


def regularity_p_value(
    gaps: NDArray[Any], mean_gap: NDArray[np.float64], log_spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    r"""Probability that orders at random times come at least as evenly as a customer's did.

    With ``n`` gaps the statistic is :math:`U = n (\ln \bar g - \overline{\ln g})`: 0 when all are equal. Given the
    first and the last order, orders at random times are uniform between them, whatever the customer's rate is and
    whenever it left; :math:`U` is then half of Bartlett's statistic for n variances of 2 degrees of freedom [1]_, and

    .. math:: 2 U \Big/ \Big(1 + \frac{n + 1}{6 n}\Big) \approx \chi^2_{n - 1} .

    Orders of one day count as one, so gaps are whole days, never 0, and look more even than they are: ``U`` is first
    scaled by the ratio of its means with gaps of any length and with geometric gaps of whole days.

    Parameters
    ----------
    gaps : ndarray, shape (customer,)
        Number of gaps between orders.
    mean_gap : ndarray, shape (customer,)
        In days.
    log_spread : ndarray, shape (customer,)
        :math:`\ln \bar g - \overline{\ln g}`, >= 0.

    Returns
    -------
    ndarray, shape (customer,)
        NaN with fewer than 4 gaps, a mean gap below 4 days, or where the spread is NaN.

    Notes
    -----
    By simulation of geometric gaps, the share of random buyers below 0.01 is 0.010 where gaps are long, and falls to
    0.002 for many gaps of a few days: it is an upper bound. Without the scaling it would be 0.08 for 30 gaps of
    a week, and 0.3 for 30 gaps of four days. Buyers with Erlang-4 gaps of a month are found in 8 % of cases with
    4 gaps, 20 % with 6, 69 % with 12 and 99 % with 24: what is not found regular may still be.

    References
    ----------
    .. [1] Bartlett (1937), "Properties of sufficiency and statistical tests", Proceedings of the Royal Society A
       160(901), doi:10.1098/rspa.1937.0109.

    Examples
    --------
    >>> even, uneven = [29.0, 31, 30, 32, 28, 30], [2.0, 90, 11, 40, 7, 30]
    >>> spread = np.array([np.log(np.mean(g)) - np.mean(np.log(g)) for g in (even, uneven)])
    >>> regularity_p_value(np.array([6, 6]), np.array([30.0, 30.0]), spread) < 0.01
    array([ True, False])
    """
    told = (gaps >= FEWEST_GAPS) & (mean_gap >= LEAST_MEAN_GAP) & np.isfinite(log_spread)
    p = np.full(len(gaps), np.nan)
    n = np.asarray(gaps, dtype=np.float64)[told]
    u = n * np.maximum(log_spread[told], 0.0) * _scale(n, mean_gap[told])
    p[told] = stats.chi2.cdf(2.0 * u / (1.0 + (n + 1.0) / (6.0 * n)), n - 1.0)
    return p


def _scale(n: NDArray[np.float64], mean_gap: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the statistic with gaps of any length over that with gaps of whole days."""
    days, shortfall, curvature = _whole_days()
    at = np.log(np.minimum(mean_gap, days[-1]))
    continuous = n * (np.euler_gamma + special.digamma(n) - np.log(n))
    whole = continuous - n * (np.euler_gamma - np.interp(at, np.log(days), shortfall))
    return np.asarray(continuous / (whole + 0.5 + 0.5 * np.interp(at, np.log(days), curvature)))


@functools.cache
def _whole_days() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    r"""For geometric gaps of whole days by their mean: :math:`\ln \mu - E \ln g`, and its curvature times the variance.

    With gaps of any length these are Euler's constant and -1.
    """
    days = np.exp(np.linspace(np.log(LEAST_MEAN_GAP), np.log(400.0), 50))

    def mean_log(mean: float) -> float:
        k = np.arange(1, int(60 * mean))
        return float(stats.geom.pmf(k, 1.0 / mean) @ np.log(k))

    middle = np.array([mean_log(mean) for mean in days])
    sides = np.array([mean_log(mean * (1 - _SLOPE_STEP)) + mean_log(mean * (1 + _SLOPE_STEP)) for mean in days])
    curvature = (sides - 2.0 * middle) / np.square(_SLOPE_STEP * days) * days * (days - 1.0)
    return days, np.log(days) - middle, curvature


def regularity_shape(gaps: NDArray[Any], log_spread: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Shape k of a customer's gaps, taken as Gamma(k): 1 is random, 2 clearly regular, inf a clock.

    The most likely k given the time from the first order to the last (the shares of the gaps in it are
    Dirichlet(k, ..., k), and the customer's rate plays no part):

    .. math:: \psi(n k) - \psi(k) - \ln n = \ln \bar g - \overline{\ln g} .

    Parameters
    ----------
    gaps : ndarray, shape (customer,)
        At least 2.
    log_spread : ndarray, shape (customer,)

    Returns
    -------
    ndarray, shape (customer,)
        NaN where the spread is; inf above a million.

    Examples
    --------
    >>> regularity_shape(np.array([1000, 1000]), np.array([np.euler_gamma, 0.0])).round(1)
    array([ 1., inf])
    """
    n = np.asarray(gaps, dtype=np.float64)
    low, high = np.full(len(n), np.log(_SHAPES[0])), np.full(len(n), np.log(_SHAPES[1]))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        k = np.exp(middle)
        too_uneven = special.digamma(n * k) - special.digamma(k) - np.log(n) > log_spread
        low, high = np.where(too_uneven, middle, low), np.where(too_uneven, high, middle)
    shape = np.asarray(np.exp(0.5 * (low + high)))
    shape[shape > 0.99 * _SHAPES[1]] = np.inf
    shape[np.isnan(log_spread)] = np.nan
    return shape
