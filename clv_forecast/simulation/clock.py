"""Days of the calendar for the years of the simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clv_forecast.simulation.parameters import Floats
from clv_forecast.units import DAYS_PER_YEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time 0 is the morning of the log's first day; the log ends with ``as_of``, the future ``future_days`` later.

    Parameters
    ----------
    as_of : Timestamp
    log_days, future_days : int

    Examples
    --------
    >>> clock = Clock(as_of=pd.Timestamp("2024-12-31"), log_days=366, future_days=10)
    >>> clock.days(np.array([0.0, 1.0])).strftime("%Y-%m-%d").tolist()
    ['2024-01-01', '2024-12-31']
    """

    as_of: pd.Timestamp
    log_days: int
    future_days: int

    @property
    def years(self) -> float:
        """Length of the log."""
        return self.log_days / DAYS_PER_YEAR

    @property
    def end(self) -> float:
        """End of the future, in years from the start of the log."""
        return (self.log_days + self.future_days) / DAYS_PER_YEAR

    def days(self, time: Floats) -> pd.DatetimeIndex:
        """The day on which a time falls; NaT for inf."""
        known = np.isfinite(time)
        number = np.floor(np.where(known, time, 0.0) * DAYS_PER_YEAR + 1e-9)
        first = self.as_of - pd.Timedelta(days=self.log_days - 1)
        days = pd.DatetimeIndex(first + pd.to_timedelta(number, unit="D")).as_unit("us")
        return pd.DatetimeIndex(days.where(known))
