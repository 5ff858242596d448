"""File descriptors, of which a process may have few: `ulimit -n` (RLIMIT_NOFILE).

Each connection takes one, and so does each local file. So many calls in parallel take no more than their
share of what the process may have, and a connection that finds none left waits for one that is given back.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from .._values.descriptors import NONE_LEFT, limit

_OTHERS = 8  # descriptors of standard streams and of what a program has open beside
_EACH = 4  # that a call takes at most: a connection, a local file, its folder, a copy


def within_limit(calls: int) -> int:
    """`calls` in parallel, or as many as there are descriptors for."""
    if calls <= 1:
        return calls
    most = limit()
    return calls if most is None else max(1, min(calls, (most - _OTHERS) // _EACH))


def are_none_left(error: BaseException | None) -> bool:
    """Whether `error`, or what it came of, is that there was no descriptor for it."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in NONE_LEFT:
            return True
        if isinstance(cause, socket.gaierror) and not _is_one_left():  # the resolver does not say why
            return True
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):  # a chain may be a circle
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _is_one_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True
