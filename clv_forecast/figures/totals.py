"""Totals of a forecast with their bands: group by group, or horizon by horizon.

How the forecast kept track: purchases after the origin, period by period or added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.style import EVERYTHING, as_text, band_name, checked, chosen, in_currency, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_TRACKING_MADE_BY: Final = "the table certificate.tracking of a backtest"
_QUANTITIES: Final = ("actual", "expected", "lower", "upper")


def draw_tracking(
    table: pd.DataFrame,
    *,
    cumulative: bool = True,
    origin: Any = None,
    quantity: str | None = None,
    group: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Actual purchases against the expected ones and their band, after the origin.

    Parameters
    ----------
    table : DataFrame
        ``certificate.tracking``: origin, period, end, and actual, expected, lower, upper, for ``cumulative`` with the
        prefix ``cumulative_``.
    cumulative : bool
        Added up since the origin, or period by period.
    origin : date, Timestamp or ISO text, optional
        Default: the latest.
    quantity, group : str, optional
        Where the table holds several; default: the first quantity, and all customers.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or nothing has the origin, quantity or group asked for.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> weeks = pd.date_range("1997-10-07", periods=3, freq="7D")
    >>> table = pd.DataFrame({"origin": pd.Timestamp("1997-09-30"), "period": [1, 2, 3], "end": weeks,
    ...                       "actual": [5, 4, 6], "expected": 5.0, "lower": 2.0, "upper": 9.0})
    >>> ax = draw_tracking(table, cumulative=False, ax=Figure().subplots())
    >>> len(ax.lines)
    3
    """
    names = [f"cumulative_{name}" for name in _QUANTITIES] if cumulative else list(_QUANTITIES)
    checked(table, ["origin", "period", "end", *names], _TRACKING_MADE_BY)
    rows = chosen(table, "quantity", quantity if quantity is not None else _first(table, "quantity"))
    rows = chosen(chosen(rows, "group", group), "origin", origin).sort_values("period")
    what = written(rows, "quantity", "purchases")
    unit = written(rows, "unit", "period")
    day = as_text(rows["origin"].iloc[0])
    actual, expected, lower, upper = (rows[name].to_numpy(dtype=float) for name in names)
    ends = pd.to_datetime(rows["end"]).to_numpy()
    ax = style.axes(ax)
    after = rows["period"].to_numpy() > 0
    if cumulative:
        ends = np.concatenate([np.array([day], dtype=ends.dtype), ends[after]])
        actual, expected, lower, upper = (
            np.concatenate([[0.0], values[after]]) for values in (actual, expected, lower, upper)
        )
    ax.fill_between(ends, lower, upper, color=style.EXPECTED, alpha=style.BAND_ALPHA, linewidth=0)
    ax.plot(ends, expected, color=style.EXPECTED, linewidth=1.8)
    ax.plot(ends, actual, color=style.ACTUAL, linewidth=1.5)
    ax.axvline(np.datetime64(day), color=style.POOLED, linewidth=1, linestyle=(0, (4, 3)))  # type: ignore[arg-type]
    ax.set_ylim(bottom=0.0)
    style.thousands(ax.yaxis)
    style.dates(ax)
    title = f"{what.capitalize()} since {day}" if cumulative else f"{what.capitalize()} per {unit} after {day}"
    style.dress(
        ax,
        title=_with_group(title, group),
        y=in_currency(what, rows) if cumulative else f"{in_currency(what, rows)} per {unit}",
    )
    ax.annotate(
        "origin", (np.datetime64(day), 1.0), xycoords=ax.get_xaxis_transform(), xytext=(4, -2),
        textcoords="offset points", va="top", fontsize=style.TICK_SIZE, color=style.QUIET,
    )  # fmt: skip
    seen = np.flatnonzero(np.isfinite(actual))
    told = [(ends[-1], float(expected[-1]), f"expected,\n{band_name(rows)}", style.EXPECTED)]
    if seen.size:
        told.append((ends[seen[-1]], float(actual[seen[-1]]), "actual", style.ACTUAL))
    style.label_ends(ax, told)
    return ax


def _first(table: pd.DataFrame, column: str) -> Any:
    return table[column].iloc[0] if column in table.columns else None


def _with_group(title: str, group: str | None) -> str:
    return title if group is None else f"{title}: {style.short(group)}"


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
