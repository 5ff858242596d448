"""HeadObject and GetObject: what is known of an object, and its bytes, as a whole or in pinned ranges.

What came back is verified, not only its status: a pinned read compares the ETag of every answer, because some
stores ignore If-Match.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from .._http.response import HTTPBody
from .._values.conditions import is_weak, quoted, same_etag
from .._values.deadline import Deadline
from .._values.models import Body, ObjectInfo, Request, Response, range_header
from .._values.paths import S3Path
from ..errors import (
    GuardedS3Error,
    IncompleteBodyError,
    ObjectNotFoundError,
    ProtocolError,
    RangeNotSatisfiableError,
)
from .checks import Checks
from .early import Early
from .exchange import Exchange
from .headers import object_checksum, object_info
from .pinned import (
    check_etag,
    check_first,
    check_head,
    check_pin,
    check_range,
    check_version,
    replaced_error,
    size_by_range,
    size_of_answer,
)
from .scheduler import Scheduler
from .store import Store

T = TypeVar("T")
_CHECKSUM_MODE = {"x-amz-checksum-mode": "ENABLED"}


@dataclass(slots=True)
class Cursor:
    """How far the read of a range has come: the next byte that is wanted, and where to stop."""

    position: int
    stop: int


Drain = Callable[[Body, Cursor], None]  # takes what has come, and moves the cursor


class Reads:
    """HeadObject and GetObject. Thread-safe."""

    def __init__(self, store: Store, exchange: Exchange, checks: Checks, scheduler: Scheduler) -> None:
        self._store = store
        self._exchange = exchange
        self._checks = checks
        self._scheduler = scheduler

    def head_object(self, path: S3Path, early: Early | None = None) -> ObjectInfo:
        """HeadObject; where that tells no size, GetObject of the first byte too.

        Raises ObjectNotFoundError, AccessDeniedError and the transport's errors.
        """

        def parse(answer: Response) -> tuple[Mapping[str, str], int | None]:
            check_head(answer.headers)
            check_version(path, answer.headers)
            return answer.headers, size_of_answer(answer.headers)

        try:
            headers, size = self._exchange.ask(self._head_request(path), parse, early)
            return self.described(headers, size) if size is not None else self._by_first_byte(path, headers)
        except ObjectNotFoundError as error:
            self._exchange.doubt(error)
            raise

    def _by_first_byte(self, path: S3Path, head: Mapping[str, str]) -> ObjectInfo:
        """What `head` told of an object, with the size that the Content-Range of its first byte tells."""
        request = _range_request(path, 0, 1)

        def attempt(deadline: Deadline) -> ObjectInfo:
            with self._exchange.attempt(request, deadline) as body:
                check_version(path, body.headers)
                same = same_etag(body.headers.get("etag", ""), head.get("etag", ""))
                return self.described(head if same else body.headers, _whole_size(body))

        try:
            return self._exchange.repeat(request, attempt)
        except RangeNotSatisfiableError:  # an empty object has no first byte
            return self.described(head, 0)

    def send_head_object(self, path: S3Path) -> Early:
        """Send the request of `head_object` now."""
        return self._exchange.ahead(self._head_request(path))

    def _head_request(self, path: S3Path) -> Request:
        return Request("HeadObject", "HEAD", path.bucket, path.key, path.version_query, self._checksum_mode())

    def pinned(self, path: S3Path, info: ObjectInfo) -> S3Path:
        """`path` at the version `info`, where the option `version_aware` asks for that and there are any.

        A version can be read after it was replaced. Without the option its ETag alone is the pin, since
        reading by version takes a permission of its own (s3:GetObjectVersion).
        """
        if self._store.options.version_aware and info.version_id:
            return S3Path(path.bucket, path.key, info.version_id)
        return path

    def described(self, headers: Mapping[str, str], size: int) -> ObjectInfo:
        """What the `headers` of an answer tell of an object of `size` bytes."""
        info = object_info(headers, size)
        return info if self._checks.verifies else replace(info, checksum=None)

    def version_of(self, body: Body) -> ObjectInfo:
        """What the answer of `get_object` tells about the object."""
        return self.described(body.headers, body.length or 0)

    def stored_checksum(self, body: Body) -> tuple[str, str] | None:
        """The checksum of the whole object that `get_object` was told, where it is to be checked."""
        return object_checksum(body.headers) if self._checks.verifies else None

    def _checksum_mode(self) -> Mapping[str, str]:
        return _CHECKSUM_MODE if self._checks.verifies else {}

    def get_object(
        self, path: S3Path, receive: Callable[[Body, Deadline], T], early: Early | None = None
    ) -> T:
        """GetObject without knowing the size: `receive` gets the body and the deadline.

        Asked for as a whole, since only then S3 tells the stored checksum; `receive` may stop early.
        """
        request = self._object_request(path)

        def attempt(deadline: Deadline) -> T:
            with self._exchange.attempt(request, deadline, early) as body:
                check_etag(body.headers.get("etag", ""))
                check_version(path, body.headers)
                if body.status != 200 or "content-range" in body.headers:
                    raise ProtocolError("the store answered a part where the whole object was asked for")
                if body.length is None:  # it comes in chunks, or ends with the connection
                    body.set_length(self.size_of(path, body.headers["etag"], deadline))
                return receive(body, deadline)

        try:
            return self._exchange.repeat(request, attempt, early=early)
        except ObjectNotFoundError as error:
            self._exchange.doubt(error)
            raise

    def size_of(self, path: S3Path, etag: str, deadline: Deadline) -> int:
        """The size of the version with this ETag, which is on its way, as one HeadObject tells it."""
        with self._exchange.attempt(self._head_request(path), deadline) as head:
            info, size = self.described(head.headers, 0), size_of_answer(head.headers)
        if size is None:
            info = self._by_first_byte(path, head.headers)
            size = info.size
        if not same_etag(info.etag, etag):
            raise IncompleteBodyError("the object was replaced before its size was known")
        return size

    def send_get_object(self, path: S3Path) -> Early:
        """Send the request of `get_object` now."""
        return self._exchange.ahead(self._object_request(path))

    def _object_request(self, path: S3Path) -> Request:
        return Request("GetObject", "GET", path.bucket, path.key, path.version_query, self._checksum_mode())

    def get_range(
        self, path: S3Path, cursor: Cursor, pin: ObjectInfo, drain: Drain, early: Early | None = None
    ) -> None:
        """GetObject of a range, pinned to the version `pin`. `drain` moves the cursor as bytes come.

        A body that breaks is resumed at the cursor, under the same pin. `early` is the first attempt, where
        that was sent before.
        Raises ObjectChangedError when the object is another version by now.
        """
        path = self.pinned(path, pin)
        begin = cursor.position
        asked = early.request if early is not None else _range_request(path, begin, cursor.stop, pin)

        def attempt(deadline: Deadline) -> None:
            same = cursor.position == begin
            request = asked if same else _range_request(path, cursor.position, cursor.stop, pin)
            self._fill(request, path, cursor, pin, drain, deadline, early)

        with self._store.lanes.enter(cursor.stop - begin, lambda: cursor.position - begin):
            self._exchange.repeat(asked, attempt, early=early)

    def finish_range(
        self,
        path: S3Path,
        body: Body,
        cursor: Cursor,
        drain: Drain,
        deadline: Deadline,
        pin: ObjectInfo | None = None,
        *,
        in_lane: bool = False,
    ) -> None:
        """The range at `cursor`, from `body`, an answer that has it next.

        Within `receive`, whose deadline it takes. A body that breaks is resumed at the cursor, under `pin`:
        by default the version of the whole object that `body` is. What has begun goes on, and so it is in no
        lane. With `in_lane` it waits for one, unread: for downloads, of which many large ones may begin.
        """
        at_hand = [body]

        def attempt() -> None:
            if at_hand:
                _drain_to_end(at_hand.pop(), cursor, drain)
                return
            version = pin or self.version_of(body)
            pinned = self.pinned(path, version)
            request = _range_request(pinned, cursor.position, cursor.stop, version)
            self._fill(request, pinned, cursor, version, drain, deadline)

        if not in_lane:
            self._store.retry.call(attempt, deadline=deadline)
            return
        begin, began = cursor.position, time.monotonic()
        with self._store.lanes.enter(cursor.stop - begin, lambda: cursor.position - begin):
            deadline.put_off(time.monotonic() - began)
            self._store.retry.call(attempt, deadline=deadline)

    def _fill(
        self,
        request: Request,
        path: S3Path,
        cursor: Cursor,
        pin: ObjectInfo,
        drain: Drain,
        deadline: Deadline,
        early: Early | None = None,
    ) -> None:
        """One attempt at the range at `cursor`."""
        start, stop = cursor.position, cursor.stop
        try:
            with self._exchange.attempt(request, deadline, early) as body:
                check_pin(body, pin.etag, path)
                check_range(body, start, stop, pin)
                body.set_length(stop - start)
                _drain_to_end(body, cursor, drain)
        except RangeNotSatisfiableError:  # the version that is pinned has this range
            self._check_unchanged(path, pin)
            raise

    def send_get_range(self, path: S3Path, cursor: Cursor, pin: ObjectInfo) -> Early:
        """Send the request of `get_range` now."""
        return self._exchange.ahead(_range_request(self.pinned(path, pin), cursor.position, cursor.stop, pin))

    def get_first(self, path: S3Path, count: int) -> tuple[ObjectInfo, bytes]:
        """GetObject of the first `count` bytes: what the answer tells of the object, and the bytes.

        From a store that ignores the range come the bytes of a small object, or the first `count`. HeadObject
        tells what the answer leaves out: all of an empty object, which has no first byte.
        """
        request = _range_request(path, 0, count)

        def attempt(deadline: Deadline) -> tuple[ObjectInfo, bytes]:
            with self._exchange.attempt(request, deadline) as body:
                check_head(body.headers)
                check_etag(body.headers.get("etag", ""))
                check_version(path, body.headers)
                size = size_by_range(body)
                if size is None:
                    size = self.size_of(path, body.headers["etag"], deadline)
                stop = check_first(body, count, size)
                return self.described(body.headers, size), _read_exactly(body, stop)

        try:
            return self._exchange.repeat(request, attempt)
        except RangeNotSatisfiableError:
            return self.head_object(path), b""
        except ObjectNotFoundError as error:
            self._exchange.doubt(error)
            raise

    def _check_unchanged(self, path: S3Path, pin: ObjectInfo) -> None:
        """Raises ObjectChangedError, or ObjectNotFoundError, unless the object is the version `pin` still."""
        try:
            now = self.head_object(path)
        except ObjectNotFoundError:
            raise
        except GuardedS3Error:
            return
        if not same_etag(now.etag, pin.etag):
            raise replaced_error(path, pin.etag, now.etag, 416)


def _whole_size(body: HTTPBody) -> int:
    """The size of the object whose first byte was asked for."""
    size = size_by_range(body)
    if size is None:
        raise ProtocolError("neither HeadObject nor GetObject of the first byte was answered with a size")
    return size


def _read_exactly(body: Body, count: int) -> bytes:
    data = bytearray(count)
    view, done = memoryview(data), 0
    while done < count:
        more = body.readinto(view[done:])
        if not more:
            raise IncompleteBodyError("the body ended before the range did")
        done += more
    return bytes(data)


def _drain_to_end(body: Body, cursor: Cursor, drain: Drain) -> None:
    drain(body, cursor)
    if cursor.position < cursor.stop:
        raise IncompleteBodyError("the body ended before the range did")


def _range_request(path: S3Path, start: int, stop: int, pin: ObjectInfo | None = None) -> Request:
    """GetObject of the bytes [start, stop). The answer tells which bytes it has, and of which version."""
    headers = {"range": range_header(start, stop)}
    if pin is not None and not is_weak(pin.etag):  # which never holds; the answer's ETag is compared
        headers["if-match"] = quoted(pin.etag)
    return Request("GetObject", "GET", path.bucket, path.key, path.version_query, unsigned=headers)
