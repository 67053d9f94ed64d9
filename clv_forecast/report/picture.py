"""A figure as a picture in a file, in the format that the suffix names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clv_forecast.errors import DomainError
from clv_forecast.report.atomic_file import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_picture(
    draw: Callable[[Figure], object], path: str | os.PathLike[str], *, size: tuple[float, float] = (12.0, 8.2)
) -> Path:
    """Let ``draw`` draw on a figure, and write it; an earlier file is replaced when the new one is complete.

    Parameters
    ----------
    draw : callable
        Takes a matplotlib figure.
    path : path
        Its suffix names the format, such as ``.png`` or ``.svg``.
    size : (float, float)
        Width and height in inches.

    Returns
    -------
    Path

    Raises
    ------
    DomainError
        If the format is unknown.
    StoreError
        If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    target = Path(path)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    formats = FigureCanvasAgg(figure).get_supported_filetypes()
    kind = target.suffix.lower().removeprefix(".")
    if kind not in formats:
        raise DomainError(
            "The format of a figure is named by the suffix of its file.",
            value=target.name,
            remedy=f"Choose one of {', '.join(sorted(formats))}.",
        )
    draw(figure)
    with atomic_file(target) as aside:
        figure.savefig(aside, format=kind, dpi=150)
    return target
