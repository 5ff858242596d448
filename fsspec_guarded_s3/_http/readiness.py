"""Whether a socket can be read or written, waiting a while for it. A socket that failed is ready for both."""

from __future__ import annotations

import select
from typing import Any, Protocol

# select() knows no descriptor above 1,023. Windows, where it has another limit, has no poll().
_poll = getattr(select, "poll", None)
READ, WRITE = getattr(select, "POLLIN", 1), getattr(select, "POLLOUT", 4)


class Poll(Protocol):
    """What `select.poll` returns, where there is one."""

    def poll(self, timeout: float, /) -> list[tuple[int, int]]:
        """The sockets that are ready, after at most `timeout` milliseconds."""
        ...


def poller(sock: Any, event: int) -> Poll | None:
    """An object of poll(2) that waits for `event` at `sock`; None where the system has none."""
    if _poll is None:
        return None
    found = _poll()
    found.register(sock, event)
    ready: Poll = found
    return ready


def is_readable(sock: Any, seconds: float) -> bool:
    """Whether a byte, the end or an error comes within `seconds`."""
    ready = poller(sock, READ)
    if ready is None:
        return any(select.select((sock,), (), (), seconds))
    return bool(ready.poll(seconds * 1000))


def is_writable(sock: Any, seconds: float) -> bool:
    """Whether it takes bytes, or has connected or failed to, within `seconds`."""
    ready = poller(sock, WRITE)
    if ready is None:
        return any(select.select((), (sock,), (sock,), seconds))  # Windows tells a failure by the third
    return bool(ready.poll(seconds * 1000))
