"""A connection that an event loop makes: the loop waits for the socket, and nothing here waits.

A thread for each would take turns with the loop at Python's lock, which takes as long as the connection to a
near store.
"""

from __future__ import annotations

import itertools
import socket
from typing import Any

from ..options import Options
from .connect import addresses_at_hand, begun, forget_address, refuse_failed
from .pool import Connection, Pool
from .timed_socket import channel_of

_turns = itertools.count()


class Begun:
    """A TCP connection on its way, which goes to a pool once it is made."""

    __slots__ = ("_address", "_options", "_pool", "_sock")

    def __init__(self, pool: Pool, options: Options, sock: socket.socket, address: Any) -> None:
        self._pool = pool
        self._options = options
        self._sock = sock
        self._address = address

    def descriptor(self) -> int:
        """What to wait for, until something can be written to it."""
        return self._sock.fileno()

    def keep(self) -> None:
        """Have it be idle in the pool, if it has been made. Else nobody connects to this address again."""
        try:
            refuse_failed(self._sock)
            conn = Connection(channel_of(self._sock, self._options))
        except OSError:
            self.close()
            forget_address(*self._pool.route[1:3], self._address)
        else:
            self._pool.give_back(conn)

    def close(self) -> None:
        """Give it up."""
        self._sock.close()


def begin(pool: Pool, options: Options, socket_options: list[tuple[int, int, int]]) -> Begun | None:
    """A connection for `pool`, by plain TCP.

    None where nobody is at any address that is known: a thread finds out why. The addresses of a name take
    turns, those of the family that the system prefers.
    """
    _, host, port, *_ = pool.route
    found = addresses_at_hand(host, port)
    while found:
        of_family = [item for item in found if item[0] == found[0][0]]
        family, kind, protocol, _, address = tried = of_family[next(_turns) % len(of_family)]
        try:
            return Begun(pool, options, begun(family, kind, protocol, address, socket_options), address)
        except OSError:
            forget_address(host, port, address)
            found = [item for item in found if item is not tried]
    return None
