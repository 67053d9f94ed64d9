"""Movement between cells, as bands that flow from where accounts were to where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.style import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MADE_BY: Final = "the table made by migration"
_NEW: Final = "new"
_GONE: Final = "gone"
_LAST: Final = ("not classed", _NEW, _GONE)
_WIDTH: Final = 7.4
_ROW: Final = 0.42
_REST: Final = 1.5
_GAP: Final = 0.02  # of all accounts, between two cells
_NODE: Final = 0.025
_WIDE_KEY: Final = 320.0  # points: the key fits on one line
_LONGEST: Final = 26
_PAD: Final = 26.0  # of the title, above the key
_LETTER: Final = 0.56  # of its height
_MOST_ROOM: Final = 0.38  # of the width, for the names of one side
_LOOKS: Final = {
    "stayed": (style.BAR, 0.55),
    "moved up": (style.EXPECTED, 0.5),
    "moved down": (style.OWN, 0.5),
    "moved": (style.POOLED, 0.4),
    "new": ("#009E73", 0.5),
    "gone": (style.ACTUAL, 0.35),
}


def draw_migration(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Flow of accounts between the cells of two rankings; the width of a band is the number of accounts.

    Parameters
    ----------
    table : DataFrame
        ``migration``: from_cell, to_cell, customers. The order of the cells is that of the categories, best first,
        else that of the rows.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"from_cell": ["core", "core", "steady"], "to_cell": ["core", "gone", "core"],
    ...                       "customers": [90, 10, 25]})
    >>> ax = draw_migration(table, ax=Figure().subplots())
    >>> [text.get_text() for text in ax.texts]
    ['core 100', 'steady 25', 'core 115', 'gone 10']
    """
    checked(table, ["from_cell", "to_cell", "customers"], _MADE_BY)
    order = _order(table)
    flows = _flows(table, order)
    ax = style.axes(ax, (_WIDTH, _REST + _ROW * max(len(order), 4)))
    total = sum(count for _, _, count in flows)
    gap = _GAP * max(total, 1.0)
    left = _stack([name for name in order if name != _NEW or any(a == _NEW for a, _, _ in flows)], flows, 0, gap=gap)
    right = _stack(order, flows, 1, gap=gap)
    height = max([top for _, top in (*left.values(), *right.values())], default=1.0)
    used_left, used_right = ({name: low for name, (low, _) in side.items()} for side in (left, right))
    for source, target, count in flows:
        kind = _kind(source, target, order)
        y0, y1 = used_left[source], used_right[target]
        used_left[source], used_right[target] = y0 + count, y1 + count
        _band(ax, y0, y1, count=count, kind=kind)
    for x, side in ((0.0, left), (1.0, right)):
        for name, (low, high) in side.items():
            _node(
                ax,
                x,
                low,
                high=high,
                colour=_LOOKS["new" if name == _NEW else "gone"][0] if name in (_NEW, _GONE) else style.POOLED,
            )
    ax.set_ylim(height + 0.5 * gap, -0.5 * gap)
    ax.set_xticks([0.0, 1.0], ["before", "after"])
    title = "Accounts by cell, before and after"
    pad = _PAD if style.size_in_points(ax)[0] >= _WIDE_KEY else _PAD + 12.0
    style.dress(ax, title=title, x="cell, with its number of accounts", rules="none", pad=pad)
    ax.set_yticks([])
    ax.set_ylabel("accounts", fontsize=style.LABEL_SIZE, color=style.TEXT)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(axis="x", length=0)
    _key(ax, {_kind(source, target, order) for source, target, _ in flows})
    style.settle(ax)
    _names(ax, left, right)
    return ax


Stack = dict[str, tuple[float, float]]
Flow = tuple[str, str, float]


def _order(table: pd.DataFrame) -> list[str]:
    """Cells from the best; those that are none stand last."""
    known: list[str] = []
    for column in ("from_cell", "to_cell"):
        values = table[column]
        if isinstance(values.dtype, pd.CategoricalDtype):
            there = set(values.dropna().astype(str))
            names = [str(name) for name in values.cat.categories if str(name) in there]
        else:
            names = [str(name) for name in values.dropna()]
        known.extend(names)
    if isinstance(table["from_cell"].dtype, pd.CategoricalDtype):
        places = {str(name): i for i, name in enumerate(table["from_cell"].cat.categories)}
        known.sort(key=lambda name: places.get(name, len(places)))
    found = list(dict.fromkeys(known))
    return [*(name for name in found if name not in _LAST), *(name for name in _LAST if name in found)]


