"""The first sheet: live assumptions, those that need a re-run, and what they make of the allowable spend.

The sheet of method: how the figures come about, in words.

The last sheet: what stands between the settings and the sheets, what pools reach, and all assumptions as stored.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.column_titles import COUNT, MONEY, RATIO, TEXT, title_of
from clv_forecast.finance.allowances import allowance
from clv_forecast.finance.spend import ACQUIRE, CONFIDENCES, MOST_ROI, WHAT_THE_BASIS_MEANS, AllowableSpend
from clv_forecast.report.report import Report, flat_assumptions, hash_of, plain_assumptions
from clv_forecast.report.workbook_cells import (
    ASSUMPTIONS,
    LOW_HEADER,
    Look,
    Settings,
    as_published_formula,
    at_level,
    banner_formula,
    banner_text,
    cents,
    clean_zeros,
    per_cent,
    print_whole,
    put,
    put_headers,
    put_text,
    valid_formula,
)
from clv_forecast.report.workbook_spend import ALLOWANCES, SpendSheet, letter_of

_WIDTH: Final = 110.0
_LINE: Final = 120
_HEIGHT: Final = 15.0

_ALLOWANCES: Final = (
    (
        "Value at stake",
        "The expected discounted contribution that hangs on the spend, over the horizon. What the account brought "
        "before, and what was spent on it before, does not enter.",
    ),
    (
        "Allowable on average",
        "Value at stake / (1 + target return). Spent on many such accounts, it earns the target return on average, "
        "without any caution.",
    ),
    (
        "Allowable, risk pooled",
        "What all accounts of a pool reach together with the chosen confidence, / (1 + target return), shared in "
        "proportion to what is expected of each. The shares add up to the pool to the cent. It holds only if it is "
        "spent on all of them.",
    ),
    (
        "Allowable, each for itself",
        "What this very account reaches with the chosen confidence, / (1 + target return). Few accounts are that "
        "certain, so it is often 0; the reason is in the last column.",
    ),
    (
        "Payback limit",
        "With a limit each allowance is also at most what has come back within the limit, by the same measure.",
    ),
    (
        "Accounts that lose money",
        "An account whose forecast is a loss gets no allowance, whatever the settings.",
    ),
    (
        "Rounding",
        "Allowances are whole cents, rounded down. At the published settings they are those of the run; at others they "
        "are what a run with those settings gives, to the cent, as long as its other assumptions are the same.",
    ),
    (
        "Margin",
        "Where one margin holds for all accounts and there are no other costs, every value is proportional to it, so "
        "another margin scales all values. Only the sheets of allowable spend follow; the others stay as published.",
    ),
    (
        "Payback month and P(payback)",
        "Of the published settings only; shown in grey when the settings differ.",
    ),
    (
        "Using the sheets",
        "Filters work as they are. To sort or to edit, take off the protection (there is no password): every row "
        "reads only its own cells, so whole rows can be sorted. Behind the last column of a sheet of allowable spend "
        "lie, hidden, the values reached with each stored confidence.",
    ),
)


def write_method(sheet: Any, report: Report, settings: Settings, *, look: Look) -> None:
    """Fill the sheet with sentences."""
    put_text(sheet, 0, 0, text="Method", look=look, role="title")
    lines = _lines(report, settings)
    row = 3
    for head, text in lines:
        if not text:
            row += 1
            put_text(sheet, row, 0, text=head, look=look, role="section")
        else:
            put_text(sheet, row, 0, text=head, look=look, role="plain")
            put_text(sheet, row, 1, text=text, look=look, role="words")
            sheet.set_row(row, _HEIGHT * max(1, -(-len(text) // _LINE)))
        row += 1
    sheet.set_column(0, 0, 30.0)
    sheet.set_column(1, 1, _WIDTH)
    sheet.freeze_panes(3, 0)
    print_whole(sheet, row - 1, 1, width=30.0 + _WIDTH)


def _lines(report: Report, settings: Settings) -> list[tuple[str, str]]:
    forecast = report.forecast
    lines = [
        ("The forecast", ""),
        (
            "Value",
            "Discounted contribution: each purchase brings amount x margin less the cost of an order, discounted at "
            "the time of the purchase, less a yearly cost to serve while the account is alive. It may be negative.",
        ),
        ("Bands", f"Hold {per_cent(forecast.prob)} of what may come, luck included."),
        *(("Note", note) for note in forecast.notes),
    ]
    if report.certificate is not None:
        lines.append(("Backtest", report.certificate.summary(report.horizon)))
        lines.extend(("Backtest", sentence) for sentence in report.certificate.verdict.sentences)
    if settings.live:
        lines += [("Allowable spend", ""), *_ALLOWANCES]
        for spend in report.spends:
            lines.append((f"Basis: {spend.basis}", WHAT_THE_BASIS_MEANS[spend.basis]))
            lines.extend(("Note", note) for note in spend.notes)
    if report.ranking is not None:
        lines += [("Ranking", ""), *(("Note", note) for note in report.ranking.notes)]
    if report.cohorts is not None:
        lines += [("Cohorts", ""), *(("Note", note) for note in report.cohorts.notes)]
    return lines


TECHNICAL: Final = "Technical"
_VERSIONS: Final = ("clv-forecast", "numpy", "scipy", "pandas")
_LEVELS_FROM: Final = 1
_POOL_LEVELS_FROM: Final = 2
_TECHNICAL_WIDTHS: Final = (44.0, *[16.0] * 17)


def write_technical(
    workbook: Any, sheet: Any, report: Report, *, settings: Settings, plans: tuple[SpendSheet, ...], look: Look
) -> None:
    """Fill the sheet, and name the cells that the formulas of other sheets read."""
    put_text(sheet, 0, 0, text="Technical: for checks, nothing to read here", look=look, role="title")
    row, last = 3, _POOL_LEVELS_FROM + len(CONFIDENCES) - 1
    if settings.live:
        row = _write_worked_out(workbook, sheet, settings, row=row, look=look)
    for plan in plans:
        row = _write_pools(workbook, sheet, plan, row=row + 1, look=look)
        last = max(last, _POOL_LEVELS_FROM + len(plan.spend.pools.columns[2:]) * len(CONFIDENCES) - 1)
    row = _write_all(sheet, report, row + 1, look=look)
    for place, width in enumerate(_TECHNICAL_WIDTHS[: last + 1]):
        sheet.set_column(place, place, width)
    sheet.freeze_panes(3, 1)
    print_whole(sheet, row - 1, last, width=sum(_TECHNICAL_WIDTHS[: last + 1]))


def _write_worked_out(workbook: Any, sheet: Any, settings: Settings, *, row: int, look: Look) -> int:
    """Write the cells between the settings and the sheets: few formulas, so that the many stay short."""
    put_text(sheet, row, 0, text="Worked out from the settings", look=look, role="section")
    put_text(sheet, row + 1, 0, text="Confidence levels stored", look=look, role="plain")
    for place, level in enumerate(CONFIDENCES, start=_LEVELS_FROM):
        sheet.write_number(row + 1, place, level / 100, look.roles["level"])
        sheet.write_number(row + 2, place, level, look.kinds[COUNT])
    put_text(sheet, row + 2, 0, text="The same in per cent", look=look, role="plain")
    workbook.define_name("confidence_levels", f"={TECHNICAL}!$B${row + 2}:$I${row + 2}")
    levels = f"$B${row + 3}:$I${row + 3}"
    place_of = CONFIDENCES.index(round(100 * (settings.confidence or 0.0))) + 1
    scale = "margin/published_margin" if settings.margin is not None else "1"
    lines: list[tuple[str, str, str, Any, str]] = [
        ("settings_valid", "Settings can be calculated with", valid_formula(settings, levels), True, "right"),
        ("as_published", "Settings are the published ones", as_published_formula(settings), True, "right"),
        (
            "confidence_place",
            "Place of the confidence among the levels",
            f"=IF(settings_valid,MATCH(ROUND(100*confidence,6),{levels},0),NA())",
            place_of,
            COUNT,
        ),
        (
            "roi_factor",
            "1 + target return",
            "=IF(settings_valid,1+target_roi,NA())",
            1.0 + (settings.target_roi or 0.0),
            RATIO,
        ),
        ("margin_scale", "Margin over the published margin", f"=IF(settings_valid,{scale},NA())", 1.0, RATIO),
    ]
    for offset, (name, label, formula, value, kind) in enumerate(lines, start=3):
        put_text(sheet, row + offset, 0, text=label, look=look, role="plain")
        sheet.write_formula(row + offset, 1, formula, look.kinds.get(kind) or look.roles[kind], value)
        workbook.define_name(name, f"={TECHNICAL}!$B${row + offset + 1}")
    return row + 3 + len(lines)


def _write_pools(workbook: Any, sheet: Any, plan: SpendSheet, *, row: int, look: Look) -> int:
    """Write what the pools of one allowable spend reach at each level, and name the cells with the cents of each."""
    spend = plan.spend
    put_text(sheet, row, 0, text=f"What the pools of the sheet {plan.name} reach together", look=look, role="section")
    heads = [("Pool", TEXT), ("The pool, in cents", COUNT)]
    heads += [(f"The pool reaches, with {level} %", MONEY) for level in CONFIDENCES]
    if "repaid" in spend.pools:
        heads += [(f"Within the payback limit, with {level} %", MONEY) for level in CONFIDENCES]
    put_headers(sheet, row + 1, heads, look=look)
    first = row + 2
    for index, group in enumerate(spend.totals["group"].tolist(), start=first):
        put(sheet, index, 0, value=group, kind=TEXT, look=look)
        levels = _levels_of(spend.pools, group)
        spans = [
            f"${letter_of(start)}{index + 1}:${letter_of(start + len(CONFIDENCES) - 1)}{index + 1}"
            for start in range(_POOL_LEVELS_FROM, _POOL_LEVELS_FROM + len(levels) * len(CONFIDENCES), len(CONFIDENCES))
        ]
        formula = "=" + cents(at_level(spans[0]), at_level(spans[1]) if len(spans) > 1 else None)
        if plan.live:
            sheet.write_formula(index, 1, formula, look.kinds[COUNT], pool_of(spend, group))
        else:
            sheet.write_number(index, 1, pool_of(spend, group), look.kinds[COUNT])
        for place, value in enumerate(np.concatenate(levels).tolist(), start=_POOL_LEVELS_FROM):
            put(sheet, index, place, value=value, kind=MONEY, look=look)
    last = first + len(spend.totals) - 1
    workbook.define_name(plan.pool, f"={TECHNICAL}!$B${first + 1}:$B${last + 1}")
    return last + 1


def pool_of(spend: AllowableSpend, group: Any) -> float:
    """Cents of a pool at the published settings."""
    place = CONFIDENCES.index(round(100 * spend.confidence))
    reached, *repaid = (values[place : place + 1] for values in _levels_of(spend.pools, group))
    return float(allowance(reached, repaid[0] if repaid else None, spend.target_roi)[0])


def _levels_of(pools: pd.DataFrame, group: Any) -> list[NDArray[np.float64]]:
    """What one pool reaches with the stored levels, and within the payback limit where there is one."""
    own = pools[(pools["group"] == group).fillna(False)].set_index("confidence").loc[list(CONFIDENCES)]
    return [own[name].to_numpy(dtype=np.float64) for name in ("reached", "repaid") if name in own]


def _write_all(sheet: Any, report: Report, row: int, *, look: Look) -> int:
    """Write all assumptions of the published run by the names they are stored under, their hash, and versions."""
    plain = plain_assumptions(report)
    rows = flat_assumptions(plain)
    given = {name: value for name, value in rows if name.startswith("forecast.")}
    # A spend repeats the terms of the forecast: they are hashed, but need not be read twice
    repeated = {name.split(".")[1] for name in given}
    shown = [(name, value) for name, value in rows if name in given or name.rpartition(".")[2] not in repeated]
    put_text(sheet, row, 0, text="All assumptions of the published run, as stored", look=look, role="section")
    lines = [("SHA-256 of them", hash_of(plain)), *shown]
    lines += [(f"Version of {name}", metadata.version(name)) for name in _VERSIONS]
    for offset, (name, value) in enumerate(lines, start=1):
        put_text(sheet, row + offset, 0, text=name, look=look, role="plain")
        if isinstance(value, int | float) and not isinstance(value, bool):
            sheet.write_number(row + offset, 1, value, look.roles["aside"])
        else:
            text = {None: "none", True: "yes", False: "no"}.get(value, value)
            put_text(sheet, row + offset, 1, text=str(text), look=look, role="aside")
    return row + 1 + len(lines)


_BANNER: Final = 1
_HEAD: Final = 4
_LIVE: Final = "Live: change it, and the allowable spend follows."
_RE_RUN: Final = "Locked: it needs a re-run."
_ONE_LINE: Final = 16.0
_BANNER_COLUMNS: Final = 50
_WIDTHS: Final = (34.0, *[20.0] * 7)


def write_assumptions(
    workbook: Any, sheet: Any, report: Report, *, settings: Settings, plans: tuple[SpendSheet, ...], look: Look
) -> None:
    """Fill the sheet of assumptions and name its cells."""
    forecast = report.forecast
    put_text(sheet, 0, 0, text=report.title, look=look, role="title")
    _write_banner(workbook, sheet, settings, look=look)
    money = f"money in {forecast.currency}" if forecast.currency else "currency not named"
    line = f"{forecast.plan.customers:,} accounts as of {forecast.as_of:%Y-%m-%d}; {money}."
    if report.simulated:
        put_text(sheet, 2, 0, text=f"SIMULATED DATA: made up, of no real customers. {line}", look=look, role="warning")
        sheet.set_row(2, None, look.roles["warning"])
    else:
        put_text(sheet, 2, 0, text=line, look=look, role="quiet")
    heads = [("Assumption", TEXT), ("In this workbook", MONEY), ("Published", MONEY), ("What it does", TEXT)]
    put_headers(sheet, _HEAD, heads, look=look, height=_ONE_LINE)
    row = _HEAD + 1
    if settings.live:
        row = _write_live(workbook, sheet, settings, row=row, look=look)
    row = _write_locked(sheet, report, settings, row=row, look=look)
    if settings.live:
        row = _write_outcome(sheet, plans, row + 1, look=look)
    else:
        put_text(
            sheet, row + 1, 0, text="No allowable spend was given, so nothing here is live.", look=look, role="quiet"
        )
        row += 2
    print_whole(sheet, row - 1, len(_WIDTHS) - 1, width=sum(_WIDTHS))
    for place, width in enumerate(_WIDTHS):
        sheet.set_column(place, place, width)
    sheet.freeze_panes(_BANNER + 1, 0)


def _write_banner(workbook: Any, sheet: Any, settings: Settings, *, look: Look) -> None:
    workbook.define_name("banner", f"={ASSUMPTIONS}!$A${_BANNER + 1}")
    text = banner_text(settings)
    if not settings.live:
        put_text(sheet, _BANNER, 0, text=text, look=look, role="banner")
        return
    sheet.write_formula(_BANNER, 0, banner_formula(settings), look.roles["banner"], text)
    warn_when_changed(sheet, look)


def warn_when_changed(sheet: Any, look: Look) -> None:
    """Make the banner's row stand out when the settings are not the published ones."""
    sheet.set_row(_BANNER, None, look.roles["banner"])
    rule = {"type": "formula", "criteria": "=NOT(as_published)", "format": look.roles["warning"]}
    sheet.conditional_format(_BANNER, 0, _BANNER, _BANNER_COLUMNS, rule)


