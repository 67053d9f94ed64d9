"""Maximisation of a smooth function inside a box: several starts, quasi-Newton, then Newton to full precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from clv_forecast.models import coordinate


def box(coordinates: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limits of the coordinates, in scaled data.

    Examples
    --------
    >>> box(["log_shape"])
    (array([-9.]), array([16.]))
    """
    limits = np.array([coordinate(name).limits for name in coordinates])
    return limits[:, 0].copy(), limits[:, 1].copy()


Floats = NDArray[np.float64]
ValueGradient = Callable[[Floats], tuple[float, Floats]]

_STEP: Final = 1e-4  # of the central differences; coordinates are logarithms, so of order one
_POLISH_STEPS: Final = 60
_LONGEST_STEP: Final = 2.0
DECREMENT_CONVERGED: Final = 1e-6  # log-likelihood units still to be gained by a Newton step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Optimum:
    """Where a maximisation ended.

    Parameters
    ----------
    theta : ndarray, shape (k,)
    value : float
        The maximum.
    gradient : ndarray, shape (k,)
    hessian : ndarray, shape (k, k)
    decrement : float
        What a further Newton step would still gain, over the free coordinates.
    evaluations : int
        Evaluations of value and gradient.
    fixed : ndarray of bool, shape (k,)
        Coordinates that were held.
    """

    theta: Floats
    value: float
    gradient: Floats
    hessian: Floats
    decrement: float
    evaluations: int
    fixed: NDArray[np.bool_]


def maximise(
    function: ValueGradient,
    starts: Sequence[Floats],
    *,
    lower: Floats,
    upper: Floats,
    fixed: NDArray[np.bool_] | None = None,
) -> Optimum:
    """Maximise ``function`` over the box, from several starting points.

    Parameters
    ----------
    function : callable
        ``theta`` to value and analytic gradient; a value that is not finite counts as minus infinity.
    starts : sequence of ndarray, shape (k,)
        Starting points; the best end is polished. Held coordinates keep the value they have there.
    lower, upper : ndarray, shape (k,)
        The box, so that no coordinate can run away.
    fixed : ndarray of bool, shape (k,), optional
        Coordinates held at their starting value.

    Returns
    -------
    Optimum

    Notes
    -----
    L-BFGS-B finds the hill; Newton steps with a Hessian from central differences of the analytic gradient (negative
    curvature reflected, step limited, backtracked) finish it, so that the result depends on the data and not on the
    stopping rule of a quasi-Newton search.

    Examples
    --------
    >>> import numpy as np
    >>> def hill(theta):
    ...     return float(-np.sum((theta - 1.0) ** 2)), -2.0 * (theta - 1.0)
    >>> box = {"lower": np.full(2, -5.0), "upper": np.full(2, 5.0)}
    >>> maximise(hill, [np.zeros(2)], **box).theta
    array([1., 1.])
    """
    held = np.zeros(lower.size, dtype=bool) if fixed is None else fixed
    counted = _Counted(function)
    best: Floats | None = None
    best_value = -np.inf
    for start in starts:
        theta, value = _quasi_newton(counted, np.clip(start, lower, upper), lower, upper=upper, fixed=held)
        if best is None or value > best_value:
            best, best_value = theta, value
    if best is None:
        raise ValueError("maximise needs at least one starting point")
    return _polish(counted, best, lower, upper=upper, fixed=held)


def hessian(function: ValueGradient, theta: Floats) -> Floats:
    """Hessian by central differences of the analytic gradient, made symmetric.

    Parameters
    ----------
    function : callable
        ``theta`` to value and gradient.
    theta : ndarray, shape (k,)

    Returns
    -------
    ndarray, shape (k, k)

    Examples
    --------
    >>> import numpy as np
    >>> hessian(lambda t: (float(np.sum(t**2)), 2.0 * t), np.zeros(2)).round(6)
    array([[2., 0.],
           [0., 2.]])
    """
    columns = []
    for direction in np.eye(theta.size):
        ahead = function(theta + _STEP * direction)[1]
        behind = function(theta - _STEP * direction)[1]
        columns.append((ahead - behind) / (2.0 * _STEP))
    matrix = np.array(columns)
    return np.asarray((matrix + matrix.T) / 2.0)


