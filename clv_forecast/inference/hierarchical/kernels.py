r"""Log-likelihoods of cells with their gradients, compiled: one pass over the tables of a part.

Each customer's latent rate, dropout and spend is integrated in closed form. The kernels sum over the tables of
`clv_forecast.inference.hierarchical.part_data` and equal the weighted sums of the models' NumPy log-likelihoods;
gradients are with respect to the coordinates of each cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit

from clv_forecast.models.decay import _moments

VERSION: Final = 1  # of all kernels, in the key of PyTensor's cache: raise it when one changes

TABLES: Final[dict[str, tuple[str, ...]]] = {
    "bg_nbd": (
        "steps_cell", "steps_j", "steps_count",
        "spans_cell", "spans_T", "spans_customers", "spans_purchases",
        "rows_cell", "rows_x", "rows_recency", "rows_T", "rows_count",
    ),
    "gamma_gamma_orders": (
        "counts_cell", "counts_n", "counts_customers", "counts_logs",
        "rows_cell", "rows_n", "rows_total", "rows_count",
    ),
}  # fmt: skip
TABLES["mbg_nbd"] = TABLES["pareto_nbd"] = TABLES["bg_nbd"]
TABLES["gamma_gamma_means"] = TABLES["gamma_gamma_orders"]


@njit(cache=True)
def _digamma(x):  # type: ignore[no-untyped-def]
    """Derivative of lnGamma at x > 0: upward recurrence, then the asymptotic series; relative error below 1e-14."""
    below = 0.0
    while x < 10.0:
        below += 1.0 / x
        x += 1.0
    s = 1.0 / (x * x)
    tail = 1.0 / 240.0 - s * (1.0 / 132.0 - s * (691.0 / 32760.0 - s / 12.0))
    series = s * (1.0 / 12.0 - s * (1.0 / 120.0 - s * (1.0 / 252.0 - s * tail)))
    return math.log(x) - 0.5 / x - series - below


@njit(cache=True, inline="always")
def _waiting(r, alpha, cell, length, customers, purchases, value, by_r, by_alpha):  # type: ignore[no-untyped-def]
    """Add ``-r ln(1 + T/alpha) - x ln(alpha + T)`` of all customers."""
    for i in range(cell.size):
        c = cell[i]
        end = alpha[c] + length[i]
        waited = math.log1p(length[i] / alpha[c])
        value -= customers[i] * r[c] * waited + purchases[i] * math.log(end)
        by_r[c] -= customers[i] * waited
        by_alpha[c] += customers[i] * r[c] * length[i] / (alpha[c] * end) - purchases[i] / end
    return value


@njit(cache=True, inline="always")
def _beta_geometric(theta, initial, steps, spans, rows):  # type: ignore[no-untyped-def]
    cells = theta.shape[0]
    r, alpha = np.exp(theta[:, 1]), np.exp(theta[:, 1] - theta[:, 0])
    a, b, log_a = np.empty(cells), np.empty(cells), np.empty(cells)
    for c in range(cells):
        odds = math.exp(-abs(theta[c, 2]))
        small, large = odds / (1.0 + odds), 1.0 / (1.0 + odds)
        concentration = math.exp(theta[c, 3])
        a[c] = concentration * (large if theta[c, 2] > 0.0 else small)
        b[c] = concentration * (small if theta[c, 2] > 0.0 else large)
        log_a[c] = theta[c, 3] + min(theta[c, 2], 0.0) - math.log1p(odds)
    by_r, by_alpha, by_a, by_b = np.zeros(cells), np.zeros(cells), np.zeros(cells), np.zeros(cells)
    value = 0.0
    cell, j, count = steps
    for i in range(cell.size):
        c = cell[i]
        chance = b[c] + j[i] + initial
        value += count[i] * (math.log(r[c] + j[i]) - math.log1p(a[c] / chance))
        by_r[c] += count[i] / (r[c] + j[i])
        by_a[c] -= count[i] / (a[c] + chance)
        by_b[c] += count[i] * a[c] / (chance * (a[c] + chance))
    cell, length, customers, purchases = spans
    value = _waiting(r, alpha, cell, length, customers, purchases, value, by_r, by_alpha)
    if initial > 0.0:
        for i in range(cell.size):
            c = cell[i]
            value -= customers[i] * math.log1p(a[c] / b[c])
            by_a[c] -= customers[i] / (a[c] + b[c])
            by_b[c] += customers[i] * a[c] / (b[c] * (a[c] + b[c]))
    cell, x, recency, length, count = rows
    for i in range(cell.size):
        c = cell[i]
        then, shape, since = alpha[c] + recency[i], r[c] + x[i], length[i] - recency[i]
        silent = math.log1p(since / then)
        chance = b[c] + x[i] + initial - 1.0
        odds = log_a[c] - math.log(chance) + shape * silent
        small = math.exp(-abs(odds))
        value += count[i] * (max(odds, 0.0) + math.log1p(small))
        left = count[i] * (1.0 if odds > 0.0 else small) / (1.0 + small)
        by_r[c] += left * silent
        by_alpha[c] -= left * shape * since / (then * (then + since))
        by_a[c] += left / a[c]
        by_b[c] -= left / chance
    gradient = np.empty((cells, 4))
    for c in range(cells):
        shift = a[c] * (b[c] / (a[c] + b[c]))
        gradient[c, 0] = -alpha[c] * by_alpha[c]
        gradient[c, 1] = r[c] * by_r[c] + alpha[c] * by_alpha[c]
        gradient[c, 2] = shift * (by_a[c] - by_b[c])
        gradient[c, 3] = a[c] * by_a[c] + b[c] * by_b[c]
    return value, gradient


@njit(cache=True)
def bg_nbd(theta, s0, s1, s2, t0, t1, t2, t3, r0, r1, r2, r3, r4):  # type: ignore[no-untyped-def]
    """BG/NBD: value, and gradient of shape (cell, 4)."""
    return _beta_geometric(theta, 0.0, (s0, s1, s2), (t0, t1, t2, t3), (r0, r1, r2, r3, r4))


@njit(cache=True)
def mbg_nbd(theta, s0, s1, s2, t0, t1, t2, t3, r0, r1, r2, r3, r4):  # type: ignore[no-untyped-def]
    """MBG/NBD: value, and gradient of shape (cell, 4)."""
    return _beta_geometric(theta, 1.0, (s0, s1, s2), (t0, t1, t2, t3), (r0, r1, r2, r3, r4))


@njit(cache=True)
def pareto_nbd(theta, s0, s1, s2, t0, t1, t2, t3, r0, r1, r2, r3, r4):  # type: ignore[no-untyped-def]
    """Pareto/NBD: value, and gradient of shape (cell, 4); differentiated under the integral."""
    cells = theta.shape[0]
    r, alpha = np.exp(theta[:, 1]), np.exp(theta[:, 1] - theta[:, 0])
    s, beta = np.exp(theta[:, 3]), np.exp(theta[:, 3] - theta[:, 2])
    by_r, by_alpha, by_s, by_beta = np.zeros(cells), np.zeros(cells), np.zeros(cells), np.zeros(cells)
    value = 0.0
    for i in range(s0.size):
        c = s0[i]
        value += s2[i] * math.log(r[c] + s1[i])
        by_r[c] += s2[i] / (r[c] + s1[i])
    value = _waiting(r, alpha, t0, t1, t2, t3, value, by_r, by_alpha)
    value = _waiting(s, beta, t0, t1, t2, np.zeros(t0.size), value, by_s, by_beta)
    out = np.empty(5)
    for i in range(r0.size):
        c = r0[i]
        shape, since = r[c] + r1[i], r3[i] - r2[i]
        near_a, near_b = alpha[c] + r2[i], beta[c] + r2[i]
        _moments(shape, near_a, s[c] + 1.0, near_b, since, out)
        span_a, span_b = math.log1p(since / near_a), math.log1p(since / near_b)
        odds = out[0] + theta[c, 3] - math.log(near_b) + shape * span_a + s[c] * span_b
        small = math.exp(-abs(odds))
        value += r4[i] * (max(odds, 0.0) + math.log1p(small))
        dead = r4[i] * (1.0 if odds > 0.0 else small) / (1.0 + small)
        by_r[c] += dead * (span_a - out[1])
        by_alpha[c] += dead * shape * (1.0 / (near_a + since) - out[2])
        by_s[c] += dead * (1.0 / s[c] + span_b - out[3])
        by_beta[c] += dead * (s[c] / (near_b + since) - (s[c] + 1.0) * out[4])
    gradient = np.empty((cells, 4))
    gradient[:, 0] = -alpha * by_alpha
    gradient[:, 1] = r * by_r + alpha * by_alpha
    gradient[:, 2] = -beta * by_beta
    gradient[:, 3] = s * by_s + beta * by_beta
    return value, gradient


@njit(cache=True, inline="always")
def _gamma_gamma(theta, means, counts, rows):  # type: ignore[no-untyped-def]
    cells = theta.shape[0]
    p, excess = np.exp(theta[:, 1]), np.exp(theta[:, 2])
    q, log_v = 1.0 + excess, theta[:, 0] + theta[:, 2] - theta[:, 1]
    v = np.exp(log_v)
    gammas = np.empty((4, cells))
    for c in range(cells):
        gammas[0, c], gammas[1, c] = math.lgamma(p[c]), math.lgamma(q[c])
        gammas[2, c], gammas[3, c] = _digamma(p[c]), _digamma(q[c])
    by_p, by_q, by_log_v = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    value = 0.0
    cell, n, customers, logs = counts
    for i in range(cell.size):
        c = cell[i]
        shape = n[i] * p[c]
        grown = _digamma(shape + q[c])
        taken = math.lgamma(shape) if means else n[i] * gammas[0, c]
        slope = _digamma(shape) if means else gammas[2, c]
        value += customers[i] * (math.lgamma(shape + q[c]) - taken - gammas[1, c] - shape * log_v[c]) + p[c] * logs[i]
        by_p[c] += customers[i] * n[i] * (grown - slope - log_v[c]) + logs[i]
        by_q[c] += customers[i] * (grown - gammas[3, c])
        by_log_v[c] -= customers[i] * shape
    cell, n, total, count = rows
    for i in range(cell.size):
        c = cell[i]
        spent = math.log1p(total[i] / v[c])
        shape = n[i] * p[c] + q[c]
        value -= count[i] * shape * spent
        by_p[c] -= count[i] * n[i] * spent
        by_q[c] -= count[i] * spent
        by_log_v[c] += count[i] * shape * total[i] / (v[c] + total[i])
    gradient = np.empty((cells, 3))
    gradient[:, 0] = by_log_v
    gradient[:, 1] = p * by_p - by_log_v
    gradient[:, 2] = excess * by_q + by_log_v
    return value, gradient


@njit(cache=True)
def gamma_gamma_orders(theta, c0, c1, c2, c3, r0, r1, r2, r3):  # type: ignore[no-untyped-def]
    """Gamma-Gamma of single orders: value, and gradient of shape (cell, 3)."""
    return _gamma_gamma(theta, False, (c0, c1, c2, c3), (r0, r1, r2, r3))


@njit(cache=True)
def gamma_gamma_means(theta, c0, c1, c2, c3, r0, r1, r2, r3):  # type: ignore[no-untyped-def]
    """Gamma-Gamma of customers' means: value, and gradient of shape (cell, 3)."""
    return _gamma_gamma(theta, True, (c0, c1, c2, c3), (r0, r1, r2, r3))


KERNELS: Final[dict[str, Callable[..., Any]]] = {
    "bg_nbd": bg_nbd,
    "mbg_nbd": mbg_nbd,
    "pareto_nbd": pareto_nbd,
    "gamma_gamma_orders": gamma_gamma_orders,
    "gamma_gamma_means": gamma_gamma_means,
}