def repeat_banner(sheet: Any, settings: Settings, look: Look) -> None:
    """Show the banner on another sheet too."""
    if not settings.live:
        put_text(sheet, _BANNER, 0, text=banner_text(settings), look=look, role="banner")
        return
    sheet.write_formula(_BANNER, 0, "=banner", look.roles["banner"], banner_text(settings))
    warn_when_changed(sheet, look)


def _write_live(workbook: Any, sheet: Any, settings: Settings, *, row: int, look: Look) -> int:
    """Write the cells that may be changed, beside their published values."""
    listed = ", ".join(str(level) for level in CONFIDENCES)
    lines = [
        ("target_roi", "Target return on the spend", settings.target_roi, "live_share", _LIVE),
        ("confidence", "Confidence", settings.confidence, "live_level", f"{_LIVE} One of {listed} %."),
        ("margin", "Margin", settings.margin, "live_share", settings.why_locked or f"{_LIVE} All values are scaled."),
    ]
    for name, label, published, role, words in lines:
        put_text(sheet, row, 0, text=label, look=look, role="plain")
        if published is None:
            put_text(sheet, row, 1, text=settings.margin_words, look=look, role="locked_text")
            put_text(sheet, row, 2, text=settings.margin_words, look=look, role="locked_text")
        else:
            sheet.write_number(row, 1, published, look.roles[role])
            sheet.write_number(row, 2, published, look.roles["locked_share"])
            sheet.data_validation(row, 1, row, 1, _validation(name))
        put_text(sheet, row, 3, text=words, look=look, role="aside")
        workbook.define_name(name, f"={ASSUMPTIONS}!$B${row + 1}")
        workbook.define_name(f"published_{name}", f"={ASSUMPTIONS}!$C${row + 1}")
        row += 1
    return row


