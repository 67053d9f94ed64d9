"""Spans and threads: the work is done once and whole, in any thread, in a fork, under any threading layer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_forecast import threads
from clv_forecast.threads import in_spans


@pytest.fixture(params=[1, 2, 5])
def number(request, monkeypatch):
    """So many threads, in a pool of their own."""
    monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", request.param)
    threads._pool.cache_clear()
    yield request.param
    threads._pool.cache_clear()


def count_up(out, start, stop):
    for i in range(start, stop):
        out[i] += 1


@given(size=st.integers(0, 500), smallest=st.integers(1, 100))
def test_every_element_once(size, smallest):
    out, spans = np.zeros(size), []
    in_spans(lambda *span: spans.append(span), size, smallest=smallest)
    in_spans(count_up, size, out, smallest=smallest)
    assert (out == 1).all()
    spans.sort()
    assert spans[0][0] == 0
    assert spans[-1][1] == size
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert len(spans) == 1 or min(stop - start for start, stop in spans) >= smallest


def spans_taken(size):
    spans = []
    in_spans(lambda *span: spans.append(span), size, smallest=3)
    return sorted(spans)


def test_the_spans_do_not_depend_on_the_threads(number):
    assert spans_taken(1000) == [(1000 * i // 64, 1000 * (i + 1) // 64) for i in range(64)]


def test_several_threads_work_at_once(monkeypatch):
    monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", 2)
    threads._pool.cache_clear()
    both = threading.Barrier(2, timeout=30)
    in_spans(lambda start, stop: both.wait(), 2)
    threads._pool.cache_clear()


def test_a_kernel_may_come_again(number):
    out = np.zeros((50, 50))

    def row(start, stop):
        for i in range(start, stop):
            in_spans(count_up, 50, out[i])

    in_spans(row, 50)
    assert (out == 1).all()


def test_many_callers_at_once(number):
    outs = [np.zeros(1000) for _ in range(20)]
    with ThreadPoolExecutor(8) as callers:
        list(callers.map(lambda out: [in_spans(count_up, 1000, out) for _ in range(5)], outs))
    assert all((out == 5).all() for out in outs)


@pytest.mark.parametrize("error", [IndexError, StopIteration, KeyboardInterrupt])
@pytest.mark.parametrize("at", [0, 63])
def test_an_error_comes_out(number, error, at):
    def fail(start, stop):
        if start <= at < stop:
            raise error

    with pytest.raises(error):
        in_spans(fail, 64)
    assert len(spans_taken(1000)) == 64


def test_the_error_state_of_numpy_is_the_callers(number):
    def divide(start, stop):
        np.ones(2) / np.zeros(2)

    with np.errstate(divide="ignore"):
        in_spans(divide, 64)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        in_spans(divide, 64)


def test_without_a_free_thread_the_caller_does_it_all(monkeypatch):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", 2)
    monkeypatch.setattr(threads, "_pool", lambda: pool)
    assert len(spans_taken(1000)) == 64


SETUP = """
import hashlib, os, sys, warnings
from concurrent.futures import ThreadPoolExecutor
import clv_forecast as clv
log = clv.load_cdnow("1/10")
log = log[log["customer_id"].isin(log["customer_id"].unique()[::10])]
history = clv.purchase_history(log, as_of="1997-09-30", unit="week")
def digest(name):
    model = clv.fit(history, purchases=name, draws=100, compare=False)
    fc = clv.forecast(model, history, draws=100, cost_to_serve=1.0)
    text = fc.customers.to_csv() + fc.totals.to_csv()
    return hashlib.sha256(text.encode()).hexdigest()
"""
BOTH = "print(digest('bg_nbd'), digest('pareto_nbd'))"
IN_A_FORK = """
before = digest("bg_nbd")
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    ok = False
    try:
        ok = digest("bg_nbd") == before
    finally:
        os._exit(0 if ok else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), digest("bg_nbd") == before)
"""
CONCURRENTLY = """
alone = [digest(name) for name in ("bg_nbd", "pareto_nbd")]
with ThreadPoolExecutor(2) as callers:
    print(*alone, list(callers.map(digest, ("bg_nbd", "pareto_nbd"))) == alone)
"""


def run(code, **environment):
    done = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", SETUP + code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.fixture(scope="module")
def with_two_threads():
    """Digests of both forecasts, and whether they were the same at once: one process, as starting it takes longest."""
    return run(CONCURRENTLY, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER="workqueue")


def test_a_forecast_is_the_same_on_any_number_of_threads_and_under_any_layer(with_two_threads):
    one = run(BOTH, NUMBA_NUM_THREADS="1", NUMBA_THREADING_LAYER="default")
    assert len(set(one)) == 2
    assert with_two_threads[:2] == one


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forecast_in_a_forked_child():
    assert run(IN_A_FORK, NUMBA_NUM_THREADS="2") == ["0", "True"]


def test_two_forecasts_at_once(with_two_threads):
    assert with_two_threads[2] == "True"
