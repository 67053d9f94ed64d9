"""What a spend achieves: the share of accounts, or of headroom, that it moves, and how well that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.arguments import finite_number, number_of
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.predictive import check_prob
from clv_forecast.streams import STAGE_UPLIFT, customer_keys, uniforms

Floats = NDArray[np.float64]

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
