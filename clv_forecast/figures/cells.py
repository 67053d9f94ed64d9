"""The matrix of value by potential as a map of its cells: how many accounts and how much money are in each.

What a customer's purchases so far say about it: maps over how often and how recently it bought.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.figures import style
from clv_forecast.figures.style import checked, written
from clv_forecast.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_MADE_BY: Final = "the table made by recency_frequency_matrix(model, ...)"
_NOBODY: Final = "#EFEFEF"
_COLOURS: Final = "viridis"
_SIZE: Final = (6.4, 4.4)


def draw_p_alive_matrix(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Probability of being alive, by the number of repeat purchases and the time of the last one.

    Parameters
    ----------
    table : DataFrame
        ``recency_frequency_matrix``: frequency, recency, p_alive, T, unit; NaN where no customer can be.
    ax : Axes, optional

    Returns
    -------
    Axes
        With a colour bar beside it.

    Raises
    ------
    DomainError
        If a column is missing.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"frequency": [1, 1, 2, 2], "recency": [1.0, 2.0, 1.0, 2.0],
    ...                       "p_alive": [0.5, 0.7, 0.3, 0.8], "T": 2.0, "unit": "week"})
    >>> draw_p_alive_matrix(table, ax=Figure().subplots()).get_title(loc="left")
    'Probability of being alive 2 weeks after the first purchase'
    """
    checked(table, ["frequency", "recency", "p_alive", "T", "unit"], _MADE_BY)
    title = f"Probability of being alive {_length(table)} after the first purchase"
    return _draw(table, "p_alive", title=title, bar="P(alive)", top=1.0, ax=ax)


