"""Work that somebody waits for, and how it is ended.

Theory of operation. Whoever stops waiting stops the work. Ending is a flag (`Work.end`): it is set at once
and takes no lock, since destructors set it, and one may run while its thread holds any lock. Whoever works
looks at the flag by `check`, which raises CancelledError once the flag is set. It does so before each attempt
of a request, in each pause (`pause`), and at least every `TURN` seconds while it waits for a socket or for a
lock (`Lock`). So work ends within about a second, and only at places that are ready for an exception.

Work is nested. Each thread knows what it works for (`current`), and what it starts is part of that: it is
over when any work around it is. What sets the flag:

- the first error of calls that are made in parallel, or an interrupt, ends the others (`_runs.run_all`);
- `close()` and `del` of readers and writers end the blocks and parts on their way: whoever drops a
  `_threads.Task` gives it up;
- the end of the process ends what is done in the background (`_threads.end_background`), and bounds the
  aborts of uploads (`_write.aborting.finish`);
- a time limit (`Work.limit`).

Whoever ends work waits until no thread uses the caller's buffers and files any more. A few system calls
cannot be interrupted (the look-up of a host name, a program that brings credentials). They are marked by
`uninterruptible`: nobody waits for them, and their thread raises CancelledError when they return.

A thread that runs an event loop must not wait at all. What it does within `without_waiting` raises
MustWaitError where it would have to, and a thread of the pool does it instead.

Exceptions of signal handlers (KeyboardInterrupt) come to the main thread between any two steps of the
interpreter, also at the beginning of `__exit__`. `Lock`, and all code that sets what a thread works for, is
written so that they leave nothing locked and nothing set.
"""

from __future__ import annotations

import _thread
import functools
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from types import CodeType
from typing import Any, Generic, Protocol, TypeVar

from ._forks import renew_after_fork

T = TypeVar("T")
TURN = 0.5  # seconds that a wait may take before it looks whether anybody still wants what it waits for
_NEVER = float("inf")
_RECOVERY = 5.0  # seconds until callers wait again for as long as they did


