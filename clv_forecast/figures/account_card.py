"""One account on one page: revenue, wallet, categories not bought, rank, and the facts as text.

One customer: its purchases, whether it was still there, and what is expected of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.figures import style
from clv_forecast.figures.style import as_text, band_name, checked, in_currency, only
from clv_forecast.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_CUSTOMER_MADE_BY: Final = "the table made by customer_path(model, history, customer_id)"
_CUSTOMER_SIZE: Final = (7.4, 3.4)
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
        _CUSTOMER_MADE_BY,
    )
    ax = style.axes(ax, _CUSTOMER_SIZE)
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
        _CUSTOMER_MADE_BY,
    )
    ax = style.axes(ax, _CUSTOMER_SIZE)
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


_MADE_BY: Final = "the account card made by card(ranking, forecast, customer_id)"
_PARTS: Final = ("name", "customer_id", "facts", "history", "wallet", "place", "whitespace", "outlook", "reason")
_MONTHS: Final = ("start", "end", "when", "revenue", "revenue_lower", "revenue_upper")
_GAPS: Final = ("category", "peers_share", "whitespace")
_RANKS: Final = ("rank", "rank_lower", "rank_upper", "accounts")
_SIZE: Final = (12.0, 8.2)
_FUTURE: Final = "future"
_LONGEST: Final = 22
_LONGEST_VALUE: Final = 400
_NOTE: Final = 0.86  # of the letters of a fact
_NARROWEST: Final = 5.0  # points, of letters
_BAR: Final = 0.6
_REASON_LINES: Final = 3
_LETTERS: Final = (0.55, 0.48)  # widths for their height: what surely fits, what may


def draw_account_card(card: Any, *, figure: Figure | None = None) -> Figure:
    """One account: revenue by month, wallet, categories it does not buy, rank with its band, and the facts as text.

    Parameters
    ----------
    card : AccountCard
        From ``clv_forecast.report.card.card``. With an ``outlook`` the probability of being alive is drawn
        too.
    figure : Figure, optional
        An empty one.

    Returns
    -------
    Figure

    Raises
    ------
    DomainError
        If ``card`` is something else or lacks a column, or the figure is none or not empty.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> from matplotlib.figure import Figure
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> figure = draw_account_card(clv.card(clv.rank(fc, draws=100), fc, 4), figure=Figure(figsize=(12, 8)))
    >>> [ax.get_title(loc="left") for ax in figure.axes][0]
    'Revenue by month, and forecast with its 90 % band'
    """
    missing = [part for part in _PARTS if not hasattr(card, part)]
    if missing:
        raise DomainError(
            "A card is drawn from an account card.", value=type(card).__name__, remedy=f"Pass {_MADE_BY}."
        )
    checked(card.history, _MONTHS, _MADE_BY)
    checked(card.place, _RANKS, _MADE_BY)
    checked(card.facts, ["topic", "fact", "value", "note"], _MADE_BY)
    figure = _page(figure)
    below = card.outlook is not None
    grid = figure.add_gridspec(
        3 + below, 3, width_ratios=(1.0, 1.0, 1.25), height_ratios=(1.25, *((0.85,) if below else ()), 1.0, 0.42)
    )
    months = figure.add_subplot(grid[0, :2])
    _months(months, card.history)
    if below:
        alive = draw_customer_alive(card.outlook, ax=figure.add_subplot(grid[1, :2]))
        months.set_xlim(alive.get_xlim())
    _wallet(figure.add_subplot(grid[1 + below, 0]), card.wallet)
    _gaps(figure.add_subplot(grid[1 + below, 1]), card.whitespace, card.wallet)
    _rank(figure.add_subplot(grid[2 + below, :2]), card.place)
    text = figure.add_subplot(grid[:, 2])
    text.set_axis_off()
    _head(figure, card)
    style.settle(text)
    _facts(text, card.facts)
    return figure


def _page(figure: Any) -> Figure:
    from matplotlib.figure import Figure

    if figure is None:
        from matplotlib import pyplot

        return pyplot.figure(figsize=_SIZE, layout="constrained", facecolor="white")
    if not isinstance(figure, Figure):
        raise DomainError(
            "figure must be a matplotlib Figure.", value=type(figure).__name__, remedy="Pass figure=plt.figure()."
        )
    if figure.axes:
        raise DomainError("The figure must be empty: a card has axes of its own.", value=f"{len(figure.axes)} axes")
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    return figure


def _head(figure: Figure, card: Any) -> None:
    """Name and reason, as many lines of it as leave room for the panels."""
    name, own = printable(card.name), printable(card.customer_id)
    points = 0.97 * float(figure.get_figwidth()) * 72.0
    letters = max(20, int(points / (0.55 * style.LABEL_SIZE)))
    lines = [
        name if name == own else f"{name} ({own})",
        *style.wrapped(printable(card.reason), points, style.LABEL_SIZE).split("\n")[:_REASON_LINES],
    ]
    figure.suptitle(
        "\n".join(style.short(line, letters) for line in lines), x=0.01, ha="left", fontsize=style.LABEL_SIZE,
        color=style.TEXT, linespacing=1.4,
    )  # fmt: skip


def _months(ax: Axes, table: pd.DataFrame) -> None:
    """Bars of what came, and a line with a band of what is expected."""
    future = (table["when"] == _FUTURE).to_numpy(dtype=bool)
    past, ahead = table[~future], table[future]
    if len(past):
        start, end = past["start"].to_numpy(), past["end"].to_numpy() + np.timedelta64(1, "D")
        ax.bar(
            start, past["revenue"].to_numpy(dtype=float), width=0.9 * (end - start), align="edge", color=style.BAR,
            linewidth=0,
        )  # fmt: skip
    if len(ahead):
        edges = np.append(ahead["start"].to_numpy(), ahead["end"].to_numpy()[-1:])
        middle, lower, upper = (
            np.append(values, values[-1:])
            for values in (ahead[name].to_numpy(dtype=float) for name in ("revenue", "revenue_lower", "revenue_upper"))
        )
        ax.fill_between(edges, lower, upper, step="post", color=style.EXPECTED, alpha=style.BAND_ALPHA, linewidth=0)
        ax.step(edges, middle, where="post", color=style.EXPECTED, linewidth=1.8)
    style.dates(ax)
    style.thousands(ax.yaxis)
    style.dress(
        ax, title=f"Revenue by month, and forecast with its {band_name(table)}", y=in_currency("revenue", table)
    )  # fmt: skip


def _wallet(ax: Axes, table: pd.DataFrame) -> None:
    """What it brings, is expected to bring, and could, a year."""
    row = table.iloc[0]
    titles = {"given": "wallet, as given", "whitespace": "with open\ncategories"}
    names = {
        "current_revenue": "last 12 months",
        "annual_revenue": "expected in a year,\nif it is there",
        "wallet": titles.get(str(row.get("wallet_source")), "reachable with us"),
    }
    shown = [(name, text) for name, text in names.items() if not pd.isna(row.get(name))]
    title = "Revenue a year, and what it could be" if len(shown) > 1 else "Revenue a year"
    if not shown:
        _nothing(ax, title, "not known")
        return
    at = np.arange(len(shown))
    colours = {"current_revenue": style.BAR, "annual_revenue": style.EXPECTED, "wallet": style.OWN}
    ax.barh(
        at, [float(row[name]) for name, _ in shown], height=_BAR, color=[colours[name] for name, _ in shown],
        alpha=0.75,
    )  # fmt: skip
    if shown[-1][0] == "wallet" and row["wallet_upper"] > row["wallet_lower"]:
        ax.hlines(at[-1], row["wallet_lower"], row["wallet_upper"], color=style.ACTUAL, linewidth=1.6)
    ax.set_yticks(at, [text for _, text in shown])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    _few(ax)
    style.dress(ax, title=title, x=in_currency("revenue", table), rules="x")
    ax.tick_params(axis="y", length=0)


def _gaps(ax: Axes, table: pd.DataFrame | None, wallet: pd.DataFrame) -> None:
    """Categories that accounts alike buy and this one does not."""
    title = "What accounts alike buy and it does not"
    if table is None or table.empty:
        _nothing(ax, title, "not known" if table is None else "nothing: none is known that it lacks")
        return
    checked(table, _GAPS, _MADE_BY)
    at = np.arange(len(table))
    ax.barh(at, table["whitespace"].to_numpy(dtype=float), height=_BAR, color=style.OWN, alpha=0.75)
    names = [
        f"{style.short(name, _LONGEST)}\n{100 * float(share):.0f} % buy it"
        for name, share in zip(table["category"], table["peers_share"], strict=True)
    ]
    ax.set_yticks(at, names)
    ax.set_ylim(len(table) - 0.4, -0.6)
    _few(ax)
    style.dress(ax, title=title, x=in_currency("could be worth a year", wallet), rules="x")
    ax.tick_params(axis="y", length=0)


def _rank(ax: Axes, table: pd.DataFrame) -> None:
    """The rank among all accounts, with its band."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    row = table.iloc[0]
    rank, low, high, last = (int(row[name]) for name in _RANKS)
    ax.hlines(0.0, low, high, color=style.EXPECTED, alpha=style.INTERVAL_ALPHA, linewidth=7.0)
    ax.plot([rank], [0.0], "o", color=style.EXPECTED, markersize=7, markeredgecolor="white")
    ax.set_xscale("log")
    ax.set_xlim(0.85, max(last, 2) * 1.15)
    powers = [10**k for k in range(7) if 10**k < last / 2]
    ax.set_xticks([*powers, last] if last > 1 else [1])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:z,.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_ylim(-1.0, 1.0)
    ax.set_yticks([])
    title = f"Rank {rank:,} of {last:,}, {band_name(table)} {low:,} to {high:,}"
    style.dress(ax, title=title, x="rank", rules="x")
    ax.spines["left"].set_visible(False)


