"""Scores of forecasts: pure functions of what came, what was expected, and predictive draws.

Draws have shape (customer, draw) and are ascending along the draws: sorted once, they serve every score.

References
----------
Gneiting & Raftery (2007), "Strictly proper scoring rules, prediction, and estimation", JASA 102(477),
doi:10.1198/016214506000001437. Czado, Gneiting & Held (2009), "Predictive model assessment for count data",
Biometrics 65(4), doi:10.1111/j.1541-0420.2009.01191.x. Ferro (2014), "Fair scores for ensemble forecasts", Q. J. R.
Meteorol. Soc. 140, doi:10.1002/qj.2270.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from clv_forecast.streams import KeyedStreams, uniform_pair

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEVELS: Final = (0.5, 0.8, 0.9, 0.95)
"""Nominal probabilities of the bands that are looked at."""
STAGE_PIT: Final = 21
"""Random stream of the uniforms that split ties."""
_BASE_COUNT: Final = 2.0


@njit(cache=True)
def _uniforms(keys, draw, counter, out):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
    for i in range(len(keys)):
        out[i] = uniform_pair(keys[i], draw, STAGE_PIT, counter)[0]


def keyed_uniforms(streams: KeyedStreams, counter: int) -> Floats:
    """One uniform per customer that depends on its key and the counter alone; shape (customer,).

    Examples
    --------
    >>> from clv_forecast.streams import KeyedStreams, customer_keys
    >>> u = keyed_uniforms(KeyedStreams(customer_keys(1, ["a", "b"])), 7)
    >>> bool(u[0] == keyed_uniforms(KeyedStreams(customer_keys(1, ["a"])), 7)[0])
    True
    """
    out = np.empty(len(streams.keys))
    _uniforms(np.asarray(streams.keys), streams.first_draw, counter, out)
    return out


def randomised_pit(actual: ArrayLike, ordered: NDArray[Any], uniform: ArrayLike) -> Floats:
    r"""Randomised probability integral transform of each outcome.

    .. math:: u = \frac{\#\{x_d < y\} + v\,(\#\{x_d = y\} + 1)}{m + 1}

    with ``v`` uniform on (0, 1). When the outcome is exchangeable with the ``m`` draws, ``u`` is exactly uniform,
    for counts as well and however few the draws.

    Parameters
    ----------
    actual : array_like, shape (customer,)
    ordered : ndarray, shape (customer, draw)
        Ascending along the draws.
    uniform : array_like, shape (customer,)
        In (0, 1), see :func:`keyed_uniforms`.

    Returns
    -------
    ndarray, shape (customer,)
        In (0, 1).

    Examples
    --------
    >>> randomised_pit([1.0], np.array([[0.0, 1.0, 2.0]]), [0.5])
    array([0.5])
    """
    outcome = np.asarray(actual)[:, None]
    below = (ordered < outcome).sum(axis=-1)
    at_most = (ordered <= outcome).sum(axis=-1)
    return np.asarray((below + np.asarray(uniform) * (at_most - below + 1)) / (ordered.shape[-1] + 1))


def inside_bands(actual: ArrayLike, ordered: NDArray[Any], probs: Sequence[float] = LEVELS) -> Flags:
    """Whether each outcome lies in the equal-tailed band of each probability, ends included; (customer, prob).

    The ends are those of the forecast's bands: order statistics, so that a band of counts holds a little more than
    its probability.

    Examples
    --------
    >>> inside_bands([0.0, 50.0], np.tile(np.arange(1.0, 101.0), (2, 1)), [0.9])
    array([[False],
           [ True]])
    """
    outcome, count = np.asarray(actual), ordered.shape[-1]
    found = np.empty((len(outcome), len(probs)), dtype=bool)
    for k, prob in enumerate(probs):
        low = max(int(np.floor((1.0 - prob) / 2.0 * count + 1e-9)) - 1, 0)
        found[:, k] = (ordered[:, low] <= outcome) & (outcome <= ordered[:, count - 1 - low])
    return found


def covered(pit: ArrayLike, prob: float) -> Flags:
    """Whether the randomised transform lies in the central ``prob``: what a band without ties would hold.

    Examples
    --------
    >>> covered([0.04, 0.5], 0.9)
    array([False,  True])
    """
    return np.asarray(np.abs(np.asarray(pit, dtype=float) - 0.5) <= 0.5 * prob)


def level_needed(pit: ArrayLike, prob: float) -> float:
    """Level of the band that has to be asked for, so that the share ``prob`` of the outcomes lies in it.

    Equal to ``prob`` for honest bands, larger for bands that are too narrow. NaN without outcomes.

    Examples
    --------
    >>> round(level_needed(np.linspace(0.0, 1.0, 1001), 0.9), 6)
    0.9
    """
    values = np.asarray(pit, dtype=float)
    if values.size == 0:
        return float("nan")
    return float(np.quantile(np.abs(2.0 * values - 1.0), prob))


def ks_distance(pit: ArrayLike) -> float:
    """Largest distance between the empirical distribution of ``pit`` and the uniform (Kolmogorov & Smirnov).

    Examples
    --------
    >>> ks_distance([0.5])
    0.5
    """
    ordered = np.sort(np.asarray(pit, dtype=float))
    count = len(ordered)
    if count == 0:
        return float("nan")
    above = np.arange(1, count + 1) / count - ordered
    below = ordered - np.arange(count) / count
    return float(max(above.max(), below.max()))


def crps(actual: ArrayLike, ordered: NDArray[Any]) -> Floats:
    r"""Continuous ranked probability score of each outcome, from draws, in its fair form.

    .. math::
        \frac1m \sum_d |x_d - y| - \frac{1}{2 m (m - 1)} \sum_{d, e} |x_d - x_e|

    whose mean over draws is the score of the distribution drawn from, whatever ``m``. Smaller is better; in the unit
    of the outcome. It may be a little below zero.

    Parameters
    ----------
    actual : array_like, shape (customer,)
    ordered : ndarray, shape (customer, draw)
        Ascending along the draws; at least two.

    Returns
    -------
    ndarray, shape (customer,)

    Examples
    --------
    >>> crps([1.0], np.array([[0.0, 2.0]]))
    array([0.])
    """
    values = np.asarray(ordered, dtype=float)
    count = values.shape[-1]
    far = np.abs(values - np.asarray(actual, dtype=float)[:, None]).mean(axis=-1)
    weights = 2.0 * np.arange(1, count + 1) - count - 1.0
    return np.asarray(far - values @ weights / (count * (count - 1.0)))


def log_score_counts(actual: ArrayLike, draws: NDArray[Any], p_zero: ArrayLike) -> Floats:
    r"""Logarithm of the predictive probability of each count; larger is better.

    No purchase has its closed form, and :math:`y > 0` the share of the draws above zero that equal it, smoothed by
    one further draw from a geometric distribution of about their mean:

    .. math::
        P(Y = y) = (1 - p_0)\, \frac{\#\{x_d = y\} + g(y)}{\#\{x_d > 0\} + 1}, \quad g(y) = \theta (1 - \theta)^{y-1}

    with :math:`1 / \theta` the mean of the draws above zero and one more count of 2. So the score is finite for
    every count, even one that no draw reached.

    Parameters
    ----------
    actual : array_like of int, shape (customer,)
    draws : ndarray, shape (customer, draw)
        In any order.
    p_zero : array_like, shape (customer,)
        Probability of no purchase.

    Returns
    -------
    ndarray, shape (customer,)

    Examples
    --------
    >>> log_score_counts([0, 1], np.array([[0, 0], [0, 1]]), [0.8, 0.5]).round(4)
    array([-0.2231, -0.8755])
    """
    outcome = np.asarray(actual)
    zero = np.asarray(p_zero, dtype=float)
    reached = (draws > 0).sum(axis=-1)
    mean = (draws.sum(axis=-1) + _BASE_COUNT) / (reached + 1.0)
    bought = np.maximum(outcome, 1)
    log_base = -np.log(mean) + (bought - 1) * np.log1p(-1.0 / mean)
    equal = (draws == outcome[:, None]).sum(axis=-1)
    with np.errstate(divide="ignore"):
        log_share = np.where(equal > 0, np.log(equal + np.exp(log_base)), log_base) - np.log(reached + 1.0)
        return np.where(outcome == 0, np.log(zero), np.log1p(-zero) + log_share)


def normalised_gini(actual: ArrayLike, expected: ArrayLike) -> float:
    r"""How well the expectation orders the customers: 1 for the best order, 0 for none, negative for a reversed one.

    .. math:: \frac{\mathrm{cov}(y, \mathrm{rank}(\hat y))}{\mathrm{cov}(y, \mathrm{rank}(y))}

    the Gini coefficient of the outcomes in the order of the expectations by that in their own order. Ties have their
    mean rank, so the order of the rows does not matter. NaN where all outcomes are equal.

    Examples
    --------
    >>> normalised_gini([0, 1, 5], [0.1, 0.2, 3.0])
    1.0
    """
    outcome, forecast = np.asarray(actual, dtype=float), np.asarray(expected, dtype=float)
    return gini_of_sums(by_value(outcome, forecast), by_value(outcome, outcome))


def top_share(actual: ArrayLike, expected: ArrayLike, share: float = 0.1) -> float:
    """Share of all outcomes that came from the customers with the highest expectations.

    Customers tied at the edge count in part, so the order of the rows does not matter. NaN where nothing came.

    Parameters
    ----------
    actual, expected : array_like, shape (customer,)
    share : float
        Part of the customers that counts as the top.

    Examples
    --------
    >>> top_share([6, 2, 1, 1], [4.0, 3.0, 2.0, 1.0], 0.25)
    0.6
    """
    return top_share_of_sums(by_value(np.asarray(actual, dtype=float), np.asarray(expected, dtype=float)), share)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ByValue:
    """Customers with equal expectations taken together, by rising expectation: their number and sum of outcomes."""

    count: Floats
    total: Floats


def by_value(actual: Floats, expected: Floats) -> ByValue:
    """Take customers with equal expectations together."""
    _, code = np.unique(expected, return_inverse=True)
    return ByValue(count=np.bincount(code).astype(np.float64), total=np.bincount(code, weights=actual))


def gini_of_sums(forecast: ByValue, outcome: ByValue) -> float:
    """The normalised Gini from the sums by expectation and by outcome; see :func:`normalised_gini`."""
    best = _concordance(outcome)
    return float("nan") if best <= 0.0 else _concordance(forecast) / best


def top_share_of_sums(forecast: ByValue, share: float = 0.1) -> float:
    """The share of the top from the sums by expectation; see :func:`top_share`."""
    count, total = forecast.count[::-1], forecast.total[::-1]
    everything = float(total.sum())
    if everything <= 0.0:
        return float("nan")
    before = np.cumsum(count) - count
    taken = np.clip(share * count.sum() - before, 0.0, count)
    return float((taken / np.maximum(count, 1.0)) @ total) / everything


def _concordance(sums: ByValue) -> float:
    """Sum of (outcome - mean outcome) x mean rank."""
    customers = sums.count.sum()
    rank = np.cumsum(sums.count) - 0.5 * (sums.count - 1.0)
    mean = sums.total.sum() / customers if customers else 0.0
    return float((sums.total - mean * sums.count) @ rank)


def deciles(actual: ArrayLike, expected: ArrayLike, parts: int = 10) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Customers in parts of equal size by expectation, the highest first: number, sum expected, sum of outcomes.

    The outcomes of customers with equal expectations are shared evenly among them, so the order of the rows does not
    matter.

    Returns
    -------
    customers, expected, actual : ndarray, shape (part,)

    Examples
    --------
    >>> [column.tolist() for column in deciles([3, 1], [2.0, 1.0], parts=2)]
    [[1, 1], [2.0, 1.0], [3.0, 1.0]]
    """
    forecast = np.asarray(expected, dtype=float)
    order, shared = _ties_shared(np.asarray(actual, dtype=float), forecast)
    part = np.arange(len(order)) * parts // max(len(order), 1)
    count = np.bincount(part, minlength=parts).astype(np.intp)
    return (
        count,
        np.bincount(part, weights=forecast[order], minlength=parts),
        np.bincount(part, weights=shared, minlength=parts),
    )


def clustered_error(values: ArrayLike, cluster: ArrayLike | None = None) -> float:
    r"""Standard error of a mean whose summands are independent between clusters only (a customer's several windows).

    .. math:: \frac{1}{n} \sqrt{\frac{c}{c - 1} \sum_c \Big(\sum_{i \in c} (v_i - \bar v)\Big)^2}

    Clusters are numbered from 0. NaN with fewer than two.

    Examples
    --------
    >>> round(clustered_error([0.0, 1.0, 0.0, 1.0]), 6), clustered_error([0.0, 1.0, 0.0, 1.0], [1, 1, 2, 2])
    (0.288675, 0.0)
    """
    summands = np.asarray(values, dtype=float)
    centred = summands - summands.mean() if summands.size else summands
    count = len(centred)
    if cluster is not None:
        code = np.asarray(cluster)
        count = int((np.bincount(code) > 0).sum())
        centred = np.bincount(code, weights=centred)
    if count < 2:
        return float("nan")
    return float(np.sqrt(count / (count - 1.0) * (centred**2).sum()) / summands.size)


def _ties_shared(actual: Floats, expected: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Rows by falling expectation, and the outcomes in that order, evened out within ties."""
    _, code, count = np.unique(expected, return_inverse=True, return_counts=True)
    mean = np.bincount(code, weights=actual, minlength=len(count)) / count
    order = np.argsort(-expected, kind="stable")
    return order, mean[code[order]]
