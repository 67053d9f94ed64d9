r"""What moves all customers at once, learnt from windows that are over.

In each window the total of every period (a month) is compared with what the model expected. The logarithm of the
ratio scatters for three reasons: each customer's chance and uncertain parameters (known from the predictive draws), a
level that holds for the whole window, and noise that is new in each period:

.. math::
    e \sim N\big(\mu_0 - \tfrac12 (\sigma_l^2 + \sigma_n^2)\, 1,\;
    V_0 + \sigma_l^2\, 1 1^\top + \sigma_n^2 I\big)

with :math:`\mu_0, V_0` the mean and covariance of the log ratios of independent customers. A persistent bias of the
model counts as level: the shock has mean one, so what the model always gets wrong widens the band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import InputError
from clv_forecast.forecasting.adjustments import CommonShock

Floats = NDArray[np.float64]

PERIOD: Final = "1 month"
PRIOR_SCALE: Final = 0.25
"""Scale of the half-normal priors of level and noise: one in three above a quarter, one in twenty above a half."""
_LARGEST: Final = 1.5
_GRID: Final = 76
_NOTHING: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """One window of a backtest, period by period.

    Parameters
    ----------
    origin, end : Timestamp
        It holds the days after ``origin`` up to and including ``end``.
    log_ratio : ndarray, shape (period,)
        Logarithm of the actual total by the expected one.
    mean, covariance : ndarray, shape (period,) and (period, period)
        Of the same, if customers were independent: from the predictive draws.
    """

    origin: pd.Timestamp
    end: pd.Timestamp
    log_ratio: Floats
    mean: Floats
    covariance: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShockEstimate:
    """A common shock, and what it was learnt from.

    Parameters
    ----------
    shock : CommonShock
        With the roots of the posterior means of the variances, so that not knowing them widens the band.
    level_interval, noise_interval : (float, float)
        Equal-tailed 90 % intervals.
    windows : int
        Windows used.
    independent : int
        Most of them that do not overlap.
    """

    shock: CommonShock
    level_interval: tuple[float, float]
    noise_interval: tuple[float, float]
    windows: int
    independent: int


def window_of(origin: pd.Timestamp, end: pd.Timestamp, actual: Floats, *, draws: NDArray[np.float64]) -> Window:
    """Compare the periods of a window with their predictive draws.

    Parameters
    ----------
    origin, end : Timestamp
    actual : ndarray, shape (period,)
        Total of each period.
    draws : ndarray, shape (period, draw)
        The same of independent customers.

    Raises
    ------
    InputError
        If the model expects nothing in a period.

    Examples
    --------
    >>> draws = np.random.default_rng(1).poisson(100, size=(2, 1000)).astype(float)
    >>> day = pd.Timestamp("2024-01-31")
    >>> window_of(day, day + pd.Timedelta(days=60), np.array([110.0, 90.0]), draws=draws).log_ratio.round(1)
    array([ 0.1, -0.1])
    """
    expected = draws.mean(axis=1)
    if not (expected > 0.0).all():
        raise InputError("The model expects no purchase in a period, so nothing can be learnt from it.")
    logs = np.log(np.maximum(draws, _NOTHING)) - np.log(expected)[:, None]
    return Window(
        origin=origin,
        end=end,
        log_ratio=np.log(np.maximum(actual, _NOTHING)) - np.log(expected),
        mean=logs.mean(axis=1),
        covariance=np.atleast_2d(np.cov(logs)),
    )


def estimate_shock(
    windows: Sequence[Window], *, period: str = PERIOD, prior_scale: float = PRIOR_SCALE
) -> ShockEstimate | None:
    """Learn level and noise of the common shock from windows that are over.

    The posterior under half-normal priors is evaluated on a grid. Windows that overlap tell some of the same twice:
    their log-likelihood is multiplied by the share of their days that are distinct.

    Parameters
    ----------
    windows : sequence of Window
        All with the same periods.
    period : str
        Length of a period.
    prior_scale : float
        Of both half-normal priors.

    Returns
    -------
    ShockEstimate or None
        None without windows.

    Examples
    --------
    >>> estimate_shock([]) is None
    True
    """
    if not windows:
        return None
    grid = np.linspace(0.0, _LARGEST, _GRID)
    level, noise = (axis.ravel() for axis in np.meshgrid(grid, grid, indexing="ij"))
    log_posterior = -0.5 * (level**2 + noise**2) / prior_scale**2
    distinct = _share_distinct(windows)
    for window in windows:
        log_posterior += distinct * _log_likelihood(window, level, noise)
    weight = np.exp(log_posterior - log_posterior.max())
    weight = weight.reshape(_GRID, _GRID)
    weight[[0, -1], :] *= 0.5  # the trapezoidal rule
    weight[:, [0, -1]] *= 0.5
    weight /= weight.sum()
    of_level, of_noise = weight.sum(axis=1), weight.sum(axis=0)
    shock = CommonShock(
        level=float(np.sqrt(of_level @ grid**2)), noise=float(np.sqrt(of_noise @ grid**2)), period=period
    )
    return ShockEstimate(
        shock=shock,
        level_interval=_interval(grid, of_level),
        noise_interval=_interval(grid, of_noise),
        windows=len(windows),
        independent=independent_windows([(window.origin, window.end) for window in windows]),
    )


def independent_windows(spans: Sequence[tuple[pd.Timestamp, pd.Timestamp]]) -> int:
    """Largest number of windows that do not overlap; each is (origin, end], so one may begin where another ends.

    Examples
    --------
    >>> day = [pd.Timestamp(2024, month, 1) for month in range(1, 8)]
    >>> independent_windows([(day[0], day[2]), (day[1], day[3]), (day[2], day[4])])
    2
    """
    count, free_from = 0, None
    for origin, end in sorted(spans, key=lambda span: span[1]):
        if free_from is None or origin >= free_from:
            count, free_from = count + 1, end
    return count


def _log_likelihood(window: Window, level: Floats, noise: Floats) -> Floats:
    """Normal log-likelihood of one window at every point of the grid."""
    periods = len(window.log_ratio)
    level, noise = level[:, None], noise[:, None]
    shared, own = np.ones((periods, periods)), np.eye(periods)
    covariance = window.covariance + (level**2)[..., None] * shared + (noise**2)[..., None] * own
    root = np.linalg.cholesky(covariance + 1e-12 * own)
    centred = window.log_ratio - window.mean + 0.5 * (level**2 + noise**2)
    scaled = np.linalg.solve(root, centred[..., None])[..., 0]
    return np.asarray(
        -0.5 * (scaled**2).sum(axis=-1) - np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1), dtype=np.float64
    )


def _share_distinct(windows: Sequence[Window]) -> float:
    """Days covered by any window, by the sum of the windows' days."""
    total, union, reached = 0, 0, None
    for origin, end in sorted((window.origin, window.end) for window in windows):
        total += (end - origin).days
        start = origin if reached is None else max(origin, reached)
        union += max(0, (end - start).days)
        reached = end if reached is None else max(end, reached)
    return union / total


def _interval(grid: Floats, weight: Floats) -> tuple[float, float]:
    below = np.cumsum(weight) - 0.5 * weight
    low, high = np.interp([0.05, 0.95], below, grid)
    return float(low), float(high)
