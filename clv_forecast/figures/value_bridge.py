"""The bridge from the value of one run to that of a later one, cause by cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.figures import style
from clv_forecast.figures.style import checked, digits_for, in_currency, money_axis, money_text, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MADE_BY: Final = "the table bridge.steps of a comparison of two runs"
_THEN: Final = "value then"
_NOW: Final = "value now"
_WIDTH: Final = 7.6
_ROW: Final = 0.3
_REST: Final = 1.5
_HALF: Final = 0.34  # of a bar's height
_NARROW: Final = 330.0  # points: no room to tell how many accounts
_SHARE_OF_NAMES: Final = 0.34
_SHORT_NAMES: Final = {
    "merged, split or removed accounts": "merged, split, removed",
    "passage of time, as expected": "passage of time",
    "purchases against expectation": "purchases vs expected",
    "money per order against expectation": "money vs expected",
    "model or configuration": "model, configuration",
}
_LONGEST_SHORT: Final = 24
_OF_WIDTH: Final = 0.88  # for a title of many digits, which are wide
_LETTER: Final = 0.66  # of its height
_BOLD: Final = 1.15
_GAP: Final = 4.0  # points between a bar and its amount
_MOST_ROOM: Final = 0.4  # of the width, for what is written beside the bars
_PASSES: Final = 12
_SMALL: Final = 0.15  # steps that all move less of the larger total are shown on an axis away from zero,
_SPREAD: Final = 0.4  # unless they come this far together
_BEFORE_STEPS: Final = 0.35  # of the moves, between the edge of such an axis and the first mark
_HEADING: Final = "accounts"
_ROOM_OF_TICK: Final = 62.0  # points


class _Bar(NamedTuple):
    """One row of the figure: from ``start`` to ``end``, with what is written beside it."""

    name: str
    start: float
    end: float
    amount: str
    accounts: str
    total: bool

    @property
    def colour(self) -> str:
        if self.total:
            return style.POOLED
        return style.EXPECTED if self.end > self.start else style.OWN

    @property
    def to_the_left(self) -> bool:
        """Whether the amount stands left of the bar: there it points to where the value went."""
        return self.end < self.start


def draw_value_bridge(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Waterfall from the value of an earlier run to that of a later one: each cause starts where the one before ended.

    Causes that moved nothing are counted, not drawn. Where the moves are small beside the totals the axis does not
    start at zero, and says so.

    Parameters
    ----------
    table : DataFrame
        ``bridge.steps``: step, accounts, value, from ``"value then"`` to ``"value now"``; optional previous_as_of,
        as_of, horizon, currency.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or the rows are not one bridge: from value then to value now, and adding up.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"step": ["value then", "new customers", "costs", "value now"],
    ...                       "accounts": [90, 10, 0, 100], "value": [900.0, 120.0, 0.0, 1020.0]})
    >>> ax = draw_value_bridge(table, ax=Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['value then', 'new customers', 'value now']
    """
    checked(table, ["step", "accounts", "value"], _MADE_BY)
    _check_bridge(table)
    bars = _bars(table)
    unmoved = len(table) - len(bars)
    rows = len(bars) + (1 if unmoved else 0)
    ax = style.axes(ax, (_WIDTH, _REST + _ROW * max(rows, 4)))
    low, high = _content(bars)
    note = _far_from_zero(bars)
    for y, bar in enumerate(bars):
        start = high if bar.total and note and high < 0.0 else bar.start
        ax.barh(
            y, bar.end - start, left=start, height=2.0 * _HALF, color=bar.colour, edgecolor=bar.colour, linewidth=0.8
        )
    for y, bar in enumerate(bars[:-1]):
        ax.plot([bar.end] * 2, [y + _HALF, y + 1.0 - _HALF], color=style.POOLED, linewidth=0.9)
    ax.set_xlim(low, high)
    ax.set_ylim(rows - 0.4, -0.6)
    money_axis(ax.xaxis)
    _dress(ax, table, bars, x=f"{in_currency('value', table)}{note}")
    _room_beside(ax, bars)
    _write(ax, bars)
    if note:
        _tear(ax, bars, high)
    if unmoved:
        text = f"{unmoved} cause{' ' if unmoved == 1 else 's '}moved nothing"
        _at_edge(ax, text, 0.0, y=float(len(bars)), ha="left", x=_GAP, va="center")
    return ax


