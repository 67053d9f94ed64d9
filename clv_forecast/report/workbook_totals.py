"""The sheet of totals: allowable spend by pool, live; and the totals of the forecast."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from clv_forecast.column_titles import COUNT, MONEY, RATIO, TEXT, title_of
from clv_forecast.finance.spend import ACQUIRE
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_cells import (
    LOW_HEADER,
    Look,
    clean_zeros,
    column_of,
    print_whole,
    put,
    put_headers,
    put_text,
)
from clv_forecast.report.workbook_settings import per_cent
from clv_forecast.report.workbook_spend import ALLOWANCES, SpendSheet, letter_of
from clv_forecast.report.workbook_technical import pool_of

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


def write_totals(sheet: Any, report: Report, plans: tuple[SpendSheet, ...], look: Look) -> None:
    """Fill the sheet of totals."""
    put_text(sheet, 0, 0, "Totals", look, "title")
    row = 3
    for plan in plans:
        row = _write_pools(sheet, plan, row, look)
    band = per_cent(report.forecast.prob)
    title = f"Forecast (as published): means with {band} bands, by group and horizon"
    row = _write_table(sheet, title, report, _MEANS, row, look)
    title = f"What the bands of value are made of: {band} bands of the mean, and shares of the variance"
    row = _write_table(sheet, title, report, _BANDS, row + 1, look)
    sheet.set_column(0, 0, 24.0)
    sheet.set_column(1, len(_MEANS) - 1, _WIDTH)
    sheet.freeze_panes(3, 1)
    print_whole(sheet, row - 1, len(_MEANS) - 1, width=24.0 + _WIDTH * len(_MEANS))


def _write_table(sheet: Any, title: str, report: Report, wanted: tuple[str, ...], row: int, look: Look) -> int:
    """Write some columns of the forecast's totals; returns the row after them."""
    put_text(sheet, row, 0, title, look, "section")
    table = report.forecast.totals
    shown = [
        column_of(table, name, report.forecast.currency) for name in wanted if name in table and _said(table[name])
    ]
    put_headers(sheet, row + 1, [(column.header, column.kind) for column in shown], look, height=LOW_HEADER)
    cells = zip(*(table[column.name].tolist() for column in shown), strict=True)
    for index, values in enumerate(cells, start=row + 2):
        for place, (column, value) in enumerate(zip(shown, values, strict=True)):
            if column.name == "note":
                put_text(sheet, index, place, str(value), look, "aside")
            else:
                put(sheet, index, place, value, column.kind, look)
    last = row + 1 + len(table)
    for place, column in enumerate(shown):
        if column.kind in (MONEY, RATIO):
            clean_zeros(sheet, (row + 2, last), place, look)
    return last + 1


def _said(values: pd.Series[Any]) -> bool:
    """Whether a column holds anything."""
    return bool((values.notna() & (values.astype("string") != "")).any())


def _write_pools(sheet: Any, plan: SpendSheet, row: int, look: Look) -> int:
    """Write the pools of one allowable spend; returns the row after them."""
    spend = plan.spend
    put_text(sheet, row, 0, f"Allowable spend ({spend.basis}) over {spend.horizon}, by pool", look, "section")
    new = spend.basis == ACQUIRE
    heads = [("Pool", TEXT), ("New customers pooled" if new else "Accounts", COUNT), ("Sharing the pool", COUNT)]
    heads += [(title_of(name, MONEY, spend.currency), MONEY) for name in _FROM_ROWS]
    heads.append(("The pool" + (f" ({spend.currency})" if spend.currency else ""), MONEY))
    if not new:
        heads.append(("Rows add up to the pool", TEXT))
    put_headers(sheet, row + 1, heads, look, height=LOW_HEADER)
    first = row + 2
    for index, group in enumerate(spend.totals["group"].tolist()):
        _write_pool(sheet, plan, first + index, index, group, look)
    last = first + len(spend.totals) - 1
    for place in range(3, _POOL + 1):
        clean_zeros(sheet, (first, last + 1), place, look)
    if new:
        return last + 3
    put_text(sheet, last + 1, 0, "All", look, "sum_words")
    for place in range(1, _POOL):
        letter = letter_of(place)
        name = ("accounts", "sharing", *_FROM_ROWS)[place - 1]
        role = "sum_count" if place <= 2 else "sum_money"
        formula = f"=SUM({letter}{first + 1}:{letter}{last + 1})"
        sheet.write_formula(last + 1, place, formula, look.roles[role], float(spend.totals[name].sum()))
    return last + 4


def _write_pool(sheet: Any, plan: SpendSheet, row: int, index: int, group: Any, look: Look) -> None:
    spend = plan.spend
    total = spend.totals.iloc[index]
    put(sheet, row, 0, group, TEXT, look)
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
