"""Accounts as bubbles on value by potential: who is worth much, who could be, and how surely."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.figures import style
from clv_forecast.figures.style import checked, in_currency

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OF_RANKING: Final = "the table of a ranking with potential"
_COLOURS: Final = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1A1A1A", "#B8A000", "#8C564B",
)  # fmt: skip
_OTHER: Final = "#BDBDBD"
_BUBBLES: Final = (7.6, 4.8)
_LARGEST: Final = 420.0  # points squared
_SMALLEST: Final = 10.0
_MANY: Final = 300
_NAMED: Final = 5
_WIDE: Final = 300.0  # points
_DECADES: Final = 3
_ROOM_OF_TICK: Final = {"x": 46.0, "y": 14.0}  # points
Which = Literal["x", "y"]
Box = tuple[float, float, float, float]


def draw_value_potential(table: pd.DataFrame, *, names: int | Sequence[Any] = _NAMED, ax: Axes | None = None) -> Axes:
    """Accounts as bubbles: value to the right, potential upwards, headroom as area, the cell as colour.

    Parameters
    ----------
    table : DataFrame
        A ranking: customer_id, value, potential_value, headroom, cell, p_cell; optional name, currency. The surer an
        account belongs to its cell (``p_cell``), the stronger its colour.
    names : int or sequence of ids
        Which accounts are named: so many of the first rows, or these.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, no account has a value and a potential, or an account to be named is not there.

    Notes
    -----
    Both axes are linear around zero and logarithmic beyond a thousandth of the largest amount's power of ten, so that
    losses, zeros and giants are all seen.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"customer_id": ["a", "b"], "value": [5e4, 2e6], "potential_value": [1e6, 0.0],
    ...                       "headroom": [3e6, 0.0], "cell": ["sleeping giants", "core"], "p_cell": [0.9, 0.6]})
    >>> ax = draw_value_potential(table, names=["a"], ax=Figure().subplots())
    >>> [text.get_text() for text in ax.texts]
    ['a']
    """
    checked(table, ["customer_id", "value", "potential_value", "headroom", "cell", "p_cell"], _OF_RANKING)
    _check_names(table, names)
    seen = (table["value"].notna() & table["potential_value"].notna()).to_numpy(dtype=bool)
    rows = table[seen].reset_index(drop=True)
    if rows.empty:
        raise DomainError("No account has a value and a potential.", remedy=f"Pass {_OF_RANKING}.")
    ax = style.axes(ax, _BUBBLES)
    x, y = (rows[name].to_numpy(dtype=float) for name in ("value", "potential_value"))
    area = _areas(rows["headroom"].to_numpy(dtype=float), len(rows))
    cells = [str(cell) if pd.notna(cell) else "not classed" for cell in rows["cell"]]
    colours = {cell: _COLOURS[i] if i < len(_COLOURS) else _OTHER for i, cell in enumerate(dict.fromkeys(cells))}
    sure = np.clip(np.nan_to_num(rows["p_cell"].to_numpy(dtype=float), nan=0.5), 0.0, 1.0)
    largest_first = np.argsort(-area, kind="stable")
    strength = 0.85 if len(rows) <= _MANY else 0.6
    ax.scatter(
        x[largest_first], y[largest_first], s=area[largest_first], c=[colours[cells[i]] for i in largest_first],
        alpha=strength * (0.4 + 0.6 * sure[largest_first]), linewidths=0.4, edgecolors="white",
        rasterized=len(rows) > _MANY,
    )  # fmt: skip
    number = f"{len(rows):,} accounts" if len(rows) > 1 else "one account"
    missing = f" ({len(table) - len(rows):,} without left out)" if len(rows) < len(table) else ""
    style.dress(
        ax, title=f"Value and potential of {number}{missing}; area: headroom{_largest(rows['headroom'])}", rules="both",
        x=in_currency("value", table), y=in_currency("potential value", table),
    )  # fmt: skip
    _key(ax, colours)
    _scale(ax, "x", x)
    _scale(ax, "y", y)
    style.settle(ax)
    _ticks(ax, "x")
    _ticks(ax, "y")
    _name(ax, rows, x, y=y, area=area, names=names)
    return ax


def _check_names(table: pd.DataFrame, names: Any) -> None:
    if isinstance(names, (int, np.integer)):
        return
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise DomainError("names must be a number of accounts, or their ids.", value=repr(names))
    known = set(table["customer_id"])
    strange = [each for each in names if each not in known]
    if strange:
        raise DomainError("names must be ids of the table.", value=repr(strange[0]))


def _largest(headroom: pd.Series[Any]) -> str:
    """What the largest bubble stands for."""
    most = headroom.max()
    return f" (the largest {style.amount_text(float(most))})" if pd.notna(most) and most > 0 else ""


def _areas(headroom: Any, count: int) -> Any:
    """Area of the bubbles in points squared, in proportion to headroom; smaller where there are many."""
    positive = np.clip(np.nan_to_num(headroom, nan=0.0), 0.0, None)
    most = float(positive.max())
    crowd = 1.0 if count <= _MANY else max(0.08, _MANY / count)
    smallest = max(4.0, _SMALLEST * crowd)
    return (
        smallest + (_LARGEST * max(crowd, 0.25) - smallest) * positive / most
        if most > 0.0
        else np.full(count, 3 * smallest)
    )


def _scale(ax: Axes, which: Which, values: Any) -> None:
    """Linear around zero, logarithmic beyond."""
    most = max(abs(float(values.min())), abs(float(values.max())))
    if most <= 0.0:
        return
    near = 10.0 ** (math.floor(math.log10(most)) - _DECADES)
    (ax.set_xscale if which == "x" else ax.set_yscale)("symlog", linthresh=near, linscale=0.5)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    ends = ((2.5 * low if low < -near else -0.6 * near), (2.5 * high if high > near else 1.2 * near))
    (ax.set_xlim if which == "x" else ax.set_ylim)(*ends)


def _ticks(ax: Axes, which: Which) -> None:
    """Zero and powers of ten, as many as have room."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: style.amount_text(value)))
    if axis.get_scale() != "symlog":
        axis.set_ticks([0.0])
        return
    low, high = ax.get_xlim() if which == "x" else ax.get_ylim()
    top = math.floor(math.log10(max(-low, high)))
    room = style.size_in_points(ax)[0 if which == "x" else 1]
    least = _ROOM_OF_TICK[which]
    sides = 2 if low < -0.01 * high and high > -0.01 * low else 1
    step = max(1, math.ceil((_DECADES + 1) * sides * least / max(room, 1.0)))
    powers = [10.0**k for k in range(top, top - _DECADES - 1, -step)][::-1]
    axis.set_ticks([*(-p for p in reversed(powers) if -p >= low), 0.0, *(p for p in powers if p <= high)])
    axis.set_minor_locator(NullLocator())


