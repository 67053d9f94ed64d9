"""The figures of runs: the numbers of their tables, and tables nobody would wish for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import dates, pyplot
from matplotlib.colors import to_hex

from clv_forecast import figures
from clv_forecast.errors import DomainError
from clv_forecast.figures import over_runs, style, value_bridge
from clv_forecast.figures.style import MINUS, digits_for, money_text
from clv_forecast.report.report import NOW, THEN
from clv_forecast.runs.comparison.drift import EARLIER, NEWCOMERS
from clv_forecast.runs.comparison.value_bridge import STEPS
from tests.figures import made_up

SIZES = [(9.0, 5.0), (3.6, 3.8)]
ALL = tuple(1e4 * (-1.0) ** i * (i + 1) for i in range(12))
BRIDGES = {
    "some": made_up.bridge(),
    "all": made_up.bridge(1.2e6, ALL),
    "one": made_up.bridge(22_000.0, (0.0, 7300.0)),
    "none": made_up.bridge(22_000.0, ()),
    "negative": made_up.bridge(-1.2e6, ALL),
    "through zero": made_up.bridge(-5e4, ALL),
    "huge": made_up.bridge(3e13, tuple(1e9 * move for move in ALL)),
    "beyond letters": made_up.bridge(3e18, tuple(1e13 * move for move in ALL)),
    "tiny": made_up.bridge(1_234_567.89, (12.5, -0.02)),
    "cents": made_up.bridge(0.05, (-0.01,)),
    "nobody": made_up.bridge(0.0, ()).assign(accounts=0),
    "from nothing": made_up.bridge(0.0, (0.0, 0.0, 0.0, 0.0, 0.0, 5e5)),
}


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def names(ax: Any) -> list[str]:
    return [label.get_text().replace("\n", " ") for label in ax.get_yticklabels()]


def title(ax: Any) -> str:
    return ax.get_title(loc="left").replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")


def key(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def ends_of(band: Any) -> np.ndarray:
    return np.array([segment[:, 1] for segment in band.get_segments()])


def overlapping(artists: list[Any]) -> bool:
    boxes = [artist.get_window_extent().padded(-1.0) for artist in artists if artist.get_text()]
    return any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def on(size: tuple[float, float]) -> Any:
    return pyplot.subplots(figsize=size, layout="constrained")[1]


def test_the_words_are_those_of_the_tables() -> None:
    assert (value_bridge._THEN, value_bridge._NOW) == (THEN, NOW)
    assert over_runs._EARLIER == EARLIER
    assert STEPS == made_up.CAUSES
    assert set(made_up.since()["group"]) == {EARLIER, NEWCOMERS}
    assert set(value_bridge._SHORT_NAMES) <= set(STEPS)


def test_each_cause_starts_where_the_one_before_ended() -> None:
    table = made_up.bridge()
    ax = figures.draw_value_bridge(table)
    moved = table[table["value"] != 0.0]
    assert names(ax) == moved["step"].tolist()
    levels = [0.0, 9e5, 8.6e5, 8.85e5, 8.76e5, 0.0]
    assert [bar.get_x() for bar in ax.patches] == pytest.approx(levels)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(moved["value"].tolist())
    grey, up, down = style.POOLED, style.EXPECTED, style.OWN
    assert [to_hex(bar.get_facecolor()).upper() for bar in ax.patches] == [grey, down, up, down, up, grey]
    amounts = ["900k", f"{MINUS}40k", "+25k", f"{MINUS}9k", "+60k", "936k"]
    assert texts(ax)[0:12:2] == amounts
    assert texts(ax)[1:12:2] == ["2,300", "1,200", "1,200", "1,200", "1,200", "2,400"]
    assert texts(ax)[12:] == ["accounts", "8 causes moved nothing"]
    assert title(ax) == "Value over 12 months rose by 36k from 1997-09-30 to 1997-10-07"


@pytest.mark.parametrize(
    ("table", "cut", "note"),
    [
        ("some", True, "value, EUR (the axis does not start at 0)"),
        ("negative", True, "value, EUR (the axis does not reach 0)"),
        ("one", False, "value, EUR"),
        ("none", False, "value, EUR"),
        ("through zero", False, "value, EUR"),
        ("from nothing", False, "value, EUR"),
    ],
)
def test_an_axis_without_zero_says_so(table: str, cut: bool, note: str) -> None:
    ax = figures.draw_value_bridge(BRIDGES[table])
    low, high = ax.get_xlim()
    assert (low > 0.0 or high < 0.0) == cut
    assert ax.get_xlabel() == note
    strokes = [line for line in ax.lines if line.get_color() == "white"]
    assert len(strokes) == (4 if cut else 0)
    assert all(low < x < high for line in strokes for x in line.get_xdata())


@pytest.mark.parametrize(
    ("table", "size"),
    [*((table, SIZES[1]) for table in BRIDGES), *((table, SIZES[0]) for table in ("all", "negative", "tiny"))],
)
def test_bridges_are_legible(table: str, size: tuple[float, float]) -> None:
    ax = figures.draw_value_bridge(BRIDGES[table].assign(currency=None), ax=on(size))
    ax.figure.canvas.draw()
    assert not overlapping([*ax.get_yticklabels(), *ax.texts])
    assert not overlapping(ax.get_xticklabels())
    frame, page = ax.get_window_extent(), ax.figure.bbox
    assert all(text.get_window_extent().x1 <= frame.x1 + 1.0 for text in ax.texts)
    assert all(text.get_window_extent().x0 >= frame.x0 - 1.0 for text in ax.texts)
    for text in (ax._left_title, ax.xaxis.label, *ax.get_yticklabels()):
        box = text.get_window_extent()
        assert page.x0 <= box.x0 <= box.x1 <= page.x1 + 1.0
    assert frame.width > 0.45 * page.width
    assert ax.get_xlabel().replace("\n", " ").split(" (")[0] == "value"
    unmoved = int((BRIDGES[table]["value"].iloc[1:-1] == 0.0).to_numpy().sum())
    assert any("moved nothing" in text for text in texts(ax)) == (unmoved > 0)


def test_no_accounts_column_and_short_names_where_there_is_no_room() -> None:
    ax = figures.draw_value_bridge(BRIDGES["all"], ax=on((3.6, 3.8)))
    assert "accounts" not in texts(ax)
    assert names(ax)[3:6] == ["passage of time", "purchases vs expected", "money vs expected"]


def test_words_of_the_title_of_a_bridge() -> None:
    assert "stayed as it was from" in title(figures.draw_value_bridge(BRIDGES["none"]))
    assert "fell by 0.01 from" in title(figures.draw_value_bridge(BRIDGES["cents"]))
    same_day = made_up.bridge().assign(as_of=made_up.ORIGIN)
    assert title(figures.draw_value_bridge(same_day)).endswith("rose by 36k between two runs of 1997-09-30")
    alone = made_up.bridge()[["step", "accounts", "value"]]
    assert title(figures.draw_value_bridge(alone)) == "Value of the base rose by 36k"
    one = made_up.bridge(9e5, (1e4,) * 11)
    assert texts(figures.draw_value_bridge(one))[-1] == "1 cause moved nothing"


def test_what_is_no_bridge_is_refused() -> None:
    table = made_up.bridge()
    for wrong in (table.iloc[::-1], table.iloc[1:], table.iloc[:-1], table.iloc[:1], pd.concat([table, table])):
        with pytest.raises(DomainError, match="A bridge is one row"):
            figures.draw_value_bridge(wrong)
    short = table.copy()
    short.loc[13, "value"] -= 1000.0
    with pytest.raises(DomainError, match=r"add up.*Got: \+1,000.00 left"):
        figures.draw_value_bridge(short)
    with pytest.raises(DomainError, match="add up"):
        figures.draw_value_bridge(table.assign(value=np.nan))


@pytest.mark.parametrize("runs", [1, 2, 6, 52])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_bands_of_runs(runs: int, size: tuple[float, float]) -> None:
    table = made_up.since(runs)
    rows = table[table["group"] == EARLIER]
    ax = figures.draw_run_bands(table, ax=on(size))
    np.testing.assert_array_equal(ends_of(ax.collections[0]), rows[["lower", "upper"]])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), rows["expected"])
    inside = rows["covered"].to_numpy(dtype=bool)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), rows["came"][inside])
    assert len(ax.lines) == (3 if runs > 1 else 2)
    if runs > 1:
        outside = ax.lines[2]
        np.testing.assert_array_equal(
            dates.date2num(outside.get_xdata()), dates.date2num(rows["previous_as_of"][~inside])
        )
        assert outside.get_marker() != ax.lines[1].get_marker()
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().x1 <= ax.figure.bbox.x1
    assert not ax.get_legend().get_window_extent().overlaps(ax._left_title.get_window_extent())
    assert not overlapping([ax.xaxis.label, ax.xaxis.get_offset_text()])
    width = ax.collections[0].get_linewidth()[0]
    gap = style.size_in_points(ax)[0] * 7.0 / float(np.ptp(ax.get_xlim()))
    assert 1.5 <= width <= max(10.0, gap) and (runs == 1 or width < 0.9 * gap)


def test_the_title_counts_the_bands_that_held() -> None:
    said = "Purchases in 7 days after each of 6 runs: 4 of 6 bands (90 %) held; "
    said += "customers' own bands held 89.0 % on average"
    assert title(figures.draw_run_bands(made_up.since())) == said
    one = title(figures.draw_run_bands(made_up.since(1)))
    assert one == "Purchases in 7 days after 1997-09-30: its band (90 %) held; customers' own bands held 90.0 %"
    outside = made_up.since(2).query("previous_as_of > '1997-09-30'")
    assert "its band (90 %) did not hold" in title(figures.draw_run_bands(outside))
    months = made_up.since(2).assign(days=[28, 31, 28, 31]).drop(columns=["prob", "coverage"])
    assert title(figures.draw_run_bands(months)).endswith("28 to 31 days after each of 2 runs: 1 of 2 bands held")
    day = made_up.since(2).assign(days=1)
    assert title(figures.draw_run_bands(day)).startswith("Purchases in 1 day after")


def test_a_run_after_which_nothing_is_known_yet_is_not_counted() -> None:
    table = made_up.since(6)
    table.loc[4, "came"] = np.nan
    assert ": 3 of 5 bands" in title(figures.draw_run_bands(table))
    alone = table.iloc[[4]]
    assert title(figures.draw_run_bands(alone)).startswith("Purchases in 7 days after 1997-10-28; customers' own")


def test_flags_may_be_text_and_rows_in_any_order() -> None:
    table = made_up.since()
    written = table.assign(covered=table["covered"].map(str)).sample(frac=1.0, random_state=1)
    first, second = figures.draw_run_bands(table), figures.draw_run_bands(written)
    for one, other in zip(first.lines, second.lines, strict=True):
        np.testing.assert_array_equal(one.get_ydata(), other.get_ydata())


def test_rows_of_several_quantities_or_of_new_customers_only_are_refused() -> None:
    table = made_up.since()
    with pytest.raises(DomainError, match=r"one row.*Got: 1997-09-30.*one quantity"):
        figures.draw_run_bands(pd.concat([table, table.assign(quantity="revenue")]))
    with pytest.raises(DomainError, match="no rows"):
        figures.draw_run_bands(table[table["group"] == NEWCOMERS])


def test_money_names_its_currency_and_shows_zero_unless_far_from_it() -> None:
    money = made_up.since().assign(quantity="revenue")
    assert figures.draw_run_bands(money).get_ylabel() == "revenue, USD"
    assert figures.draw_run_bands(made_up.since()).get_ylabel() == "purchases"
    assert figures.draw_run_bands(money).get_ylim()[0] == 0.0
    columns = ["expected", "lower", "upper", "came"]
    far, negative = money.copy(), money.copy()
    far[columns] += 1000.0
    negative[columns] *= -1.0
    assert figures.draw_run_bands(far).get_ylim()[0] > 0.0
    assert figures.draw_run_bands(negative).get_ylim()[1] == 0.0


@pytest.mark.parametrize("runs", [1, 6, 52])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_value_over_runs(runs: int, size: tuple[float, float]) -> None:
    table = made_up.run_values(runs)
    held = table["status"] == "held"
    ax = figures.draw_value_over_runs(table.sample(frac=1.0, random_state=2), ax=on(size))
    np.testing.assert_array_equal(ends_of(ax.collections[0]), table.loc[~held, ["value_lower", "value_upper"]])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), table["value"][~held])
    if held.any():
        np.testing.assert_array_equal(ends_of(ax.collections[1]), table.loc[held, ["value_lower", "value_upper"]])
        np.testing.assert_array_equal(ax.lines[1].get_ydata(), table["value"][held])
        assert key(ax) == ["90 % band", "published", "held, not published"]
        assert ax.collections[0].get_linewidth() == ax.collections[1].get_linewidth()
    else:
        assert key(ax) == ["90 % band", "value"]
    assert ax.get_ylabel() == "value, USD"
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().x1 <= ax.figure.bbox.x1
    assert not ax.get_legend().get_window_extent().overlaps(ax._left_title.get_window_extent())


def test_the_title_tells_the_latest_value_that_is_published() -> None:
    table = made_up.run_values()
    table.loc[5, "status"] = "held"
    said = "Value over 12 months from run to run: 1.24M on 1997-10-28; 2 runs held"
    assert title(figures.draw_value_over_runs(table)) == said
    alone = figures.draw_value_over_runs(table.iloc[[5]])
    assert title(alone) == "Value over 12 months: 1 run held; none published"
    assert key(alone) == ["90 % band", "held, not published"]
    bare = table[["as_of", "value", "value_lower", "value_upper"]]
    assert title(figures.draw_value_over_runs(bare)) == "Value of the base from run to run: 1.25M on 1997-11-04"


def test_runs_of_another_horizon_or_currency_are_counted_and_runs_without_value_left_out() -> None:
    table = made_up.run_values().drop(columns="status").astype({"value": object})
    table.loc[0, "horizon"], table.loc[1, "currency"], table.loc[2, "value"] = "36 months", None, None
    ax = figures.draw_value_over_runs(table)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), made_up.run_values()["value"][3:])
    assert title(ax).endswith("; 2 runs of another horizon or currency not drawn")
    no_band = made_up.run_values().assign(value_lower=np.nan, value_upper=np.nan, currency=None)
    ax = figures.draw_value_over_runs(no_band)
    assert key(ax) == ["published", "held, not published"]
    assert ax.get_ylabel() == "value"
    with pytest.raises(DomainError, match="no rows"):
        figures.draw_value_over_runs(made_up.run_values().assign(value=np.nan))


def test_two_runs_of_one_day_are_both_drawn() -> None:
    table = made_up.run_values(2)
    table["as_of"], table["status"] = made_up.ORIGIN, ["held", "published"]
    ax = figures.draw_value_over_runs(table)
    ax.figure.canvas.draw()
    assert [len(line.get_xdata()) for line in ax.lines] == [1, 1]


def test_amounts_are_short_and_tell_neighbours_apart() -> None:
    assert money_text(-0.0) == "0"
    assert money_text(-1234.5) == f"{MINUS}1.23k"
    assert money_text(999.6) == "1k"
    assert money_text(1e15) == "1e+15"
    assert money_text(-1e-9, signed=True) == f"{MINUS}1e-09"
    assert digits_for([]) == digits_for([5.0]) == digits_for([np.nan, np.inf]) == 3
    assert digits_for([1e6, 1e6 + 1e-9]) == 9
    ax = pyplot.subplots()[1]
    ax.set_xlim(1_234_000.0, 1_236_000.0)
    from clv_forecast.figures.style import money_axis

    money_axis(ax.xaxis)
    ax.figure.canvas.draw()
    written = [label.get_text() for label in ax.get_xticklabels()]
    assert len(set(written)) == len(written)
