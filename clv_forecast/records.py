"""Frozen records as plain values that JSON can hold, and back by the types of their fields.

Saved models, certificates and whatever else is a dataclass go to their files by this one pair of functions; arrays of
draws do not: they stand in NetCDF beside.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Union, cast

import numpy as np
import pandas as pd

_FLOAT = "float"


def plain(value: Any) -> Any:
    """A record, or whatever stands in one, as dictionaries, lists, text and finite numbers.

    Numbers that are not finite are ``{"float": "nan"}`` and so on, tables one list for each column.

    Examples
    --------
    >>> plain({"at": pd.Timestamp("2026-01-31"), "gap": float("inf"), "pair": (1, None)})
    {'at': '2026-01-31T00:00:00', 'gap': {'float': 'inf'}, 'pair': [1, None]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, pd.DataFrame):
        return {str(name): plain(column.tolist()) for name, column in value.items()}
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    return value


def rebuilt[T](kind: type[T], told: Any) -> T:
    """What `plain` made of a record, as the record again.

    Parameters
    ----------
    kind : type
        Of the record: a dataclass of text, numbers, dates, tables, enumerations, tuples, mappings and dataclasses.
    told : plain values
        Fields that the record does not have are passed over; those left out take their defaults.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a field is missing or is not what it should be; and what the record itself raises.

    Examples
    --------
    >>> from clv_forecast.errors import Absent
    >>> rebuilt(Absent, plain(Absent("The log is too short.")))
    Absent(reason='The log is too short.')
    """
    return cast(T, _of(kind, told))


def _of(kind: Any, told: Any) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if told is None and type(None) in inner:
            return None
        return _of(_chosen([one for one in inner if one is not type(None)], told), told)
    if kind is Any and told is None:
        return None
    if isinstance(told, Mapping) and set(told) == {_FLOAT}:
        return float(told[_FLOAT])
    if told is None or ((_is_record(kind) or origin is Mapping) and not isinstance(told, Mapping)):
        raise TypeError(f"{getattr(kind, '__name__', kind)} cannot be made of {type(told).__name__}")
    if is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        known = [field.name for field in fields(kind) if field.name in told]
        return kind(**{name: _of(hints[name], told[name]) for name in known})
    if kind is pd.DataFrame:
        return pd.DataFrame({name: [_of(Any, item) for item in column] for name, column in told.items()})
    if kind is pd.Timestamp or (isinstance(kind, type) and issubclass(kind, Enum)):
        return kind(told)
    if origin is tuple or origin is Sequence:
        kinds = inner if origin is tuple and inner[-1] is not Ellipsis else [inner[0]] * len(told)
        return tuple(_of(one, item) for one, item in zip(kinds, told, strict=True))
    if origin is Mapping:
        return {key: _of(inner[1], item) for key, item in told.items()}
    return told


def _chosen(kinds: list[Any], told: Any) -> Any:
    """Which of several types a plain value is of: a record or mapping, a sequence, or neither."""
    if isinstance(told, Mapping):
        fitting = [one for one in kinds if _is_record(one) or typing.get_origin(one) is Mapping]
    elif isinstance(told, list):
        fitting = [one for one in kinds if typing.get_origin(one) in (tuple, Sequence)]
    else:
        fitting = [one for one in kinds if not _is_record(one) and typing.get_origin(one) is None]
    return (fitting or kinds)[0]


def _is_record(kind: Any) -> bool:
    return is_dataclass(kind) or kind is pd.DataFrame
