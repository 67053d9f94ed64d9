"""Which bands can be trusted: a status per horizon, quantity and group, by stated rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from scipy import stats

from clv_forecast.evaluation.common_shock import independent_windows
from clv_forecast.evaluation.score_tables import ALL
from clv_forecast.evaluation.windows import Lengths
from clv_forecast.forecasting.adjustments import BACKTESTED, FAILED, Evidence
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.totals import EVERYONE

Status = Literal["trusted", "too narrow", "too wide", "not proven"]
Subject = Literal["customers", "total", "total with shock"]

TRUSTED: Final = "trusted"
TOO_NARROW: Final = "too narrow"
TOO_WIDE: Final = "too wide"
NOT_PROVEN: Final = "not proven"

TOLERANCE: Final = 0.03
"""By how much coverage may miss its level: a 90 % band that holds 87 % serves like one that holds 90 %."""
JUDGED_LEVELS: Final = (0.8, 0.9, 0.95)
LEAST_COVERAGE: Final = 0.75
"""A total's band is trusted once such a bad one would do as well one time in 20: from eleven of eleven windows on."""
_SURE: Final = 2.0
_UNLIKELY: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class BandStatus:
    """Whether one kind of band can be trusted.

    Parameters
    ----------
    horizon, quantity, group : str
    subject : {"customers", "total", "total with shock"}
        The bands of single customers, or of their total.
    status : {"trusted", "too narrow", "too wide", "not proven"}
    coverage : float or None
        Share of outcomes inside the nominal 90 % band: of customers (ties split at random), or of windows; None
        without any.
    standard_error : float or None
        Clustered by customer; None for totals, and for fewer than two customers.
    level_for_90 : float or None
        Band to ask for so that 90 % of the customers lie inside; None for totals.
    windows : int
        Origins behind it.
    independent : int
        Most of them whose windows do not overlap.
    """

    horizon: str
    quantity: str
    group: str
    subject: Subject
    status: Status
    coverage: float | None
    standard_error: float | None
    level_for_90: float | None
    windows: int
    independent: int


def customer_statuses(
    calibration: pd.DataFrame,
    scores: pd.DataFrame,
    lengths: Lengths,
    undated: Sequence[str],
    *,
    undated_groups: bool = False,
) -> list[BandStatus]:
    """Statuses of the customers' bands, for everyone and for each group, over all origins together.

    A band is too narrow (too wide) if at 80, 90 or 95 % its coverage is below (above) the level by more than 3 points
    and two standard errors; otherwise not proven if two standard errors exceed 3 points. Nothing is proven of a model
    that used an attribute without a date, nor of groups by such an attribute (``undated_groups``). A standard error
    is at least that of independent customers under an honest band, so that five of five customers prove nothing.
    """
    found: list[BandStatus] = []
    pooled = calibration[calibration["origin"] == ALL]
    for (horizon, quantity, group), rows in pooled.groupby(["horizon", "quantity", "group"], sort=False):
        judged = rows[rows["nominal"].isin(JUDGED_LEVELS)]
        chance = np.sqrt(judged["nominal"] * (1.0 - judged["nominal"]) / judged["customers"])
        error = judged["standard_error"].fillna(np.inf).clip(lower=chance)
        missing, allowed = judged["coverage"] - judged["nominal"], TOLERANCE + _SURE * error
        at_90 = rows[rows["nominal"] == 0.9].iloc[0]
        status: Status = TRUSTED
        if undated or (undated_groups and group != EVERYONE):
            status = NOT_PROVEN
        elif (missing < -allowed).any():
            status = TOO_NARROW
        elif (missing > allowed).any():
            status = TOO_WIDE
        elif _SURE * error.max() > TOLERANCE:
            status = NOT_PROVEN
        same = (scores["horizon"] == horizon) & (scores["quantity"] == quantity) & (scores["group"] == group)
        origins = scores.loc[same & (scores["origin"] != ALL), "origin"]
        found.append(
            BandStatus(
                horizon=str(horizon),
                quantity=str(quantity),
                group=str(group),
                subject="customers",
                status=status,
                coverage=float(at_90["coverage"]),
                standard_error=_known(at_90["standard_error"]),
                level_for_90=float(scores.loc[same & (scores["origin"] == ALL), "level_for_90"].iloc[0]),
                windows=len(origins),
                independent=independent_windows(_spans(origins, str(horizon), lengths)),
            )
        )
    return found


def total_statuses(scores: pd.DataFrame, lengths: Lengths, undated: Sequence[str]) -> list[BandStatus]:
    """Statuses of the bands of everyone's total, without a shock and with the one learnt before each window.

    Too narrow if so few of the independent windows were covered as happens to honest bands one time in 20; trusted if
    so many were covered as happens to bands that hold 75 % one time in 20 (11 of 11, 17 of 18, 21 of 23); else not
    proven.
    """
    found: list[BandStatus] = []
    everyone = scores[(scores["group"] == EVERYONE) & (scores["origin"] != ALL)]
    for (horizon, quantity), rows in everyone.groupby(["horizon", "quantity"], sort=False):
        for subject, column in (("total", "total_covered"), ("total with shock", "shocked_covered")):
            known = rows[rows[column].notna()]
            independent = independent_windows(_spans(known["origin"], str(horizon), lengths))
            covered = _known(known[column].mean())
            found.append(
                BandStatus(
                    horizon=str(horizon),
                    quantity=str(quantity),
                    group=EVERYONE,
                    subject=subject,  # type: ignore[arg-type]
                    status=_total_status(covered, independent, undated),
                    coverage=covered,
                    standard_error=None,
                    level_for_90=None,
                    windows=len(known),
                    independent=independent,
                )
            )
    return found


def _spans(origins: pd.Series[str], horizon: str, lengths: Lengths) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The windows of some origins."""
    length = pd.Timedelta(days=int(lengths.days[lengths.labels.index(horizon)]))
    return [(pd.Timestamp(origin), pd.Timestamp(origin) + length) for origin in origins]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _total_status(covered: float | None, independent: int, undated: Sequence[str]) -> Status:
    if covered is None or undated:
        return NOT_PROVEN
    inside = round(covered * independent)
    if stats.binom.cdf(inside, independent, 0.9) < _UNLIKELY:
        return TOO_NARROW
    return TRUSTED if stats.binom.sf(inside - 1, independent, LEAST_COVERAGE) < _UNLIKELY else NOT_PROVEN


def evidence_of(statuses: Sequence[BandStatus], lengths: Lengths, title: str) -> Evidence | None:
    """What a forecast may say of its horizons: failed where the bands of purchases or revenue are too narrow.

    A horizon has the length that a forecast gives it, of which its window is the whole days: 365 of a year. None where
    nothing is proven.
    """
    horizons = []
    named = Horizons.parse(lengths.labels)
    for label, years in zip(named.labels, named.years, strict=True):
        mine = [s.status for s in statuses if (s.horizon, s.subject, s.group) == (label, "customers", EVERYONE)]
        if TOO_NARROW in mine:
            horizons.append((years, FAILED))
        elif mine and NOT_PROVEN not in mine:
            horizons.append((years, BACKTESTED))
    if not horizons:
        return None
    told = dict(zip(named.years, named.labels, strict=True))
    parts = [f"{told[years]} ({word})" for years, word in horizons]
    return Evidence(
        longest_years=max(years for years, _ in horizons),
        horizons=tuple(horizons),
        sentence=f"Customers' bands of {title} were backtested at {', '.join(parts)}; longer ones are extrapolated.",
    )
