r"""A conditional quantile of like accounts: smoothed quantile regression with variance components.

The criterion is the check loss smoothed by a normal kernel of bandwidth h [1]_, turned into a quasi-log-likelihood
by its information: with the density f of the outcome at its quantile, the loss times ``f / (tau (1 - tau))`` has
Hessian and score variance alike, so that effects of levels, bends and pairs can have variances of their own, estimated
from the data as in a mixed model [2]_. An attribute that tells nothing gets a variance near zero and drops out.

References
----------
.. [1] He, Pan, Tan, Zhou (2023), "Smoothed quantile regression with large-scale inference", Journal of Econometrics
   232, doi:10.1016/j.jeconom.2021.07.010.
.. [2] Wood and Fasiolo (2017), "A generalized Fellner-Schall method for smoothing parameter optimization",
   Biometrics 73, doi:10.1111/biom.12666.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import special

from clv_forecast.ranking.peer_design import Block, Places

Floats = NDArray[np.float64]

_ROUNDS: Final = 30
_SETTLED: Final = 2e-3  # of the residuals' scale
_BANDWIDTH: Final = 0.35  # of the residuals' scale, at 1,000 accounts
_LEAST_SCALE: Final = 1e-3
_PRIOR: Final = 0.2  # of the outcome's scale: where an effect's spread starts from, counting as one level
_UNPENALISED: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeerQuantile:
    """A fitted conditional quantile.

    Parameters
    ----------
    effects : ndarray, shape (column,)
        The first is the level of all.
    covariance : ndarray, shape (column, column)
        Of the estimation errors of the effects.
    shift : float
        Added to each quantile, so that the share of accounts below theirs is right when each is left out.
    settled : bool
        Whether the fit came to rest.
    """

    effects: Floats
    covariance: Floats
    shift: float
    settled: bool


def lay_out(blocks: Sequence[Block]) -> tuple[Places, Floats, list[slice]]:
    """Put blocks beside each other, behind one column of ones: places, values and each block's columns."""
    accounts = blocks[0].places.shape[0]
    places, values, spans, first = [np.zeros((accounts, 1), dtype=np.int32)], [np.ones((accounts, 1))], [], 1
    for block in blocks:
        places.append(block.places + np.int32(first))
        values.append(block.values)
        spans.append(slice(first, first + block.size))
        first += block.size
    return np.hstack(places), np.hstack(values), spans


