"""Charts as inline SVG: drawn for a narrow screen, coloured by the page's style sheet, described in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from clv_forecast.printable import printable
from clv_forecast.report.page_text import short_money

WIDTH: Final = 460.0
_LETTER: Final = 6.8
_LONGEST: Final = 30
_EDGE: Final = 14.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A mean with its band; a missing band is left out."""

    label: str
    mean: float
    lower: float = math.nan
    upper: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points of a line, and the class that gives it its colour."""

    label: str
    points: tuple[tuple[float, float], ...]
    style: str


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return round numbers from about ``low`` to about ``high``.

    Examples
    --------
    >>> ticks(0.0, 9.3)
    [0.0, 2.5, 5.0, 7.5]
    """
    span = (high - low) or 1.0
    raw = span / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if size * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(step * k, 12) + 0.0 for k in range(first, math.floor(high / step + 1e-9) + 1)]


def bands(bars: Sequence[Bar], *, label: str) -> str:
    """Draw means as dots with their bands, one row each, along one axis of money."""
    shown = [b for b in bars if math.isfinite(b.mean)]
    left = min(max((len(_short(b.label)) for b in shown), default=4) * _LETTER + 14.0, 212.0)
    ends = [v for b in shown for v in (b.mean, b.lower, b.upper) if math.isfinite(v)]
    low, high = min([0.0, *ends]), max([0.0, *ends]) or 1.0
    row, top = 26.0, 6.0
    height = top + row * len(shown) + 24.0

    def x(value: float) -> float:
        return left + (WIDTH - left - _EDGE) * (value - low) / ((high - low) or 1.0)

    parts = _rules_x(ticks(low, high), x, top, bottom=top + row * len(shown))
    for place, bar in enumerate(shown):
        y = top + row * (place + 0.5)
        parts.append(_text(left - 8.0, y + 4.0, _short(bar.label), anchor="end", style="name"))
        if math.isfinite(bar.lower) and math.isfinite(bar.upper):
            parts.append(f'<path class="band" d="M{x(bar.lower):.1f} {y:.1f}H{x(bar.upper):.1f}"/>')
        parts.append(f'<circle class="dot" cx="{x(bar.mean):.1f}" cy="{y:.1f}" r="4.5"/>')
    return _svg(height, label, parts)


def columns(bars: Sequence[Bar], *, label: str) -> str:
    """Draw means as columns with their bands, period after period."""
    ends = [v for b in bars for v in (b.mean, b.lower, b.upper) if math.isfinite(v)]
    low, high = min([0.0, *ends]), max([0.0, *ends]) or 1.0
    left, top, bottom = 48.0, 8.0, 190.0

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / ((high - low) or 1.0)

    parts = _rules_y(ticks(low, high), y, left)
    wide = (WIDTH - left - 6.0) / max(len(bars), 1)
    each = math.ceil(len(bars) * 44.0 / (WIDTH - left))
    for place, bar in enumerate(bars):
        middle = left + wide * (place + 0.5)
        box = sorted((y(0.0), y(bar.mean)))
        parts.append(
            f'<rect class="column" x="{middle - 0.32 * wide:.1f}" y="{box[0]:.1f}" width="{0.64 * wide:.1f}" '
            f'height="{box[1] - box[0]:.1f}"/>'
        )
        if math.isfinite(bar.lower) and math.isfinite(bar.upper):
            parts.append(f'<path class="whisker" d="M{middle:.1f} {y(bar.lower):.1f}V{y(bar.upper):.1f}"/>')
        if place % each == 0:
            parts.append(_text(middle, bottom + 16.0, bar.label, anchor="middle", style="tick"))
    return _svg(bottom + 24.0, label, parts)


