"""The verb ``write_workbook``: a report as a workbook that finance can change the assumptions of.

Sheets of finished tables: losing accounts, cohorts, the ranking; as published, nothing in them is live.

The sheet of totals: allowable spend by pool, live; and the totals of the forecast.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.column_titles import COUNT, MONEY, RATIO, TEXT, title_of
from clv_forecast.errors import DomainError
from clv_forecast.files import atomic_file
from clv_forecast.finance.spend import ACQUIRE
from clv_forecast.ranking.accounts import accounts_of
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_cells import (
    ASSUMPTIONS,
    LOW_HEADER,
    Look,
    clean_zeros,
    column_of,
    fit_height,
    per_cent,
    print_whole,
    put,
    put_headers,
    put_text,
    settings_of,
)
from clv_forecast.report.workbook_method import (
    TECHNICAL,
    pool_of,
    repeat_banner,
    write_assumptions,
    write_method,
    write_technical,
)
from clv_forecast.report.workbook_spend import ALLOWANCES, SpendSheet, letter_of, spend_sheets, write_spend

if TYPE_CHECKING:
    from clv_forecast.finance.cohorts import Cohorts


_HEADER_ROW: Final = 4
_EVERYWHERE: Final = frozenset({"as_of", "currency", "prob", "horizon", "confidence", "target_roi"})
_RANKING: Final = (
    "rank",
    columns.CUSTOMER_ID,
    columns.NAME,
    columns.OWNER,
    "adjusted_value",
    "adjusted_lower",
    "adjusted_upper",
    "value",
    "value_lower",
    "value_upper",
    "potential_value",
    "p_alive",
    "cell",
    "rank_lower",
    "rank_upper",
    "p_top",
    "current_revenue",
    "headroom",
    "readiness",
    "referral_value",
    "value_at_risk",
    "p_cell",
    "grade",
    "model_fit",
    "reason",
)
_ORDERS: Final = {
    "mean": "the mean of the adjusted value",
    "lower": "the lower end of the adjusted value",
    "p_top": "the probability of being among the first",
    "carried": "the last year's value, carried forward",
    "stack": "a stack of forecast and carried value",
}


def static_tables(report: Report) -> list[tuple[str, str, str, pd.DataFrame]]:
    """Name, title, line below it and table of each sheet that there is something for."""
    found = []
    if report.ranking is not None:
        ranking = report.ranking
        table = ranking.table[[name for name in _RANKING if name in ranking.table]]
        title = f"Ranking over {ranking.horizon}, by {_ORDERS[ranking.order.by]}"
        found.append(("Ranking", title, f"Bands hold {per_cent(ranking.prob)}.", table))
    if report.losers is not None:
        title = f"Accounts that lose money: so far, or over {report.horizon}"
        found.append(("Losers", title, "Their allowable spend is 0 where the forecast is a loss.", report.losers))
    if report.cohorts is not None:
        found.extend(_cohorts(report.cohorts))
    return found


def _cohorts(cohorts: Cohorts) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    line = (
        f"Bands hold {per_cent(cohorts.prob)}; one may cost what is allowed at {per_cent(cohorts.target_roi)} return "
        f"and {per_cent(cohorts.confidence)} confidence, over {cohorts.horizon}."
    )
    yield "Cohorts", f"New customers by {cohorts.period} and channel", line, cohorts.paid_back_in_words(cohorts.table)
    yield (
        "Cohort totals",
        "New customers: all, by channel and by cohort",
        f"{line} Do not add up its rows.",
        cohorts.paid_back_in_words(cohorts.totals),
    )
    if len(cohorts.same_age):
        line = f"Bands hold {per_cent(cohorts.prob)}. Each cohort against earlier ones when they were as old."
        yield "Cohorts at one age", "New customers at the same age", line, cohorts.same_age


def write_table(sheet: Any, title: str, line: str, *, table: pd.DataFrame, currency: str | None, look: Look) -> None:
    """Fill a sheet with a finished table."""
    put_text(sheet, 0, 0, text=title, look=look, role="title")
    line = f"The figures of this sheet are those of the published run; an empty cell is not known. {line}"
    put_text(sheet, 2, 0, text=line, look=look, role="quiet")
    names = _shown(table)
    shown = [column_of(table, name, currency) for name in names]
    put_headers(sheet, _HEADER_ROW, [(column.header, column.kind) for column in shown], look=look)
    if not len(table):
        put_text(sheet, _HEADER_ROW + 1, 0, text="Nothing to list.", look=look, role="plain")
    cells = zip(*(table[name].tolist() for name in names), strict=True)
    for row, values in enumerate(cells, start=_HEADER_ROW + 1):
        for place, (column, value) in enumerate(zip(shown, values, strict=True)):
            put(sheet, row, place, value=value, kind=column.kind, look=look)
        fit_height(sheet, row, values, shown=shown)
    last = _HEADER_ROW + max(len(table), 1)
    for place, column in enumerate(shown):
        sheet.set_column(place, place, column.width)
        if column.kind in (MONEY, RATIO):
            clean_zeros(sheet, (_HEADER_ROW + 1, last), place, look=look)
    sheet.autofilter(_HEADER_ROW, 0, last, len(shown) - 1)
    head = [place for place, name in enumerate(names) if name in (columns.CUSTOMER_ID, columns.NAME, "cohort")]
    sheet.freeze_panes(_HEADER_ROW + 1, max(head, default=0) + 1)
    sheet.repeat_rows(_HEADER_ROW)
    print_whole(sheet, last, len(shown) - 1, width=sum(column.width for column in shown))


def _shown(table: pd.DataFrame) -> Sequence[str]:
    """Leave out what is the same in every row of every sheet, and columns without any value."""
    return [
        name
        for name in table.columns
        if name not in _EVERYWHERE and (not len(table) or bool(table[name].notna().any()))
    ]


TOTALS: Final = "Totals"
_FROM_ROWS: Final = ("value_at_stake", *ALLOWANCES)
_MEANS: Final = (
    *("group", "horizon", "customers", "value", "value_lower", "value_upper"),
    *("revenue", "revenue_lower", "revenue_upper", "purchases", "purchases_lower", "purchases_upper"),
)
_BANDS: Final = (
    *("group", "horizon", "value", "mean_lower", "mean_upper"),
    *("parameter_share", "process_share", "common_share", "note"),
)
_POOL: Final = 7
_WIDTH: Final = 17.0


def write_totals(sheet: Any, report: Report, plans: tuple[SpendSheet, ...], *, look: Look) -> None:
    """Fill the sheet of totals."""
    put_text(sheet, 0, 0, text="Totals", look=look, role="title")
    row = 3
    for plan in plans:
        row = _write_pools(sheet, plan, row, look=look)
    band = per_cent(report.forecast.prob)
    title = f"Forecast (as published): means with {band} bands, by group and horizon"
    row = _write_table(sheet, title, report, wanted=_MEANS, row=row, look=look)
    title = f"What the bands of value are made of: {band} bands of the mean, and shares of the variance"
    row = _write_table(sheet, title, report, wanted=_BANDS, row=row + 1, look=look)
    sheet.set_column(0, 0, 24.0)
    sheet.set_column(1, len(_MEANS) - 1, _WIDTH)
    sheet.freeze_panes(3, 1)
    print_whole(sheet, row - 1, len(_MEANS) - 1, width=24.0 + _WIDTH * len(_MEANS))


def _write_table(sheet: Any, title: str, report: Report, *, wanted: tuple[str, ...], row: int, look: Look) -> int:
    """Write some columns of the forecast's totals; returns the row after them."""
    put_text(sheet, row, 0, text=title, look=look, role="section")
    table = report.forecast.totals
    shown = [
        column_of(table, name, report.forecast.currency) for name in wanted if name in table and _said(table[name])
    ]
    put_headers(sheet, row + 1, [(column.header, column.kind) for column in shown], look=look, height=LOW_HEADER)
    cells = zip(*(table[column.name].tolist() for column in shown), strict=True)
    for index, values in enumerate(cells, start=row + 2):
        for place, (column, value) in enumerate(zip(shown, values, strict=True)):
            if column.name == "note":
                put_text(sheet, index, place, text=str(value), look=look, role="aside")
            else:
                put(sheet, index, place, value=value, kind=column.kind, look=look)
    last = row + 1 + len(table)
    for place, column in enumerate(shown):
        if column.kind in (MONEY, RATIO):
            clean_zeros(sheet, (row + 2, last), place, look=look)
    return last + 1


