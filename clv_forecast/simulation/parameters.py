r"""What each simulated account is: its attributes, its wallet and how it behaves.

The share of its wallet that an account spends with us, over time.

.. math:: u(t) = u_0 \text{ for } t < s, \qquad u(t) = 1 - (1 - u_0) e^{-g (t - s)} \text{ for } t \ge s

solves :math:`du/dt = g (1 - u)` from the day ``s`` on; ``g = 0`` is an account that stays as it is.

Days of the calendar for the years of the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from clv_forecast.units import DAYS_PER_YEAR


def penetration(u0: ArrayLike, growth: ArrayLike, start: ArrayLike, t: ArrayLike) -> Floats:  # noqa: PLR0917 - an array function
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


def cumulative_penetration(u0: ArrayLike, growth: ArrayLike, start: ArrayLike, t: ArrayLike) -> Floats:  # noqa: PLR0917 - an array function
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


def time_of(u0: ArrayLike, growth: ArrayLike, start: ArrayLike, *, cumulative: ArrayLike) -> Floats:
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
    >>> time_of(np.full(3, 0.2), np.array([0.8, 0.8, 0.0]), np.ones(3), cumulative=level)
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


Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

REGIONS: Final = ("north", "east", "south", "west")
REGION_SHARES: Final = (0.35, 0.30, 0.20, 0.15)
REGION_EFFECTS: Final = (0.30, 0.10, -0.10, -0.40)
SEGMENTS: Final = ("industry", "retail", "health", "services", "public")
SEGMENT_SHARES: Final = (0.25, 0.25, 0.20, 0.20, 0.10)
SEGMENT_EFFECTS: Final = (0.60, 0.20, 0.00, -0.30, -0.60)
SEGMENT_GROWTH: Final = (1.0, -2.0, 3.0, -1.0, -3.0)
"""Log-odds of being on the way to the wallet, up to a constant."""
SEGMENT_MARGINS: Final = (0.28, 0.20, 0.40, 0.38, 0.22)
CHANNELS: Final = ("field", "partner", "online")
CHANNEL_SHARES: Final = (0.40, 0.25, 0.35)

MEDIAN_WALLET: Final = 60_000.0
MEDIAN_EMPLOYEES: Final = 40.0
EMPLOYEES_LOG_SD: Final = 1.2
EMPLOYEES_EFFECT: Final = 0.45
INNOVATION_SHARE: Final = 0.3
INNOVATION_GROWTH: Final = 2.0
GROWTH_MEDIAN: Final = 0.5
GROWTH_LOG_SD: Final = 0.3
STEADY_SHARE: Final = (2.2, 2.2)
EARLY_SHARE: Final = (1.5, 6.0)
ORDER_SIZE: Final = 4_000.0
ORDER_SIZE_POWER: Final = 0.6
ORDER_SIZE_LOG_SD: Final = 0.5
REGULAR_SHARE: Final = 0.15
IRREGULAR_SHARE: Final = 0.04
THERE_BEFORE: Final = 0.6
YEARS_BEFORE: Final = 4.0
MARGIN_SD: Final = 0.10
HAZARD_SHAPE: Final = 1.5
HAZARD_MEAN: Final = 0.08
HAZARD_POWER: Final = -0.15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrueParameters:
    """True parameters, one value per account; times in years from the start of the log.

    Parameters
    ----------
    region, segment, channel : ndarray of int, shape (account,)
        Places in `REGIONS`, `SEGMENTS`, `CHANNELS`.
    employees : ndarray of int, shape (account,)
    innovation, growing, regular, irregular : ndarray of bool, shape (account,)
    wallet : ndarray, shape (account,)
        Annual revenue that the account could bring.
    u0, growth, start : ndarray, shape (account,)
        See `penetration`.
    arrival, acquired : ndarray, shape (account,)
        When the account is first seen (0: there before the log), and when it became a customer (before 0 then).
    order_size : ndarray, shape (account,)
        Mean revenue of an order.
    hazard : ndarray, shape (account,)
        Leaving per year, before any event.
    temper : ndarray, shape (account,)
        Multiplier of the rates of complaints and late deliveries.
    margin : ndarray, shape (account,)
        Contribution per unit of revenue; may be negative.
    """

    region: Codes
    segment: Codes
    channel: Codes
    employees: Codes
    innovation: NDArray[np.bool_]
    growing: NDArray[np.bool_]
    regular: NDArray[np.bool_]
    irregular: NDArray[np.bool_]
    wallet: Floats
    u0: Floats
    growth: Floats
    start: Floats
    arrival: Floats
    acquired: Floats
    order_size: Floats
    hazard: Floats
    temper: Floats
    margin: Floats

    def __len__(self) -> int:
        return len(self.wallet)

    def take(self, places: NDArray[np.intp]) -> TrueParameters:
        """The accounts at some places."""
        return TrueParameters(**{field.name: getattr(self, field.name)[places] for field in fields(self)})


def renumbered(
    account: NDArray[np.intp], places: NDArray[np.intp], count: int
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which rows belong to the accounts at some places out of ``count``, and their accounts counted anew.

    Examples
    --------
    >>> renumbered(np.array([0, 0, 1, 2]), np.array([2, 0]), 3)
    (array([ True,  True, False,  True]), array([1, 1, 0]))
    """
    number = np.full(count, -1, dtype=np.intp)
    number[places] = np.arange(len(places))
    kept = number[account] >= 0
    return kept, number[account[kept]]


