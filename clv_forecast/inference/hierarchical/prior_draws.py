"""Draws from the prior of a hierarchical fit, by plain NumPy: for prior predictive checks and calibration studies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.priors import FEWEST_CORRELATED, PartPriors
from clv_forecast.inference.hierarchical.structure import GroupTerm

Floats = NDArray[np.float64]


def prior_draws(
    priors: PartPriors, groups: Sequence[GroupTerm] = (), *, draws: int, generator: np.random.Generator
) -> EffectDraws:
    """Draw coordinates, group effects and coefficients from their prior.

    Parameters
    ----------
    priors : PartPriors
    groups : sequence of GroupTerm
        Of the structure.
    draws : int
    generator : numpy Generator

    Returns
    -------
    EffectDraws

    Examples
    --------
    >>> from clv_forecast.inference.hierarchical.priors import part_priors
    >>> made = prior_draws(part_priors("bg_nbd", "purchases"), draws=5, generator=np.random.default_rng(1))
    >>> made.intercept.shape
    (5, 4)
    """
    k, varying = len(priors.coordinates), list(priors.varying)
    intercept = priors.location + priors.scale * generator.standard_normal((draws, k))
    effects, factors = [], []
    for term in groups:
        sd = priors.group_scale * np.abs(generator.standard_normal((draws, len(varying))))
        correlated = len(term.levels) >= FEWEST_CORRELATED and len(varying) > 1
        shape = (
            correlation_factor(lkj_partials(len(varying), priors.eta, draws, generator), len(varying))
            if correlated
            else np.broadcast_to(np.eye(len(varying)), (draws, len(varying), len(varying)))
        )
        factor = np.zeros((draws, k, k))
        factor[:, np.array(varying)[:, None], varying] = sd[:, :, None] * shape
        z = generator.standard_normal((draws, len(term.levels), k))
        effects.append(np.einsum("dij,dlj->dli", factor, z))
        factors.append(factor)
    coefficients = np.zeros((draws, len(priors.columns), k))
    drawn = generator.standard_normal((draws, len(priors.columns), len(priors.targets)))
    coefficients[:, :, list(priors.targets)] = drawn * priors.coefficient_scale[:, None]
    return EffectDraws(
        coordinates=priors.coordinates,
        terms=[term.name for term in groups],
        intercept=intercept,
        effects=effects,
        factors=factors,
        coefficients=coefficients,
    )


def partial_exponents(size: int, eta: float) -> Floats:
    r"""Parameters of the symmetric Beta distributions of the partial correlations that make an LKJ matrix.

    Notes
    -----
    The partial correlation of column ``j`` (from 0) with any later row, given the columns before it, is
    ``2 Beta(b, b) - 1`` with ``b = eta + (size - 2 - j) / 2`` (Lewandowski, Kurowicka, Joe 2009,
    doi:10.1016/j.jmva.2009.04.008, the C-vine). Order: row by row, below the diagonal.

    Examples
    --------
    >>> partial_exponents(3, 2.0)
    array([2.5, 2.5, 2. ])
    """
    return np.array([eta + (size - 2 - j) / 2.0 for i in range(size) for j in range(i)])


def lkj_partials(size: int, eta: float, draws: int, generator: np.random.Generator) -> Floats:
    """Partial correlations of LKJ matrices, shape (draw, pair)."""
    exponents = partial_exponents(size, eta)
    return 2.0 * generator.beta(exponents, exponents, size=(draws, exponents.size)) - 1.0


def correlation_factor(partials: Floats, size: int) -> Floats:
    """Lower triangular factor of the correlation matrix with these partial correlations.

    Parameters
    ----------
    partials : ndarray, shape (draw, pair)
        Row by row, below the diagonal.
    size : int

    Returns
    -------
    ndarray, shape (draw, size, size)

    Examples
    --------
    >>> correlation_factor(np.array([[0.6]]), 2)[0].round(6).tolist()
    [[1.0, 0.0], [0.6, 0.8]]
    """
    factor = np.zeros((len(partials), size, size))
    pair = 0
    for i in range(size):
        left = np.ones(len(partials))
        for j in range(i):
            factor[:, i, j] = partials[:, pair] * np.sqrt(left)
            left = left * (1.0 - partials[:, pair] ** 2)
            pair += 1
        factor[:, i, i] = np.sqrt(left)
    return factor
