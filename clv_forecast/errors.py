"""The errors of the package: each states the rule, the offending value, the first customers, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from clv_forecast.printable import printable, without_logins

_IDS_SHOWN = 5


class ClvForecastError(Exception):
    """Base of every error raised on purpose by this package.

    Parameters
    ----------
    rule : str
        What must hold, as a sentence.
    lines : iterable of str, optional
        Where several things are wrong: one line for each, below the rule.
    value : object, optional
        The value that broke the rule.
    customer_ids : iterable, optional
        Customers concerned; the first five are shown.
    remedy : str, optional
        What the reader can do about it.

    Notes
    -----
    The text of the error is safe to show whatever was put into it: it stays on its lines, control characters are
    written as escapes, and logins of URLs are hidden.

    Examples
    --------
    >>> print(InputError("Amounts must be finite.", value=float("inf"), customer_ids=[7, 9], remedy="Drop the rows."))
    Amounts must be finite. Got: inf. First customers: 7, 9. Drop the rows.
    """

    def __init__(
        self,
        rule: str,
        *,
        lines: Iterable[str] = (),
        value: Any = None,
        customer_ids: Iterable[Any] = (),
        remedy: str = "",
    ) -> None:
        ids = list(islice(customer_ids, _IDS_SHOWN))
        parts = [without_logins(rule)]
        if value is not None:
            parts.append(f"Got: {without_logins(str(value))}.")
        if ids:
            parts.append(f"First customers: {', '.join(str(i) for i in ids)}.")
        listed = list(map(without_logins, lines))
        text = [" ".join(parts), *listed, remedy] if listed else [" ".join([*parts, remedy])]
        super().__init__("\n".join(printable(line.rstrip()) for line in text if line))
        self.rule = rule
        self.value = printable(without_logins(value)) if isinstance(value, str) else value
        self.customer_ids = tuple(ids)
        self.remedy = remedy


class InputError(ClvForecastError, ValueError):
    """The data break a rule (command line: exit code 1)."""


class DomainError(ClvForecastError, ValueError):
    """An argument lies outside its domain, or names something unknown (command line: exit code 2)."""


class HeldError(DomainError):
    """A gate holds a run, so that it is not published (command line: exit code 6)."""


class FitError(ClvForecastError, RuntimeError):
    """A fit failed and nothing honest can be returned (command line: exit code 3).

    ``model`` is what was fitted all the same, for inspection and not for decisions; None where there is nothing.
    """

    model: Any = None


class StoreError(ClvForecastError, RuntimeError):
    """A saved object is missing, damaged, or of another schema version (command line: exit code 1)."""


class LockedError(ClvForecastError, RuntimeError):
    """Another run holds the lock of the store (command line: exit code 5)."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A result that there is none of, and why, where the work goes on without it and says so.

    Parameters
    ----------
    reason : str
        As a sentence.

    Examples
    --------
    >>> print(Absent("The log is too short to look back."))
    The log is too short to look back.
    """

    reason: str

    def __str__(self) -> str:
        return self.reason
