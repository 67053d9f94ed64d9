"""Totals of a forecast with their bands: group by group, or horizon by horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.rows import EVERYTHING, band_name, checked, chosen, in_currency, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MADE_BY: Final = "the table totals of a forecast"
_WIDTH: Final = 7.0
_ROW: Final = 0.3
_REST: Final = 1.4


def draw_totals(
    table: pd.DataFrame, *, quantity: str = "value", horizon: str | None = None, ax: Axes | None = None
) -> Axes:
    """Expected totals and their predictive bands: of every group at one horizon, or of all customers at each horizon.

    Parameters
    ----------
    table : DataFrame
        ``forecast.totals``: group, horizon, customers, and the quantity with ``_lower`` and ``_upper``.
    quantity : {"value", "revenue", "purchases"}
    horizon : str, optional
        Where there are groups; default: the last.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or nothing has the horizon asked for.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"group": "all", "horizon": ["12 months", "36 months"], "customers": 90,
    ...                       "value": [10.0, 20.0], "value_lower": [8.0, 15.0], "value_upper": [12.0, 25.0]})
    >>> [tick.get_text() for tick in draw_totals(table, ax=Figure().subplots()).get_yticklabels()]
    ['12 months', '36 months']
    """
    names = [quantity, f"{quantity}_lower", f"{quantity}_upper"]
    checked(table, ["group", "horizon", "customers", *names], _MADE_BY)
    grouped = table[(table["group"] != EVERYTHING).to_numpy(dtype=bool)]
    if grouped.empty:
        rows = table if horizon is None else chosen(table, "horizon", horizon)
        labels = [style.short(name) for name in rows["horizon"]]
        title = f"{quantity.capitalize()} of {int(rows['customers'].iloc[0]):,} customers"
    else:
        rows = chosen(grouped, "horizon", horizon)
        pairs = zip(rows["group"], rows["customers"], strict=True)
        labels = [f"{style.short(name)} ({style.amount_text(count)})" for name, count in pairs]
        title = f"{quantity.capitalize()} in {written(rows, 'horizon')} by group (customers)"
    value, lower, upper = (rows[name].to_numpy(dtype=float) for name in names)
    ax = style.axes(ax, (_WIDTH, _REST + _ROW * max(len(rows), 3)))
    at = np.arange(len(rows))
    ax.hlines(at, lower, upper, color=style.EXPECTED, alpha=style.INTERVAL_ALPHA, linewidth=7)
    ax.plot(value, at, "o", color=style.EXPECTED, markersize=5.5, markeredgecolor="white")
    ax.set_yticks(at, labels)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    low, high = ax.get_xlim()
    ax.set_xlim(min(0.0, low), max(0.0, high))
    style.thousands(ax.xaxis)
    style.dress(ax, title=f"{title}, {band_name(table)}", x=in_currency(quantity, rows), rules="x")
    ax.tick_params(axis="y", length=0)
    return ax
