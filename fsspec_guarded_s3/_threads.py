"""Work done side by side. Invariant: whoever waits for a task that has not started runs it itself, so that
nested use cannot deadlock, however few threads there are. What ends calls ends those within them too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
_MAX_THREADS = 64
_MOSTLY_WAITING = 8.0  # times the processor time
_executor: ThreadPoolExecutor | None = None
_lock = threading.Lock()


_thread = threading.local()  # .run: the _Run whose call this thread makes


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
    _Run(calls, limit, few).run()


def stop_if_over() -> None:
    """Raises CancelledError in a call of a `run_all` that an error has stopped, that or one around it."""
    run: _Run | None = getattr(_thread, "run", None)
    if run is not None and run.over:
        raise CancelledError("another call failed, or was interrupted")


class _Run:
    """Calls that are made side by side until there are no more, one fails, or a run around them is over."""

    def __init__(self, calls: Iterable[Callable[[], None]], limit: int, few: int) -> None:
        self._todo: Iterator[Callable[[], None]] = iter(calls)
        self._limit = limit  # two threads may both add one: it is no promise to the last thread
        self._started = min(few, limit)
        self._lock = threading.Lock()
        self._failed: list[BaseException] = []
        self._around: _Run | None = getattr(_thread, "run", None)
        self._others: list[Task[None]] = []

    @property
    def over(self) -> bool:
        """Whether no call is begun any more because of an error."""
        return bool(self._failed) or (self._around is not None and self._around.over)

    def run(self) -> None:
        self._others += [Task(self._work) for _ in range(self._started - 1)]
        try:
            self._work()
            self._end()
        except BaseException as error:  # an interrupt, which comes to the main thread between two calls too
            self._failed.append(error)
            self._end()
            raise
        if self._failed:
            raise self._failed[0]
        stop_if_over()

    def _work(self) -> None:
        before, _thread.run = getattr(_thread, "run", None), self
        try:
            while not self.over and self._next():
                pass
        finally:
            _thread.run = before

    def _next(self) -> bool:
        """Make a call; False when there is none left."""
        wall, busy = time.perf_counter(), time.thread_time()
        try:
            with self._lock:
                call = next(self._todo, None)
            if call is None:
                return False
            call()
        except BaseException as error:
            self._failed.append(error)
        waited = time.perf_counter() - wall > _MOSTLY_WAITING * (time.thread_time() - busy)
        if waited and self._started < self._limit:
            self._started += 1
            self._others.append(Task(self._work))
        return True

    def _end(self) -> None:
        while self._others:
            task = self._others[-1]
            task.cancel()
            self._others.remove(task)  # only now: an interrupt while it is waited for must not lose it


def _after_fork() -> None:
    global _executor, _lock
    _executor, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
