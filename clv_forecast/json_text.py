"""JSON as this package writes it: every number is finite or null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(content: Any, *, indent: int | None = None, ascii_only: bool = True) -> str:
    """Write plain values as JSON; NaN and infinities become null.

    Parameters
    ----------
    content : plain values
        Mappings, lists, tuples, text, numbers, truth values, None.
    indent : int, optional
    ascii_only : bool
        Whether other letters are written as escapes.

    Returns
    -------
    str

    Examples
    --------
    >>> json_text({"k": float("inf"), "n": 3, "shares": (0.5, float("nan"))})
    '{"k": null, "n": 3, "shares": [0.5, null]}'
    """
    return json.dumps(finite(content), indent=indent, allow_nan=False, ensure_ascii=ascii_only)


def finite(content: Any) -> Any:
    """Return the same values with None for every number that is not finite."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    return content
