"""Each figure shows the numbers of its table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import dates, pyplot

from clv_forecast import figures
from clv_forecast.errors import DomainError
from clv_forecast.figures.style import label_ends
from tests.figures import made_up


def days(values: object) -> np.ndarray:
    return dates.date2num(pd.to_datetime(pd.Series(values)).to_numpy())


def bars(ax: object) -> list[float]:
    return [float(patch.get_height()) for patch in ax.patches]


def spans(ax: object, which: int = 0) -> np.ndarray:
    """Ends of the vertical or horizontal lines of a collection, shape (line, 2)."""
    ends = np.array([ends for ends in ax.collections[which].get_segments() if len(ends) == 2])  # those not missing
    moving = 1 if np.ptp(ends[:, :, 0], axis=1).max() == 0.0 else 0
    return ends[:, :, moving]


def outline(ax: object, which: int = 0) -> np.ndarray:
    return ax.collections[which].get_paths()[0].vertices


@pytest.mark.parametrize("cumulative", [True, False])
def test_tracking(cumulative: bool) -> None:
    table = made_up.tracking()
    ax = figures.draw_tracking(table, cumulative=cumulative)
    prefix, start = ("cumulative_", [0.0]) if cumulative else ("", [])
    expected, actual, origin = ax.lines
    np.testing.assert_array_equal(expected.get_ydata(), [*start, *table[f"{prefix}expected"]])
    np.testing.assert_array_equal(actual.get_ydata(), [*start, *table[f"{prefix}actual"]])
    at = [*([made_up.ORIGIN] if cumulative else []), *table["end"]]
    np.testing.assert_array_equal(dates.date2num(actual.get_xdata()), days(at))
    np.testing.assert_array_equal(dates.date2num(origin.get_xdata()), days([made_up.ORIGIN] * 2))
    heights = outline(ax)[:, 1]
    assert heights.min() == min([*start, table[f"{prefix}lower"].min()])
    assert heights.max() == table[f"{prefix}upper"].max()
    assert {text.get_text() for text in ax.texts} == {"origin", "actual", "expected,\n90 % band"}


def test_tracking_chooses_origin_quantity_and_group() -> None:
    one = made_up.tracking()
    later = one.assign(origin=one["origin"] + pd.Timedelta(days=91), actual=1.0)
    money = one.assign(quantity="revenue", actual=99.0)
    table = pd.concat([later, one, money], ignore_index=True)
    assert set(figures.draw_tracking(table, cumulative=False).lines[1].get_ydata()) == {1.0}  # the latest
    chosen = figures.draw_tracking(table, cumulative=False, origin="1997-09-30")
    np.testing.assert_array_equal(chosen.lines[1].get_ydata(), one["actual"])
    revenue = figures.draw_tracking(table, cumulative=False, origin=made_up.ORIGIN.date(), quantity="revenue")
    assert set(revenue.lines[1].get_ydata()) == {99.0}
    assert revenue.get_ylabel() == "revenue per week"
    with pytest.raises(DomainError, match=r"has this origin. Got: '1997-01-01'.*1997-09-30"):
        figures.draw_tracking(table, origin="1997-01-01")
    with pytest.raises(DomainError, match="no column group"):
        figures.draw_tracking(table, group="north")


def test_days_may_be_iso_text() -> None:
    """As in a certificate's tables, whose origins stand beside "all"; the latest is the default, in any row order."""
    one = made_up.tracking()
    texts = one.assign(origin="1997-09-30", end=one["end"].dt.strftime("%Y-%m-%d"))
    later = made_up.tracking().assign(origin="1997-12-30", actual=1.0)
    later["end"] += pd.Timedelta(days=91)
    same = figures.draw_tracking(texts)
    for drawn, wanted in zip(same.lines, figures.draw_tracking(one).lines, strict=True):
        np.testing.assert_array_equal(dates.date2num(drawn.get_xdata()), dates.date2num(wanted.get_xdata()))
    assert set(figures.draw_tracking(pd.concat([later, one]), cumulative=False).lines[1].get_ydata()) == {1.0}


def test_money_names_its_currency() -> None:
    money = made_up.tracking().assign(quantity="revenue", currency="USD")
    assert figures.draw_tracking(money).get_ylabel() == "revenue, USD"
    assert figures.draw_tracking(money, cumulative=False).get_ylabel() == "revenue, USD per week"
    assert figures.draw_tracking(made_up.tracking().assign(currency="USD")).get_ylabel() == "purchases"