def _dress(ax: Axes, table: pd.DataFrame, bars: list[_Bar], *, x: str) -> None:
    """Names of the steps, of the axis and of the figure: as they fit the axes in the size they will be seen in."""
    wide, _ = style.size_in_points(ax)
    full = [style.wrapped(style.short(bar.name, 48), _SHARE_OF_NAMES * wide, style.TICK_SIZE) for bar in bars]
    lines = max(name.count("\n") + 1 for name in full)
    for names in (full, [style.short(_SHORT_NAMES.get(bar.name, bar.name), _LONGEST_SHORT) for bar in bars]):
        ax.set_yticks(np.arange(len(bars)), names)
        style.dress(ax, title=_title(table), x=x, rules="x", pad=20.0)
        ax.tick_params(axis="y", length=0)
        style.settle(ax)
        wide, high = style.size_in_points(ax)
        below, above = ax.get_ylim()
        if 1.2 * style.TICK_SIZE * lines <= high / (below - above):
            break
    ax.set_xlabel(style.wrapped(x, wide, style.LABEL_SIZE))
    title = style.wrapped(_title(table), _OF_WIDTH * wide, style.TITLE_SIZE)
    ax.set_title(title, loc="left", fontsize=style.TITLE_SIZE, color=style.TEXT, pad=20.0)


def _check_bridge(table: pd.DataFrame) -> None:
    steps, values = [str(step) for step in table["step"]], table["value"].to_numpy(dtype=float)
    ends = [i for i, step in enumerate(steps) if step in (_THEN, _NOW)]
    if ends != [0, len(steps) - 1] or steps[0] != _THEN or len(steps) == 1:
        raise DomainError(
            f"A bridge is one row {_THEN!r}, its causes, and one row {_NOW!r}.",
            value=", ".join(steps[:4]),
            remedy=f"Pass {_MADE_BY}, in its order.",
        )
    left = sum(float(value) for value in values[:-1]) - float(values[-1])
    if not abs(left) <= max(0.01, 1e-9 * float(np.abs(values).max())):
        raise DomainError(
            f"The rows of a bridge add up from {_THEN!r} to {_NOW!r}.", value=f"{left:+z,.2f} left", remedy=_MADE_BY
        )


def _bars(table: pd.DataFrame) -> list[_Bar]:
    """The totals, and between them the causes that moved something."""
    values = table["value"].to_numpy(dtype=float)
    ends = (float(values[0]), float(values[-1]))
    exact = digits_for(ends, ends[1] - ends[0])
    last = len(values) - 1
    found, level = [], 0.0
    for place, (step, accounts, value) in enumerate(zip(table["step"], table["accounts"], values, strict=True)):
        total = place in (0, last)
        if not (total or value):
            continue
        start = 0.0 if total else level
        level = float(value) if total else level + float(value)
        amount = money_text(value, exact) if total else money_text(value, signed=True)
        found.append(
            _Bar(
                name=str(step),
                start=start,
                end=level,
                amount=amount.replace("$", r"\$"),
                accounts="" if pd.isna(accounts) else f"{float(accounts):,.0f}",
                total=total,
            )
        )
    return found


def _content(bars: list[_Bar]) -> tuple[float, float]:
    """Limits of the axis, without room for what is written: from zero, or from near the steps where they are small."""
    levels = [bar.end for bar in bars]
    low, high = min(levels), max(levels)
    if not _far_from_zero(bars):
        low, high = min(low, 0.0), max(high, 0.0)
        return (low, high) if high > low else (0.0, 1.0)
    pad = _BEFORE_STEPS * (high - low)
    return (low - pad, high) if low > 0.0 else (low, high + pad)


def _far_from_zero(bars: list[_Bar]) -> str:
    """What the axis must say when it leaves zero out; nothing when zero is seen."""
    levels = [bar.end for bar in bars]
    low, high = min(levels), max(levels)
    largest = max(-low, high)
    step = max([abs(bar.end - bar.start) for bar in bars if not bar.total], default=0.0)
    if low * high <= 0.0 or not 0.0 < step < _SMALL * largest or high - low >= _SPREAD * largest:
        return ""
    return " (the axis does not start at 0)" if low > 0.0 else " (the axis does not reach 0)"


