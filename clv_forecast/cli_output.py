"""What the command line says on stderr: lines, or one JSON object a line; nothing in it steers a terminal.

Finished tables as text for a terminal.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from clv_forecast.printable import printable, printable_lines, printable_table, without_logins
from clv_forecast.progress import erase_bar
from clv_forecast.report.headline import headline_of
from clv_forecast.report.page_text import account_table

if TYPE_CHECKING:
    from clv_forecast.demo import Demo, DemoRun


def demo_text(demo: Demo) -> str:
    """Describe what the main job made: the audit, the parameters, the totals, what may be spent, the files."""
    cdnow = demo.cdnow
    parts = [
        "THE LOG (CDNOW)",
        str(cdnow.history.audit),
        "THE MODEL",
        str(cdnow.model.report),
        table_text(cdnow.model.parameters[_PARAMETERS], 4),
        "THE FORECAST",
        str(cdnow.report.forecast),
        "WHAT MAY BE SPENT",
        str(cdnow.report.spends[0]),
        "A NEW CUSTOMER",
        table_text(cdnow.new_customer[_NEW_CUSTOMER], 2),
        f"THE TEN MOST VALUABLE CUSTOMERS ({cdnow.report.forecast.horizons.labels[-1]})",
        table_text(cdnow.report.forecast.top(10)[_TOP], 2),
        *(part for run in (cdnow, demo.b2b) for part in _run_text(run)),
    ]
    return "\n\n".join(parts)


def _run_text(run: DemoRun) -> list[str]:
    """First line of a run's page, and its files."""
    headline = headline_of(run.report, account_table(run.report))
    return [
        f"FILES: {printable(run.report.title)}{' (SIMULATED)' if run.report.simulated else ''}",
        "\n".join(["  " + headline.line, *(f"  {printable(path)}" for path in _files(run.folder))]),
    ]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


_PARAMETERS = ["parameter", "estimate", "standard_error", "lower", "upper"]
_NEW_CUSTOMER = [
    "horizon",
    "expected_purchases",
    "value",
    "value_lower",
    "value_upper",
    "value_with_first",
    "value_with_first_lower",
    "value_with_first_upper",
]
_TOP = [
    "customer_id",
    "p_alive",
    "expected_purchases",
    "expected_spend",
    "revenue",
    "value",
    "value_lower",
    "value_upper",
]


def table_text(table: pd.DataFrame, digits: int) -> str:
    """Render a table with thousands separators and ``digits`` decimals; its text is `printable`."""
    shown = printable_table(table)
    return shown.to_string(index=False, float_format=lambda number: f"{number:,.{digits}f}", na_rep="-")


_OWN: Final = "clv_forecast"


class LogFormat(StrEnum):
    """How a log reads."""

    LINES = "lines"
    JSON = "json"
    OFF = "off"


class _Lines(logging.Formatter):
    """Day, time, level and message on one line, whatever the message holds."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return printable(without_logins(super().format(record)))


class _Json(logging.Formatter):
    """One JSON object a line: time, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        message = printable(without_logins(record.getMessage()))
        return json.dumps({"time": time, "level": record.levelname, "logger": record.name, "message": message})


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever stderr is at the time."""

    @property
    def stream(self):  # type: ignore[no-untyped-def]
        return sys.stderr

    @stream.setter
    def stream(self, value: object) -> None:
        pass

    def emit(self, record: logging.LogRecord) -> None:
        erase_bar()
        super().emit(record)


def log_to_stderr(form: LogFormat) -> None:
    """Let the package's log, and what Python warns of, go to stderr in a format, or nowhere."""
    logger = logging.getLogger(_OWN)
    for handler in [one for one in logger.handlers if isinstance(one, _Stderr)]:
        logger.removeHandler(handler)
    logger.setLevel(logging.CRITICAL + 1 if form is LogFormat.OFF else logging.INFO)
    logging.lastResort = None  # what other libraries log
    warnings.showwarning = _log_warning
    sys.unraisablehook = _log_unraisable
    if form is LogFormat.OFF:
        return
    handler = _Stderr()
    handler.setFormatter(_Json() if form is LogFormat.JSON else _Lines())
    logger.addHandler(handler)
    others = _Stderr()
    others.setLevel(logging.WARNING)
    others.setFormatter(handler.formatter)
    logging.lastResort = others


def say_error(message: str, arguments: Sequence[str]) -> None:
    """Say why a command failed: one object under ``--log json``, else lines that begin with ``Error``.

    Parameters
    ----------
    message : str
    arguments : sequence of str
        Of the command line, which may have failed before its options were read.
    """
    if sys.stderr is None:
        return
    if _asks_for_json(arguments):
        record = logging.LogRecord(_OWN, logging.ERROR, "", 0, " ".join(message.split("\n")), None, None)
        text = _Json().format(record)
    else:
        text = f"Error: {printable_lines(without_logins(message))}"
    with suppress(OSError, ValueError):  # a full or closed stderr must not hide the exit code
        print(text, file=sys.stderr)


def _asks_for_json(arguments: Sequence[str]) -> bool:
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return any(one == "--log=json" or (one == "--log" and after == "json") for one, after in pairs)


def _log_unraisable(caught: Any) -> None:
    """What went wrong while something was thrown away: it stops nothing, and the error that led to it is told."""
    logging.getLogger(_OWN).debug("%s: %s", getattr(caught.exc_type, "__name__", "Error"), caught.exc_value)


def _log_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    logging.getLogger(_OWN).warning("%s: %s", category.__name__, message)