def fit_quantile(y: Floats, weight: Floats, blocks: Sequence[Block], *, quantile: float) -> PeerQuantile:
    r"""Fit the conditional quantile of ``y`` given the blocks.

    Effects maximise :math:`c \sum_i w_i [-\rho_h(y_i - x_i'\beta)] - \beta' P \beta / 2` with
    :math:`c = \hat f / (\tau (1 - \tau))` and :math:`P = \sum_b S_b / \sigma_b^2`; the variances are updated beside by
    :math:`\sigma_b^2 = (\beta_b' S_b \beta_b + \sigma_0^2) / (r_b - tr(V_b S_b) / \sigma_b^2 + 1)`.

    Parameters
    ----------
    y : ndarray, shape (account,)
    weight : ndarray, shape (account,)
        Above 0.
    blocks : sequence of Block
        With one row per account.
    quantile : float
        In (0, 1).

    Returns
    -------
    PeerQuantile

    Notes
    -----
    Weights are scaled to sum to the effective number of accounts. The density is corrected for the effects fitted,
    without which residuals are too small and the errors too. The shift is the quantile of residuals with each account
    left out, by one Newton step.

    Examples
    --------
    >>> from clv_forecast.ranking.peer_design import read_kinds
    >>> import pandas as pd
    >>> kind = np.repeat(["a", "b"], 200)
    >>> blocks = read_kinds(pd.DataFrame({"kind": kind})).mains
    >>> y = np.tile(np.linspace(0.0, 1.0, 200), 2) + 5.0 * (kind == "b")
    >>> told, error = predict(fit_quantile(y, np.ones(400), blocks, quantile=0.8), blocks)
    >>> told[[0, -1]].round(1), bool((error < 0.1).all())
    (array([0.8, 5.8]), True)
    """
    places, values, spans = lay_out(blocks)
    weight = weight * (weight.sum() / (weight**2).sum())
    level, scale = _level_and_scale(y, weight, quantile)
    size = spans[-1].stop
    effects, gradient, hessian = np.zeros(size), np.zeros(size), np.zeros((size, size))
    effects[0] = level
    variances = np.array([(0.5 * scale) ** 2 if block.rank else np.inf for block in blocks])
    spread, used, settled, pace, last = scale, 0.0, False, 1.0, np.zeros(size)
    for turn in range(_ROUNDS):
        wide = max(1.0, 3.0 - 0.5 * turn)  # wide at first, where a far start would see no accounts
        bandwidth = wide * _BANDWIDTH * spread * (weight.sum() / 1000.0) ** -0.2
        _accumulate(places, values, y, weight, effects, quantile, bandwidth, hessian, gradient)
        full = hessian + np.tril(hessian, -1).T
        scaled = _scaling(full[0, 0] / weight.sum(), quantile, used / weight.sum())
        penalty = _penalty(blocks, spans, variances, scale)
        covariance = np.linalg.inv(scaled * full + penalty)
        step = covariance @ (scaled * gradient - penalty @ effects)
        pace = 0.5 * pace if step @ last < 0.0 else min(1.0, 1.5 * pace)  # slower where it goes to and fro
        step *= min(pace, 2.0 * spread / max(float(np.abs(step).max()), 1e-300))
        effects, last = effects + step, step
        used = min(float((covariance * full).sum() * scaled), 0.8 * float(weight.sum()))
        updated = _variances(blocks, spans, variances, effects, covariance, (_PRIOR * scale) ** 2)
        some = np.isfinite(variances)
        moved = float(np.abs(np.log(updated[some] / variances[some])).max(initial=0.0))
        variances = updated
        if turn < _ROUNDS // 2:
            spread = _level_and_scale(y - _told(places, values, effects), weight, quantile)[1]
        settled = bool(np.abs(step).max() < _SETTLED * spread)
        if settled and wide == 1.0 and moved < 0.02:
            break
    residual = y - _told(places, values, effects)
    pull = scaled * weight * _squared(places, values, covariance)
    shift = _left_out_shift(residual, weight, pull, quantile, bandwidth)
    return PeerQuantile(effects=effects, covariance=covariance, shift=shift, settled=settled)


def predict(fitted: PeerQuantile, blocks: Sequence[Block]) -> tuple[Floats, Floats]:
    """Quantile of each account, and the standard deviation of its estimation error."""
    places, values, _ = lay_out(blocks)
    error = np.sqrt(np.maximum(_squared(places, values, fitted.covariance), 0.0))
    return _told(places, values, fitted.effects) + fitted.shift, error


def unexplained(residual: Floats, weight: Floats, more: Iterable[Block], *, quantile: float) -> list[float]:
    """How many standard errors the scores summed over the columns of further blocks vary more than by chance.

    Parameters
    ----------
    residual : ndarray, shape (account,)
        Outcome less its fitted quantile.
    weight : ndarray, shape (account,)
    more : iterable of Block
        Candidates.
    quantile : float
        In (0, 1).

    Returns
    -------
    list of float
        One per candidate: about standard normal or below where it tells nothing new.

    Examples
    --------
    >>> from clv_forecast.ranking.peer_design import read_kinds
    >>> import pandas as pd
    >>> kinds = read_kinds(pd.DataFrame({"chance": ["a", "b"] * 100, "high": ["n"] * 100 + ["y"] * 100}))
    >>> found = unexplained(np.linspace(-0.8, 0.2, 200), np.ones(200), kinds.mains, quantile=0.8)
    >>> [score > 3.0 for score in found]
    [False, True]
    """
    weight = weight * (weight.sum() / (weight**2).sum())
    score = weight * (quantile - (residual < 0.0))
    found = []
    for block in more:
        flat = block.places.ravel()
        sums = np.bincount(flat, (score[:, None] * block.values).ravel(), block.size)
        chance = np.bincount(flat, ((weight[:, None] * block.values) ** 2).ravel(), block.size)
        chance *= quantile * (1.0 - quantile)
        found.append(float((sums**2 - chance).sum() / np.sqrt(2.0 * (chance**2).sum() + 1e-300)))
    return found


