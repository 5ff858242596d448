"""The connections to one place: those that are idle wait here, the last one used on top.

Invariants: no connection that was idle for longer than `idle_timeout` is handed out, and none by which
anything came that nobody asked for, its end included. What is idle is closed when the pool is gone.
"""

from __future__ import annotations

import time
from typing import Any

from .._values.descriptors import givers
from .._work import Living
from .connect import Route
from .incoming import Incoming
from .timed_socket import Channel

_connections: Living[Connection] = Living()
_pools: Living[Pool] = Living()


class Connection:
    """A connection to speak HTTP on. Once closed it is of no use any more."""

    __slots__ = ("__weakref__", "channel", "has_answered", "idle_since", "incoming")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.incoming = Incoming(channel)
        self.idle_since = 0.0
        self.has_answered = False
        _connections.add(self)

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
        self._trusted_since = 0.0
        self._idle: list[Connection] = []
        _pools.add(self)

    def __repr__(self) -> str:
        return f"<Pool {self.route} idle={len(self._idle)}>"

    def has_idle(self) -> bool:
        """Whether there is one that nobody uses."""
        return bool(self._idle)

    def idle(self) -> list[Connection]:
        """Those that nobody uses."""
        return self._idle.copy()

    def take(self, youngest: float | None = None) -> Connection | None:
        """A connection that was idle for no longer than `idle_timeout`, and `youngest` seconds; else None.

        None too for those that idled when another that had idled turned out to be dead.
        """
        try:
            conn = self._idle.pop()
        except IndexError:
            return None
        seconds = self._idle_timeout if youngest is None else min(youngest, self._idle_timeout)
        is_young = time.monotonic() - conn.idle_since <= seconds and conn.idle_since > self._trusted_since
        if is_young and conn.channel.is_quiet():
            return conn
        conn.close()
        return None

    def distrust(self) -> None:
        """Hand out none of those that idle now: the store, or who is on the way, has given one of them up.

        A load balancer that starts anew gives up all of them, and so does a gateway that forgets its table.
        """
        self._trusted_since = time.monotonic()

    def give_back(self, conn: Connection) -> None:
        """Keep `conn`, by which the last answer was read to its end, or which is new."""
        conn.idle_since = time.monotonic()
        if len(self._idle) < self._size:
            self._idle.append(conn)
        else:
            conn.close()

    def close_outdated(self) -> None:
        """Close those that were idle for too long to be handed out."""
        oldest = time.monotonic() - self._idle_timeout
        while any(conn.idle_since < oldest for conn in self._idle[:1]):
            try:
                self._idle.pop(0).close()
            except IndexError:  # another thread was faster
                return

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


def close_all_outdated() -> None:
    """Close what was idle for too long, of all pools: of filesystems that nobody asks any more too."""
    for pool in _pools:
        pool.close_outdated()


def close_all_idle() -> bool:
    """Close all that is idle, of all pools, for the descriptors. Returns whether there was anything."""
    found = [pool for pool in _pools if pool.idle()]
    for pool in found:
        pool.close_idle()
    return bool(found)


def give_back() -> bool:
    """Close all that is idle. Returns whether a descriptor was given back, or may be by and by."""
    return close_all_idle() or is_any_open()


givers.append(give_back)


def is_any_open() -> bool:
    """Whether any connection of this process is open: where all that was idle is closed, it is in use."""
    return any(conn.channel.sock.fileno() != -1 for conn in _connections)
