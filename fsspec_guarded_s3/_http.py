"""One HTTP/1.1 response on a socket, bounded in every receive: head, body, and nothing copied on the way.

`http.client` knows chunked bodies and where a body ends; heads are parsed here, since `email.parser` takes
half of the time of a small GET.
"""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._errors import IncompleteBodyError, ProtocolError, ReadTimeoutError, TransportError
from ._options import Options

_MAX_HEADERS = 200
_MAX_LINE = 65536


class Pace:
    """Bounds one direction of one exchange: a time-out per call, a minimum rate, a deadline."""

    def __init__(self, options: Options, timeout: float, deadline: float, patient: bool) -> None:
        self._timeout = timeout
        self._deadline = deadline
        self._least = 0.0 if patient else options.min_rate * options.min_rate_window
        self._window = options.min_rate_window
        self._waited = 0.0
        self._moved = 0

    def allowance(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the request has passed")
        return min(self._timeout, left)

    def moved(self, count: int, waited: float) -> None:
        """Only time spent waiting for the peer counts, not the time the caller takes."""
        self._moved += count
        self._waited += waited
        if self._waited < self._window:
            return
        if self._moved < self._least:
            raise TimeoutError(f"only {self._moved} bytes in {self._waited:.0f} s, slower than min_rate")
        self._waited, self._moved = 0.0, 0


def limit(sock: Any, pace: Pace) -> None:
    allowance = pace.allowance()
    if sock.gettimeout() != allowance:  # setting it is a system call
        sock.settimeout(allowance)


class BoundedSocketIO(io.RawIOBase):
    """What `http.client` reads from: a socket whose every recv is bounded."""

    def __init__(self, sock: Any, pace: Pace) -> None:
        self._sock = sock
        self._pace = pace
        self.received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        limit(self._sock, self._pace)
        began = time.monotonic()
        count: int = self._sock.recv_into(buffer)
        self.received += count
        self._pace.moved(count, time.monotonic() - began)
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """Called by `http.client.HTTPResponse`, which takes us for the socket."""
        return io.BufferedReader(self, 65536)


class Head(http.client.HTTPResponse):
    """`http.client`'s response with a head that is parsed without `email.parser`."""

    fields: dict[str, str]

    def begin(self) -> None:
        while True:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            fields = self._read_fields()
            if not 100 <= status < 200:
                break
        self.status, self.reason, self.fields = status, reason.strip(), fields
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.chunked = fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = None if self.chunked else self._content_length(fields)
        connection = fields.get("connection", "").lower()
        self.will_close = "close" in connection or (self.version == 10 and "keep-alive" not in connection)
        if status in (204, 304) or self._method == "HEAD":  # type: ignore[attr-defined]
            self.length = 0
        elif not self.chunked and self.length is None:
            self.will_close = True

    def _read_lines(self) -> list[bytes]:
        """The lines of the head after the first, without their ends."""
        # `readline` line by line costs three times as much; usually the whole head is there at once.
        ahead: bytes = self.fp.peek(1)
        end = ahead.find(b"\r\n\r\n", 0, _MAX_LINE)
        if end >= 0 and not ahead.startswith(b"\r\n") and b"\n" not in ahead[:end].replace(b"\r\n", b""):
            self.fp.read(end + 4)
            lines = ahead[:end].split(b"\r\n")
            if len(lines) > _MAX_HEADERS:
                raise http.client.HTTPException(f"got more than {_MAX_HEADERS} headers")
            return lines
        lines = []
        while len(lines) <= _MAX_HEADERS:
            line = self.fp.readline(_MAX_LINE + 1)
            if len(line) > _MAX_LINE:
                raise http.client.LineTooLong("header line")
            if line in (b"\r\n", b"\n"):
                return lines
            if not line:
                raise http.client.IncompleteRead(b"")
            lines.append(line.rstrip(b"\r\n"))
        raise http.client.HTTPException(f"got more than {_MAX_HEADERS} headers")

    def _read_fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        last = ""
        for line in self._read_lines():
            text = line.decode("latin-1")
            if text[0] in " \t" and last:  # obsolete folding, RFC 9112, 5.2
                fields[last] += " " + text.strip()
                continue
            name, colon, value = text.partition(":")
            if not colon:
                raise http.client.HTTPException(f"header line without a colon: {name[:40]!r}")
            last = name.lower()
            value = value.strip()
            fields[last] = f"{fields[last]}, {value}" if last in fields else value
        return fields

    @staticmethod
    def _content_length(fields: dict[str, str]) -> int | None:
        text = fields.get("content-length")
        if text is None:
            return None
        values = {value.strip() for value in text.split(",")}
        value = values.pop()
        if values or not value.isdecimal():  # RFC 9112, 6.3: differing lengths are an attack or a bug
            raise http.client.HTTPException("the Content-Length is not one number")
        return int(value)


class HTTPBody:
    """A response whose head was read, and the body that is still to come. Use it in a `with`."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self.status: int = head.status
        self.headers: dict[str, str] = head.fields
        self.length: int | None = head.length

    def readinto(self, view: memoryview) -> int:
        """Fill `view` from the body; returns the bytes read, 0 at the end.

        Raises ReadTimeoutError, IncompleteBodyError.
        """
        with translated():
            expected = self._head.length
            count = self._head.readinto(view)
            if count == 0 and len(view) and expected:
                raise IncompleteBodyError(f"the connection ended {expected} bytes before the end of the body")
            return count

    def read(self, limit: int = 256 * 2**20) -> bytes:
        """The whole body, for answers that are small by nature; ProtocolError above `limit` bytes."""
        with translated():
            if self._head.length is None:
                data = self._head.read(limit + 1)
            else:
                if self._head.length > limit:
                    raise ProtocolError(
                        f"an answer of {self._head.length} bytes where at most {limit} belong"
                    )
                data = self._head.read()
        if len(data) > limit:
            raise ProtocolError(f"an answer of more than {limit} bytes")
        return data

    @property
    def reusable(self) -> bool:
        """Whether the connection is clean: the body was read to its end and nobody wants to close."""
        head = self._head
        if head.fp is not None and head.length == 0 and not head.chunked:
            head.close()
        return head.isclosed() and not head.will_close


@contextmanager
def translated() -> Iterator[None]:
    """Foreign exceptions become ours, with the cause kept."""
    try:
        yield
    except TransportError:
        raise
    except TimeoutError as error:
        raise ReadTimeoutError(f"no answer in time: {error}") from error
    except http.client.RemoteDisconnected as error:
        raise IncompleteBodyError("the connection was closed before a response") from error
    except http.client.IncompleteRead as error:
        raise IncompleteBodyError("the connection ended before the whole response had arrived") from error
    except (http.client.HTTPException, ValueError) as error:
        raise ProtocolError(f"not a valid HTTP response: {error}") from error
    except OSError as error:
        raise IncompleteBodyError(f"the connection broke: {error}") from error
