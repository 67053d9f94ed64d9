"""Sheets of finished tables: losing accounts, cohorts, the ranking; as published, nothing in them is live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_cells import Look, column_of, put, put_headers, put_text

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
    "reason",
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
)
_PRINTED: Final = 14
"""Columns of a wide table that fit on a page."""


def static_tables(report: Report) -> list[tuple[str, str, str, pd.DataFrame]]:
    """Name, title, line below it and table of each sheet that there is something for."""
    found = []
    if report.ranking is not None:
        ranking = report.ranking
        table = ranking.table[[name for name in _RANKING if name in ranking.table]]
        title = f"Ranking over {ranking.horizon}, by {ranking.order.by}"
        found.append(("Ranking", title, f"Bands hold {ranking.prob:.0%}.", table))
    if report.losers is not None:
        title = f"Accounts that lost money, or are expected to over {report.horizon}"
        found.append(("Losers", title, "Their allowable spend is 0 where the forecast is a loss.", report.losers))
    if report.cohorts is not None:
        found.extend(_cohorts(report.cohorts))
    return found


def _cohorts(cohorts: Cohorts) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    line = (
        f"Bands hold {cohorts.prob:.0%}; one may cost what is allowed at {cohorts.target_roi:.0%} return and "
        f"{cohorts.confidence:.0%} confidence, over {cohorts.horizon}."
    )
    yield "Cohorts", f"New customers by {cohorts.period} and channel", line, cohorts.table
    yield (
        "Cohort totals",
        "New customers: all, by channel and by cohort",
        f"{line} Do not add up its rows.",
        cohorts.totals,
    )
    if len(cohorts.same_age):
        line = f"Bands hold {cohorts.prob:.0%}. Each cohort against earlier ones when they were as old."
        yield "Cohorts at one age", "New customers at the same age", line, cohorts.same_age


def write_table(sheet: Any, title: str, line: str, table: pd.DataFrame, currency: str | None, look: Look) -> None:
    """Fill a sheet with a finished table."""
    put_text(sheet, 0, 0, title, look, "title")
    put_text(sheet, 2, 0, f"The figures of this sheet are those of the published run. {line}", look, "quiet")
    names = _shown(table)
    shown = [column_of(table, name, currency) for name in names]
    put_headers(sheet, _HEADER_ROW, [(column.header, column.kind) for column in shown], look)
    if not len(table):
        put_text(sheet, _HEADER_ROW + 1, 0, "None.", look, "plain")
    cells = zip(*(table[name].tolist() for name in names), strict=True)
    for row, values in enumerate(cells, start=_HEADER_ROW + 1):
        for place, (column, value) in enumerate(zip(shown, values, strict=True)):
            put(sheet, row, place, value, column.kind, look)
    for place, column in enumerate(shown):
        sheet.set_column(place, place, column.width)
    last = _HEADER_ROW + max(len(table), 1)
    sheet.autofilter(_HEADER_ROW, 0, last, len(shown) - 1)
    head = [place for place, name in enumerate(names) if name in (columns.CUSTOMER_ID, columns.NAME, "cohort")]
    sheet.freeze_panes(_HEADER_ROW + 1, max(head, default=0) + 1)
    sheet.repeat_rows(_HEADER_ROW)
    sheet.print_area(0, 0, last, min(len(shown), _PRINTED) - 1)


def _shown(table: pd.DataFrame) -> Sequence[str]:
    """Leave out what is the same in every row of every sheet, and columns without any value."""
    return [
        name
        for name in table.columns
        if name not in _EVERYWHERE and (not len(table) or bool(table[name].notna().any()))
    ]
