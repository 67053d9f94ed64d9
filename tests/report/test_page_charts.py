"""Charts of the page: drawn to scale, inside their frame, labels as text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from clv_forecast.printable import printable
from clv_forecast.report.page_charts import WIDTH, Bar, Line, bands, bridge, columns, lines, ticks

HOSTILE = '<script>alert("1")</script> & \u202eright to left'


def tree(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own drawing


def test_dots_and_bands_lie_on_one_scale() -> None:
    drawn = tree(bands([Bar(label="a", mean=10.0, lower=5.0, upper=20.0), Bar(label="b", mean=20.0)], label="two"))
    dots = [float(dot.attrib["cx"]) for dot in drawn.iter("circle")]
    (band,) = [path.attrib["d"] for path in drawn.iter("path") if path.attrib["class"] == "band"]
    low, high = (float(number) for number in re.fullmatch(r"M(\S+) \S+H(\S+)", band).groups())  # type: ignore[union-attr]
    assert low < dots[0] < high == pytest.approx(dots[1], abs=0.11)
    assert (high - dots[0]) == pytest.approx(2.0 * (dots[0] - low), abs=0.3)
    assert all(0.0 < x < WIDTH for x in (low, high, *dots))


def test_losses_are_drawn_below_the_zero() -> None:
    drawn = tree(columns([Bar(label="1", mean=4.0), Bar(label="2", mean=-4.0)], label="cash"))
    gain, loss = ((float(r.attrib["y"]), float(r.attrib["height"])) for r in drawn.iter("rect"))
    assert gain[0] + gain[1] == pytest.approx(loss[0], abs=0.11)
    assert gain[1] == pytest.approx(loss[1], abs=0.11)


def test_a_bridge_ends_where_the_last_total_stands() -> None:
    steps = [("then", 10.0, True), ("gone", -4.0, False), ("new", 7.0, False), ("now", 13.0, True)]
    rects = list(tree(bridge(steps, label="bridge")).iter("rect"))
    ends = [(float(r.attrib["x"]), float(r.attrib["x"]) + float(r.attrib["width"])) for r in rects]
    assert [r.attrib["class"] for r in rects] == ["total", "loss", "gain", "total"]
    assert ends[1][1] == pytest.approx(ends[0][1], abs=0.2)
    assert ends[2][1] == pytest.approx(ends[3][1], abs=0.2)


def test_shares_run_from_nothing_to_all() -> None:
    line = Line(label="equal", points=((0.0, 0.0), (1.0, 1.0)), style="s0")
    svg = lines([line], label="shares", x_name="accounts", y_name="money", shares=True)
    (drawn,) = tree(svg).iter("polyline")
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in drawn.attrib["points"].split(" "))
    assert x0 < x1 and y0 > y1
    assert "100 %" in svg


def test_labels_are_text_and_cut() -> None:
    for svg in (
        bands([Bar(label=HOSTILE, mean=1.0)], label=HOSTILE),
        columns([Bar(label=HOSTILE, mean=1.0)], label=HOSTILE),
        lines([Line(label=HOSTILE, points=((0, 0), (1, 1)), style="s0")], label=HOSTILE, x_name=HOSTILE, y_name="y"),
        bridge([(HOSTILE, 1.0, True)], label=HOSTILE),
    ):
        drawn = tree(svg)
        assert drawn.attrib["aria-label"] == printable(HOSTILE)
        assert "\u202e" not in svg
        assert {"script", "img"}.isdisjoint(element.tag for element in drawn.iter())
    assert "…" in bands([Bar(label="x" * 10_000, mean=1.0)], label="")


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (-3.0, 7.0), (0.0, 1e9), (2e-3, 9e-3)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert found == sorted(found)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-9 <= tick <= max(high, low + 1.0) + 1e-9 for tick in found)


def test_nothing_to_draw_is_an_empty_frame() -> None:
    assert list(tree(bands([Bar(label="a", mean=float("nan"))], label="none")).iter("circle")) == []
