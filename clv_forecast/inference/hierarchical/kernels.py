r"""Log-likelihoods of cells with their gradients, compiled: one pass over the tables of a part.

Each customer's latent rate, dropout and spend is integrated in closed form. The kernels sum over the tables of
`clv_forecast.inference.hierarchical.part_data` and equal the weighted sums of the models' NumPy log-likelihoods;
gradients are with respect to the coordinates of each cell.

Effects of groups from the sampler's coordinates, and back: compiled, with their gradient by hand.

With the factor ``L`` of a correlation made of partial correlations, weights ``w`` and the intercept ``mu`` of an
anchored term (zero otherwise), each level's coordinates ``t`` give

.. math:: y = (t - w \mu) / \sigma^w, \quad ((1 - w) I + w L) z = y, \quad effect = \sigma L z

so that the sampler moves in standard normal ``z`` for small groups (``w`` near 0) and in the effects themselves, with
their intercept, for large ones (``w`` near 1); see `clv_forecast.inference.hierarchical.part_data`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit

from clv_forecast.models.decay import _moments


@njit(cache=True, error_model="numpy")
def correlation_factor(partials, size):  # type: ignore[no-untyped-def]
    """Factor of the correlation matrix; the identity where there are no partial correlations."""
    factor = np.zeros((size, size))
    pair = 0
    for i in range(size):
        left = 1.0
        if partials.size > 0:
            for j in range(i):
                factor[i, j] = partials[pair] * math.sqrt(left)
                left *= 1.0 - partials[pair] ** 2
                pair += 1
        factor[i, i] = math.sqrt(left)
    return factor


@njit(cache=True, error_model="numpy")
def _standard(t, log_sd, factor, weight, anchor, y, z):  # type: ignore[no-untyped-def]
    """One level's ``y`` and ``z``; the log-density of its ``t``."""
    value = 0.0
    for i in range(t.size):
        y[i] = (t[i] - weight[i] * anchor[i]) * math.exp(-weight[i] * log_sd[i])
        rest = y[i]
        for j in range(i):
            rest -= weight[i] * factor[i, j] * z[j]
        diagonal = 1.0 - weight[i] + weight[i] * factor[i, i]
        z[i] = rest / diagonal
        value -= 0.5 * z[i] ** 2 + math.log(diagonal) + weight[i] * log_sd[i]
    return value


@njit(cache=True, error_model="numpy")
def effects_forward(raw, log_sd, partials, weight, anchor):  # type: ignore[no-untyped-def]
    """Effects (level, k), the log-density of ``raw`` up to a constant, and the correlation matrix."""
    levels, size = raw.shape
    factor = correlation_factor(partials, size)
    effect, y, z = np.empty((levels, size)), np.empty(size), np.empty(size)
    value = 0.0
    for level in range(levels):
        value += _standard(raw[level], log_sd, factor, weight[level], anchor, y, z)
        for i in range(size):
            total = 0.0
            for j in range(i + 1):
                total += factor[i, j] * z[j]
            effect[level, i] = math.exp(log_sd[i]) * total
    correlation = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            for m in range(min(i, j) + 1):
                correlation[i, j] += factor[i, m] * factor[j, m]
    return effect, value, correlation


@njit(cache=True, error_model="numpy")
def effects_backward(raw, log_sd, partials, weight, anchor, by_effect, by_value):  # type: ignore[no-untyped-def]
    """Gradients with respect to ``raw``, ``log_sd``, ``partials`` and ``anchor``, given those of the outputs."""
    levels, size = raw.shape
    factor = correlation_factor(partials, size)
    by_raw, by_log_sd = np.empty((levels, size)), np.zeros(size)
    by_factor, by_anchor = np.zeros((size, size)), np.zeros(size)
    y, z, by_z, by_y = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for level in range(levels):
        w = weight[level]
        _standard(raw[level], log_sd, factor, w, anchor, y, z)
        by_z[:] = -by_value * z
        for i in range(size):
            given = by_effect[level, i] * math.exp(log_sd[i])
            for j in range(i + 1):
                by_z[j] += given * factor[i, j]
                by_factor[i, j] += given * z[j]
                by_log_sd[i] += given * factor[i, j] * z[j]
        for back in range(size):
            i = size - 1 - back
            diagonal = 1.0 - w[i] + w[i] * factor[i, i]
            rest = by_z[i]
            for m in range(i + 1, size):
                rest -= w[m] * factor[m, i] * by_y[m]
            by_y[i] = rest / diagonal
            by_factor[i, i] -= by_value * w[i] / diagonal
        for i in range(size):
            for j in range(i + 1):
                by_factor[i, j] -= w[i] * by_y[i] * z[j]
            by_raw[level, i] = by_y[i] * math.exp(-w[i] * log_sd[i])
            by_anchor[i] -= w[i] * by_raw[level, i]
            by_log_sd[i] -= w[i] * (y[i] * by_y[i] + by_value)
    by_partials = np.zeros(partials.size)
    if partials.size > 0:
        _factor_backward(partials, by_factor, by_partials)
    return by_raw, by_log_sd, by_partials, by_anchor


@njit(cache=True, error_model="numpy")
def _factor_backward(partials, by_factor, by_partials):  # type: ignore[no-untyped-def]
    size = by_factor.shape[0]
    left = np.empty(size)
    for i in range(1, size):
        first = i * (i - 1) // 2
        left[0] = 1.0
        for j in range(i):
            left[j + 1] = left[j] * (1.0 - partials[first + j] ** 2)
        by_left = 0.5 * by_factor[i, i] / math.sqrt(left[i])
        for back in range(i):
            j = i - 1 - back
            p, root = partials[first + j], math.sqrt(left[j])
            by_partials[first + j] = by_factor[i, j] * root - 2.0 * p * left[j] * by_left
            by_left = by_left * (1.0 - p**2) + 0.5 * by_factor[i, j] * p / root


VERSION: Final = 4  # of all kernels, in the key of PyTensor's cache: raise it when one changes

TABLES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "bg_nbd": {
        "steps": ("cell", "j", "count"),
        "spans": ("cell", "T", "customers", "purchases"),
        "rows": ("cell", "x", "recency", "T", "count"),
    },
    "gamma_gamma_orders": {
        "counts": ("cell", "n", "customers", "logs"),
        "rows": ("cell", "n", "total", "count"),
    },
}
"""The columns of each table: a kernel takes every table as one matrix, as arrays are dear in a compiled graph."""
TABLES["mbg_nbd"] = TABLES["pareto_nbd"] = TABLES["bg_nbd"]
TABLES["gamma_gamma_means"] = TABLES["gamma_gamma_orders"]


_FARTHEST: Final = 60.0  # of a coordinate: beyond, no posterior has mass, and a sampler gone astray is turned back


@njit(cache=True, error_model="numpy")
def _astray(theta):  # type: ignore[no-untyped-def]
    """Whether a coordinate is so far out (or not a number) that parameters over- or underflow."""
    for c in range(theta.shape[0]):
        for k in range(theta.shape[1]):
            if not abs(theta[c, k]) < _FARTHEST:
                return True
    return False


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy", inline="always")
def _waiting(r, alpha, spans, bought, value, by_r, by_alpha):  # type: ignore[no-untyped-def]
    """Add ``-r ln(1 + T/alpha) - x ln(alpha + T)`` of all customers; ``bought`` 0 takes ``x`` as 0."""
    for i in range(spans.shape[0]):
        c, length, customers, purchases = int(spans[i, 0]), spans[i, 1], spans[i, 2], bought * spans[i, 3]
        end = alpha[c] + length
        waited = math.log1p(length / alpha[c])
        value -= customers * r[c] * waited + purchases * math.log(end)
        by_r[c] -= customers * waited
        by_alpha[c] += customers * r[c] * length / (alpha[c] * end) - purchases / end
    return value


@njit(cache=True, error_model="numpy", inline="always")
def _beta_geometric(theta, initial, steps, spans, rows):  # type: ignore[no-untyped-def]
    if _astray(theta):
        return -np.inf, np.zeros_like(theta)
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
    for i in range(steps.shape[0]):
        c, j, count = int(steps[i, 0]), steps[i, 1], steps[i, 2]
        chance = b[c] + j + initial
        value += count * (math.log(r[c] + j) - math.log1p(a[c] / chance))
        by_r[c] += count / (r[c] + j)
        by_a[c] -= count / (a[c] + chance)
        by_b[c] += count * a[c] / (chance * (a[c] + chance))
    value = _waiting(r, alpha, spans, 1.0, value, by_r, by_alpha)
    if initial > 0.0:
        for i in range(spans.shape[0]):
            c, customers = int(spans[i, 0]), spans[i, 2]
            value -= customers * math.log1p(a[c] / b[c])
            by_a[c] -= customers / (a[c] + b[c])
            by_b[c] += customers * a[c] / (b[c] * (a[c] + b[c]))
    for i in range(rows.shape[0]):
        c, x, recency, length, count = int(rows[i, 0]), rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4]
        then, shape, since = alpha[c] + recency, r[c] + x, length - recency
        silent = math.log1p(since / then)
        chance = b[c] + x + initial - 1.0
        odds = log_a[c] - math.log(chance) + shape * silent
        small = math.exp(-abs(odds))
        value += count * (max(odds, 0.0) + math.log1p(small))
        left = count * (1.0 if odds > 0.0 else small) / (1.0 + small)
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


