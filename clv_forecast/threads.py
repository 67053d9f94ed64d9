"""Threads: one pool for the whole process, to which compiled loops are handed span by span.

The loops are compiled to release the interpreter's lock, and know nothing of threads themselves: so they run in any
thread of the caller's, in a forked child, and beside any threading library that numba or others may have loaded.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Final

from numba import config

# Enough that many threads share the work evenly, few enough that calling the loop costs nothing beside it.
_MOST_SPANS: Final = 64

_here = threading.local()


def number_of_threads() -> int:
    """How many threads work at once: the processors this process may use, or ``NUMBA_NUM_THREADS`` if that is set.

    Examples
    --------
    >>> number_of_threads() >= 1
    True
    """
    return int(config.NUMBA_NUM_THREADS)


def in_spans[*Arguments](
    kernel: Callable[[*Arguments, int, int], object], size: int, *arguments: *Arguments, smallest: int = 1
) -> None:
    """Call ``kernel(*arguments, start, stop)`` for spans that together cover ``range(size)``, on several threads.

    Parameters
    ----------
    kernel : callable
        Works on the elements ``start .. stop - 1`` and writes its results into ``arguments``, each element alone. To
        gain from threads it must release the interpreter's lock, as ``numba.njit(nogil=True)`` does.
    size : int
        Number of elements.
    *arguments
        Handed to the kernel.
    smallest : int
        Elements that are worth a span of their own; below twice as many, the caller does it all in one call.

    Raises
    ------
    Exception
        What the kernel raises; the spans not yet begun are then left undone.

    Notes
    -----
    The spans follow from ``size`` and ``smallest`` alone, so the results do not depend on the number of threads. The
    calling thread works too and waits only for spans already begun: it needs no free thread in the pool to finish. A
    kernel that comes here again goes through its spans by itself.

    Examples
    --------
    >>> squares = [0] * 1000
    >>> def fill(out, start, stop):
    ...     out[start:stop] = [i * i for i in range(start, stop)]
    >>> in_spans(fill, 1000, squares, smallest=100)
    >>> squares[-1]
    998001
    """
    count = max(1, min(_MOST_SPANS, size // smallest))
    spans = deque(pairwise(size * i // count for i in range(count + 1)))

    def work() -> None:
        nested, _here.working = getattr(_here, "working", False), True
        try:
            for start, stop in _taken(spans):
                kernel(*arguments, start, stop)
        finally:
            spans.clear()  # after an error nobody begins another
            _here.working = nested

    alone = count == 1 or getattr(_here, "working", False)
    helpers = [] if alone else _hand_out(work, min(number_of_threads(), count) - 1)
    try:
        work()
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()


def _taken(spans: deque[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans no other thread has taken, until there are none."""
    while True:
        try:
            span = spans.popleft()
        except IndexError:
            return
        yield span


def _hand_out(work: Callable[[], None], times: int) -> list[Future[None]]:
    """Give ``work`` to as many threads of the pool, each in a copy of the caller's context (NumPy's error state)."""
    given: list[Future[None]] = []
    for _ in range(times):
        try:
            given.append(_pool().submit(contextvars.copy_context().run, work))
        except RuntimeError:  # no thread to be had, or the interpreter is ending: the caller works alone
            break
    return given


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(1, number_of_threads() - 1), thread_name_prefix="clv_forecast")


if hasattr(os, "register_at_fork"):  # a forked child has the pool but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
