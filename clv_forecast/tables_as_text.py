"""Finished tables as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from clv_forecast.demo import Demo


def demo_text(demo: Demo) -> str:
    """Describe what the main job made: the audit, the parameters, the totals, the best customers, the files."""
    parts = [
        "THE LOG",
        str(demo.history.audit),
        "THE MODEL",
        str(demo.model.report),
        table_text(demo.model.parameters[_PARAMETERS], 4),
        "THE FORECAST",
        str(demo.forecast),
        "A NEW CUSTOMER",
        table_text(demo.new_customer[_NEW_CUSTOMER], 2),
        f"THE TEN MOST VALUABLE CUSTOMERS ({demo.forecast.horizons.labels[-1]})",
        table_text(demo.forecast.top(10)[_TOP], 2),
        "FILES",
        "\n".join(f"  {path}" for path in sorted(demo.folder.rglob("*")) if path.is_file()),
    ]
    return "\n\n".join(parts)


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
    """Render a table with thousands separators and ``digits`` decimals."""
    return table.to_string(index=False, float_format=lambda number: f"{number:,.{digits}f}", na_rep="-")
