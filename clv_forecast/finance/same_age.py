"""Cohorts compared at the same age: what customers brought within so many months, and whether it gets better.

Means of several cohorts, shrunk toward their group as far as chance explains how they differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from clv_forecast.finance.cohort_table import Earned
from clv_forecast.finance.newcomers import Newcomers
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.units import DAYS_PER_UNIT

SCALE: Final = 0.25
"""Scale of the half-Cauchy prior of the spread between cohorts, in standard deviations of single customers."""
STEADYING: Final = 10.0
"""So many customers of the whole base stand behind the variance of every group: few customers tell little of it."""
_SPREADS: Final = np.geomspace(1e-3, 10.0, 240)
_HALVINGS: Final = 60
_TINY: Final = 1e-150
_REACH: Final = 12.0  # standard deviations: no quantile lies beyond


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Effects:
    """Posterior of the true mean of each cohort: a mixture of normal distributions over the spread between cohorts.

    Parameters
    ----------
    weights : ndarray, shape (spread,)
        Posterior probability of each spread of a grid.
    means : ndarray, shape (spread, cohort)
    variances : ndarray, shape (spread, cohort)
        Of each cohort given its group's mean.
    pulls : ndarray, shape (spread, cohort)
        Share of the group's mean in each cohort's.
    group_variances : ndarray, shape (spread, cohort)
        Of the mean of the cohort's group.
    group_means : ndarray, shape (spread, cohort)
    """

    weights: Floats
    means: Floats
    variances: Floats
    pulls: Floats
    group_variances: Floats
    group_means: Floats

    @property
    def shrunk(self) -> Floats:
        """Posterior mean of each cohort."""
        return np.asarray(self.weights @ self.means)

    @property
    def pooled(self) -> Floats:
        """Posterior mean of each cohort's group."""
        return np.asarray(self.weights @ self.group_means)

    def band(self, prob: float) -> tuple[Floats, Floats]:
        """Equal-tailed interval of each cohort's true mean."""
        variances = self.variances + self.pulls**2 * self.group_variances
        tail = (1.0 - prob) / 2.0
        return self._quantile(variances, tail), self._quantile(variances, 1.0 - tail)

    def _quantile(self, variances: Floats, share: float) -> Floats:
        """Quantile of the mixture of each cohort, by halving."""
        sd = np.sqrt(variances)
        low, high = (self.means - _REACH * sd).min(axis=0), (self.means + _REACH * sd).max(axis=0)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            below = self.weights @ special.ndtr(_ratio(middle - self.means, sd)) < share
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2.0

    def contrast(self, first: int, others: NDArray[np.intp], shares: Floats) -> tuple[float, float]:
        """Mean of a weighted average of other cohorts of the same group, and P(the first is above it).

        Parameters
        ----------
        first : int
        others : ndarray of int, shape (other,)
        shares : ndarray, shape (other,)
            Sum to 1.
        """
        average = self.means[:, others] @ shares
        pull = self.pulls[:, first] - self.pulls[:, others] @ shares
        variance = self.variances[:, first] + self.variances[:, others] @ shares**2
        variance += pull**2 * self.group_variances[:, first]
        above = special.ndtr(_ratio(self.means[:, first] - average, np.sqrt(variance)))
        return float(self.weights @ average), float(self.weights @ above)


def random_effects(means: Floats, customers: Floats, squares: Floats, *, group: NDArray[np.intp]) -> Effects:
    r"""Fit the random-effects model to the means of cohorts.

    .. math::
        y_{gj} \sim N(\theta_{gj}, \sigma_g^2 / n_{gj}), \quad
        \theta_{gj} \sim N(\mu_g, (\tau \sigma_g)^2), \quad \tau \sim \text{half-Cauchy}(0.25)

    with :math:`\mu_g` flat.

    Parameters
    ----------
    means : ndarray, shape (cohort,)
        Mean per customer.
    customers : ndarray, shape (cohort,)
        At least 1 each.
    squares : ndarray, shape (cohort,)
        Sum of squared deviations of the customers from the cohort's mean.
    group : ndarray of int, shape (cohort,)
        Cohorts of a group are shrunk toward its mean.

    Returns
    -------
    Effects

    Notes
    -----
    :math:`\sigma_g^2` is pooled over the cohorts of a group, as the variance of a few heavy-tailed customers is low
    just where their mean is: taken by itself it would make a cohort without a large customer look surely poor. It is
    steadied by the variance of all groups, with the weight of ten customers. :math:`\tau`, relative to it, is common
    to all groups and integrated out on a grid, so that a band does not close where the best guess of it is 0. A
    group of one cohort is not shrunk. Gelman et al. (2013), Bayesian Data Analysis, 3rd ed., section 5.4.

    Examples
    --------
    >>> two = random_effects(np.array([1.0, 1.4]), np.array([50.0, 50.0]), np.full(2, 100.0), group=np.zeros(2, int))
    >>> two.shrunk.round(2).tolist()
    [1.09, 1.31]
    """
    sigma2 = group_variances(customers, squares, group)[group]
    if not (sigma2 > 0.0).any():
        return _certain(means, group)
    sigma2 = np.maximum(sigma2, 1e-12 * sigma2.max())
    within = sigma2 / customers
    size = int(group.max()) + 1
    between = np.square(_SPREADS)[:, None] * sigma2
    precision = 1.0 / (within + between)
    weight = _by_group(precision, group, size)
    mu = _by_group(precision * means, group, size) / weight
    log = 0.5 * (np.log(precision) - precision * np.square(means - mu[:, group])).sum(axis=1)
    log -= 0.5 * np.log(weight).sum(axis=1)
    width = np.gradient(_SPREADS)
    posterior = np.exp(log - log.max()) * width / (1.0 + np.square(_SPREADS / SCALE))
    pulls = within / (within + between)
    return Effects(
        weights=posterior / posterior.sum(),
        means=pulls * mu[:, group] + (1.0 - pulls) * means,
        variances=(1.0 - pulls) * within,
        pulls=pulls,
        group_variances=(1.0 / weight)[:, group],
        group_means=mu[:, group],
    )


