"""Quality of new customers: what each is worth by cohort and channel, and cohorts at the same age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.figures import style
from clv_forecast.figures.style import EVERYTHING, band_name, checked, chosen, in_currency, only, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MADE_BY: Final = "the table of cohorts"
_SAME_AGE: Final = "the same_age of cohorts"
_BANDS: Final = {
    "value_at_equal_age": ("equal_age_lower", "equal_age_upper", "value per customer at the same age"),
    "value_per_customer": ("lower", "upper", "value per customer, so far and forecast"),
    "total": ("total_lower", "total_upper", "value of all new customers, so far and forecast"),
}
_COLOURS: Final = (style.EXPECTED, style.OWN, "#009E73", "#8C5A78", style.ACTUAL, style.POOLED)
_SIZE: Final = (7.4, 4.0)
_WIDTH: Final = 0.7
_MARKS: Final = ("o", "s", "^", "D", "v", "P")
_LETTER: Final = 0.55
_KEY_LINE: Final = 15.0
_LONGEST: Final = 18
_BESIDE: Final = 4  # letters that a mark and its room take


def draw_cohorts(table: pd.DataFrame, *, quantity: str = "value_at_equal_age", ax: Axes | None = None) -> Axes:
    r"""Value of new customers by cohort, a mark per channel, with bands, and what one of them cost.

    Parameters
    ----------
    table : DataFrame
        ``cohorts(...).table``: cohort, channel, new_customers, and the quantity with its band; optional cac, prob,
        currency.
    quantity : {"value_at_equal_age", "value_per_customer", "total"}
        Older cohorts have had more time for the last two.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or the quantity is none of these.

    Notes
    -----
    Of more than six channels the six with most new customers are drawn. A short line is the cost of a customer, where
    it is known (for the total: of all of them).

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"cohort": ["2024Q1", "2024Q2"], "channel": "all", "new_customers": [40, 30],
    ...                       "total": [9.0, 8.0], "total_lower": [5.0, 4.0], "total_upper": [12.0, 13.0]})
    >>> [tick.get_text() for tick in draw_cohorts(table, quantity="total", ax=Figure().subplots()).get_xticklabels()]
    ['2024Q1\n40 new', '2024Q2\n30 new']
    """
    if quantity not in _BANDS:
        raise DomainError(f"quantity must be one of {', '.join(_BANDS)}.", value=repr(quantity))
    low, high, words = _BANDS[quantity]
    checked(table, ["cohort", "channel", "new_customers", quantity, low, high], _MADE_BY)
    rows = table[(table["new_customers"] > 0).to_numpy(dtype=bool)]
    checked(rows, [], _MADE_BY)
    names = list(dict.fromkeys(rows["cohort"].astype(str)))
    channels = _largest(rows)
    ax = style.axes(ax, _SIZE)
    cost = "acquisition_cost" if quantity == "total" else "cac"
    step = _WIDTH / len(channels)
    for place, channel in enumerate(channels):
        some = rows[(rows["channel"].astype(str) == channel).to_numpy(dtype=bool)]
        at = _places(some, names) + (place - (len(channels) - 1) / 2.0) * step
        colour = _COLOURS[place]
        label = "" if len(channels) == 1 else style.name_in_key(channel, _LONGEST)
        ax.vlines(at, some[low], some[high], color=colour, alpha=style.INTERVAL_ALPHA, linewidth=5)
        ax.plot(at, some[quantity], _MARKS[place], color=colour, markersize=5.5, markeredgecolor="white", label=label)
        if cost in some.columns:
            ax.hlines(some[cost], at - 0.45 * step, at + 0.45 * step, color=colour, linewidth=1.8)
    _cohort_ticks(ax, names, rows if len(channels) == 1 else None)
    bottom, top = ax.get_ylim()
    ax.set_ylim(min(0.0, bottom), max(0.0, top))
    style.thousands(ax.yaxis)
    costed = cost in rows.columns and bool(rows[cost].notna().any())
    shown = f", the {len(channels)} largest channels" if rows["channel"].nunique() > len(channels) else ""
    told = "; short lines: what one cost" if costed and quantity != "total" else "; short lines: what they cost"
    horizon = written(table, "horizon")
    if quantity == "value_at_equal_age" and horizon:
        words = f"value per customer in its first {horizon}"
    title = f"{words.capitalize()}, {band_name(table)}{shown}{told if costed else ''}"
    columns = _columns_of_key(ax)
    lines = -(-len(channels) // columns) if len(channels) > 1 else 0
    style.dress(ax, title=title, y=in_currency("value", table), x="first purchase in", pad=9.0 + _KEY_LINE * lines)
    if lines:
        _key_above(ax, columns)
    return ax


def draw_same_age(
    table: pd.DataFrame, *, age_months: int | None = None, channel: str | None = None, ax: Axes | None = None
) -> Axes:
    """Cohorts at the same age: what their customers brought, and what is left of it when chance is taken out.

    Parameters
    ----------
    table : DataFrame
        ``cohorts(...).same_age``: cohort, channel, age_months, customers, contribution_per_customer (or
        revenue_per_customer), shrunk, lower, upper, p_better; optional prob, currency.
    age_months : int, optional
        Default: the highest.
    channel : str, optional
        Default: all channels together.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or nothing has that age or channel.

    Notes
    -----
    Above each cohort stands the probability that it is better than the earlier ones.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"cohort": ["2023", "2024"], "channel": "all", "age_months": 12, "customers": [40, 30],
    ...                       "revenue_per_customer": [90.0, 80.0], "shrunk": [88.0, 82.0], "lower": [80.0, 75.0],
    ...                       "upper": [95.0, 90.0], "p_better": [float("nan"), 0.2]})
    >>> [text.get_text() for text in draw_same_age(table, ax=Figure().subplots()).texts]
    ['20 %']
    """
    checked(table, ["cohort", "channel", "age_months", "customers", "shrunk", "lower", "upper", "p_better"], _SAME_AGE)
    name = "revenue_per_customer" if "revenue_per_customer" in table.columns else "contribution_per_customer"
    checked(table, [name], _SAME_AGE)
    rows = chosen(table, "channel", channel)
    age = max(rows["age_months"]) if age_months is None else age_months
    rows = chosen(rows, "age_months", age)
    names = list(dict.fromkeys(rows["cohort"].astype(str)))
    ax = style.axes(ax, _SIZE)
    at = _places(rows, names)
    shrunk = band_name(rows, "interval")
    ax.vlines(at, rows["lower"], rows["upper"], color=style.EXPECTED, alpha=style.INTERVAL_ALPHA, linewidth=6)
    ax.plot(at, rows["shrunk"], "o", color=style.EXPECTED, markersize=5.5, markeredgecolor="white", label="shrunk")
    ax.plot(at, rows[name], "o", color=style.OWN, markerfacecolor="white", markersize=5, label="as observed")
    _cohort_ticks(ax, names, rows, column="customers", word="")
    ax.margins(y=0.18)
    tops = np.fmax(rows["upper"].to_numpy(dtype=float), rows[name].to_numpy(dtype=float))
    for x, y, chance in zip(at, tops, rows["p_better"], strict=True):
        if pd.notna(chance):
            ax.annotate(
                f"{100.0 * chance:.0f} %", (x, y), xytext=(0, 5), textcoords="offset points", ha="center", va="bottom",
                fontsize=style.TICK_SIZE, color=style.QUIET,
            )  # fmt: skip
    style.thousands(ax.yaxis)
    who = only(rows, "channel")
    where = "" if who in ("", EVERYTHING) else f", {style.short(who)}"
    measure = name.partition("_")[0]
    month = "month" if int(age) == 1 else "months"
    title = f"{measure.capitalize()} per customer in its first {int(age)} {month}{where}, {shrunk}s; above: chance of "
    title += "being better than earlier cohorts"
    style.dress(ax, title=title, y=in_currency(measure, table), x="first purchase in", pad=9.0 + _KEY_LINE)
    _key_above(ax, 2)
    return ax


def _largest(rows: pd.DataFrame) -> list[str]:
    """The channels with most new customers, in the order of the table."""
    names = rows["channel"].astype(str).tolist()
    customers: dict[str, float] = dict.fromkeys(names, 0.0)
    for name, count in zip(names, rows["new_customers"], strict=True):
        customers[name] += float(count)
    kept = set(sorted(customers, key=lambda name: -customers[name])[: len(_COLOURS)])
    return [name for name in customers if name in kept]


def _places(rows: pd.DataFrame, names: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([names.index(name) for name in rows["cohort"].astype(str)], dtype=float)


def _cohort_ticks(
    ax: Axes, names: list[str], rows: pd.DataFrame | None, *, column: str = "new_customers", word: str = " new"
) -> None:
    """Names of the cohorts, with their customers where there is one row each; every n-th where there are many."""
    labels = [style.short(name) for name in names]
    if rows is not None:
        counts = dict(zip(rows["cohort"].astype(str), rows[column], strict=True))
        labels = [f"{style.short(name)}\n{style.amount_text(float(counts[name]))}{word}" for name in names]
    longest = max(len(part) for label in labels for part in label.split("\n"))
    room = max(1, int(style.size_in_points(ax)[0] / ((longest + 1) * style.TICK_SIZE * _LETTER)))
    step = -(-len(names) // room)
    at = list(range(0, len(names), step))
    ax.set_xticks(at, [labels[place] for place in at])
    ax.set_xlim(-0.6, len(names) - 0.4)


def _columns_of_key(ax: Axes) -> int:
    """How many names of the key have room beside each other."""
    longest = max((len(label) for label in ax.get_legend_handles_labels()[1]), default=1)
    wide, _ = style.size_in_points(ax)
    return max(1, int(wide / ((longest + _BESIDE) * style.TICK_SIZE * _LETTER)))


def _key_above(ax: Axes, columns: int) -> None:
    ax.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False, borderaxespad=0.0, borderpad=0.2,
        fontsize=style.TICK_SIZE, labelcolor=style.TEXT, handlelength=1.2, columnspacing=1.4,
    )  # fmt: skip