def _flows(table: pd.DataFrame, order: list[str]) -> list[Flow]:
    place = {name: i for i, name in enumerate(order)}
    rows = zip(table["from_cell"], table["to_cell"], table["customers"], strict=True)
    found = [(str(source), str(target), float(count)) for source, target, count in rows if count > 0]
    return sorted(found, key=lambda flow: (place[flow[0]], place[flow[1]]))


def _stack(order: list[str], flows: list[Flow], side: int, *, gap: float) -> Stack:
    """Where each cell's bar begins and ends, one below the other."""
    found: Stack = {}
    at = 0.0
    for name in order:
        size = sum(flow[2] for flow in flows if flow[side] == name)
        if size > 0.0:
            found[name] = (at, at + size)
            at += size + gap
    return found


def _kind(source: str, target: str, order: list[str]) -> str:
    if source == _NEW:
        return "new"
    if target == _GONE:
        return "gone"
    if source == target:
        return "stayed"
    if "not classed" in (source, target):
        return "moved"
    return "moved up" if order.index(target) < order.index(source) else "moved down"


def _band(ax: Axes, y0: float, y1: float, *, count: float, kind: str) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    left, right = _NODE, 1.0 - _NODE
    corners = [
        (left, y0), (0.5, y0), (0.5, y1), (right, y1),
        (right, y1 + count), (0.5, y1 + count), (0.5, y0 + count), (left, y0 + count),
        (left, y0),
    ]  # fmt: skip
    codes: list[Any] = [
        Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4,
        Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4,
        Path.CLOSEPOLY,
    ]  # fmt: skip
    colour, alpha = _LOOKS[kind]
    ax.add_patch(PathPatch(Path(corners, codes), facecolor=colour, alpha=alpha, linewidth=0))


def _node(ax: Axes, x: float, low: float, *, high: float, colour: str) -> None:
    from matplotlib.patches import Rectangle

    start = x if x == 0.0 else x - _NODE
    ax.add_patch(Rectangle((start, low), _NODE, high - low, facecolor=colour, linewidth=0))


def _names(ax: Axes, left: Stack, right: Stack) -> None:
    """Names beside the bars, pushed apart where bars are thin; the limits move to make room for them."""
    wide, high = style.size_in_points(ax)
    longest = int(min(_LONGEST, max(_MOST_ROOM * wide / (_LETTER * style.TICK_SIZE) - 8.0, 6.0)))
    texts = [
        [f"{style.short(name, longest)} {style.amount_text(end - start)}" for name, (start, end) in side.items()]
        for side in (left, right)
    ]
    needs = [
        min(_MOST_ROOM, (max(map(len, names)) * style.TICK_SIZE * _LETTER + 8.0) / max(wide, 1.0)) for names in texts
    ]
    inner = 1.0 - needs[0] - needs[1]
    ax.set_xlim(-needs[0] / inner, 1.0 + needs[1] / inner)
    low, top = sorted(ax.get_ylim())
    half = 0.5 * 1.2 * style.TICK_SIZE * (top - low) / max(high, 1.0)
    for x, side, names in ((0.0, left, texts[0]), (1.0, right, texts[1])):
        heights = style.apart([0.5 * (a + b) for a, b in side.values()], [half] * len(side), low, top=top)
        for y, name in zip(heights, names, strict=True):
            ax.annotate(
                name, (x, y), xytext=(-5 if x == 0.0 else 5, 0), textcoords="offset points", va="center",
                ha="right" if x == 0.0 else "left", fontsize=style.TICK_SIZE, color=style.TEXT, annotation_clip=False,
            )  # fmt: skip


def _key(ax: Axes, kinds: set[str]) -> None:
    from matplotlib.patches import Patch

    shown = [Patch(facecolor=look[0], alpha=look[1], label=kind) for kind, look in _LOOKS.items() if kind in kinds]
    columns = len(shown) if style.size_in_points(ax)[0] >= _WIDE_KEY else 3
    ax.legend(
        handles=shown, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False, borderaxespad=0.0,
        fontsize=style.TICK_SIZE, labelcolor=style.TEXT, handlelength=1.0, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip
