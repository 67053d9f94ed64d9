r"""Effects of groups from the sampler's coordinates, and back: compiled, with their gradient by hand.

With the factor ``L`` of a correlation made of partial correlations, weights ``w`` and the intercept ``mu`` of an
anchored term (zero otherwise), each level's coordinates ``t`` give

.. math:: y = (t - w \mu) / \sigma^w, \quad ((1 - w) I + w L) z = y, \quad effect = \sigma L z

so that the sampler moves in standard normal ``z`` for small groups (``w`` near 0) and in the effects themselves, with
their intercept, for large ones (``w`` near 1); see `clv_forecast.inference.hierarchical.part_data`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


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
def _standard(t, log_sd, factor, weight, anchor, y, z):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
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
def effects_forward(raw, log_sd, partials, weight, anchor):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
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
def effects_backward(raw, log_sd, partials, weight, anchor, by_effect, by_value):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
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
