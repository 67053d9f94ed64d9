"""Accounts as bubbles on value by potential: who is worth much, who could be, and how surely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.figures import style
from clv_forecast.figures.rows import checked, in_currency

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OF_RANKING: Final = "the table of a ranking"
_COLOURS: Final = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1A1A1A", "#B8A000", "#8C564B",
)  # fmt: skip
_OTHER: Final = "#BDBDBD"
_BUBBLES: Final = (7.6, 4.8)
_LARGEST: Final = 420.0  # points squared
_SMALLEST: Final = 10.0
_MANY: Final = 300
_NAMED: Final = 5


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
        If a column is missing, or no account has a value and a potential.

    Notes
    -----
    Both axes are linear around zero and logarithmic beyond a hundredth of the largest amount's power of ten, so that
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
    strength = 0.75 if len(rows) <= _MANY else 0.5
    ax.scatter(
        x[largest_first], y[largest_first], s=area[largest_first], c=[colours[cells[i]] for i in largest_first],
        alpha=strength * (0.25 + 0.75 * sure[largest_first]), linewidths=0.4, edgecolors="white",
        rasterized=len(rows) > _MANY,
    )  # fmt: skip
    _scale(ax, "x", x)
    _scale(ax, "y", y)
    number = f"{len(rows):,} accounts" if len(rows) > 1 else "one account"
    missing = f" ({len(table) - len(rows):,} without left out)" if len(rows) < len(table) else ""
    style.dress(
        ax, title=f"Value and potential of {number}{missing}; area: headroom", rules="both",
        x=in_currency("value", table), y=in_currency("potential value", table),
    )  # fmt: skip
    _key(ax, colours)
    _name(ax, rows, x, y, area, names)
    return ax


def _areas(headroom: Any, count: int) -> Any:
    """Area of the bubbles in points squared, in proportion to headroom; smaller where there are many."""
    positive = np.clip(np.nan_to_num(headroom, nan=0.0), 0.0, None)
    most = float(positive.max())
    crowd = 1.0 if count <= _MANY else max(0.08, _MANY / count)
    smallest = max(3.0, _SMALLEST * crowd)
    return (
        smallest + (_LARGEST * max(crowd, 0.25) - smallest) * positive / most
        if most > 0.0
        else np.full(count, 3 * smallest)
    )


def _scale(ax: Axes, which: str, values: Any) -> None:
    """Linear around zero, logarithmic beyond; ticks at powers of ten."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    most = max(abs(float(values.min())), abs(float(values.max())))
    if most <= 0.0:
        return
    near = 10.0 ** (math.floor(math.log10(most)) - 2)
    (ax.set_xscale if which == "x" else ax.set_yscale)("symlog", linthresh=near, linscale=0.5)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    ends = ((2.5 * low if low < -near else -0.6 * near), (2.5 * high if high > near else 1.2 * near))
    (ax.set_xlim if which == "x" else ax.set_ylim)(*ends)
    powers = [near * 10.0**k for k in range(math.floor(math.log10(max(-ends[0], ends[1]) / near)) + 1)]
    ticks = [*(-p for p in reversed(powers) if -p >= ends[0]), 0.0, *(p for p in powers if p <= ends[1])]
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_ticks(ticks)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: style.amount_text(value)))


def _key(ax: Axes, colours: dict[str, str]) -> None:
    from matplotlib.lines import Line2D

    shown = list(colours.items())[: len(_COLOURS)]
    if len(colours) > len(_COLOURS):
        shown.append(("other cells", _OTHER))
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour, markersize=6, label=style.short(cell, 24))
        for cell, colour in shown
    ]
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=style.TICK_SIZE,
        labelcolor=style.TEXT, handletextpad=0.3, borderaxespad=0.0,
    )  # fmt: skip


def _name(ax: Axes, rows: pd.DataFrame, x: Any, y: Any, area: Any, names: Any) -> None:
    """Names beside bubbles, where they cover no other name; the others stay unnamed."""
    if isinstance(names, (int, np.integer)):
        chosen = list(range(min(max(int(names), 0), len(rows))))
    else:
        wanted = list(names)
        chosen = [i for i, each in enumerate(rows["customer_id"]) if each in wanted]
    known = rows["name"] if "name" in rows.columns else rows["customer_id"]
    per_point = ax.figure.dpi / 72.0
    box = ax.get_window_extent()
    taken: list[tuple[float, float, float, float]] = []
    for i in chosen:
        label = rows["customer_id"][i] if pd.isna(known[i]) or not str(known[i]).strip() else known[i]
        text = style.short(label, 26)
        cx, cy = ax.transData.transform((x[i], y[i])) / per_point
        away = 0.5 * math.sqrt(float(area[i])) + 2.0
        wide, high = len(text) * style.TICK_SIZE * 0.56, 1.25 * style.TICK_SIZE
        around = [(away, 0.0, "left"), (-away, 0.0, "right"), (0.0, away + 5.0, "center"), (0.0, -away - 5.0, "center")]
        for dx, dy, side in (*around, (away, 13.0, "left"), (away, -13.0, "left")):
            start = cx + dx - {"left": 0.0, "right": wide, "center": 0.5 * wide}[side]
            found = (start, cy + dy - 0.5 * high, start + wide, cy + dy + 0.5 * high)
            inside = found[0] >= box.x0 / per_point and found[2] <= box.x1 / per_point
            if inside and not any(_overlap(found, other) for other in taken):
                taken.append(found)
                ax.annotate(
                    text, (x[i], y[i]), xytext=(dx, dy), textcoords="offset points", ha=side, va="center",
                    fontsize=style.TICK_SIZE, color=style.TEXT,
                )  # fmt: skip
                break


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
