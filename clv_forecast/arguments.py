"""Arguments that must be numbers, dates or objects of this package: checked once, at the edge."""

from __future__ import annotations

import contextlib
import datetime
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError, InputError

FEWEST_DRAWS: Final = 100
MOST_DRAWS: Final = 100_000
"""So many leave about a hundredth of a standard deviation to chance in the ends of a band; more only cost memory."""
MOST_COUNT: Final = 10**9
"""Most of anything that is counted, where nothing smaller is said."""
MOST_TOP: Final = 10_000
"""The longest list that is still a choice."""
EARLIEST_YEAR: Final = 1900
"""Dates before are what spreadsheets and two-digit years turn into."""
LATEST_YEAR: Final = 2200
"""Days after it are an open end, not a last day."""

_ISO_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")
_COMMA: Final = re.compile(r"\s*[+-]?\d+(,\d+)+\s*")
_LOCAL_DAY: Final = "Give the local day, such as '1997-09-30'; time_zone names the zone of the log's times."


def with_a_point(value: Any) -> str:
    """How to write a number that is text with a comma in it; empty for anything else.

    Examples
    --------
    >>> with_a_point("0,35"), with_a_point("1,000"), with_a_point("margin")
    ('0,35 is written with a comma; write 0.35.', '1,000 is written with commas; write 1000 or 1.000.', '')
    """
    if not isinstance(value, str) or not _COMMA.fullmatch(value):
        return ""
    text = value.strip()
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", text):
        others = f" or {text.replace(',', '.')}" if text.count(",") == 1 else ""
        return f"{text} is written with commas; write {text.replace(',', '')}{others}."
    return f"{text} is written with a comma; write {text.replace(',', '.')}."


def numbers_in(values: pd.Series[Any], name: str) -> pd.Series[Any]:
    """A column as numbers, missing where it is none.

    Raises
    ------
    InputError
        If one is written with a comma: it would be taken for unknown.

    Examples
    --------
    >>> numbers_in(pd.Series(["0.3", None]), "margin").tolist()
    [0.3, nan]
    """
    numbers = pd.to_numeric(values, errors="coerce")
    for text in values[(numbers.isna() & values.notna()).to_numpy(dtype=bool)]:
        if told := with_a_point(text):
            raise InputError(f"{name} must be numbers.", value=text, remedy=told)
    return numbers


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
        raise DomainError(
            f"{name} must be one number.",
            value=f"{type(value).__name__} {str(value)[:40]!r}",
            remedy=with_a_point(value),
        )
    try:
        number = float(value)
    except OverflowError:
        raise DomainError(f"{name} must be a number that a float can hold.", value="beyond 1e308") from None
    if not math.isfinite(number):
        raise DomainError(f"{name} must be finite.", value=value)
    return number


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


def count_of(value: Any, name: str, *, least: int = 1, most: int = MOST_COUNT) -> int | None:
    """Return ``value`` when it is None or a whole number from ``least`` to ``most``.

    Raises
    ------
    DomainError
        Otherwise.

    Examples
    --------
    >>> count_of(3, "chunk")
    3
    """
    return None if value is None else _whole(value, name, least, most=most)


def number_of(value: Any, name: str, *, least: int = 1, most: int = MOST_COUNT) -> int:
    """Return ``value`` when it is a whole number from ``least`` to ``most``.

    Raises
    ------
    DomainError
        Otherwise, also where it is None.

    Examples
    --------
    >>> number_of(100, "top_k", most=MOST_TOP)
    100
    """
    return _whole(value, name, least, most=most)


def draws_of(value: Any, name: str = "draws", *, least: int = FEWEST_DRAWS) -> int:
    """Return a number of draws, at most ``MOST_DRAWS``.

    Raises
    ------
    DomainError
        If it is no whole number from ``least`` to 100,000.

    Examples
    --------
    >>> draws_of(500)
    500
    """
    return _whole(value, name, least, most=MOST_DRAWS)


def _whole(value: Any, name: str, least: int, *, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        raise DomainError(
            f"{name} must be a whole number of at least {least:,} and at most {most:,}.", value=_short(value)
        )
    return int(value)


def _short(value: Any) -> str:
    """A value as it is shown; of a number too long to be written, how long it is."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"a number of {int(math.log10(abs(value))) + 1:,} digits"
    return repr(value)


def parse_day(value: Any, name: str) -> datetime.date:
    """Calendar day of a date, a timestamp, or ISO text; nothing is guessed, and the clock is never read.

    Parameters
    ----------
    value : date, datetime, Timestamp, datetime64 of a day or finer, or str
        Text as YYYY-MM-DD, with a time of day or without.
    name : str
        Name of the argument, for the error.

    Raises
    ------
    DomainError
        If ``value`` is none of these, carries a time zone (its day differs from zone to zone), or lies outside
        the years 1900 to 2200.

    Examples
    --------
    >>> parse_day("1997-09-30", "as_of")
    datetime.date(1997, 9, 30)
    """
    found: datetime.date | None = None
    if isinstance(value, datetime.date):  # datetime, Timestamp and NaT are dates too
        found = None if pd.isna(value) else value
    elif isinstance(value, np.datetime64) and np.datetime_data(value.dtype)[0] not in ("Y", "M", "W", "generic"):
        day = value.astype("datetime64[D]").item()  # an int where no date can hold it
        found = day if isinstance(day, datetime.date) else None
    elif isinstance(value, str) and _ISO_DAY.match(value):
        with contextlib.suppress(ValueError):
            found = datetime.datetime.fromisoformat(value)
    if found is None:
        raise DomainError(
            f"{name} must be a day: a date, a Timestamp, or ISO text like '1997-09-30'.", value=repr(value)
        )
    if isinstance(found, datetime.datetime):
        if found.tzinfo is not None:
            raise DomainError(f"{name} must be a day without a time zone.", value=repr(value), remedy=_LOCAL_DAY)
        found = found.date()
    if not EARLIEST_YEAR <= found.year <= LATEST_YEAR:
        raise DomainError(
            f"{name} must be a day of the years {EARLIEST_YEAR} to {LATEST_YEAR}.",
            value=str(found),
            remedy=""
            if found.year < EARLIEST_YEAR
            else "A day such as 9999-12-31 stands for an open end: give the last day that the log is complete for.",
        )
    return found


def read_only(mapping: Mapping[Any, Any]) -> MappingProxyType[Any, Any]:
    """Return a mapping that cannot be changed.

    Examples
    --------
    >>> dict(read_only({"a": 1}))
    {'a': 1}
    """
    return MappingProxyType(dict(mapping))


def instance_of(value: Any, kind: type, name: str, *, made_by: str) -> None:
    """Check the type of an argument.

    Raises
    ------
    DomainError
        If ``value`` is of another type: says what makes the right one.
    """
    if not isinstance(value, kind):
        raise DomainError(f"{name} must be a {kind.__name__}, made by {made_by}.", value=type(value).__name__)
