"""A run in which each write fails once, and what a reader finds after each: a program, so that it can fork safely.

``python -m tests.runs.reforecasting.failing_writes FOLDER [ALIKE]``: a run is made up to the moment at which it begins
to write its folder; from there it is carried to its end again and again, each time with another operation on a file
failing. What C++ writes (Parquet) is not seen from here. Of operations alike (in one folder, on one kind of file) the
first ALIKE fail, by default all. It prints one JSON object.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import sys
import traceback
import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from clv_forecast.errors import ClvForecastError, StoreError
from clv_forecast.files import atomic_file
from clv_forecast.report import run_folder
from clv_forecast.runs.reforecasting.one_run import OneRun
from clv_forecast.runs.reforecasting.reforecast import reforecast
from clv_forecast.runs.store import lock
from clv_forecast.runs.store import store as store_module
from clv_forecast.runs.store.store import open_store
from tests.runs.reforecasting.made_runs import run_days

RANDOM = re.compile(r"[0-9a-f]{8,}")
ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS)
WRITES = {"os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate"}
FAILED, UNHARMED, BROKEN = 3, 4, 5
WHOLE = {"ranking": "draws = 100", "bases": '["ceiling"]'}


class Injection:
    """Lets the n-th operation that writes fail."""

    def __init__(self, alike: int) -> None:
        self.number, self.seen, self.alike = 0, 0, alike
        self.kinds = Counter[tuple[str, ...]]()
        sys.addaudithook(self.hook)

    @property
    def done(self) -> bool:
        return 0 < self.number <= self.seen

    def hook(self, event: str, given: tuple[object, ...]) -> None:
        if self.number and (event in WRITES or (event == "open" and _writes(given))):
            path = Path(os.fsdecode(given[0])) if isinstance(given[0], (str, bytes, os.PathLike)) else Path()
            kind = (event, RANDOM.sub("", path.parent.name), path.suffix)
            self.kinds[kind] += 1
            self.seen += self.kinds[kind] <= self.alike
            if self.kinds[kind] > self.alike:
                return
            if self.seen == self.number:
                code = ERRORS[self.number % len(ERRORS)]
                raise OSError(code, os.strerror(code))


def _writes(given: tuple[object, ...]) -> bool:
    return isinstance(given[2], int) and bool(given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


class Trial:
    """A run that is forked whenever it begins to write: each child goes on with something failing."""

    def __init__(self, folder: Path, alike: int) -> None:
        self.folder, self.parent = folder, os.getpid()
        self.injection, self.found, self.write = Injection(alike), Counter[str](), OneRun._write

    def drawn_once(self, name: str) -> None:
        """Let page and workbook be made once: it is their files that fail, not their content."""
        real, contents = getattr(run_folder, name), dict[str, bytes]()

        def write(report: Any, path: Path) -> Path:
            if name not in contents:
                contents[name] = real(report, path).read_bytes()
            with atomic_file(path) as aside:
                aside.write_bytes(contents[name])
            return path

        setattr(run_folder, name, write)

    def run(self) -> None:
        """Make the run; a child ends here."""
        for name in ("write_page", "write_workbook"):
            self.drawn_once(name)
        run_folder.late_categories = cache(run_folder.late_categories)
        OneRun._write = lambda run, *given, **named: self.each(run, *given, **named)  # type: ignore[method-assign]
        code = BROKEN
        try:
            reforecast(self.folder / "clv.toml", as_of="1997-12-21")
            code = 0 if self.injection.number and not self.injection.done else UNHARMED
        except StoreError as error:
            code = FAILED if "Check" in str(error) or "Free" in str(error) else BROKEN
            print(error, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        if os.getpid() != self.parent:
            os._exit(code)
        assert code == UNHARMED, "the run that nothing disturbed failed"

    def each(self, run: OneRun, *given: Any, **named: Any) -> Path:
        shutil.rmtree(self.write(run, *given, **named))  # draws page and workbook
        number = 0
        while "writes" not in self.found:
            number += 1
            if self.forked(run):
                self.injection.number = number
                return self.write(run, *given, **named)
            if self.code == 0:
                self.found["writes"] = number - 1
            else:
                self.count()
        return self.write(run, *given, **named)

    def forked(self, run: OneRun) -> bool:
        """Whether this is the child; the parent goes on when the child has ended, and cleans up after it."""
        session, kept = store_module._sessions[run.store.folder], os.dup(lock._held[run.store.folder])
        pid = os.fork()
        if not pid:
            lock._held[run.store.folder] = kept  # it goes on where its parent stands
            return True
        os.close(kept)
        self.code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for left in session.iterdir():
            if left.is_symlink() or left.is_file():
                left.unlink()
            elif left.name not in ("reading", "trial"):
                shutil.rmtree(left)
        return False

    def count(self) -> None:
        self.found[{FAILED: "failed", UNHARMED: "unharmed"}.get(self.code, "broken")] += 1
        if self.code not in (FAILED, UNHARMED):
            print("exit code", self.code, "of", self.found.total(), file=sys.stderr)
        try:
            store = open_store(self.folder / "runs", create=False)
            assert not [one.problem for one in store.entries() if one.status == "damaged"]
            store.find("latest").check(every_byte=True)
        except (AssertionError, ClvForecastError):
            traceback.print_exc()
            self.found["broken"] += 1


def main(folder: Path, alike: str = "1000") -> None:
    """Carry the run to its end once for each write, and print what was counted."""
    logging.disable()
    warnings.simplefilter("ignore")
    os.fsync = lambda _: None
    run_days(folder, ("1997-12-14",), **WHOLE)
    trial = Trial(folder, int(alike))
    trial.run()
    print(json.dumps(trial.found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
