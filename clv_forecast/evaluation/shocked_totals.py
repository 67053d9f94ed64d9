"""Bands of totals, without and with a common shock that was learnt before the window began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.evaluation.common_shock import ShockEstimate, Window, estimate_shock, window_of
from clv_forecast.evaluation.one_origin import OriginResult, Totals
from clv_forecast.evaluation.predicted import PURCHASES
from clv_forecast.evaluation.windows import PERIOD_DAYS, Days, Lengths
from clv_forecast.forecasting.adjustments import CommonShock
from clv_forecast.forecasting.predictive import band

Floats = NDArray[np.float64]

PROB = 0.9
_NAMES = ("total_lower", "total_upper", "total_covered", "shocked_lower", "shocked_upper", "shocked_covered")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TotalBands:
    """90 % bands of the totals of every origin, horizon, group and quantity.

    ``rows`` maps (origin, horizon, group, quantity) to the columns of the score table.
    """

    rows: dict[tuple[str, str, str, str], dict[str, float]]

    def row(self, origin: str, horizon: str, group: str, quantity: str) -> dict[str, float]:
        """Columns of one row; of all origins together the shares covered."""
        if (origin, horizon, group, quantity) in self.rows:
            return self.rows[origin, horizon, group, quantity]
        found = [row for key, row in self.rows.items() if key[1:] == (horizon, group, quantity)]
        together = dict.fromkeys((*_NAMES, "shock_windows"), float("nan"))
        for name in ("total_covered", "shocked_covered"):
            known = [row[name] for row in found if np.isfinite(row[name])]
            if known:
                together[name] = float(np.mean(known))
        return together


def bands_of_totals(results: Sequence[OriginResult], lengths: Lengths) -> TotalBands:
    """Bands of all totals; the shocked ones use only windows that had closed by the origin."""
    rows: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for result in results:
        windows = closed_windows(results, lengths, by=result.origin)
        learnt = estimate_shock(windows)
        for quantity, totals in result.totals.items():
            shocked = None if learnt is None else shocked_draws(totals, learnt.shock, result.seed)
            at = np.searchsorted(totals.ends, lengths.days)
            for g, group in enumerate(result.grouping.names):
                for end, label in zip(at, lengths.labels, strict=True):
                    actual = totals.actual[g, end]
                    row = _band_row("total", totals.draws[g, end], actual)
                    row |= _band_row("shocked", None if shocked is None else shocked[g, end], actual)
                    row["shock_windows"] = 0.0 if learnt is None else float(learnt.windows)
                    rows[str(result.origin.date()), label, group, quantity] = row
    return TotalBands(rows=rows)


def closed_windows(
    results: Sequence[OriginResult], lengths: Lengths, *, by: pd.Timestamp | None = None
) -> tuple[Window, ...]:
    """One window of purchases per origin: the longest one that had closed ``by`` the day (or the longest of all)."""
    windows: list[Window] = []
    for result in results:
        known = [
            h for h, days in enumerate(lengths.days) if by is None or result.origin + pd.Timedelta(days=int(days)) <= by
        ]
        if known:
            windows += _window(result, lengths.periods[known[-1]])
    return tuple(windows)


def shocked_draws(totals: Totals, shock: CommonShock, seed: int) -> Floats:
    """The draws of the totals after a common shock, shape (group, end, draw).

    A period's multiplier is the same for all customers, so moving the sums moves every customer.
    """
    period = np.ceil(totals.ends / PERIOD_DAYS - 1e-9).astype(np.intp) - 1
    draws = totals.draws.shape[-1]
    multipliers = shock.multipliers(seed=seed, first_draw=0, draws=draws, periods=int(period[-1]) + 1)
    new = np.diff(totals.draws, axis=1, prepend=0.0)
    return np.asarray(np.cumsum(new * multipliers.T[period], axis=1))


def shock_of(results: Sequence[OriginResult], lengths: Lengths) -> ShockEstimate | None:
    """The common shock learnt from all windows: for forecasts from now on."""
    return estimate_shock(closed_windows(results, lengths))


def _window(result: OriginResult, ends: Days) -> list[Window]:
    """The window up to the last of ``ends``; none where the model expects no purchase in a period."""
    totals = result.totals[PURCHASES]
    at = np.searchsorted(totals.ends, ends)
    draws = np.diff(totals.draws[0, at], axis=0, prepend=0.0)
    if not (draws.mean(axis=1) > 0.0).all():
        return []
    end = result.origin + pd.Timedelta(days=int(ends[-1]))
    return [window_of(result.origin, end, np.diff(totals.actual[0, at], prepend=0.0), draws)]


def _band_row(name: str, draws: Floats | None, actual: float) -> dict[str, float]:
    if draws is None:
        return dict.fromkeys((f"{name}_lower", f"{name}_upper", f"{name}_covered"), float("nan"))
    low, high = band(draws, PROB)
    return {
        f"{name}_lower": float(low),
        f"{name}_upper": float(high),
        f"{name}_covered": float(low <= actual <= high),
    }
