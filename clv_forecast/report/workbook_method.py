"""The sheet of method: how the figures come about, in words."""

from __future__ import annotations

from typing import Any, Final

from clv_forecast.finance.spend import WHAT_THE_BASIS_MEANS
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_cells import Look, print_whole, put_text
from clv_forecast.report.workbook_settings import Settings, per_cent

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


def write_method(sheet: Any, report: Report, settings: Settings, look: Look) -> None:
    """Fill the sheet with sentences."""
    put_text(sheet, 0, 0, "Method", look, "title")
    lines = _lines(report, settings)
    row = 3
    for head, text in lines:
        if not text:
            row += 1
            put_text(sheet, row, 0, head, look, "section")
        else:
            put_text(sheet, row, 0, head, look, "plain")
            put_text(sheet, row, 1, text, look, "words")
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
