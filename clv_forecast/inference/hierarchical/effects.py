"""Draws of a hierarchical model's coordinates: population, groups and covariates, put together cell by cell.

Draws from the prior of a hierarchical fit, by plain NumPy: for prior predictive checks and calibration studies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.errors import DomainError
from clv_forecast.inference.hierarchical.priors import FEWEST_CORRELATED, PartPriors
from clv_forecast.inference.hierarchical.structure import GroupTerm
from clv_forecast.streams import customer_keys, normals

Floats = NDArray[np.float64]

STAGE_UNSEEN_GROUP: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EffectDraws:
    r"""Draws of one part of a model, purchases or spend, on its unconstrained coordinates in scaled data.

    .. math:: \theta_{dc} = \mu_d + \sum_{terms} \beta_{d, level(c)} + x_c' \gamma_d

    with, over the levels of a term, :math:`\beta_{d, level} \sim N(0, F_d F_d')`.

    Parameters
    ----------
    coordinates : tuple of str, length k
    terms : tuple of str
        Names of the groups.
    intercept : ndarray, shape (draw, k)
        The average customer of a group in the middle.
    effects : tuple of ndarray, one per term, shape (draw, level, k)
    factors : tuple of ndarray, one per term, shape (draw, k, k)
        Lower triangular factor of the effects' population covariance; zero for coordinates that do not vary.
    coefficients : ndarray, shape (draw, column, k)
        Of the standardised covariates; zero for coordinates they do not act on.
    index : ndarray of int, shape (draw,), optional
        Which draw of the fit each is (default: all in order), so that what is drawn for an unseen group does not
        depend on which draws are asked.

    Raises
    ------
    DomainError
        If the shapes do not agree.
    """

    coordinates: tuple[str, ...]
    terms: tuple[str, ...]
    intercept: Floats
    effects: tuple[Floats, ...]
    factors: tuple[Floats, ...]
    coefficients: Floats
    index: NDArray[np.intp]

    def __init__(
        self,
        *,
        coordinates: Sequence[str],
        intercept: Floats,
        terms: Sequence[str] = (),
        effects: Sequence[Floats] = (),
        factors: Sequence[Floats] = (),
        coefficients: Floats | None = None,
        index: NDArray[np.intp] | None = None,
    ) -> None:
        draws, k = intercept.shape
        own: dict[str, Any] = {
            "coordinates": tuple(coordinates),
            "terms": tuple(terms),
            "intercept": _frozen(intercept),
            "effects": tuple(_frozen(part) for part in effects),
            "factors": tuple(_frozen(part) for part in factors),
            "coefficients": _frozen(np.zeros((draws, 0, k)) if coefficients is None else coefficients),
            "index": np.arange(draws) if index is None else np.asarray(index, dtype=np.intp),
        }
        agree = (
            k == len(own["coordinates"])
            and len(own["terms"]) == len(own["effects"]) == len(own["factors"])
            and all(part.shape[::2] == (draws, k) for part in (*own["effects"], own["coefficients"]))
            and all(part.shape == (draws, k, k) for part in own["factors"])
            and own["index"].shape == (draws,)
        )
        if not agree:
            raise DomainError("Draws of effects must agree in draws, terms and coordinates.", value=(draws, k))
        for name, value in own.items():
            object.__setattr__(self, name, value)

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return int(self.intercept.shape[0])

    def theta(self, codes: NDArray[np.intp], labels: NDArray[np.object_], design: Floats, *, seed: int) -> Floats:
        """Coordinates of cells; memory grows with draws times cells, so ask for a few cells at a time.

        Parameters
        ----------
        codes : ndarray of int, shape (cell, term)
            Level of each group; -1 where the fit has not seen it, and then the effect is drawn from the population.
        labels : ndarray of str, shape (cell, term)
            Text of the level; the same unseen label gets the same effect, whatever else is asked.
        design : ndarray, shape (cell, column)
        seed : int
            Of the effects of unseen groups.

        Returns
        -------
        ndarray, shape (draw, cell, k)

        Raises
        ------
        DomainError
            If the shapes do not fit the draws.

        Examples
        --------
        >>> draws = EffectDraws(coordinates=["log_rate"], intercept=np.zeros((5, 1)))
        >>> nothing = np.zeros((2, 0), dtype=np.intp)
        >>> draws.theta(nothing, nothing.astype(object), np.zeros((2, 0)), seed=1).shape
        (5, 2, 1)
        """
        cells = len(codes)
        shapes = (codes.shape, labels.shape, design.shape)
        if shapes != ((cells, len(self.terms)),) * 2 + ((cells, self.coefficients.shape[1]),):
            raise DomainError("Codes, labels and design must have the terms and columns of the fit.", value=shapes)
        theta = np.repeat(self.intercept[:, None, :], cells, axis=1)
        for term, name in enumerate(self.terms):
            mine = codes[:, term]
            seen = np.flatnonzero(mine >= 0)
            theta[:, seen] += self.effects[term][:, mine[seen]]
            for label in dict.fromkeys(labels[mine < 0, term].tolist()):
                there = (mine < 0) & (labels[:, term] == label)
                theta[:, there] += self._unseen(term, f"{name}={label}", seed)[:, None, :]
        if design.shape[1]:
            theta += np.einsum("cj,djk->dck", design, self.coefficients)
        return theta

    def take(self, kept: NDArray[np.intp] | slice) -> EffectDraws:
        """Keep some draws, or take some repeatedly; each stays the draw it was."""
        return EffectDraws(
            coordinates=self.coordinates,
            terms=self.terms,
            intercept=self.intercept[kept],
            effects=[part[kept] for part in self.effects],
            factors=[part[kept] for part in self.factors],
            coefficients=self.coefficients[kept],
            index=self.index[kept],
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays with a leading draw axis, for saving."""
        arrays: dict[str, NDArray[Any]] = {
            "intercept": self.intercept,
            "coefficients": self.coefficients,
            "index": self.index,
        }
        for term, (effect, factor) in enumerate(zip(self.effects, self.factors, strict=True)):
            arrays[f"effect_{term}"] = effect
            arrays[f"factor_{term}"] = factor
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], *, coordinates: Sequence[str], terms: Sequence[str]
    ) -> EffectDraws:
        """Read what `to_arrays` gave; ``coordinates`` and ``terms`` are the names that arrays do not hold.

        Raises
        ------
        KeyError, DomainError
            If an array is missing or does not agree with the others.

        Examples
        --------
        >>> draws = EffectDraws(coordinates=["log_rate"], intercept=np.ones((5, 1)))
        >>> EffectDraws.from_arrays(draws.to_arrays(), coordinates=["log_rate"], terms=[]).n_draws
        5
        """
        return cls(
            coordinates=coordinates,
            terms=terms,
            intercept=arrays["intercept"],
            effects=[arrays[f"effect_{term}"] for term in range(len(terms))],
            factors=[arrays[f"factor_{term}"] for term in range(len(terms))],
            coefficients=arrays["coefficients"],
            index=arrays["index"],
        )

    def _unseen(self, term: int, key_text: str, seed: int) -> Floats:
        """Effect of a group the fit has not seen, shape (draw, k)."""
        key = customer_keys(seed, [f"unseen group {key_text}"])[0]
        first = int(self.index.min()) if self.n_draws else 0
        span = int(self.index.max()) - first + 1 if self.n_draws else 0
        z = normals(key, first, span, STAGE_UNSEEN_GROUP, len(self.coordinates))[self.index - first]
        return np.asarray(np.einsum("dij,dj->di", self.factors[term], z))


def _frozen(array: Floats) -> Floats:
    view = np.asarray(array, dtype=np.float64).view()
    view.flags.writeable = False
    return view


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
            correlation_factor(lkj_partials(len(varying), priors.eta, draws, generator=generator), len(varying))
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


def lkj_partials(size: int, eta: float, draws: int, *, generator: np.random.Generator) -> Floats:
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
