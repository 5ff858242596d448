"""What arrives on one connection: heads through a small buffer, bodies straight to their place.

Heads are read from a buffer that a connection keeps, and split in one go: `http.client` and `email.parser`
take three quarters of the time of a small GET. Every receive is bounded by the `Pace` of its response.

A server that sends a head, and its body by another call, without TCP_NODELAY keeps the body back until the
head is acknowledged (RFC 896), which the kernel here puts off for 40 ms (RFC 1122, 4.2.3.2). So what has come
of an answer is acknowledged before the second receive, where that would have to wait, or where a body has
waited so long on this connection before. Once: the kernel goes on like that until the next request. What
comes in one piece costs nothing.
"""

from __future__ import annotations

import http.client
import re
from typing import Any

from .._values.models import Arrival
from .pace import Pace
from .timed_socket import Channel

MAX_HEADERS = 200
MAX_LINE = 65536  # bytes
_BUFFER = 8192  # holds a head and a small object; more of a body would be copied twice
# Bytes of an answer for which an event loop makes room, to receive all of it: a thread costs more than that.
_ROOM = 2**20
_KEPT = 2**16  # bytes of such room that a connection keeps for the next answer
_TO_STATUS = len("HTTP/1.1 ")
# An answer that needs no second look: the object is named by its ETag, and nothing is said that is a page's.
_GRANTED = re.compile(rb"http/1\.1 20[06][ \r]")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,7})\r\n")


