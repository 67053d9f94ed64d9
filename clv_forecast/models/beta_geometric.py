r"""What BG/NBD and MBG/NBD share: a Poisson buyer who may leave after each purchase.

The two models differ in one number only, ``initial``: how many chances to leave the first purchase itself brings
(0 in BG/NBD, 1 in MBG/NBD). After ``x`` repeat purchases a living customer has survived ``m = x + initial`` chances,
so that given alive at ``T``, independently,

.. math:: \lambda \sim \text{Gamma}(r + x,\ \alpha + T), \qquad p \sim \text{Beta}(a,\ b + m)

and with ``s = r + x``, ``beta = alpha + T`` the rate of purchases at ``T + tau`` is
``E[lambda exp(-lambda p tau)] = (s / beta) E_p[(1 + p tau / beta)^-(s+1)]``: everything about the future is an average
of :mod:`clv_forecast.models.beta_average`. The functions here trust their arguments; the models check them.

Parameters of BG/NBD and MBG/NBD: their type, the free vector of a fit, its starts and its prior.

The log-likelihood of BG/NBD and MBG/NBD summed over weighted rows, for many draws of the parameters.

With ``l(t) = ln(1 + t/alpha)`` and ``m = x + initial`` chances to leave,

.. math:: \sum w L = \sum w \left[ \ln \frac{(r)_x (b)_m}{(a+b)_m} - x \ln \alpha - (r + x) l(T)
          + \ln(1 + e^o) \right], \quad o = \ln\frac{a}{b + m - 1} + (r + x) (l(T) - l(t_x))

Rising factorials are taken once per distinct frequency, ``l`` once per distinct time: a row costs one exponential.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, expit, gammaln, xlogy

from clv_forecast.errors import DomainError
from clv_forecast.models.beta_average import power_integral_average, quick_power_average
from clv_forecast.models.domain import Floats, checked_history, non_negative, positive_field, stacked, unstacked
from clv_forecast.models.paths import FuturePurchases, future_paths
from clv_forecast.models.special import digamma_rising, log_rising
from clv_forecast.streams import RandomSource
from clv_forecast.threads import in_spans

PARAMETERS: Final = ("r", "alpha", "a", "b")
UNCONSTRAINED: Final = ("log_rate", "log_shape", "logit_dropout", "log_concentration")


@dataclass(frozen=True, slots=True, init=False)
class Params:
    """Parameters of BG/NBD and MBG/NBD.

    Parameters
    ----------
    r, alpha : array_like
        Shape and rate of the purchase rate's Gamma distribution; ``alpha`` in the unit of ``T``.
    a, b : array_like
        The dropout probability's Beta distribution.

    Raises
    ------
    DomainError
        Unless every entry is finite and positive.

    Examples
    --------
    >>> Params(0.243, 4.414, 0.793, 2.426).a
    array(0.793)
    """

    r: Floats
    alpha: Floats
    a: Floats
    b: Floats

    def __init__(self, r: ArrayLike, alpha: ArrayLike, a: ArrayLike, b: ArrayLike) -> None:
        for name, value in zip(PARAMETERS, (r, alpha, a, b), strict=True):
            object.__setattr__(self, name, positive_field(name, value))


def unconstrain(params: Params) -> Floats:
    """Free vector ``(ln r/alpha, ln r, logit a/(a+b), ln a+b)``: two means, and how alike customers are in each.

    Returns
    -------
    ndarray, shape (4,) or (draw, 4)

    Raises
    ------
    DomainError
        If a field varies by customer.

    Examples
    --------
    >>> unconstrain(Params(1.0, 10.0, 0.5, 0.5)).round(6) + 0.0
    array([-2.302585,  0.      ,  0.      ,  0.      ])
    """
    log_r = np.log(params.r)
    return stacked(
        [log_r - np.log(params.alpha), log_r, np.log(params.a) - np.log(params.b), np.log(params.a + params.b)]
    )


def constrain(theta: ArrayLike) -> Params:
    """Parameters from the free vector of :func:`unconstrain`.

    Parameters
    ----------
    theta : array_like, shape (4,) or (draw, 4)

    Returns
    -------
    Params
        Scalar fields, or fields of shape (draw, 1).

    Raises
    ------
    DomainError
        If ``theta`` has another shape, or leads beyond the largest or below the smallest float.

    Examples
    --------
    >>> constrain([0.0, 0.0, 0.0, 0.0]).b
    array(0.5)
    """
    log_rate, log_r, logit_dropout, log_concentration = unstacked(theta, len(UNCONSTRAINED))
    with np.errstate(over="ignore", under="ignore"):
        concentration = np.exp(log_concentration)
        return Params(
            np.exp(log_r),
            np.exp(log_r - log_rate),
            expit(logit_dropout) * concentration,
            expit(-logit_dropout) * concentration,
        )


def constrain_jacobian(theta: ArrayLike) -> Floats:
    """Derivatives of (r, alpha, a, b), rows, with respect to the free vector, columns.

    Parameters
    ----------
    theta : array_like, shape (4,)

    Returns
    -------
    ndarray, shape (4, 4)

    Raises
    ------
    DomainError
        As :func:`constrain`, or if ``theta`` holds several draws.

    Examples
    --------
    >>> constrain_jacobian([0.0, 0.0, 0.0, 0.0])[1]
    array([-1.,  1.,  0.,  0.])
    """
    if np.ndim(theta) != 1:
        raise DomainError("constrain_jacobian takes one free vector.", value=np.shape(theta))
    params = constrain(theta)
    r, alpha, a, b = (float(getattr(params, name)) for name in PARAMETERS)
    shift = a * b / (a + b)
    return np.array([[0.0, r, 0.0, 0.0], [-alpha, alpha, 0.0, 0.0], [0.0, 0.0, shift, a], [0.0, 0.0, -shift, b]])


def starting_points(frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, weights: ArrayLike) -> list[Floats]:
    """Free vectors to start a fit from, scaled by the data.

    Parameters
    ----------
    frequency, recency, T : array_like, shape (customer,)
    weights : array_like, shape (customer,)
        How many customers each row stands for.

    Returns
    -------
    list of ndarray, shape (4,)
        Customers unlike each other with mild dropout, alike with rare dropout, very unlike with frequent dropout.

    Raises
    ------
    DomainError
        If the history is out of its domain or the weights are negative.

    Examples
    --------
    >>> starting_points([2, 0], [30.0, 0.0], [40.0, 40.0], [1, 1])[1].round(2).tolist()
    [-3.47, 0.5, -2.5, 2.0]
    """
    x, _, length = checked_history(frequency, recency, T)
    weight = non_negative("weights", weights)
    time = float((weight * length).sum())
    log_rate = float(np.log((float((weight * x).sum()) + 0.5) / (time if time > 0.0 else 1.0)))
    return [
        np.array([log_rate + 0.5, -0.7, -1.0, 1.1]),
        np.array([log_rate, 0.5, -2.5, 2.0]),
        np.array([log_rate + 1.0, -1.5, 0.0, 0.0]),
    ]


def prior_location_scale(time_scale: float, rate: float) -> tuple[Floats, Floats]:
    """Location and scale of the weakly informative normal prior on the free vector, from the data's own scale.

    Parameters
    ----------
    time_scale : float
        Length of the time unit in which the prior is asked, in that of ``rate`` (1 for the same unit).
    rate : float
        Repeat purchases per customer and unit of time.

    Returns
    -------
    location, scale : ndarray, shape (4,)

    Raises
    ------
    DomainError
        If an argument is not finite and positive.

    Examples
    --------
    >>> prior_location_scale(1.0, 1.0)[0].round(4).tolist()
    [0.0, 0.0, -1.0, 1.0986]
    """
    log_rate = float(np.log(positive_field("rate", rate)) + np.log(positive_field("time_scale", time_scale)))
    return np.array([log_rate, 0.0, -1.0, np.log(3.0)]), np.array([1.5, 2.5, 1.5, 2.0])


Places = NDArray[np.intp]

_PER_LOGARITHM: Final = 512  # factors of at most 2 in one product: far below the largest float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexedRows:
    """Weighted purchase rows, as places in the tables of their distinct frequencies and times.

    Parameters
    ----------
    counts, times : ndarray
        Distinct frequencies, and distinct recencies and T together, ascending.
    count, recency, T : ndarray of int, shape (row,)
        Place of each row's values in them, in the order of the frequency.
    weights : ndarray, shape (row,)
        Customers in the row.
    """

    counts: Floats
    times: Floats
    count: Places
    recency: Places
    T: Places
    weights: Floats


def indexed_rows(frequency: Floats, recency: Floats, T: Floats, weights: Floats) -> IndexedRows:
    """Sort rows by frequency and look up their distinct values.

    Examples
    --------
    >>> rows = indexed_rows(*np.array([[2.0, 0.0], [30.0, 0.0], [39.0, 39.0], [1.0, 5.0]]))
    >>> rows.counts, rows.times, rows.weights
    (array([0., 2.]), array([ 0., 30., 39.]), array([5., 1.]))
    """
    order = np.argsort(frequency, kind="stable")
    counts, count = np.unique(frequency[order], return_inverse=True)
    times, place = np.unique(np.concatenate([recency[order], T[order]]), return_inverse=True)
    return IndexedRows(
        counts=counts,
        times=times,
        count=count,
        recency=place[: order.size],
        T=place[order.size :],
        weights=np.array(weights[order], dtype=np.float64),
    )


def log_likelihood_sums(params: Params, rows: IndexedRows, initial: int) -> Floats:
    """Log-likelihood of all customers, for each draw of the parameters.

    Parameters
    ----------
    params : Params
        Fields of shape (draw, 1), or scalars.
    rows : IndexedRows
    initial : int
        Chances to leave that the first purchase brings: 0 in BG/NBD, 1 in MBG/NBD.

    Returns
    -------
    ndarray, shape (draw,)

    Notes
    -----
    Each draw is summed alone and in the same order: the result does not depend on the number of threads.

    Examples
    --------
    >>> rows = indexed_rows(*np.array([[2.0, 0.0], [30.43, 0.0], [38.86, 38.86], [1.0, 5.0]]))
    >>> log_likelihood_sums(Params(0.243, 4.414, 0.793, 2.426), rows, 0).round(6)
    array([-12.232173])
    """
    r, alpha, a, b = (np.atleast_2d(field)[:, :1] for field in (params.r, params.alpha, params.a, params.b))
    r, alpha, a, b = (np.ascontiguousarray(f) for f in np.broadcast_arrays(r, alpha, a, b))
    customers = np.bincount(rows.count, weights=rows.weights)
    chances = rows.counts + initial
    risings = log_rising(r, rows.counts) + log_rising(b, chances) - log_rising(a + b, chances)
    out = np.sum(risings * customers, axis=1) - np.log(alpha[:, 0]) * float(customers @ rows.counts)
    customers_to = np.bincount(rows.T, weights=rows.weights, minlength=rows.times.size)
    purchases_to = np.bincount(rows.T, weights=rows.weights * rows.counts[rows.count], minlength=rows.times.size)
    may_have_left = chances[rows.count] > 0.0
    count, recency, T, weights = (c[may_have_left] for c in (rows.count, rows.recency, rows.T, rows.weights))
    in_spans(
        _add,
        out.size,
        r[:, 0],
        alpha[:, 0],
        a[:, 0],
        b[:, 0],
        rows.counts,
        rows.times,
        count,
        recency,
        T,
        weights,
        np.stack([customers_to, purchases_to]),
        initial,
        out,
    )
    return out


@njit(cache=True, nogil=True)
def _add(  # type: ignore[no-untyped-def]
    r: Any, alpha: Any, a: Any, b: Any, counts, times, count, recency, T, weights, totals, initial, out, start, stop
):
    logs = np.empty(times.size)
    leaving = np.empty(counts.size)
    for d in range(start, stop):
        total = out[d]
        for g in range(times.size):
            logs[g] = math.log1p(times[g] / alpha[d])
            total -= (r[d] * totals[0, g] + totals[1, g]) * logs[g]
        for c in range(counts.size):
            chances = counts[c] + initial
            leaving[c] = math.log(a[d] / (b[d] + max(chances, 1.0) - 1.0))
        product = 1.0
        factors = 0
        for i in range(count.size):
            odds = leaving[count[i]] + (r[d] + counts[count[i]]) * (logs[T[i]] - logs[recency[i]])
            smaller = math.exp(-abs(odds))
            total += weights[i] * max(odds, 0.0)
            if weights[i] == 1.0:
                product *= 1.0 + smaller
                factors += 1
                if factors == _PER_LOGARITHM:
                    total += math.log(product)
                    product = 1.0
                    factors = 0
            else:
                total += weights[i] * math.log1p(smaller)
        out[d] = total + math.log(product)


def log_odds_left(params: Params, frequency: Floats, recency: Floats, T: Floats, initial: int) -> Floats:
    """Log-odds of having left by ``T``; minus infinity where no chance to leave has passed."""
    chances = frequency + initial
    silent = (params.r + frequency) * np.log1p((T - recency) / (params.alpha + recency))
    left = np.log(params.a) - np.log(params.b + np.maximum(chances, 1.0) - 1.0) + silent
    return np.where(chances > 0.0, left, -np.inf)


def p_alive(params: Params, frequency: Floats, recency: Floats, T: Floats, initial: int) -> Floats:
    """Probability of being alive at ``T``."""
    alive: Floats = expit(-log_odds_left(params, frequency, recency, T, initial))
    return alive


def log_likelihood(params: Params, frequency: Floats, recency: Floats, T: Floats, initial: int) -> Floats:
    """Log-likelihood of each customer: the path of one still alive, and beside it the odds of one who left."""
    times = params.r * np.log1p(T / params.alpha) + frequency * np.log(params.alpha + T)
    odds = log_odds_left(params, frequency, recency, T, initial)
    return _log_weight_of_count(params, frequency, initial) - times + _log1p_exp(odds)


def _log_weight_of_count(params: Params, frequency: Floats, initial: int) -> Floats:
    """Rising factorials of a customer alive; once per distinct frequency where parameters do not vary by customer."""
    shared = all(np.shape(field)[-1:] in ((), (1,)) for field in (params.r, params.a, params.b))
    if frequency.ndim != 1 or not shared:
        return _rising_factorials(params, frequency, initial)
    distinct, row = np.unique(frequency, return_inverse=True)
    return np.take(_rising_factorials(params, distinct, initial), row, axis=-1)


def _rising_factorials(params: Params, frequency: Floats, initial: int) -> Floats:
    chances = frequency + initial
    survived = log_rising(params.b, chances) - log_rising(params.a + params.b, chances)
    return log_rising(params.r, frequency) + survived


def _log1p_exp(odds: Floats) -> Floats:
    """``ln(1 + e^odds)`` by vectorised functions, which ``np.logaddexp`` is not."""
    value: Floats = np.maximum(odds, 0.0) + np.log1p(np.exp(-np.abs(odds)))
    return value


def log_likelihood_gradient(
    params: Params, frequency: Floats, recency: Floats, T: Floats, initial: int
) -> tuple[Floats, Floats]:
    """Log-likelihood of each customer and its derivatives with respect to (r, alpha, a, b), for scalar parameters."""
    chances = frequency + initial
    r, alpha, a, b = params.r, params.alpha, params.a, params.b
    left = expit(log_odds_left(params, frequency, recency, T, initial))
    silent = np.log1p((T - recency) / (alpha + recency))
    both = digamma_rising(a + b, chances)
    gradient = np.stack([
        digamma_rising(r, frequency) - np.log1p(T / alpha) + left * silent,
        r * T / (alpha * (alpha + T)) - frequency / (alpha + T)
        - left * (r + frequency) * (T - recency) / ((alpha + T) * (alpha + recency)),
        left / a - both,
        digamma_rising(b, chances) - both - left / (b + np.maximum(chances, 1.0) - 1.0),
    ])  # fmt: skip
    return log_likelihood(params, frequency, recency, T, initial), gradient


def purchases_given_alive(
    params: Params, frequency: Floats, T: Floats, horizon: Floats, discount: Floats, initial: int
) -> Floats:
    """Discounted expected purchases in ``(T, T + horizon]`` of a customer alive at ``T``."""
    s, beta = params.r + frequency, params.alpha + T
    return s * power_integral_average(
        params.a, params.b + frequency + initial, horizon / beta, s + 1.0, discount * beta
    )


def time_given_alive(
    params: Params, frequency: Floats, T: Floats, horizon: Floats, discount: Floats, initial: int
) -> Floats:
    """Discounted expected time in ``(T, T + horizon]`` before leaving, of a customer alive at ``T``."""
    s, beta = params.r + frequency, params.alpha + T
    return beta * power_integral_average(params.a, params.b + frequency + initial, horizon / beta, s, discount * beta)


def purchase_rate_given_alive(params: Params, frequency: Floats, T: Floats, ahead: Floats, initial: int) -> Floats:
    """Expected purchase rate at ``T + ahead`` of a customer alive at ``T``."""
    s, beta = params.r + frequency, params.alpha + T
    return s / beta * quick_power_average(params.a, params.b + frequency + initial, ahead / beta, s + 1.0)


def survival_given_alive(params: Params, frequency: Floats, T: Floats, ahead: Floats, initial: int) -> Floats:
    """Probability that a customer alive at ``T`` is alive at ``T + ahead``."""
    s, beta = params.r + frequency, params.alpha + T
    return quick_power_average(params.a, params.b + frequency + initial, ahead / beta, s)


def times_alive(alive: Floats, given_alive: Floats) -> Floats:
    """Multiply by the probability of being alive, keeping an infinite expectation infinite."""
    product = np.full(np.broadcast_shapes(alive.shape, given_alive.shape), np.inf)
    np.multiply(alive, given_alive, out=product, where=np.isfinite(given_alive))
    return product


def purchase_pmf(params: Params, n: Floats, horizon: Floats, initial: int) -> Floats:
    """Probability that a new customer makes ``n`` repeat purchases in ``(0, horizon]``."""
    chances = n + initial
    share = -np.expm1(-np.log1p(horizon / params.alpha))
    made_n = log_rising(params.r, n) - gammaln(n + 1.0) + xlogy(n, share) - params.r * np.log1p(horizon / params.alpha)
    survived = log_rising(params.b, chances) - log_rising(params.a + params.b, chances)
    # P(at least n purchases if nobody left); betainc needs n > 0.
    made_more = np.where(n > 0.0, betainc(np.maximum(n, 1.0), params.r, share), 1.0)
    leaving = params.a / (params.b + np.maximum(chances, 1.0) - 1.0)
    pmf: Floats = np.exp(survived) * (np.exp(made_n) + np.where(chances > 0.0, leaving * made_more, 0.0))
    return pmf


def no_purchase(params: Params, frequency: Floats, recency: Floats, T: Floats, horizon: Floats, initial: int) -> Floats:
    """Probability of no purchase in ``(T, T + horizon]``: gone, or alive and silent."""
    buys = -np.expm1(-(params.r + frequency) * np.log1p(horizon / (params.alpha + T)))
    return 1.0 - p_alive(params, frequency, recency, T, initial) * buys


def draw_future_purchases(
    params: Params,
    frequency: Floats,
    recency: Floats,
    T: Floats,
    horizon: ArrayLike,
    rng: RandomSource,
    draws: int | None,
    initial: int,
    stays: bool = False,
) -> FuturePurchases:
    """Draw the purchases of each customer in ``(T, T + horizon]``."""
    return future_paths(
        p_alive=p_alive(params, frequency, recency, T, initial),
        shape=params.r + frequency,
        rate=params.alpha + T,
        dropout=(params.a, params.b + frequency + initial),
        horizon=horizon,
        rng=rng,
        draws=draws,
        stays=stays,
    )
