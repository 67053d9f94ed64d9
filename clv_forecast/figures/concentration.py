"""Concentration: how much of the value how few accounts bring."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.rows import band_name, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MADE_BY: Final = "the table made by lorenz_curves, or the lorenz of a ranking"
_SIZE: Final = (5.6, 4.6)
_TOP: Final = 0.2
_LONGEST: Final = 32
_ROOMY: Final = 300.0  # points
_LOOKS: Final = (
    (style.EXPECTED, "-"),
    (style.ACTUAL, "-"),
    (style.OWN, "-"),
    ("#009E73", "-"),
    (style.EXPECTED, "--"),
    (style.ACTUAL, "--"),
    (style.OWN, "--"),
    ("#009E73", "--"),
)


def draw_lorenz(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of the value that the largest accounts bring, for every share of accounts.

    Parameters
    ----------
    table : DataFrame
        ``lorenz_curves``, or the ``lorenz`` of a ranking: share_of_accounts, share_of_value; optional measure (a curve
        each), lower, upper, prob.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing.

    Notes
    -----
    The key tells the share of the top 20 % where the table has a row there. A curve above 100 % means that other
    accounts lose money.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"share_of_accounts": [0.0, 0.2, 1.0], "share_of_value": [0.0, 0.7, 1.0]})
    >>> table["measure"] = "value"
    >>> ax = draw_lorenz(table, ax=Figure().subplots())
    >>> ax.get_legend().get_texts()[0].get_text()
    'value: the top 20 % bring 70 %'
    """
    checked(table, ["share_of_accounts", "share_of_value"], _MADE_BY)
    ax = style.axes(ax, _SIZE)
    ax.plot([0.0, 1.0], [0.0, 1.0], color=style.POOLED, linewidth=1.0, linestyle=":", zorder=1.5)
    ax.axvline(_TOP, color=style.RULE, linewidth=1.6, zorder=1)
    banded = False
    for place, (name, rows) in enumerate(_curves(table)):
        colour, line = _LOOKS[place % len(_LOOKS)]
        x = rows["share_of_accounts"].to_numpy(dtype=float)
        if {"lower", "upper"} <= set(rows.columns) and rows["lower"].notna().any():
            lower, upper = (rows[end].to_numpy(dtype=float) for end in ("lower", "upper"))
            ax.fill_between(x, lower, upper, color=colour, alpha=style.BAND_ALPHA, linewidth=0)
            banded = True
        y = rows["share_of_value"].to_numpy(dtype=float)
        ax.plot(
            x, y, color=colour, linestyle=line, linewidth=1.8, label=_label(name, x, y, style.size_in_points(ax)[0])
        )
    ax.set_xlim(0.0, 1.0)
    low, high = ax.get_ylim()
    ax.set_ylim(min(0.0, low) if low < -0.1 else 0.0, max(1.0, high) if high > 1.1 else 1.02)
    style.percent(ax.xaxis)
    style.percent(ax.yaxis)
    title = f"Share of value by share of accounts{f', {band_name(table)}' if banded else ''}"
    style.dress(ax, title=title, x="share of accounts, the largest first", y="share of value", rules="both")
    ax.annotate(
        "all alike", (0.55, 0.55), xytext=(4, -5), textcoords="offset points", va="top", color=style.QUIET,
        fontsize=style.TICK_SIZE,
    )  # fmt: skip
    if ax.get_legend_handles_labels()[1]:
        ax.legend(
            loc="lower right", frameon=False, fontsize=style.TICK_SIZE, labelcolor=style.TEXT, handlelength=1.8,
        )  # fmt: skip
    return ax


def _curves(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if "measure" not in table.columns:
        return [("", table)]
    texts = table["measure"].astype(str)
    return [(name, table[(texts == name).to_numpy(dtype=bool)]) for name in dict.fromkeys(texts)]


def _label(name: str, x: Any, y: Any, wide: float) -> str:
    """Name of a curve, with what the top 20 % bring where it is known; on two lines where there is little room."""
    there = [float(b) for a, b in zip(x, y, strict=True) if math.isclose(a, _TOP, abs_tol=1e-9)]
    longest = int(min(_LONGEST, max(8.0, 0.12 * wide)))
    short = style.short(name.replace("_", " "), longest)
    if not math.isfinite(float(y[-1])):
        told = "no shares, the total is not above 0"
    elif there:
        told = f"the top {_TOP:.0%} bring {there[0]:.0%}".replace("%", " %")
    else:
        return short
    gap = ":\n" if wide < _ROOMY else ": "
    return f"{short}{gap}{told}" if short else told
