"""What the command line says on stderr: lines, or one JSON object a line; nothing in it steers a terminal."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from clv_forecast.printable import printable, printable_lines, without_logins
from clv_forecast.progress import erase_bar

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
