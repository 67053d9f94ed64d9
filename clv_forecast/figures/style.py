"""The shared look: colours that colour-blind readers tell apart, quiet axes, direct labels.

Nothing here changes matplotlib's settings: every artist is given its look, and only pyplot's ordinary
``subplots`` is called, when the caller brought no axes.

Amounts of money as a figure writes them: short, and with as many digits as tell neighbours apart.

Rows of a finished table: its columns checked, one window of it chosen.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.printable import figure_text, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MINUS: Final = "\N{MINUS SIGN}"
_SIZES: Final = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_FEWEST: Final = 3
_MOST: Final = 9
_WITH_LETTER: Final = 5
_SHORT_ENOUGH: Final = 1e8
_LARGEST: Final = 1e15
_NEAR: Final = 0.02
_AWAY_FROM_ZERO: Final = 0.5


def money_text(value: float, digits: int = _FEWEST, *, signed: bool = False) -> str:
    """An amount in a handful of characters, to a number of significant digits.

    Examples
    --------
    >>> [money_text(value) for value in (0.0, 0.25, 1234.5, 340_000, 999_999, 1_234_567)]
    ['0', '0.25', '1.23k', '340k', '1M', '1.23M']
    >>> money_text(1_234_567, 5), money_text(340_000, signed=True), money_text(0.0, signed=True)
    ('1.2346M', '+340k', '0')

    Where so many digits are asked for, no letter makes it shorter.

    >>> money_text(1_234_567.89, 9)
    '1,234,567.89'
    """
    rounded = float(f"{abs(value):.{digits}g}")
    size, letter = next((each for each in _SIZES if each[0] <= rounded < _LARGEST), (1.0, ""))
    if digits > _WITH_LETTER and rounded < _SHORT_ENOUGH:
        size, letter = 1.0, ""
    sign = MINUS if value < 0.0 and rounded > 0.0 else "+" if signed and rounded > 0.0 else ""
    return f"{sign}{rounded / size:,.{digits}g}{letter}"


def digits_for(values: Sequence[float], step: float | None = None) -> int:
    """How many significant digits show differences of ``step``; without a step, of the closest two values.

    Examples
    --------
    >>> digits_for([1.0e6, 1.5e6]), digits_for([1_234_000.0, 1_234_500.0, 1_235_000.0])
    (3, 5)
    """
    known = np.unique([value for value in values if math.isfinite(value)])
    gaps = known[1:] - known[:-1]
    wanted = _NEAR * (float(gaps.min(initial=np.inf)) if step is None else abs(step))
    if not len(known) or wanted == 0.0:
        return _FEWEST
    for digits in range(_FEWEST, _MOST):
        if all(abs(float(f"{value:.{digits}g}") - value) <= wanted for value in known):
            return digits
    return _MOST


def money_axis(axis: Any) -> None:
    """Short amounts along an axis, no two of them written alike."""
    from matplotlib.ticker import FuncFormatter

    def written(value: float, _: Any) -> str:
        return money_text(value, digits_for(axis.get_majorticklocs()))

    axis.set_major_formatter(FuncFormatter(written))


def limits_of_amounts(ax: Axes) -> None:
    """Show zero on the upright axis, where the marks are not all far from it."""
    low, high = ax.get_ylim()
    if 0.0 < low < _AWAY_FROM_ZERO * high:
        ax.set_ylim(0.0, high)
    elif high < 0.0 and high > _AWAY_FROM_ZERO * low:
        ax.set_ylim(low, 0.0)


# Okabe and Ito's palette, which survives the common colour deficiencies, and greys.
ACTUAL: Final = "#1A1A1A"
EXPECTED: Final = "#0072B2"
OWN: Final = "#D55E00"
POOLED: Final = "#737373"
BAR: Final = "#BDBDBD"
TEXT: Final = "#222222"
QUIET: Final = "#5C5C5C"
RULE: Final = "#E2E2E2"
BAND_ALPHA: Final = 0.2
INTERVAL_ALPHA: Final = 0.35

TITLE_SIZE: Final = 11
LABEL_SIZE: Final = 9.5
TICK_SIZE: Final = 9
SIZE: Final = (7.0, 3.9)
Place = Literal["upper left", "upper right", "lower center"]
_POINTS_PER_INCH: Final = 72.0
_WIDTH_OF_LETTER: Final = 0.5  # of the letter's height, on average
_SLACK: Final = 1.15  # the layout may still narrow the axes
_LINE: Final = 1.25
_THOUSAND: Final = 1000.0
_LONGEST_NAME: Final = 32


def axes(ax: Any, size: tuple[float, float] = SIZE) -> Axes:
    """The caller's axes, or new ones of a size that suits a notebook.

    Raises
    ------
    DomainError
        If ``ax`` is something else.
    """
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot

        return pyplot.subplots(figsize=size, layout="constrained", facecolor="white")[1]
    if not isinstance(ax, Axes):
        raise DomainError("ax must be one matplotlib Axes.", value=type(ax).__name__, remedy="Pass one of the axes.")
    return ax


def dress(
    ax: Axes,
    *,
    title: str,
    x: str = "",
    y: str = "",
    rules: Literal["x", "y", "none", "both"] = "y",
    pad: float = 9.0,
) -> None:
    """Title, names of the axes, ticks and rules."""
    wide, high = size_in_points(ax)
    ax.set_title(
        wrapped(title, wide - _names_beyond_margin(ax), TITLE_SIZE),
        loc="left",
        fontsize=TITLE_SIZE,
        color=TEXT,
        pad=pad,
    )
    ax.set_xlabel(wrapped(x, wide, LABEL_SIZE), fontsize=LABEL_SIZE, color=TEXT)
    ax.set_ylabel(wrapped(y, high, LABEL_SIZE), fontsize=LABEL_SIZE, color=TEXT)
    ax.tick_params(labelsize=TICK_SIZE, labelcolor=TEXT, color=POOLED, length=3)
    ax.set_facecolor("white")
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(POOLED)
        spine.set_linewidth(0.8)
    ax.grid(False)
    if rules != "none":
        ax.grid(True, axis=rules, color=RULE, linewidth=0.8)
    ax.set_axisbelow(True)


def settle(ax: Axes) -> None:
    """Let the figure's layout place the axes, so that they have the size in which they will be seen."""
    figure = ax.get_figure(root=True)
    if figure is not None and figure.get_layout_engine() is not None:
        figure.draw_without_rendering()


