"""Work done side by side. Invariant: whoever waits for a task that has not started runs it itself, so that
nested use cannot deadlock, however few threads there are.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
_MAX_THREADS = 64
_MOSTLY_WAITING = 8.0  # times the processor time
_executor: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def _shared_executor() -> ThreadPoolExecutor:
    global _executor
    with _lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="gs3")
        return _executor


class Task(Generic[T]):
    """A call that a thread of the pool makes, or the first who waits for it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._future: Future[T] | None
        try:
            self._future = _shared_executor().submit(call)
        except RuntimeError:  # the interpreter is going down: no new threads
            self._future = None

    def done(self) -> bool:
        """Whether waiting would return at once."""
        return self._future is not None and self._future.done()

    def wait(self) -> T:
        """The call's result; raises what it raised."""
        if self._future is None or self._future.cancel():
            return self._call()
        return self._future.result()

    def cancel(self) -> None:
        """Do not start it; or wait for its end when it has begun, whatever that is."""
        if self._future is not None and not self._future.cancel():
            self._future.exception()


def run_all(calls: Iterable[Callable[[], None]], limit: int, few: int) -> None:
    """Make all calls, up to `limit` at a time, the caller's thread included. The first error stops all.

    It begins with `few` threads. A call that spent its time waiting for the network brings one more. An
    error, also an interrupt, is raised when the calls that are under way have ended.
    """
    if limit == 1:
        for call in calls:
            call()
        return
    todo: Iterator[Callable[[], None]] = iter(calls)
    lock = threading.Lock()
    failed: list[BaseException] = []

    def work() -> None:
        while not failed:
            wall, busy = time.perf_counter(), time.thread_time()
            try:
                with lock:
                    call = next(todo, None)
                if call is None:
                    return
                call()
            except BaseException as error:
                failed.append(error)
            waited = time.perf_counter() - wall > _MOSTLY_WAITING * (time.thread_time() - busy)
            if waited and started[0] < limit:
                started[0] += 1
                others.append(Task(work))

    def end() -> None:
        while others:
            task = others[-1]
            task.cancel()
            others.remove(task)  # only now: an interrupt while it is waited for must not lose it

    started = [min(few, limit)]  # two threads may both add one: the limit is no promise to the last thread
    others = [Task(work) for _ in range(started[0] - 1)]

    try:
        work()
        end()
    except BaseException as error:  # an interrupt, which comes to the main thread between two calls too
        failed.append(error)  # nobody begins another call
        end()
        raise
    if failed:
        raise failed[0]


def _after_fork() -> None:
    global _executor, _lock
    _executor, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