def _said(values: pd.Series[Any]) -> bool:
    """Whether a column holds anything."""
    return bool((values.notna() & (values.astype("string") != "")).any())


def _write_pools(sheet: Any, plan: SpendSheet, row: int, *, look: Look) -> int:
    """Write the pools of one allowable spend; returns the row after them."""
    spend = plan.spend
    put_text(
        sheet, row, 0, text=f"Allowable spend ({spend.basis}) over {spend.horizon}, by pool", look=look, role="section"
    )
    new = spend.basis == ACQUIRE
    heads = [("Pool", TEXT), ("New customers pooled" if new else "Accounts", COUNT), ("Sharing the pool", COUNT)]
    heads += [(title_of(name, MONEY, spend.currency), MONEY) for name in _FROM_ROWS]
    heads.append(("The pool" + (f" ({spend.currency})" if spend.currency else ""), MONEY))
    if not new:
        heads.append(("Rows add up to the pool", TEXT))
    put_headers(sheet, row + 1, heads, look=look, height=LOW_HEADER)
    first = row + 2
    for index, group in enumerate(spend.totals["group"].tolist()):
        _write_pool(sheet, plan, first + index, index=index, group=group, look=look)
    last = first + len(spend.totals) - 1
    for place in range(3, _POOL + 1):
        clean_zeros(sheet, (first, last + 1), place, look=look)
    if new:
        return last + 3
    put_text(sheet, last + 1, 0, text="All", look=look, role="sum_words")
    for place in range(1, _POOL):
        letter = letter_of(place)
        name = ("accounts", "sharing", *_FROM_ROWS)[place - 1]
        role = "sum_count" if place <= 2 else "sum_money"
        formula = f"=SUM({letter}{first + 1}:{letter}{last + 1})"
        sheet.write_formula(last + 1, place, formula, look.roles[role], float(spend.totals[name].sum()))
    return last + 4