@pytest.mark.parametrize("width", [3.0, 5.0, 9.0])
def test_titles_stay_above_their_axes(width: float) -> None:
    """Also over the square axes of the calibration, in a figure of several."""
    figure, pair = pyplot.subplots(1, 2, figsize=(2 * width, 3.5), layout="constrained")
    figures.draw_calibration(made_up.calibration(), ax=pair[0])
    figures.draw_pit(made_up.pit(), ax=pair[1])
    figure.canvas.draw()
    first, second = (ax._left_title.get_window_extent() for ax in pair)
    assert not first.overlaps(second)
    assert second.x1 <= figure.bbox.x1
    assert max(first.y1, second.y1) <= figure.bbox.y1


def test_within_a_subfigure() -> None:
    figure = pyplot.figure(figsize=(8, 4), layout="constrained")
    left, right = figure.subfigures(1, 2)
    figures.draw_tracking(made_up.tracking(), ax=left.subplots())
    figures.draw_p_alive_matrix(made_up.matrix(), ax=right.subplots())
    figure.canvas.draw()
    assert len(right.axes) == 2


def test_tracking_of_a_window_that_is_not_over() -> None:
    """Periods without an outcome yet leave the line short and its name at the last one known."""
    table = made_up.tracking()
    table.loc[3:, ["actual", "cumulative_actual"]] = np.nan
    ax = figures.draw_tracking(table)
    name = next(text for text in ax.texts if text.get_text() == "actual")
    assert dates.date2num(name.xy[0]) == days([table["end"][2]])[0]
    table[["actual", "cumulative_actual"]] = np.nan
    assert "actual" not in {text.get_text() for text in figures.draw_tracking(table, cumulative=False).texts}


def test_purchase_frequencies() -> None:
    table = made_up.frequencies()
    ax = figures.draw_purchase_frequencies(table)
    assert bars(ax) == table["customers"].tolist()
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), table["expected"])
    np.testing.assert_array_equal(spans(ax), table[["lower", "upper"]])
    assert [label.get_text() for label in ax.get_xticklabels()] == table["frequency"].tolist()
    assert [float(tick) for tick in ax.get_yticks()] == [0, 10, 40, 100, 400, 1000]


def test_frequencies_of_nobody() -> None:
    table = made_up.frequencies().assign(customers=0, expected=0.0, lower=0.0, upper=0.0)
    figures.draw_purchase_frequencies(table).figure.canvas.draw()


def test_holdout_by_frequency() -> None:
    table = made_up.by_frequency()
    ax = figures.draw_holdout_by_frequency(table)
    assert bars(ax) == table["actual"].tolist()
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), table["expected"])
    np.testing.assert_array_equal(spans(ax), table[["lower", "upper"]])
    assert ax.get_title(loc="left") == "Purchases in 39 weeks after 1997-09-30 by purchases before"


@pytest.mark.parametrize(
    ("draw", "column"),
    [(figures.draw_p_alive_matrix, "p_alive"), (figures.draw_expected_purchases_matrix, "expected_purchases")],
)
def test_matrices(draw: object, column: str) -> None:
    table = made_up.matrix()
    ax = draw(table.sample(frac=1.0, random_state=1))
    shown = ax.collections[0].get_array()
    np.testing.assert_array_equal(
        np.ma.filled(shown, np.nan), table[column].to_numpy().reshape(4, 4)
    )  # frequency up, recency to the right
    assert np.ma.getmaskarray(shown).sum() == table[column].isna().sum() == 6
    assert ax.collections[0].norm.vmin == 0.0
    assert len(ax.figure.axes) == 2
    if column == "p_alive":
        assert ax.collections[0].norm.vmax == 1.0


def test_heterogeneity() -> None:
    table = made_up.heterogeneity()
    ax = figures.draw_heterogeneity(table, quantity="purchase rate")
    fill, line = ax.patches
    np.testing.assert_array_equal(fill.get_data().values, table["upper"])
    np.testing.assert_array_equal(fill.get_data().baseline, table["lower"])
    np.testing.assert_array_equal(line.get_data().values, table["share"])
    np.testing.assert_array_equal(line.get_data().edges, [*table["left"], table["right"].iloc[-1]])
    assert ax.get_xlabel() == "purchase rate, purchases per week"
    assert list(ax.texts) == []
    with pytest.raises(DomainError, match=r"quantity. Got: 'height'.*Known: purchase rate"):
        figures.draw_heterogeneity(table, quantity="height")