def _nothing(ax: Axes, title: str, text: str) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    style.dress(ax, title=title, rules="none")
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.text(0.0, 0.95, text, transform=ax.transAxes, va="top", fontsize=style.TICK_SIZE, color=style.QUIET)


def _few(ax: Axes) -> None:
    """A handful of ticks that do not run into each other."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(0.0, max(1.0, ax.get_xlim()[1]))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    style.thousands(ax.xaxis)


def _facts(ax: Axes, table: pd.DataFrame) -> None:
    """The facts below each other, their notes in smaller letters; as large as there is room."""
    wide, high = style.size_in_points(ax)
    size: float = style.TICK_SIZE
    lines = _lines(table, wide, size)
    while size > _NARROWEST and _height(lines) > high:
        size -= 0.25
        lines = _lines(table, wide, size)
    top = 0.0
    for text, x, side, letters, colour, step in lines:
        ax.annotate(
            text, (x, 1.0), xycoords="axes fraction", xytext=(0, -top), textcoords="offset points", ha=side, va="top",
            fontsize=letters, color=colour, annotation_clip=False,
        )  # fmt: skip
        top += step


Line = tuple[str, float, Any, float, str, float]


def _height(lines: list[Line]) -> float:
    return float(sum(line[-1] for line in lines))


def _lines(table: pd.DataFrame, wide: float, size: float) -> list[Line]:
    """Text, place, side, size, colour of each line, and the points to the next one."""
    found: list[Line] = []
    topic: Any = None
    step, small = 1.35 * size, _NOTE * size
    for row in table.itertuples(index=False):
        if row.topic != topic:
            topic = row.topic
            if found:
                found.append(("", 0.0, "left", size, style.TEXT, 0.5 * size))
            found.append((style.short(topic).upper(), 0.0, "left", small, style.EXPECTED, step))
        room, longest = (max(12, int(wide / (width * size))) for width in _LETTERS)
        fact, value = style.short(row.fact, room), printable(row.value)[:_LONGEST_VALUE]
        together = len(fact) + len(value) + 3 <= room
        found.append((fact, 0.0, "left", size, style.TEXT, 0.0 if together else step))
        if together:
            found.append((style.short(value), 1.0, "right", size, style.TEXT, step))
        else:
            parts = style.wrapped(value, wide, size).split("\n")
            found += [(style.short(part, longest), 0.0, "left", size, style.TEXT, step) for part in parts]
        notes = style.wrapped(printable(row.note)[:_LONGEST_VALUE], wide, small).split("\n") if row.note else []
        found += [
            (style.short(part, int(longest / _NOTE)), 0.0, "left", small, style.QUIET, 1.3 * small) for part in notes
        ]
    return found
