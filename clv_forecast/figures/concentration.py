"""Concentration: how much of the value how few accounts bring.

The top of the ranking: what accounts are worth with their potential, and how surely they stand where they stand.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.figures import style
from clv_forecast.figures.style import band_name, checked, in_currency

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_RANKS_MADE_BY: Final = "the table of a ranking"
_WIDTH: Final = 7.4
_ROW: Final = 0.24
_REST: Final = 1.5
_MOST: Final = 200
_ROOM_OF_TICK: Final = 55.0  # points


def draw_rank_bands(table: pd.DataFrame, *, top: int = 30, ax: Axes | None = None) -> Axes:
    """Adjusted value of the first accounts with its band, and the ranks each may hold.

    Parameters
    ----------
    table : DataFrame
        A ranking: rank, rank_lower, rank_upper, customer_id, adjusted_value, adjusted_lower, adjusted_upper; optional
        name, prob, currency.
    top : int
        How many accounts, 200 at most.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or ``top`` is no count from 1 to 200.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"rank": [2, 1], "rank_lower": [1, 1], "rank_upper": [2, 2], "customer_id": ["b", "a"],
    ...                       "adjusted_value": [5.0, 9.0], "adjusted_lower": [1.0, 4.0], "adjusted_upper": 12.0})
    >>> ax = draw_rank_bands(table, ax=Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['1  a', '2  b']
    """
    needed = ["rank", "rank_lower", "rank_upper", "customer_id", "adjusted_value", "adjusted_lower", "adjusted_upper"]
    checked(table, needed, _RANKS_MADE_BY)
    if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or not 1 <= top <= _MOST:
        raise DomainError(f"top must be a whole number from 1 to {_MOST}.", value=repr(top))
    rows = table.sort_values("rank", kind="stable").iloc[:top]
    value, lower, upper = (rows[f"adjusted_{end}"].to_numpy(dtype=float) for end in ("value", "lower", "upper"))
    ax = style.axes(ax, (_WIDTH, _REST + _ROW * max(len(rows), 4)))
    at = np.arange(len(rows))
    thick = 6.0 if len(rows) <= 60 else 2.0
    ax.hlines(at, lower, upper, color=style.EXPECTED, alpha=style.INTERVAL_ALPHA, linewidth=thick)
    ax.plot(value, at, "o", color=style.EXPECTED, markersize=0.85 * thick, markeredgecolor="white", markeredgewidth=0.7)
    longest = int(min(_LONGEST, max(8.0, 0.09 * style.size_in_points(ax)[0])))
    ax.set_yticks(
        at, [f"{_whole(rank)}  {name}" for rank, name in zip(rows["rank"], _names(rows, longest), strict=True)]
    )
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ranks = [_ranks(a, b) for a, b in zip(rows["rank_lower"], rows["rank_upper"], strict=True)]
    _limits(ax, ranks)
    style.thousands(ax.xaxis)
    shown = (
        f"the first {len(rows):,} of {len(table):,} accounts" if len(rows) < len(table) else f"{len(rows):,} accounts"
    )
    title = f"Value with potential and referrals: {shown if len(table) > 1 else 'one account'}, {band_name(table)}"
    style.dress(ax, title=title, x=in_currency("adjusted value", table), rules="x", pad=20.0)
    ax.tick_params(axis="y", length=0)
    for y, text in zip(at, ranks, strict=True):
        _beside(ax, text, (1.0, float(y)), vertical="data", colour=style.TEXT, va="center", y=0.0)
    _beside(ax, "may rank", (1.0, 1.0), vertical="axes fraction", colour=style.QUIET, va="bottom", y=3.0)
    return ax


def _beside(ax: Axes, text: str, at: tuple[float, float], *, vertical: Any, colour: str, va: str, y: float) -> None:
    """A text at the right edge of the axes, inside them."""
    ax.annotate(
        text, at, xycoords=("axes fraction", vertical), xytext=(-2, y), textcoords="offset points", ha="right", va=va,
        fontsize=style.TICK_SIZE, color=colour, annotation_clip=False,
    )  # fmt: skip


def _names(rows: pd.DataFrame, longest: int) -> list[str]:
    """Names where they are known, ids where not."""
    ids = rows["customer_id"]
    if "name" not in rows.columns:
        return [style.short(each, longest) for each in ids]
    named = rows["name"].notna() & (rows["name"].astype("string").str.strip() != "").fillna(False)
    return [style.short(each, longest) for each in rows["name"].where(named, ids)]


def _whole(rank: Any) -> str:
    return "" if pd.isna(rank) else f"{float(rank):,.0f}"


def _ranks(lower: Any, upper: Any) -> str:
    if pd.isna(lower) or pd.isna(upper):
        return ""
    return _whole(lower) if _whole(lower) == _whole(upper) else f"{_whole(lower)} to {_whole(upper)}"


def _limits(ax: Axes, ranks: list[str]) -> None:
    """Zero is seen, and the ranks have room at the right."""
    from matplotlib.ticker import MaxNLocator

    low, high = ax.get_xlim()
    low, high = min(0.0, low), max(0.0, high)
    wide, _ = style.size_in_points(ax)
    room = min(0.4, (max(max(map(len, ranks)), len("may rank")) * style.TICK_SIZE * 0.56 + 6.0) / max(wide, 1.0))
    ax.set_xlim(low, low + (high - low) / (1.0 - room))
    ax.xaxis.set_major_locator(MaxNLocator(max(2, int(wide / _ROOM_OF_TICK))))


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
            x,
            y,
            color=colour,
            linestyle=line,
            linewidth=1.8,
            label=_label(name, x, y, wide=style.size_in_points(ax)[0]),
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


def _label(name: str, x: Any, y: Any, *, wide: float) -> str:
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
