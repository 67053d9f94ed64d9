"""The log of the command line: lines for people, or one JSON object a line, on stderr."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

_OWN: Final = "clv_forecast"


class LogFormat(StrEnum):
    """How a log reads."""

    LINES = "lines"
    JSON = "json"
    OFF = "off"


class _Json(logging.Formatter):
    """One JSON object a line: time, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = {"time": time, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        return json.dumps(told)


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever stderr is at the time."""

    @property
    def stream(self):  # type: ignore[no-untyped-def]
        return sys.stderr

    @stream.setter
    def stream(self, value: object) -> None:
        pass


def log_to_stderr(form: LogFormat) -> None:
    """Let the package's log go to stderr in a format, or nowhere."""
    logger = logging.getLogger(_OWN)
    for handler in [one for one in logger.handlers if isinstance(one, _Stderr)]:
        logger.removeHandler(handler)
    logger.setLevel(logging.CRITICAL + 1 if form is LogFormat.OFF else logging.INFO)
    if form is LogFormat.OFF:
        return
    handler = _Stderr()
    lines = logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    handler.setFormatter(_Json() if form is LogFormat.JSON else lines)
    logger.addHandler(handler)
