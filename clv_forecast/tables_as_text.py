"""Finished tables as text for a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from clv_forecast.printable import printable
from clv_forecast.printable_tables import printable_table
from clv_forecast.report.headline import headline_of
from clv_forecast.report.page_text import account_table

if TYPE_CHECKING:
    from clv_forecast.demo import Demo, DemoRun


def demo_text(demo: Demo) -> str:
    """Describe what the main job made: the audit, the parameters, the totals, what may be spent, the files."""
    cdnow = demo.cdnow
    parts = [
        "THE LOG (CDNOW)",
        str(cdnow.history.audit),
        "THE MODEL",
        str(cdnow.model.report),
        table_text(cdnow.model.parameters[_PARAMETERS], 4),
        "THE FORECAST",
        str(cdnow.report.forecast),
        "WHAT MAY BE SPENT",
        str(cdnow.report.spends[0]),
        "A NEW CUSTOMER",
        table_text(cdnow.new_customer[_NEW_CUSTOMER], 2),
        f"THE TEN MOST VALUABLE CUSTOMERS ({cdnow.report.forecast.horizons.labels[-1]})",
        table_text(cdnow.report.forecast.top(10)[_TOP], 2),
        *(part for run in (cdnow, demo.b2b) for part in _run_text(run)),
    ]
    return "\n\n".join(parts)


def _run_text(run: DemoRun) -> list[str]:
    """First line of a run's page, and its files."""
    headline = headline_of(run.report, account_table(run.report))
    return [
        f"FILES: {printable(run.report.title)}{' (SIMULATED)' if run.report.simulated else ''}",
        "\n".join(["  " + headline.line, *(f"  {printable(path)}" for path in _files(run.folder))]),
    ]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


_PARAMETERS = ["parameter", "estimate", "standard_error", "lower", "upper"]
_NEW_CUSTOMER = [
    "horizon",
    "expected_purchases",
    "value",
    "value_lower",
    "value_upper",
    "value_with_first",
    "value_with_first_lower",
    "value_with_first_upper",
]
_TOP = [
    "customer_id",
    "p_alive",
    "expected_purchases",
    "expected_spend",
    "revenue",
    "value",
    "value_lower",
    "value_upper",
]


def table_text(table: pd.DataFrame, digits: int) -> str:
    """Render a table with thousands separators and ``digits`` decimals; its text is `printable`."""
    shown = printable_table(table)
    return shown.to_string(index=False, float_format=lambda number: f"{number:,.{digits}f}", na_rep="-")
