"""How far away a store is: what each answer waits for, and how fast a connection carries it.

The server does it itself: a thread that sleeps costs nothing, where a proxy would copy every byte twice on
the cores that server and peer share.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

_PIECE = 2**17
_AHEAD = 0.002


@dataclass(frozen=True)
class Link:
    """`delay` seconds for each answer and for opening a connection; `rate` bytes a second on each."""

    delay: float
    rate: float

    def wait(self) -> None:
        """The time of one round trip."""
        time.sleep(self.delay)

    def send(self, sock: socket.socket, data: bytes | memoryview) -> None:
        """Send all of `data` as fast as the connection may."""
        view = memoryview(data)
        due = time.monotonic()
        for begin in range(0, len(view), _PIECE):
            piece = view[begin : begin + _PIECE]
            sock.sendall(piece)
            due = max(due, time.monotonic() - _AHEAD) + len(piece) / self.rate
            if due - time.monotonic() > _AHEAD:
                time.sleep(due - time.monotonic())


RATE = 80e6
NEAR, FAR = Link(0.025, RATE), Link(0.100, RATE)
