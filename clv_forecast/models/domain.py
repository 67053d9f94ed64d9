"""The domain of the models' arguments: cheap checks at the array level, one message per rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clv_forecast.errors import DomainError

Floats = NDArray[np.float64]

_RECENCY_SLACK = 1e-9


def positive_field(name: str, value: ArrayLike) -> Floats:
    """Make a parameter a read-only float array.

    Raises
    ------
    DomainError
        If any entry is not finite and positive.

    Examples
    --------
    >>> positive_field("r", 0.25)
    array(0.25)
    """
    field = np.array(value, dtype=np.float64)
    allowed = np.isfinite(field) & (field > 0.0)
    if not allowed.all():
        raise DomainError(f"Parameter {name} must be finite and positive.", value=_first(field, ~allowed))
    field.setflags(write=False)
    return field


def checked_history(frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Frequency, recency and T as float arrays of one shape, at least one-dimensional.

    Raises
    ------
    DomainError
        If a value is negative or not finite, or recency exceeds T.

    Examples
    --------
    >>> checked_history([0, 2], [0.0, 30.0], [38.0, 38.0])[0]
    array([0., 2.])
    """
    x, t_x, length = np.broadcast_arrays(
        non_negative("frequency", frequency), non_negative("recency", recency), non_negative("T", T)
    )
    beyond = t_x > length * (1.0 + _RECENCY_SLACK)
    if beyond.any():
        raise DomainError(
            "recency must not exceed T: the last purchase lies within the observation.",
            value=f"recency {_first(t_x, beyond)} with T {_first(length, beyond)}",
        )
    return x, np.minimum(t_x, length), length


def non_negative(name: str, values: ArrayLike) -> Floats:
    """Values as a float array of at least one dimension.

    Raises
    ------
    DomainError
        If any entry is negative, NaN or infinite.

    Examples
    --------
    >>> non_negative("T", 3)
    array([3.])
    """
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    allowed = np.isfinite(array) & (array >= 0.0)
    if not allowed.all():
        raise DomainError(f"{name} must be finite and not negative.", value=_first(array, ~allowed))
    return array


def checked_counts(n: ArrayLike) -> Floats:
    """Counts of purchases as a float array of at least one dimension.

    Raises
    ------
    DomainError
        If any entry is negative or not a whole number.

    Examples
    --------
    >>> checked_counts([0, 1])
    array([0., 1.])
    """
    counts = non_negative("n", n)
    broken = counts != np.floor(counts)
    if broken.any():
        raise DomainError("n must be a whole number of purchases.", value=_first(counts, broken))
    return counts


def checked_probability(probability: ArrayLike) -> Floats:
    """Probabilities as a float array (a scalar stays a scalar).

    Raises
    ------
    DomainError
        If any entry is outside [0, 1) or NaN.

    Examples
    --------
    >>> checked_probability(0.5)
    array(0.5)
    """
    array = np.asarray(probability, dtype=np.float64)
    allowed = (array >= 0.0) & (array < 1.0)
    if not allowed.all():
        raise DomainError("probability must lie in [0, 1).", value=_first(array, ~allowed))
    return array


def checked_horizon(horizon: ArrayLike, *, finite: bool = False) -> Floats:
    """Horizon as a float array (a scalar stays a scalar).

    Raises
    ------
    DomainError
        If any entry is negative or NaN, or infinite where ``finite`` is asked.

    Examples
    --------
    >>> checked_horizon(39)
    array(39.)
    """
    array = np.asarray(horizon, dtype=np.float64)
    allowed = array >= 0.0
    if not allowed.all():
        raise DomainError("horizon must not be negative or NaN.", value=_first(array, ~allowed))
    if finite and not np.isfinite(array).all():
        raise DomainError(
            "Paths of purchases need a finite horizon.",
            value="inf",
            remedy="Use discounted_purchases with a positive discount for an infinite horizon.",
        )
    return array


def checked_discount(discount: ArrayLike) -> Floats:
    """Continuous discount rate per unit of T as a float array (a scalar stays a scalar).

    Raises
    ------
    DomainError
        If any entry is negative, NaN or infinite.

    Examples
    --------
    >>> checked_discount(0.0018)
    array(0.0018)
    """
    array = np.asarray(discount, dtype=np.float64)
    allowed = np.isfinite(array) & (array >= 0.0)
    if not allowed.all():
        raise DomainError("discount must be finite and not negative.", value=_first(array, ~allowed))
    return array


def stacked(columns: Sequence[Floats]) -> Floats:
    """Stack per-parameter arrays, all scalar or of shape (draw, 1), to shape (parameter,) or (draw, parameter).

    Raises
    ------
    DomainError
        If they vary by customer.

    Examples
    --------
    >>> stacked([np.array(1.0), np.array(2.0)])
    array([1., 2.])
    """
    fields = np.broadcast_arrays(*columns)
    if fields[0].ndim == 0:
        return np.stack(fields)
    if fields[0].ndim != 2 or fields[0].shape[1] != 1:
        raise DomainError("Parameters to stack must be scalar or of shape (draw, 1).", value=fields[0].shape)
    return np.concatenate(fields, axis=1)


def unstacked(theta: ArrayLike, size: int) -> list[Floats]:
    """Split shape (size,) or (draw, size) into scalar arrays or arrays of shape (draw, 1), undoing :func:`stacked`.

    Raises
    ------
    DomainError
        If ``theta`` has another shape.

    Examples
    --------
    >>> [column.shape for column in unstacked(np.zeros((5, 2)), 2)]
    [(5, 1), (5, 1)]
    """
    free = np.asarray(theta, dtype=np.float64)
    if free.ndim not in (1, 2) or free.shape[-1] != size:
        raise DomainError(f"theta must have shape ({size},) or (draw, {size}).", value=free.shape)
    return list(free if free.ndim == 1 else free.T[:, :, None])


def _first(values: NDArray[Any], where: NDArray[np.bool_]) -> float:
    return float(values[where].flat[0]) if values.ndim else float(values)
