"""Progress of long work, through one small callback; the library itself prints nothing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as work goes on: ``progress("forecast", 3, 10)`` means step 3 of 10 of that stage is done."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take one report of progress."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing: the default.

    Examples
    --------
    >>> silent("fit", 1, 2)
    """