def _validation(name: str) -> dict[str, Any]:
    if name == "confidence":
        return {
            "validate": "list",
            "source": "=confidence_levels",
            "input_title": "Confidence",
            "input_message": "Choose one of the stored levels.",
            "error_title": "Not stored",
            "error_message": "Only the listed levels are stored; another needs a re-run.",
        }
    least, most, words = (-0.99, MOST_ROI, "20% is a return of a fifth on top of the spend.")
    if name == "margin":
        least, most, words = (0.0001, 1.0, "Share of revenue that is left, such as 30%.")
    return {
        "validate": "decimal",
        "criteria": "between",
        "minimum": least,
        "maximum": most,
        "input_title": "A share",
        "input_message": words,
        "error_title": "Outside its domain",
        "error_message": f"A share between {least:.0%} and {most:.0%}.",
    }


def _write_locked(sheet: Any, report: Report, settings: Settings, *, row: int, look: Look) -> int:
    """Write what needs a re-run."""
    terms = report.forecast.assumptions
    lines: list[tuple[str, Any, str]] = [] if settings.live else [("Margin", settings.margin_words, "locked_text")]
    lines.append(("Discount rate a year", terms["discount_rate_annual"], "locked_share"))
    if settings.live:
        for spend in report.spends:
            limit = "none" if spend.payback_limit_months is None else f"{spend.payback_limit_months:g} months"
            lines.append((f"Horizon ({spend.basis})", spend.horizon, "locked_text"))
            lines.append((f"Payback limit ({spend.basis})", limit, "locked_text"))
    else:
        lines.append(("Horizon", report.horizon, "locked_text"))
    for label, value, role in lines:
        put_text(sheet, row, 0, text=label, look=look, role="plain")
        for place in (1, 2):
            if isinstance(value, str):
                put_text(sheet, row, place, text=value, look=look, role=role)
            else:
                sheet.write_number(row, place, float(value), look.roles[role])
        put_text(sheet, row, 3, text=_RE_RUN, look=look, role="aside")
        row += 1
    return row


