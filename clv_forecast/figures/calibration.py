"""Whether bands hold what they promise: coverage, the PIT, and the deciles of expected value.

Counts of purchases: how many customers made how many, and what the next period brought of each kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.style import EVERYTHING, band_name, checked, chosen, in_currency, only, written

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
    _points(ax, at, table, label=f"expected, {band_name(table)}")
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
    _points(ax, at, rows, label=f"expected, {band_name(rows)}")
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


def _points(ax: Axes, at: Any, rows: pd.DataFrame, *, label: str) -> None:
    ax.vlines(
        at, rows["lower"], rows["upper"], color=style.EXPECTED, alpha=style.INTERVAL_ALPHA, linewidth=7, label=label
    )
    ax.plot(at, rows["expected"], "o", color=style.EXPECTED, markersize=5.5, markeredgecolor="white", label="_expected")


_CALIBRATION: Final = "the table certificate.calibration of a backtest"
_PIT: Final = "the table certificate.pit of a backtest"
_DECILES: Final = "the table certificate.deciles of a backtest"
_SQUARE: Final = (4.8, 4.6)


def draw_calibration(
    table: pd.DataFrame,
    *,
    quantity: str | None = None,
    origin: Any = None,
    horizon: str | None = None,
    group: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Coverage that was observed against the coverage that was promised; on the diagonal the bands are honest.

    Parameters
    ----------
    table : DataFrame
        ``certificate.calibration``: nominal, coverage, standard_error; and origin, horizon, quantity, group.
    quantity, horizon, group : str, optional
        Default: the first quantity, the last horizon, all customers.
    origin : date, Timestamp or ISO text, optional
        Default: all origins together if the table has them, else the latest.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or nothing has what was asked for.

    Notes
    -----
    The bars span one standard error each way.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"nominal": [0.5, 0.9], "coverage": [0.45, 0.88], "standard_error": [0.02, 0.01]})
    >>> draw_calibration(table, ax=Figure().subplots()).get_xlabel()
    'coverage promised'
    """
    checked(table, ["nominal", "coverage", "standard_error"], _CALIBRATION)
    rows = _window(table, quantity, origin, horizon=horizon, group=group).sort_values("nominal")
    nominal, coverage = rows["nominal"].to_numpy(dtype=float), rows["coverage"].to_numpy(dtype=float)
    ax = style.axes(ax, _SQUARE)
    ax.plot([0, 1], [0, 1], color=style.POOLED, linewidth=1, linestyle=(0, (4, 3)))
    ax.errorbar(
        nominal,
        coverage,
        yerr=rows["standard_error"].to_numpy(dtype=float),
        color=style.EXPECTED,
        marker="o",
        markersize=4.5,
        linewidth=1.6,
        capsize=0,
        elinewidth=1.6,
    )
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_aspect("equal")
    ax.apply_aspect()  # so that the title is broken to the width that is left
    style.percent(ax.xaxis)
    style.percent(ax.yaxis)
    style.dress(ax, title=_title("Coverage of bands", rows), x="coverage promised", y="coverage observed", rules="both")
    for text, at, vertical in (("bands too wide", (0.04, 0.96), "top"), ("bands too narrow", (0.96, 0.04), "bottom")):
        ax.annotate(
            text, at, xycoords="axes fraction", ha="left" if vertical == "top" else "right", va=vertical,
            fontsize=style.TICK_SIZE, color=style.QUIET,
        )  # fmt: skip
    return ax


