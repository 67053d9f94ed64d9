"""Quantiles of draws: equal-tailed bands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError


def check_prob(prob: float) -> float:
    """Return ``prob`` when it lies inside (0, 1).

    Raises
    ------
    DomainError
        Otherwise.

    Examples
    --------
    >>> check_prob(0.9)
    0.9
    """
    if not 0.0 < finite_number(prob, "prob") < 1.0:
        raise DomainError("prob is the probability inside the band, between 0 and 1 (0.9 for 90 %).", value=prob)
    return float(prob)


def band(draws: NDArray[Any], prob: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Equal-tailed band over the last axis: at least ``prob`` of the draws lie inside, ends included.

    The ends are order statistics (no interpolation), so a band of counts has whole ends, and bands of rising
    ``prob`` nest.

    Examples
    --------
    >>> low, high = band(np.arange(1.0, 101.0), 0.9)
    >>> float(low), float(high)
    (5.0, 96.0)
    """
    count = draws.shape[-1]
    below = int(np.floor((1.0 - prob) / 2.0 * count + 1e-9))
    low = max(below - 1, 0)
    high = count - 1 - low
    ordered = np.partition(draws, (low, high), axis=-1)
    return ordered[..., low], ordered[..., high]
