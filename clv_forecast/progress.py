"""Progress of long work, through one small callback; the library itself prints nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Progress bars, one per stage, on a terminal's stderr or in a notebook; nothing where neither looks on.

    Examples
    --------
    >>> with progress_bars() as progress:
    ...     progress("forecast", 1, 2)
    """
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    seen = console.is_terminal or console.is_jupyter
    described = (TextColumn("{task.description:>12}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Bars(*described, TimeElapsedColumn(), console=console, transient=True, disable=not seen) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report
