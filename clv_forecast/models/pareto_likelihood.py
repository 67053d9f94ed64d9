r"""Likelihood of the Pareto/NBD model, its gradient, and the odds of being dead, from one integral.

Parameters of the Pareto/NBD model: their type, the free vector of a fit, its starts and its prior.

The log-likelihood of Pareto/NBD summed over weighted rows, for many draws of the parameters.

The integrand of the likelihood depends on a row through its frequency ``x`` alone, only the limits are its own. With
``N(t) = (1 + t/alpha)^-(r+x) (1 + t/beta)^-s``, the weight of one alive at ``t`` after ``x`` purchases, and

.. math:: D(t) = \frac{s}{N(t)} \int_t^{T_{max}} \frac{N(\tau)}{\beta + \tau} d\tau, \qquad
          L = \ln\frac{(r)_x}{\alpha^x} + \ln N(t_x) + \ln\left[ D(t_x) + \frac{N(T)}{N(t_x)} (1 - D(T)) \right]

``D`` is summed from the right over the distinct times of the data, once per distinct ``x``: nothing cancels, and a row
costs one exponential. Gains where times repeat, as in logs by the day; elsewhere the likelihood of single rows is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from scipy.special import expit, roots_legendre

from clv_forecast.errors import DomainError
from clv_forecast.models.beta_geometric import IndexedRows
from clv_forecast.models.decay import decay_integral_moments, log_decay_integral
from clv_forecast.models.domain import Floats, checked_history, non_negative, positive_field, stacked, unstacked
from clv_forecast.models.special import digamma_rising, log_rising
from clv_forecast.threads import in_spans

PARAMETERS: Final = ("r", "alpha", "s", "beta")
UNCONSTRAINED: Final = ("log_rate", "log_shape", "log_dropout_rate", "log_dropout_shape")


@dataclass(frozen=True, slots=True, init=False)
class Params:
    """Parameters of the Pareto/NBD model.

    Parameters
    ----------
    r, alpha : array_like
        Shape and rate of the purchase rate's Gamma distribution; ``alpha`` in the unit of ``T``.
    s, beta : array_like
        Shape and rate of the death rate's Gamma distribution; ``beta`` in the unit of ``T``.

    Raises
    ------
    DomainError
        Unless every entry is finite and positive.

    Examples
    --------
    >>> Params(0.553, 10.578, 0.606, 11.669).s
    array(0.606)
    """

    r: Floats
    alpha: Floats
    s: Floats
    beta: Floats

    def __init__(self, r: ArrayLike, alpha: ArrayLike, s: ArrayLike, beta: ArrayLike) -> None:
        for name, value in zip(PARAMETERS, (r, alpha, s, beta), strict=True):
            object.__setattr__(self, name, positive_field(name, value))


def unconstrain(params: Params) -> Floats:
    """Parameters as the free vector ``(ln r/alpha, ln r, ln s/beta, ln s)``: mean rates, and how alike customers are.

    Returns
    -------
    ndarray, shape (4,) or (draw, 4)

    Raises
    ------
    DomainError
        If a field varies by customer.

    Examples
    --------
    >>> unconstrain(Params(1.0, 10.0, 1.0, 1.0)).round(6) + 0.0
    array([-2.302585,  0.      ,  0.      ,  0.      ])
    """
    log_r, log_s = np.log(params.r), np.log(params.s)
    return stacked([log_r - np.log(params.alpha), log_r, log_s - np.log(params.beta), log_s])


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
    >>> constrain([0.0, 0.0, 0.0, 0.0]).alpha
    array(1.)
    """
    log_rate, log_r, log_death, log_s = unstacked(theta, len(UNCONSTRAINED))
    with np.errstate(over="ignore"):
        return Params(np.exp(log_r), np.exp(log_r - log_rate), np.exp(log_s), np.exp(log_s - log_death))


