"""A TCP proxy that makes loopback look like S3: a round trip of 25 ms, 80 MB/s at most per connection.

Each direction of a connection is a delay line: one thread reads and notes when the bytes are due, another
sends them then. Opening a connection costs one round trip more, like the handshake of TCP.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress

ROUND_TRIP = 0.025
RATE = 80e6
_CHUNK = 2**17
_AHEAD = 0.004  # how far the reader may be ahead of the line: what bounds the memory


class Proxy:
    """Accepts on `listener` and connects each connection to `target`."""

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self._listener = listener
        self._target = target

    def run(self) -> None:
        """Accept for ever."""
        while True:
            near, _ = self._listener.accept()
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        far = socket.create_connection(self._target)
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _Line(near, far, time.monotonic() + ROUND_TRIP).start()
        _Line(far, near, 0.0).start()


class _Line:
    """One direction: from `source` to `sink`, nothing before `opened`."""

    def __init__(self, source: socket.socket, sink: socket.socket, opened: float) -> None:
        self._source = source
        self._sink = sink
        self._free = opened  # when the line has carried all that was read
        self._due: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def start(self) -> None:
        """Begin to carry."""
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._write, daemon=True).start()

    def _read(self) -> None:
        data = b"-"
        while data:
            try:
                data = self._source.recv(_CHUNK)
            except OSError:
                data = b""
            now = time.monotonic()
            self._free = max(now, self._free) + len(data) / RATE
            self._due.put((self._free + ROUND_TRIP / 2, data))
            if self._free - now > _AHEAD:
                time.sleep(self._free - now - _AHEAD)

    def _write(self) -> None:
        with suppress(OSError):  # the other side may have gone
            while True:
                due, data = self._due.get()
                wait = due - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                if not data:
                    break
                self._sink.sendall(data)
        with suppress(OSError):
            self._sink.shutdown(socket.SHUT_WR)
