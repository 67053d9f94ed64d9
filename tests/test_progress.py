"""Progress: bars that show by themselves where somebody looks on, lines of a log where nobody does."""

from __future__ import annotations

import inspect
import io
import json
import logging
import sys
import threading
import types
from collections.abc import Iterator

import pytest

import clv_forecast as clv
from clv_forecast import progress as p
from clv_forecast.cli_output import LogFormat, log_to_stderr
from clv_forecast.progress import automatic, bar_or_log, progress_bars, shows_progress, silent


class Terminal(io.StringIO):
    """A stderr that somebody looks at, and that tells when something was drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        written = super().write(text)
        if "count" in text:
            self.drawn.set()
        return written

    def lines(self) -> list[str]:
        """What stood on the line, one after the other."""
        return [one.rstrip() for one in self.getvalue().split("\r")]


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    yield logging.getLogger("clv_forecast")
    log_to_stderr(LogFormat.LINES)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setattr(p._TextBar, "first", 0.001)
    monkeypatch.setattr(p._TextBar, "then", 0.001)
    monkeypatch.setattr(p, "_in_notebook", lambda: False)
    monkeypatch.setenv("TERM", "xterm")
    seen = Terminal()
    monkeypatch.setattr(p, "sys", types.SimpleNamespace(stderr=seen, modules=sys.modules))
    return seen


@shows_progress
def count(waits_for: threading.Event | None = None, *, fails: bool = False, progress: p.Progress = automatic) -> int:
    progress("count", 1, 4)
    if waits_for is not None:
        assert waits_for.wait(30)
    if fails:
        raise ValueError
    return 4


def test_a_terminal_sees_a_bar_that_vanishes_also_when_an_error_ends_it(terminal: Terminal) -> None:
    assert count(terminal.drawn) == 4
    assert any("count" in one and "[#####---------------]  25%  0 s" in one for one in terminal.lines())
    assert terminal.lines()[-2:] == ["", ""]
    terminal.drawn.clear()
    with pytest.raises(ValueError):
        count(terminal.drawn, fails=True)
    assert terminal.lines()[-2:] == ["", ""]
    assert not [one for one in threading.enumerate() if one.name == "clv_forecast progress"]


def test_silent_quick_and_unseen_work_draws_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    @shows_progress
    def outer(*, progress: p.Progress = automatic) -> int:
        return count()

    monkeypatch.setattr(p._TextBar, "first", 60.0)
    outer()
    monkeypatch.setattr(p._TextBar, "first", 0.0)
    outer(progress=silent)  # also what a verb calls without handing it on
    monkeypatch.setattr(terminal, "isatty", lambda: False)
    count()
    assert terminal.getvalue() == ""


def test_other_text_takes_the_place_of_the_bar(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, log: logging.Logger
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)
    log_to_stderr(LogFormat.LINES)
    with progress_bars() as progress:
        count(terminal.drawn, progress=progress)
        log.warning("Look.")
    (line,) = [one for one in terminal.lines() if "Look." in one]
    assert line.startswith("20") and line.endswith("WARNING Look.")
    assert terminal.lines()[terminal.lines().index(line) - 1] == ""


def test_a_notebook_sees_a_widget_or_text_and_no_warning(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert isinstance(p._bar(), p._WidgetBar)
    monkeypatch.setattr(p.importlib.util, "find_spec", lambda name: None)
    assert isinstance(p._bar(), p._TextBar)
    assert not recwarn.list


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("form", LogFormat)
def test_a_scheduled_run_logs_how_far_it_is(
    form: LogFormat, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = threading.Event()
    lines = p._LogLines.show

    def show(self: p._LogLines, stage: str, done: int, total: int, *, seconds: float) -> None:
        if stage == "backtest" and not shown.is_set():
            lines(self, stage, done, total, seconds=seconds)
            shown.set()

    assert p._LogLines.first <= 9.0 and p._LogLines.then <= 9.0
    monkeypatch.setattr(p._LogLines, "first", 0.001)
    monkeypatch.setattr(p._LogLines, "then", 0.001)
    monkeypatch.setattr(p._LogLines, "show", show)
    log_to_stderr(form)
    with bar_or_log() as progress:
        progress("backtest", 2, 6)
        assert shown.wait(30)
    told = capsys.readouterr().err
    if form is LogFormat.JSON:
        assert json.loads(told)["message"] == "backtest: 2 of 6 (0 s)"
    else:
        assert told == "" if form is LogFormat.OFF else told.endswith("INFO backtest: 2 of 6 (0 s)\n")


def test_every_verb_that_reports_shows_it_by_itself() -> None:
    verbs = [getattr(clv, name) for name in clv.__all__] + [clv.Forecast.cash_flow, clv.Forecast.value_between]
    reporting = [one for one in verbs if inspect.isfunction(one) and "progress" in inspect.signature(one).parameters]
    assert {"fit", "forecast", "potential", "rank", "backtest", "cohorts", "allowable_spend"} <= {
        one.__name__ for one in reporting
    }
    for verb in reporting:
        assert inspect.signature(verb).parameters["progress"].default is automatic, verb
        assert hasattr(verb, "__wrapped__") or inspect.isgeneratorfunction(verb), verb