def constrain_jacobian(theta: ArrayLike) -> Floats:
    """Derivatives of (r, alpha, s, beta), rows, with respect to the free vector, columns.

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
    r, alpha, s, beta = scalar_values(constrain(theta))
    return np.array([[0.0, r, 0.0, 0.0], [-alpha, alpha, 0.0, 0.0], [0.0, 0.0, 0.0, s], [0.0, 0.0, -beta, beta]])


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
        Mild, rare and frequent death.

    Raises
    ------
    DomainError
        If the history is out of its domain or the weights are negative.

    Examples
    --------
    >>> [theta.round(2).tolist() for theta in starting_points([2, 0], [30.0, 0.0], [40.0, 40.0], [1, 1])][0]
    [-2.97, -0.4, -3.69, -0.4]
    """
    x, _, length = checked_history(frequency, recency, T)
    weight = non_negative("weights", weights)
    time = float((weight * length).sum())
    people = float(weight.sum())
    if time <= 0.0:
        time = people = 1.0
    log_rate = np.log((float((weight * x).sum()) + 0.5) / time)
    log_death = np.log(people / time)
    return [
        np.array([log_rate + 0.5, -0.4, log_death, -0.4]),
        np.array([log_rate, 0.0, log_death - 2.5, 0.0]),
        np.array([log_rate + 1.0, -0.7, log_death + 1.0, -0.7]),
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
    >>> prior_location_scale(1.0, 1.0)[0].tolist()
    [0.0, 0.0, -1.0, 0.0]
    """
    log_rate = float(np.log(positive_field("rate", rate)) + np.log(positive_field("time_scale", time_scale)))
    return np.array([log_rate, 0.0, log_rate - 1.0, 0.0]), np.array([1.5, 2.5, 2.0, 2.0])


def scalar_values(params: Params) -> tuple[float, float, float, float]:
    """The four parameters as floats; DomainError unless all are scalars."""
    values = [np.asarray(getattr(params, name)) for name in PARAMETERS]
    if any(value.ndim for value in values):
        raise DomainError("This needs scalar parameters.", value=[value.shape for value in values])
    r, alpha, s, beta = (float(value) for value in values)
    return r, alpha, s, beta


# Five nodes are exact to 4e-13 over a length h where (k_a / a + k_b / b + 10 / min(a, b)) h <= 1.
_NODES: Final = 0.5 * (1.0 + roots_legendre(5)[0])
_WEIGHTS: Final = 0.5 * roots_legendre(5)[1]
_SLACK: Final = 10.0
_LOST: Final = 45.0  # exp(-45) of what there is
_CELLS_PER_ROW: Final = 10  # a row by itself costs as much as about twenty cells of the table
_SMALL: Final = 1e-100


def pays(rows: IndexedRows) -> bool:
    """Whether a table over distinct times costs less than the rows by themselves.

    Examples
    --------
    >>> from clv_forecast.models.beta_geometric import indexed_rows
    >>> days = np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 1.0], [3.0, 3.0, 2.0], [1.0, 1.0, 1.0]])
    >>> pays(indexed_rows(*days))
    True
    """
    return cells(rows) <= _CELLS_PER_ROW * rows.count.size


def cells(rows: IndexedRows) -> int:
    """Size of the table: gaps between distinct times, for each frequency.

    Examples
    --------
    >>> from clv_forecast.models.beta_geometric import indexed_rows
    >>> cells(indexed_rows(*np.array([[0.0, 2.0], [0.0, 30.0], [39.0, 39.0], [1.0, 1.0]])))
    3
    """
    _, low, high = _spans(rows)
    return int(np.sum(high - low))


def log_likelihood_sums(params: Params, rows: IndexedRows) -> Floats:
    """Log-likelihood of all customers, for each draw of the parameters.

    Parameters
    ----------
    params : Params
        Fields of shape (draw, 1), or scalars.
    rows : IndexedRows

    Returns
    -------
    ndarray, shape (draw,)

    Notes
    -----
    Each draw is summed alone and in the same order: the result does not depend on the number of threads.

    Examples
    --------
    >>> from clv_forecast.models.beta_geometric import indexed_rows
    >>> rows = indexed_rows(*np.array([[0.0, 2.0], [0.0, 30.43], [38.86, 38.86], [1.0, 1.0]]))
    >>> log_likelihood_sums(Params(0.553, 10.578, 0.606, 11.669), rows).round(6)
    array([-10.07533])
    """
    names = (params.r, params.alpha, params.s, params.beta)
    fields = np.broadcast_arrays(*(np.atleast_2d(field)[:, :1] for field in names))
    r, alpha, s, beta = (np.ascontiguousarray(field) for field in fields)
    customers = np.bincount(rows.count, weights=rows.weights)
    out = np.sum(log_rising(r, rows.counts) * customers, axis=1)
    first, low, high = _spans(rows)
    out -= np.log(alpha[:, 0]) * float(customers @ rows.counts)
    in_spans(
        _add,
        out.size,
        r[:, 0],
        alpha[:, 0],
        s[:, 0],
        beta[:, 0],
        rows.counts,
        rows.times,
        first,
        low,
        high,
        rows.recency,
        rows.T,
        rows.weights,
        out,
    )
    return out


def _spans(rows: IndexedRows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the rows of each frequency begin, and the first and last of their times."""
    first = np.searchsorted(rows.count, np.arange(rows.counts.size + 1))
    low = np.minimum.reduceat(rows.recency, first[:-1])
    high = np.maximum.reduceat(rows.T, first[:-1])
    return first, low, high


