r"""The share of its wallet that an account spends with us, over time.

.. math:: u(t) = u_0 \text{ for } t < s, \qquad u(t) = 1 - (1 - u_0) e^{-g (t - s)} \text{ for } t \ge s

solves :math:`du/dt = g (1 - u)` from the day ``s`` on; ``g = 0`` is an account that stays as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]


def penetration(u0: ArrayLike, growth: ArrayLike, start: ArrayLike, t: ArrayLike) -> Floats:
    """Share of the wallet at the time ``t``.

    Parameters
    ----------
    u0, growth, start, t : array-like, broadcast together
        Share before the start, in (0, 1); rate per year, >= 0; years; years.

    Returns
    -------
    ndarray
        In (0, 1).

    Examples
    --------
    >>> penetration(0.2, 0.8, 1.0, [0.0, 1.0, 2.0, 50.0]).round(3)
    array([0.2  , 0.2  , 0.641, 1.   ])
    """
    moved = np.maximum(np.subtract(t, start), 0.0)
    return np.asarray(1.0 - (1.0 - np.asarray(u0)) * np.exp(-np.asarray(growth) * moved), dtype=np.float64)


def cumulative_penetration(u0: ArrayLike, growth: ArrayLike, start: ArrayLike, t: ArrayLike) -> Floats:
    """Integral of the share from 0 to ``t``: revenue so far, in years of the whole wallet.

    Parameters
    ----------
    u0, growth, start, t : array-like, broadcast together
        As in `penetration`, with ``t >= 0`` and ``start >= 0``.

    Returns
    -------
    ndarray
        Years of the whole wallet.

    Examples
    --------
    >>> cumulative_penetration(0.2, 0.0, 1.0, [1.0, 3.0])
    array([0.2, 0.6])
    """
    share, rate, time = (np.asarray(a, dtype=np.float64) for a in (u0, growth, t))
    moved = np.maximum(time - np.asarray(start, dtype=np.float64), 0.0)
    grows = np.where(rate > 0.0, rate, 1.0)
    # integral of 1 - exp(-g x); with g = 0 nothing is gained
    gained = np.where(rate > 0.0, moved + np.expm1(-rate * moved) / grows, 0.0)
    return np.asarray(share * time + (1.0 - share) * gained, dtype=np.float64)


def time_of(u0: ArrayLike, growth: ArrayLike, start: ArrayLike, cumulative: ArrayLike) -> Floats:
    r"""The time at which the integral of the share reaches a level: the inverse of `cumulative_penetration`.

    .. math:: x = y + \tfrac{c}{g} + \tfrac{1}{g} W_0(-c\, e^{-g y - c}), \qquad c = 1 - u_0

    with ``x`` and ``y`` time and level counted from the start of the growth and Lambert's function ``W``.

    Parameters
    ----------
    u0, growth, start, cumulative : ndarray, shape (time,)
        As in `cumulative_penetration`.

    Returns
    -------
    ndarray, shape (time,)
        Years.

    Examples
    --------
    >>> level = cumulative_penetration([0.2, 0.2, 0.2], [0.8, 0.8, 0.0], 1.0, [0.5, 2.5, 2.5])
    >>> time_of(np.full(3, 0.2), np.array([0.8, 0.8, 0.0]), np.ones(3), level)
    array([0.5, 2.5, 2.5])
    """
    share, rate, begun, level = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (u0, growth, start, cumulative))
    )
    times = level / share
    late = (rate > 0.0) & (times > begun)
    if late.any():
        c, g = 1.0 - share[late], rate[late]
        y = level[late] - share[late] * begun[late]
        times[late] = begun[late] + y + (c + special.lambertw(-c * np.exp(-g * y - c)).real) / g
    return np.asarray(times, dtype=np.float64)
