r"""Events of the accounts and when they leave.

Complaints and late deliveries come as Poisson processes while the account is a customer, at rates of its own (both
high or both low), and each raises its hazard of leaving, by an amount that fades:

.. math:: h(t) = h_0 + \sum_{e: t_e < t} b_{kind(e)} \exp(-(t - t_e) / \tau)

Surveys go out to everybody at the same rate and change nothing. The terms compete, so that each event takes the
account away by itself with the probability :math:`1 - e^{-b \tau}`, and the time of leaving is the first of
independent times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.simulation.parameters import Floats, TrueParameters, renumbered

KINDS: Final = ("complaint", "late delivery", "survey")
RATES: Final = (0.30, 0.40, 0.50)
"""Events per year of an ordinary account."""
RAISES: Final = (1.0, 0.3, 0.0)
"""Leaving per year right after the event, above the account's own hazard."""
FADES: Final = 0.5
"""Years in which what an event adds falls by the factor e."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Happenings:
    """Events while the accounts were there, and when they left.

    Parameters
    ----------
    account : ndarray of int, shape (event,)
    kind : ndarray of int, shape (event,)
        Place in `KINDS`.
    time : ndarray, shape (event,)
        Years from the start of the log.
    left : ndarray, shape (account,)
        Years from the start of the log; may lie beyond the end of the future.
    """

    account: NDArray[np.intp]
    kind: NDArray[np.int64]
    time: Floats
    left: Floats

    def take(self, places: NDArray[np.intp], count: int) -> Happenings:
        """The accounts at some places out of ``count``, renumbered."""
        kept, account = renumbered(self.account, places, count)
        return Happenings(account=account, kind=self.kind[kept], time=self.time[kept], left=self.left[places])


def draw_happenings(parameters: TrueParameters, *, rng: np.random.Generator, end: float) -> Happenings:
    """Draw events up to ``end`` and the times of leaving.

    Parameters
    ----------
    parameters : TrueParameters
    rng : Generator
    end : float
        Years from the start of the log.

    Returns
    -------
    Happenings
        Events in the order of (account, time).
    """
    arrival = parameters.arrival
    left = arrival + rng.exponential(1.0, len(parameters)) / parameters.hazard
    accounts, kinds, times = [], [], []
    for kind, (rate, raised) in enumerate(zip(RATES, RAISES, strict=True)):
        # surveys go out to everybody alike, else who is surveyed would tell who complains
        temper = parameters.temper if raised > 0.0 else 1.0
        number = rng.poisson(rate * temper * (end - arrival))
        account = np.repeat(np.arange(len(parameters)), number)
        time = arrival[account] + rng.random(len(account)) * (end - arrival[account])
        np.minimum.at(left, account, time + delay(rng.exponential(1.0, len(account)), raised))
        accounts.append(account)
        kinds.append(np.full(len(account), kind))
        times.append(time)
    account, kind_of, time = (np.concatenate(parts) for parts in (accounts, kinds, times))
    there = time < left[account]
    account, kind_of, time = account[there], kind_of[there], time[there]
    order = np.lexsort((kind_of, time, account))
    return Happenings(account=account[order], kind=kind_of[order], time=time[order], left=left)


def delay(exponential: Floats, raised: float) -> Floats:
    """Years from an event to leaving because of it, from standard exponential variates; inf for never.

    Examples
    --------
    >>> delay(np.array([0.1, 0.4, 0.6]), 1.0).round(3), delay(np.array([0.1]), 0.0)
    (array([0.112, 0.805,   inf]), array([inf]))
    """
    reached = exponential < raised * FADES
    spent = np.where(reached, exponential, 0.0) / (raised * FADES if raised > 0.0 else 1.0)
    return np.where(reached, -FADES * np.log1p(-spent), np.inf)


def survival(parameters: TrueParameters, happenings: Happenings, *, now: float, ahead: Floats) -> Floats:
    r"""Probability of being there ``ahead`` years after ``now``, for an account that is there now.

    .. math::

        S(t) = \exp\Big(-h_0 t - X (1 - e^{-t/\tau})
        - \sum_k \rho_k \int_0^t (1 - e^{-b_k \tau (1 - e^{-r/\tau})}) dr\Big),
        \qquad X = \sum_{e: t_e < now} b_e \tau e^{-(now - t_e)/\tau}

    Parameters
    ----------
    parameters : TrueParameters
    happenings : Happenings
        Events up to ``now`` count; those after it are averaged over.
    now : float
        Years from the start of the log.
    ahead : ndarray, shape (time,)
        Years, >= 0.

    Returns
    -------
    ndarray, shape (account, time)
    """
    before = happenings.time < now
    faded = np.take(RAISES, happenings.kind[before]) * FADES * np.exp((happenings.time[before] - now) / FADES)
    pending = np.bincount(happenings.account[before], weights=faded, minlength=len(parameters))
    coming = sum(rate * _losses(raised, ahead) for rate, raised in zip(RATES, RAISES, strict=True))
    spent = 1.0 - np.exp(-ahead / FADES)
    total = np.outer(parameters.hazard, ahead) + np.outer(pending, spent) + np.outer(parameters.temper, coming)
    return np.asarray(np.exp(-total), dtype=np.float64)


def _losses(raised: float, ahead: Floats) -> Floats:
    """Expected departures by ``ahead`` per unit rate of events of one kind, by Gauss and Legendre's rule."""
    nodes, weights = np.polynomial.legendre.leggauss(32)
    r = np.multiply.outer(ahead, (nodes + 1.0) / 2.0)
    lost = -np.expm1(-raised * FADES * -np.expm1(-r / FADES))
    return np.asarray((lost * weights).sum(axis=1) * ahead / 2.0, dtype=np.float64)
