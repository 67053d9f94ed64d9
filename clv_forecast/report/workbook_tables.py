"""Sheets of finished tables: losing accounts, cohorts, the ranking; as published, nothing in them is live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.column_titles import MONEY, RATIO
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_cells import (
    Look,
    clean_zeros,
    column_of,
    fit_height,
    print_whole,
    put,
    put_headers,
    put_text,
)
from clv_forecast.report.workbook_settings import per_cent

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


def write_table(sheet: Any, title: str, line: str, table: pd.DataFrame, currency: str | None, look: Look) -> None:
    """Fill a sheet with a finished table."""
    put_text(sheet, 0, 0, title, look, "title")
    line = f"The figures of this sheet are those of the published run; an empty cell is not known. {line}"
    put_text(sheet, 2, 0, line, look, "quiet")
    names = _shown(table)
    shown = [column_of(table, name, currency) for name in names]
    put_headers(sheet, _HEADER_ROW, [(column.header, column.kind) for column in shown], look)
    if not len(table):
        put_text(sheet, _HEADER_ROW + 1, 0, "Nothing to list.", look, "plain")
    cells = zip(*(table[name].tolist() for name in names), strict=True)
    for row, values in enumerate(cells, start=_HEADER_ROW + 1):
        for place, (column, value) in enumerate(zip(shown, values, strict=True)):
            put(sheet, row, place, value, column.kind, look)
        fit_height(sheet, row, values, shown)
    last = _HEADER_ROW + max(len(table), 1)
    for place, column in enumerate(shown):
        sheet.set_column(place, place, column.width)
        if column.kind in (MONEY, RATIO):
            clean_zeros(sheet, (_HEADER_ROW + 1, last), place, look)
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
