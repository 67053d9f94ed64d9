"""The report of a fit: what one must know before trusting its numbers.

How a fit ended: a status, a message in plain words, and which coordinates the data identify.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from html import escape
from itertools import product
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.inference.hierarchical.chains import Convergence
from clv_forecast.inference.maximum_likelihood import DECREMENT_CONVERGED, Optimum, box, maximise
from clv_forecast.inference.problem import Problem
from clv_forecast.models import coordinate

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SUPREMUM_TOLERANCE: Final = 1e-4  # log-likelihood units: closer than this, the optimum lies on the boundary
INTERVAL_DROP: Final = 1.92  # half the 95 % point of chi-squared(1): the likelihood interval reaches the boundary
LOOSE: Final = 0.5  # standard deviation of a coordinate (a logarithm) above which its boundaries are looked at
UNIDENTIFIED: Final = 1.5  # ... above which it is called not identified
POSTERIOR_STANDS_IN: Final = "draws and forecasts use the posterior under the default priors"
LEFT_OUT: Final = "Estimates and standard errors of the parameters concerned are left out."


class FitStatus(Enum):
    """How a fit ended."""

    CONVERGED = "converged"
    NEARLY_CONVERGED = "nearly converged"
    BOUNDARY = "boundary"
    RIDGE = "ridge"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Diagnosis:
    """What an optimum is worth.

    Parameters
    ----------
    status : FitStatus
    finding : str
        What the data say of the optimum, in plain words, without a full stop.
    identified : ndarray of bool, shape (k,)
        Coordinates with a standard error.
    covariance : ndarray, shape (k, k)
        Of the identified coordinates, given the others; NaN elsewhere.
    condition : float
        Condition number of the Hessian in the unconstrained coordinates; infinite when it is not positive definite.
    evaluations : int
        Spent on this diagnosis.
    """

    status: FitStatus
    finding: str
    identified: Flags
    covariance: Floats
    condition: float
    evaluations: int

    @property
    def message(self) -> str:
        """The finding, and where the draws of a maximum-likelihood fit come from."""
        if self.status in (FitStatus.CONVERGED, FitStatus.FAILED):
            return f"{self.finding}."
        return f"{self.finding}; {POSTERIOR_STANDS_IN}. {LEFT_OUT}"


def diagnose(problem: Problem, optimum: Optimum) -> tuple[Optimum, Diagnosis]:
    """Tell an interior optimum from a boundary, a ridge and a failure.

    Parameters
    ----------
    problem : Problem
    optimum : Optimum
        Of the free maximisation.

    Returns
    -------
    Optimum
        The same, or the supremum on a boundary when that is as good.
    Diagnosis

    Notes
    -----
    A coordinate whose standard deviation exceeds one half is pushed to each of its limits and the others are
    maximised again. If that costs less than 1e-4 log-likelihood units, the supremum lies at the limit; if it costs
    less than 1.92, the 95 % likelihood interval reaches the limit and a normal approximation would be absurd.
    """
    if not np.isfinite(optimum.value):
        return optimum, _failed(problem, "the log-likelihood is not finite at any starting point", 0)
    spent = 0
    reasons: list[str] = []
    held = np.zeros(len(problem.coordinates), dtype=bool)
    weak = np.zeros_like(held)
    while True:
        loose = (_standard_deviations(optimum, held) > LOOSE) & ~held & ~weak
        faces = _faces(problem, optimum, loose, held=held)
        spent += sum(face.optimum.evaluations for face in faces)
        reached = [face for face in faces if face.optimum.value >= optimum.value - SUPREMUM_TOLERANCE]
        idle = _idle(reached) if held.any() else set()
        weak[list(idle)] = True
        reached = [face for face in reached if face.index not in idle]
        if not reached:
            break
        optimum = reached[0].optimum
        held[reached[0].index] = True
        reasons.append(maximum_at(problem.coordinates[reached[0].index], reached[0].side))
    boundary = bool(reasons)
    for face in faces:
        cost = optimum.value - face.optimum.value
        if cost < INTERVAL_DROP and not weak[face.index]:
            weak[face.index] = True
            what = at_limit(problem.coordinates[face.index], face.side)
            reasons.append(f"only {cost:.2g} log-likelihood units away, {what}")
    deviations = _standard_deviations(optimum, held)
    weak |= deviations > UNIDENTIFIED
    if (deviations > UNIDENTIFIED).any() and not boundary:
        reasons.append(_weakest_combination(problem, optimum))
    if boundary and weak.any():
        optimum, calls = _park(problem, optimum, held, weak=weak)
        spent += calls
    if optimum.decrement > max(DECREMENT_CONVERGED, 1e-12 * abs(optimum.value)):
        why = f"the maximisation stopped short: a further Newton step promises {optimum.decrement:.2g} units"
        return optimum, _failed(problem, why, spent)
    status = FitStatus.BOUNDARY if boundary else FitStatus.RIDGE if weak.any() else FitStatus.CONVERGED
    identified = ~(held | weak)
    return optimum, Diagnosis(
        status=status,
        finding=_finding(problem, status, reasons),
        identified=identified,
        covariance=_covariance(optimum, identified),
        condition=_condition(optimum.hessian),
        evaluations=spent,
    )


def at_limit(name: str, side: int) -> str:
    """What a coordinate at its lower (-1) or upper (1) limit says about customers; empty where it says nothing.

    Examples
    --------
    >>> at_limit("log_shape", 1), at_limit("log_rate", 1)
    ('customers do not differ in purchase rate (r -> infinity)', '')
    """
    return coordinate(name).at_lower if side < 0 else coordinate(name).at_upper


def maximum_at(name: str, side: int) -> str:
    """Say in plain words that the maximum lies at a limit.

    Examples
    --------
    >>> maximum_at("logit_dropout", -1)
    'the maximum has no dropout (a/(a+b) -> 0): the data show none'
    >>> maximum_at("log_shape", 1)
    'the maximum lies where customers do not differ in purchase rate (r -> infinity)'
    """
    what = at_limit(name, side)
    nothing = what.removeprefix("there is ")
    return f"the maximum lies where {what}" if nothing == what else f"the maximum has {nothing}: the data show none"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Face:
    index: int
    side: int
    optimum: Optimum


def _faces(problem: Problem, optimum: Optimum, loose: Flags, *, held: Flags) -> list[_Face]:
    """Push each loose coordinate to each of its limits; the levels come before the spreads around them."""
    lower, upper = box(problem.coordinates)
    found = []
    levels_first = sorted(np.flatnonzero(loose), key=lambda index: not coordinate(problem.coordinates[index]).level)
    for index, side in product(levels_first, (-1, 1)):
        if not at_limit(problem.coordinates[index], side):
            continue
        start = optimum.theta.copy()
        start[index] = lower[index] if side < 0 else upper[index]
        fixed = held.copy()
        fixed[index] = True
        end = maximise(problem.value_gradient, [start], lower=lower, upper=upper, fixed=fixed)
        found.append(_Face(index=int(index), side=side, optimum=end))
    return found


def _idle(reached: list[_Face]) -> set[int]:
    """Coordinates that may go either way at no cost: at a boundary they have no influence left."""
    return {low.index for low in reached for high in reached if low.index == high.index and low.side < high.side}


def _park(problem: Problem, optimum: Optimum, held: Flags, *, weak: Flags) -> tuple[Optimum, int]:
    """Set coordinates without any influence at the boundary to the middle of their prior, if that costs nothing."""
    lower, upper = box(problem.coordinates)
    start = optimum.theta.copy()
    start[weak] = problem.prior_location[weak]
    parked = maximise(problem.value_gradient, [start], lower=lower, upper=upper, fixed=held | weak)
    return (parked if parked.value >= optimum.value - SUPREMUM_TOLERANCE else optimum), parked.evaluations


def _standard_deviations(optimum: Optimum, held: Flags) -> Floats:
    """Of each coordinate given the held ones; infinite where the Hessian is not negative definite, zero where held."""
    deviations = np.zeros(held.size)
    free = ~held
    if free.any():
        values, vectors = np.linalg.eigh(-optimum.hessian[np.ix_(free, free)])
        floor = 1e-8 * max(1.0, float(values.max()))
        variances = np.where(values > floor, 1.0 / np.maximum(values, floor), np.inf)
        with np.errstate(invalid="ignore"):
            deviations[free] = np.sqrt(np.nansum(np.where(vectors**2 > 1e-6, vectors**2, 0.0) * variances, axis=1))
    return deviations


def _weakest_combination(problem: Problem, optimum: Optimum) -> str:
    values, vectors = np.linalg.eigh(-optimum.hessian)
    weights = vectors[:, 0]
    weights = weights * np.sign(weights[np.argmax(np.abs(weights))])
    parts = [
        f"{weight:+.2f} {name.replace('_', ' ')}"
        for weight, name in zip(weights, problem.coordinates, strict=True)
        if abs(weight) > 0.1
    ]
    width = 1.0 / np.sqrt(values[0]) if values[0] > 0 else np.inf
    return f"the combination {' '.join(parts)} is not identified (standard deviation {width:.2g})"


def _covariance(optimum: Optimum, identified: Flags) -> Floats:
    covariance = np.full(optimum.hessian.shape, np.nan)
    if identified.any():
        kept = np.ix_(identified, identified)
        covariance[kept] = np.linalg.inv(-optimum.hessian[kept])
    return covariance


def _condition(curvature: Floats) -> float:
    values = np.linalg.eigvalsh(-curvature)
    return float(values[-1] / values[0]) if values[0] > 0.0 else float("inf")


def _finding(problem: Problem, status: FitStatus, reasons: list[str]) -> str:
    if status is FitStatus.CONVERGED:
        return f"{problem.model}: converged to an interior optimum"
    opening = "the data do not identify every parameter: " if status is FitStatus.RIDGE else ""
    return f"{problem.model}: {opening}{'; '.join(reasons)}"


def _failed(problem: Problem, why: str, spent: int) -> Diagnosis:
    count = len(problem.coordinates)
    return Diagnosis(
        status=FitStatus.FAILED,
        finding=f"{problem.model}: {why}",
        identified=np.zeros(count, dtype=bool),
        covariance=np.full((count, count), np.nan),
        condition=float("nan"),
        evaluations=spent,
    )


_SEVERITY = (FitStatus.CONVERGED, FitStatus.NEARLY_CONVERGED, FitStatus.RIDGE, FitStatus.BOUNDARY, FitStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PartReport:
    """The report of one likelihood: purchases or spend.

    Parameters
    ----------
    model : str
    status : FitStatus
    message : str
        In plain words.
    log_likelihood, aic, bic : float
        In the user's units of time and money; AIC and BIC count every parameter.
    gradient_norm : float
        Euclidean norm of the gradient in the unconstrained coordinates, over the free ones.
    condition : float
        Condition number of the Hessian there.
    evaluations : int
        Evaluations of the likelihood and its gradient, diagnosis included.
    n_customers, n_rows : int
        Customers in this likelihood, and distinct rows.
    correlations : DataFrame
        Of the estimates in the unconstrained coordinates; NaN where not identified.
    draws_kind : str
        ``"asymptotic"`` or ``"laplace posterior"``.
    k_hat : float or None
        Pareto k-hat of the importance weights, for Laplace draws.
    convergence : Convergence or None
        R-hat, effective sample sizes and divergences, for a sampler's draws. There AIC, BIC, gradient and condition
        are NaN, and the log-likelihood is that of the posterior mean.
    """

    model: str
    status: FitStatus
    message: str
    log_likelihood: float
    aic: float
    bic: float
    gradient_norm: float
    condition: float
    evaluations: int
    n_customers: int
    n_rows: int
    correlations: pd.DataFrame
    draws_kind: str
    k_hat: float | None = None
    convergence: Convergence | None = None

    def __repr__(self) -> str:
        """One line."""
        return f"<PartReport {self.model}: {self.status.value}, {self.n_customers:,} customers>"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class FitReport:
    """The report of a fitted model.

    Parameters
    ----------
    purchases : PartReport
    spend : PartReport or None
    n_customers : int
        Customers in the history.
    alternatives : DataFrame or None
        The sibling models on the same rows: model, log_likelihood, aic, difference (log-likelihood minus that of the
        fitted model); None when no comparison was asked for.
    notes : tuple of str
        What was decided along the way, as sentences.
    """

    purchases: PartReport
    spend: PartReport | None
    n_customers: int
    alternatives: pd.DataFrame | None
    notes: tuple[str, ...]

    @property
    def parts(self) -> tuple[PartReport, ...]:
        """The parts that were fitted."""
        return (self.purchases,) if self.spend is None else (self.purchases, self.spend)

    @property
    def status(self) -> FitStatus:
        """The worst status of the parts."""
        return max((part.status for part in self.parts), key=_SEVERITY.index)

    @property
    def message(self) -> str:
        """The messages of the parts."""
        return " ".join(part.message for part in self.parts)

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of the purchases."""
        return self.purchases.log_likelihood

    @property
    def aic(self) -> float:
        """AIC of the purchases."""
        return self.purchases.aic

    @property
    def bic(self) -> float:
        """BIC of the purchases."""
        return self.purchases.bic

    def __repr__(self) -> str:
        """One line."""
        models = " + ".join(part.model for part in self.parts)
        return f"<FitReport {models}: {self.status.value}, {self.n_customers:,} customers>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        """Readable text, a few lines."""
        lines = [f"Fit: {self.status.value}, {self.n_customers:,} customers"]
        for part in self.parts:
            lines += [f"  {part.message}", *_figures(part)]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)


def _figures(part: PartReport) -> list[str]:
    size = f"{part.n_customers:,} customers in {part.n_rows:,} distinct rows"
    if part.convergence is not None:
        return [f"    log-likelihood {part.log_likelihood:,.3f} at the posterior mean; {size}"]
    return [
        f"    log-likelihood {part.log_likelihood:,.3f}, AIC {part.aic:,.1f}, BIC {part.bic:,.1f}; {size}",
        f"    gradient norm {part.gradient_norm:.1e}, condition {part.condition:.3g}, "
        f"{part.evaluations} evaluations; draws: {part.draws_kind}"
        + ("" if part.k_hat is None else f", k-hat {part.k_hat:.2f}"),
    ]
