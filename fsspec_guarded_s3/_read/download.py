"""Pinned downloads: to memory and to a file.

Theory of operation. A read has a pin: the ETag and the size of one version of the object, from a HeadObject
or a listing (`read_range`), or from the answer that brings the first bytes (`read_object`, `read_slice`,
`download`).
What is larger than the option `range_size` is read in ranges, in parallel, all under the pin; each goes
from its socket straight to its final place, in memory or in a file. `_s3.reads.Reads.get_range` compares
ETag, range and length of each answer, and goes on behind the last byte that came where a body breaks. So
there are the bytes of one version, or an error. A whole object is compared with the checksum that the store
holds, and read once more if it differs.

`ask_range`, `ask_slice` and `ask_object` send their request now, and return the function that reads the
answer: one thread keeps several small reads under way like that (`_runs.ask_all`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

from .._s3.client import S3Client
from .._s3.early import Early
from .._s3.pinned import check_etag
from .._s3.reads import Cursor, Drain
from .._s3.slices import Slice, Span
from .._values.bodies import zeros
from .._values.checksums import ObjectChecksum, ObjectDigest, check_for
from .._values.deadline import Deadline
from .._values.local_files import write_at
from .._values.models import Body, ObjectInfo, within
from .._values.paths import S3Path
from .._work import as_rest
from ..errors import ChecksumMismatchError, ObjectChangedError, RangeNotSatisfiableError
from .target_file import TargetFile

_PIECE = 2**20
_TOO_MANY = 128 * 2**10  # bytes that are cheaper to read than to ask about
Progress = Callable[[int], None]
Fill = Callable[[Drain], None]  # brings bytes, by the function that it is given
T = TypeVar("T")


def _into_memory(
    view: memoryview, origin: int, progress: Progress, check: ObjectChecksum | ObjectDigest | None
) -> Drain:
    def drain(body: Body, cursor: Cursor) -> None:
        while cursor.position < cursor.stop:
            begin = cursor.position - origin
            # Released on every way out: slices of a BytesIO that an exception keeps crash CPython 3.12.1 in a
            # garbage collection (gh-111049), and make 3.13.0 print (gh-111331).
            with view[begin : min(begin + _PIECE, cursor.stop - origin)] as piece:
                count = body.readinto(piece)
                if not count:
                    return
                if check:
                    with piece[:count] as got:
                        check.add(cursor.position, got)
            cursor.position += count
            progress(count)

    return drain


def _into_file(descriptor: int, progress: Progress, check: ObjectChecksum | ObjectDigest | None) -> Drain:
    def drain(body: Body, cursor: Cursor) -> None:
        buffer = memoryview(bytearray(min(_PIECE, cursor.stop - cursor.position)))
        while cursor.position < cursor.stop:
            count = body.readinto(buffer[: min(len(buffer), cursor.stop - cursor.position)])
            if not count:
                return
            written = 0
            while written < count:
                written += write_at(descriptor, buffer[written:count], cursor.position + written)
            if check:
                check.add(cursor.position, buffer[:count])
            cursor.position += count
            progress(count)

    return drain


def _range_calls(
    client: S3Client, path: S3Path, pin: ObjectInfo, start: int, stop: int, drain: Drain
) -> list[Callable[[], None]]:
    """The calls that bring [start, stop) in ranges, all pinned to the version `pin`."""
    check_etag(pin.etag)
    size = client.scheduler.range_size()
    cursors = (Cursor(begin, min(begin + size, stop)) for begin in range(start, stop, size))
    return [partial(client.reads.get_range, path, cursor, pin, drain) for cursor in cursors]


def fetch_ranges(
    client: S3Client, path: S3Path, pin: ObjectInfo, start: int, stop: int, drain: Drain
) -> None:
    """Drain [start, stop) in ranges, in parallel, all pinned to the version `pin`."""
    client.scheduler.run(_range_calls(client, path, pin, start, stop, drain))


def read_range(client: S3Client, path: S3Path, info: ObjectInfo, start: int, stop: int) -> bytes:
    """The bytes [start, stop) of the version that `info` names, clipped to its size."""
    check_etag(info.etag)
    stop = min(stop, info.size)
    if start >= stop:
        return b""
    return read_into_memory(start, stop, partial(fetch_ranges, client, path, info, start, stop))


def ask_range(client: S3Client, path: S3Path, info: ObjectInfo, start: int, stop: int) -> Fill:
    """Send the request for the bytes [start, stop), which must exist; the result reads the answer."""
    if stop - start > client.options.range_size:
        return partial(fetch_ranges, client, path, info, start, stop)
    return asked_range(client, path, info, start, stop)[1]


def asked_range(
    client: S3Client, path: S3Path, info: ObjectInfo, start: int, stop: int
) -> tuple[Early, Fill]:
    """As `ask_range`, of at most `range_size` bytes: what was sent, and what reads the answer."""
    cursor = Cursor(start, stop)
    early = client.reads.send_get_range(path, cursor, info)
    return early, partial(client.reads.get_range, path, cursor, info, early=early)


class Received(NamedTuple):
    """The bytes of an object from `start` on, and what the answer that brought them told of it."""

    info: ObjectInfo
    start: int
    data: bytes

    def of(self, start: int | None, end: int | None) -> bytes:
        """The bytes [start, end) of the object, which it has; all of it are `data` itself."""
        first, stop = within(start, end, self.info.size)
        return self.data[first - self.start : max(first, stop) - self.start]


def read_slice(
    client: S3Client, path: S3Path, start: int | None, end: int | None, early: Early | None = None
) -> bytes:
    """The bytes [start, end) of an object, as of a Python sequence: one GET up to `range_size`.

    HeadObject tells the size where that has to be known before. `early` is the GET, where it was sent before.
    """
    span = span_of(start, end, client.options.range_size)
    if span is not None:
        try:
            return receive_span(client, path, span, end, _received, early).of(start, end)
        except RangeNotSatisfiableError:  # it has none of these bytes, or had none: HeadObject decides
            pass
    info = client.reads.head_object(path)
    first, stop = within(start, end, info.size)
    return read_range(client, path, info, first, stop)


def span_of(start: int | None, end: int | None, longest: int) -> Span | None:
    """What to ask for first of [start, end), at most `longest` bytes; None where the size must be known.

    Some bytes too many at its end, where that spares the look.
    """
    start = start or 0
    if end is not None and end < -_TOO_MANY:
        return None
    if start < 0:
        return Span(start, None) if end is None or start < end < 0 else None
    if end is None or end < 0:
        return Span(start, start + longest)
    return Span(start, min(end, start + longest)) if start < end else None


def ask_slice(client: S3Client, path: S3Path, span: Span, end: int | None) -> Callable[[], Received]:
    """Send the request for `span`, the first of [span.start, end); the result reads that to its end."""
    return asked_slice(client, path, span, end)[1]


def asked_slice(
    client: S3Client, path: S3Path, span: Span, end: int | None
) -> tuple[Early, Callable[[], Received]]:
    """As `ask_slice`: what was sent, and what reads the answer."""
    early = client.slices.send(path, span)
    return early, partial(receive_span, client, path, span, end, _received, early)


def receive_span(
    client: S3Client,
    path: S3Path,
    span: Span,
    end: int | None,
    take: Callable[[ObjectInfo, int, int, Fill], T],
    early: Early | None = None,
) -> T:
    """`span`, and what is behind it up to `end`, in ranges that are pinned to its version.

    `take` gets the version, the bytes [first, stop) that there are, and what brings them. It returns the
    result, and may read nothing.
    """

    def receive(answer: Slice) -> T:
        info, body, cursor, deadline = answer
        first = cursor.position
        cursor.stop = min(cursor.stop, first + client.options.range_size)
        stop = max(cursor.stop, within(span.start, end, info.size)[1])

        def fill(drain: Drain) -> None:
            _finish(client, path, body, cursor, stop, drain, deadline, info)

        return take(info, first, stop, fill)

    is_all = span.stop == end and span.longest <= client.options.range_size
    return client.slices.get(path, span, receive, early, is_all=is_all)


def _received(info: ObjectInfo, first: int, stop: int, fill: Fill) -> Received:
    return Received(info, first, read_into_memory(first, stop, fill))


def _finish(
    client: S3Client,
    path: S3Path,
    body: Body,
    cursor: Cursor,
    stop: int,
    drain: Drain,
    deadline: Deadline,
    pin: ObjectInfo | None,
    *,
    in_lane: bool = False,
) -> None:
    """Drain the range at `cursor`, which `body` has next, and beside it what follows up to `stop`.

    What follows is read in ranges under `pin`, which may be None where nothing does.
    """
    begin = partial(client.reads.finish_range, path, body, cursor, drain, deadline, pin, in_lane=in_lane)
    if pin is None or cursor.stop == stop:
        begin()
    else:
        client.scheduler.run([begin, *_range_calls(client, path, pin, cursor.stop, stop, drain)])


def read_into_memory(start: int, stop: int, fill: Fill) -> bytes:
    """The bytes [start, stop), which `fill` reads by the function that it is given."""
    buffer = zeros(stop - start)
    with buffer.getbuffer() as view:
        fill(_into_memory(view, start, _no_progress, None))
    return buffer.getvalue()


def ask_object(client: S3Client, path: S3Path) -> Callable[[], bytes]:
    """Send the request for a whole object; the result reads the answer, as `read_object` does."""
    return partial(read_object, client, path, client.reads.send_get_object(path))


def read_object(client: S3Client, path: S3Path, early: Early | None = None) -> bytes:
    """A whole object: one GET up to `range_size`, pinned ranges beside it beyond that.

    Compared with the stored checksum, where there is one; what differs is read once more. Raises
    ChecksumMismatchError.
    """

    def receive(body: Body, deadline: Deadline) -> bytes:
        size = body.length or 0
        buffer = zeros(size)
        check = check_for(client.reads.stored_checksum(body))
        with buffer.getbuffer() as view:
            drain = _into_memory(view, 0, _no_progress, check)
            first = Cursor(0, min(client.options.range_size, size))
            pin = client.reads.version_of(body) if first.stop < size else None
            _finish(client, path, body, first, size, drain, deadline, pin)
        if check:
            check.verify()
        return buffer.getvalue()

    try:
        return client.reads.get_object(path, receive, early)
    except ChecksumMismatchError:
        return as_rest(partial(client.reads.get_object, path, receive))


def _no_progress(count: int) -> None:
    """A `Progress` for callers that show none."""


def download(
    client: S3Client,
    path: S3Path,
    local: str,
    begin: Callable[[int], None] = _no_progress,
    progress: Progress = _no_progress,
) -> None:
    """Write the object to the local file `local`, which keeps its old content until all is there.

    One GET up to `range_size`, pinned ranges beside it beyond that. `begin` gets the size in bytes when the
    object is known to be there, `progress` the bytes that arrived. Replaced while it is read, or another
    checksum: one new start, then ObjectChangedError or ChecksumMismatchError.
    """

    def receive(body: Body, deadline: Deadline) -> None:
        info = client.reads.version_of(body)
        begin(info.size)
        with TargetFile(local) as file:
            _fill_file(client, path, body, info, file.descriptor, progress, deadline)
            file.publish(client.options.fsync)

    try:
        client.reads.get_object(path, receive)
    except (ObjectChangedError, ChecksumMismatchError):
        client.reads.get_object(path, receive)


def download_into(client: S3Client, path: S3Path, descriptor: int) -> ObjectInfo:
    """Write the object to an open file that is empty; returns the version that it is of.

    Otherwise as `download`.
    """

    def receive(body: Body, deadline: Deadline) -> ObjectInfo:
        info = client.reads.version_of(body)
        os.ftruncate(descriptor, 0)
        _fill_file(client, path, body, info, descriptor, _no_progress, deadline)
        return info

    try:
        return client.reads.get_object(path, receive)
    except (ObjectChangedError, ChecksumMismatchError):
        return client.reads.get_object(path, receive)


def _fill_file(
    client: S3Client,
    path: S3Path,
    body: Body,
    info: ObjectInfo,
    descriptor: int,
    progress: Progress,
    deadline: Deadline,
) -> None:
    """Write the object, which `body` has from its beginning on, and compare its checksum."""
    if not info.size:
        return
    os.ftruncate(descriptor, info.size)
    check = check_for(info.checksum)
    drain = _into_file(descriptor, progress, check)
    first = Cursor(0, min(client.options.range_size, info.size))
    _finish(client, path, body, first, info.size, drain, deadline, info, in_lane=True)
    if check:
        check.verify()
