"""The shared look: colours that colour-blind readers tell apart, quiet axes, direct labels.

Nothing here changes matplotlib's settings: every artist is given its look, and only pyplot's ordinary
``subplots`` is called, when the caller brought no axes.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from clv_forecast.errors import DomainError
from clv_forecast.printable import figure_text, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    heights = apart([y for _, y, _, _ in labels], halves, bottom, top)
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


def apart(wanted: Sequence[float], halves: Sequence[float], bottom: float, top: float) -> list[float]:
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