class Work:
    """Something that is being done. It is over when it, or any work around it, was ended or is too late."""

    __slots__ = ("_around", "_ended", "_until", "attempts_made", "is_last_attempt")

    def __init__(self, *around: Work | None, limit: float = _NEVER) -> None:
        """`around` is what it is part of; after `limit` seconds it is over."""
        self._around = [work for work in around if work is not None]
        self._until = time.monotonic() + limit
        self._ended = False
        self.is_last_attempt = False  # whether a request that is on its way is not made again
        self.attempts_made = 0  # by an event loop, of the first request that is made for it

    def __repr__(self) -> str:
        return f"<Work {'over' if self.is_over else 'wanted'}>"

    def end(self) -> None:
        """Have it be over from now on."""
        self._ended = True

    def limit(self, seconds: float) -> None:
        """Have it be over in `seconds` from now, if not before."""
        self._until = min(self._until, time.monotonic() + seconds)

    def is_part_of(self, other: Work) -> bool:
        """Whether it ends with `other`."""
        return self is other or any(work.is_part_of(other) for work in self._around)

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is begun or waited for any more."""
        if self._ended or (self._until != _NEVER and time.monotonic() > self._until):
            return True
        for work in self._around:  # noqa: SIM110 - asked for every receive: a generator costs more
            if work.is_over:
                return True
        return False


class Worker:
    """A thread of the pool that makes a call. `uninterruptible` counts the blocks of that name it is in."""

    __slots__ = ("uninterruptible",)

    def __init__(self) -> None:
        self.uninterruptible = 0


class _ThisThread(threading.local):
    """What a thread works for, and as which worker; None where nobody but its own caller waits.

    `origin` is what `carry` keeps of the thread that began the work. `listeners` are those to requests that
    are being told of some, in this thread or in those that began the work.
    """

    work: Work | None = None
    worker: Worker | None = None
    origin: object = None
    listeners: tuple[object, ...] = ()
    may_wait = True


# In the main thread an exception of a signal's handler may come at the beginning of any function, also of
# `__exit__`: there `finally` has to set the old values itself.
this_thread = _ThisThread()


_kept: Callable[[], object] | None = None


def carry(kept: Callable[[], object] | None) -> None:
    """From now on work in other threads has what `kept` returned in the thread that began it; None: nothing.

    For the context of a trace, of which this package knows nothing. Where `kept` returns something that is
    false, as an empty context is, what the thread was given stands.
    """
    global _kept
    _kept = kept


def origin() -> object:
    """What is kept of the thread that began what this one does; None where nothing is."""
    if _kept is None:
        return None
    return _kept() or this_thread.origin


def inherited() -> tuple[object, tuple[object, ...]]:
    """What work that this thread begins has of it, in whichever thread it is done: for `inherit`."""
    return origin(), this_thread.listeners


def inherit(kept: tuple[object, tuple[object, ...]]) -> None:
    """Have what `inherited` returned in another thread, which began what this one does."""
    this_thread.origin, this_thread.listeners = kept


def current() -> Work | None:
    """What this thread works for; None where nobody but its own caller waits."""
    return this_thread.work


@contextmanager
def working_for(work: Work, worker: Worker | None = None) -> Iterator[None]:
    """What this thread does within is part of `work`, and done by `worker` if it is one."""
    before = this_thread.work, this_thread.worker
    this_thread.work = work
    if worker is not None:
        this_thread.worker = worker
    try:
        yield
    finally:
        this_thread.work, this_thread.worker = before


def check() -> None:
    """Raise CancelledError when nobody waits any more for what this thread does."""
    work = this_thread.work
    if work is not None and work.is_over:
        raise CancelledError("nobody waits for this any more: another call failed, or it was given up")


class MustWaitError(BaseException):
    """What is done for an event loop would have to wait here.

    `rest` is what is left of the call, where its beginning need not be done again. Where the wait is for
    something that the next call would have to wait for too, `prepare` brings it about, in a thread. `connect`
    begins a connection that the loop itself can wait for; it returns None where it cannot.
    """

    rest: Callable[[], Any] | None = None
    prepare: Callable[[], object] | None = None
    connect: Callable[[], Connecting | None] | None = None


class Connecting(Protocol):
    """A connection that is being made, for a loop that waits until something can be written to it."""

    def descriptor(self) -> int:
        """What to wait for."""
        ...

    def keep(self) -> None:
        """Have it be idle for the next request to take, if it has been made."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


def as_rest(call: Callable[[], T]) -> T:
    """What `call` returns, which is all that is left to do: where it must wait, a thread makes it."""
    try:
        return call()
    except MustWaitError as error:
        error.rest = call
        raise


def without_waiting(call: Callable[[], T]) -> T:
    """What `call` returns; MustWaitError where it comes to `must_wait`."""
    try:
        this_thread.may_wait = False
        return call()
    finally:
        this_thread.may_wait = True


def must_wait(
    *, prepare: Callable[[], object] | None = None, connect: Callable[[], Connecting | None] | None = None
) -> None:
    """What follows may take as long as a request. Raises MustWaitError where this thread must not wait."""
    if not this_thread.may_wait:
        error = MustWaitError("a thread has to wait for this")
        error.prepare, error.connect = prepare, connect
        raise error


def pause(seconds: float) -> None:
    """`time.sleep` that ends, with CancelledError, when nobody waits any more."""
    must_wait()
    end = time.monotonic() + seconds
    check()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, TURN))
        check()


@contextmanager
def uninterruptible() -> Iterator[None]:
    """For a call of the system that cannot be interrupted, such as the look-up of a host name.

    Whoever ends the work goes on without waiting for it. This thread raises CancelledError afterwards, and
    does no more.
    """
    worker = this_thread.worker
    if worker is None:
        yield
        return
    worker.uninterruptible += 1
    try:
        yield
    finally:
        worker.uninterruptible -= 1
        check()


