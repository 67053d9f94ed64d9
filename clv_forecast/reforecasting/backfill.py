"""The verb ``backfill``: runs of earlier days, one after the other, as a schedule would have made them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import pandas as pd

from clv_forecast.arguments import parse_day
from clv_forecast.configuration.configuration import Configuration
from clv_forecast.configuration.read_configuration import read_configuration
from clv_forecast.errors import DomainError
from clv_forecast.progress import Progress, automatic
from clv_forecast.reforecasting.outcome import Reforecast
from clv_forecast.reforecasting.reforecast import reforecast

_STEPS: Final[dict[str, Callable[[], Any]]] = {
    "day": lambda: pd.Timedelta(days=1),
    "week": lambda: pd.Timedelta(days=7),
    "month": lambda: pd.offsets.MonthEnd(),
    "quarter": lambda: pd.offsets.QuarterEnd(),
}
EVERY: Final = tuple(_STEPS)
MOST_RUNS: Final = 4000
"""More than ten years by day."""


def backfill(
    configuration: str | os.PathLike[str] | Configuration,
    *,
    start: Any,
    end: Any,
    every: str = "week",
    progress: Progress = automatic,
) -> Iterator[Reforecast]:
    """Run the past: each day on what the log says up to it, the earliest first.

    Parameters
    ----------
    configuration : path or Configuration
    start, end : date, Timestamp or ISO text
        First and last day; days are counted back from the last one, at most 4,000.
    every : {"day", "week", "month", "quarter"}
        Months and quarters count at their ends.
    progress : callable

    Yields
    ------
    Reforecast
        Each run as it is done, also one that a gate holds back.

    Raises
    ------
    DomainError
        If the days are none, or not in order, or too many, or the step is unknown.
    InputError, FitError, StoreError, LockedError
        As ``reforecast``, at the run that fails; those before it stay.

    Notes
    -----
    What a row said at the time is known only where the source has a column ``recorded_at``; without one, a row counts
    by its date, and corrections made later are in it already. A run that is there already is not made again.

    Examples
    --------
    >>> [str(day.date()) for day in backfill_days("2026-01-10", "2026-03-31", "month")]
    ['2026-01-31', '2026-02-28', '2026-03-31']
    """
    told = configuration if isinstance(configuration, Configuration) else read_configuration(configuration)
    for day in backfill_days(start, end, every):
        yield reforecast(told, as_of=day, progress=progress)


def backfill_days(start: Any, end: Any, every: str) -> tuple[pd.Timestamp, ...]:
    """The days of a backfill, ascending.

    Raises
    ------
    DomainError
        If the days are none, or not in order, or too many, or the step is unknown.

    Examples
    --------
    >>> [str(day.date()) for day in backfill_days("2026-03-01", "2026-03-17", "week")]
    ['2026-03-03', '2026-03-10', '2026-03-17']
    """
    if every not in _STEPS:
        raise DomainError(f"A backfill goes by {', '.join(EVERY)}.", value=repr(every))
    first, last = (pd.Timestamp(parse_day(day, name)) for day, name in ((start, "start (--from)"), (end, "end (--to)")))
    if first > last:
        raise DomainError("The first day of a backfill comes first.", value=f"{first.date()} and {last.date()}")
    step = _STEPS[every]()
    day = last if isinstance(step, pd.Timedelta) or step.is_on_offset(last) else last - step
    found: list[pd.Timestamp] = []
    while day >= first:
        found.append(day)
        day = day - step
    if not found:
        raise DomainError(f"No end of a {every} lies between the days.", value=f"{first.date()} and {last.date()}")
    if len(found) > MOST_RUNS:
        raise DomainError(
            f"A backfill makes at most {MOST_RUNS:,} runs at once.",
            value=f"{len(found):,} by {every} between {first.date()} and {last.date()}",
            remedy="Take a longer step, or fewer years.",
        )
    return tuple(reversed(found))
