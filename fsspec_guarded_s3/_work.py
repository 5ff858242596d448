"""Work that somebody waits for, and how it ends; and what a fork renews.

Ending is a flag. Every attempt, every pause and every wait on a socket looks at it at least every `TURN`
seconds, by `check`. What is ended within a call, in other threads too, ends with that call.

Nothing here takes a lock: destructors end work, and one may run while its thread holds any lock.
"""

from __future__ import annotations

import _thread
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from types import MethodType
from typing import Generic, TypeVar

T = TypeVar("T")
TURN = 0.5  # seconds that a wait may take before it looks whether anybody still wants what it waits for
_NEVER = float("inf")


class Work:
    """Something that is being done. It is over when it was ended, or all that it is part of, or too late."""

    __slots__ = ("_around", "_ended", "_until")

    def __init__(self, *around: Work | None, limit: float = _NEVER) -> None:
        """`around` is what it is part of; after `limit` seconds it is over."""
        self._around = [work for work in around if work is not None]
        self._until = time.monotonic() + limit
        self._ended = False

    def __repr__(self) -> str:
        return f"<Work {'over' if self.over else 'wanted'}>"

    def end(self) -> None:
        """Nobody wants it any more."""
        self._ended = True

    def limit(self, seconds: float) -> None:
        """It is over after that many seconds from now, if not before."""
        self._until = min(self._until, time.monotonic() + seconds)

    def is_part_of(self, other: Work) -> bool:
        """Whether it ends with `other`."""
        return self is other or any(work.is_part_of(other) for work in self._around)

    @property
    def over(self) -> bool:
        """Whether nothing of it is begun or waited for any more."""
        if self._ended or (self._until != _NEVER and time.monotonic() > self._until):
            return True
        for work in self._around:  # noqa: SIM110 - asked for every receive: a generator costs more
            if work.over:
                return True
        return False


class Seat:
    """A thread that works for others. It can be left alone while it is `parked`."""

    __slots__ = ("parked",)

    def __init__(self) -> None:
        self.parked = 0


class _Here(threading.local):
    work: Work | None = None
    seat: Seat | None = None


# What this thread works for. In the main thread an exception of a signal's handler may come at the beginning
# of any function, also of `__exit__`: there `finally` has to set the old values itself.
here = _Here()


def current() -> Work | None:
    """What this thread works for; None where nobody but its own caller waits."""
    return here.work


@contextmanager
def working_for(work: Work, seat: Seat | None = None) -> Iterator[None]:
    """What this thread does within is part of `work`; a thread that works for others has a `seat`."""
    before = here.work, here.seat
    here.work = work
    if seat is not None:
        here.seat = seat
    try:
        yield
    finally:
        here.work, here.seat = before


def check() -> None:
    """Raise CancelledError when nobody waits any more for what this thread does."""
    work = here.work
    if work is not None and work.over:
        raise CancelledError("nobody waits for this any more: another call failed, or it was given up")


def pause(seconds: float) -> None:
    """`time.sleep` that ends, with CancelledError, when nobody waits any more."""
    end = time.monotonic() + seconds
    check()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, TURN))
        check()


@contextmanager
def parked() -> Iterator[None]:
    """For what cannot be interrupted, such as asking for the addresses of a host: nobody need wait for it.

    Whoever ended the work goes on at once. This thread raises CancelledError afterwards, and does no more.
    """
    seat = here.seat
    if seat is None:
        yield
        return
    seat.parked += 1
    try:
        yield
    finally:
        seat.parked -= 1
        check()


class Lock(_thread.RLock):  # type: ignore[misc]  # typeshed calls it final; it is not
    """For `with`. It may be held while a store is asked: whoever waits for it can be ended.

    An exception that a signal's handler raises (KeyboardInterrupt is one) never leaves it locked: whether it
    was taken is known in the same step of the interpreter, and to release it is one step, since RLock's own
    `__exit__` is not written in Python.
    """

    def __enter__(self) -> bool:  # type: ignore[override]
        """Take it, again too; raises CancelledError when nobody waits any more for what this thread does."""
        tried: list[bool] = []
        try:
            while True not in tried:
                if tried:
                    check()
                tried.extend(map(self.acquire, (True,), (TURN,)))
        except BaseException:
            if True in tried:
                self.release()
            raise
        return True


class Living(Generic[T]):
    """Those of the objects that were added which are still alive. Threads may add while others look.

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


# --- a child process --------------------------------------------------------------------------------


class _Renewal(weakref.ref[object]):
    """A method of an object that may be gone. `weakref.WeakMethod` has a callback written in Python, which
    fails, and prints, where the interpreter goes down.
    """

    __slots__ = ("function",)
    function: Callable[[object], object]
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __new__(cls, method: MethodType, forget: Callable[[_Renewal], None]) -> _Renewal:
        self = super().__new__(cls, method.__self__, forget)
        self.function = method.__func__
        return self


_renewals: set[Callable[[], object] | _Renewal] = set()
_forks = 0


def renew_after_fork(renew: Callable[[], None]) -> None:
    """Have `renew` called in every child process: a lock there may be held by a thread that is not.

    A bound method does not keep its object alive. The child has one thread when it is called.
    """
    _renewals.add(_Renewal(renew, _renewals.discard) if isinstance(renew, MethodType) else renew)


def forks() -> int:
    """How many forks are between the first process and this one: another number means another process."""
    return _forks


def _after_fork() -> None:
    global _forks
    _forks += 1
    here.seat = None
    for renew in _renewals.copy():
        found = renew()
        if isinstance(renew, _Renewal) and found is not None:
            renew.function(found)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
