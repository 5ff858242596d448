"""The socket of a connection: every call on it ends in time.

On Linux the kernel keeps the time of a plain socket (SO_RCVTIMEO and SO_SNDTIMEO, socket(7)). Python would
ask poll() before each call, and come back for every segment where recv() can wait for all of them.
"""

from __future__ import annotations

import _socket
import os
import select
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ._options import Options

_SENDFILE_SLICE = 2**20
_LEAST = 0.001  # seconds; none at all would be no limit to the kernel
_TURN = 1.0  # seconds


class Pace:
    """Bounds one direction of one exchange: a time-out per call, a minimum rate, a deadline."""

    __slots__ = ("_began", "_deadline", "_least", "_moved", "_timeout", "_waited", "_window")

    def __init__(self, options: Options, timeout: float, deadline: float, patient: bool) -> None:
        self._timeout = timeout
        self._deadline = deadline
        self._least = 0.0 if patient else options.min_rate * options.min_rate_window
        self._window = options.min_rate_window
        self._waited = self._began = 0.0
        self._moved = 0

    def allowance(self) -> float:
        """A call begins; returns the seconds that it may take."""
        self._began = now = time.monotonic()
        left = self._deadline - now
        if left <= 0:
            raise TimeoutError("the deadline of the request has passed")
        return self._timeout if self._timeout < left else left

    def moved(self, count: int) -> None:
        """The call ended. Only time spent waiting for the peer counts, not the time the caller takes."""
        self._moved += count
        self._waited += time.monotonic() - self._began
        if self._waited < self._window:
            return
        if self._moved < self._least:
            raise TimeoutError(f"only {self._moved} bytes in {self._waited:.0f} s, slower than min_rate")
        self._waited, self._moved = 0.0, 0


class Channel:
    """A connected socket, TLS or not. Calls take the seconds that they may last, or raise TimeoutError."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._news = select.poll() if hasattr(select, "poll") else None
        if self._news is not None:
            self._news.register(sock, select.POLLIN)
        self.sends_files = _is_plain(sock) and hasattr(os, "sendfile")
        self.holds = _held_by(sock)  # whether bytes have been received that no poll() would show

    def _limit(self, seconds: float) -> None:
        if self._sock.gettimeout() != seconds:  # setting it is a system call
            self._sock.settimeout(seconds)

    def is_quiet(self) -> bool:
        """Whether neither a byte nor the end of the connection has come."""
        if self.holds():
            return False
        if self._news is None:
            return not select.select((self._sock,), (), (), 0)[0]
        return not self._news.poll(0)

    def send(self, view: memoryview, seconds: float) -> int:
        """Send some bytes of `view`; returns how many."""
        self._limit(seconds)
        count: int = self._sock.send(view)
        return count

    def receive(self, view: memoryview, seconds: float) -> int:
        """Receive what there is, once there is something; 0 at the end of the connection."""
        self._limit(seconds)
        count: int = self._sock.recv_into(view)
        return count

    def fill(self, view: memoryview, seconds: float) -> int:
        """The same where all of `view` is to come: waiting for more of it is allowed."""
        return self.receive(view, seconds)

    def send_file(self, descriptor: int, position: int, count: int, seconds: float) -> int:
        """Send some bytes of an open file without bringing them to user space; 0 at its end."""
        self._limit(seconds)  # puts the socket into non-blocking mode
        count = min(count, _SENDFILE_SLICE)
        ready = select.poll()  # select() knows no descriptor above 1,023
        ready.register(self._sock, select.POLLOUT)
        while True:
            if not ready.poll(seconds * 1000):
                raise TimeoutError("timed out")
            try:
                return os.sendfile(self._sock.fileno(), descriptor, position, count)
            except BlockingIOError:
                continue


class KernelTimed(Channel):
    """A plain socket on Linux.

    The kernel comes back every `turn` seconds and tells what has moved, so that the rate can be judged.
    """

    def __init__(self, sock: Any, turn: float) -> None:
        super().__init__(sock)
        sock.settimeout(None)
        self._turn = turn
        self._seconds = {socket.SO_RCVTIMEO: 0.0, socket.SO_SNDTIMEO: 0.0}

    def _limit_of(self, direction: int, seconds: float) -> None:
        seconds = min(max(seconds, _LEAST), self._turn)
        if self._seconds[direction] != seconds:  # mostly it is a turn
            whole, fraction = divmod(seconds, 1)
            timeval = struct.pack("ll", int(whole), int(fraction * 1e6))
            self._sock.setsockopt(socket.SOL_SOCKET, direction, timeval)
            self._seconds[direction] = seconds

    def send(self, view: memoryview, seconds: float) -> int:
        self._limit_of(socket.SO_SNDTIMEO, seconds)
        try:
            count: int = self._sock.send(view)
        except BlockingIOError:
            return self._again(socket.SO_SNDTIMEO, seconds, lambda: self._sock.send(view))
        return count

    def receive(self, view: memoryview, seconds: float, flags: int = 0) -> int:
        self._limit_of(socket.SO_RCVTIMEO, seconds)
        try:
            count: int = self._sock.recv_into(view, 0, flags)
        except BlockingIOError:
            return self._again(socket.SO_RCVTIMEO, seconds, lambda: self._sock.recv_into(view, 0, flags))
        return count

    def _again(self, direction: int, seconds: float, call: Callable[[], int]) -> int:
        """Nothing moved in the first turn."""
        while (seconds := seconds - self._turn) > 0:
            self._limit_of(direction, seconds)
            with suppress(BlockingIOError):
                return call()
        raise TimeoutError("timed out")

    def fill(self, view: memoryview, seconds: float) -> int:
        return self.receive(view, seconds, socket.MSG_WAITALL)

    def send_file(self, descriptor: int, position: int, count: int, seconds: float) -> int:
        # The kernel would allow the time for each of the pieces that it moves.
        try:
            return super().send_file(descriptor, position, count, seconds)
        finally:
            self._sock.settimeout(None)


def _held_by(sock: Any) -> Callable[[], bool]:
    """Tells whether a layer of TLS has received more than was read: the rest of a record (SSL_pending(3))."""
    if isinstance(getattr(sock, "incoming", None), ssl.MemoryBIO):  # urllib3's TLS within the TLS of a proxy
        inner, incoming, outer = sock.sslobj, sock.incoming, _held_by(sock.socket)
        return lambda: inner.pending() > 0 or incoming.pending > 0 or outer()
    pending = getattr(sock, "pending", None)
    if pending is None:
        return lambda: False
    return lambda: pending() > 0


def _is_plain(sock: Any) -> bool:
    """Neither TLS nor a socket of gevent's or the like, which are another thing to the kernel."""
    return type(sock).recv_into is _socket.socket.recv_into


def channel_of(sock: Any, options: Options) -> Channel:
    """What is best for the connected socket `sock`."""
    if sys.platform == "linux" and _is_plain(sock):
        return KernelTimed(sock, min(_TURN, options.min_rate_window))
    return Channel(sock)
