r"""The log-likelihood of Pareto/NBD summed over weighted rows, for many draws of the parameters.

The integrand of the likelihood depends on a row through its frequency ``x`` alone, only the limits are its own. With
``N(t) = (1 + t/alpha)^-(r+x) (1 + t/beta)^-s``, the weight of one alive at ``t`` after ``x`` purchases, and

.. math:: D(t) = \frac{s}{N(t)} \int_t^{T_{max}} \frac{N(\tau)}{\beta + \tau} d\tau, \qquad
          L = \ln\frac{(r)_x}{\alpha^x} + \ln N(t_x) + \ln\left[ D(t_x) + \frac{N(T)}{N(t_x)} (1 - D(T)) \right]

``D`` is summed from the right over the distinct times of the data, once per distinct ``x``: nothing cancels, and a row
costs one exponential. Gains where times repeat, as in logs by the day; elsewhere the likelihood of single rows is used.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from scipy.special import roots_legendre

from clv_forecast.models.beta_geometric_sums import IndexedRows
from clv_forecast.models.domain import Floats
from clv_forecast.models.pareto_parameters import Params
from clv_forecast.models.special import log_rising
from clv_forecast.threads import in_spans

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
    >>> from clv_forecast.models.beta_geometric_sums import indexed_rows
    >>> days = np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 1.0], [3.0, 3.0, 2.0], [1.0, 1.0, 1.0]])
    >>> pays(indexed_rows(*days))
    True
    """
    return cells(rows) <= _CELLS_PER_ROW * rows.count.size


def cells(rows: IndexedRows) -> int:
    """Size of the table: gaps between distinct times, for each frequency.

    Examples
    --------
    >>> from clv_forecast.models.beta_geometric_sums import indexed_rows
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
    >>> from clv_forecast.models.beta_geometric_sums import indexed_rows
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
