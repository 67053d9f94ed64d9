"""Progress of long work, through one small callback: a bar where somebody looks on, log lines in a scheduled run."""

from __future__ import annotations

import functools
import importlib.util
import logging
import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

_PATIENCE: Final = 1.0  # quick work shows no bar
_REDRAWN: Final = 0.25
_LOGGED: Final = 9.0  # so that ten seconds never pass without a line
_WIDEST: Final = 80

_log = logging.getLogger(__name__)


class Progress(Protocol):
    """Called as work goes on: ``progress("forecast", 3, 10)`` means step 3 of 10 of that stage is done."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take one report of progress."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing: ``progress=silent`` turns the bar off.

    Examples
    --------
    >>> silent("fit", 1, 2)
    """


def automatic(stage: str, done: int, total: int) -> None:
    """Report to whoever looks on: the default of every verb.

    In a notebook, and on a terminal (stderr), work of more than a second shows a bar, which vanishes with its end.
    Pipes, scheduled jobs and tests see nothing.

    Examples
    --------
    >>> automatic("fit", 1, 2)
    """
    if (reporting := _reporting) is not None:
        reporting(stage, done, total)


def shows_progress[**P, R](verb: Callable[P, R]) -> Callable[P, R]:
    """Let the bar of a verb that is called without ``progress`` end with the verb, whatever ends it.

    Examples
    --------
    >>> @shows_progress
    ... def count(*, progress: Progress = automatic) -> int:
    ...     progress("count", 1, 1)
    ...     return 1
    >>> count()
    1
    """

    @functools.wraps(verb)
    def shown(*args: P.args, **kwargs: P.kwargs) -> R:
        wanted = kwargs.get("progress", automatic) is automatic
        with _reported(_bar if wanted else lambda: None):
            if wanted:
                automatic(verb.__name__.replace("_", " "), 0, 0)
            return verb(*args, **kwargs)

    return shown


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """A progress bar over several verbs, on a terminal's stderr or in a notebook; nothing where neither looks on.

    Examples
    --------
    >>> with progress_bars() as progress:
    ...     progress("forecast", 1, 2)
    """
    with _reported(_bar) as progress:
        yield progress


@contextmanager
def bar_or_log() -> Iterator[Progress]:
    """As `progress_bars`; where nobody looks on, a line of the log at least every ten seconds instead.

    Examples
    --------
    >>> with bar_or_log() as progress:
    ...     progress("forecast", 1, 2)
    """
    with _reported(lambda: _bar() or _LogLines()) as progress:
        yield progress


def erase_bar() -> None:
    """Take the bar off the terminal's line, for other text to be written there; it is drawn again below it.

    Examples
    --------
    >>> erase_bar()
    """
    if isinstance(_reporting, _Reports) and isinstance(_reporting.view, _TextBar):
        _reporting.view.erase()


class _View(Protocol):
    """Where progress is seen; ``first`` and ``then`` are the seconds before it is shown, and between two times."""

    first: float
    then: float

    def show(self, stage: str, done: int, total: int, *, seconds: float) -> None: ...

    def erase(self) -> None: ...


class _Reports:
    """The latest report, shown from a thread of its own, so that a long step is seen to go on too."""

    def __init__(self, view: _View) -> None:
        self.view = view
        self._latest = ("at work", 0, 0, time.monotonic())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="clv_forecast progress", daemon=True)
        with suppress(RuntimeError):  # no further thread can be had: no bar
            self._thread.start()

    def __call__(self, stage: str, done: int, total: int) -> None:
        before, *_, since = self._latest
        self._latest = (stage, done, total, since if stage == before else time.monotonic())

    def end(self) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        with suppress(Exception):
            self.view.erase()

    def _watch(self) -> None:
        pause = self.view.first
        with suppress(Exception):  # a terminal or notebook that went away does not end the work
            while not self._over.wait(pause):
                stage, done, total, since = self._latest
                self.view.show(stage, done, total, seconds=time.monotonic() - since)
                pause = self.view.then


# What reports go to while a verb works, and None between verbs; one for the process, as it has one terminal.
_reporting: Progress | None = None


@contextmanager
def _reported(view_of: Callable[[], _View | None]) -> Iterator[Progress]:
    """Send reports to a view until the block ends; within another such block, to that one's."""
    global _reporting
    if _reporting is not None or threading.current_thread() is not threading.main_thread():
        yield automatic
        return
    view = view_of()
    reports = silent if view is None else _Reports(view)
    _reporting = reports
    try:
        yield automatic
    finally:
        _reporting = None
        if isinstance(reports, _Reports):
            reports.end()


def _bar() -> _View | None:
    """The bar that suits where this process is looked at; None where nobody does."""
    if multiprocessing.parent_process() is not None:
        return None
    if _in_notebook():
        return _WidgetBar() if importlib.util.find_spec("ipywidgets") is not None else _TextBar()
    with suppress(ValueError):  # stderr was closed
        if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            return _TextBar()
    return None


def _in_notebook() -> bool:
    """Whether an IPython kernel runs this code; IPython is not imported to know it."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class _TextBar:
    """One line of stderr, written over and over."""

    first, then = _PATIENCE, _REDRAWN

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._width = 0

    def show(self, stage: str, done: int, total: int, *, seconds: float) -> None:
        filled = round(20 * min(done / total, 1.0)) if total > 0 else 0
        line = f" {stage:<18} [{'#' * filled}{'-' * (20 - filled)}] {_share(done, total):>4}  {_clock(seconds)}"
        line = line[: min(shutil.get_terminal_size().columns - 1, _WIDEST)]
        with self._lock:
            self._write(f"\r{line:<{self._width}}\r")
            self._width = len(line)

    def erase(self) -> None:
        with self._lock:
            if self._width:
                self._write(f"\r{' ' * self._width}\r")
                self._width = 0

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


class _WidgetBar:
    """A bar of ipywidgets in the cell's output, which it leaves again."""

    first, then = _PATIENCE, _REDRAWN

    def __init__(self) -> None:
        self._box: Any = None
        self._place: Any = None

    def show(self, stage: str, done: int, total: int, *, seconds: float) -> None:
        if self._box is None:
            self._make()
        name, bar, told = self._box.children
        name.value, bar.max, bar.value = stage, max(total, 1), done
        told.value = f"{_share(done, total)}  {_clock(seconds)}"

    def erase(self) -> None:
        if self._box is not None:
            self._box.close()
            self._place.update({"text/plain": ""}, raw=True)

    def _make(self) -> None:
        import ipywidgets  # type: ignore[import-untyped]
        from IPython.display import display

        self._box = ipywidgets.HBox([ipywidgets.Label(), ipywidgets.IntProgress(), ipywidgets.Label()])
        self._place = display(self._box, display_id=True)  # type: ignore[no-untyped-call]


class _LogLines:
    """A line of the log now and then."""

    first = then = _LOGGED

    def show(self, stage: str, done: int, total: int, *, seconds: float) -> None:
        _log.info("%s%s (%s)", stage, f": {done:,} of {total:,}" if total > 0 else "", _clock(seconds))

    def erase(self) -> None:
        pass


def _share(done: int, total: int) -> str:
    """Such as 40%; nothing where the whole is not known."""
    return f"{done / total:.0%}" if total > 0 else ""


def _clock(seconds: float) -> str:
    """Such as 12 s, or 3:05 min."""
    return f"{seconds:.0f} s" if seconds < 60.0 else f"{int(seconds) // 60}:{int(seconds) % 60:02} min"
