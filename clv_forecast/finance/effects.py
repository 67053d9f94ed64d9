r"""What a spend changes, account by account: value with the spend less value without it, on the same draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clv_forecast.forecasting.expectation import expected_money, p_alive_of
from clv_forecast.forecasting.plan import Plan
from clv_forecast.forecasting.predictive import predictive_money
from clv_forecast.ranking.potential import Potential, realised_if_active
from clv_forecast.streams import STAGE_UPLIFT, uniforms

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


class Effect(Protocol):
    """Value that depends on a spend, cumulative from now to each boundary."""

    @property
    def plan(self) -> Plan:
        """Whose accounts, and draws."""
        ...

    def expected(self, rows: Rows, boundaries: Floats) -> Floats:
        """Expectation of some accounts, shape (row, boundary)."""
        ...

    def drawn(self, rows: Rows, boundaries: Floats) -> Floats:
        """Predictive draws, shape (row, boundary, draw)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Everything:
    """All value that lies ahead: what is lost if the account is, and so an upper limit of what a spend can bring."""

    plan: Plan

    def expected(self, rows: Rows, boundaries: Floats) -> Floats:
        """Expectation of some accounts, shape (row, boundary)."""
        return np.asarray(expected_money(self.plan, rows, boundaries).value.mean(axis=-1))

    def drawn(self, rows: Rows, boundaries: Floats) -> Floats:
        """Predictive draws, shape (row, boundary, draw)."""
        return predictive_money(self.plan, rows, boundaries).value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Retention:
    """Of the accounts that are there and would leave within the horizon, the spend keeps a share until its end.

    An account kept goes on from where it would have left, at its own rate, with the same purchases up to there; one
    that has left already, or would have stayed anyway, is worth the same with and without.

    Parameters
    ----------
    plan : Plan
    share : ndarray, shape (draw,)
    """

    plan: Plan
    share: Floats

    def expected(self, rows: Rows, boundaries: Floats) -> Floats:
        """Expectation of some accounts, shape (row, boundary)."""
        without = expected_money(self.plan, rows, boundaries).value
        gained = self._expected_if_all_stay(rows, boundaries) - without
        return np.asarray((gained * self.share).mean(axis=-1))

    def drawn(self, rows: Rows, boundaries: Floats) -> Floats:
        """Predictive draws, shape (row, boundary, draw)."""
        plan = self.plan
        kept = uniforms(plan.keys[rows], plan.first_draw, plan.draws, STAGE_UPLIFT) < self.share
        if not kept.any():
            return np.zeros((len(rows), len(boundaries), plan.draws))
        without = predictive_money(plan, rows, boundaries).value
        gained = predictive_money(plan.staying(), rows, boundaries).value - without
        return np.where(kept[:, None, :], gained, 0.0)

    def _expected_if_all_stay(self, rows: Rows, boundaries: Floats) -> Floats:
        """Value if nobody who is there leaves, shape (row, boundary, draw): the rate of today goes on."""
        plan = self.plan
        rate = np.concatenate(
            [
                np.broadcast_to(
                    part.module.purchase_rate_given_alive(
                        part.purchases(rows), plan.frequency[rows], plan.T[rows], ahead=0.0
                    ),
                    (part.draws, len(rows)),
                )
                for part in plan.parts
            ]
        ).T
        amount = plan.expected_spend(rows).T
        margin, per_order, per_time = (
            field[rows, None] for field in (plan.margin, plan.cost_per_order, plan.cost_per_time)
        )
        flow = p_alive_of(plan, rows) * (plan.factor * rate * (amount * margin - per_order) - per_time)
        return np.asarray(flow[:, None, :] * annuity(boundaries, plan.discount)[None, :, None])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Growth:
    """An account that stays active realises, through the spend, a share of its headroom beside what it would anyway.

    What it realises is spread evenly over the horizon, uncertain as its wallet is, and varies as the shares did that
    accounts have realised in the past. Nobody is expected to realise more than the headroom. What moves all accounts at
    once moves this money too.

    Parameters
    ----------
    potential : Potential
    share : ndarray, shape (draw,)
    horizon : float
        In the plan's unit.
    """

    potential: Potential
    share: Floats
    horizon: float

    @property
    def plan(self) -> Plan:
        """Whose accounts, and draws."""
        return self.potential.plan

    def expected(self, rows: Rows, boundaries: Floats) -> Floats:
        """Expectation of some accounts, shape (row, boundary)."""
        shares = self._shares(rows).mean(axis=-1)
        worth = self.potential.headroom[rows] * shares * self.potential.outlook.contribution[rows]
        return np.asarray(worth[:, None] * self._by_then(boundaries))

    def drawn(self, rows: Rows, boundaries: Floats) -> Floats:
        """Predictive draws, shape (row, boundary, draw)."""
        found = self.potential
        active = predictive_money(self.plan, rows, np.array([self.horizon])).revenue[:, 0] > 0.0
        spread = 0.0 if found.readiness is None else found.readiness.spread
        revenue = realised_if_active(
            found.headroom[rows], found.log_sd[rows], self._shares(rows), spread, found.keys[rows], active
        )
        worth = revenue * found.outlook.contribution[rows, None]
        return np.asarray(worth[:, None, :] * self._moved_by_then(boundaries)[None, :, :])

    def _shares(self, rows: Rows) -> Floats:
        """Expected share of headroom realised through the spend, survival included, shape (row, draw)."""
        alive = self.potential.outlook.p_alive[rows]
        anyway = self.potential.shares[rows].mean(axis=1)
        left = np.clip(alive - anyway, 0.0, None)
        return np.asarray(np.minimum(alive[:, None] * self.share, left[:, None]))

    def _by_then(self, boundaries: Floats) -> Floats:
        """Share of the horizon's value that has come by each boundary."""
        whole = annuity(np.array([self.horizon]), self.plan.discount)
        return np.asarray(np.minimum(annuity(boundaries, self.plan.discount) / whole, 1.0))

    def _moved_by_then(self, boundaries: Floats) -> Floats:
        """The same under the common shock, shape (boundary, draw) or (boundary, 1); the mean over draws is the same."""
        shock, plan = self.plan.shock, self.plan
        if shock is None:
            return self._by_then(boundaries)[:, None]
        length = shock.period_in(plan.unit)
        periods = math.ceil(self.horizon / length)
        moves = shock.multipliers(seed=plan.seed, first_draw=plan.first_draw, draws=plan.draws, periods=periods)
        starts: Floats = length * np.arange(periods, dtype=np.float64)
        reached: Floats = np.clip(boundaries[:, None], starts, np.minimum(starts + length, self.horizon))
        shares = self._by_then(reached.ravel()).reshape(reached.shape) - self._by_then(starts)
        return np.asarray(shares @ moves.T)


def annuity(time: Floats, discount: float) -> Floats:
    """Worth of one unit of money per unit of time: integral of exp(-discount s) over (0, time).

    Examples
    --------
    >>> annuity(np.array([2.0]), 0.0), annuity(np.array([2.0]), 0.5).round(6)
    (array([2.]), array([1.264241]))
    """
    return np.asarray(time if discount == 0.0 else -np.expm1(-discount * time) / discount)
