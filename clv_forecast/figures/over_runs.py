"""From run to run: what came against the bands of earlier runs, and the value of the base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import DomainError
from clv_forecast.figures import style
from clv_forecast.figures.style import (
    as_text,
    band_name,
    checked,
    in_currency,
    limits_of_amounts,
    money_axis,
    money_text,
    only,
    written,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SINCE: Final = "the rows of one quantity of the table made by came_since, of one or more earlier runs"
_RUNS: Final = "the days of runs, with the value of each and its band"
_EARLIER: Final = "accounts of the earlier run"
_HELD: Final = "held"
_SIZE: Final = (7.4, 3.9)
_PAD: Final = 22.0  # of the title, above the key
_LINE_OF_KEY: Final = 14.0
_WIDE_KEY: Final = 330.0  # points: the key fits on one line
_THICKEST: Final = 10.0
_THINNEST: Final = 1.5
_OF_GAP: Final = 0.7
_FEW: Final = 20
_DIGITS: Final = 4
_PERCENT: Final = "\N{NO-BREAK SPACE}%"

Floats = NDArray[np.float64]


def draw_run_bands(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Bands of earlier runs against what came after each of them; what fell outside of its band is marked.

    Parameters
    ----------
    table : DataFrame
        From ``came_since``, one row per earlier run, of one quantity: previous_as_of, days, expected, lower, upper,
        came, covered; optional quantity, group, coverage, prob, currency. Rows of new customers are left out, whom no
        band is about.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, no row is about accounts of an earlier run, or a run has several rows.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> days = pd.date_range("1998-01-07", periods=3, freq="7D")
    >>> table = pd.DataFrame({"previous_as_of": days, "days": 7, "expected": 50.0, "lower": 40.0, "upper": 60.0,
    ...                       "came": [48.0, 63.0, 51.0], "covered": [True, False, True]})
    >>> draw_run_bands(table, ax=Figure(figsize=(12, 4)).subplots()).get_title(loc="left")
    'What came in 7 days after each of 3 runs: 2 of 3 bands held'
    """
    checked(table, ["previous_as_of", "days", "expected", "lower", "upper", "came", "covered"], _SINCE)
    rows = table[(table["group"] == _EARLIER).to_numpy(dtype=bool)] if "group" in table.columns else table
    checked(rows, [], _SINCE)
    rows = rows.sort_values("previous_as_of", kind="stable")
    at = pd.to_datetime(rows["previous_as_of"])
    if at.duplicated().any():
        raise DomainError(
            "Each earlier run has one row: one quantity, and one length of time.",
            value=as_text(at[at.duplicated()].iloc[0]),
            remedy="Choose the rows of one quantity and one number of days.",
        )
    expected, lower, upper, came = (rows[name].to_numpy(dtype=float) for name in ("expected", "lower", "upper", "came"))
    x, held = at.to_numpy(), np.array([str(each) in ("True", "1", "1.0") for each in rows["covered"]])
    known = np.isfinite(came)
    ax = style.axes(ax, _SIZE)
    _place(ax, x)
    _band(ax, x, (lower, upper), label=band_name(rows))
    _line(ax, x, expected, name="expected")
    small = 5.0 if len(rows) <= _FEW else 4.0
    _marks(
        ax, x, came, which=known & held, name="came", look={"marker": "o", "color": style.ACTUAL, "markersize": small}
    )
    outside = {"marker": "D", "color": style.OWN, "markersize": 1.5 * small}
    _marks(ax, x, came, which=known & ~held, name="came, outside of its band", look=outside)
    what = written(rows, "quantity", "what came")
    _finish(ax, _title_of_bands(rows, known, held), y=in_currency(what, rows), x="day of the earlier run")
    return ax


def draw_value_over_runs(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Value of the base from run to run with its band; runs that were held back are marked and not connected.

    Parameters
    ----------
    table : DataFrame
        One row per run: as_of, value, value_lower, value_upper; optional status (``"held"`` is marked), horizon,
        currency, prob. Runs of another horizon or currency than the latest are counted, not drawn, and runs without a
        value left out.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DomainError
        If a column is missing, or no run has a day and a value.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"as_of": pd.date_range("1998-01-07", periods=3, freq="7D"),
    ...                       "value": [1.0e6, 1.1e6, 4e5], "value_lower": [9e5, 1e6, 3e5], "value_upper": 1.2e6,
    ...                       "status": ["published", "published", "held"], "horizon": "12 months"})
    >>> draw_value_over_runs(table, ax=Figure(figsize=(12, 4)).subplots()).get_title(loc="left")
    'Value over 12 months from run to run: 1.1M on 1998-01-14; 1 run held'
    """
    checked(table, ["as_of", "value", "value_lower", "value_upper"], _RUNS)
    days = pd.to_datetime(table["as_of"])
    there = (days.notna() & table["value"].notna()).to_numpy(dtype=bool)
    known = table[there].assign(as_of=days[there]).sort_values("as_of", kind="stable")
    checked(known, [], f"{_RUNS}, of which at least one has a day and a value")
    rows = _like_the_latest(known)
    x = rows["as_of"].to_numpy()
    value, lower, upper = (rows[name].to_numpy(dtype=float) for name in ("value", "value_lower", "value_upper"))
    held = np.array([str(each) == _HELD for each in rows["status"]] if "status" in rows.columns else [False] * len(x))
    ax = style.axes(ax, _SIZE)
    _place(ax, x)
    name = band_name(rows)
    _band(ax, x, (lower, upper), which=~held, label=name)
    _band(ax, x, (lower, upper), which=held, label=name if held.all() else "", colour=style.OWN)
    _line(ax, x[~held], value[~held], name="value" if not held.any() else "published")
    look = {"marker": "D", "color": style.OWN, "markersize": 6.5, "markerfacecolor": "white", "markeredgewidth": 1.6}
    _marks(ax, x, value, which=held, name="held, not published", look=look)
    title = _title_of_values(rows, held, len(known) - len(rows))
    _finish(ax, title, y=in_currency("value", rows), x="last day of the run's log")
    return ax


def _like_the_latest(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that may be compared with the latest run: of its horizon and its currency."""
    for name in ("horizon", "currency"):
        if name in rows.columns:
            texts = ["" if pd.isna(each) else str(each) for each in rows[name]]
            rows = rows[np.array([text == texts[-1] for text in texts])]
    return rows


