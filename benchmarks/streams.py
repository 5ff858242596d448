"""Request bodies of the benchmark server: by length, chunked, and S3's own `aws-chunked` inside of either."""

from __future__ import annotations

import socket
from collections.abc import Iterator

_SINK = 2**20
_FEW = 4096
_EMPTY = memoryview(b"")


class Closed(Exception):
    """The peer closed the connection."""


class Stream:
    """A source of bytes; `some` returns up to `limit` of them, none at the end."""

    def some(self, limit: int) -> memoryview:
        """Up to `limit` bytes, valid until the next call."""
        raise NotImplementedError

    def line(self) -> bytes:
        """Up to the next line feed, stripped."""
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = self.some(1)
            if not piece:
                raise Closed
            line += piece
        return bytes(line).strip()

    def pieces(self) -> Iterator[memoryview]:
        """All that is left."""
        while piece := self.some(_SINK):
            yield piece


class Socket(Stream):
    """The bytes of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self._sink = memoryview(bytearray(_SINK))

    def head(self) -> bytes | None:
        """The next request's head, without the empty line; None when the peer closed."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            received = self._sock.recv(65536)
            if not received:
                return None
            self._buffer += received
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        return head

    def some(self, limit: int) -> memoryview:
        if not self._buffer and limit < _FEW:
            self._buffer = self._sock.recv(65536)
        if self._buffer:
            piece, self._buffer = self._buffer[:limit], self._buffer[limit:]
            return memoryview(piece)
        count = self._sock.recv_into(self._sink, min(limit, _SINK))
        if not count:
            raise Closed
        return self._sink[:count]


class Length(Stream):
    """The next `left` bytes of another stream."""

    def __init__(self, inner: Stream, left: int) -> None:
        self._inner = inner
        self._left = left

    def some(self, limit: int) -> memoryview:
        if not self._left:
            return _EMPTY
        piece = self._inner.some(min(limit, self._left))
        self._left -= len(piece)
        return piece


class Chunks(Stream):
    """The content of a chunked body; `trailers` is there after its end."""

    def __init__(self, inner: Stream) -> None:
        self._inner = inner
        self._left = 0
        self._begun = False
        self._ended = False
        self.trailers: dict[str, str] = {}

    def some(self, limit: int) -> memoryview:
        if self._ended:
            return _EMPTY
        if not self._left:
            if self._begun:
                self._inner.line()  # what ends a chunk
            self._begun = True
            self._left = int(self._inner.line().split(b";")[0], 16)
            if not self._left:
                self._end()
                return _EMPTY
        piece = self._inner.some(min(limit, self._left))
        self._left -= len(piece)
        return piece

    def _end(self) -> None:
        self._ended = True
        while line := self._inner.line():
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers[name.strip().lower()] = value.strip()
