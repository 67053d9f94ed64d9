"""How the forecast kept track: purchases after the origin, period by period or added up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.rows import as_text, band_name, checked, chosen, in_currency, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MADE_BY: Final = "the table certificate.tracking of a backtest"
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
    checked(table, ["origin", "period", "end", *names], _MADE_BY)
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