def draw_pit(
    table: pd.DataFrame,
    *,
    quantity: str | None = None,
    origin: Any = None,
    horizon: str | None = None,
    group: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Histogram of the randomised PIT: flat where the predictive distributions are right.

    Parameters
    ----------
    table : DataFrame
        ``certificate.pit``: left, right, density (1 is flat); optional lower, upper (the band of a right forecast).
    quantity, horizon, group : str, optional
        Default: the first quantity, the last horizon, all customers.
    origin : date, Timestamp or ISO text, optional
        Default: all origins together if the table has them, else the latest.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or nothing has what was asked for.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"left": [0.0, 0.5], "right": [0.5, 1.0], "density": [1.1, 0.9]})
    >>> len(draw_pit(table, ax=Figure().subplots()).patches)
    2
    """
    checked(table, ["left", "right", "density"], _PIT)
    rows = _window(table, quantity, origin, horizon=horizon, group=group).sort_values("left")
    left, right = rows["left"].to_numpy(dtype=float), rows["right"].to_numpy(dtype=float)
    ax = style.axes(ax)
    ax.bar(left, rows["density"], width=right - left, align="edge", color=style.BAR, edgecolor="white", linewidth=1)
    ax.axhline(1.0, color=style.EXPECTED, linewidth=1.4, label="a right forecast")
    if {"lower", "upper"} <= set(rows.columns):
        ax.stairs(
            rows["upper"].to_numpy(dtype=float),
            np.append(left, right[-1]),
            baseline=rows["lower"].to_numpy(dtype=float),
            fill=True,
            color=style.EXPECTED,
            alpha=style.BAND_ALPHA,
            linewidth=0,
            label=f"its {band_name(rows)}",
        )
    ax.set_xlim(0, 1)
    ax.set_ylim(bottom=0.0)
    style.dress(
        ax, title=_title("Where outcomes fell in their forecasts", rows),
        x="share of the forecast below the outcome (randomised PIT)", y="density (1 is flat)",
    )  # fmt: skip
    style.key(ax, place="lower center", columns=2)
    return ax


def draw_deciles(
    table: pd.DataFrame,
    *,
    quantity: str | None = None,
    origin: Any = None,
    horizon: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """What each tenth of the customers, by expected value, brought in and was expected to.

    Parameters
    ----------
    table : DataFrame
        ``certificate.deciles``: decile (1 is the highest expected), expected, actual; optional lower, upper.
    quantity, horizon : str, optional
        Default: the first quantity, the last horizon.
    origin : date, Timestamp or ISO text, optional
        Default: all origins together if the table has them, else the latest.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or nothing has what was asked for.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"decile": [1, 2], "expected": [90.0, 40.0], "actual": [100.0, 35.0]})
    >>> [float(bar.get_height()) for bar in draw_deciles(table, ax=Figure().subplots()).patches]
    [100.0, 35.0]
    """
    checked(table, ["decile", "expected", "actual"], _DECILES)
    rows = _window(table, quantity, origin, horizon=horizon, group=None).sort_values("decile")
    what = written(rows, "quantity", "purchases")
    at = np.arange(len(rows))
    ax = style.axes(ax)
    ax.bar(at, rows["actual"], width=0.72, color=style.BAR, linewidth=0, label="actual")
    label = "expected"
    if {"lower", "upper"} <= set(rows.columns):
        ax.vlines(
            at, rows["lower"], rows["upper"], color=style.EXPECTED, alpha=style.INTERVAL_ALPHA, linewidth=7,
            label=f"expected, {band_name(rows)}",
        )  # fmt: skip
        label = "_expected"
    ax.plot(at, rows["expected"], "o", color=style.EXPECTED, markersize=5.5, markeredgecolor="white", label=label)
    ax.set_xticks(at, [f"{decile:g}" for decile in rows["decile"]])
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    style.thousands(ax.yaxis)
    style.dress(
        ax,
        title=_title(f"{what.capitalize()} by tenth of customers", rows, name_quantity=False),
        x="tenth of customers, 1 is the most promising",
        y=in_currency(what, rows),
    )
    style.key(ax, place="upper right")
    return ax


def _window(
    table: pd.DataFrame, quantity: str | None, origin: Any, *, horizon: str | None, group: str | None
) -> pd.DataFrame:
    """Rows of one quantity, horizon, group and origin."""
    if quantity is None and "quantity" in table.columns:
        quantity = str(table["quantity"].iloc[0])
    rows = table
    for column, value in (("quantity", quantity), ("group", group), ("horizon", horizon), ("origin", origin)):
        rows = chosen(rows, column, value)
    return rows


def _title(what: str, rows: pd.DataFrame, *, name_quantity: bool = True) -> str:
    quantity, group = written(rows, "quantity"), only(rows, "group", EVERYTHING)
    named = f": {quantity}" if quantity and name_quantity else ""
    told = "" if group == EVERYTHING else f", {style.short(group)}"
    within = f" {window(rows)}" if only(rows, "horizon") else ""
    return f"{what}{named}{within}{told}"