def draw_parameters(
    count: int, *, rng: np.random.Generator, growing: float, own_wallet_sd: float, years: float, end: float
) -> TrueParameters:
    """Draw accounts.

    Parameters
    ----------
    count : int
    rng : Generator
    growing : float
        Share of accounts on the way to their wallet, in [0, 1].
    own_wallet_sd : float
        Standard deviation of log wallet that attributes do not tell.
    years, end : float
        End of the log and of the future, in years from the start of the log.

    Returns
    -------
    TrueParameters
        Of ``count`` accounts.
    """
    region = rng.choice(len(REGIONS), size=count, p=REGION_SHARES)
    segment = rng.choice(len(SEGMENTS), size=count, p=SEGMENT_SHARES)
    employees = np.maximum(np.rint(MEDIAN_EMPLOYEES * np.exp(rng.normal(0.0, EMPLOYEES_LOG_SD, count))), 1.0)
    innovation = rng.random(count) < INNOVATION_SHARE
    log_size = (
        np.take(REGION_EFFECTS, region)
        + np.take(SEGMENT_EFFECTS, segment)
        + EMPLOYEES_EFFECT * np.log(employees / MEDIAN_EMPLOYEES)
        + rng.normal(0.0, own_wallet_sd, count)
    )
    grows = rng.random(count) < chance_of_growing(segment, innovation, share=growing)
    arrival = np.where(rng.random(count) < THERE_BEFORE, 0.0, rng.random(count) * years)
    before = np.where(arrival > 0.0, 0.0, rng.exponential(YEARS_BEFORE, count))
    noise = rng.normal(0.0, ORDER_SIZE_LOG_SD, count)
    return TrueParameters(
        region=region,
        segment=segment,
        channel=rng.choice(len(CHANNELS), size=count, p=CHANNEL_SHARES),
        employees=employees.astype(np.int64),
        innovation=innovation,
        growing=grows,
        regular=rng.random(count) < REGULAR_SHARE,
        irregular=rng.random(count) < IRREGULAR_SHARE,
        wallet=MEDIAN_WALLET * np.exp(log_size),
        u0=np.where(grows, rng.beta(*EARLY_SHARE, count), rng.beta(*STEADY_SHARE, count)).clip(0.01, 0.99),
        growth=np.where(grows, GROWTH_MEDIAN * np.exp(rng.normal(0.0, GROWTH_LOG_SD, count)), 0.0),
        start=np.maximum(rng.random(count) * end, arrival),
        arrival=arrival,
        acquired=arrival - before,
        order_size=ORDER_SIZE * np.exp(ORDER_SIZE_POWER * log_size + noise),
        hazard=rng.gamma(HAZARD_SHAPE, HAZARD_MEAN / HAZARD_SHAPE, count) * np.exp(HAZARD_POWER * log_size),
        temper=rng.gamma(2.0, 0.5, count),
        margin=rng.normal(np.take(SEGMENT_MARGINS, segment), MARGIN_SD),
    )


def chance_of_growing(segment: Codes, innovation: NDArray[np.bool_], *, share: float) -> Floats:
    """Probability that each account is on the way to its wallet, ``share`` on average over the population.

    Parameters
    ----------
    segment : ndarray of int, shape (account,)
    innovation : ndarray of bool, shape (account,)
    share : float
        In [0, 1].

    Returns
    -------
    ndarray, shape (account,)

    Examples
    --------
    >>> chance_of_growing(np.arange(5), np.zeros(5, dtype=bool), share=0.35).round(2)
    array([0.37, 0.03, 0.81, 0.07, 0.01])
    """
    if share in (0.0, 1.0):
        return np.full(len(segment), share)
    log_odds = np.add.outer(SEGMENT_GROWTH, (0.0, INNOVATION_GROWTH))
    shares = np.multiply.outer(SEGMENT_SHARES, (1.0 - INNOVATION_SHARE, INNOVATION_SHARE))
    level = optimize.brentq(lambda c: float((shares * special.expit(c + log_odds)).sum()) - share, -40.0, 40.0)
    return np.asarray(special.expit(level + log_odds[segment, innovation.astype(int)]), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time 0 is the morning of the log's first day; the log ends with ``as_of``, the future ``future_days`` later.

    Parameters
    ----------
    as_of : Timestamp
    log_days, future_days : int

    Examples
    --------
    >>> clock = Clock(as_of=pd.Timestamp("2024-12-31"), log_days=366, future_days=10)
    >>> clock.days(np.array([0.0, 1.0])).strftime("%Y-%m-%d").tolist()
    ['2024-01-01', '2024-12-31']
    """

    as_of: pd.Timestamp
    log_days: int
    future_days: int

    @property
    def years(self) -> float:
        """Length of the log."""
        return self.log_days / DAYS_PER_YEAR

    @property
    def end(self) -> float:
        """End of the future, in years from the start of the log."""
        return (self.log_days + self.future_days) / DAYS_PER_YEAR

    def days(self, time: Floats) -> pd.DatetimeIndex:
        """The day on which a time falls; NaT for inf."""
        known = np.isfinite(time)
        number = np.floor(np.where(known, time, 0.0) * DAYS_PER_YEAR + 1e-9)
        first = self.as_of - pd.Timedelta(days=self.log_days - 1)
        days = pd.DatetimeIndex(first + pd.to_timedelta(number, unit="D")).as_unit("us")
        return pd.DatetimeIndex(days.where(known))
