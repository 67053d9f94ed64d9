"""What a customer's purchases so far say about it: maps over how often and how recently it bought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.rows import checked, written

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
