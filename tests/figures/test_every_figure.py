"""What holds of every figure, whatever it draws."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import colors, pyplot
from matplotlib.axes import Axes

from clv_forecast import figures
from clv_forecast.errors import DomainError
from tests.figures.made_up import CASES, Case

DARKEST_ALLOWED = 0.45
WHOLE_PAGES = {"draw_account_card"}
"""Drawn on a figure of their own, and tested beside what they show."""


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_all_figures_are_tested() -> None:
    assert {case.draw.__name__ for case in CASES} | WHOLE_PAGES == set(figures.__all__)


def test_makes_its_own_axes(case: Case) -> None:
    ax = case.draw(case.table(), **case.options)
    assert isinstance(ax, Axes)
    assert pyplot.get_fignums() == [ax.figure.number]
    ax.figure.canvas.draw()


def test_draws_on_the_axes_given_and_opens_no_figure(case: Case) -> None:
    figure, (left, right) = pyplot.subplots(1, 2)
    assert case.draw(case.table(), ax=right, **case.options) is right
    assert pyplot.get_fignums() == [figure.number]
    assert right.has_data()
    assert not left.has_data()


def test_the_table_stays_as_it_was(case: Case) -> None:
    table = case.table()
    before = table.copy(deep=True)
    for name in table.columns:
        values = table[name].to_numpy()
        if values.flags.owndata:
            values.setflags(write=False)
    case.draw(table, **case.options)
    pd.testing.assert_frame_equal(table, before)


def test_settings_and_backend_stay(case: Case) -> None:
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    case.draw(case.table(), **case.options)
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend() == backend


def test_looks_the_same_under_other_settings(case: Case) -> None:
    with matplotlib.rc_context({"text.color": "white", "axes.labelcolor": "white", "xtick.color": "white"}):
        ax = case.draw(case.table(), **case.options)
        ax.figure.canvas.draw()
    texts = [text for text in ax.findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
    assert texts
    for text in texts:
        red, green, blue = colors.to_rgb(text.get_color())
        assert 0.2126 * red + 0.7152 * green + 0.0722 * blue < DARKEST_ALLOWED, text


def test_says_what_is_seen(case: Case) -> None:
    ax = case.draw(case.table(), **case.options)
    assert len(ax.get_title(loc="left")) > 10
    assert ax.get_xlabel() or ax.xaxis.get_major_formatter().__class__.__name__ == "ConciseDateFormatter"
    assert ax.get_ylabel() or [label.get_text() for label in ax.get_yticklabels()]


def test_every_column_missing_is_named(case: Case) -> None:
    for name in case.needed:
        with pytest.raises(DomainError, match=rf"lacks columns.*{name}.*Pass the "):
            case.draw(case.table().drop(columns=name), **case.options)
    assert pyplot.get_fignums() == []


def test_only_the_named_columns_are_needed(case: Case) -> None:
    keep = [*case.needed, *(name for name in case.options if name in case.table().columns)]
    table = case.table()
    for name in {"origin", "quantity", "horizon"} & (set(table.columns) - set(keep)):
        table = table[table[name] == table[name].iloc[0]]  # without its selectors a table is one window
    assert case.draw(table[list(dict.fromkeys(keep))], **case.options).has_data()


def test_no_table_no_figure(case: Case) -> None:
    for wrong in (None, [1, 2], case.table().to_dict()):
        with pytest.raises(DomainError, match="drawn from a table"):
            case.draw(wrong, **case.options)
    with pytest.raises(DomainError, match="no rows"):
        case.draw(case.table().iloc[:0], **case.options)
    assert pyplot.get_fignums() == []


def test_axes_of_another_kind_are_refused(case: Case) -> None:
    _, several = pyplot.subplots(1, 2)
    with pytest.raises(DomainError, match="ax must be one matplotlib Axes"):
        case.draw(case.table(), ax=several, **case.options)


def test_another_index_changes_nothing(case: Case) -> None:
    """Rows are taken by place, whatever the index says."""
    table = case.table()
    first = case.draw(table, **case.options)
    second = case.draw(table.set_index(np.arange(len(table))[::-1] % 3), **case.options)
    for one, other in zip(first.lines, second.lines, strict=True):
        np.testing.assert_array_equal(one.get_ydata(), other.get_ydata())
    for one, other in zip(first.patches, second.patches, strict=True):
        np.testing.assert_array_equal(one.get_path().vertices, other.get_path().vertices)
