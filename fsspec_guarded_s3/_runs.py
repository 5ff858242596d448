"""Many calls in parallel, by threads of the pool (`_threads`).

Theory of operation. The caller's thread is one of those that make the calls, so a single call costs no
hand-over. A near store keeps the processor busy with two threads, and more would only take turns at Python's
lock; so a run begins with few, and a thread that spends its time waiting for the network brings one more.
`ask_all` is for small reads: a thread sends several requests before it takes their answers, each on a
connection of its own.

The first error ends all calls, and is raised when no thread uses the caller's buffers and files any more. In
the child of a fork a run that was under way raises RuntimeError.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from functools import partial

from ._forks import forks
from ._threads import Task, end_a_daemon
from ._work import Work, check, current, this_thread

_WINDOW = 0.02  # seconds after which a thread looks whether another one would help
_SLOW = 0.5  # seconds that one answer takes
_WAITING = 2.0  # how many times its processor time a run must take, times its threads, to be said to wait

Question = Callable[[], Callable[[], None]]  # asks, and returns the function that takes the answer


def run_all(calls: Iterable[Callable[[], None]], limit: int, initial: int) -> None:
    """Make all calls, up to `limit` at a time, the caller's thread included. The first error stops all.

    It begins with `initial` threads. A thread that spends its time waiting for the network brings one more.
    An error, also an interrupt, ends the calls that are under way, and is raised within a second.
    """
    ask_all((partial(_itself, call) for call in calls), limit, initial, 1)


def ask_all(questions: Iterable[Question], limit: int, initial: int, ahead: int) -> None:
    """Ask all questions and take their answers, up to `limit` at a time; errors as in `run_all`.

    It begins with `initial` threads, the caller's among them: each is up to `ahead` questions before the
    answer that it takes. Threads that are added ask one at a time.
    """
    threads = limit - initial * (ahead - 1)
    _Run(questions, threads, min(initial, threads), ahead).run()


def _itself(call: Callable[[], None]) -> Callable[[], None]:
    return call


class _Run:
    """Calls made in parallel until there are no more, one fails, or work around them is over."""

    def __init__(self, questions: Iterable[Question], limit: int, initial: int, ahead: int) -> None:
        self._todo: Iterator[Question] = iter(questions)
        self._limit = limit  # two threads may both add one: it is no promise to the last thread
        self._started = initial
        self._ahead = ahead
        self._lock = threading.Lock()
        self._failed: list[BaseException] = []
        self._work = Work(current())
        self._tasks: list[Task[None]] = []
        self._forks = forks()

    def run(self) -> None:
        before = this_thread.work
        try:
            this_thread.work = self._work
            self._tasks += [
                Task(partial(self._go_on, self._ahead), self._work) for _ in range(self._started - 1)
            ]
            self._go_on(self._ahead)
            self._wait()
            this_thread.work = before
        except BaseException as error:  # an interrupt, which comes to the main thread between two calls too
            this_thread.work = before
            self._fail(error)
            self._end()
            if not isinstance(error, CancelledError):
                raise
        if self._failed:
            if isinstance(self._failed[0], CancelledError):
                end_a_daemon()
            raise self._failed[0]
        if self._forks != forks():
            raise RuntimeError("the process was forked within this call: other threads have parts of it")
        check()

    def _go_on(self, ahead: int) -> None:
        asked: deque[Callable[[], None]] = deque()
        began, used = time.perf_counter(), time.thread_time()
        try:
            while not self._work.is_over and self._next(asked, ahead):
                wall = time.perf_counter() - began
                if wall > _SLOW:  # on a slow line answers come no earlier for having been asked for
                    ahead = 1
                if wall > _WINDOW:
                    if wall > _WAITING * self._started * (time.thread_time() - used):
                        self._add()
                    began, used = time.perf_counter(), time.thread_time()
        finally:
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
            self._fail(error)
        return True

    def _fail(self, error: BaseException) -> None:
        """Note it before the others are told: what ends them is none of their own errors."""
        if not isinstance(error, Exception):
            self._failed.insert(0, error)
        elif not (self._failed and isinstance(error, CancelledError)):
            self._failed.append(error)
        self._work.end()

    def _add(self) -> None:
        if self._started < self._limit:
            self._started += 1
            # Of the run, not of the thread that adds it, whose task may be over before.
            self._tasks.append(Task(partial(self._go_on, 1), self._work))

    def _question(self) -> Question | None:
        with self._lock:
            return next(self._todo, None)

    def _wait(self) -> None:
        """Until all threads have come to an end, or the work is over."""
        while self._tasks and not self._work.is_over:
            task = self._tasks[-1]
            task.wait()
            self._tasks.remove(task)
        if self._tasks:
            self._end()

    def _end(self) -> None:
        while self._tasks:
            task = self._tasks[-1]
            task.end()
            self._tasks.remove(task)  # only now: an interrupt while it is waited for must not lose it
