"""Calls that are made in parallel, and in the background.

Theory of operation. There is one pool of daemon threads per process, which grows when it is busy, up to
`MAX_THREADS`. Three things use it:

- `Task`: one call in the background. Whoever waits for a task that no thread has begun makes the call
  itself. So nested use cannot deadlock, however few threads there are, and a task is done even where the
  system gives no thread at all.
- many calls in parallel (`_runs`).
- `run_in_pool`: the calls of coroutines, which nobody else makes. Where calls to one store fill the pool and
  hang, those of another filesystem would wait for them: so the pool grows further for the first few of each.

How they end. A task is part of the work of the thread that started it (`_work`), and is over with that; one
made by `Task.in_background` belongs to an open file, and outlives the call that began it. Dropping a task
gives it up. When the program ends, `end_background` ends what is left and waits a little:
OpenSSL must not be torn down while a thread uses it.

After a fork (`_forks`) the child has no thread of the pool. It makes another pool; a task that was not
finished is done again by whoever waits for it.

The main thread can be interrupted by a signal between any two steps of the interpreter. So no lock here is
waited for without bound, and what several threads read is set in one step.
"""

from __future__ import annotations

import _thread
import atexit
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from itertools import starmap
from operator import methodcaller
from typing import Generic, TypeVar

from ._forks import PerProcess, forks, renew_after_fork
from ._work import TURN, Work, Worker, check, current, inherit, inherited, this_thread

T = TypeVar("T")
MAX_THREADS = 64
_MAX_IN_ALL = 256  # with those that are always needed
_EXIT_SECONDS = 1.0  # that a program that ends waits for threads that were told to stop
_POLL_SECONDS = 0.02


class _Job(Generic[T]):
    """A call, made once, by whichever thread comes first; and what came of it.

    `finished`, which one step sets, has the last word, whatever the locks say.
    """

    def __init__(self, call: Callable[[], T], work: Work) -> None:
        self.work = work
        self.worker = Worker()
        self.finished = False
        self._call: Callable[[], T] | None = call
        self._result: T | None = None
        self._error: BaseException | None = None
        self._inherited = inherited()
        self._forks = forks()
        self._claim = threading.Lock()  # never waited for
        self._running = _locked()  # until it has ended

    def is_begun(self) -> bool:
        """Whether a thread of this process has come first, or it was over before."""
        return self.finished or (self._forks == forks() and self._claim.locked())

    def run(self) -> None:
        """Make the call in a thread of the pool, unless another thread makes it."""
        self._make_if_first(self.work, self.worker)

    def result(self) -> T:
        """Wait, or make the call here; returns or raises what it did."""
        self._renew_after_fork()
        if not self.finished:
            self._make_if_first(Work(self.work, current()), None)
        while not self._has_ended(TURN):
            check()
        try:
            if self._error is not None:
                raise self._error
            return self._result  # type: ignore[return-value]
        except CancelledError:
            if any(map(self.work.is_part_of, _program_ends)):
                end_a_daemon()
            raise
        finally:
            del self  # the frame is in the error's traceback: a cycle otherwise

    def end(self) -> None:
        """End it, and wait until no thread is at it any more, or none that would use what is the caller's."""
        self.work.end()
        if self._forks != forks() or self._claim.acquire(blocking=False):
            return
        while not self._has_ended(_POLL_SECONDS):
            if self.worker.uninterruptible:
                return

    def _has_ended(self, seconds: float) -> bool:
        """Whether it ends within `seconds`."""
        if not self.finished and self._running.acquire(timeout=seconds):
            self._running.release()
        return self.finished

    def _make_if_first(self, work: Work, worker: Worker | None) -> None:
        first: list[bool] = []
        try:
            first.extend(map(self._claim.acquire, (False,)))  # one step: no signal between taking and knowing
            if first == [True]:
                self._make(work, worker)
        except BaseException as error:  # a signal's, beside the call
            if first == [True] and not self.finished:
                self._error, self.finished = error, True
            raise

    def _make(self, work: Work, worker: Worker | None) -> None:
        before = this_thread.work, this_thread.worker, this_thread.origin, this_thread.listeners
        try:
            this_thread.work, this_thread.worker = work, worker or this_thread.worker
            inherit(self._inherited)
            check()
            assert self._call is not None, "a call is made once"
            self._result = self._call()
        except BaseException as error:
            self._error = error
        finally:
            this_thread.work, this_thread.worker, this_thread.origin, this_thread.listeners = before
            self.finished = True
            self._call = None  # with all that it holds
            if self._running.locked():
                self._running.release()
            del self

    def _renew_after_fork(self) -> None:
        """After a fork the thread that was at it is in the parent only: it is to be done again, here."""
        if self._forks == forks():
            return
        with _renewing():
            if self._forks != forks():
                if not self.finished:
                    self._claim = threading.Lock()
                self._running = _locked()
                self._forks = forks()


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


class Task(Generic[T]):
    """A call that a thread of the pool makes, or the first who waits for it.

    Who drops it, gives it up: a call that nobody can wait for any more ends.
    """

    def __init__(self, call: Callable[[], T], part_of: Work | None = None) -> None:
        """The call ends with the work `part_of`, by default what this thread works for."""
        self._job: _Job[T] = _Job(call, Work(part_of or current() or _background))
        _pool.start(self._job)

    @classmethod
    def in_background(cls, call: Callable[[], T]) -> Task[T]:
        """One that outlives what this thread works for: of an open file, which another call goes on with."""
        return cls(call, _background)

    def done(self) -> bool:
        """Whether waiting would return at once."""
        return self._job.finished

    def is_begun(self) -> bool:
        """Whether a thread of this process makes the call, or has made it."""
        return self._job.is_begun()

    def wait(self) -> T:
        """The call's result; raises what it raised, CancelledError when it was ended."""
        try:
            return self._job.result()
        finally:
            del self  # as in `result`

    def cancel(self) -> None:
        """Do not start it, or end it within a second. Returns at once."""
        self._job.work.end()

    def end(self) -> None:
        """Cancel it, and wait until it has ended, whatever came of it."""
        self._job.end()

    def __del__(self) -> None:
        job = getattr(self, "_job", None)
        if job is not None:
            job.work.end()