def size_in_points(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes, in points."""
    box = ax.get_window_extent()
    return box.width * _POINTS_PER_INCH / ax.figure.dpi, box.height * _POINTS_PER_INCH / ax.figure.dpi


def _names_beyond_margin(ax: Axes) -> float:
    """Points by which the names along the left side will push the axes to the right."""
    lines = (line for label in ax.get_yticklabels() for line in label.get_text().split("\n"))
    longest = max(map(len, lines), default=0)
    margin = ax.get_window_extent().x0 * _POINTS_PER_INCH / ax.figure.dpi
    return float(max(0.0, longest * TICK_SIZE * _WIDTH_OF_LETTER * _SLACK - margin))


def wrapped(text: str, points: float, size: float) -> str:
    r"""Text broken into lines of at most about ``points``, for letters of ``size``.

    Examples
    --------
    >>> wrapped("purchases in 39 weeks", 60.0, 10.0)
    'purchases in\n39 weeks'
    """
    letters = max(int(points / (size * _WIDTH_OF_LETTER)), 8)
    lines = math.ceil(len(text) / letters)
    if lines <= 1:
        return text
    even = max(len(text) // lines + 2, min(8, letters))  # lines of about the same length
    for width in range(even, letters + 1):
        found = textwrap.wrap(text, width, break_long_words=False)
        if len(found) <= lines:
            return "\n".join(found)
    return textwrap.fill(text, letters, break_long_words=False)


def thousands(axis: Any) -> None:
    """Large numbers of an axis as a reader writes them: 1,500 or 2.5M. Small ones stay as matplotlib writes them."""
    from matplotlib.ticker import FuncFormatter

    if max(abs(limit) for limit in axis.get_view_interval()) >= _THOUSAND:
        axis.set_major_formatter(FuncFormatter(lambda value, _: amount_text(value)))


def percent(axis: Any) -> None:
    """An axis of shares from 0 to 1, in per cent."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))


def dates(ax: Axes) -> None:
    """Few, short dates along the bottom."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    ax.xaxis.get_offset_text().set(fontsize=TICK_SIZE, color=QUIET)


def amount_text(value: float) -> str:
    """A number in at most a handful of characters.

    Examples
    --------
    >>> [amount_text(value) for value in (0, 0.25, 1500, 2_500_000, -3e9)]
    ['0', '0.25', '1,500', '2.5M', '-3B']
    """
    for size, letter in ((1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:z,.0f}" if abs(value) >= _THOUSAND else f"{value:.4g}"


def short(name: Any, longest: int = _LONGEST_NAME) -> str:
    r"""A name that leaves room for the figure: cut in the middle, so that its beginning and its end are seen.

    All text of customers' data comes onto a figure by this function: see `figure_text`.

    Examples
    --------
    >>> short("a name of a group that goes on and on, 1997Q1", 20)
    'a name of a g…1997Q1'
    >>> short("Smith\n$x$")
    'Smith\\n\\$x\\$'
    """
    text = " ".join(printable(name).split())
    if len(text) > longest:
        tail = (longest - 1) // 3
        text = f"{text[: longest - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"
    return figure_text(text)


def name_in_key(name: Any, longest: int = _LONGEST_NAME) -> str:
    """A `short` name for the key, which leaves out what begins with an underscore."""
    text = short(name, longest)
    return f" {text}" if text.startswith("_") else text


def key(ax: Axes, *, place: Place = "upper right", columns: int = 1) -> None:
    """What the marks mean, without a frame."""
    ax.legend(loc=place, ncols=columns, frameon=False, fontsize=TICK_SIZE, labelcolor=TEXT, handlelength=1.6)


def label_ends(ax: Axes, labels: Sequence[tuple[Any, float, str, str]]) -> None:
    """Write names at the right ends of lines, inside the axes, pushed apart where they would overlap.

    Parameters
    ----------
    ax : Axes
        With its lines drawn; the right limit moves to make room.
    labels : sequence of (x, y, text, colour)
        In data units.
    """
    wide, high = size_in_points(ax)
    rows = [line for _, _, text, _ in labels for line in text.split("\n")]
    need = min(0.5, (max(map(len, rows)) * TICK_SIZE * _WIDTH_OF_LETTER * _SLACK + 8.0) / max(wide, 1.0))
    left, right = ax.get_xlim()
    ends = [float(ax.convert_xunits(x)) for x, _, _, _ in labels]  # type: ignore[no-untyped-call]
    ax.set_xlim(left, max(right, left + (max(ends) - left) / (1.0 - need)))
    bottom, top = ax.get_ylim()
    per_point = (top - bottom) / max(high, 1.0)
    halves = [0.5 * (_LINE * TICK_SIZE * (text.count("\n") + 1) + 1.0) * per_point for _, _, text, _ in labels]
    heights = apart([y for _, y, _, _ in labels], halves, bottom, top=top)
    for (x, _, text, colour), y in zip(labels, heights, strict=True):
        ax.annotate(
            text,
            (x, y),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=TICK_SIZE,
            color=colour,
            linespacing=_LINE,
            annotation_clip=False,
        )


def apart(wanted: Sequence[float], halves: Sequence[float], bottom: float, *, top: float) -> list[float]:
    """Heights near those wanted whose boxes do not overlap, within the limits where they fit."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    floor = bottom
    for i in order:
        placed[i] = max(placed[i], floor + halves[i])
        floor = placed[i] + halves[i]
    ceiling = top
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling - halves[i])
        ceiling = placed[i] - halves[i]
    return placed