class _Counted:
    """A function that counts its evaluations and turns what is not finite into minus infinity."""

    __slots__ = ("calls", "function")

    def __init__(self, function: ValueGradient) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        self.calls += 1
        with np.errstate(all="ignore"):
            value, gradient = self.function(theta)
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            return -np.inf, np.zeros_like(theta)
        return value, gradient


def _quasi_newton(
    function: _Counted, start: Floats, lower: Floats, *, upper: Floats, fixed: NDArray[np.bool_]
) -> tuple[Floats, float]:
    free = ~fixed
    value = function(start)[0]
    if not free.any() or not np.isfinite(value):
        return start, value
    unit = max(1.0, abs(value))

    def negative(part: Floats) -> tuple[float, Floats]:
        theta = start.copy()
        theta[free] = part
        value, gradient = function(theta)
        return (-value / unit, -gradient[free] / unit) if np.isfinite(value) else (1e10, np.zeros(part.size))

    found = optimize.minimize(
        negative,
        start[free],
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(lower[free], upper[free], strict=True)),
        options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-9},
    )
    end = start.copy()
    end[free] = found.x
    return end, -float(found.fun) * unit


def _polish(function: _Counted, theta: Floats, lower: Floats, *, upper: Floats, fixed: NDArray[np.bool_]) -> Optimum:
    value, gradient = function(theta)
    curvature = np.zeros((theta.size, theta.size))
    decrement = np.inf
    for _ in range(_POLISH_STEPS):
        curvature = hessian(function, theta)
        blocked = ((theta <= lower) & (gradient < 0.0)) | ((theta >= upper) & (gradient > 0.0))
        free = ~(fixed | blocked)
        step, decrement = _newton_step(gradient, curvature, free)
        settled = decrement < 1e-9
        theta, value, gradient, moved = _line_search(
            function, theta, value, gradient=gradient, step=step, lower=lower, upper=upper
        )
        if settled or not moved:
            break
    return Optimum(
        theta=theta,
        value=value,
        gradient=gradient,
        hessian=curvature,
        decrement=float(decrement) if np.isfinite(value) else np.inf,
        evaluations=function.calls,
        fixed=fixed,
    )


def _newton_step(gradient: Floats, curvature: Floats, free: NDArray[np.bool_]) -> tuple[Floats, float]:
    step = np.zeros_like(gradient)
    if not free.any():
        return step, 0.0
    eigenvalues, vectors = np.linalg.eigh(-curvature[np.ix_(free, free)])
    stiffness = np.maximum(np.abs(eigenvalues), 1e-10 * max(1.0, float(np.abs(eigenvalues).max())))
    rotated = vectors.T @ gradient[free]
    decrement = 0.5 * float(np.sum(rotated**2 / stiffness))
    part = vectors @ (rotated / stiffness)
    step[free] = part * min(1.0, _LONGEST_STEP / max(float(np.abs(part).max()), 1e-300))
    return step, decrement


def _line_search(
    function: _Counted, theta: Floats, value: float, *, gradient: Floats, step: Floats, lower: Floats, upper: Floats
) -> tuple[Floats, float, Floats, bool]:
    """Halve the step until the value does not fall; at rounding level, until the gradient falls."""
    tolerance = 1e-13 * max(1.0, abs(value))
    for _ in range(25):
        trial = np.clip(theta + step, lower, upper)
        trial_value, trial_gradient = function(trial)
        rises = trial_value > value + tolerance
        level = abs(trial_value - value) <= tolerance
        if rises or (level and np.linalg.norm(trial_gradient) < np.linalg.norm(gradient)):
            return trial, trial_value, trial_gradient, True
        step = step / 2.0
    return theta, value, gradient, False
