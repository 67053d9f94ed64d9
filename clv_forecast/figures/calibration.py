"""Whether bands hold what they promise: coverage, the PIT, and the deciles of expected value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.frequencies import window
from clv_forecast.figures.rows import EVERYTHING, band_name, checked, chosen, in_currency, only, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    rows = _window(table, quantity, origin, horizon, group).sort_values("nominal")
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
    rows = _window(table, quantity, origin, horizon, group).sort_values("left")
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
    rows = _window(table, quantity, origin, horizon, None).sort_values("decile")
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
    table: pd.DataFrame, quantity: str | None, origin: Any, horizon: str | None, group: str | None
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