def test_a_first_bin_that_towers_is_cut_off_and_told() -> None:
    ax = figures.draw_heterogeneity(made_up.heterogeneity(first=0.62), quantity="purchase rate")
    assert ax.get_ylim()[1] < 0.3
    assert [text.get_text() for text in ax.texts] == ["62 % of customers: below 0.1\n(the first bin is cut off here)"]
    alone = made_up.heterogeneity().iloc[:1]
    assert figures.draw_heterogeneity(alone, quantity="purchase rate").get_ylim()[1] > 0.2


def test_calibration() -> None:
    table = made_up.calibration()
    ax = figures.draw_calibration(table)
    wanted = table[(table["origin"] == "all") & (table["quantity"] == "purchases")]
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), wanted["coverage"])
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), wanted["nominal"])
    np.testing.assert_allclose(np.ptp(spans(ax), axis=1), 0.02)
    other = figures.draw_calibration(table, quantity="revenue", origin="1997-09-30")
    np.testing.assert_allclose(other.lines[1].get_ydata(), other.lines[1].get_xdata() - 0.05)
    assert "revenue" in other.get_title(loc="left")
    with pytest.raises(DomainError, match="this horizon"):
        figures.draw_calibration(table, horizon="13 weeks")


def test_pit() -> None:
    table = made_up.pit()
    ax = figures.draw_pit(table)
    *columns, fill = ax.patches
    assert [float(bar.get_height()) for bar in columns] == table["density"].tolist()
    np.testing.assert_allclose([bar.get_x() + bar.get_width() for bar in columns], table["right"])
    np.testing.assert_array_equal(fill.get_data().values, table["upper"])
    assert list(ax.lines[0].get_ydata()) == [1.0, 1.0]
    assert len(figures.draw_pit(table.drop(columns=["lower", "upper"])).patches) == len(table)


def test_deciles() -> None:
    table = made_up.deciles()
    ax = figures.draw_deciles(table.iloc[::-1])
    assert bars(ax) == table["actual"].tolist()
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), table["expected"])
    np.testing.assert_array_equal(spans(ax), table[["lower", "upper"]])


def test_shrinkage() -> None:
    table = made_up.shrinkage()
    table.loc[2, ["own", "own_lower", "own_upper"]] = np.nan
    ax = figures.draw_shrinkage(table.iloc[::-1])
    own, partial = ax.lines
    np.testing.assert_array_equal(own.get_xdata(), table["own"])
    np.testing.assert_array_equal(partial.get_xdata(), table["partial"])
    np.testing.assert_array_equal(own.get_ydata() < partial.get_ydata(), True)  # above it: the axis points down
    assert ax.yaxis_inverted()
    band, pooled, own_lines, partial_lines = range(4)
    assert set(outline(ax, band)[:, 0]) == {0.057, 0.063}
    assert len(ax.collections[pooled].get_segments()) == 4
    np.testing.assert_array_equal(spans(ax, partial_lines), table[["partial_lower", "partial_upper"]])
    np.testing.assert_array_equal(spans(ax, own_lines), table.loc[[0, 1, 3], ["own_lower", "own_upper"]])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["region 0 (1,000)", "region 1 (500)", "region 2 (333)", "region 3 (250)"]


def test_shrinkage_chooses_attribute_and_quantity() -> None:
    by_region = made_up.shrinkage().assign(attribute="region", quantity="mean_purchase_rate", unit="per week")
    leaving = by_region.assign(quantity="mean_dropout_probability", unit="probability", own=0.4)
    by_channel = made_up.shrinkage(2, "channel {}").assign(attribute="channel", quantity="mean_purchase_rate")
    table = pd.concat([by_region, leaving, by_channel], ignore_index=True)
    first = figures.draw_shrinkage(table)
    assert first.get_title(loc="left") == "Mean purchase rate by region (customers), 90 % intervals"
    assert first.get_xlabel() == "mean purchase rate, per week"
    dropout = figures.draw_shrinkage(table, quantity="mean_dropout_probability")
    assert set(dropout.lines[0].get_xdata()) == {0.4}
    assert dropout.get_xlabel() == "mean dropout probability"
    assert len(figures.draw_shrinkage(table, attribute="channel").get_yticks()) == 2
    with pytest.raises(DomainError, match=r"this attribute. Got: 'size'.*Known: region, channel"):
        figures.draw_shrinkage(table, attribute="size")


def test_one_wide_interval_does_not_dwarf_the_others() -> None:
    table = made_up.shrinkage()
    table.loc[3, "own_upper"] = 50.0
    low, high = figures.draw_shrinkage(table).get_xlim()
    assert low < table["own"].min()
    assert 0.08 < high < 0.12  # the largest estimate is 0.08
    silent = made_up.shrinkage().assign(**dict.fromkeys(("own", "own_lower", "own_upper"), np.nan))
    assert figures.draw_shrinkage(silent).has_data()


