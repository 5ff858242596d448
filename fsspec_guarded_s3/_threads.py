"""Work done side by side. Invariant: whoever waits for a task that has not started runs it itself, so that
nested use cannot deadlock, however few threads there are. What ends calls ends those within them too.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")
_MAX_THREADS = 64
_WINDOW = 0.02  # seconds after which a thread looks whether another one would help
_HALF = 2.0  # of a processor, which the threads of a run may use together and still be said to wait
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


Question = Callable[[], Callable[[], None]]  # asks, and returns the function that takes the answer


def run_all(calls: Iterable[Callable[[], None]], limit: int, few: int) -> None:
    """Make all calls, up to `limit` at a time, the caller's thread included. The first error stops all.

    It begins with `few` threads. A thread that spends its time waiting for the network brings one more. An
    error, also an interrupt, is raised when the calls that are under way have ended.
    """
    ask_all((partial(_itself, call) for call in calls), limit, few, 1)


def ask_all(questions: Iterable[Question], limit: int, few: int, ahead: int) -> None:
    """Ask all questions and take their answers, up to `limit` at a time. All else is as in `run_all`.

    The caller's thread is up to `ahead` questions before the answer that it takes. Other threads ask one at a
    time.
    """
    threads = limit - ahead + 1
    _Run(questions, threads, min(few, threads), ahead).run()


def _itself(call: Callable[[], None]) -> Callable[[], None]:
    return call


def stop_if_over() -> None:
    """Raises CancelledError in a call of a `run_all` that an error has stopped, that or one around it."""
    run: _Run | None = getattr(_thread, "run", None)
    if run is not None and run.over:
        raise CancelledError("another call failed, or was interrupted")


class _Run:
    """Work that is done side by side until there is no more, some fails, or a run around it is over."""

    def __init__(self, questions: Iterable[Question], limit: int, few: int, ahead: int) -> None:
        self._todo: Iterator[Question] = iter(questions)
        self._limit = limit  # two threads may both add one: it is no promise to the last thread
        self._started = few
        self._ahead = ahead
        self._lock = threading.Lock()
        self._failed: list[BaseException] = []
        self._around: _Run | None = getattr(_thread, "run", None)
        self._others: list[Task[None]] = []

    @property
    def over(self) -> bool:
        """Whether nothing is begun any more because of an error."""
        return bool(self._failed) or (self._around is not None and self._around.over)

    def run(self) -> None:
        self._others += [Task(partial(self._work, 1)) for _ in range(self._started - 1)]
        try:
            self._work(self._ahead)
            self._end()
        except BaseException as error:  # an interrupt, which comes to the main thread between two calls too
            self._failed.append(error)
            self._end()
            raise
        if self._failed:
            raise self._failed[0]
        stop_if_over()

    def _work(self, ahead: int) -> None:
        before, _thread.run = getattr(_thread, "run", None), self
        asked: deque[Callable[[], None]] = deque()
        began, used = time.perf_counter(), time.thread_time()
        try:
            while not self.over and self._next(asked, ahead):
                wall = time.perf_counter() - began
                if wall > _WINDOW:
                    if wall > _HALF * self._started * (time.thread_time() - used):
                        self._add()
                    began, used = time.perf_counter(), time.thread_time()
        finally:
            _thread.run = before
            asked.clear()  # what nobody takes is given up now, not when the error is forgotten

    def _next(self, asked: deque[Callable[[], None]], ahead: int) -> bool:
        """Ask, and take an answer; False when there is nothing left."""
        try:
            while len(asked) < ahead and (question := self._question()) is not None:
                asked.append(question())
            if not asked:
                return False
            asked.popleft()()
        except BaseException as error:
            self._failed.append(error)
        return True

    def _add(self) -> None:
        if self._started < self._limit:
            self._started += 1
            self._others.append(Task(partial(self._work, 1)))

    def _question(self) -> Question | None:
        with self._lock:
            return next(self._todo, None)

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