def _room_beside(ax: Axes, bars: list[_Bar]) -> None:
    """Widen the limits until every amount, and the counts of accounts, have their room."""
    wide, _ = style.size_in_points(ax)
    low, high = ax.get_xlim()
    first = (low, high)
    away = bool(_far_from_zero(bars))
    column = _column(ax, bars)
    needs = [min(_written(bar.amount) * (_BOLD if bar.total else 1.0) + 2.0 * _GAP, _MOST_ROOM * wide) for bar in bars]
    for _ in range(_PASSES):
        per_point = (high - low) / max(wide, 1.0)
        rights = [bar.end + need * per_point for bar, need in zip(bars, needs, strict=True) if not bar.to_the_left]
        lefts = [bar.end - need * per_point for bar, need in zip(bars, needs, strict=True) if bar.to_the_left]
        high = max([first[1], *rights]) + column * per_point
        low = min([first[0], *lefts])
    if away and low < 0.0 < first[0]:
        low = 0.0
    ax.set_xlim(low, high)
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(max(2, int(wide / _ROOM_OF_TICK))))


def _written(text: str) -> float:
    return len(text) * style.TICK_SIZE * _LETTER


def _column(ax: Axes, bars: list[_Bar]) -> float:
    """Points of the column that tells how many accounts; none where the axes are narrow."""
    if style.size_in_points(ax)[0] < _NARROW:
        return 0.0
    return max(_written(text) for text in (_HEADING, *(bar.accounts for bar in bars))) + _GAP


def _write(ax: Axes, bars: list[_Bar]) -> None:
    counted = _column(ax, bars) > 0.0
    for y, bar in enumerate(bars):
        ax.annotate(
            bar.amount, (bar.end, y), xytext=(-_GAP if bar.to_the_left else _GAP, 0), textcoords="offset points",
            ha="right" if bar.to_the_left else "left", va="center", fontsize=style.TICK_SIZE, color=style.TEXT,
            fontweight="bold" if bar.total else "normal", annotation_clip=False,
        )  # fmt: skip
        if counted:
            _at_edge(ax, bar.accounts, 1.0, y=float(y), ha="right", x=-2.0, va="center")
    if counted:
        _at_edge(ax, _HEADING, 1.0, y=None, ha="right", x=-2.0, va="bottom")
    low, high = ax.get_xlim()
    if low < 0.0 < high:
        ax.axvline(0.0, color=style.POOLED, linewidth=0.8, zorder=0.5)


def _at_edge(ax: Axes, text: str, x_of_axes: float, *, y: float | None, ha: Any, x: float, va: Any) -> None:
    """A quiet text at an edge of the axes: in a row, or above them."""
    ax.annotate(
        text, (x_of_axes, 1.0 if y is None else y),
        xycoords=("axes fraction", "axes fraction" if y is None else "data"),
        xytext=(x, 3.0 if y is None else 0.0), textcoords="offset points", ha=ha, va=va, fontsize=style.TICK_SIZE,
        color=style.QUIET, annotation_clip=False,
    )  # fmt: skip


def _tear(ax: Axes, bars: list[_Bar], cut: float) -> None:
    """Two white strokes through the bars of the totals, near the end where they are cut off."""
    low, high = ax.get_xlim()
    wide, _ = style.size_in_points(ax)
    per_point = (high - low) / max(wide, 1.0)
    edge, inward = (low, per_point) if bars[0].end > 0.0 else (cut, -per_point)
    for y, bar in enumerate(bars):
        for points in (8.0, 13.0) if bar.total else ():
            at = edge + points * inward
            ends = [at - 2.5 * per_point, at + 2.5 * per_point]
            ax.plot(ends, [y + 0.46, y - 0.46], color="white", linewidth=2.0)


def _title(table: pd.DataFrame) -> str:
    value = table["value"].to_numpy(dtype=float)
    change = float(value[-1] - value[0])
    horizon, then, now = (written(table, name) for name in ("horizon", "previous_as_of", "as_of"))
    what = f"Value over {horizon}" if horizon else "Value of the base"
    how = f"{'rose' if change > 0.0 else 'fell'} by {money_text(abs(change))}" if change else "stayed as it was"
    if not (then and now):
        return f"{what} {how}"
    return f"{what} {how} from {then} to {now}" if then != now else f"{what} {how} between two runs of {now}"
