"""What is asked of ``allowable_spend``, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError
from clv_forecast.finance.spend import BASES, CONFIDENCES
from clv_forecast.finance.uplift import Uplift, as_uplift
from clv_forecast.forecasting.result import Forecast
from clv_forecast.units import Horizon, month_in, units_per_year

MOST_ROI: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendTerms:
    """What was asked for; ``length``, ``limit`` (of payback) and ``month`` are in the plan's unit."""

    horizon: str
    length: float
    basis: str
    target_roi: float
    confidence: int
    limit: float | None
    limit_months: float | None
    month: float
    by: str | None
    uplift: Uplift | None


def spend_terms(
    forecast: Forecast,
    *,
    horizon: str,
    basis: str,
    target_roi: float,
    confidence: float,
    payback: str | None,
    uplift: float | Uplift | None,
    by: str | None,
) -> SpendTerms:
    """Check what was asked for; see ``allowable_spend``.

    Raises
    ------
    DomainError
        If an argument is outside its domain.
    """
    if not forecast.plan.has_spend:
        raise DomainError("A spend is money: the forecast needs a spend part.", remedy="Fit with spend='gamma_gamma'.")
    if basis not in BASES:
        raise DomainError("Unknown basis.", value=repr(basis), remedy=f"Known: {', '.join(BASES)}.")
    wanted = checked_roi(target_roi)
    level = 100.0 * finite_number(confidence, "confidence")
    if round(level) not in CONFIDENCES or abs(level - round(level)) > 1e-9:
        listed = ", ".join(f"{c / 100:.2f}" for c in CONFIDENCES)
        raise DomainError("confidence is one of the levels whose quantiles are kept.", value=confidence, remedy=listed)
    horizon = forecast.horizons.one(horizon)
    years = forecast.horizons.only(horizon).years[0]
    per_year = units_per_year(forecast.plan.unit)
    limit = None if payback is None else Horizon.parse(payback, lifetime_years=years).years
    if limit is not None and limit > years * (1.0 + 1e-9):
        raise DomainError("payback must not be longer than the horizon.", value=f"{payback} beyond {horizon}")
    month = month_in(forecast.plan.unit)
    return SpendTerms(
        horizon=horizon,
        length=years * per_year,
        basis=basis,
        target_roi=wanted,
        confidence=round(level),
        limit=None if limit is None else limit * per_year,
        limit_months=None if limit is None else round(limit * per_year / month, 9),
        month=month,
        by=by,
        uplift=as_uplift(uplift),
    )


def checked_roi(target_roi: float) -> float:
    """Return a target return when it lies in its domain.

    Raises
    ------
    DomainError
        If it is no number above -1 and at most ``MOST_ROI``.

    Examples
    --------
    >>> checked_roi(0.2)
    0.2
    """
    if not -1.0 < finite_number(target_roi, "target_roi") <= MOST_ROI:
        raise DomainError(
            f"target_roi must be above -1 and at most {MOST_ROI:g} (0.2 is a return of 20 %).", value=target_roi
        )
    return float(target_roi)
