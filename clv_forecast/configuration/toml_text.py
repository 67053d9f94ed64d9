"""Values as TOML writes them."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from clv_forecast.errors import DomainError

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: Any) -> str:
    """Write one value, tables and lists on one line.

    Parameters
    ----------
    value : bool, int, float, str, date, mapping, list or tuple

    Raises
    ------
    DomainError
        If TOML has no such value.

    Examples
    --------
    >>> toml_value(("a", 1, 0.5, True)), toml_value({"EUR": 1, "U S": 0.92})
    ('["a", 1, 0.5, true]', '{EUR = 1, "U S" = 0.92}')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml_key(str(key))} = {toml_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    raise DomainError("TOML has no such value.", value=type(value).__name__)


def toml_string(text: str) -> str:
    r"""Write text between quotation marks.

    Examples
    --------
    >>> print(toml_string('a "b" \\ c'))
    "a \"b\" \\ c"
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """Write a key, in quotation marks where it needs them.

    Examples
    --------
    >>> toml_key("region"), toml_key("sales region")
    ('region', '"sales region"')
    """
    return name if _BARE.fullmatch(name) else toml_string(name)
