"""The sheet of totals: allowable spend by pool, live, with what each pool reaches; and the totals of the forecast."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.finance.allowances import allowance
from clv_forecast.finance.spend import ACQUIRE, CONFIDENCES, AllowableSpend
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_cells import (
    COUNT,
    LOW_HEADER,
    MONEY,
    TEXT,
    Look,
    column_of,
    put,
    put_headers,
    put_text,
)
from clv_forecast.report.workbook_settings import at_level, cents
from clv_forecast.report.workbook_spend import ALLOWANCES, SpendSheet, letter_of

TOTALS: Final = "Totals"
_FROM_ROWS: Final = ("value_at_stake", *ALLOWANCES)
_HEADERS: Final = (
    "Accounts",
    "Sharing the pool",
    "Value at stake",
    "Allowable on average",
    "Allowable, risk pooled",
    "Allowable, each for itself",
    "The pool, in cents",
    "Rows add up to the pool",
)
_FRONT: Final = (
    "group",
    "horizon",
    "customers",
    "value",
    "value_lower",
    "value_upper",
    "revenue",
    "revenue_lower",
    "revenue_upper",
)
_POOL: Final = 7
_LEVELS_FROM: Final = 10
_WIDTH: Final = 18.0


def write_totals(workbook: Any, sheet: Any, report: Report, plans: tuple[SpendSheet, ...], look: Look) -> None:
    """Fill the sheet of totals; names the cells with the cents of each pool."""
    put_text(sheet, 0, 0, "Totals", look, "title")
    row = 3
    for plan in plans:
        row = _write_pools(workbook, sheet, plan, row, look)
    _write_forecast(sheet, report, row, look)
    widest = _LEVELS_FROM + 2 * len(CONFIDENCES)
    sheet.set_column(0, 0, 24.0)
    sheet.set_column(1, widest, _WIDTH)
    sheet.freeze_panes(3, 1)


def _write_forecast(sheet: Any, report: Report, row: int, look: Look) -> None:
    """Write the totals of the forecast: what is read first in front, the rest behind."""
    currency = report.forecast.currency
    put_text(sheet, row, 0, "Forecast (as published; means with bands, by group and horizon)", look, "section")
    table = report.forecast.totals
    known = [name for name in table.columns if table[name].notna().any() and name not in ("currency", "as_of")]
    front = [name for name in _FRONT if name in known]
    names = [*front, *(name for name in known if name not in (*front, "note")), *(["note"] if "note" in known else [])]
    shown = [column_of(table, name, currency) for name in names]
    put_headers(sheet, row + 1, [(column.header, column.kind) for column in shown], look, height=LOW_HEADER)
    cells = zip(*(table[name].tolist() for name in names), strict=True)
    for index, values in enumerate(cells, start=row + 2):
        for place, (column, value) in enumerate(zip(shown, values, strict=True)):
            put(sheet, index, place, value, column.kind, look)
    sheet.print_area(0, 0, row + 1 + len(table), _POOL + 1)


def _write_pools(workbook: Any, sheet: Any, plan: SpendSheet, row: int, look: Look) -> int:
    """Write the pools of one allowable spend; returns the row after them."""
    spend = plan.spend
    put_text(sheet, row, 0, f"Allowable spend ({spend.basis}) over {spend.horizon}, by pool", look, "section")
    money = f" ({spend.currency})" if spend.currency else ""
    heads = [f"{head}{money}" if head in _HEADERS[2:6] else head for head in _HEADERS]
    if spend.basis == ACQUIRE:
        heads = ["New customers pooled" if head == "Accounts" else head for head in heads]
    limited = "repaid" in spend.pools
    behind = [f"The pool reaches, with {level} %" for level in CONFIDENCES]
    if limited:
        behind += [f"Within the payback limit, with {level} %" for level in CONFIDENCES]
    kinds = [TEXT, COUNT, COUNT, *[MONEY] * 4, COUNT, TEXT]
    put_headers(sheet, row + 1, list(zip(("Pool", *heads), kinds, strict=True)), look, height=LOW_HEADER)
    put_headers(sheet, row + 1, [(head, MONEY) for head in behind], look, first=_LEVELS_FROM, height=LOW_HEADER)
    first = row + 2
    for index, group in enumerate(spend.totals["group"].tolist()):
        _write_pool(sheet, plan, first + index, index, group, look)
    last = first + len(spend.totals) - 1
    letter = letter_of(_POOL)
    workbook.define_name(plan.pool, f"={TOTALS}!${letter}${first + 1}:${letter}${last + 1}")
    if spend.basis == ACQUIRE:
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
        sheet.write_formula(row, place, formula, look.kinds[MONEY], round(float(total[name]), 2))
    levels = _levels_of(spend.pools, group)
    spans = [
        f"${letter_of(start)}{row + 1}:${letter_of(start + len(CONFIDENCES) - 1)}{row + 1}"
        for start in range(_LEVELS_FROM, _LEVELS_FROM + len(levels) * len(CONFIDENCES), len(CONFIDENCES))
    ]
    formula = "=" + cents(at_level(spans[0]), at_level(spans[1]) if len(spans) > 1 else None)
    pool = _pool_of(spend, levels)
    if plan.live:
        sheet.write_formula(row, _POOL, formula, look.kinds[COUNT], pool)
    else:
        sheet.write_number(row, _POOL, pool, look.kinds[COUNT])
    if spend.basis != ACQUIRE:
        letter, rows = letter_of(_POOL), letter_of(3 + _FROM_ROWS.index("allowable_pooled"))
        adds_up = abs(100.0 * float(total["allowable_pooled"]) - pool) < 0.5
        check = f'=IF(ABS(100*{rows}{row + 1}-{letter}{row + 1})<0.5,"yes","no")'
        sheet.write_formula(row, _POOL + 1, check, look.roles["aside"], "yes" if adds_up else "no")
    values = np.concatenate(levels)
    for place, value in enumerate(values.tolist(), start=_LEVELS_FROM):
        if np.isfinite(value):
            sheet.write_number(row, place, value, look.kinds[MONEY])


def _levels_of(pools: pd.DataFrame, group: Any) -> list[NDArray[np.float64]]:
    """What one pool reaches with the stored levels, and within the payback limit where there is one."""
    own = pools[(pools["group"] == group).fillna(False)].set_index("confidence").loc[list(CONFIDENCES)]
    return [own[name].to_numpy(dtype=np.float64) for name in ("reached", "repaid") if name in own]


def _pool_of(spend: AllowableSpend, levels: list[NDArray[np.float64]]) -> float:
    """Cents of a pool at the published settings."""
    place = CONFIDENCES.index(round(100 * spend.confidence))
    reached, *repaid = (values[place : place + 1] for values in levels)
    return float(allowance(reached, repaid[0] if repaid else None, spend.target_roi)[0])
