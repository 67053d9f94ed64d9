"""How customers differ: the spread of purchase rates, of dropout and of spend over the population.

Partial pooling made visible: each group by itself, in the model, and everyone together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.style import band_name, checked, chosen, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_SHRINKAGE_MADE_BY: Final = "the shrinkage table of a model with groups"
_APART: Final = 0.17
_WIDTH: Final = 7.0
_ROW: Final = 0.3
_REST: Final = 1.5
_WIDE: Final = 280.0  # points: the key fits on one line
_KEY_LINE: Final = 15.0
_SHRINKAGE_ROOM: Final = 0.3


def draw_shrinkage(
    table: pd.DataFrame, *, quantity: str | None = None, attribute: str | None = None, ax: Axes | None = None
) -> Axes:
    """Every group's own estimate, the partially pooled one, and the pooled one, with intervals.

    Groups stand in the order of size, the largest at the top; the smaller a group, the more it borrows.

    Parameters
    ----------
    table : DataFrame
        Columns group, customers, and own, partial, pooled, each with ``_lower`` and ``_upper``; own is missing where
        a group alone says too little. Optional attribute, quantity, unit, prob.
    quantity, attribute : str, optional
        Such as ``"mean_purchase_rate"`` and the column that groups; where the table holds several, default: the first.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or the table has no such quantity or attribute.

    Notes
    -----
    An interval of a group by itself that would dwarf all others runs on beyond the edge.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> numbers = {"own": [1.0, 3.0], "partial": [1.1, 2.0], "pooled": 1.2}
    >>> table = pd.DataFrame({"group": ["north", "south"], "customers": [900, 25], **numbers})
    >>> for name in numbers:
    ...     table[f"{name}_lower"], table[f"{name}_upper"] = table[name] - 0.5, table[name] + 0.5
    >>> [tick.get_text() for tick in draw_shrinkage(table, ax=Figure().subplots()).get_yticklabels()]
    ['north (900)', 'south (25)']
    """
    kinds = ("own", "partial", "pooled")
    needed = [f"{kind}{end}" for kind in kinds for end in ("", "_lower", "_upper")]
    checked(table, ["group", "customers", *needed], _SHRINKAGE_MADE_BY)
    rows = _first_or(_first_or(table, "attribute", attribute), "quantity", quantity)
    rows = rows.sort_values("customers", ascending=False, kind="stable")
    ax = style.axes(ax, (_WIDTH, _REST + _ROW * max(len(rows), 3)))
    at = np.arange(len(rows), dtype=float)
    interval = band_name(rows, "interval")
    _pooled(ax, rows)
    ax.hlines(at - _APART, rows["own_lower"], rows["own_upper"], color=style.OWN, alpha=0.55, linewidth=1.4)
    ax.plot(
        rows["own"], at - _APART, "o", color=style.OWN, markerfacecolor="white", markersize=5, label="group by itself"
    )
    ax.hlines(
        at + _APART, rows["partial_lower"], rows["partial_upper"], color=style.EXPECTED, alpha=style.INTERVAL_ALPHA,
        linewidth=5,
    )  # fmt: skip
    ax.plot(rows["partial"], at + _APART, "o", color=style.EXPECTED, markersize=5, label="partially pooled")
    names = zip(rows["group"], rows["customers"], strict=True)
    ax.set_yticks(at, [f"{style.short(name)} ({style.amount_text(count)})" for name, count in names])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    _limits(ax, rows)
    what, unit = written(rows, "quantity", "estimate").replace("_", " "), written(rows, "unit")
    by = written(rows, "attribute", "group").replace("_", " ")
    style.thousands(ax.xaxis)
    wide = style.size_in_points(ax)[0] >= _WIDE
    style.dress(
        ax, title=f"{what.capitalize()} by {by} (customers), {interval}s",
        x=what if unit in what else f"{what}, {unit}",
        rules="x", pad=_KEY_LINE * (1 if wide else 3) + 8.0,
    )  # fmt: skip
    ax.tick_params(axis="y", length=0)
    ax.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3 if wide else 1, frameon=False, borderaxespad=0.0,
        borderpad=0.2, fontsize=style.TICK_SIZE, labelcolor=style.TEXT, handlelength=1.2, columnspacing=1.4,
    )  # fmt: skip
    return ax


def _first_or(table: pd.DataFrame, column: str, value: str | None) -> pd.DataFrame:
    """Rows of a value, or of the first one in the table."""
    if value is None and column in table.columns:
        value = str(table[column].iloc[0])
    return chosen(table, column, value)


def _limits(ax: Axes, rows: pd.DataFrame) -> None:
    """Room for all estimates and for the intervals of what is pooled; wider ones of single groups are cut off."""
    inside = rows[["own", "partial_lower", "partial_upper", "pooled_lower", "pooled_upper"]].to_numpy(dtype=float)
    inside = inside[np.isfinite(inside)]
    if not inside.size:
        return
    low, high = float(inside.min()), float(inside.max())
    room = _SHRINKAGE_ROOM * (high - low)
    left, right = ax.get_xlim()
    ax.set_xlim(max(left, low - room), min(right, high + room))


def _pooled(ax: Axes, rows: pd.DataFrame) -> None:
    """One value for everyone is a line through all rows; where it differs by group, each has its own piece."""
    at = np.arange(len(rows), dtype=float)
    ax.fill_betweenx(
        np.repeat(at, 2) + np.tile([-0.5, 0.5], len(rows)),
        np.repeat(rows["pooled_lower"].to_numpy(dtype=float), 2),
        np.repeat(rows["pooled_upper"].to_numpy(dtype=float), 2),
        color=style.POOLED,
        alpha=0.18,
        linewidth=0,
    )
    ax.vlines(rows["pooled"], at - 0.5, at + 0.5, color=style.POOLED, linewidth=1.3, label="everyone together")


_TOWERS: Final = 2.5
_ROOM: Final = 1.35
_MADE_BY: Final = "the table made by heterogeneity(model)"


def draw_heterogeneity(table: pd.DataFrame, *, quantity: str, ax: Axes | None = None) -> Axes:
    """How one property is spread over customers: the share of them in each bin, with its band.

    Parameters
    ----------
    table : DataFrame
        ``heterogeneity``: quantity, unit, left, right, share, lower, upper.
    quantity : str
        ``"purchase rate"``, ``"dropout probability"``, ``"dropout rate"`` or ``"mean spend"``, as in the table.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or the table has no such quantity.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"quantity": "mean spend", "unit": "USD per order", "left": [0.0, 10.0],
    ...                       "right": [10.0, 20.0], "share": [0.3, 0.6], "lower": [0.2, 0.5], "upper": [0.4, 0.7]})
    >>> draw_heterogeneity(table, quantity="mean spend", ax=Figure().subplots()).get_xlabel()
    'mean spend, USD per order'
    """
    checked(table, ["quantity", "unit", "left", "right", "share", "lower", "upper"], _MADE_BY)
    rows = chosen(table, "quantity", quantity)
    edges = np.append(rows["left"].to_numpy(dtype=float), float(rows["right"].iloc[-1]))
    ax = style.axes(ax)
    ax.stairs(
        rows["upper"].to_numpy(dtype=float),
        edges,
        baseline=rows["lower"].to_numpy(dtype=float),
        fill=True,
        color=style.EXPECTED,
        alpha=style.INTERVAL_ALPHA,
        linewidth=0,
        label=band_name(rows, "interval"),
    )
    ax.stairs(rows["share"].to_numpy(dtype=float), edges, baseline=None, color=style.EXPECTED, linewidth=1.6)
    ax.set_xlim(edges[0], edges[-1])
    _cut(ax, rows)
    style.percent(ax.yaxis)
    style.dress(
        ax,
        title=f"How customers differ: {style.short(quantity)}",
        y="customers per bin",
        x=f"{style.short(quantity)}, {written(rows, 'unit')}",
    )
    style.key(ax, place="upper right")
    return ax


def _cut(ax: Axes, rows: pd.DataFrame) -> None:
    """Limits of the shares; where the first bin towers over all others it is cut off and its share told."""
    first, others = float(rows["share"].iloc[0]), rows["upper"].iloc[1:].to_numpy(dtype=float)
    if not others.size or first < _TOWERS * others.max():
        ax.set_ylim(bottom=0.0)
        return
    ax.set_ylim(0.0, _ROOM * float(others.max()))
    end = float(rows["right"].iloc[0])
    told = f"{100 * first:.0f} % of customers: below {style.amount_text(float(f'{end:.2g}'))}"
    ax.annotate(
        f"{told}\n(the first bin is cut off here)",
        (end, 1.0), xycoords=ax.get_xaxis_transform(), xytext=(6, -2), textcoords="offset points", va="top",
        fontsize=style.TICK_SIZE, color=style.EXPECTED, linespacing=1.25,
    )  # fmt: skip