def _write_pool(sheet: Any, plan: SpendSheet, row: int, *, index: int, group: Any, look: Look) -> None:
    spend = plan.spend
    total = spend.totals.iloc[index]
    put(sheet, row, 0, value=group, kind=TEXT, look=look)
    accounts = int(spend.table["customers"].iloc[index]) if spend.basis == ACQUIRE else int(total["accounts"])
    sheet.write_number(row, 1, accounts, look.kinds[COUNT])
    if spend.basis != ACQUIRE:
        sheet.write_number(row, 2, int(total["sharing"]), look.kinds[COUNT])
    for place, name in enumerate(_FROM_ROWS, start=3):
        formula = f"=ROUND(SUMIFS({plan.cells(name)},{plan.cells('pool')},{index + 1}),2)"
        sheet.write_formula(row, place, formula, look.kinds[MONEY], round(float(total[name]), 2) + 0.0)
    pool = pool_of(spend, group)
    sheet.write_formula(row, _POOL, f"=INDEX({plan.pool},{index + 1})/100", look.kinds[MONEY], pool / 100.0)
    if spend.basis != ACQUIRE:
        rows = letter_of(3 + _FROM_ROWS.index("allowable_pooled"))
        adds_up = abs(100.0 * float(total["allowable_pooled"]) - pool) < 0.5
        check = f'=IF(ABS({rows}{row + 1}-{letter_of(_POOL)}{row + 1})<0.005,"yes","no")'
        sheet.write_formula(row, _POOL + 1, check, look.roles["aside"], "yes" if adds_up else "no")


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

    instance_of(report, Report, "report", made_by="make_report")
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
        write_assumptions(book, sheets[ASSUMPTIONS], report, settings=settings, plans=plans, look=look)
        write_totals(sheets[TOTALS], report, plans, look=look)
        write_technical(book, sheets[TECHNICAL], report, settings=settings, plans=plans, look=look)
        for plan in plans:
            write_spend(book, sheets[plan.name], plan, look=look)
        for name, title, line, table in tables:
            write_table(sheets[name], title, line, table=table, currency=report.forecast.currency, look=look)
        write_method(sheets["Method"], report, settings, look=look)
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