def group_variances(customers: Floats, squares: Floats, group: NDArray[np.intp]) -> Floats:
    """Variance of single customers within the cohorts of each group, steadied by that of all groups.

    Examples
    --------
    >>> group_variances(np.array([11.0, 1.0]), np.array([10.0, 0.0]), np.array([0, 1])).tolist()
    [1.0, 1.0]
    """
    size = int(group.max()) + 1
    freedom = np.bincount(group, weights=customers - 1.0, minlength=size)
    summed = np.bincount(group, weights=squares, minlength=size)
    overall = summed.sum() / max(freedom.sum(), 1.0)
    return np.asarray((summed + STEADYING * overall) / (freedom + STEADYING))


def _certain(means: Floats, group: NDArray[np.intp]) -> Effects:
    """Without any variance within cohorts their means are what they are."""
    nothing = np.zeros((1, len(means)))
    pooled = (np.bincount(group, weights=means) / np.maximum(np.bincount(group), 1))[group]
    return Effects(
        weights=np.ones(1),
        means=means[None, :],
        variances=nothing,
        pulls=nothing,
        group_variances=nothing,
        group_means=pooled[None, :],
    )


def _by_group(values: Floats, group: NDArray[np.intp], size: int) -> Floats:
    """Sums over the cohorts of each group, shape (spread, group)."""
    member = (group[:, None] == np.arange(size)).astype(np.float64)
    return np.asarray(values @ member)


def _ratio(difference: Floats, sd: Floats) -> Floats:
    """A difference in standard deviations; without any deviation far beyond all of them, 0 where there is none."""
    return np.asarray(difference / np.maximum(sd, _TINY))


Floats = NDArray[np.float64]
Places = NDArray[np.intp]

AGES: Final = (1, 3, 6, 12, 24)
"""Months since the first purchase."""
MEASURES: Final = ("contribution", "revenue")


def same_age_table(
    newcomers: Newcomers, earned: Earned, *, measure: str, month: float, as_of: pd.Timestamp, prob: float
) -> pd.DataFrame:
    """Money per customer by age, shrunk, against the earlier cohorts of the channel.

    Parameters
    ----------
    newcomers : Newcomers
    earned : Earned
        In their order.
    measure : {"contribution", "revenue"}
    month : float
        Its length in the unit of ``earned``.
    as_of : Timestamp
    prob : float
        Probability inside the intervals.

    Returns
    -------
    DataFrame
        See ``Cohorts.same_age``. A cohort has a row for an age when its last possible customer is as old: else those
        who came early, or died early, would stand for all. Without such a cohort the table is empty.
    """
    name = f"{measure}_per_customer"
    columns = ["cohort", "channel", "age_months", "customers", name, "shrunk", "lower", "upper", "pooled"]
    columns += ["earlier", "p_better"]
    rows = []
    days = (as_of - newcomers.ends).days.to_numpy()
    for age in AGES:
        seen = days >= np.floor(age * DAYS_PER_UNIT["month"])  # purchases have days, not hours
        kept = seen[newcomers.cohort]
        if not kept.any():
            break
        money = earned.by_age(age * month, measure)[kept]
        cohort, channel = newcomers.cohort[kept], newcomers.channel[kept]
        together: tuple[Places, tuple[str, ...]] = (np.zeros_like(channel), (EVERYONE,))
        for member, names in (together, (channel, newcomers.channels)) if newcomers.split else (together,):
            for row in _compared(money, cohort, member, prob=prob):
                code, place = row.pop("cohort"), row.pop("channel")
                rows.append({"cohort": newcomers.cohorts[code], "channel": names[place], "age_months": age, **row})
    table = pd.DataFrame(rows).rename(columns={"mean": name}) if rows else pd.DataFrame(columns=columns)
    return table[columns].astype({"age_months": "int64", "customers": "int64"})


def _compared(money: Floats, cohort: Places, channel: Places, *, prob: float) -> Iterator[dict[str, Any]]:
    """One row per channel and cohort with customers: its mean, and the posterior of its true mean."""
    size = int(cohort.max()) + 1
    found, cell = np.unique(channel * size + cohort, return_inverse=True)
    group, when = found // size, found % size
    customers = np.bincount(cell).astype(np.float64)
    means = np.bincount(cell, weights=money) / customers
    squares = np.bincount(cell, weights=np.square(money - means[cell]))
    effects = random_effects(means, customers, squares, group=np.unique(group, return_inverse=True)[1])
    lower, upper = effects.band(prob)
    shrunk, pooled = effects.shrunk, effects.pooled
    for at in range(len(found)):
        before = np.flatnonzero((group == group[at]) & (when < when[at]))
        earlier, better = np.nan, np.nan
        if len(before):
            earlier, better = effects.contrast(at, before, customers[before] / customers[before].sum())
        yield {
            "cohort": when[at],
            "channel": group[at],
            "customers": customers[at],
            "mean": means[at],
            "shrunk": shrunk[at],
            "lower": lower[at],
            "upper": upper[at],
            "pooled": pooled[at],
            "earlier": earlier,
            "p_better": better,
        }
