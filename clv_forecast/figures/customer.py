"""One customer: its purchases, whether it was still there, and what is expected of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from clv_forecast.figures import style
from clv_forecast.figures.rows import as_text, band_name, checked, only

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MADE_BY: Final = "the table made by customer_path(model, history, customer_id)"
_FUTURE: Final = "future"
_SIZE: Final = (7.4, 3.4)
_DASHES: Final = (0, (4, 2))


def draw_customer_alive(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Probability that one customer was alive, day by day, with its purchases; dashed from today on.

    Parameters
    ----------
    table : DataFrame
        ``customer_path``: customer_id, date, when, purchase, p_alive, p_alive_lower, p_alive_upper, as_of.
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
    >>> table = pd.DataFrame({"customer_id": 4, "date": pd.date_range("1997-01-01", periods=3), "when": "past",
    ...     "purchase": [True, False, True], "p_alive": [1.0, 0.9, 0.8], "p_alive_lower": 0.7, "p_alive_upper": 1.0,
    ...     "as_of": pd.Timestamp("1997-01-03")})
    >>> draw_customer_alive(table, ax=Figure().subplots()).get_title(loc="left")
    'Customer 4: 2 purchases until 1997-01-03'
    """
    checked(
        table,
        ["customer_id", "date", "when", "purchase", "p_alive", "p_alive_lower", "p_alive_upper", "as_of"],
        _MADE_BY,
    )
    ax = style.axes(ax, _SIZE)
    dates, future = table["date"].to_numpy(), (table["when"] == _FUTURE).to_numpy(dtype=bool)
    lower, upper = table["p_alive_lower"].to_numpy(dtype=float), table["p_alive_upper"].to_numpy(dtype=float)
    ax.fill_between(dates, lower, upper, color=style.EXPECTED, alpha=style.BAND_ALPHA, linewidth=0)
    alive = table["p_alive"].to_numpy(dtype=float)
    for part, dashes in ((~future, "-"), (_joined(future), _DASHES)):
        ax.plot(dates[part], alive[part], color=style.EXPECTED, linewidth=1.8, linestyle=dashes)
    bought = table.loc[table["purchase"].to_numpy(dtype=bool), "date"].to_numpy()
    ax.vlines(bought, 0.0, 0.07, color=style.OWN, linewidth=1.8)
    ax.set_ylim(0.0, 1.04)
    style.percent(ax.yaxis)
    _finish(ax, table, y="probability of being alive", note_at=0.0)
    told = [(dates[-1], float(alive[-1]), f"P(alive),\n{band_name(table, 'interval')}", style.EXPECTED)]
    style.label_ends(ax, told)
    ax.annotate(
        "purchases", (bought[0], 0.07), xytext=(-2, 2), textcoords="offset points", fontsize=style.TICK_SIZE,
        color=style.OWN, ha="left", va="bottom",
    )  # fmt: skip
    return ax


def draw_customer_purchases(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Repeat purchases of one customer so far, and those expected, with their predictive band.

    Parameters
    ----------
    table : DataFrame
        ``customer_path``: customer_id, date, when, purchase, purchases, purchases_lower, purchases_upper, as_of.
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
    >>> table = pd.DataFrame({"customer_id": 4, "date": pd.date_range("1997-01-01", periods=3), "when": "past",
    ...     "purchase": [True, False, True], "purchases": [0, 0, 1], "purchases_lower": [0, 0, 1],
    ...     "purchases_upper": [0, 0, 1], "as_of": pd.Timestamp("1997-01-03")})
    >>> draw_customer_purchases(table, ax=Figure().subplots()).get_ylabel()
    'repeat purchases'
    """
    from matplotlib.ticker import MaxNLocator

    checked(
        table,
        ["customer_id", "date", "when", "purchase", "purchases", "purchases_lower", "purchases_upper", "as_of"],
        _MADE_BY,
    )
    ax = style.axes(ax, _SIZE)
    dates, future = table["date"].to_numpy(), (table["when"] == _FUTURE).to_numpy(dtype=bool)
    names = ("purchases", "purchases_lower", "purchases_upper")
    made, lower, upper = (table[name].to_numpy(dtype=float) for name in names)
    ahead = _joined(future)
    ax.step(dates[~future], made[~future], where="post", color=style.ACTUAL, linewidth=1.6)
    told = []
    if future.any():
        ax.fill_between(
            dates[ahead], lower[ahead], upper[ahead], step="post", color=style.EXPECTED, alpha=style.BAND_ALPHA,
            linewidth=0,
        )  # fmt: skip
        ax.plot(dates[ahead], made[ahead], color=style.EXPECTED, linewidth=1.8)
        told = [(dates[-1], float(made[-1]), f"expected,\n{band_name(table)}", style.EXPECTED)]
    ax.set_ylim(0.0, max(1.0, float(np.nanmax(upper)) * 1.06))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _finish(ax, table, y="repeat purchases", note_at=1.0)
    if told:
        style.label_ends(ax, told)
    return ax


def _joined(future: np.ndarray) -> np.ndarray:
    """The future with the last day of the past, so that the lines meet."""
    joined = future.copy()
    joined[:-1] |= future[1:]
    return joined


def _finish(ax: Axes, table: pd.DataFrame, *, y: str, note_at: float) -> None:
    as_of = as_text(table["as_of"].iloc[0])
    count = int(table["purchase"].sum())
    told = "1 purchase" if count == 1 else f"{count:,} purchases"
    who = style.short(only(table, "customer_id", "of the table"))
    style.dates(ax)
    style.dress(ax, title=f"Customer {who}: {told} until {as_of}", y=y)
    if (table["when"] == _FUTURE).any():
        ax.axvline(np.datetime64(as_of), color=style.POOLED, linewidth=1, linestyle=_DASHES)  # type: ignore[arg-type]
        ax.annotate(
            "forecast", (np.datetime64(as_of), note_at), xycoords=ax.get_xaxis_transform(), xytext=(4, 4 - 8 * note_at),
            textcoords="offset points", va="top" if note_at else "bottom", fontsize=style.TICK_SIZE, color=style.QUIET,
        )  # fmt: skip
