"""What backtests may tell a forecast: a shock common to all customers, a correction, and what was tested."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clv_forecast.errors import DomainError
from clv_forecast.streams import STAGE_SHOCK, customer_keys, normals
from clv_forecast.units import Horizon, TimeUnit

_SHOCK_KEY = "common shock"

BACKTESTED = "backtested"
EXTRAPOLATED = "extrapolated"
FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonShock:
    r"""A mean-one multiplier per (draw, future period), the same for all customers.

    Season, trend and campaigns move all customers at once, so that a total is less certain than independent
    customers make it. In draw ``d`` and period ``k`` the money of every customer, and the number of purchases in a
    total, are multiplied by

    .. math:: m_{dk} = \exp(\sigma_l z_{d0} + \sigma_n z_{dk} - (\sigma_l^2 + \sigma_n^2) / 2)

    so that the mean multiplier over ``h`` periods has a log-variance of about
    :math:`\sigma_l^2 + \sigma_n^2 / h`.

    Parameters
    ----------
    level : float
        :math:`\sigma_l \ge 0`: what stays over the whole horizon.
    noise : float
        :math:`\sigma_n \ge 0`: what is new in each period.
    period : str
        Length of a period, such as ``"1 month"``.

    Raises
    ------
    DomainError
        If a scale is negative, above 3, or not finite, or the period is no length of time.

    Examples
    --------
    >>> shock = CommonShock(level=0.1, noise=0.2)
    >>> shock.multipliers(seed=1, first_draw=0, draws=4, periods=12).shape
    (4, 12)
    """

    level: float
    noise: float
    period: str = "1 month"

    def __post_init__(self) -> None:
        for name in ("level", "noise"):
            value = getattr(self, name)
            if not math.isfinite(value) or not 0.0 <= value <= 3.0:
                raise DomainError(f"The {name} of a common shock is a scale between 0 and 3.", value=value)
        Horizon.parse(self.period)

    def period_in(self, unit: TimeUnit) -> float:
        """Length of a period in ``unit``."""
        return Horizon.parse(self.period).in_unit(unit)

    def multipliers(self, *, seed: int, first_draw: int, draws: int, periods: int) -> NDArray[np.float64]:
        """Multipliers of draws ``first_draw ...``; shape (draws, periods), mean one."""
        key = customer_keys(seed, [_SHOCK_KEY])[0]
        z = normals(key, first_draw, draws, STAGE_SHOCK, periods + 1)
        log = self.level * z[:, :1] + self.noise * z[:, 1:] - 0.5 * (self.level**2 + self.noise**2)
        return np.asarray(np.exp(log))


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A factor on future money that backtests have taught, with the reason for it.

    It moves revenue, and value with it, in expectations and draws alike; numbers of purchases stay the model's.

    Parameters
    ----------
    factor : float
        Positive; 1.1 raises revenue and the contribution of every order by 10 %.
    reason : str
        Where the factor comes from; shown beside the forecast.

    Raises
    ------
    DomainError
        If the factor is not positive and finite, or no reason is given.

    Examples
    --------
    >>> Correction(factor=1.1, reason="three backtests fell 9 % short").factor
    1.1
    """

    factor: float
    reason: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.factor) or self.factor <= 0.0:
            raise DomainError("The factor of a correction is positive and finite.", value=self.factor)
        if not self.reason.strip():
            raise DomainError("A correction needs a reason.", value=repr(self.reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Which horizons a backtest has tested, and how the customers' bands did there.

    Parameters
    ----------
    longest_years : float
        The longest horizon tested.
    horizons : tuple of (years, word)
        Each horizon tested, with ``"backtested"`` or ``"failed"``.
    sentence : str
        Shown beside a forecast.

    Raises
    ------
    DomainError
        If no horizon was tested, a word is unknown, or the longest is not among them.

    Examples
    --------
    >>> evidence = Evidence(longest_years=0.75, horizons=((0.75, "backtested"),), sentence="39 weeks were tested.")
    >>> evidence.of(0.5), evidence.of(3.0)
    ('backtested', 'extrapolated')
    """

    longest_years: float
    horizons: tuple[tuple[float, str], ...]
    sentence: str

    def __post_init__(self) -> None:
        lengths = [years for years, _ in self.horizons]
        if not lengths or not math.isclose(max(lengths), self.longest_years):
            raise DomainError("Evidence names the horizons tested, the longest among them.", value=self.horizons)
        unknown = [word for _, word in self.horizons if word not in (BACKTESTED, FAILED)]
        if unknown:
            raise DomainError(f"A tested horizon is {BACKTESTED!r} or {FAILED!r}.", value=unknown[0])

    def of(self, years: float) -> str:
        """The word for a horizon: that of the shortest tested one which contains it, else ``"extrapolated"``."""
        containing = [(length, word) for length, word in self.horizons if length >= years * (1.0 - 1e-9)]
        return min(containing)[1] if containing else EXTRAPOLATED