@njit(cache=True, error_model="numpy")
def bg_nbd(theta, steps, spans, rows):  # type: ignore[no-untyped-def]
    """BG/NBD: value, and gradient of shape (cell, 4)."""
    return _beta_geometric(theta, 0.0, steps, spans, rows)


@njit(cache=True, error_model="numpy")
def mbg_nbd(theta, steps, spans, rows):  # type: ignore[no-untyped-def]
    """MBG/NBD: value, and gradient of shape (cell, 4)."""
    return _beta_geometric(theta, 1.0, steps, spans, rows)


@njit(cache=True, error_model="numpy")
def pareto_nbd(theta, steps, spans, rows):  # type: ignore[no-untyped-def]
    """Pareto/NBD: value, and gradient of shape (cell, 4); differentiated under the integral."""
    if _astray(theta):
        return -np.inf, np.zeros_like(theta)
    cells = theta.shape[0]
    r, alpha = np.exp(theta[:, 1]), np.exp(theta[:, 1] - theta[:, 0])
    s, beta = np.exp(theta[:, 3]), np.exp(theta[:, 3] - theta[:, 2])
    by_r, by_alpha, by_s, by_beta = np.zeros(cells), np.zeros(cells), np.zeros(cells), np.zeros(cells)
    value = 0.0
    for i in range(steps.shape[0]):
        c, j, count = int(steps[i, 0]), steps[i, 1], steps[i, 2]
        value += count * math.log(r[c] + j)
        by_r[c] += count / (r[c] + j)
    value = _waiting(r, alpha, spans, 1.0, value, by_r, by_alpha)
    value = _waiting(s, beta, spans, 0.0, value, by_s, by_beta)
    out = np.empty(5)
    for i in range(rows.shape[0]):
        c, recency, count = int(rows[i, 0]), rows[i, 2], rows[i, 4]
        shape, since = r[c] + rows[i, 1], rows[i, 3] - recency
        near_a, near_b = alpha[c] + recency, beta[c] + recency
        _moments(shape, near_a, s[c] + 1.0, near_b, since, out)
        span_a, span_b = math.log1p(since / near_a), math.log1p(since / near_b)
        odds = out[0] + theta[c, 3] - math.log(near_b) + shape * span_a + s[c] * span_b
        small = math.exp(-abs(odds))
        value += count * (max(odds, 0.0) + math.log1p(small))
        dead = count * (1.0 if odds > 0.0 else small) / (1.0 + small)
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


@njit(cache=True, error_model="numpy", inline="always")
def _gamma_gamma(theta, means, counts, rows):  # type: ignore[no-untyped-def]
    if _astray(theta):
        return -np.inf, np.zeros_like(theta)
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
    for i in range(counts.shape[0]):
        c, n, customers, logs = int(counts[i, 0]), counts[i, 1], counts[i, 2], counts[i, 3]
        shape = n * p[c]
        grown = _digamma(shape + q[c])
        taken = math.lgamma(shape) if means else n * gammas[0, c]
        slope = _digamma(shape) if means else gammas[2, c]
        value += customers * (math.lgamma(shape + q[c]) - taken - gammas[1, c] - shape * log_v[c]) + p[c] * logs
        by_p[c] += customers * n * (grown - slope - log_v[c]) + logs
        by_q[c] += customers * (grown - gammas[3, c])
        by_log_v[c] -= customers * shape
    for i in range(rows.shape[0]):
        c, n, total, count = int(rows[i, 0]), rows[i, 1], rows[i, 2], rows[i, 3]
        spent = math.log1p(total / v[c])
        shape = n * p[c] + q[c]
        value -= count * shape * spent
        by_p[c] -= count * n * spent
        by_q[c] -= count * spent
        by_log_v[c] += count * shape * total / (v[c] + total)
    gradient = np.empty((cells, 3))
    gradient[:, 0] = by_log_v
    gradient[:, 1] = p * by_p - by_log_v
    gradient[:, 2] = excess * by_q + by_log_v
    return value, gradient


@njit(cache=True, error_model="numpy")
def gamma_gamma_orders(theta, counts, rows):  # type: ignore[no-untyped-def]
    """Gamma-Gamma of single orders: value, and gradient of shape (cell, 3)."""
    return _gamma_gamma(theta, False, counts, rows)


@njit(cache=True, error_model="numpy")
def gamma_gamma_means(theta, counts, rows):  # type: ignore[no-untyped-def]
    """Gamma-Gamma of customers' means: value, and gradient of shape (cell, 3)."""
    return _gamma_gamma(theta, True, counts, rows)


KERNELS: Final[dict[str, Callable[..., Any]]] = {
    "bg_nbd": bg_nbd,
    "mbg_nbd": mbg_nbd,
    "pareto_nbd": pareto_nbd,
    "gamma_gamma_orders": gamma_gamma_orders,
    "gamma_gamma_means": gamma_gamma_means,
}