class Incoming:
    """What arrives on one connection: through a buffer where little is wanted, else straight to its place."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._use(bytearray(_BUFFER))
        self._start = self._stop = 0
        self._ends_at = 0  # in the buffer, of an answer that an event loop receives; 0 until it is known
        self._pace: Pace | None = None
        self._receives = 0  # of this response, up to the second
        self._is_slow = (
            False  # whether a body has kept this connection waiting as long as for an acknowledgement
        )

    def _use(self, buffer: bytearray) -> None:
        self._buffer, self._view = buffer, memoryview(buffer)

    def expect(self, pace: Pace) -> None:
        """A new response begins, bounded by `pace`."""
        pace.in_body = False
        if self._pace is not None and self._pace.was_slow:
            self._is_slow = True
        self._pace = pace
        self._receives = 0 if self._start == self._stop else 1

    def body_begins(self) -> None:
        """The head was read: what comes now may take as long as it moves."""
        if self._pace is not None:
            self._pace.in_body = True

    @property
    def is_empty(self) -> bool:
        """Whether all that is in the buffer was taken."""
        return self._start == self._stop

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has been received, here or by TLS, that nobody asked for."""
        return self._start == self._stop and not self._channel.has_buffered()

    def comes_within(self, seconds: float, beside: int) -> bool:
        """Whether there is more than the `beside` bytes that end a chunk, or more comes within `seconds`."""
        return self._stop - self._start > beside or not self._channel.is_quiet(seconds)

    def _receive(self, view: memoryview, *, fill: bool = False) -> int:
        pace = self._next_receive()
        return self._channel.fill(view, pace) if fill else self._channel.receive(view, pace)

    def _next_receive(self) -> Pace:
        """A receive begins; what bounds it."""
        pace = self._pace
        assert pace is not None
        if self._receives < 2:
            if self._receives:
                self._channel.acknowledge(self._is_slow)
            self._receives += 1
        return pace

    def _refill(self) -> bool:
        """Receive into the buffer, whose bytes were all taken; False at the end of the connection."""
        self._start = self._stop = 0
        self._stop = self._receive(self._view)
        return self._stop > 0

    def answered(self) -> bool:
        """Whether a refusal has begun to come, or the connection has ended. It does not wait.

        A store may refuse before it has the whole request (RFC 9112, 9.5), and say 1xx before that. One that
        says 2xx so early may still read.
        """
        if self.is_empty:
            self._start = self._stop = 0
        if self._stop < len(self._view):
            count = self._channel.receive_available(self._view[self._stop :])
            if count == 0:
                return True
            self._stop += count or 0
        while self._stop - self._start > _TO_STATUS:
            kind = self._buffer[self._start + _TO_STATUS]
            if kind != ord("1"):
                return kind != ord("2")
            end = self._buffer.find(b"\r\n\r\n", self._start, self._stop)
            if end < 0:
                return False
            self._start = end + 4
        return False

    def has_ended(self) -> bool:
        """Whether the connection has ended, and nothing came before. It does not wait."""
        if not self.is_empty:
            return False
        self._start = self._stop = 0
        try:
            count = self._channel.receive_available(self._view)
        except OSError:  # a reset
            return True
        self._stop = count or 0
        return count == 0

    def arrival(self) -> Arrival:
        """Receive what has come of an answer, of at most `_ROOM` bytes. It does not wait."""
        if self.is_empty:
            self._start = self._stop = self._ends_at = 0
        found = self._received()
        if found is Arrival.NOTHING and self._makes_room():
            found = self._received()
        if found is Arrival.NOTHING and not self.is_empty:
            self._channel.acknowledge(True)
        return found

    def _received(self) -> Arrival:
        try:
            is_open = self._receive_available()
        except OSError:  # a reset, which the next receive tells too
            is_open = False
        return self._arrived() if is_open else Arrival.PART

    def _makes_room(self) -> bool:
        """Have a buffer for all of the answer, and for a byte behind it, which would be none of it."""
        if self._ends_at < len(self._view):
            return False
        buffer = bytearray(self._ends_at - self._start + 1)
        buffer[: self._stop - self._start] = self._view[self._start : self._stop]
        self._stop, self._ends_at = self._stop - self._start, self._ends_at - self._start
        self._start = 0
        self._use(buffer)
        return True

    def _receive_available(self) -> bool:
        """Receive what is there; False at the end of the connection."""
        while self._stop < len(self._view):
            count = self._channel.receive_available(self._view[self._stop :])
            if count == 0:
                return False
            self._stop += count or 0
            if not (count and self._channel.has_buffered()):
                break
        return True

    def _arrived(self) -> Arrival:
        """What is in the buffer; NOTHING where more is to come that belongs there, or into a larger one."""
        if not self._ends_at:
            end = self._buffer.find(b"\r\n\r\n", self._start, self._stop)
            if end < 0:
                return Arrival.NOTHING if self._stop < len(self._view) else Arrival.PART
            head = self._buffer[self._start : end + 2].lower()
            told = _LENGTH.search(head)
            is_plain = b"\r\netag:" in head and b"transfer-encoding" not in head and b"html" not in head
            if told is None or not is_plain or not _GRANTED.match(head):
                return Arrival.PART
            ends_at = end + 4 + int(told[1])
            if ends_at - self._start > _ROOM:
                return Arrival.PART
            self._ends_at = ends_at
        if self._stop < self._ends_at:
            return Arrival.NOTHING
        return Arrival.WHOLE if self._stop == self._ends_at else Arrival.PART

    # --- heads ---

    def head(self) -> list[str]:
        """The lines of a head, without their ends; at least one."""
        if self._start == self._stop and not self._refill():
            raise http.client.RemoteDisconnected("the connection was closed before a response")
        end = self._buffer.find(b"\r\n\r\n", self._start, self._stop)
        if end >= 0:
            found = self._buffer[self._start : end].decode("latin-1")
            lines = found.split("\r\n")
            if found.count("\n") == len(lines) - 1 and all(lines) and len(lines) <= MAX_HEADERS:
                self._start = end + 4
                return lines
        return self._lines()

    def _lines(self) -> list[str]:
        """The lines of a head that is long, comes in pieces, or ends its lines with LF alone."""
        lines: list[str] = []
        while len(lines) <= MAX_HEADERS + 1:
            line = self.line()
            if not line:
                if lines:
                    return lines
                raise http.client.BadStatusLine("an empty line")
            lines.append(line)
        raise http.client.HTTPException(f"got more than {MAX_HEADERS} headers")

    def line(self) -> str:
        """One line without its end. IncompleteRead where the connection ends before, LineTooLong."""
        pieces = []
        size = 0
        while True:
            end = self._buffer.find(b"\n", self._start, self._stop)
            stop = self._stop if end < 0 else end + 1
            pieces.append(bytes(self._view[self._start : stop]))
            size += stop - self._start
            self._start = stop
            if size > MAX_LINE:
                raise http.client.LineTooLong("header line")
            if end >= 0:
                return b"".join(pieces).rstrip(b"\r\n").decode("latin-1")
            if not self._refill():
                raise http.client.IncompleteRead(b"")

    # --- bodies ---

    def readinto(self, view: Any) -> int:
        """What is there, or what one receive brings; 0 at the end of the connection."""
        if self.is_empty:
            if len(view) >= _BUFFER:
                return self._receive(view)
            self._refill()
        return self._take(view)

    def fill(self, view: memoryview) -> int:
        """Read bytes of a body that has at least as many as `view`: as many as come in time."""
        return self._receive(view, fill=True) if self._start == self._stop else self._take(view)

    def fill_within(self, view: memoryview, seconds: float) -> int | None:
        """As `fill`; None where nothing comes within `seconds`."""
        if self._start != self._stop:
            return self._take(view)
        return self._channel.receive_within(view, self._next_receive(), seconds)

    def take(self, count: int) -> bytes | None:
        """Some of a body that has `count` bytes, without a copy; None where they go through a buffer."""
        return self._channel.take(count, self._next_receive()) if self.is_empty else None

    def _take(self, view: Any) -> int:
        count = min(len(view), self._stop - self._start)
        view[:count] = self._view[self._start : self._start + count]
        self._start += count
        if self._start == self._stop and len(self._view) > _KEPT:
            self._use(bytearray(_BUFFER))
            self._start = self._stop = 0
        return count