def _key(ax: Axes, colours: dict[str, str]) -> None:
    from matplotlib.lines import Line2D

    longest = 24 if style.size_in_points(ax)[0] >= _WIDE else 10
    shown = list(colours.items())[: len(_COLOURS)]
    if len(colours) > len(_COLOURS):
        shown.append(("other cells", _OTHER))
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour, markersize=6, label=style.name_in_key(cell, longest))
        for cell, colour in shown
    ]
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=style.TICK_SIZE,
        labelcolor=style.TEXT, handletextpad=0.3, borderaxespad=0.0,
    )  # fmt: skip


def _name(ax: Axes, rows: pd.DataFrame, x: Any, *, y: Any, area: Any, names: Any) -> None:
    """Names beside bubbles, where they cover no other name; the others stay unnamed."""
    if isinstance(names, (int, np.integer)):
        chosen = list(range(min(max(int(names), 0), len(rows))))
    else:
        wanted = set(names)
        chosen = [i for i, each in enumerate(rows["customer_id"]) if each in wanted]
    known = rows["name"] if "name" in rows.columns else rows["customer_id"]
    per_point = ax.figure.dpi / 72.0
    left, right = (edge / per_point for edge in ax.get_window_extent().intervalx)
    at = ax.transData.transform(np.column_stack([x, y])) / per_point
    radius = 0.5 * np.sqrt(area)
    bubbles: list[Box] = []
    if len(rows) <= _MANY:
        bubbles = [(cx - r, cy - r, cx + r, cy + r) for (cx, cy), r in zip(at, radius, strict=True)]
    taken: list[Box] = []
    for i in chosen:
        label = rows["customer_id"][i] if pd.isna(known[i]) or not str(known[i]).strip() else known[i]
        text = style.short(label, 26)
        spots = [spot for spot in _spots(text, at[i], float(radius[i])) if left <= spot[3][0] <= spot[3][2] <= right]
        free = [spot for spot in spots if not any(_overlap(spot[3], other) for other in taken)]
        clear = [spot for spot in free if not any(_overlap(spot[3], other) for other in bubbles)]
        for dx, dy, side, found in (clear or free)[:1]:
            taken.append(found)
            ax.annotate(
                text, (x[i], y[i]), xytext=(dx, dy), textcoords="offset points", ha=side, va="center",
                fontsize=style.TICK_SIZE, color=style.TEXT,
            )  # fmt: skip


def _spots(text: str, at: Any, radius: float) -> list[tuple[float, float, str, Box]]:
    """Places around a bubble for its name: the offset, the side it is anchored on, and the box it would fill."""
    away = radius + 2.0
    wide, high = len(text) * style.TICK_SIZE * 0.56, 1.25 * style.TICK_SIZE
    around = [(away, 0.0, "left"), (-away, 0.0, "right"), (0.0, away + 5.0, "center"), (0.0, -away - 5.0, "center")]
    found = []
    for dx, dy, side in (*around, (away, 13.0, "left"), (away, -13.0, "left"), (-away, 13.0, "right")):
        start = float(at[0]) + dx - {"left": 0.0, "right": wide, "center": 0.5 * wide}[side]
        middle = float(at[1]) + dy
        found.append((dx, dy, side, (start, middle - 0.5 * high, start + wide, middle + 0.5 * high)))
    return found


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
