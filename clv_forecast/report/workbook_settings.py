"""What the workbook may change and what it may not: the published settings, their cells, and the shared formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from clv_forecast.finance.allowances import BARELY_MORE
from clv_forecast.report.report import Report

ASSUMPTIONS: Final = "Assumptions"
SIMULATED: Final = "SIMULATED DATA. "
_EQUAL: Final = "1E-9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Published settings of a report's allowable spend.

    Parameters
    ----------
    target_roi, confidence : float or None
        None where the report has no allowable spend: then nothing is live.
    margin : float or None
        The one margin that all values are proportional to; None where there is no such margin.
    margin_words : str
        What stands in the place of the number where the margin is locked.
    why_locked : str
        Why the margin is locked; empty where it is live.
    simulated : bool
    """

    target_roi: float | None
    confidence: float | None
    margin: float | None
    margin_words: str
    why_locked: str
    simulated: bool

    @property
    def live(self) -> bool:
        """Whether anything can be changed."""
        return self.target_roi is not None


def settings_of(report: Report) -> Settings:
    """Read the settings of a report: those of its first allowable spend."""
    first = next(iter(report.spends), None)
    margin, words, why = _margin(report)
    return Settings(
        target_roi=None if first is None else first.target_roi,
        confidence=None if first is None else first.confidence,
        margin=margin,
        margin_words=words,
        why_locked=why,
        simulated=report.simulated,
    )


def _margin(report: Report) -> tuple[float | None, str, str]:
    """The margin that all values are proportional to, how it is shown, and why it is locked if it is."""
    terms = report.forecast.assumptions
    given = terms["margin"]
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None, "by account", "Locked: margins differ by account, so values are not proportional to one number."
    words = per_cent(given)
    if given <= 0.0:
        return None, words, "Locked: values can only be scaled from a margin above 0."
    if any(terms[name] != 0.0 for name in ("cost_to_serve", "cost_per_order")):
        return None, words, "Locked: there are costs beside the margin, so values are not proportional to it."
    return float(given), words, ""


def cents(at_horizon: str, repaid: str | None) -> str:
    """Return the formula of an allowance in whole cents, from the cells of value at the horizon and within the limit.

    Examples
    --------
    >>> cents("A1", None)
    'INT(MAX(0,A1*margin_scale/roi_factor)*100*1.0000000000001)'
    """
    earns = f"{at_horizon}*margin_scale/roi_factor"
    if repaid is not None:
        earns = f"MIN({earns},{repaid}*margin_scale)"
    return f"INT(MAX(0,{earns})*100*{BARELY_MORE:.13f})"


def at_level(cells: str) -> str:
    """Return the formula that picks the chosen confidence among cells of all stored levels."""
    return f"INDEX({cells},confidence_place)"


def banner_text(settings: Settings) -> str:
    """Return what the banner says while nothing has been changed."""
    mark = SIMULATED if settings.simulated else ""
    if settings.target_roi is None or settings.confidence is None:
        return f"{mark}As published."
    return f"{mark}As published: target return {per_cent(settings.target_roi)}, confidence " + (
        f"{per_cent(settings.confidence)}, margin {settings.margin_words}."
    )


def banner_formula(settings: Settings) -> str:
    """Return the formula of the banner: as published, different from the published run, or not valid."""
    mark = SIMULATED if settings.simulated else ""
    changed = _changed("target return ", "target_roi", settings.target_roi)
    changed += _changed(", confidence ", "confidence", settings.confidence)
    if settings.margin is not None:
        changed += _changed(", margin ", "margin", settings.margin)
    return (
        f'=IF(settings_valid,IF(as_published,"{banner_text(settings)}",'
        f'"{mark}DIFFERS FROM THE PUBLISHED RUN: "{changed}&"."),'
        f'"{mark}NOT VALID: target return above -100 %, confidence from the list'
        f'{", margin above 0" if settings.margin is not None else ""}.")'
    )


def valid_formula(settings: Settings, levels: str) -> str:
    """Return the formula that says whether the settings can be calculated with."""
    parts = [
        "ISNUMBER(target_roi)",
        "IF(ISNUMBER(target_roi),target_roi>-1,FALSE)",
        f"ISNUMBER(MATCH(ROUND(100*confidence,6),{levels},0))",
    ]
    if settings.margin is not None:
        parts.append("IF(ISNUMBER(margin),margin>0,FALSE)")
    return f"=IFERROR(AND({','.join(parts)}),FALSE)"


def as_published_formula(settings: Settings) -> str:
    """Return the formula that compares the live cells with the published values."""
    pairs = [("target_roi", settings.target_roi), ("confidence", settings.confidence)]
    if settings.margin is not None:
        pairs.append(("margin", settings.margin))
    same = ",".join(f"ABS({name}-published_{name})<{_EQUAL}" for name, _ in pairs)
    return f"=IFERROR(AND({same}),FALSE)"


def _changed(words: str, name: str, published: Any) -> str:
    return f'&"{words}"&ROUND(100*{name},4)&" % (published {per_cent(published)})"'


def per_cent(share: float) -> str:
    """Return a share in per cent, as the banner's formula shows it.

    Examples
    --------
    >>> per_cent(0.225)
    '22.5 %'
    """
    return f"{round(100.0 * share, 4):zg} %"
