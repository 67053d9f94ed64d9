"""What a backtest says, in plain words.

Which bands can be trusted: a status per horizon, quantity and group, by stated rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from scipy import stats

from clv_forecast.evaluation.baselines import IN_WORDS
from clv_forecast.evaluation.common_shock import ShockEstimate, independent_windows
from clv_forecast.evaluation.one_origin import PURCHASES, OriginResult
from clv_forecast.evaluation.score_tables import ALL, NaiveWin
from clv_forecast.evaluation.windows import Lengths
from clv_forecast.forecasting.adjustments import BACKTESTED, FAILED, Evidence
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.printable import printable

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
    *,
    undated: Sequence[str],
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


FEWEST_ORIGINS: Final = 3
_GROUPS_NAMED: Final = 5
_MEASURES: Final = {"rmse": "root mean squared error", "gini": "ordering (Gini)", "top_decile_capture": "top decile"}
_TOLD: Final = {status: status for status in (TRUSTED, TOO_NARROW, TOO_WIDE)} | {NOT_PROVEN: "too little to tell"}
_TOLD_OF_TOTALS: Final = _TOLD | {NOT_PROVEN: "too few windows to tell"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Plain sentences, the most important first, and a status per horizon. Iterates over the sentences.

    Parameters
    ----------
    sentences : tuple of str
    statuses : tuple of BandStatus
    naive_wins : tuple of NaiveWin
        Where a naive forecast was better than the model.
    """

    sentences: tuple[str, ...]
    statuses: tuple[BandStatus, ...]
    naive_wins: tuple[NaiveWin, ...]

    def __iter__(self) -> Iterator[str]:
        return iter(self.sentences)

    def __str__(self) -> str:
        return "\n".join(f"- {sentence}" for sentence in self.sentences)

    def of(
        self, horizon: str, quantity: str = PURCHASES, subject: Subject = "customers", *, group: str = EVERYONE
    ) -> Status:
        """Status of one kind of band; "not proven" where it was not looked at."""
        for found in self.statuses:
            if (found.horizon, found.quantity, found.subject, found.group) == (horizon, quantity, subject, group):
                return found.status
        return NOT_PROVEN


Standing = Literal["trusted", "trusted in part", "not proven", "failed"]


def standing_of(statuses: Sequence[BandStatus], wins: Sequence[NaiveWin], horizon: str) -> Standing:
    """How far forecasts over a horizon can be trusted, all told: at single customers, at totals, against naive ones.

    "failed" where the bands of customers or totals are too narrow; "trusted" where all of them are trusted and no
    naive forecast is better; "trusted in part" where some are trusted; else "not proven".
    """
    found = {one.status for one in _judged(statuses, horizon)}
    if TOO_NARROW in found:
        return "failed"
    if found == {TRUSTED} and not any(win.horizon == horizon for win in wins):
        return "trusted"
    return "trusted in part" if TRUSTED in found else "not proven"


def summary_of(
    statuses: Sequence[BandStatus],
    wins: Sequence[NaiveWin],
    *,
    scores: pd.DataFrame,
    closer: pd.DataFrame,
    horizon: str,
    beyond: str = "",
) -> str:
    """Say in a few sentences how far forecasts over a horizon can be trusted, what failed, and what is not known.

    Parameters
    ----------
    statuses : sequence of BandStatus
    wins : sequence of NaiveWin
    scores, closer : DataFrame
        Of the certificate, and from ``closer_totals``.
    horizon : str
    beyond : str
        What this says of a horizon that was not tested; stands in the first sentence.
    """
    judged = _judged(statuses, horizon)
    customers = [one for one in judged if one.subject == "customers"]
    totals = [one for one in judged if one.subject != "customers"]
    held = [f"{_percent(one.coverage)} of {one.quantity}" for one in customers]
    lay = [_total_in_words(one, scores) for one in totals]
    bands = [(customers, "Customers' 90 % bands held ", held), (totals, "Totals' 90 % bands held ", lay)]
    bands.sort(key=lambda told: all(one.status != TOO_NARROW for one in told[0]))  # what failed comes first
    told = [f"{standing_of(statuses, wins, horizon).capitalize()} over {horizon}{beyond}."]
    told += [f"{head}{_with_status(ones, parts)}." for ones, head, parts in bands if ones]
    return " ".join([*told, _naive_in_words(wins, closer, horizon)])


def _with_status(ones: Sequence[BandStatus], parts: Sequence[str]) -> str:
    """Parts with the status of each; once at the end where it is that of all."""
    words = [_TOLD[one.status] if one.subject == "customers" else _TOLD_OF_TOTALS[one.status] for one in ones]
    if len(set(words)) == 1:
        return f"{_listed(parts)}: {words[0]}"
    return _listed([f"{part} ({word})" for part, word in zip(parts, words, strict=True)])


