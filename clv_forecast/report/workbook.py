"""The verb ``write_workbook``: a report as a workbook that finance can change the assumptions of."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.ranking.accounts import accounts_of
from clv_forecast.report.atomic_file import atomic_file
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_assumptions import repeat_banner, write_assumptions
from clv_forecast.report.workbook_cells import Look
from clv_forecast.report.workbook_method import write_method
from clv_forecast.report.workbook_settings import ASSUMPTIONS, settings_of
from clv_forecast.report.workbook_spend import spend_sheets, write_spend
from clv_forecast.report.workbook_tables import static_tables, write_table
from clv_forecast.report.workbook_technical import TECHNICAL, write_technical
from clv_forecast.report.workbook_totals import TOTALS, write_totals

_NO_GUESSING: Final = {
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": False,
}
_MAY: Final = {
    "select_locked_cells": True,
    "select_unlocked_cells": True,
    "format_columns": True,
    "format_rows": True,
    "autofilter": True,
    "sort": True,
}
_COLOURS: Final = {ASSUMPTIONS: "#BF9000", TOTALS: "#1F3864"}


def write_workbook(report: Report, path: str | os.PathLike[str]) -> Path:
    """Write a report as a workbook whose target return, confidence and margin can be changed.

    Parameters
    ----------
    report : Report
        From ``make_report``.
    path : path
        Ends in ``.xlsx``; an earlier file is replaced when the new one is complete.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    DomainError
        If the path does not end in ``.xlsx``.
    StoreError
        If the file cannot be written.

    Notes
    -----
    Sheets: Assumptions; Totals; one for each allowable spend; Ranking, Losers and Cohorts where they are given;
    Method; Technical, with what formulas read and all assumptions as stored. The allowances are formulas with the
    published results stored beside them, so that a viewer that does not calculate shows the published run. They follow
    the target return, the confidence (one of the stored levels) and, where one margin holds for all and there are no
    other costs, the margin. A spend of another return or confidence than the first is fixed, and says so. A banner on
    every sheet says when the settings differ from the published
    run. Sheets are protected without a password. Text is written as text whatever it begins with, control
    characters in it as escapes. A whole number of more than 15 digits, which a spreadsheet would change, is written as
    text.

    Examples
    --------
    >>> import tempfile
    >>> import clv_forecast as clv
    >>> from clv_forecast.finance.allowable_spend import allowable_spend
    >>> from clv_forecast.report.report import make_report
    >>> made = clv.simulate_accounts(50, rng=1)
    >>> history = clv.purchase_history(made.transactions, as_of=made.as_of, customers=made.accounts)
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=100)
    >>> report = make_report(fc, spends=allowable_spend(fc))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_workbook(report, Path(folder) / "finance.xlsx").name
    'finance.xlsx'
    """
    from xlsxwriter import Workbook
    from xlsxwriter.exceptions import XlsxFileError

    instance_of(report, Report, "report", "make_report")
    target = Path(path)
    if target.suffix.lower() != ".xlsx":
        raise DomainError("A workbook is written to a path that ends in .xlsx.", value=str(target))
    settings = settings_of(report)
    content = io.BytesIO()
    with atomic_file(target) as aside, _beside(aside) as folder:
        book = Workbook(content, _NO_GUESSING | {"tmpdir": folder})
        # A clock in the file would make two runs of the same day differ
        book.set_properties({"title": "clv_forecast", "created": report.forecast.as_of.to_pydatetime()})
        book.set_calc_mode("auto")
        look = Look.of(book)
        plans = spend_sheets(report.spends, _names(report))
        tables = static_tables(report)
        sheets = {
            name: book.add_worksheet(name)
            for name in (
                ASSUMPTIONS,
                TOTALS,
                *(plan.name for plan in plans),
                *(name for name, *_ in tables),
                "Method",
                TECHNICAL,
            )
        }
        write_assumptions(book, sheets[ASSUMPTIONS], report, settings, plans, look)
        write_totals(sheets[TOTALS], report, plans, look)
        write_technical(book, sheets[TECHNICAL], report, settings, plans, look)
        for plan in plans:
            write_spend(book, sheets[plan.name], plan, look)
        for name, title, line, table in tables:
            write_table(sheets[name], title, line, table, report.forecast.currency, look)
        write_method(sheets["Method"], report, settings, look)
        for name, sheet in sheets.items():
            if name != ASSUMPTIONS:
                repeat_banner(sheet, settings, look)
            _finish(sheet, name)
        try:
            book.close()
        except XlsxFileError as error:
            cause = error.args[0]
            raise (cause if isinstance(cause, OSError) else OSError(str(error))) from None
        aside.write_bytes(content.getvalue())
    return target


def _beside(target: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder for the parts of a workbook, on the disk that it goes to: elsewhere they would be in other hands."""
    return tempfile.TemporaryDirectory(prefix=".", dir=target.parent, ignore_cleanup_errors=True)


def _finish(sheet: Any, name: str) -> None:
    """Protect a sheet and set how it prints."""
    sheet.protect("", _MAY)
    sheet.hide_gridlines(2)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.set_footer("&L&A&RPage &P of &N")
    if name in _COLOURS:
        sheet.set_tab_color(_COLOURS[name])


def _names(report: Report) -> pd.DataFrame | None:
    """Names of the accounts, where the customers' table has them."""
    known = accounts_of(report.forecast.history)
    return known.table[[columns.CUSTOMER_ID, columns.NAME]] if known.has(columns.NAME) else None