EVERYTHING: Final = "all"
_ORIGIN: Final = "origin"
_SHOWN: Final = 8


def checked(table: Any, needed: Sequence[str], made_by: str) -> pd.DataFrame:
    """Return the table when it has rows and all the columns needed.

    Raises
    ------
    DomainError
        If it is no DataFrame, is empty, or lacks a column.

    Examples
    --------
    >>> checked(pd.DataFrame({"a": [1]}), ["a"], "a verb").shape
    (1, 1)
    """
    if not isinstance(table, pd.DataFrame):
        raise DomainError(
            "A figure is drawn from a table (a pandas DataFrame).",
            value=type(table).__name__,
            remedy=f"Pass {made_by}.",
        )
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DomainError(
            "The table lacks columns of this figure.", value=", ".join(missing), remedy=f"Pass {made_by}."
        )
    if table.empty:
        raise DomainError("The table has no rows, so there is nothing to draw.", remedy=f"Pass {made_by}.")
    return table


def chosen(table: pd.DataFrame, column: str, value: Any = None) -> pd.DataFrame:
    """Rows where ``column`` holds ``value``; a table without that column has one window only.

    Without a value: the rows of ``"all"`` if there are any, else those of the latest origin, or of the value that
    stands last in the table.

    Raises
    ------
    DomainError
        If no row holds the value.

    Examples
    --------
    >>> chosen(pd.DataFrame({"horizon": ["13 weeks", "39 weeks"], "n": [1, 2]}), "horizon")["n"].tolist()
    [2]
    """
    if column not in table.columns:
        if value is None or as_text(value) == EVERYTHING:
            return table
        raise DomainError(f"The table has no column {column}.", value=repr(value), remedy=f"Leave {column} out.")
    texts = table[column].map(as_text).astype(object)
    otherwise = EVERYTHING if (texts == EVERYTHING).any() else _last(table, column)
    wanted = otherwise if value is None else as_text(value)
    kept = table[(texts == wanted).to_numpy(dtype=bool)]
    if kept.empty:
        known = ", ".join(list(dict.fromkeys(texts))[:_SHOWN])
        raise DomainError(f"No row of the table has this {column}.", value=repr(value), remedy=f"Known: {known}.")
    return kept


