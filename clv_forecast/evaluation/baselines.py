"""Naive forecasts that a model has to beat: arithmetic on each customer's past, with nothing fitted but one cut.

References
----------
Wübben & von Wangenheim (2008), "Instant customer base analysis: managerial heuristics often 'get it right'", Journal
of Marketing 72(3), doi:10.1509/JMKG.72.3.082.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATE: Final = "own rate"
LAST_WINDOW: Final = "last window"
HIATUS: Final = "hiatus"
BASELINES: Final = (RATE, LAST_WINDOW, HIATUS)
IN_WORDS: Final = {
    RATE: "each customer's own rate carried forward",
    LAST_WINDOW: "the last window's purchases carried forward",
    HIATUS: "the hiatus rule (silent for long = gone, else the own rate)",
}
_CUTS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PastPurchases:
    """Purchase-days up to an origin, as plain arrays.

    Parameters
    ----------
    customer : ndarray of int, shape (purchase,)
        Position of the customer among ``customers``; every customer has a purchase.
    day : ndarray of int, shape (purchase,)
        0 is the origin, -1 the day before.
    amount : ndarray, shape (purchase,)
    customers : int
    """

    customer: NDArray[np.intp]
    day: NDArray[np.int64]
    amount: Floats
    customers: int

    def between(self, start: int, stop: int) -> tuple[Floats, Floats]:
        """Purchases and revenue of each customer on the days ``start < day <= stop``; both of shape (customer,)."""
        kept = (start < self.day) & (self.day <= stop)
        count = np.bincount(self.customer[kept], minlength=self.customers).astype(np.float64)
        return count, np.bincount(self.customer[kept], weights=self.amount[kept], minlength=self.customers)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Baseline:
    """A naive forecast: purchases and revenue of each customer, shape (customer,), and how it was made."""

    name: str
    purchases: Floats
    revenue: Floats
    note: str = ""


def naive_forecasts(past: PastPurchases, days: int) -> tuple[Baseline, ...]:
    """Forecast the next ``days`` days three ways.

    - ``own rate``: repeat purchases per day since the first one, times ``days``; revenue at the mean amount of the
      customer's purchases. A customer first seen on the last day has rate 0.
    - ``last window``: what the last ``days`` days brought.
    - ``hiatus``: 0 for customers silent for longer than a cut, else the own rate. The cut is the one that would have
      told best, ``days`` before (or half the time observed, if that is shorter), who was to buy since then: with the
      largest sum of the shares told right among those who bought and those who did not.

    Parameters
    ----------
    past : PastPurchases
    days : int
        Positive.

    Returns
    -------
    tuple of Baseline
        In the order of ``BASELINES``.

    Examples
    --------
    >>> past = PastPurchases(
    ...     customer=np.array([0, 0, 1]), day=np.array([-20, -10, -5]), amount=np.array([4.0, 6.0, 9.0]), customers=2
    ... )
    >>> [(b.name, b.purchases.tolist(), b.revenue.tolist()) for b in naive_forecasts(past, 10)][:2]
    [('own rate', [0.5, 0.0], [2.5, 0.0]), ('last window', [0.0, 1.0], [0.0, 9.0])]
    """
    state = _state(past, 0)
    rate = state.rate * days
    cut, inner = _learn_cut(past, days)
    alive = state.silence <= cut
    note = (
        f"gone after {cut:,.0f} silent days, learnt on the {inner:,} days before the origin"
        if np.isfinite(cut)
        else f"no cut told anything on the {inner:,} days before the origin: nobody counts as gone"
    )
    last = past.between(-days, 0)
    return (
        Baseline(name=RATE, purchases=rate, revenue=rate * state.amount),
        Baseline(name=LAST_WINDOW, purchases=last[0], revenue=last[1]),
        Baseline(name=HIATUS, purchases=rate * alive, revenue=rate * state.amount * alive, note=note),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _State:
    """What is known of each customer on a day: purchases per day, mean amount, days of silence; and who is known."""

    rate: Floats
    amount: Floats
    silence: Floats
    known: NDArray[np.bool_]


def _state(past: PastPurchases, at: int) -> _State:
    kept = past.day <= at
    customer, day = past.customer[kept], past.day[kept]
    count = np.bincount(customer, minlength=past.customers).astype(np.float64)
    money = np.bincount(customer, weights=past.amount[kept], minlength=past.customers)
    first = np.full(past.customers, at, dtype=np.int64)
    last = np.full(past.customers, np.iinfo(np.int64).min, dtype=np.int64)
    np.minimum.at(first, customer, day)
    np.maximum.at(last, customer, day)
    known = count > 0
    observed = (at - first).astype(np.float64)
    return _State(
        rate=np.divide(count - 1.0, observed, out=np.zeros(past.customers), where=known & (observed > 0)),
        amount=np.divide(money, count, out=np.zeros(past.customers), where=known),
        silence=np.where(known, at - np.where(known, last, at), 0).astype(np.float64),
        known=known,
    )


def _learn_cut(past: PastPurchases, days: int) -> tuple[float, int]:
    """Length of silence after which to forecast nothing, and the days of the window it was learnt on."""
    inner = max(1, min(days, int(-past.day.min()) // 2))
    state = _state(past, -inner)
    if not state.known.any():
        return np.inf, inner
    bought = past.between(-inner, 0)[0][state.known] > 0
    if bought.all() or not bought.any():
        return np.inf, inner
    silence = state.silence[state.known]
    cuts = np.unique(np.quantile(silence, np.linspace(0.0, 1.0, _CUTS), method="lower"))
    right = [float((silence[bought] <= cut).mean() + (silence[~bought] > cut).mean()) for cut in cuts]
    best = int(np.argmax(right))
    return (float(cuts[best]) if right[best] > 1.0 else np.inf), inner
