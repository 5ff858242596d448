"""One HTTP/1.1 response on a connection: its head, and its body, which goes straight to its place.

The exceptions are those of `http.client`, until they are `translated`.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from .._values.bodies import zeros
from .._work import is_of_a_handler
from ..errors import (
    IncompleteBodyError,
    PreconditionUnsupportedError,
    ProtocolError,
    ReadTimeoutError,
    ResponseError,
    TransportError,
)
from .incoming import MAX_HEADERS, Incoming

# White space of RFC 9110, 5.5: in text that is read as Latin-1 two bytes of UTF-8 would be white space too.
_SPACE = " \t"
_PATIENCE = 0.1  # seconds: somebody may wait for the first of the bytes that are received
_READ_SIZE = 65536  # bytes to read at once where the head tells no length
ALTERED = (
    "the store, or a proxy, changes the object on its way. Some decompress what has a Content-Encoding: "
    "store it without one, or with CacheControl no-transform"
)
_CHUNK_SIZE = re.compile(r"[0-9A-Fa-f]{1,16}")
_STATUS = re.compile(r"(HTTP/[^ ]*) +([1-9]\d\d)(?: .*)?")


class _Chunks:
    """A body in chunks (RFC 9112, 7.1)."""

    __slots__ = ("_between", "_incoming", "_left", "ended")

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._left = 0  # bytes of the chunk that is being read
        self._between = False  # whether the end of a chunk's line is to come
        self.ended = False

    def readinto(self, view: memoryview) -> int:
        """What is there, or what one receive brings, of one chunk; 0 at the end of the body."""
        if not self._left and not self.ended:
            self._left = self._next_size()
            if not self._left:
                self._skip_trailers()
                self.ended = True
        if self.ended:
            return 0
        with view[: self._left] as part:
            count = self._incoming.readinto(part)
        if not count:
            raise http.client.IncompleteRead(b"")
        self._left -= count
        return count

    def _next_size(self) -> int:
        """1*HEXDIG and nothing else: `int` takes a sign, 0x and underscores too, and -1 would never come."""
        if self._between and (rest := self._incoming.line()):
            raise http.client.HTTPException(f"a chunk is longer than it said: {rest[:40]!r}")
        self._between = True
        size = self._incoming.line().partition(";")[0].strip(_SPACE)  # without extensions
        if not _CHUNK_SIZE.fullmatch(size):
            raise http.client.HTTPException(f"the size of a chunk is {size[:40]!r}")
        return int(size, 16)

    def _skip_trailers(self) -> None:
        """Bounded as a head is: lines that come move."""
        with suppress(http.client.IncompleteRead):  # all of the body has come
            for _ in range(MAX_HEADERS + 1):
                if not self._incoming.line():
                    return
            raise http.client.HTTPException(f"got more than {MAX_HEADERS} trailers")


class HTTPBody:
    """A response whose head was read, and the body that is still to come. Use it in a `with`.

    `length` is that of the body where the head tells it, else None. At the end `release` is told whether
    the connection is clean, and the status.
    """

    is_reused: bool | None = None  # whether the connection had served before, where that is known
    _heard: Callable[[BaseException | None], None] | None = None
    _unsized = 0  # bytes that were read of a body whose length nobody told

    def __init__(self, incoming: Incoming, method: str, release: Callable[[bool, int], None]) -> None:
        self._incoming = incoming
        self._release = release
        self._failed: TransportError | None = None
        self._chunked: _Chunks | None = None
        version, self.status, lines = "", 0, []
        while self.status < 200:  # 1xx are interim responses (RFC 9110, 15.2)
            lines = incoming.head()
            version, self.status = _status(lines[0])
        self.headers = headers = _fields(lines)
        connection = headers.get("connection", "").lower()
        old = version in ("HTTP/1.0", "HTTP/0.9")
        self.will_close = "close" in connection or (old and "keep-alive" not in connection)
        self.length = length_of(headers, self.status, method)
        if self.length is None and _is_chunked(headers):
            self._chunked = _Chunks(incoming)
            self.will_close = self.will_close or old  # RFC 9112, 6.1: HTTP/1.0 has no chunks
        else:
            self.will_close = self.will_close or self.length is None
        self._remaining = self.length
        incoming.body_begins()
        self._must_check_end = False

    def __enter__(self) -> HTTPBody:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release((kind is None or issubclass(kind, ResponseError)) and self._at_end(), self.status)
        if self._heard is not None:
            self._heard(error)

    def when_ended(self, call: Callable[[BaseException | None], None]) -> None:
        """Have `call` made when nothing of this is read any more, with the error by which it ended."""
        self._heard = call

    @property
    def failed(self) -> TransportError | None:
        """What broke the body off; None while it has not."""
        return self._failed

    @property
    def received(self) -> int:
        """The bytes of the body that have been read."""
        if self.length is None or self._remaining is None:
            return self._unsized
        return self.length - self._remaining

    def _at_end(self) -> bool:
        """Whether the body was read to its end, nothing came after it, and nobody wants to close."""
        at_end = self._chunked.ended if self._chunked is not None else self._remaining == 0
        return at_end and not self.will_close and self._incoming.is_quiet

    def set_length(self, length: int) -> None:
        """Set the length of a body whose head does not tell it.

        A body that has more is a PreconditionUnsupportedError, told with its last bytes.
        """
        if self.length is None:
            self.length = self._remaining = length
            # A part of an object has said by its Content-Range what it is, so nobody waits for its end.
            self._must_check_end = self._chunked is not None or self.status == 200
            if not length:
                self._check_end()

    def _check_end(self) -> None:
        self._must_check_end = False
        try:
            more = self._receive_some(memoryview(bytearray(1)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise translated(error) from error
        if more:
            raise PreconditionUnsupportedError(
                f"the answer has more than the {self.length} bytes that the object is said to have: {ALTERED}"
            )

    def readinto(self, view: memoryview, /) -> int:
        """Fill `view` from the body; returns the bytes read, 0 at the end.

        Less than `view` holds comes only at the end, or when the connection broke: the next call raises
        ReadTimeoutError, IncompleteBodyError or ProtocolError then, and nothing that had arrived is lost.
        """
        return self._fill(view)

    def _fill(self, view: memoryview, patience: float = float("inf")) -> int:
        """As `readinto`; less also where the rest has not come `patience` seconds after the first bytes."""
        if self._failed is not None:
            raise self._failed
        wanted = view.nbytes if self._remaining is None else min(view.nbytes, self._remaining)
        done, until = 0, float("inf")
        try:
            while done < wanted:
                with view[done:wanted] as part:  # released: an exception holds it, and what it is a part of
                    if until == float("inf"):
                        count: int | None = self._receive_some(part)
                    else:
                        count = self._receive_until(part, until)
                if count is None:
                    break
                self._count(count)
                if not count:
                    break
                if not done:
                    until = time.monotonic() + patience
                done += count
        except (OSError, http.client.HTTPException, ValueError) as error:
            failed = self._broken_by(error)
            if not done:
                raise failed from failed.__cause__
        if self._must_check_end and not self._remaining:
            self._check_end()
        return done

    def take(self, count: int, /) -> bytes:
        """The next `count` bytes of the body, fewer where the rest is not there yet; none at the end.

        Errors as of `readinto`. What it returns was copied nowhere where the kernel can wait for it.
        """
        data = self._taken(count if self._remaining is None else min(count, self._remaining))
        if data is not None:
            return data
        buffer = zeros(count)
        with buffer.getbuffer() as view:
            done = self._fill(view, _PATIENCE)
        data = buffer.getvalue()
        return data if done == len(data) else data[:done]

    def _taken(self, count: int) -> bytes | None:
        """Some of `count` bytes that are to come; None where they go through a buffer, or there are none."""
        if self._failed is not None:
            raise self._failed
        if not self._remaining or self._chunked is not None:
            return None
        try:
            data = self._incoming.take(count)
            if data is None:
                return None
            self._count(len(data))
        except (OSError, http.client.HTTPException, ValueError) as error:
            failed = self._broken_by(error)
            raise failed from failed.__cause__
        if self._must_check_end and not self._remaining:
            self._check_end()
        return data

    def _count(self, count: int) -> None:
        """`count` bytes of the body were read, none at the end of the connection."""
        if self._remaining is None:
            self._unsized += count
        elif count:
            self._remaining -= count
        elif self._remaining:
            raise IncompleteBodyError(
                f"the connection ended {self._remaining} bytes before the end of the body"
            )

    def _broken_by(self, error: Exception) -> TransportError:
        self._failed = translated(error)
        self._failed.__cause__ = error if error is not self._failed else None
        return self._failed

    def _receive_some(self, view: memoryview) -> int:
        if self._chunked is not None:
            return self._chunked.readinto(view)
        return self._incoming.readinto(view) if self._remaining is None else self._incoming.fill(view)

    def _receive_until(self, view: memoryview, until: float) -> int | None:
        """As `_receive_some`; None where nothing comes until then."""
        left = until - time.monotonic()
        if left <= 0:
            return None
        if self._chunked is None and self._remaining is not None:
            return self._incoming.fill_within(view, _PATIENCE)
        beside = 2 if self._chunked is not None else 0  # the end of a chunk's line
        return self._receive_some(view) if self._incoming.comes_within(left, beside) else None

    def read(self, limit: int = 256 * 2**20) -> bytes:
        """The whole body, for answers that are small by nature; ProtocolError above `limit` bytes."""
        if self._remaining is not None and self._remaining > limit:
            raise ProtocolError(f"an answer of {self._remaining} bytes where at most {limit} belong")
        pieces = []
        buffer = memoryview(bytearray(_READ_SIZE if self._remaining is None else self._remaining))
        while count := self.readinto(buffer):
            pieces.append(bytes(buffer[:count]))
            limit -= count
            if limit < 0:
                raise ProtocolError("an answer of more bytes than belong there")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _status(line: str) -> tuple[str, int]:
    matched = _STATUS.fullmatch(line)
    if not matched:
        raise http.client.BadStatusLine(repr(line[:80]))
    return matched[1], int(matched[2])


def _fields(lines: list[str]) -> dict[str, str]:
    """The header fields of a head, names in lower case; repeated ones are joined (RFC 9110, 5.3)."""
    rows = [line.partition(":") for line in lines[1:]]
    fields = {name.lower(): value.strip(_SPACE) for name, _, value in rows}
    # No name twice, and none that is empty or begins with white space, which sorts before what names hold.
    if len(fields) == len(rows) and min(fields, default="!") >= "!" and all([row[1] for row in rows]):
        return fields
    fields = {}
    last = ""
    for name, colon, value in rows:
        if name[:1] in (" ", "\t") and last:  # obsolete folding, RFC 9112, 5.2
            fields[last] += f" {(name + colon + value).strip(_SPACE)}"
            continue
        if not colon:
            raise http.client.HTTPException(f"header line without a colon: {name[:40]!r}")
        last = name.lower()
        fields[last] = f"{fields[last]}, {value.strip(_SPACE)}" if last in fields else value.strip(_SPACE)
    return fields


def length_of(fields: dict[str, str], status: int, method: str) -> int | None:
    """The length of a body; None where the head does not tell it (RFC 9112, 6.3)."""
    if status in (204, 304) or method == "HEAD":
        return 0
    return None if _is_chunked(fields) else _content_length(fields)


def _is_chunked(fields: dict[str, str]) -> bool:
    """Whether the body comes in chunks. No other coding is understood: its bytes are none of an object."""
    coding = fields.get("transfer-encoding")
    if coding is None:
        return False
    if coding.strip().lower() != "chunked":
        raise http.client.HTTPException(f"the transfer coding {coding[:40]!r} is not understood")
    if "content-length" in fields:  # RFC 9112, 6.3: two answers in one, or an attack
        raise http.client.HTTPException("the head tells a Content-Length and a Transfer-Encoding")
    return True


def _content_length(fields: dict[str, str]) -> int | None:
    text = fields.get("content-length")
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    values = {value.strip() for value in text.split(",")}
    value = values.pop()
    if values or not value.isdecimal():  # RFC 9112, 6.3: differing lengths are an attack or a bug
        raise http.client.HTTPException("the Content-Length is not one number")
    return int(value)


def translated(error: Exception) -> TransportError:
    """A foreign exception as ours; the caller keeps the cause: `raise translated(error) from error`.

    That of a signal's handler is raised as it is.
    """
    if is_of_a_handler(error):
        raise error
    if isinstance(error, TransportError):
        return error
    if isinstance(error, TimeoutError):
        return ReadTimeoutError(f"no answer in time: {error}")
    if isinstance(error, http.client.RemoteDisconnected):
        return IncompleteBodyError("the connection was closed before a response")
    if isinstance(error, http.client.IncompleteRead):
        return IncompleteBodyError("the connection ended before the whole response had arrived")
    if isinstance(error, OSError):
        return IncompleteBodyError(f"the connection broke: {error}")
    return ProtocolError(f"not a valid HTTP response: {error}")
