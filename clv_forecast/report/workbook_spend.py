"""A sheet of allowable spend: live formulas beside the quantiles that they read, so that a row can be sorted whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.column_titles import COUNT, MONEY, RATIO, SHARE
from clv_forecast.finance.allowances import BARELY_MORE
from clv_forecast.finance.spend import (
    ACQUIRE,
    CONFIDENCES,
    WHAT_THE_BASIS_MEANS,
    AllowableSpend,
    level_column,
    payback_column,
)
from clv_forecast.report.workbook_cells import (
    Column,
    Look,
    at_level,
    cents,
    clean_zeros,
    column_of,
    fit_height,
    per_cent,
    print_whole,
    put,
    put_headers,
    put_text,
)

ALLOWANCES: Final = ("allowable_expected", "allowable_pooled", "allowable_single")
HEADERS: Final = {
    "customers": "New customers pooled",
    "payback_months": "Payback month (published)",
    "p_payback": "P(payback) (published)",
    "reason": "Why 0 for itself (published)",
}
_AS_PUBLISHED: Final = ("payback_months", "p_payback", "reason")
_HEADER_ROW: Final = 5
_FIRST_ROW: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpendSheet:
    """Where one allowable spend stands in the workbook.

    Parameters
    ----------
    name : str
        Of the sheet.
    number : int
        From 1; the name of its pools carries it.
    spend : AllowableSpend
    live : bool
        Whether it follows the settings; one of other return or confidence than the first's is fixed.
    table : DataFrame
        Its rows as shown, most at stake first, with names where they are known.
    levels : DataFrame
        In the same order.
    group : ndarray of int
        Place of each row's pool, from 1.
    shown, behind : tuple of Column
        Columns that are read, and those behind them that the formulas need.
    """

    name: str
    number: int
    spend: AllowableSpend
    live: bool
    table: pd.DataFrame
    levels: pd.DataFrame
    group: NDArray[np.intp]
    shown: tuple[Column, ...]
    behind: tuple[Column, ...]

    @property
    def pool(self) -> str:
        """Name of the cells with the cents of its pools."""
        return f"pool_cents_{self.number}"

    def letter(self, name: str) -> str:
        """Letter of a column."""
        return letter_of([column.name for column in (*self.shown, *self.behind)].index(name))

    def cells(self, name: str) -> str:
        """All cells of a column, as another sheet writes them."""
        letter = self.letter(name)
        return f"'{self.name}'!${letter}${_FIRST_ROW + 1}:${letter}${_FIRST_ROW + len(self.table)}"


def spend_sheets(spends: tuple[AllowableSpend, ...], names: pd.DataFrame | None) -> tuple[SpendSheet, ...]:
    """Plan the sheets of allowable spends; ``names`` has customer_id and name, where they are known."""
    taken: list[str] = []
    found = []
    for number, spend in enumerate(spends, start=1):
        title = spend.basis.capitalize()
        taken.append(title)
        if taken.count(title) > 1:
            title = f"{title} {taken.count(title)}"
        live = (spend.target_roi, spend.confidence) == (spends[0].target_roi, spends[0].confidence)
        found.append(replace(_plan(title, number, spend, names=names), live=live))
    return tuple(found)


def _plan(title: str, number: int, spend: AllowableSpend, *, names: pd.DataFrame | None) -> SpendSheet:
    order = np.argsort(-np.nan_to_num(spend.table["value_at_stake"].to_numpy(dtype=np.float64)), kind="stable")
    table, levels = spend.table.iloc[order].reset_index(drop=True), spend.levels.iloc[order].reset_index(drop=True)
    if names is not None and columns.CUSTOMER_ID in table:
        known = names.set_index(columns.CUSTOMER_ID)[columns.NAME]
        table.insert(1, columns.NAME, known.reindex(table[columns.CUSTOMER_ID]).to_numpy())
    words = spend.payback_in_words()
    table["payback_months"] = [words[place] for place in order]
    pools = {group: place for place, group in enumerate(spend.totals["group"].tolist(), start=1)}
    wanted = (
        *(columns.CUSTOMER_ID, columns.NAME, "group", "customers", "value_at_stake", *ALLOWANCES, "p_loss"),
        *_AS_PUBLISHED,
    )
    shown = tuple(
        column_of(table, name, spend.currency, header=HEADERS.get(name))
        for name in wanted
        if name in table and not (name == "group" and len(pools) == 1 and spend.basis != ACQUIRE)
    )
    behind = [
        Column(name="eligible", header="May have an allowance", kind=COUNT, width=10.0),
        Column(name="pool", header="Pool no.", kind=COUNT, width=8.0),
    ]
    for name in levels.columns[levels.columns.get_loc("expected") :]:
        kind = SHARE if name.startswith("share_") else MONEY
        behind.append(Column(name=name, header=_behind_in_words(name), kind=kind, width=13.0))
    return SpendSheet(
        name=title,
        number=number,
        spend=spend,
        live=True,
        table=table,
        levels=levels,
        group=np.array([pools[group] for group in table["group"].tolist()], dtype=np.intp),
        shown=shown,
        behind=tuple(behind),
    )


def write_spend(workbook: Any, sheet: Any, plan: SpendSheet, *, look: Look) -> None:
    """Fill the sheet of one allowable spend."""
    spend = plan.spend
    put_text(sheet, 0, 0, text=_title(plan), look=look, role="title")
    put_text(sheet, 2, 0, text=WHAT_THE_BASIS_MEANS[spend.basis], look=look, role="plain")
    put_text(sheet, 3, 0, text=_second_line(plan), look=look, role="quiet")
    last = _FIRST_ROW + len(plan.table)
    for place, column in enumerate(plan.shown):
        if column.kind == MONEY:
            letter = letter_of(place)
            total = float(plan.table[column.name].sum())
            formula = f"=SUBTOTAL(109,{letter}{_FIRST_ROW + 1}:{letter}{last})"
            sheet.write_formula(4, place, formula, look.roles["sum_money"], total)
        else:
            sheet.write_string(4, place, "Sum of the rows shown" if place == 0 else "", look.roles["sum_words"])
    put_headers(sheet, _HEADER_ROW, [(column.header, column.kind) for column in (*plan.shown, *plan.behind)], look=look)
    _write_rows(sheet, plan, look)
    for place, column in enumerate(plan.shown):
        sheet.set_column(place, place, column.width)
        if column.kind in (MONEY, RATIO):
            clean_zeros(sheet, (4, last - 1), place, look=look)
    first, width = len(plan.shown), len(plan.shown) + len(plan.behind)
    sheet.set_column(first, width - 1, 13.0, None, {"level": 1, "hidden": True})
    sheet.set_column(width, width, None, None, {"collapsed": True})
    sheet.autofilter(_HEADER_ROW, 0, last - 1, len(plan.shown) - 1)
    sheet.freeze_panes(_FIRST_ROW, 2 if columns.NAME in plan.table else 1)
    stale = [place for place, column in enumerate(plan.shown) if column.name in _AS_PUBLISHED]
    sheet.conditional_format(
        _FIRST_ROW,
        stale[0],
        last - 1,
        stale[-1],
        {"type": "formula", "criteria": "=NOT(as_published)", "format": look.roles["stale"]},
    )
    sheet.repeat_rows(0, _HEADER_ROW)
    print_whole(sheet, last - 1, len(plan.shown) - 1, width=sum(column.width for column in plan.shown))


def _write_rows(sheet: Any, plan: SpendSheet, look: Look) -> None:
    letters = {column.name: letter_of(place) for place, column in enumerate((*plan.shown, *plan.behind))}
    money = look.kinds[MONEY]
    shown = [(place, column, plan.table[column.name].tolist()) for place, column in enumerate(plan.shown)]
    start = len(plan.shown) + 2
    behind = plan.levels[[column.name for column in plan.behind[2:]]].to_numpy(dtype=np.float64)
    eligible = plan.levels["eligible"].to_numpy(dtype=bool)
    for index in range(len(plan.table)):
        row = _FIRST_ROW + index
        formulas = _formulas(plan, letters, row + 1) if plan.live else {}
        for place, column, values in shown:
            if column.name in formulas:
                sheet.write_formula(row, place, formulas[column.name], money, values[index])
            else:
                put(sheet, row, place, value=values[index], kind=column.kind, look=look)
        fit_height(sheet, row, [values[index] for _, _, values in shown], shown=plan.shown)
        sheet.write_number(row, start - 2, int(eligible[index]))
        sheet.write_number(row, start - 1, int(plan.group[index]))
        for place, value in enumerate(behind[index].tolist(), start=start):
            # An empty cell counts as 0, and most values that are reached with a high confidence are 0
            if value and value == value:
                sheet.write_number(row, place, value)


def _formulas(plan: SpendSheet, letters: dict[str, str], row: int) -> dict[str, str]:
    """The live cells of one row; they read their own row only, so that sorting does not part them."""

    def levels(first: str, last: str) -> str:
        return at_level(f"{letters[first]}{row}:{letters[last]}{row}")

    expected = f"{letters['expected']}{row}"
    limited = "expected_repaid" in letters
    reached = levels(level_column(CONFIDENCES[0]), level_column(CONFIDENCES[-1]))
    repaid = levels(payback_column(CONFIDENCES[0]), payback_column(CONFIDENCES[-1])) if limited else None
    on_average = cents(expected, f"{letters['expected_repaid']}{row}" if limited else None)
    may = f"{letters['eligible']}{row}"
    pool = f"INDEX({plan.pool},{letters['pool']}{row})"
    if plan.spend.basis == ACQUIRE:
        pooled = f"INT({pool}*{letters['share_upto']}{row}*{BARELY_MORE!r})"
    else:
        upto, before = (f"INT({pool}*{letters[name]}{row}+0.5)" for name in ("share_upto", "share_before"))
        pooled = f"({upto}-{before})"
    return {
        "value_at_stake": f"={expected}*margin_scale",
        "allowable_expected": f"={may}*{on_average}/100",
        "allowable_single": f"={may}*{cents(reached, repaid)}/100",
        "allowable_pooled": f"={pooled}/100",
    }


def letter_of(place: int) -> str:
    """Letter of a column from its place, from 0.

    Examples
    --------
    >>> letter_of(0), letter_of(27)
    ('A', 'AB')
    """
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _title(plan: SpendSheet) -> str:
    return f"Allowable spend ({plan.spend.basis}) over {plan.spend.horizon}"


def _second_line(plan: SpendSheet) -> str:
    spend = plan.spend
    limit = (
        "no payback limit"
        if spend.payback_limit_months is None
        else f"paid back within {spend.payback_limit_months:g} months"
    )
    what = "Amounts per new customer. " if spend.basis == ACQUIRE else ""
    money = f"Money in {spend.currency}. " if spend.currency else ""
    if not plan.live:
        at = f"{per_cent(spend.target_roi)} return and {per_cent(spend.confidence)} confidence"
        what = f"FIXED at {at}: it does not follow the sheet of assumptions. {what}"
    return f"As of {spend.as_of:%Y-%m-%d}; {limit}. {money}{what}Quantiles stand behind the last column; empty is 0."


def _behind_in_words(name: str) -> str:
    for prefix, words in (("reached_", "reached with"), ("repaid_", "within the payback limit, with")):
        if name.startswith(prefix) and name.removeprefix(prefix).isdigit():
            return f"Value {words} {name.removeprefix(prefix)} %"
    return {
        "expected": "Expected value",
        "expected_repaid": "Expected value within the payback limit",
        "share_before": "Share of the pool before",
        "share_upto": "Share of the pool up to and with",
    }.get(name, name)
