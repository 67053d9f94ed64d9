"""What a spend changes, account by account: value with the spend less value without it, on the same draws.

What a spend achieves: the share of accounts, or of headroom, that it moves, and how well that is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from clv_forecast.arguments import finite_number, number_of
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.expectation import expected_money, p_alive_of
from clv_forecast.forecasting.plan import Plan
from clv_forecast.forecasting.predictive import check_prob, predictive_money
from clv_forecast.ranking.potential import Potential, realised_if_active
from clv_forecast.streams import STAGE_UPLIFT, customer_keys, uniforms

_TRIAL_DRAWS: Final = 20_000
_QUANTILES: Final = 401
_KEY: Final = ("uplift",)
"""No customer is called that: the uplift of a draw is the same for all of them."""
_LEAST_CONCENTRATION: Final = 1.0
_MOST_CONCENTRATION: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplift:
    """The effect of a spend, as a share, with what is not known about it.

    What the share is of depends on the basis of ``allowable_spend``: for ``retain``, of the leavings within the horizon
    that the spend prevents; for ``grow``, of an account's headroom that it realises through the spend; for ``acquire``,
    of the new customers who would not have come without it.

    Parameters
    ----------
    share : float
        In [0, 1].
    lower, upper : float, optional
        Band of the share; without it the share is taken as known. The same for all accounts in each draw: if the
        effect is smaller than thought, it is smaller everywhere.
    prob : float
        Probability inside the band.
    quantiles : tuple of float, optional
        The share's whole distribution, at equal steps of probability from 0 to 1: what ``from_trial`` knows.

    Raises
    ------
    DomainError
        If the share is outside [0, 1], only one end of the band is given, the ends are not in order around it, or the
        share is 0 or 1, which has no band.

    Examples
    --------
    >>> Uplift(share=0.1, lower=0.04, upper=0.18).words
    '10 % (90 % band 4 % to 18 %)'
    >>> Uplift(share=0.1).draws(seed=1, count=3)
    array([0.1, 0.1, 0.1])
    """

    share: float
    lower: float | None = None
    upper: float | None = None
    prob: float = 0.9
    quantiles: tuple[float, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 <= finite_number(self.share, "share") <= 1.0:
            raise DomainError("The share of an uplift lies in [0, 1] (0.1 is 10 %).", value=self.share)
        check_prob(self.prob)
        if (self.lower is None) != (self.upper is None):
            raise DomainError("Give both ends of the band of an uplift, or none.", value=(self.lower, self.upper))
        if self.lower is not None and self.upper is not None:
            low, high = finite_number(self.lower, "lower"), finite_number(self.upper, "upper")
            if not 0.0 <= low <= self.share <= high <= 1.0:
                raise DomainError(
                    "The band of an uplift lies around its share, within [0, 1].", value=(low, self.share, high)
                )
            if self.share in (0.0, 1.0) and low < high:
                raise DomainError(
                    "A share of 0 or 1 is certain: there is no band around it.",
                    value=(low, self.share, high),
                    remedy="Give the mean of what you take to be possible.",
                )

    @classmethod
    def from_trial(cls, *, stayed: int, treated: int, stayed_without: int, without: int, prob: float = 0.9) -> Uplift:
        """Read the share of leavings prevented off a randomised trial.

        Parameters
        ----------
        stayed, treated : int
            Accounts that stayed, of those that the money was spent on.
        stayed_without, without : int
            The same of those, drawn by lot, that it was not spent on.
        prob : float
            Probability inside the band.

        Returns
        -------
        Uplift
            ``1 - (share leaving with) / (share leaving without)``: mean and equal-tailed band of its posterior under
            independent uniform priors on the two shares. An effect below 0 is taken for 0, so where more left with the
            spend than without, little remains but doubt.

        Raises
        ------
        DomainError
            If a group is empty, more stayed than there were, or ``prob`` lies outside (0, 1).

        Examples
        --------
        >>> found = Uplift.from_trial(stayed=850, treated=1000, stayed_without=800, without=1000)
        >>> found.words
        '24.6 % (90 % band 11.9 % to 36.2 %)'
        """
        check_prob(prob)
        counts = []
        for kept, among, name in ((stayed, treated, "treated"), (stayed_without, without, "without")):
            size = number_of(among, name)
            if isinstance(kept, bool) or not 0 <= finite_number(kept, "stayed") <= size or kept % 1:
                raise DomainError(
                    "A trial counts whole accounts: between none and all of a group stayed.", value=f"{kept} of {among}"
                )
            counts.append((float(kept), float(size)))
        rng = np.random.default_rng(0)  # fixed: the same trial gives the same uplift
        left = [rng.beta(size - kept + 1.0, kept + 1.0, _TRIAL_DRAWS) for kept, size in counts]
        effect = np.clip(1.0 - left[0] / left[1], 0.0, 1.0)
        low, high = np.quantile(effect, [(1.0 - prob) / 2.0, (1.0 + prob) / 2.0])
        share = min(max(float(effect.mean()), float(low)), float(high))  # beyond its own band only by rounding
        grid = tuple(np.quantile(effect, np.linspace(0.0, 1.0, _QUANTILES)).tolist())
        return cls(share=share, lower=float(low), upper=float(high), prob=prob, quantiles=grid)

    @property
    def words(self) -> str:
        """The share, and its band.

        Examples
        --------
        >>> Uplift(share=0.1, lower=0.04, upper=0.18).words
        '10 % (90 % band 4 % to 18 %)'
        """
        if self.lower is None or self.upper is None:
            return f"{100.0 * self.share:.3g} % (taken as known)"
        band = f"{100.0 * self.prob:g} % band {100.0 * self.lower:.3g} % to {100.0 * self.upper:.3g} %"
        return f"{100.0 * self.share:.3g} % ({band})"

    @property
    def is_known(self) -> bool:
        """Whether the share is taken as known."""
        return self.lower is None or self.lower == self.upper

    def draws(self, *, seed: int, count: int) -> Floats:
        """Draws of the share, shape (draw,): of its distribution, or Beta with that mean and a band of that width.

        A band that is wider than one hump can be around that mean (a share of 1 % known to lie between 0 and 40 %) is
        taken as wide as it can be.
        """
        if self.is_known:
            return np.full(count, self.share)
        uniform = uniforms(customer_keys(seed, [_KEY]), 0, count, STAGE_UPLIFT)[0]
        if self.quantiles is not None:
            return np.asarray(np.interp(uniform, np.linspace(0.0, 1.0, len(self.quantiles)), self.quantiles))
        from scipy import stats

        concentration = self._concentration()
        drawn = stats.beta.ppf(uniform, self.share * concentration, (1.0 - self.share) * concentration)
        return np.asarray(drawn, dtype=np.float64)

    def _concentration(self) -> float:
        """Sum of the two parameters of the Beta distribution whose band has the width asked for."""
        from scipy import optimize, stats

        assert self.lower is not None and self.upper is not None  # noqa: S101 - for the type checker
        wanted, tails = self.upper - self.lower, np.array([(1.0 - self.prob) / 2.0, (1.0 + self.prob) / 2.0])

        def too_wide(log_concentration: float) -> float:
            both = np.exp(log_concentration)
            low, high = stats.beta.ppf(tails, self.share * both, (1.0 - self.share) * both)
            return float(high - low - wanted)

        least = _LEAST_CONCENTRATION / min(self.share, 1.0 - self.share)  # one hump at most
        ends = np.log(least), np.log(max(_MOST_CONCENTRATION, 10.0 * least))
        if too_wide(ends[0]) <= 0.0:
            return float(least)
        return float(np.exp(optimize.brentq(too_wide, *ends)))


def as_uplift(value: float | Uplift | None) -> Uplift | None:
    """Read a number as an uplift that is known."""
    if value is None or isinstance(value, Uplift):
        return value
    return Uplift(share=finite_number(value, "uplift"))


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
            found.headroom[rows],
            found.log_sd[rows],
            self._shares(rows),
            spread=spread,
            keys=found.keys[rows],
            active=active,
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