def background() -> Work:
    """What is done for nobody's call. It ends with the program."""
    return _background


def run_in_pool(call: Callable[[], None], *, is_urgent: bool = False) -> bool:
    """Have a thread of the pool make `call`, whom nobody waits for and which raises nothing.

    With `is_urgent` it gets one also where all that the pool has hang. False where there is no thread, nor
    can be: then it is not made.
    """
    job = _Job(call, Work())
    is_started = _pool.start(job, _MAX_IN_ALL if is_urgent else MAX_THREADS)
    if not is_started:
        job.end()
    return is_started


def others_wait() -> bool:
    """Whether calls wait for a thread of the pool, which may have no more: time to let them have one."""
    return _pool.is_crowded()


def start_thread(call: Callable[[], None]) -> None:
    """Make `call` in a thread of its own. Safe in a destructor: `threading.Thread` takes locks, and waits.

    RuntimeError where the interpreter is going down, or the system has no more threads.
    """
    _thread.start_new_thread(_make_for, (inherited(), call))


def _make_for(kept: tuple[object, tuple[object, ...]], call: Callable[[], None]) -> None:
    inherit(kept)
    call()


class _Pool:
    """Daemon threads, as many as are needed at once, up to a bound.

    Which threads there are, and which sleep, they say themselves: counts of others would be wrong for ever
    after a signal's exception between two steps.
    """

    def __init__(self) -> None:
        self._todo: deque[_Job[object]] = deque()
        self._lock = threading.Lock()
        self._serving: dict[int, _Job[object] | None] = {}  # threads, and what each is at
        self._sleeping: deque[threading.Lock] = deque()  # each wakes its thread when it is released

    def __repr__(self) -> str:
        return f"<_Pool threads={len(self._serving)} idle={len(self._sleeping)}>"

    def start(self, job: _Job[T], most: int = MAX_THREADS) -> bool:
        """Have a thread run `job`, a new one while there are fewer than `most`.

        Where none can be had, which is False, whoever waits for it does.
        """
        with self._lock:
            self._todo.append(job)  # type: ignore[arg-type]
            if self._sleeping:
                # One step: a thread that is no longer in the list, and not woken, would sleep for ever.
                deque(map(_release, starmap(self._sleeping.pop, ((),))), maxlen=0)
                return True
            number = len(self._serving) + 1
        if number > most:
            return True
        try:
            threading.Thread(target=self._serve, name=f"gs3_{number}", daemon=True).start()
        except RuntimeError:  # the interpreter is going down, or the system has no more
            return bool(self._serving)
        return True

    def _serve(self) -> None:
        this, lock = threading.get_ident(), _locked()
        self._serving[this] = None
        while True:
            with self._lock:
                job = self._todo.popleft() if self._todo else None
                if job is None:
                    self._sleeping.append(lock)
            if job is None:
                lock.acquire()
                continue
            self._serving[this] = job
            job.run()
            self._serving[this] = None
            del job  # its result may be large, and the next may be long in coming

    def is_crowded(self) -> bool:
        """Whether jobs wait for a thread, and there will be none before another job is done."""
        return len(self._serving) >= MAX_THREADS and bool(self._todo)

    def works(self) -> list[Work]:
        """Those that are not over, of all that threads are at, or will be."""
        jobs = [job for job in list(self._serving.values()) if job is not None]
        return [job.work for job in (*jobs, *self._todo.copy()) if not job.work.is_over]

    def is_idle(self) -> bool:
        """Whether no thread is at anything."""
        return not self._todo and len(self._sleeping) >= len(self._serving)


_release = methodcaller("release")
_pool = _Pool()
_renewing = PerProcess(threading.Lock)
_background = Work()  # all that is done for nobody's call: what is read ahead, parts that are sent
# What was in the background when the program ended, and the thread that ends it. Others that are left are
# daemons of the user: they end with it without a word, as if they were not in a call of ours.
_program_ends: list[Work] = []
_ending_thread = 0


def _ends_the_program() -> bool:
    return this_thread.worker is not None or threading.get_ident() == _ending_thread


def _say_nothing_of_cancelled() -> None:
    """From now on threads end without a word by what is cancelled: `asyncio.run` raises it in a daemon."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if args.exc_type.__name__ != "CancelledError":
            before(args)

    threading.excepthook = hook


def end_a_daemon() -> None:
    """Raises SystemExit in a thread of the user, which is a daemon where the program has ended without it."""
    if _program_ends and not _ends_the_program():
        raise SystemExit("the program ends, and with it this thread") from None


def _renew_pool() -> None:
    global _pool
    _pool = _Pool()


renew_after_fork(_renew_pool)


@atexit.register
def end_background() -> None:
    """End what is done in the background, and wait a moment for the threads: OpenSSL's last act is near."""
    global _background, _ending_thread
    ended, _background = _background, Work()
    _ending_thread = threading.get_ident()
    _say_nothing_of_cancelled()
    works = _pool.works()  # those of daemons of the user too: their calls end with them
    _program_ends.extend([ended, *works])
    for work in (ended, *works):
        work.end()
    latest = time.monotonic() + (_EXIT_SECONDS if works else 0.0)
    while not _pool.is_idle() and time.monotonic() < latest:
        time.sleep(_POLL_SECONDS)