def _naive_in_words(wins: Sequence[NaiveWin], closer: pd.DataFrame, horizon: str) -> str:
    """Which naive forecasts did better, at single customers and at totals."""
    won = [win for win in wins if win.horizon == horizon]
    told = []
    for method in dict.fromkeys(win.method for win in won):
        measures = dict.fromkeys(f"{_MEASURES[win.measure]} of {win.quantity}" for win in won if win.method == method)
        told.append(f"{IN_WORDS[method]} was better in {_listed(list(measures))}")
    nearer: dict[tuple[str, int, int], list[str]] = {}
    for _, row in closer.iterrows():
        if row["horizon"] == horizon and 2 * row["closer"] > row["origins"]:
            key = (IN_WORDS[str(row["method"])], int(row["closer"]), int(row["origins"]))
            nearer.setdefault(key, []).append(str(row["quantity"]))
    told += [
        f"{method} came closer to the total of {_listed(quantities)} in {count} of {windows} "
        f"window{'s' if windows != 1 else ''}"
        for (method, count, windows), quantities in nearer.items()
    ]
    if not told:
        return "No naive forecast was clearly better."
    unbeaten = "" if won else " (none was clearly better at single customers)"
    return f"Naive forecasts{unbeaten}: {'; '.join(told)}."


def _judged(statuses: Sequence[BandStatus], horizon: str) -> list[BandStatus]:
    """Everyone's bands that count: customers', and totals' with the common shock where it could be tested."""
    mine = [one for one in statuses if one.horizon == horizon and one.group == EVERYONE]
    shocked = {one.quantity for one in mine if one.subject == "total with shock" and one.windows}
    return [
        one
        for one in mine
        if one.subject == "customers" or (one.subject == "total with shock") == (one.quantity in shocked)
    ]


def _total_in_words(found: BandStatus, scores: pd.DataFrame) -> str:
    rows = scores[(scores["group"] == EVERYONE) & (scores["origin"] == ALL)]
    rows = rows[(rows["horizon"] == found.horizon) & (rows["quantity"] == found.quantity)]
    bias = float(rows["bias"].iloc[0]) if len(rows) else float("nan")
    missed = "" if bias != bias else f" (expected {100.0 * abs(bias):.1f} % too {'high' if bias > 0.0 else 'low'})"
    return f"{found.quantity} in {_held(found)} window{'s' if found.windows != 1 else ''}{missed}"


def sentences_of(
    *,
    results: Sequence[OriginResult],
    statuses: Sequence[BandStatus],
    wins: Sequence[NaiveWin],
    closer: pd.DataFrame,
    undated: Sequence[str],
    scores: pd.DataFrame,
    shock_told: str,
    chosen: Sequence[str],
) -> tuple[str, ...]:
    """All sentences: what would mislead first, then the bands, then what it was all tested on."""
    naive = naive_sentences(wins, closer)
    failed = [
        f"The fit failed as of {result.origin.date()}, so this origin tells nothing: {result.failure}"
        for result in results
        if result.failure
    ]
    bands = band_sentences(statuses)
    if sum(not result.failure for result in results) < FEWEST_ORIGINS:
        bands.append(
            "All this rests on one origin: what was special about that time is in it."
            if sum(not result.failure for result in results) == 1
            else "All this rests on two origins."
        )
    totals = [*bias_sentences(scores), *total_sentences(statuses)]
    return (*undated_sentence(undated), *naive, *failed, *bands, *totals, shock_told, *chosen)


def naive_sentences(wins: Sequence[NaiveWin], closer: pd.DataFrame) -> list[str]:
    """Where naive forecasts were better: at single customers, and at totals."""
    told = []
    for method in dict.fromkeys(win.method for win in wins):
        parts = [
            f"{_MEASURES[w.measure]} of {w.quantity} over {w.horizon} ({w.naive:.3g} against {w.model:.3g}, "
            f"standard error of the difference {w.error:.2g})"
            for w in wins
            if w.method == method
        ]
        told.append(f"A naive forecast beats the model: {IN_WORDS[method]}, in {_listed(parts)}.")
    if not wins:
        told.append(
            "No naive forecast clearly beats the model at single customers (squared error, ordering, top decile)."
        )
    for _, row in closer.iterrows() if not closer.empty else ():
        if row["origins"] >= FEWEST_ORIGINS and 2 * row["closer"] > row["origins"]:
            told.append(
                f"For the total of {row['quantity']} over {row['horizon']}, {IN_WORDS[str(row['method'])]} came closer "
                f"than the model in {row['closer']} of {row['origins']} windows."
            )
    return told


