"""Arguments that must be numbers, dates or objects of this package: checked once, at the edge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from clv_forecast.errors import DomainError


def finite_number(value: Any, name: str) -> float:
    """Return ``value`` as a float when it is one finite number.

    Raises
    ------
    DomainError
        If it is text, an array, missing, or not finite.

    Examples
    --------
    >>> finite_number(0.1, "prob")
    0.1
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise DomainError(f"{name} must be one number.", value=f"{type(value).__name__} {str(value)[:40]!r}")
    if not math.isfinite(value):
        raise DomainError(f"{name} must be finite.", value=value)
    return float(value)


def check_share(value: Any, name: str) -> float:
    """Return a share between 0 and 1.

    Raises
    ------
    DomainError
        Otherwise.

    Examples
    --------
    >>> check_share(0.01, "max_unreadable")
    0.01
    """
    share = finite_number(value, name)
    if not 0.0 <= share <= 1.0:
        raise DomainError(f"{name} must be a share between 0 and 1.", value=value)
    return share


def count_of(value: Any, name: str) -> int | None:
    """Return ``value`` when it is None or a whole number of at least one.

    Raises
    ------
    DomainError
        Otherwise.

    Examples
    --------
    >>> count_of(3, "chunk")
    3
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise DomainError(f"{name} must be a whole number of at least 1.", value=repr(value))
    return int(value)


def read_only(mapping: Mapping[Any, Any]) -> MappingProxyType[Any, Any]:
    """Return a mapping that cannot be changed.

    Examples
    --------
    >>> dict(read_only({"a": 1}))
    {'a': 1}
    """
    return MappingProxyType(dict(mapping))


def instance_of(value: Any, kind: type, name: str, made_by: str) -> None:
    """Check the type of an argument.

    Raises
    ------
    DomainError
        If ``value`` is of another type: says what makes the right one.
    """
    if not isinstance(value, kind):
        raise DomainError(f"{name} must be a {kind.__name__}, made by {made_by}.", value=type(value).__name__)