def _last(table: pd.DataFrame, column: str) -> str:
    """The latest day (origins may be ISO text), the last category, or what stands last in the table."""
    values = table[column]
    if column == _ORIGIN:
        return str(max(as_text(value) for value in values))
    if isinstance(values.dtype, pd.CategoricalDtype) or pd.api.types.is_datetime64_any_dtype(values):
        values = values.sort_values(kind="stable")
    return as_text(values.iloc[-1])


def as_text(value: Any) -> str:
    """A day in ISO form, anything else as it prints.

    Examples
    --------
    >>> as_text(pd.Timestamp("1997-09-30")), as_text("39 weeks")
    ('1997-09-30', '39 weeks')
    """
    if isinstance(value, np.datetime64 | pd.Timestamp) or hasattr(value, "isoformat"):
        return "" if pd.isna(value) else f"{pd.Timestamp(value):%Y-%m-%d}"
    return str(value)


def only(table: pd.DataFrame, column: str, otherwise: str = "") -> str:
    """The one value of a column as text; ``otherwise`` where the column is missing, empty or holds several.

    Examples
    --------
    >>> only(pd.DataFrame({"unit": ["week", "week"]}), "unit")
    'week'
    """
    if column not in table.columns:
        return otherwise
    values = table[column].dropna().unique()
    return as_text(values[0]) if len(values) == 1 else otherwise


def written(table: pd.DataFrame, column: str, otherwise: str = "") -> str:
    r"""The one value of a column as a figure writes it: see `only` and `short`.

    Examples
    --------
    >>> written(pd.DataFrame({"currency": ["$", "$"]}), "currency")
    '\\$'
    """
    return short(only(table, column, otherwise))


def band_name(table: pd.DataFrame, noun: str = "band") -> str:
    """How a figure calls the band of a table.

    Examples
    --------
    >>> band_name(pd.DataFrame({"prob": [0.9]})), band_name(pd.DataFrame({"n": [1]}))
    ('90 % band', 'band')
    """
    prob = only(table, "prob")
    return f"{float(prob) * 100:g} % {noun}" if prob else noun


def in_currency(quantity: str, rows: pd.DataFrame) -> str:
    """Name of a quantity with the currency of the table, where it is money.

    Examples
    --------
    >>> in_currency("revenue", pd.DataFrame({"currency": ["USD"]})), in_currency("purchases", pd.DataFrame())
    ('revenue, USD', 'purchases')
    """
    currency = "" if quantity == "purchases" else written(rows, "currency")
    return f"{quantity}, {currency}" if currency else quantity
