"""File descriptors, of which a process may have few: `ulimit -n` (RLIMIT_NOFILE).

Each local file takes one, and so does each connection. Who finds none left waits until one is given back, as
long as somebody of this package has any to give.
"""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from .._forks import importing
from .._work import pause
from ..errors import ConnectError

T = TypeVar("T")
NONE_LEFT = frozenset(
    {errno.EMFILE, errno.ENFILE, getattr(errno, "WSAEMFILE", errno.EMFILE)}  # of Windows
)
_PATIENCE = 10.0  # seconds that a local file waits for a descriptor
_POLL_SECONDS = 0.02
# What may give descriptors back: each closes what it can do without, and tells whether there may be more.
givers: list[Callable[[], bool]] = []


def limit() -> int | None:
    """How many descriptors this process may have; None where there is no such limit, or nobody tells."""
    if sys.platform == "win32":
        return None
    try:
        with importing():
            import resource
    except ImportError:  # some builds of Python lack it
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def none_left() -> str:
    """What to tell the user."""
    most = limit()
    allowed = "" if most is None else f", of which it may have {most}"
    return (
        f"no file descriptor is left to this process{allowed}: raise the limit (ulimit -n), or lower "
        "max_concurrency"
    )


def opened(open_one: Callable[[], T]) -> T:
    """What `open_one` returns, which opens a local file. ConnectError where no descriptor is left for it.

    It is an error of connections, as that of a connection that found none is: neither tells of a file.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return open_one()
        except OSError as error:
            refuse_none_left(error, is_last=time.monotonic() >= until)
        pause(_POLL_SECONDS)


def refuse_none_left(error: OSError, *, is_last: bool = True) -> None:
    """Raise `error`, or a ConnectError where it says that no descriptor is left.

    Returns where it is not `is_last` and one may be given back by now.
    """
    if error.errno not in NONE_LEFT:
        raise error
    if is_last or not any([give() for give in givers]):
        raise ConnectError(none_left(), given_up=True, errno=errno.EMFILE) from error
