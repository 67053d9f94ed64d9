"""The first sheet: live assumptions, those that need a re-run, and what they make of the allowable spend."""

from __future__ import annotations

from typing import Any, Final

from clv_forecast.column_titles import COUNT, MONEY, TEXT, title_of
from clv_forecast.finance.spend import ACQUIRE, CONFIDENCES, MOST_ROI
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_cells import LOW_HEADER, Look, clean_zeros, print_whole, put_headers, put_text
from clv_forecast.report.workbook_settings import (
    ASSUMPTIONS,
    Settings,
    banner_formula,
    banner_text,
)
from clv_forecast.report.workbook_spend import ALLOWANCES, SpendSheet

_BANNER: Final = 1
_HEAD: Final = 4
_LIVE: Final = "Live: change it, and the allowable spend follows."
_RE_RUN: Final = "Locked: it needs a re-run."
_ONE_LINE: Final = 16.0
_BANNER_COLUMNS: Final = 50
_WIDTHS: Final = (34.0, *[20.0] * 7)


def write_assumptions(
    workbook: Any, sheet: Any, report: Report, settings: Settings, plans: tuple[SpendSheet, ...], look: Look
) -> None:
    """Fill the sheet of assumptions and name its cells."""
    forecast = report.forecast
    put_text(sheet, 0, 0, report.title, look, "title")
    _write_banner(workbook, sheet, settings, look)
    money = f"money in {forecast.currency}" if forecast.currency else "currency not named"
    line = f"{forecast.plan.customers:,} accounts as of {forecast.as_of:%Y-%m-%d}; {money}."
    if report.simulated:
        put_text(sheet, 2, 0, f"SIMULATED DATA: made up, of no real customers. {line}", look, "warning")
        sheet.set_row(2, None, look.roles["warning"])
    else:
        put_text(sheet, 2, 0, line, look, "quiet")
    heads = [("Assumption", TEXT), ("In this workbook", MONEY), ("Published", MONEY), ("What it does", TEXT)]
    put_headers(sheet, _HEAD, heads, look, height=_ONE_LINE)
    row = _HEAD + 1
    if settings.live:
        row = _write_live(workbook, sheet, settings, row, look)
    row = _write_locked(sheet, report, settings, row, look)
    if settings.live:
        row = _write_outcome(sheet, plans, row + 1, look)
    else:
        put_text(sheet, row + 1, 0, "No allowable spend was given, so nothing here is live.", look, "quiet")
        row += 2
    print_whole(sheet, row - 1, len(_WIDTHS) - 1, width=sum(_WIDTHS))
    for place, width in enumerate(_WIDTHS):
        sheet.set_column(place, place, width)
    sheet.freeze_panes(_BANNER + 1, 0)


def _write_banner(workbook: Any, sheet: Any, settings: Settings, look: Look) -> None:
    workbook.define_name("banner", f"={ASSUMPTIONS}!$A${_BANNER + 1}")
    text = banner_text(settings)
    if not settings.live:
        put_text(sheet, _BANNER, 0, text, look, "banner")
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
        put_text(sheet, _BANNER, 0, banner_text(settings), look, "banner")
        return
    sheet.write_formula(_BANNER, 0, "=banner", look.roles["banner"], banner_text(settings))
    warn_when_changed(sheet, look)


def _write_live(workbook: Any, sheet: Any, settings: Settings, row: int, look: Look) -> int:
    """Write the cells that may be changed, beside their published values."""
    listed = ", ".join(str(level) for level in CONFIDENCES)
    lines = [
        ("target_roi", "Target return on the spend", settings.target_roi, "live_share", _LIVE),
        ("confidence", "Confidence", settings.confidence, "live_level", f"{_LIVE} One of {listed} %."),
        ("margin", "Margin", settings.margin, "live_share", settings.why_locked or f"{_LIVE} All values are scaled."),
    ]
    for name, label, published, role, words in lines:
        put_text(sheet, row, 0, label, look, "plain")
        if published is None:
            put_text(sheet, row, 1, settings.margin_words, look, "locked_text")
            put_text(sheet, row, 2, settings.margin_words, look, "locked_text")
        else:
            sheet.write_number(row, 1, published, look.roles[role])
            sheet.write_number(row, 2, published, look.roles["locked_share"])
            sheet.data_validation(row, 1, row, 1, _validation(name))
        put_text(sheet, row, 3, words, look, "aside")
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


def _write_locked(sheet: Any, report: Report, settings: Settings, row: int, look: Look) -> int:
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
        put_text(sheet, row, 0, label, look, "plain")
        for place in (1, 2):
            if isinstance(value, str):
                put_text(sheet, row, place, value, look, role)
            else:
                sheet.write_number(row, place, float(value), look.roles[role])
        put_text(sheet, row, 3, _RE_RUN, look, "aside")
        row += 1
    return row


def _write_outcome(sheet: Any, plans: tuple[SpendSheet, ...], row: int, look: Look) -> int:
    """Write what the settings make of each allowable spend."""
    put_text(sheet, row, 0, "Allowable spend at these settings", look, "section")
    currency = plans[0].spend.currency
    heads = [
        ("Basis", TEXT),
        ("Horizon", TEXT),
        *((title_of(name, MONEY, currency), MONEY) for name in ("value_at_stake", *ALLOWANCES)),
        ("Rows with a pooled allowance", COUNT),
        ("Rows with one for themselves", COUNT),
    ]
    put_headers(sheet, row + 1, heads, look, height=LOW_HEADER)
    row += 2
    for plan in plans:
        table = plan.spend.table
        each = " (each)" if plan.spend.basis == ACQUIRE else ""
        put_text(sheet, row, 0, f"{plan.spend.basis}{each}{'' if plan.live else ' (fixed)'}", look)
        put_text(sheet, row, 1, plan.spend.horizon, look)
        for place, name in enumerate(("value_at_stake", *ALLOWANCES), start=2):
            formula, total = f"=SUM({plan.cells(name)})", float(table[name].sum())
            sheet.write_formula(row, place, formula, look.kinds[MONEY], round(total, 2))
        for place, name in enumerate(("allowable_pooled", "allowable_single"), start=6):
            formula, count = f'=COUNTIF({plan.cells(name)},">0")', int((table[name] > 0.0).sum())
            sheet.write_formula(row, place, formula, look.kinds[COUNT], count)
        row += 1
    for place in range(2, 6):
        clean_zeros(sheet, (row - len(plans), row - 1), place, look)
    return row