@njit(cache=True)
def _falling(k_a, a, k_b, b, length):  # type: ignore[no-untyped-def]
    """Integral of ``(1 + u/a)^-k_a (1 + u/b)^-k_b`` over ``(0, length)``, in panels as long as five nodes allow."""
    near = min(a, b)
    total = 0.0
    done = 0.0
    while done < length:
        fall = k_a / (a + done) + k_b / (b + done) + _SLACK / (near + done)
        h = min(length - done, 1.0 / fall)
        part = 0.0
        for i in range(_NODES.size):
            u = done + h * _NODES[i]
            part += _WEIGHTS[i] * math.exp(-k_a * math.log1p(u / a) - k_b * math.log1p(u / b))
        total += h * part
        if not done + h > done or k_a * math.log1p(done / a) + k_b * math.log1p(done / b) > _LOST:
            break
        done += h
    return total


@njit(cache=True, nogil=True)
def _add(  # type: ignore[no-untyped-def]
    r, alpha, s, beta, counts, times, first, low, high, recency, T, weights, out, start, stop
):
    size = times.size
    log_a = np.empty(size)
    log_b = np.empty(size)
    nodes_a = np.empty((size, _NODES.size))  # logarithms within each gap, over that at its beginning
    nodes_b = np.empty((size, _NODES.size))
    dead = np.empty(size)
    for d in range(start, stop):
        _tabulate(alpha[d], times, log_a, nodes_a)
        _tabulate(beta[d], times, log_b, nodes_b)
        total = out[d]
        for c in range(counts.size):
            k = r[d] + counts[c]
            _sum_from_the_right(
                k, alpha[d], s[d], beta[d], times, log_a, log_b, nodes_a, nodes_b, low[c], high[c], dead
            )
            product = 1.0
            for i in range(first[c], first[c + 1]):
                from_a, from_b = log_a[recency[i]], log_b[recency[i]]
                silent = math.exp(-k * (log_a[T[i]] - from_a) - s[d] * (log_b[T[i]] - from_b))
                share = dead[recency[i]] + silent * (1.0 - dead[T[i]])
                total -= weights[i] * (k * from_a + s[d] * from_b)
                if weights[i] == 1.0 and share > _SMALL:
                    product *= share
                    if product < _SMALL:
                        total += math.log(product)
                        product = 1.0
                else:
                    total += weights[i] * math.log(share)
            total += math.log(product)
        out[d] = total


@njit(cache=True)
def _tabulate(scale, times, logs, nodes):  # type: ignore[no-untyped-def]
    for g in range(times.size):
        logs[g] = math.log1p(times[g] / scale)
        if g + 1 < times.size:
            gap = times[g + 1] - times[g]
            for i in range(_NODES.size):
                nodes[g, i] = math.log1p(gap * _NODES[i] / (scale + times[g]))


@njit(cache=True)
def _sum_from_the_right(  # type: ignore[no-untyped-def]
    k, alpha, s, beta, times, log_a, log_b, nodes_a, nodes_b, low, high, dead
):
    near = min(alpha, beta)
    dead[high] = 0.0
    for g in range(high - 1, low - 1, -1):
        gap = times[g + 1] - times[g]
        from_a, from_b = alpha + times[g], beta + times[g]
        if gap * (k / from_a + (s + 1.0) / from_b + _SLACK / (near + times[g])) <= 1.0:
            part = 0.0
            for i in range(_NODES.size):
                part += _WEIGHTS[i] * math.exp(-k * nodes_a[g, i] - (s + 1.0) * nodes_b[g, i])
            part *= gap
        else:
            part = _falling(k, from_a, s + 1.0, from_b, gap)
        alive = math.exp(-k * (log_a[g + 1] - log_a[g]) - s * (log_b[g + 1] - log_b[g]))
        dead[g] = s / from_b * part + alive * dead[g + 1]