def draw_expected_purchases_matrix(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Expected future purchases, by the number of repeat purchases and the time of the last one.

    Parameters
    ----------
    table : DataFrame
        ``recency_frequency_matrix``: frequency, recency, expected_purchases, T, horizon, unit.
    ax : Axes, optional

    Returns
    -------
    Axes
        With a colour bar beside it.

    Raises
    ------
    DomainError
        If a column is missing.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"frequency": [1, 1, 2, 2], "recency": [1.0, 2.0, 1.0, 2.0], "horizon": "12 months",
    ...                       "expected_purchases": [0.5, 0.7, 0.3, 0.8], "T": 2.0, "unit": "week"})
    >>> draw_expected_purchases_matrix(table, ax=Figure(figsize=(9, 5)).subplots()).get_title(loc="left")
    'Expected purchases in the next 12 months, 2 weeks after the first purchase'
    """
    checked(table, ["frequency", "recency", "expected_purchases", "T", "horizon", "unit"], _MADE_BY)
    horizon = written(table, "horizon")
    title = f"Expected purchases in the next {horizon}, {_length(table)} after the first purchase"
    return _draw(table, "expected_purchases", title=title, bar=f"purchases in {horizon}", top=None, ax=ax)


def _draw(table: pd.DataFrame, column: str, *, title: str, bar: str, top: float | None, ax: Axes | None) -> Axes:
    from matplotlib.ticker import MaxNLocator

    cells = table.pivot(index="frequency", columns="recency", values=column)
    ax = style.axes(ax, _SIZE)
    mesh = ax.pcolormesh(
        cells.columns.to_numpy(dtype=float),
        cells.index.to_numpy(dtype=float),
        cells.to_numpy(dtype=float),
        shading="nearest",
        cmap=_COLOURS,
        vmin=0.0,
        vmax=top,
        rasterized=True,
    )
    unit = written(table, "unit", "unit of time")
    style.dress(ax, title=title, x=f"last purchase, {unit}s after the first", y="repeat purchases", rules="none")
    ax.set_facecolor(_NOBODY)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    scale = ax.figure.colorbar(mesh, ax=ax, pad=0.02)
    scale.set_label(bar, fontsize=style.LABEL_SIZE, color=style.TEXT)
    scale.ax.tick_params(labelsize=style.TICK_SIZE, labelcolor=style.TEXT, length=3)
    scale.outline.set_visible(False)
    return ax


def _length(table: pd.DataFrame) -> str:
    length, unit = float(table["T"].iloc[0]), written(table, "unit", "unit")
    return f"{length:g} {unit}{'' if length == 1.0 else 's'}"


_OF_MATRIX: Final = "the matrix of a ranking"
_LIGHT: Final = ("#F6F9FC", "#8DBFE3")
_CELL: Final = (1.75, 1.15)
_ROOMY: Final = 75.0  # points
_SMALL: Final = 7.5
_MONEY: Final = {"value": "value", "potential_value": "potential", "headroom": "headroom", "current_revenue": "now"}


def draw_matrix(table: pd.DataFrame, *, quantity: str = "accounts", ax: Axes | None = None) -> Axes:
    r"""The cells of value by potential: the number of accounts and the money in each, shaded by one of them.

    Parameters
    ----------
    table : DataFrame
        The matrix of a ranking: cell, value_class, potential_class, accounts, the quantity; optional value,
        potential_value, headroom, current_revenue and the limits of the classes.
    quantity : str
        Column that shades the cells, such as ``"accounts"``, ``"headroom"`` or ``"potential_value"``.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or no account has a class.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"cell": ["gold", "lead"], "value_class": ["high", "low"], "potential_class": "high",
    ...                       "accounts": [66, 465], "potential_value": [2e6, 9e8]})
    >>> draw_matrix(table, ax=Figure().subplots()).texts[1].get_text()
    'lead\n465 accounts\n900M potential'
    """
    from matplotlib.colors import LinearSegmentedColormap

    checked(table, ["cell", "value_class", "potential_class", "accounts", quantity], _OF_MATRIX)
    rows = table[(table["value_class"].notna() & table["potential_class"].notna()).to_numpy(dtype=bool)]
    if rows.empty:
        raise DomainError("No account has a class, so there are no cells to draw.", remedy=f"Pass {_OF_MATRIX}.")
    by_value, by_potential = (
        list(dict.fromkeys(rows[name].astype(str)))[::-1] for name in ("value_class", "potential_class")
    )
    ax = style.axes(ax, (1.6 + _CELL[0] * len(by_potential), 1.3 + _CELL[1] * len(by_value)))
    shade = np.full((len(by_value), len(by_potential)), np.nan)
    texts = []
    for _, row in rows.iterrows():
        y, x = by_value.index(str(row["value_class"])), by_potential.index(str(row["potential_class"]))
        shade[y, x] = float(row[quantity])
        texts.append((x, y, row))
    finite = shade[np.isfinite(shade)]
    low, high = (min(0.0, finite.min()), max(0.0, finite.max())) if finite.size else (0.0, 1.0)
    ax.pcolormesh(
        np.arange(len(by_potential) + 1) - 0.5, np.arange(len(by_value) + 1) - 0.5, shade,
        edgecolors="white", linewidth=2.0,
        cmap=LinearSegmentedColormap.from_list("light", _LIGHT), vmin=low, vmax=high if high > low else low + 1.0,
    )  # fmt: skip
    what = quantity.replace("_", " ")
    currency = written(table, "currency")
    title = f"Value by potential: accounts and money by cell{f', {currency}' if currency else ''}; shaded by {what}"
    ax.set_xticks(range(len(by_potential)), [_limits(rows, "potential", name) for name in by_potential])
    ax.set_yticks(range(len(by_value)), [_limits(rows, "value", name) for name in by_value])
    style.dress(ax, title=title, x=f"potential{_left_out(table, rows)}", y="value", rules="none")
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    style.settle(ax)
    wide, tall = style.size_in_points(ax)
    room = (0.94 * wide / len(by_potential), 0.94 * tall / len(by_value))
    size = style.TICK_SIZE if room[0] > _ROOMY else _SMALL
    for x, y, row in texts:
        text = _cell_text(row, quantity, room, size=size)
        ax.text(x, y, text, ha="center", va="center", fontsize=size, color=style.TEXT, linespacing=1.2)
    return ax


def _limits(rows: pd.DataFrame, axis: str, name: str) -> str:
    """A class with the money that limits it, where the table has it."""
    columns = (f"{axis}_above", f"{axis}_up_to")
    if not set(columns) <= set(rows.columns):
        return style.short(name)
    row = rows[(rows[f"{axis}_class"].astype(str) == name).to_numpy(dtype=bool)].iloc[0]
    name = style.short(name)
    above, up_to = (float(row[column]) for column in columns)
    if math.isfinite(above) and math.isfinite(up_to):
        return f"{name}\n{style.amount_text(above)}\nto {style.amount_text(up_to)}"
    if math.isfinite(above):
        return f"{name}\nabove {style.amount_text(above)}"
    return f"{name}\nup to {style.amount_text(up_to)}" if math.isfinite(up_to) else name


def _left_out(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    number = sum(int(count) for count in table["accounts"]) - sum(int(count) for count in rows["accounts"])
    return f" ({number:,} account{'' if number == 1 else 's'} without a class left out)" if number else ""


def _cell_text(row: Any, quantity: str, room: tuple[float, float], *, size: float) -> str:
    """Name, count and money of a cell, as much of it as there is room for; what shades the cells comes first."""
    wide, tall = room
    letters = max(int(wide / (0.55 * size)), 6)
    lines_at_most = max(1, int(tall / (1.35 * size)))
    count = int(row["accounts"])
    name = style.wrapped(printable(row["cell"]), wide, size).split("\n")
    lines = [style.short(line, letters) for line in name[: min(2, max(lines_at_most - 1, 0))]]
    if wide <= _ROOMY:
        shown = [f"{count:,}", *([] if quantity == "accounts" else [style.amount_text(float(row[quantity]))])]
        return "\n".join([*lines, *shown][:lines_at_most])
    lines.append(f"{count:,} account{'' if count == 1 else 's'}")
    others = {quantity: quantity.replace("_", " ")} if quantity not in ("accounts", *_MONEY) else {}
    for column, word in sorted((others | _MONEY).items(), key=lambda pair: pair[0] != quantity):
        if count and column in row.index and pd.notna(row[column]):
            lines.append(f"{style.amount_text(float(row[column]))} {word}")
    return "\n".join(lines[:lines_at_most])