def _write_outcome(sheet: Any, plans: tuple[SpendSheet, ...], row: int, *, look: Look) -> int:
    """Write what the settings make of each allowable spend."""
    put_text(sheet, row, 0, text="Allowable spend at these settings", look=look, role="section")
    currency = plans[0].spend.currency
    heads = [
        ("Basis", TEXT),
        ("Horizon", TEXT),
        *((title_of(name, MONEY, currency), MONEY) for name in ("value_at_stake", *ALLOWANCES)),
        ("Rows with a pooled allowance", COUNT),
        ("Rows with one for themselves", COUNT),
    ]
    put_headers(sheet, row + 1, heads, look=look, height=LOW_HEADER)
    row += 2
    for plan in plans:
        table = plan.spend.table
        each = " (each)" if plan.spend.basis == ACQUIRE else ""
        put_text(sheet, row, 0, text=f"{plan.spend.basis}{each}{'' if plan.live else ' (fixed)'}", look=look)
        put_text(sheet, row, 1, text=plan.spend.horizon, look=look)
        for place, name in enumerate(("value_at_stake", *ALLOWANCES), start=2):
            formula, total = f"=SUM({plan.cells(name)})", float(table[name].sum())
            sheet.write_formula(row, place, formula, look.kinds[MONEY], round(total, 2))
        for place, name in enumerate(("allowable_pooled", "allowable_single"), start=6):
            formula, count = f'=COUNTIF({plan.cells(name)},">0")', int((table[name] > 0.0).sum())
            sheet.write_formula(row, place, formula, look.kinds[COUNT], count)
        row += 1
    for place in range(2, 6):
        clean_zeros(sheet, (row - len(plans), row - 1), place, look=look)
    return row
