"""What notebooks show: figures as people read them, nothing of Python, and only the columns that hold something."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clv_forecast.notebook_html import notebook_html


def test_figures_as_people_read_them() -> None:
    table = pd.DataFrame(
        {
            "customer_id": [1234, 5], "value": [-0.001, 12.5], "p_alive": [-0.0, 1.0], "complete": [True, False],
            "last_purchase": [pd.Timestamp("2024-02-29"), pd.NaT], "payback_months": [np.nan, 7.0],
            "repeat_ratio": [0.5, np.nan], "reason": ["", pd.NA], "score": [1e-9, 4321.0], "currency": "E<R",
        }
    )  # fmt: skip
    text = notebook_html("A", table, missing={"payback_months": "not within 12 months"}, total={"value": 1.0}, rows=1)
    for words in ("1234", "0.00", "0.0 %", "yes", "2024-02-29", "not within 12 months", "0.5", "1.0e-09", "1.00"):
        assert f">{words}</t" in text, words
    assert "Value (E&lt;R)" in text and ">Repeat ratio</th>" in text
    assert "Reason" not in text and "1 more rows" in text
    assert "\u2013" in notebook_html("A", table)


def test_an_empty_table_keeps_its_heads() -> None:
    text = notebook_html("None yet", pd.DataFrame({"customer_id": [], "value": []}))
    assert ">Customer</th>" in text and "<td" not in text
