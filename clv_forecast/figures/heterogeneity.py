"""How customers differ: the spread of purchase rates, of dropout and of spend over the population."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.rows import band_name, checked, chosen, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