def _place(ax: Axes, x: NDArray[Any]) -> None:
    """Limits of the days, with room at both sides; a week around one day alone."""
    first, last = (pd.Timestamp(each) for each in (x[0], x[-1]))
    room = max(0.04 * (last - first), pd.Timedelta(days=3 if first == last else 1))
    ax.set_xlim(first - room, last + room)  # type: ignore[arg-type]


def _thickness(ax: Axes, x: NDArray[Any]) -> float:
    """Points of a bar, so that bars of neighbouring days leave a gap."""
    from matplotlib.dates import date2num

    numbers: NDArray[Any] = np.unique(np.asarray(date2num(x)))  # type: ignore[no-untyped-call]
    if len(numbers) < 2:
        return _THICKEST
    low, high = ax.get_xlim()
    closest = float((numbers[1:] - numbers[:-1]).min())
    points = closest * style.size_in_points(ax)[0] / (high - low)
    return float(np.clip(_OF_GAP * points, _THINNEST, _THICKEST))


def _band(
    ax: Axes,
    x: NDArray[Any],
    ends: tuple[Floats, Floats],
    *,
    which: NDArray[np.bool_] | None = None,
    label: str = "",
    colour: str = style.EXPECTED,
) -> None:
    """Bands as bars: each is of a run of its own."""
    lower, upper = ends
    there = np.isfinite(lower) & np.isfinite(upper) & (True if which is None else which)
    if there.any():
        ax.vlines(
            x[there], lower[there], upper[there], color=colour, alpha=style.INTERVAL_ALPHA,
            linewidth=_thickness(ax, x), label=label,
        )  # fmt: skip


def _line(ax: Axes, x: NDArray[Any], y: Floats, *, name: str) -> None:
    if len(x):
        size = 5.0 if len(x) <= _FEW else 3.0
        ax.plot(
            x, y, "-o", color=style.EXPECTED, linewidth=1.4, markersize=size, markeredgecolor="white",
            markeredgewidth=0.6, label=name,
        )  # fmt: skip


def _marks(ax: Axes, x: NDArray[Any], y: Floats, *, which: NDArray[np.bool_], name: str, look: dict[str, Any]) -> None:
    if which.any():
        ax.plot(x[which], y[which], linestyle="none", label=name, **look)


def _finish(ax: Axes, title: str, *, x: str, y: str) -> None:
    ax.margins(y=0.08)
    limits_of_amounts(ax)
    money_axis(ax.yaxis)
    style.dates(ax)
    wide = style.size_in_points(ax)[0] >= _WIDE_KEY
    count = len(ax.get_legend_handles_labels()[1])
    lines = 1 if wide else (count + 1) // 2
    style.dress(ax, title=title, x=x, y=y, pad=_PAD + _LINE_OF_KEY * (lines - 1))
    ax.set_xlabel(ax.get_xlabel(), loc="left")  # at the right stands the year
    ax.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=count if wide else 2, frameon=False, borderaxespad=0.0,
        fontsize=style.TICK_SIZE, labelcolor=style.TEXT, handlelength=1.3, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip


def _title_of_bands(rows: pd.DataFrame, known: NDArray[np.bool_], held: NDArray[np.bool_]) -> str:
    what = written(rows, "quantity", "what came").capitalize()
    lengths = sorted({int(each) for each in rows["days"]})
    days = f"{lengths[0]} to {lengths[-1]} days" if len(lengths) > 1 else _counted(lengths[0], "day")
    of, prob = int(np.count_nonzero(known)), only(rows, "prob")
    kind = f" ({float(prob) * 100:g}{_PERCENT})" if prob else ""
    if len(rows) == 1:
        ending = f": its band{kind} {'held' if held[0] else 'did not hold'}" if of else ""
        title = f"{what} in {days} after {as_text(rows['previous_as_of'].iloc[0])}{ending}"
    else:
        held_of = f"{np.count_nonzero(known & held)} of {_counted(of, 'band')}"
        title = f"{what} in {days} after each of {len(rows)} runs: {held_of}{kind} held"
    own = rows["coverage"].dropna().tolist() if "coverage" in rows.columns else []
    if not own:
        return title
    average = "" if len(own) == 1 else " on average"
    return f"{title}; customers' own bands held {100.0 * sum(own) / len(own):.1f}{_PERCENT}{average}"


def _title_of_values(rows: pd.DataFrame, held: NDArray[np.bool_], others: int) -> str:
    horizon = only(rows, "horizon")
    what = f"Value over {style.short(horizon)}" if horizon else "Value of the base"
    values = rows["value"].to_numpy(dtype=float)
    count = int(np.count_nonzero(held))
    notes = [f"{_counted(count, 'run')} held"] if count else []
    if held.all():
        notes.append("none published")
    else:
        place = int(np.flatnonzero(~held)[-1])
        notes.insert(0, f"{money_text(values[place], _DIGITS)} on {as_text(rows['as_of'].iloc[place])}")
    if others:
        notes.append(f"{_counted(others, 'run')} of another horizon or currency not drawn")
    return f"{what}{' from run to run' if len(rows) > 1 else ''}: {'; '.join(notes)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