@pytest.mark.parametrize(("groups", "name"), [(1, "everybody"), (30, "a rather long name of a sales region, no. {}")])
def test_few_and_many_groups(groups: int, name: str) -> None:
    table = made_up.shrinkage(groups, name).assign(attribute="region", quantity="mean_dropout_probability")
    ax = figures.draw_shrinkage(table)
    figure = ax.figure
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert len(boxes) == groups
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert min(box.x0 for box in boxes) >= 0.0
    legend, title = ax.get_legend().get_window_extent(), ax.title.get_window_extent()
    assert not legend.overlaps(ax.get_window_extent().shrunk(0.99, 0.98).translated(0, -2))
    assert not legend.overlaps(ax._left_title.get_window_extent())
    assert title.y1 <= figure.bbox.y1
    assert ax._left_title.get_window_extent().x1 <= figure.bbox.x1
    assert ax.get_window_extent().width > 0.45 * figure.bbox.width


def test_customer_alive() -> None:
    table = made_up.path()
    ax = figures.draw_customer_alive(table)
    past, future = (table[table["when"] == when] for when in ("past", "future"))
    solid, dashed, today = ax.lines
    np.testing.assert_array_equal(solid.get_ydata(), past["p_alive"])
    np.testing.assert_array_equal(dashed.get_ydata(), [past["p_alive"].iloc[-1], *future["p_alive"]])
    np.testing.assert_array_equal(dates.date2num(today.get_xdata()), days([made_up.ORIGIN] * 2))
    marks = np.array(ax.collections[1].get_segments())[:, 0, 0]
    np.testing.assert_array_equal(marks, days(table.loc[table["purchase"], "date"]))
    assert ax.get_title(loc="left") == "Customer 4: 3 purchases until 1997-09-30"


def test_customer_purchases() -> None:
    table = made_up.path()
    ax = figures.draw_customer_purchases(table)
    past, future = (table[table["when"] == when] for when in ("past", "future"))
    made, expected, _ = ax.lines
    np.testing.assert_array_equal(made.get_ydata(), past["purchases"])
    np.testing.assert_array_equal(expected.get_ydata(), [2.0, *future["purchases"]])
    heights = outline(ax)[:, 1]
    assert (heights.min(), heights.max()) == (2.0, 5.0)


@pytest.mark.parametrize("draw", [figures.draw_customer_alive, figures.draw_customer_purchases])
def test_a_customer_of_one_purchase_and_no_future(draw: object) -> None:
    table = made_up.path().iloc[:3].copy()
    ax = draw(table)
    ax.figure.canvas.draw()
    assert ax.get_title(loc="left") == "Customer 4: 1 purchase until 1997-09-30"


def test_totals_by_group_and_by_horizon() -> None:
    table = made_up.totals()
    ax = figures.draw_totals(table, horizon="12 months")
    wanted = table[(table["group"] != "all") & (table["horizon"] == "12 months")]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), wanted["value"])
    np.testing.assert_array_equal(spans(ax), wanted[["value_lower", "value_upper"]])
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"region {i} (30)" for i in range(3)]
    assert set(figures.draw_totals(table).lines[0].get_xdata()) == {9000.0}  # the longest horizon
    alone = figures.draw_totals(table[table["group"] == "all"])
    assert alone.lines[0].get_xdata().tolist() == [4000.0, 9000.0]
    assert alone.get_xlabel() == "value, USD"
    with pytest.raises(DomainError, match=r"lacks columns.*Got: revenue"):
        figures.draw_totals(table, quantity="revenue")


def test_totals_that_are_missing_or_negative() -> None:
    table = made_up.totals()
    table.loc[table["group"] == "region 1", ["value", "value_lower", "value_upper"]] *= -1.0
    table.loc[table["group"] == "region 2", ["value", "value_lower", "value_upper"]] = np.nan
    low, high = figures.draw_totals(table).get_xlim()
    assert low < -9000.0 * 1.29
    assert high > 9000.0 * 1.29


def test_names_at_the_ends_of_lines_do_not_overlap() -> None:
    figure, ax = pyplot.subplots(figsize=(3.5, 2.5))
    ax.plot([0, 1], [0, 1])
    label_ends(ax, [(1, height, f"line {i}\nwith a name", "black") for i, height in enumerate((0.5, 0.51, 0.52))])
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert all(box.x1 <= ax.get_window_extent().x1 for box in boxes)
    assert all(ax.get_window_extent().y0 <= box.y0 and box.y1 <= ax.get_window_extent().y1 for box in boxes)
