r"""Stacking weights: in which proportions to mix models so that the mixture predicts held-out customers best.

References
----------
.. [1] Yao, Vehtari, Simpson, Gelman (2018), "Using stacking to average Bayesian predictive distributions", Bayesian
   Analysis 13(3), doi:10.1214/17-BA1091.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clv_forecast.arguments import draws_of
from clv_forecast.errors import DomainError, FitError
from clv_forecast.streams import as_seed

Floats = NDArray[np.float64]

_LARGEST_GAP: Final = 1e-7  # of the mean log density below its maximum
_NOTHING: Final = 1e-9  # a weight below is the rounding of the search
_DEEPEST: Final = -700.0  # exp(-700) of a customer's best density is as good as nothing, and still a number
_REPAIRS: Final = 20_000


def stacking_weights(log_densities: ArrayLike, *, counts: ArrayLike | None = None) -> Floats:
    r"""Weights whose mixture has the highest mean log density.

    .. math:: \hat w = \arg\max_{w \ge 0, \sum w = 1} \frac{1}{n} \sum_i \ln \sum_m w_m p_m(y_i)

    Parameters
    ----------
    log_densities : array_like, shape (customer, model)
        Log density that each model gave, before it happened, to what the customer did. Never that of a fit which had
        seen it.
    counts : array_like, shape (customer,), optional
        How often each row counts; once by default.

    Returns
    -------
    ndarray, shape (model,)
        Not negative, adding up to one.

    Raises
    ------
    DomainError
        If the shape is another, a log density is NaN, plus infinity, or minus infinity under every model, or the
        counts do not fit.
    FitError
        If the search ends short of the maximum.

    Notes
    -----
    The problem is concave, so that the largest gain of a model at the margin bounds what is missing from the maximum:
    the search ends below 1e-7. Densities are taken relative to the best of each customer, so those of
    e\ :sup:`-2000` are safe.

    Examples
    --------
    >>> stacking_weights([[-1500.0, -2000.0], [-2000.0, -1500.0], [-1500.0, -2000.0]]).round(4)
    array([0.6667, 0.3333])
    """
    values = _checked(log_densities)
    shares, rows = _relative(values), _row_weights(counts, len(values))
    best = _search(shares, rows)
    if _gap(shares, rows, best) > _LARGEST_GAP:
        best = _repaired(shares, rows, best)
    gap = _gap(shares, rows, best)
    if not gap <= _LARGEST_GAP:
        raise FitError("The search for stacking weights ended short of the maximum.", value=f"{gap:.2g} below it")
    best[best < _NOTHING] = 0.0
    return np.asarray(best / best.sum())


def stacked_log_density(log_densities: ArrayLike, weights: ArrayLike) -> Floats:
    """Log density of each customer under the mixture.

    Parameters
    ----------
    log_densities : array_like, shape (customer, model)
    weights : array_like, shape (model,)

    Returns
    -------
    ndarray, shape (customer,)

    Raises
    ------
    DomainError
        As :func:`stacking_weights`, or if the weights are no mixture of the models.

    Examples
    --------
    >>> stacked_log_density([[-2000.0, -2000.0]], [0.25, 0.75])
    array([-2000.])
    """
    values = _checked(log_densities)
    mixture = _checked_mixture(weights, values.shape[1])
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp.reduce(values + np.log(mixture), axis=1))


def stacking_replicates(
    log_densities: ArrayLike,
    customers: ArrayLike,
    *,
    replicates: int = 100,
    rng: int | np.random.Generator = 1,
) -> Floats:
    """Weights learnt again and again from customers drawn with replacement: how firm they are.

    Parameters
    ----------
    log_densities : array_like, shape (row, model)
    customers : array_like, shape (row,)
        Whose row it is: all rows of a customer (at several origins) are drawn together.
    replicates : int
    rng : int or numpy Generator

    Returns
    -------
    ndarray, shape (replicate, model)

    Raises
    ------
    DomainError
        As :func:`stacking_weights`, or if ``customers`` has another length.

    Examples
    --------
    >>> weights = stacking_replicates([[-1.0, -2.0], [-2.0, -1.0], [-1.0, -2.0]], [7, 8, 9], replicates=5)
    >>> weights.shape
    (5, 2)
    """
    values = _checked(log_densities)
    _, owner = np.unique(np.asarray(customers), return_inverse=True)
    if owner.shape != (len(values),):
        raise DomainError("Every row of log densities needs its customer.", value=f"{owner.shape} for {len(values)}")
    drawn = np.random.default_rng(as_seed(rng))
    number = int(owner.max()) + 1
    result = np.empty((draws_of(replicates, "replicates", least=1), values.shape[1]))
    for replicate in range(len(result)):
        times = np.bincount(drawn.integers(number, size=number), minlength=number)[owner]
        result[replicate] = stacking_weights(values[times > 0], counts=times[times > 0])
    return result


def _search(shares: Floats, rows: Floats) -> Floats:
    from scipy import optimize

    models = shares.shape[1]

    def mixed(weights: Floats) -> Floats:
        return np.asarray(np.maximum(shares @ weights, np.exp(_DEEPEST)))

    def shortfall(weights: Floats) -> float:
        return -float(rows @ np.log(mixed(weights)))

    def slope(weights: Floats) -> Floats:
        return np.asarray(-((rows / mixed(weights)) @ shares))

    found = optimize.minimize(
        shortfall,
        np.full(models, 1.0 / models),
        jac=slope,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * models,
        constraints=optimize.LinearConstraint(np.ones((1, models)), 1.0, 1.0),
        options={"ftol": 1e-15, "maxiter": 300},
    )
    weights = np.clip(np.nan_to_num(found.x), 0.0, None)
    return np.asarray(weights / weights.sum() if weights.sum() > 0.0 else np.full(models, 1.0 / models))


def _repaired(shares: Floats, rows: Floats, weights: Floats) -> Floats:
    """Multiply each weight by what its model lacks at the margin: slow and never downhill (an EM algorithm)."""
    weights = 0.999 * weights + 0.001 / weights.size
    for _ in range(_REPAIRS):
        marginal = (rows / (shares @ weights)) @ shares
        if marginal.max() - 1.0 <= 0.5 * _LARGEST_GAP:
            break
        weights = weights * marginal
    return weights


def _gap(shares: Floats, rows: Floats, weights: Floats) -> float:
    mixed = shares @ weights
    if (mixed <= 0.0).any():
        return float("inf")
    return float(((rows / mixed) @ shares).max()) - 1.0


def _relative(values: Floats) -> Floats:
    """Densities relative to the best model's of each row."""
    return np.asarray(np.exp(np.maximum(values - values.max(axis=1, keepdims=True), _DEEPEST)))


