"""The socket of a connection: every call on it ends in time.

A call waits by turns, each with a deadline of its own: signals may come as often as they like. After each
turn it is looked whether anybody still waits, and whether the peer has taken of what was sent before: bytes
that the kernel holds are on their way, and a transfer that moves is not one that stands.

On Linux a plain socket is blocking, with a time-out that the kernel keeps (SO_RCVTIMEO and SO_SNDTIMEO,
socket(7)): so recv() can wait for all of a large piece, and need not come back for every segment. Those
time-outs begin anew after every signal, which is why poll() waits for the first byte.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._work import TURN, check, is_of_a_handler, must_wait
from ..options import Options
from .pace import Pace
from .readiness import READ, WRITE, is_readable, is_writable, poller

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

try:  # what `socket.socket` inherits, whoever has put another class in its place: a private module
    import _socket

    _RECV_INTO = getattr(getattr(_socket, "socket", None), "recv_into", None)
except ImportError:
    _RECV_INTO = None

_LOOK = 0.001  # seconds that a look takes at most, when the time is over
_NO_WAIT = getattr(socket, "MSG_DONTWAIT", 0)

_SENDFILE_SLICE = 2**20
_RECORD = 2**14  # bytes in one record of TLS (RFC 8446, 5.1)
_QUICKACK: int = getattr(socket, "TCP_QUICKACK", 0)
_SO_NWRITE = 0x1024  # macOS: <sys/socket.h>
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class EarlyAnswerError(ConnectionError):
    """The store answered before it had the whole request."""


def _unanswered() -> bool:
    return False


class Channel:
    """A connected socket, TLS or not. Calls take the pace that bounds them, or raise TimeoutError."""

    def __init__(self, sock: Any, turn: float = TURN) -> None:
        self.sock = self._sock = sock
        self._turn = turn
        self._readable = poller(sock, READ)
        self.sends_files = _is_plain(sock) and hasattr(os, "sendfile")
        self.has_buffered = _buffered_check(sock)
        self._carrier = _carrier(sock)

    def acknowledge(self, at_once: bool) -> None:
        """Acknowledge what was received, `at_once` or if nothing more is there: on Linux (tcp(7))."""
        if _QUICKACK and self._carrier is not None and (at_once or self.is_quiet()):
            with suppress(OSError):  # a connection that has ended tells so by itself
                self._carrier.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def descriptor(self) -> int | None:
        """What an event loop can wait for, where what is received comes from there alone."""
        return None if self._readable is None else int(self._sock.fileno())

    def _limit(self, seconds: float) -> None:
        if self._sock.gettimeout() != seconds:  # setting it is a system call
            self._sock.settimeout(seconds)

    def is_quiet(self, seconds: float = 0.0) -> bool:
        """Whether neither a byte nor the end of the connection has come, or comes within `seconds`."""
        if self.has_buffered():
            return False
        if self._readable is None:
            return not is_readable(self._sock, seconds)
        return not self._readable.poll(seconds * 1000)

    def receive_available(self, view: memoryview) -> int | None:
        """Receive what has arrived; None where that is nothing, 0 at the end of the connection."""
        if self.is_quiet():
            return None
        self._limit(0)
        with suppress(*_NOTHING_YET):  # TLS: a message that is not for us
            count: int = self._sock.recv_into(view)
            return count
        return None

    def send(self, view: memoryview, pace: Pace, answered: Callable[[], bool] = _unanswered) -> int:
        """Send some bytes of `view`; returns how many. EarlyAnswerError when `answered()` while it waits."""
        if view.nbytes > _RECORD:  # TLS sends record by record, and each may have to wait
            must_wait()

        def turn(seconds: float) -> int | None:
            self._limit(seconds)
            try:
                count: int = self._sock.send(view)
            except TimeoutError as error:
                if is_of_a_handler(error):
                    raise
                return None
            return count

        return self._in_turns(pace, turn, answered)

    def receive(self, view: memoryview, pace: Pace) -> int:
        """Receive what has arrived, once that is something; 0 at the end of the connection."""

        def turn(seconds: float) -> int | None:
            self._limit(seconds)
            try:
                count: int = self._sock.recv_into(view)
            except TimeoutError as error:
                if is_of_a_handler(error):
                    raise
                return None
            return count

        return self._in_turns(pace, turn)

    def receive_within(self, view: memoryview, pace: Pace, seconds: float) -> int | None:
        """As `receive`; None where nothing comes within `seconds`."""
        self._limit(seconds)
        try:
            count: int = self._sock.recv_into(view)  # TLS keeps what it has of a record
        except TimeoutError as error:
            if is_of_a_handler(error):
                raise
            return None
        pace.moved(count)
        return count

    def fill(self, view: memoryview, pace: Pace) -> int:
        """Receive bytes of a body that has at least as many as `view`: it may wait until all have come."""
        return self.receive(view, pace)

    def take(self, count: int, pace: Pace) -> bytes | None:
        """Receive some of a body that has `count` bytes; None where they have to go through a buffer."""
        return None

    def send_file(
        self,
        descriptor: int,
        position: int,
        count: int,
        pace: Pace,
        answered: Callable[[], bool] = _unanswered,
    ) -> int:
        """Send some bytes of an open file without bringing them to user space; 0 at its end."""
        self._limit(0)
        count = min(count, _SENDFILE_SLICE)

        def turn(seconds: float) -> int | None:
            if sys.platform != "win32":  # `sends_files` says so
                with suppress(BlockingIOError):
                    return os.sendfile(self._sock.fileno(), descriptor, position, count)
                is_writable(self._sock, seconds)
                with suppress(BlockingIOError):
                    return os.sendfile(self._sock.fileno(), descriptor, position, count)
            return None

        return self._in_turns(pace, turn, answered)

    def _in_turns(
        self, pace: Pace, turn: Callable[[float], int | None], answered: Callable[[], bool] = _unanswered
    ) -> int:
        """Call `turn` with the seconds that it may take until it has moved something."""
        seconds = pace.allowance()
        count = turn(seconds if seconds < self._turn else self._turn)
        if count is None:
            count = self._further_turns(pace, seconds, turn, answered)
        pace.moved(count)
        return count

    def _further_turns(
        self, pace: Pace, seconds: float, turn: Callable[[float], int | None], answered: Callable[[], bool]
    ) -> int:
        """What `_in_turns` does once nothing has moved in the first turn."""
        since, unsent_before = time.monotonic(), self._queued()
        until = since + seconds - self._turn
        while not answered():
            check()
            left = until - time.monotonic()
            # Looked at last, too: this process may have stood still while something came.
            count = turn(min(max(left, _LOOK), self._turn))
            if count is not None:
                return count
            now, unsent = time.monotonic(), self._queued()
            if pace.is_kept_up(unsent_before - unsent, now - since):
                since, unsent_before, until = now, unsent, now + pace.allowance()
            elif left <= 0:
                until = time.monotonic() + pace.extend()
        raise EarlyAnswerError("the store answered before it had the whole request")

    def _queued(self) -> int:
        """Bytes that were sent and that the peer has not confirmed (tcp(7), SIOCOUTQ); 0 where unknown."""
        with suppress(OSError):
            if sys.platform == "linux" and fcntl is not None:
                answer = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(4))
                return int(struct.unpack("i", answer)[0])
            if sys.platform == "darwin":
                count: int = self._sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
                return count
        return 0


class KernelTimed(Channel):
    """A plain socket on Linux."""

    def __init__(self, sock: Any, turn: float = TURN) -> None:
        """Raises OSError where the system keeps no such time."""
        super().__init__(sock, turn)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, _timeval(sock, option, turn))
        sock.settimeout(None)
        writable = poller(sock, WRITE)
        assert writable is not None
        self._writable = writable

    def receive_available(self, view: memoryview) -> int | None:
        with suppress(BlockingIOError):
            count: int = self._sock.recv_into(view, 0, _NO_WAIT)
            return count
        return None

    def send(self, view: memoryview, pace: Pace, answered: Callable[[], bool] = _unanswered) -> int:
        sock = self._sock
        pace.allowance()
        try:
            sent: int = sock.send(view, _NO_WAIT)
        except BlockingIOError:
            must_wait()
        else:  # mostly: what is sent is small
            pace.moved(sent)
            return sent

        def turn(seconds: float) -> int | None:
            if self._writable.poll(seconds * 1000):
                with suppress(BlockingIOError):
                    count: int = sock.send(view)
                    return count
            return None

        return self._in_turns(pace, turn, answered)

    def receive(self, view: memoryview, pace: Pace, flags: int = 0) -> int:
        sock, news = self._sock, self._readable
        assert news is not None
        seconds = pace.allowance()
        if news.poll(1000 * (seconds if seconds < self._turn else self._turn)):  # mostly, and at once
            try:
                received: int = sock.recv_into(view, 0, flags)
            except BlockingIOError:
                pass
            else:
                pace.moved(received)
                return received

        def turn(seconds: float) -> int | None:
            if not news.poll(seconds * 1000):
                return None
            try:
                count: int = sock.recv_into(view, 0, flags)
            except BlockingIOError:
                return None
            return count

        return self._in_turns(pace, turn)

    def receive_within(self, view: memoryview, pace: Pace, seconds: float) -> int | None:
        return None if self.is_quiet(seconds) else self.receive(view, pace)

    def fill(self, view: memoryview, pace: Pace) -> int:
        return self.receive(view, pace, socket.MSG_WAITALL)

    def take(self, count: int, pace: Pace) -> bytes | None:
        sock, news = self._sock, self._readable
        assert news is not None
        data = b""

        def turn(seconds: float) -> int | None:
            nonlocal data
            if not news.poll(seconds * 1000):
                return None
            with suppress(BlockingIOError):
                # Into memory that nobody has touched: a buffer of zeros is written twice.
                data = sock.recv(count, socket.MSG_WAITALL)
                return len(data)
            return None

        self._in_turns(pace, turn)
        return data

    def send_file(
        self,
        descriptor: int,
        position: int,
        count: int,
        pace: Pace,
        answered: Callable[[], bool] = _unanswered,
    ) -> int:
        # The kernel would allow the time for each of the pieces that it moves.
        try:
            return super().send_file(descriptor, position, count, pace, answered)
        finally:
            self._sock.settimeout(None)


def _timeval(sock: Any, option: int, seconds: float) -> bytes:
    """`seconds` as the C structure of `option` (socket(7)).

    Its numbers have 64 bits where `time_t` has, which a 32-bit system may have been built with; there the
    option has another number, by which the kernel knows. What is set now tells their size.
    """
    number = {8: "i", 16: "q"}[len(sock.getsockopt(socket.SOL_SOCKET, option, 16))]
    whole, fraction = divmod(seconds, 1)
    return struct.pack(f"={number}{number}", int(whole), int(fraction * 1e6))


def _buffered_check(sock: Any) -> Callable[[], bool]:
    """A function: whether TLS holds bytes that no poll() shows, the rest of a record (SSL_pending(3))."""
    if isinstance(getattr(sock, "incoming", None), ssl.MemoryBIO):  # urllib3's TLS within the TLS of a proxy
        inner, incoming, outer = sock.sslobj, sock.incoming, _buffered_check(sock.socket)
        return lambda: inner.pending() > 0 or incoming.pending > 0 or outer()
    pending = getattr(sock, "pending", None)
    if pending is None:
        return bool  # is False, and is called for each answer
    return lambda: pending() > 0


def _carrier(sock: Any) -> socket.socket | None:
    """The TCP socket below `sock`, which may be TLS within the TLS of a proxy; None where there is none."""
    while not hasattr(sock, "setsockopt"):
        sock = getattr(sock, "socket", None)
        if sock is None:
            return None
    return sock if sock.family in (socket.AF_INET, socket.AF_INET6) else None


def _is_plain(sock: Any) -> bool:
    """Neither TLS nor a socket of gevent's or the like, which are another thing to the kernel."""
    return _RECV_INTO is not None and type(sock).recv_into is _RECV_INTO


def channel_of(sock: Any, options: Options) -> Channel:
    """What is best for the connected socket `sock`."""
    turn = min(TURN, options.min_rate_window)
    if sys.platform == "linux" and _is_plain(sock):
        with suppress(OSError, KeyError):  # sandboxes that speak for Linux may not know all of it
            return KernelTimed(sock, turn)
    return Channel(sock, turn)