def log_likelihood(params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
    r"""Log-likelihood of each customer.

    .. math:: L = \frac{\Gamma(r+x)}{\Gamma(r)} \alpha^r \beta^s \left[ (\alpha+T)^{-(r+x)} (\beta+T)^{-s}
              + s \int_{t_x}^{T} (\alpha+\tau)^{-(r+x)} (\beta+\tau)^{-(s+1)} d\tau \right]

    the integral form of eq. 17-18 of [1]_.

    Parameters
    ----------
    params : Params
        Each field scalar or broadcasting to (draw, customer).
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.

    Returns
    -------
    ndarray, shape (customer,) or (draw, customer)
        Of the purchase times, as in the papers: in another unit of time, ``sum(frequency) ln(scale)`` more or less.

    Raises
    ------
    DomainError
        If an argument is negative or not finite, or recency exceeds T.

    References
    ----------
    .. [1] Fader & Hardie (2005), http://brucehardie.com/notes/009/.

    Examples
    --------
    >>> log_likelihood(Params(0.553, 10.578, 0.606, 11.669), [0, 2], [0.0, 30.43], [38.86, 38.86]).round(6)
    array([-0.521046, -9.554283])
    """
    x, t_x, length = checked_history(frequency, recency, T)
    return (
        log_rising(params.r, x)
        - params.r * np.log1p(length / params.alpha)
        - x * np.log(params.alpha + length)
        - params.s * np.log1p(length / params.beta)
        + np.logaddexp(0.0, log_odds_dead(params, x, t_x, length))
    )


def log_likelihood_gradient(
    params: Params, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
) -> tuple[Floats, Floats]:
    """Log-likelihood of each customer and its derivatives with respect to r, alpha, s, beta.

    Parameters
    ----------
    params : Params
        Scalar fields.
    frequency, recency, T : array_like, shape (customer,)
        0 <= recency <= T.

    Returns
    -------
    log_likelihood : ndarray, shape (customer,)
    gradient : ndarray, shape (4, customer)
        In the order of ``PARAMETERS``.

    Raises
    ------
    DomainError
        If an argument is negative or not finite, recency exceeds T, or a parameter is not a scalar.

    Notes
    -----
    Differentiated under the integral of :func:`log_likelihood`, on the nodes of the integral itself.

    Examples
    --------
    >>> value, gradient = log_likelihood_gradient(Params(0.553, 10.578, 0.606, 11.669), [2], [30.43], [38.86])
    >>> gradient.shape
    (4, 1)
    """
    r, alpha, s, beta = scalar_values(params)
    x, t_x, length = checked_history(frequency, recency, T)
    log_integral, (near_a, over_a, near_b, over_b) = decay_integral_moments(
        r + x, alpha + t_x, s + 1.0, beta + t_x, length - t_x
    )
    log_odds = _log_odds_given_integral(params, x, t_x, length, log_integral)
    dead, alive = expit(log_odds), expit(-log_odds)
    span_a, span_b = np.log1p(length / alpha), np.log1p(length / beta)
    value = log_rising(r, x) - r * span_a - x * np.log(alpha + length) - s * span_b + np.logaddexp(0.0, log_odds)
    gradient = np.stack(
        [
            digamma_rising(r, x) - alive * span_a - dead * (np.log1p(t_x / alpha) + near_a),
            r / alpha - (r + x) * (alive / (alpha + length) + dead * over_a),
            dead / s - alive * span_b - dead * (np.log1p(t_x / beta) + near_b),
            s / beta - alive * s / (beta + length) - dead * (s + 1.0) * over_b,
        ]
    )
    return value, gradient


def log_odds_dead(params: Params, x: Floats, t_x: Floats, T: Floats) -> Floats:
    """Log odds of having died in ``(t_x, T)``, for checked arrays: ``-inf`` where ``t_x == T``."""
    log_integral = log_decay_integral(params.r + x, params.alpha + t_x, params.s + 1.0, params.beta + t_x, T - t_x)
    return _log_odds_given_integral(params, x, t_x, T, log_integral)


def _log_odds_given_integral(params: Params, x: Floats, t_x: Floats, T: Floats, log_integral: Floats) -> Floats:
    since = T - t_x
    odds: Floats = (
        log_integral
        + np.log(params.s / (params.beta + t_x))
        + (params.r + x) * np.log1p(since / (params.alpha + t_x))
        + params.s * np.log1p(since / (params.beta + t_x))
    )
    return odds