def weighted_quantile(values: Floats, weight: Floats, levels: Floats) -> Floats:
    """Quantiles of weighted values, linear between the middles of their weights."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weight[order])
    found: Floats = np.interp(levels * sums[-1], sums - 0.5 * weight[order], values[order])
    return found


def _level_and_scale(y: Floats, weight: Floats, quantile: float) -> tuple[float, float]:
    """The quantile, and the standard deviation that a normal outcome with its slope there would have."""
    levels = np.array([max(quantile - 0.3, 0.5 * quantile), quantile, min(quantile + 0.15, 0.5 + 0.5 * quantile)])
    low, level, high = weighted_quantile(y, weight, levels)
    return float(level), max(float((high - low) / (special.ndtri(levels[2]) - special.ndtri(levels[0]))), _LEAST_SCALE)


def _scaling(density: float, quantile: float, used: float) -> float:
    return max(density, 1e-12) / (quantile * (1.0 - quantile)) * (1.0 - used)


def _penalty(blocks: Sequence[Block], spans: Sequence[slice], variances: Floats, scale: float) -> Floats:
    penalty = np.eye(spans[-1].stop) / (_UNPENALISED * scale) ** 2
    penalty[0, 0] *= 1e-8
    for block, span, variance in zip(blocks, spans, variances, strict=True):
        if block.penalty is not None:
            penalty[span, span] += block.penalty / variance
    return penalty


def _variances(
    blocks: Sequence[Block],
    spans: Sequence[slice],
    variances: Floats,
    effects: Floats,
    covariance: Floats,
    start: float,
) -> Floats:
    found = variances.copy()
    for at, (block, span) in enumerate(zip(blocks, spans, strict=True)):
        if block.penalty is not None:
            own = effects[span]
            told = block.rank - float((block.penalty * covariance[span, span]).sum()) / variances[at]
            found[at] = (own @ block.penalty @ own + start) / (max(told, 0.0) + 1.0)
    return found


def _left_out_shift(residual: Floats, weight: Floats, pull: Floats, quantile: float, bandwidth: float) -> float:
    """Quantile of the residuals as if each account had not been seen: one Newton step each."""
    z = residual / bandwidth
    slope = np.exp(-0.5 * z**2) / (bandwidth * math.sqrt(2.0 * math.pi))
    left_out = residual + pull * (quantile - special.ndtr(-z)) / np.maximum(1.0 - pull * slope, 0.2)
    return float(weighted_quantile(left_out, weight, np.array([quantile]))[0])


def _told(places: Places, values: Floats, effects: Floats) -> Floats:
    found: Floats = np.einsum("ij,ij->i", values, effects[places])
    return found


@njit(cache=True)
def _accumulate(places, values, y, weight, effects, quantile, bandwidth, hessian, gradient):  # type: ignore[no-untyped-def]
    """Gradient of minus the smoothed loss, and the lower triangle of the loss's Hessian."""
    hessian[:] = 0.0
    gradient[:] = 0.0
    entries = places.shape[1]
    for i in range(places.shape[0]):
        if weight[i] == 0.0:
            continue
        told = 0.0
        for a in range(entries):
            told += values[i, a] * effects[places[i, a]]
        z = (y[i] - told) / bandwidth
        score = weight[i] * (quantile - 0.5 * math.erfc(z / math.sqrt(2.0)))
        slope = weight[i] * math.exp(-0.5 * z * z) / (bandwidth * math.sqrt(2.0 * math.pi))
        for a in range(entries):
            first = places[i, a]
            gradient[first] += score * values[i, a]
            sloped = slope * values[i, a]
            if sloped != 0.0:
                for b in range(entries):
                    if places[i, b] <= first:
                        hessian[first, places[i, b]] += sloped * values[i, b]


@njit(cache=True)
def _squared(places, values, covariance):  # type: ignore[no-untyped-def]
    """Quadratic form of each row."""
    found = np.empty(places.shape[0])
    for i in range(places.shape[0]):
        total = 0.0
        for a in range(places.shape[1]):
            for b in range(places.shape[1]):
                total += values[i, a] * values[i, b] * covariance[places[i, a], places[i, b]]
        found[i] = total
    return found
