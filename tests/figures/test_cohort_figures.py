"""The figures of cohorts: the numbers of their tables, and tables nobody would wish for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from clv_forecast import figures
from clv_forecast.errors import DomainError
from tests.figures import made_up


def key(ax: object) -> list[str]:
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def ticks(ax: object) -> list[str]:
    return [label.get_text() for label in ax.get_xticklabels()]


@pytest.mark.parametrize(
    ("quantity", "low", "high", "cost"),
    [
        ("value_at_equal_age", "equal_age_lower", "equal_age_upper", "cac"),
        ("value_per_customer", "lower", "upper", "cac"),
        ("total", "total_lower", "total_upper", "acquisition_cost"),
    ],
)
def test_marks_bands_and_costs_are_those_of_the_table(quantity: str, low: str, high: str, cost: str) -> None:
    table = made_up.cohorts()
    ax = figures.draw_cohorts(table, quantity=quantity)
    assert key(ax) == ["field", "online"]
    assert ticks(ax) == ["2023Q4", "2024Q1", "2024Q2"]
    for place, channel in enumerate(("field", "online")):
        rows = table[table["channel"] == channel]
        np.testing.assert_array_equal(ax.lines[place].get_ydata(), rows[quantity])
        band, spent = ax.collections[2 * place], ax.collections[2 * place + 1]
        ends = np.array([segment[:, 1] for segment in band.get_segments()])
        np.testing.assert_array_equal(ends, rows[[low, high]])
        known = [segment[0, 1] for segment in spent.get_segments() if len(segment) and np.isfinite(segment[0, 1])]
        np.testing.assert_array_equal(known, rows[cost].dropna())
    assert "short lines" in ax.get_title(loc="left").replace("\n", " ")
    assert ax.get_ylim()[0] <= 0.0


def test_one_channel_shows_how_many_came_and_no_key() -> None:
    ax = figures.draw_cohorts(made_up.cohorts(("all",)).drop(columns=["cac", "acquisition_cost"]))
    assert ticks(ax) == ["2023Q4\n40 new", "2024Q1\n37 new", "2024Q2\n34 new"]
    assert key(ax) == []
    assert "short lines" not in ax.get_title(loc="left")


def test_of_many_channels_the_largest_are_drawn_and_empty_cohorts_left_out() -> None:
    table = made_up.cohorts(tuple(f"<b>$channel {i}</b>" for i in range(9)))
    table["new_customers"] = np.where(table["channel"].str.contains("[78]"), 500, table["new_customers"])
    table.loc[table["cohort"] == "2024Q2", "new_customers"] = 0
    ax = figures.draw_cohorts(table)
    assert len(ax.lines) == 6
    assert [name[-5] for name in key(ax)] == ["0", "1", "2", "3", "7", "8"]
    assert "the 6 largest channels" in ax.get_title(loc="left").replace("\n", " ")
    assert ticks(ax) == ["2023Q4", "2024Q1"]
    ax.figure.canvas.draw()
    with pytest.raises(DomainError, match="no rows"):
        figures.draw_cohorts(table.assign(new_customers=0))
    with pytest.raises(DomainError, match="quantity must be one of"):
        figures.draw_cohorts(table, quantity="cac")


def test_the_age_is_named_and_sixty_months_have_room() -> None:
    one = made_up.cohorts(("all",)).iloc[[0]]
    months = [str(each) for each in pd.period_range("2019-01", periods=60, freq="M")]
    table = pd.concat([one] * 60, ignore_index=True).assign(cohort=months, horizon="12 months")
    ax = figures.draw_cohorts(table)
    assert ax.get_title(loc="left").startswith("Value per customer in its first 12 months")
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert 4 < len(boxes) < 20
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_same_age_draws_the_highest_age_of_all_channels() -> None:
    table = made_up.same_age()
    ax = figures.draw_same_age(table)
    rows = table[(table["channel"] == "all") & (table["age_months"] == 3)]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), rows["shrunk"])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), rows["contribution_per_customer"])
    assert [text.get_text() for text in ax.texts] == ["25 %", "25 %"]
    assert ticks(ax) == ["2023Q4\n40", "2024Q1\n40", "2024Q2\n40"]
    assert "first 3 months" in ax.get_title(loc="left").replace("\n", " ")
    other = figures.draw_same_age(table, age_months=1, channel="field")
    chosen = table[(table["channel"] == "field") & (table["age_months"] == 1)]
    np.testing.assert_array_equal(other.lines[1].get_ydata(), chosen["contribution_per_customer"])
    assert "first 1 month, field" in other.get_title(loc="left").replace("\n", " ")
    with pytest.raises(DomainError, match="age_months"):
        figures.draw_same_age(table, age_months=24)
