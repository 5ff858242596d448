"""GetObject of a range of an object of which nothing is known: its answer tells the version and the size.

So a slice of an object is one request. Which bytes came is read from the answer, and compared with what was
asked for: some stores ignore ranges, or know some forms of them only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from .._http.response import ALTERED, HTTPBody
from .._values.deadline import Deadline
from .._values.models import ObjectInfo, Request, range_header, within
from .._values.paths import S3Path
from ..errors import ObjectNotFoundError, ProtocolError
from .early import Early
from .exchange import Exchange
from .headers import content_range
from .pinned import check_etag, check_head, check_version, is_part
from .reads import Cursor, Reads
from .store import Store

T = TypeVar("T")


class Span(NamedTuple):
    """The bytes from `start` up to `stop`, or, with a negative `start` and no `stop`, the last ones."""

    start: int
    stop: int | None

    def header(self) -> str:
        """The value of a Range header (RFC 9110, 14.1.2)."""
        return f"bytes={self.start}" if self.stop is None else range_header(self.start, self.stop)

    @property
    def longest(self) -> int:
        """How many bytes it has at most."""
        return -self.start if self.stop is None else self.stop - self.start


class Slice(NamedTuple):
    """An answer: what it tells of the object, and its body, which has the bytes from `cursor` on."""

    info: ObjectInfo
    body: HTTPBody
    cursor: Cursor
    deadline: Deadline


class Slices:
    """GetObject of ranges without a pin. Thread-safe."""

    def __init__(self, store: Store, exchange: Exchange, reads: Reads) -> None:
        self._store = store
        self._exchange = exchange
        self._reads = reads

    def send(self, path: S3Path, span: Span) -> Early:
        """Send the request of `get` now."""
        return self._exchange.ahead(_request(path, span))

    def get(
        self,
        path: S3Path,
        span: Span,
        receive: Callable[[Slice], T],
        early: Early | None = None,
        *,
        is_all: bool = False,
    ) -> T:
        """GetObject of `span`; `receive` gets the answer, and may stop early.

        It is in a lane only if `is_all`: with one that waits for other ranges these would wait for it.
        RangeNotSatisfiableError where the object has no byte of it, as far as the store says.
        """
        request = early.request if early is not None else _request(path, span)
        cursor = Cursor(0, 0)
        begin = 0

        def attempt(deadline: Deadline) -> T:
            nonlocal begin
            with self._exchange.attempt(request, deadline, early) as body:
                check_head(body.headers)
                check_etag(body.headers.get("etag", ""))
                check_version(path, body.headers)
                info, cursor.position, cursor.stop = self._begun(path, span, body, deadline)
                begin = cursor.position
                return receive(Slice(info, body, cursor, deadline))

        try:
            with self._store.lanes.enter(span.longest if is_all else 0, lambda: cursor.position - begin):
                return self._exchange.repeat(request, attempt, early=early)
        except ObjectNotFoundError as error:
            self._exchange.doubt(error)
            raise

    def _begun(
        self, path: S3Path, span: Span, body: HTTPBody, deadline: Deadline
    ) -> tuple[ObjectInfo, int, int]:
        """What the answer tells: the object, and which bytes [first, stop) of it are in the body."""
        if is_part(body):
            first, stop, size = content_range(body.headers)
        else:  # ranges are ignored: it is the whole object
            first, size = 0, body.length
            stop = -1
        if size is None:
            size = self._reads.size_of(path, body.headers["etag"], deadline)
        stop = size if stop < 0 else stop
        if (first, stop) != within(span.start, span.stop, size) or body.length not in (None, stop - first):
            found = f"{first} to {stop}" if body.status == 206 else f"the whole object: {ALTERED}"
            raise ProtocolError(f"the store did not answer the range {span.header()}, but {found}")
        body.set_length(stop - first)
        return self._reads.described(body.headers, size), first, stop


def _request(path: S3Path, span: Span) -> Request:
    headers = {"range": span.header()}
    return Request("GetObject", "GET", path.bucket, path.key, path.version_query, unsigned=headers)
