"""The connections to one place: those that are idle wait here, the last one used on top.

Invariants: no connection that was idle for longer than `idle_timeout` is handed out, and none by which
anything came that nobody asked for, its end included. What is idle is closed when the pool is gone.
"""

from __future__ import annotations

import time
from typing import Any

from .connect import Route
from .incoming import Incoming
from .timed_socket import Channel


class Connection:
    """A connection to speak HTTP on. Once closed it is of no use any more."""

    __slots__ = ("channel", "idle_since", "incoming")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.incoming = Incoming(channel)
        self.idle_since = 0.0

    def __repr__(self) -> str:
        return f"<Connection {self.channel.sock!r}>"

    def close(self) -> None:
        """Close it, again too: nothing can be sent or read any more."""
        self.channel.sock.close()


class Pool:
    """The idle connections by one route. Threads share it: each step at the list is one of the interpreter.

    `answered` is whether anything was ever answered there.
    """

    def __init__(self, route: Route, idle_timeout: float, size: int, missing: str = "") -> None:
        """It keeps up to `size` connections. `missing` is a part of urllib3 without which it makes none."""
        self.route = route
        self.missing = missing
        self.answered = False
        self._idle_timeout = idle_timeout
        self._size = size
        self._idle: list[Connection] = []

    def __repr__(self) -> str:
        return f"<Pool {self.route} idle={len(self._idle)}>"

    def idle(self) -> list[Connection]:
        """Those that nobody uses."""
        return self._idle.copy()

    def take(self, youngest: float | None = None) -> Connection | None:
        """A connection that was idle for no longer than `idle_timeout`, and `youngest` seconds; else None."""
        try:
            conn = self._idle.pop()
        except IndexError:
            return None
        seconds = self._idle_timeout if youngest is None else min(youngest, self._idle_timeout)
        if conn.channel.is_quiet() and time.monotonic() - conn.idle_since <= seconds:
            return conn
        conn.close()
        return None

    def give_back(self, conn: Connection) -> None:
        """Keep `conn`, by which the last answer was read to its end."""
        conn.idle_since = time.monotonic()
        if len(self._idle) < self._size:
            self._idle.append(conn)
        else:
            conn.close()

    def close_idle(self) -> None:
        """Close those that nobody uses; the pool goes on, since another thread may have it."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:  # another thread was faster
                return

    def __del__(self) -> None:
        idle: Any = getattr(self, "_idle", ())
        for conn in idle:
            conn.close()
