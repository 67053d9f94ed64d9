"""Scheduled runs killed at random moments: what a reader finds after each, and whether the next run succeeds.

``python benchmarks/killed_runs.py --kills 200`` starts a run of a small base again and again, ends it with SIGKILL
after a random time, and looks at the store as a reader would: which run ``latest`` points at, whether every table of it
can be read, and whether every byte is the one that was written. After every fifth kill a run is let go to its end, on
the next day of the schedule. As a negative control, a table of the current run is cut short in the end: a reader must
notice.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd

import clv_forecast as clv

FIRST = pd.Timestamp("1997-08-31")  # forty weeks on, the log has not ended
CUSTOMERS = 400
CONFIGURATION = """
[[sources]]
name = "shop"
path = "orders.csv"
[log]
observed_from = "1997-01-01"
[model]
draws = 100
[forecast]
horizons = ["12 months"]
draws = 100
[backtest]
enabled = false
[ranking]
draws = 100
top_k = 20
[cohorts]
enabled = false
[gates]
total_move = false
[outputs.database]
url = "duckdb://results.duckdb"
"""


def killed(folder: Path, kills: int, *, seed: int = 1) -> Counter[str]:
    """Kill runs, and count what was seen: killed, done, broken (what a reader must never find), failed (a run did)."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    in_child(lambda: prepare(folder))
    begin = time.perf_counter()
    seen = Counter({"failed": int(in_child(lambda: run(folder, 0)) != 0), "broken": 0, "next failed": 0})
    usual = time.perf_counter() - begin
    for kill in range(1, kills + 1):
        week = 1 + (kill - 1) // 5
        pid = forked(lambda week=week: run(folder, week))
        time.sleep(chance.uniform(0.0, usual))
        os.kill(pid, signal.SIGKILL)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        seen["killed" if ended == -signal.SIGKILL else "done" if ended == 0 else "failed"] += 1
        seen["broken"] += int(in_child(lambda: check(folder)) != 0)
        if kill % 5 == 0 or kill == kills:
            failed = in_child(lambda week=week: run(folder, week, to_the_end=True)) != 0
            seen["next failed" if failed else "next succeeded"] += 1
            seen["broken"] += int(in_child(lambda: check(folder)) != 0)
    table = folder / "runs" / "latest" / "forecast.parquet"
    os.truncate(table, table.stat().st_size // 2)
    seen["control noticed"] += int(in_child(lambda: check(folder)) != 0)
    return seen


def prepare(folder: Path) -> None:
    """A small base, and its configuration."""
    log = clv.load_cdnow("1/10")
    log[log["customer_id"] < CUSTOMERS * 10].to_csv(folder / "orders.csv", index=False)
    (folder / "clv.toml").write_text(CONFIGURATION, encoding="utf-8")


def run(folder: Path, week: int, *, to_the_end: bool = False) -> None:
    """The scheduled run of a week."""
    made = clv.reforecast(folder / "clv.toml", as_of=FIRST + pd.Timedelta(weeks=week))
    if to_the_end:
        assert made.published and not made.held, made


def check(folder: Path) -> None:
    """What must hold at any moment, for a reader who takes no lock."""
    store = clv.open_store(folder / "runs", create=False)
    current = store.current()
    assert current is not None, "nothing is published"
    current.check(every_byte=True)
    latest = clv.read_run(folder / "runs" / "latest")
    for name in latest.tables:
        latest.table(name)
    latest.model()
    assert [entry.problem for entry in store.entries() if entry.status == "damaged"] == []


def forked(work: Callable[[], object]) -> int:
    """Start ``work`` in a child, which shares what this process has imported; 0 is its good exit code."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def in_child(work: Callable[[], object]) -> int:
    """Exit code of ``work`` in a child: this process stays without threads, so that it can fork again."""
    return os.waitstatus_to_exitcode(os.waitpid(forked(work), 0)[1])


def main() -> None:
    """Kill and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    given = parser.parse_args()
    begin = time.perf_counter()
    logging.getLogger("clv_forecast").setLevel(logging.ERROR)  # what killed runs left behind is told of each time
    with tempfile.TemporaryDirectory() as folder:
        seen = killed(Path(folder), given.kills)
    print(f"{time.perf_counter() - begin:.0f} s")
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
