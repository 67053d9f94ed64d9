"""Tables that are shown hold no text that steers."""

from __future__ import annotations

import pandas as pd

from clv_forecast.cli_output import table_text
from clv_forecast.printable import printable_table
from tests.hostile_texts import BEFORE, SHOWN, STEERING


def test_text_of_every_kind_and_names_of_columns() -> None:
    given = pd.DataFrame({
        "text": pd.Series(BEFORE), "objects": pd.Series(BEFORE, dtype=object), "labels": pd.Categorical(BEFORE),
        "number": 1.5, "day": pd.Timestamp("2024-01-01"), "a\nb": 1,
    })  # fmt: skip
    before = given.copy(deep=True)
    shown = printable_table(given)
    for name in ("text", "objects", "labels"):
        assert tuple(shown[name]) == SHOWN
    assert shown.columns[-1] == r"a\nb"
    pd.testing.assert_frame_equal(shown[["number", "day"]], given[["number", "day"]], check_column_type=False)
    pd.testing.assert_frame_equal(given, before)


def test_a_table_is_one_line_for_each_row() -> None:
    text = table_text(pd.DataFrame({"name": BEFORE, "value": 1.0}), 2)
    assert len(text.splitlines()) == 1 + len(BEFORE)
    assert not set(text) & STEERING