def lines(
    drawn: Sequence[Line],
    *,
    label: str,
    x_name: str,
    y_name: str,
    area: Sequence[tuple[float, float, float]] = (),
    shares: bool = False,
) -> str:
    """Draw lines over a shared area, on axes of shares (0 to 100 %) or of money over periods."""
    points = [p for line in drawn for p in line.points]
    xs = [p[0] for p in points] or [0.0, 1.0]
    ys = [p[1] for p in points] + [v for _, a, b in area for v in (a, b)] or [1.0]
    x0, x1 = (0.0, 1.0) if shares else (min(xs), max(xs))
    y0, y1 = (min(0.0, *ys), 1.0) if shares else (min([0.0, *ys]), max([0.0, *ys]) or 1.0)
    left, top, bottom = 48.0, 10.0, 236.0

    def x(value: float) -> float:
        return left + (WIDTH - left - _EDGE) * (value - x0) / ((x1 - x0) or 1.0)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - y0) / ((y1 - y0) or 1.0)

    write = _share if shares else short_money
    parts = _rules_y(ticks(y0, y1), y, left, write=write)
    parts += [_text(x(v), bottom + 15.0, write(v), anchor="middle", style="tick") for v in ticks(x0, x1)]
    if area:
        there = " ".join(f"{x(p):.1f},{y(b):.1f}" for p, _, b in area)
        back = " ".join(f"{x(p):.1f},{y(a):.1f}" for p, a, _ in reversed(area))
        parts.append(f'<polygon class="area" points="{there} {back}"/>')
    for line in drawn:
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line.points)
        parts.append(f'<polyline class="line {escape(line.style)}" points="{path}"/>')
    parts.append(_text(WIDTH - _EDGE, bottom + 32.0, x_name, anchor="end", style="axis"))
    parts.append(_text(left, bottom + 32.0, y_name, anchor="start", style="axis"))
    down = bottom + 52.0
    for place, line in enumerate(drawn):
        at = left + 4.0
        parts.append(f'<path class="line {escape(line.style)}" d="M{at:.1f} {down + 18.0 * place:.1f}h22"/>')
        parts.append(_text(at + 30.0, down + 18.0 * place + 4.0, line.label, anchor="start", style="name"))
    return _svg(down + 18.0 * len(drawn) - 4.0, label, parts)


def bridge(steps: Sequence[tuple[str, float, bool]], *, label: str) -> str:
    """Draw how one total becomes another: steps of name, amount, and whether it is a total."""
    level, spans = 0.0, []
    for name, amount, total in steps:
        start = 0.0 if total else level
        level = amount if total else level + amount
        spans.append((name, start, level, "total" if total else "gain" if amount >= 0.0 else "loss", amount))
    ends = [v for _, a, b, _, _ in spans for v in (a, b)]
    low, high = min([0.0, *ends]), max([0.0, *ends]) or 1.0
    left, row, top = 206.0, 28.0, 4.0

    def x(value: float) -> float:
        return left + (WIDTH - left - 60.0) * (value - low) / ((high - low) or 1.0)

    parts = []
    for place, (name, start, end, kind, amount) in enumerate(spans):
        y = top + row * place
        a, b = sorted((x(start), x(end)))
        sign = "" if kind == "total" else "+" if amount >= 0.0 else ""
        parts.append(_text(left - 8.0, y + 18.0, _short(name, 30), anchor="end", style="name"))
        parts.append(
            f'<rect class="{kind}" x="{a:.1f}" y="{y + 5.0:.1f}" width="{max(b - a, 1.0):.1f}" '
            f'height="{row - 10.0:.0f}"/>'
        )
        parts.append(_text(b + 5.0, y + 18.0, sign + short_money(amount), anchor="start", style="tick"))
    return _svg(top + row * len(spans) + 4.0, label, parts)


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(printable(label))}">'
        f"{inside}</svg>"
    )


def _text(x: float, y: float, text: str, *, anchor: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(printable(text))}</text>'


def _rules_x(marks: Sequence[float], x: Callable[[float], float], top: float, *, bottom: float) -> list[str]:
    out = []
    for mark in marks:
        out.append(f'<path class="rule" d="M{x(mark):.1f} {top:.1f}V{bottom:.1f}"/>')
        out.append(_text(x(mark), bottom + 16.0, short_money(mark), anchor="middle", style="tick"))
    return out


def _rules_y(
    marks: Sequence[float], y: Callable[[float], float], left: float, *, write: Callable[[float], str] = short_money
) -> list[str]:
    out = []
    for mark in marks:
        out.append(f'<path class="rule" d="M{left:.1f} {y(mark):.1f}H{WIDTH - _EDGE:.1f}"/>')
        out.append(_text(left - 6.0, y(mark) + 4.0, write(mark), anchor="end", style="tick"))
    return out


def _share(value: float) -> str:
    return f"{100.0 * value:z.0f} %"


def _short(text: str, most: int = _LONGEST) -> str:
    clean = printable(text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"
