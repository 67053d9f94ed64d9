"""Draws of the parameters: from the asymptotic normal, or from the posterior around its mode (Laplace, corrected).

References
----------
Vehtari, Simpson, Gelman, Yao, Gabry (2024), "Pareto smoothed importance sampling", JMLR 25(72).
Gumbel top-k (sampling without replacement): Kool, van Hoof, Welling (2019), arXiv:1903.06059.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.errors import FitError
from clv_forecast.inference.maximum_likelihood import Optimum, box, maximise
from clv_forecast.inference.problem import Problem
from clv_forecast.inference.surrogate import REPORTS, Evaluated, evaluate, evaluate_exactly
from clv_forecast.progress import Progress, silent

Floats = NDArray[np.float64]

PROPOSALS_PER_DRAW: Final = 20
_DEGREES: Final = 7.0
_INFLATION: Final = 1.5
_ADAPTATIONS: Final = 3
_AFFORDABLE: Final = 2e8  # nanoseconds for which every proposal is evaluated exactly


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaplacePosterior:
    """Equal-weight draws of a posterior, and how far to trust them.

    Parameters
    ----------
    draws : ndarray, shape (draw, k)
        In the unconstrained coordinates, scaled data.
    mode : Optimum
        Posterior mode.
    k_hat : float
        Pareto shape of the importance weights; below ``k_threshold`` the draws can be trusted.
    k_threshold : float
        ``min(1 - 1 / log10(proposals), 0.7)``.
    proposals : int
        Number of proposals behind the draws.
    proposal : str
        Which proposal was needed: ``"t"``, ``"inflated t"`` or ``"adapted mixture"``.
    evaluation : str
        How the posterior density of the proposals was had: ``"exact"``, or from a surrogate and how well that did,
        such as ``"surrogate, checked to 0.002 on 200 points"``.
    density_error : float
        Share of the posterior's mass that the surrogate misplaces, as estimated by its check; 0 when exact.
    """

    draws: Floats
    mode: Optimum
    k_hat: float
    k_threshold: float
    proposals: int
    proposal: str
    evaluation: str = "exact"
    density_error: float = 0.0

    @property
    def reliable(self) -> bool:
        """Whether k-hat lies below its threshold."""
        return self.k_hat < self.k_threshold


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Component:
    location: Floats
    factor: Floats  # lower triangular; scale matrix = factor @ factor.T


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Weighted:
    proposal: str
    thetas: Floats
    log_weights: Floats
    k_hat: float
    evaluated: Evaluated


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """Progress within one set of proposals; those before it are done."""

    progress: Progress
    attempt: int

    def report(self, done: int) -> None:
        self.progress("laplace", REPORTS * self.attempt + done, REPORTS * (self.attempt + 1))


def asymptotic_draws(theta: Floats, covariance: Floats, draws: int, *, generator: np.random.Generator) -> Floats:
    """Draws of the asymptotic normal distribution of the maximum-likelihood estimate.

    Parameters
    ----------
    theta : ndarray, shape (k,)
        Optimum in the unconstrained coordinates.
    covariance : ndarray, shape (k, k)
        Inverse of the observed information there.
    draws : int
    generator : numpy Generator
        The first draws are the same whatever their number.

    Returns
    -------
    ndarray, shape (draw, k)

    Examples
    --------
    >>> import numpy as np
    >>> asymptotic_draws(np.zeros(2), np.eye(2), 3, generator=np.random.default_rng(1)).shape
    (3, 2)
    """
    noise = generator.standard_normal((draws, theta.size))
    return np.asarray(theta + noise @ np.linalg.cholesky(covariance).T)


def laplace_posterior(
    problem: Problem,
    *,
    draws: int,
    generator: np.random.Generator,
    start: Floats | None = None,
    progress: Progress = silent,
) -> LaplacePosterior:
    """Draw the pooled posterior under the model's weakly informative priors.

    Parameters
    ----------
    problem : Problem
    draws : int
    generator : numpy Generator
    start : ndarray, shape (k,), optional
        A starting point for the mode, such as the maximum-likelihood estimate.
    progress : Progress
        Told up to ten times per set of proposals; the total grows where another set is needed.

    Returns
    -------
    LaplacePosterior

    Raises
    ------
    FitError
        If the posterior has no mode.

    Notes
    -----
    A coordinate along which the likelihood is unbounded, so that no prior holds it back (orders that are all alike,
    for one), is held at the edge of the box.

    Proposals come from a multivariate t with 7 degrees of freedom at the mode, scaled by the inverse Hessian: 20 for
    each draw. Importance weights are Pareto-smoothed and the draws resampled without replacement. Where k-hat is too
    high a t inflated by 1.5 is tried, then a mixture of it with a t at the weighted moments, adapted up to 3 times;
    the proposal with the lowest k-hat is used.

    Where exact evaluation of all proposals would take long, the density comes from :mod:`.surrogate`: the same
    proposals, weighted by a polynomial that has been checked against exact evaluations, or exactly where it fails.
    """
    full_mode, held = _mode(problem, start)
    problem = _restricted(problem, full_mode.theta, ~held)
    mode, covariance = full_mode.theta[~held], np.linalg.inv(-full_mode.hessian[np.ix_(~held, ~held)])
    base = _Component(location=mode, factor=np.linalg.cholesky(covariance))
    wide = _Component(location=mode, factor=_INFLATION * base.factor)
    count = PROPOSALS_PER_DRAW * draws
    threshold = min(1.0 - 1.0 / np.log10(count), 0.7)
    best = _weighted(
        problem, "t", (base,), count=count, generator=generator, steps=_Steps(progress=progress, attempt=0)
    )
    for attempt in range(1 + _ADAPTATIONS):
        if best.k_hat < threshold:
            break
        adapts = attempt > 0 and np.isfinite(best.k_hat)
        name, components = ("adapted mixture", (wide, _moments(best))) if adapts else ("inflated t", (wide,))
        steps = _Steps(progress=progress, attempt=attempt + 1)
        tried = _weighted(problem, name, components, count=count, generator=generator, steps=steps)
        best = tried if tried.k_hat < best.k_hat else best
    keys = best.log_weights + generator.gumbel(size=count)
    kept = generator.permutation(np.sort(np.argpartition(-keys, draws - 1)[:draws]))
    thetas = np.tile(full_mode.theta, (draws, 1))
    thetas[:, ~held] = best.thetas[kept]
    return LaplacePosterior(
        draws=thetas,
        mode=full_mode,
        k_hat=best.k_hat,
        k_threshold=float(threshold),
        proposals=count,
        proposal=best.proposal,
        evaluation=best.evaluated.how,
        density_error=best.evaluated.error,
    )


def _mode(problem: Problem, start: Floats | None) -> tuple[Optimum, NDArray[np.bool_]]:
    """Find the posterior mode, and the coordinates that run to the edge of the box even against their prior."""
    location, scale = problem.prior_location, problem.prior_scale

    def log_posterior(theta: Floats) -> tuple[float, Floats]:
        value, gradient = problem.value_gradient(theta)
        distance = (theta - location) / scale
        return value - 0.5 * float(distance @ distance), gradient - distance / scale

    lower, upper = box(problem.coordinates)
    starts = [location] if start is None else [np.clip(start, location - 2 * scale, location + 2 * scale), location]
    mode = maximise(log_posterior, starts, lower=lower, upper=upper)
    held = (mode.theta <= lower) | (mode.theta >= upper)
    free = -mode.hessian[np.ix_(~held, ~held)]
    smallest = float(np.linalg.eigvalsh(free)[0]) if free.size else 0.0
    if not np.isfinite(mode.value) or smallest <= 0.0 or mode.decrement > 1e-4:
        raise FitError(
            f"{problem.model}: the posterior under the default priors has no mode.",
            value=f"promised gain {mode.decrement:.2g}, smallest curvature {smallest:.2g}",
            remedy="Look at the audit of the history: the log may hold too few repeat purchases.",
        )
    return mode, held


def _restricted(problem: Problem, theta: Floats, free: NDArray[np.bool_]) -> Problem:
    """Hold the coordinates that are not free at ``theta``."""
    if free.all():
        return problem

    def values(parts: Floats) -> Floats:
        thetas = np.tile(theta, (len(parts), 1))
        thetas[:, free] = parts
        return problem.values(thetas)

    return replace(
        problem,
        coordinates=tuple(name for name, is_free in zip(problem.coordinates, free, strict=True) if is_free),
        values=values,
        prior_location=problem.prior_location[free],
        prior_scale=problem.prior_scale[free],
    )


def _weighted(
    problem: Problem,
    name: str,
    components: tuple[_Component, ...],
    *,
    count: int,
    generator: np.random.Generator,
    steps: _Steps,
) -> _Weighted:
    thetas = _propose(components, count, generator)
    log_proposal = _log_density(components, thetas)
    steps.report(0)

    def exact(some: Floats) -> Floats:
        return _log_posterior(problem, some)

    if count * problem.nanoseconds <= _AFFORDABLE:
        evaluated = evaluate_exactly(exact, thetas, steps.report)
    else:
        evaluated = evaluate(
            exact,
            thetas,
            _inside(problem, thetas),
            log_proposal=log_proposal,
            whitened=_whitened(components[0], thetas),
            report=steps.report,
        )
    log_weights, k_hat = _smoothed(evaluated.log_density - log_proposal)
    return _Weighted(proposal=name, thetas=thetas, log_weights=log_weights, k_hat=k_hat, evaluated=evaluated)


def _propose(components: tuple[_Component, ...], count: int, generator: np.random.Generator) -> Floats:
    size = components[0].location.size
    noise = generator.standard_normal((count, size))
    noise /= np.sqrt(generator.chisquare(_DEGREES, size=count) / _DEGREES)[:, None]
    which = generator.integers(len(components), size=count)
    thetas = np.empty((count, size))
    for index, component in enumerate(components):
        mine = which == index
        thetas[mine] = component.location + noise[mine] @ component.factor.T
    return thetas


def _log_density(components: tuple[_Component, ...], thetas: Floats) -> Floats:
    """Of the mixture of t distributions, up to a constant."""
    size = thetas.shape[1]
    parts = []
    for component in components:
        distance = np.sum(_whitened(component, thetas) ** 2, axis=1)
        spread = float(np.sum(np.log(np.diag(component.factor))))
        parts.append(-0.5 * (_DEGREES + size) * np.log1p(distance / _DEGREES) - spread)
    return np.asarray(np.logaddexp.reduce(np.array(parts), axis=0))


def _whitened(component: _Component, thetas: Floats) -> Floats:
    """Coordinates in which the component is spherical; shape (n, k)."""
    return np.asarray(np.linalg.solve(component.factor, (thetas - component.location).T).T)


def _inside(problem: Problem, thetas: Floats) -> NDArray[np.bool_]:
    lower, upper = box(problem.coordinates)
    return np.asarray(((thetas > lower) & (thetas < upper)).all(axis=1))


def _log_posterior(problem: Problem, thetas: Floats) -> Floats:
    """Up to a constant; minus infinity outside the box, where the prior leaves nothing."""
    inside = _inside(problem, thetas)
    result = np.full(len(thetas), -np.inf)
    distance = (thetas[inside] - problem.prior_location) / problem.prior_scale
    with np.errstate(all="ignore"):
        result[inside] = problem.values(thetas[inside]) - 0.5 * np.sum(distance**2, axis=1)
    return np.where(np.isfinite(result), result, -np.inf)


def _smoothed(log_ratios: Floats) -> tuple[Floats, float]:
    """Pareto-smoothed normalised log-weights, and k-hat."""
    from arviz_stats.base import array_stats

    top = float(np.max(log_ratios))
    if not np.isfinite(top):
        return log_ratios, float("inf")
    log_ratios = np.maximum(log_ratios - top, -700.0)  # exp(-700) is as good as nothing, and finite
    weights, k_hat = array_stats.psislw(-log_ratios)
    return np.asarray(weights, dtype=np.float64), float(k_hat)


def _moments(weighted: _Weighted) -> _Component:
    weights = np.exp(weighted.log_weights - np.logaddexp.reduce(weighted.log_weights))
    location = weights @ weighted.thetas
    centred = weighted.thetas - location
    covariance = (centred * weights[:, None]).T @ centred
    jitter = 1e-9 * np.diag(np.diag(covariance))
    return _Component(location=location, factor=np.linalg.cholesky(covariance + jitter))
