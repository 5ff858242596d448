"""After a fork: what a child process makes anew. Modules register here what they renew.

Theory of operation. A child of `os.fork` (multiprocessing's old default on Linux, gunicorn, Celery) has a
copy of all memory, and one thread: that which forked. Three things in that copy are wrong.

- *Locks.* One that another thread held at the fork stays locked for ever. So no lock that outlives a call is
  used as it is: it is a `PerProcess`, or made by a function that `renew_after_fork` knows.
- *Threads and what they were doing.* There is another pool of threads. A task whose thread stayed in the
  parent is done again by whoever waits for it in the child (`_threads`); it notices by another number of
  `forks`. Calls that are made in parallel while their process forks end with an error in the child.
- *What belongs to the parent.* Connections are dropped without a word to the server, since both processes
  would write to the same sockets. Budgets and measurements begin anew where they depend on other threads.
  Kept listings are dropped, since nobody tells the child what its parent writes. Uploads and writers stay
  the parent's: they compare `os.getpid()`, and the child neither publishes nor aborts them.

One lock is not ours: that of a module which another thread imports. So what is imported late is imported
within `importing`, for which a fork waits.

The functions are called in the child, before `os.fork` returns there, by its only thread. They wait for
nothing and make no request. Windows has no fork, and no `os.register_at_fork`.

This module does not list what is renewed. To see it all, search the package for `renew_after_fork` and
`PerProcess`: each use says what it renews.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Generic, TypeVar

T = TypeVar("T")
_renewals: set[Callable[[], Callable[[], None] | None]] = set()
_forks = 0
_imports = threading.RLock()  # a signal's handler may fork while its thread imports


def forks() -> int:
    """How many forks are between the first process and this one: another number means another process."""
    return _forks


def renew_after_fork(renew: Callable[[], None]) -> None:
    """Have `renew` called in every child process. A bound method does not keep its object alive."""
    if isinstance(renew, MethodType) and isinstance(renew.__self__, Hashable):  # PyPy has those of a set
        _renewals.add(weakref.WeakMethod(renew, _renewals.discard))
    else:
        _renewals.add(lambda: renew)


class PerProcess(Generic[T]):
    """Something that each process makes for itself; calling this returns that of the process that calls.

    For locks. What another process made is kept, so a lock that is held while its holder forks can be
    released there.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made = {_forks: make()}

    def __call__(self) -> T:
        try:
            return self._made[_forks]
        except KeyError:
            return self._made.setdefault(_forks, self._make())  # one step: threads agree on one


@contextmanager
def importing() -> Iterator[None]:
    """No process is forked by another thread until this ends. For imports that few programs need."""
    with _imports:
        yield


def _before_fork() -> None:
    _imports.acquire()


def _after_fork_in_parent() -> None:
    _imports.release()


def _after_fork() -> None:
    global _forks, _imports
    _imports = threading.RLock()
    _forks += 1
    for reference in _renewals.copy():
        renew = reference()
        if renew is not None:
            renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork
    )