def _row_weights(counts: ArrayLike | None, rows: int) -> Floats:
    """Share of each row, adding up to one."""
    if counts is None:
        return np.full(rows, 1.0 / rows)
    given = np.asarray(counts, dtype=np.float64)
    if given.shape != (rows,) or not np.isfinite(given).all() or (given < 0.0).any() or given.sum() <= 0.0:
        raise DomainError("counts must hold one number per row, none negative.", value=f"shape {given.shape}")
    return np.asarray(given / given.sum())


def _checked(log_densities: ArrayLike) -> Floats:
    values = np.asarray(log_densities, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise DomainError("Log densities must have the shape (customer, model).", value=f"shape {values.shape}")
    if np.isnan(values).any() or np.isposinf(values).any() or np.isneginf(values).all(axis=1).any():
        raise DomainError("Every customer needs a finite log density under some model, and NaN under none.")
    return values


def _checked_mixture(weights: ArrayLike, models: int) -> Floats:
    mixture = np.asarray(weights, dtype=np.float64)
    if mixture.shape != (models,) or not (mixture >= 0.0).all() or abs(mixture.sum() - 1.0) > 1e-6:
        raise DomainError(
            f"Weights must be {models} numbers, none negative, adding up to one.", value=np.round(mixture, 6).tolist()
        )
    return mixture