class Lock(_thread.RLock):  # type: ignore[misc]  # typeshed calls it final; it is not
    """For `with`. It may be held while a store is asked: whoever waits for it can be ended.

    An exception that a signal's handler raises (KeyboardInterrupt is one) never leaves it locked: whether it
    was taken is known in the same step of the interpreter, and to release it is one step, since RLock's own
    `__exit__` is not written in Python.
    """

    LONG = 10.0  # seconds of waiting after which `say` is called, once for each wait

    def __new__(cls, say: Callable[[], None] | None = None) -> Lock:
        return super().__new__(cls)

    def __init__(self, say: Callable[[], None] | None = None) -> None:
        """`say` tells whoever reads the log that a thread waits for long. It must not refer to the lock."""
        self._say = say

    def __enter__(self) -> bool:  # type: ignore[override]
        """Take it, again too; raises CancelledError when nobody waits any more for what this thread does.

        MustWaitError where another thread has it, and this one must not wait.
        """
        tried: list[bool] = []
        patience = TURN if this_thread.may_wait else 0
        try:
            while True not in tried:
                if tried:
                    must_wait()
                    check()
                    if self._say is not None and len(tried) == int(self.LONG / TURN):
                        self._say()
                tried.extend(map(self.acquire, (True,), (patience,)))
        except BaseException:
            if True in tried:
                self.release()
            raise
        return True


class Patience:
    """How long callers wait, all together, for what goes on in the background without them.

    What they have waited comes back slowly. So whoever gives up many things at once waits once.
    """

    def __init__(self) -> None:
        self._used = 0.0
        self._known = time.monotonic()

    def __repr__(self) -> str:
        return f"<Patience {self._used:.2f} s used>"

    def wait_for(self, has_ended: Callable[[], bool], seconds: float, poll_seconds: float) -> None:
        """Return when it has ended, or when callers have waited for `seconds`."""
        began = now = time.monotonic()
        used = max(0.0, self._used - (began - self._known) * seconds / _RECOVERY)
        while not has_ended() and used + now - began < seconds:
            time.sleep(poll_seconds)
            now = time.monotonic()
        self._used, self._known = used + now - began, now


class Living(Generic[T]):
    """A set of objects that are still alive. Threads may add some while others look.

    A `weakref.WeakSet` raises RuntimeError then. Each step here is one call of the interpreter's.
    """

    def __init__(self) -> None:
        self._references: set[weakref.ref[T]] = set()

    def __repr__(self) -> str:
        return f"<Living {len(self._references)}>"

    def __iter__(self) -> Iterator[T]:
        found = [reference() for reference in self._references.copy()]
        return iter([item for item in found if item is not None])

    def add(self, item: T) -> None:
        """Know `item`, which compares by identity, for as long as it lives."""
        self._references.add(weakref.ref(item, self._references.discard))

    def discard(self, item: T) -> None:
        """Forget `item`; harmless where it was not added."""
        self._references.discard(weakref.ref(item))


def _forget_worker() -> None:
    this_thread.worker = None  # the thread that forked is the child's main thread


renew_after_fork(_forget_worker)


def is_of_a_handler(error: BaseException) -> bool:
    """Whether the handler of a signal, of those that are installed now, has raised `error`.

    It may be of any type. Handlers of alarms raise TimeoutError, as a socket does whose time is over: who
    takes errors of a connection for what they say has to let the handler's pass.
    """
    codes = {_code(signal.getsignal(number)) for number in signal.valid_signals()}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def _code(handler: object) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not hasattr(handler, "__code__"):  # an object with a `__call__`
        handler = getattr(type(handler), "__call__", None)  # noqa: B004
    code = getattr(handler, "__code__", None)
    return code if isinstance(code, CodeType) else None
