"""Amounts of money as a figure writes them: short, and with as many digits as tell neighbours apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

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
