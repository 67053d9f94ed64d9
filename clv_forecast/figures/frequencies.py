"""Counts of purchases: how many customers made how many, and what the next period brought of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.rows import EVERYTHING, band_name, checked, chosen, only, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FREQUENCIES: Final = "the table made by purchase_frequencies(model, history)"
_BY_FREQUENCY: Final = "the table certificate.by_frequency of a backtest"
_BAR_WIDTH: Final = 0.72
# Marks of a scale of roots, on which every count varies by about as much: none where they would lie too close.
_TICKS: Final = tuple(leading * 10**zeros for zeros in range(10) for leading in (1, 4))
_TICKS_FROM: Final = 0.005


def draw_purchase_frequencies(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How many customers made 0, 1, 2, ... repeat purchases, and how many the model expects.

    Parameters
    ----------
    table : DataFrame
        ``purchase_frequencies``: frequency, customers, expected, lower, upper.
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
    >>> table = pd.DataFrame({"frequency": ["0", "1+"], "customers": [7, 3], "expected": [6.5, 3.5],
    ...                       "lower": [4.0, 1.0], "upper": [9.0, 6.0]})
    >>> [float(bar.get_height()) for bar in draw_purchase_frequencies(table, ax=Figure().subplots()).patches]
    [7.0, 3.0]
    """
    checked(table, ["frequency", "customers", "expected", "lower", "upper"], _FREQUENCIES)
    ax = style.axes(ax)
    at = np.arange(len(table))
    ax.bar(at, table["customers"], width=_BAR_WIDTH, color=style.BAR, linewidth=0, label="customers observed")
    _points(ax, at, table, f"expected, {band_name(table)}")
    ax.set_xticks(at, [str(label) for label in table["frequency"]])
    ax.set_yscale("function", functions=(_root, np.square))
    top = ax.get_ylim()[1]
    ax.set_ylim(0.0, top)
    ax.set_yticks([0, *(value for value in _TICKS if _TICKS_FROM * top <= value <= top)])
    style.thousands(ax.yaxis)
    style.dress(
        ax, title="Customers by repeat purchases so far", x="repeat purchases", y="customers (square-root scale)"
    )
    style.key(ax, place="upper right")
    return ax


def draw_holdout_by_frequency(
    table: pd.DataFrame, *, origin: Any = None, horizon: str | None = None, ax: Axes | None = None
) -> Axes:
    r"""Purchases in the holdout of customers who had bought 0, 1, 2, ... times before it: made and expected.

    Parameters
    ----------
    table : DataFrame
        ``certificate.by_frequency``: origin, horizon, frequency, customers, and per customer actual, expected, lower,
        upper.
    origin : date, Timestamp or ISO text, optional
        Default: all origins together if the table has them, else the latest.
    horizon : str, optional
        Default: the last.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or nothing has the origin or horizon asked for.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"frequency": ["0", "1+"], "customers": [70, 30], "actual": [0.2, 1.5],
    ...                       "expected": [0.25, 1.4], "lower": [0.1, 1.0], "upper": [0.4, 1.9]})
    >>> [tick.get_text() for tick in draw_holdout_by_frequency(table, ax=Figure().subplots()).get_xticklabels()]
    ['0\n(70)', '1+\n(30)']
    """
    checked(table, ["frequency", "customers", "actual", "expected", "lower", "upper"], _BY_FREQUENCY)
    rows = chosen(chosen(table, "horizon", horizon), "origin", origin)
    ax = style.axes(ax)
    at = np.arange(len(rows))
    ax.bar(at, rows["actual"], width=_BAR_WIDTH, color=style.BAR, linewidth=0, label="purchases made")
    _points(ax, at, rows, f"expected, {band_name(rows)}")
    names = zip(rows["frequency"], rows["customers"], strict=True)
    ax.set_xticks(at, [f"{label}\n({style.amount_text(count)})" for label, count in names])
    ax.set_ylim(bottom=0.0)
    style.dress(
        ax,
        title=f"Purchases {window(rows)} by purchases before",
        x="repeat purchases before (customers)",
        y="purchases per customer",
    )
    style.key(ax, place="upper left")
    return ax


def _root(counts: Any) -> Any:
    return np.sqrt(np.maximum(counts, 0.0))


def window(rows: pd.DataFrame) -> str:
    """What was forecast, in words: how long, and from when.

    Examples
    --------
    >>> window(pd.DataFrame({"origin": [pd.Timestamp("1997-09-30")], "horizon": ["39 weeks"]}))
    'in 39 weeks after 1997-09-30'
    >>> window(pd.DataFrame({"origin": ["all"], "horizon": ["39 weeks"]}))
    'in 39 weeks (all origins)'
    """
    length, origin = written(rows, "horizon"), only(rows, "origin")
    parts = [f"in {length}" if length else "in the holdout"]
    if origin and origin != EVERYTHING:
        parts.append(f"after {style.short(origin)}")
    elif origin:
        parts.append("(all origins)")
    return " ".join(parts)


def _points(ax: Axes, at: Any, rows: pd.DataFrame, label: str) -> None:
    ax.vlines(
        at, rows["lower"], rows["upper"], color=style.EXPECTED, alpha=style.INTERVAL_ALPHA, linewidth=7, label=label
    )
    ax.plot(at, rows["expected"], "o", color=style.EXPECTED, markersize=5.5, markeredgecolor="white", label="_expected")
