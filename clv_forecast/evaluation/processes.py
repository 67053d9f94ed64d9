"""Origins side by side: each in a Python process of its own, started afresh.

The processes are not forked, because this one may hold threads, and they do not import the caller's script, so a
script without a main guard is not run again. A task and its result travel through a private temporary folder.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final

from clv_forecast.atomic_folder import scratch_folder
from clv_forecast.errors import FitError
from clv_forecast.evaluation.one_origin import OriginResult, Task, evaluate_origin
from clv_forecast.threads import number_of_threads

_CHILD: Final = """
import pickle, sys
folder, sys.path[:] = sys.argv[1], sys.argv[2:]
from clv_forecast.evaluation.one_origin import evaluate_origin
with open(folder + "/task", "rb") as file:
    task = pickle.load(file)
try:
    answer = (True, evaluate_origin(task))
except Exception as error:
    answer = (False, error)
with open(folder + "/answer.part", "wb") as file:
    pickle.dump(answer, file)
import os
os.replace(folder + "/answer.part", folder + "/answer")
"""
_LINES_SHOWN: Final = 5


def evaluate_all(tasks: Sequence[Task], *, workers: int, done: Callable[[int], object]) -> list[OriginResult]:
    """Evaluate every task, on ``workers`` processes (1: in this one); the numbers are the same.

    Parameters
    ----------
    tasks : sequence of Task
    workers : int
    done : callable
        Called with the number of tasks done so far.

    Returns
    -------
    list of OriginResult
        In the order of the tasks.

    Raises
    ------
    FitError
        If a process ends without an answer.
    Exception
        What an evaluation raises.
    """
    if workers <= 1 or len(tasks) == 1 or not sys.executable:
        results = []
        for task in tasks:
            results.append(evaluate_origin(task))
            done(len(results))
        return results
    running: list[subprocess.Popen[bytes]] = []
    threads = max(1, number_of_threads() // workers)
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="backtest") as pool:
        futures = [pool.submit(_elsewhere, task, running, threads) for task in tasks]
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                future.result()
                done(count)
        except BaseException:
            for future in futures:
                future.cancel()
            for process in running:
                process.kill()
            raise
        return [future.result() for future in futures]


def _elsewhere(task: Task, running: list[subprocess.Popen[bytes]], threads: int) -> OriginResult:
    """Evaluate a task in a process of its own."""
    with scratch_folder() as folder:
        (folder / "task").write_bytes(pickle.dumps(task))
        process = subprocess.Popen(  # noqa: S603 - this interpreter and the code above
            [sys.executable, "-c", _CHILD, str(folder), *(entry for entry in sys.path if isinstance(entry, str))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"NUMBA_NUM_THREADS": str(threads)},
        )
        running.append(process)
        told = process.communicate()[1]
        answer = folder / "answer"
        if not answer.exists():
            last = told.decode(errors="replace").strip().splitlines()[-_LINES_SHOWN:]
            raise FitError(
                f"The process of origin {task.calibration.as_of.date()} ended without an answer.",
                value=f"exit code {process.returncode}: {' / '.join(last) or 'nothing said'}",
                remedy="Try workers=1, which evaluates the origins one after the other in this process.",
            )
        fine, found = pickle.loads(answer.read_bytes())  # noqa: S301 - written by the process above
    if not fine:
        raise found
    result: OriginResult = found
    return result