def band_sentences(statuses: Sequence[BandStatus]) -> list[str]:
    """Customers' bands: which can be trusted, which not, and by how much to widen; then groups that stand out."""
    told = []
    for found in statuses:
        if found.subject != "customers" or found.group != EVERYONE:
            continue
        what = f"Customers' bands of {found.quantity} over {found.horizon}"
        seen = f"the 90 % band held {_percent(found.coverage)}"
        if found.standard_error is not None:
            seen += f" (standard error {100 * found.standard_error:.1f} points)"
        if found.status == TRUSTED:
            told.append(f"{what} can be trusted: {seen}.")
        elif found.status == NOT_PROVEN:
            told.append(f"{what} are not proven: {seen}.")
        else:
            advice = f"take the {_percent(found.level_for_90)} band to cover 90 %"
            told.append(f"{what} are {found.status}: {seen}; {advice}.")
    for status in (TOO_NARROW, TOO_WIDE):
        groups = [s for s in statuses if s.subject == "customers" and s.group != EVERYONE and s.status == status]
        if groups:
            named = [
                f"{printable(s.group)} ({s.quantity}, {s.horizon}: {_percent(s.coverage)})"
                for s in groups[:_GROUPS_NAMED]
            ]
            more = f" and {len(groups) - _GROUPS_NAMED} more" if len(groups) > _GROUPS_NAMED else ""
            told.append(f"Bands are {status} in single groups, the 90 % band held: {', '.join(named)}{more}.")
    return told


def bias_sentences(scores: pd.DataFrame) -> list[str]:
    """By how much the expected totals missed, over all windows and from the lowest to the highest."""
    everyone = scores[scores["group"] == EVERYONE]
    told = []
    for horizon in dict.fromkeys(everyone["horizon"]):
        parts = []
        for quantity in dict.fromkeys(everyone["quantity"]):
            rows = everyone[(everyone["horizon"] == horizon) & (everyone["quantity"] == quantity)]
            together = rows.loc[rows["origin"] == ALL, "bias"].dropna()
            single = rows.loc[rows["origin"] != ALL, "bias"].dropna()
            if len(together) and len(single):
                spread = f" ({100 * single.min():+z.1f} to {100 * single.max():+z.1f} % in single windows)"
                parts.append(f"{quantity} by {100 * together.iloc[0]:+z.1f} %{spread if len(single) > 1 else ''}")
        if parts:
            told.append(f"Expected totals over {horizon} missed what came: {', '.join(parts)}.")
    return told


def total_sentences(statuses: Sequence[BandStatus]) -> list[str]:
    """Totals: on how many windows their bands were tested, and how many they held."""
    told = []
    shocked = {(s.horizon, s.quantity): s for s in statuses if s.subject == "total with shock"}
    for found in (s for s in statuses if s.subject == "total"):
        moved = shocked[found.horizon, found.quantity]
        after = "; no window had closed before another began, so a shock could not be tested"
        if moved.windows:
            after = f"; with the shock learnt from windows closed before, {_held(moved)} ({moved.status})"
        told.append(
            f"The 90 % band of the total of {found.quantity} over {found.horizon} was tested on {_windows(found)}: "
            f"without a common shock it held in {_held(found)} ({found.status}){after}."
        )
    return told


def shock_sentence(shock: ShockEstimate | None, lengths: Lengths) -> str:
    """What was learnt about the common shock, and from how much."""
    if shock is None:
        return "No common shock could be learnt."
    low, high = shock.level_interval
    return (
        f"The common shock has a level of {shock.shock.level:.2f} (90 % interval {low:.2f} to {high:.2f}) and monthly "
        f"noise of {shock.shock.noise:.2f}, learnt from {_counted(shock.windows, shock.independent)}; "
        f"the longest horizon tested is {lengths.labels[-1]}."
    )


def undated_sentence(undated: Sequence[str]) -> list[str]:
    """That an attribute without a date makes a backtest prove nothing."""
    if not undated:
        return []
    return [
        f"Nothing is proven: the model uses {_listed(list(undated))}, known only as of today. At an origin it may "
        "carry what came after; give it a date, or leave it out of the model."
    ]


def _windows(found: BandStatus) -> str:
    return _counted(found.windows, found.independent)


def _counted(windows: int, independent: int) -> str:
    if independent == windows:
        return f"{windows} independent window{'s' if windows != 1 else ''}"
    return f"{windows} windows, {independent} of them independent"


def _held(found: BandStatus) -> str:
    return f"{round((found.coverage or 0.0) * found.windows)} of {found.windows}"


def _percent(share: float | None) -> str:
    if share is None:
        return "-"
    return f"{100 * share:.1f} %" if share < 0.995 else f"{100 * share:.2f} %"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
