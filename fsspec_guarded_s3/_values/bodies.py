"""What a request can carry: bytes in memory, or a slice of a local file that is never held as a whole; and
where the bytes of an answer go.

Invariant: a body of a request can be read again from its start, so that a request can be repeated.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import FileChangedError
from .local_files import read_at

if TYPE_CHECKING:
    import typing_extensions

CHUNK = 256 * 1024
Buffer = bytes | bytearray | memoryview
CHANGED = "the local file was changed while it was uploaded: upload it again"


def bytes_of(data: typing_extensions.Buffer) -> memoryview:
    """The bytes of `data`, in the order of C; a copy only where they do not lie so in memory."""
    view = memoryview(data)
    if not view.nbytes:  # an array with an axis of no length cannot be cast
        return memoryview(b"")
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())


def zeros(size: int) -> io.BytesIO:
    """A BytesIO of `size` zero bytes; `getvalue` later shares its buffer instead of copying it."""
    # `bytes(size)` is calloc: its pages are touched first by the threads that fill them.
    return io.BytesIO(bytes(size))


@dataclass(frozen=True, slots=True)
class FileSlice:
    """The bytes [start, stop) of an open local file, read when they are sent."""

    descriptor: int
    start: int
    stop: int

    def chunks(self) -> Iterator[memoryview]:
        """The bytes in pieces of at most `CHUNK`, each valid until the next is asked for.

        Raises FileChangedError when the file is shorter by now.
        """
        position = self.start
        buffer = memoryview(bytearray(min(CHUNK, self.stop - position)))  # one, small enough for the cache
        while position < self.stop:
            piece = buffer[: self.stop - position]
            count = read_at(self.descriptor, piece, position)
            if not count:
                raise FileChangedError("the local file became shorter while it was uploaded")
            yield piece[:count]
            position += count


class Meter:
    """How much of a body was sent by the attempt that is under way; `progress` is told of each piece.

    Not of the last one: whoever is told may raise, to end it all, and by then the object may be there.
    """

    def __init__(self, progress: Callable[[int], object], size: int) -> None:
        """`size` is that of the body, in bytes."""
        self._progress = progress
        self._size = size
        self.sent = 0  # as far as `progress` was told of it

    def restart(self) -> None:
        """Another attempt begins: what was told before is taken back, by a negative number."""
        if self.sent:
            self._progress(-self.sent)
            self.sent = 0

    def add(self, count: int) -> None:
        """`count` more bytes were sent."""
        if self.sent + count < self._size:
            self.sent += count
            self._progress(count)


@dataclass(frozen=True, slots=True)
class WatchedSlice(FileSlice):
    """All of a file, which one request publishes: nothing can be taken back once its last byte is sent.

    So the last piece is given only when the bytes still have the CRC of the reading before (`crc`: how it is
    worked out, and its value) and `unchanged()` raises nothing. What was given before was read before.
    """

    unchanged: Callable[[], object]
    meter: Meter
    crc: tuple[Callable[[Buffer, int], int], int] | None = None

    def expecting(self, update: Callable[[Buffer, int], int], crc: int) -> WatchedSlice:
        """This slice, with the CRC that its bytes must have."""
        return replace(self, crc=(update, crc))

    def chunks(self) -> Iterator[memoryview]:
        """The bytes in pieces. Raises FileChangedError before the last piece when the file was changed."""
        found, left = 0, self.stop - self.start
        for piece in FileSlice.chunks(self):
            left -= piece.nbytes
            if self.crc is not None:
                found = self.crc[0](piece, found)
                if not left and found != self.crc[1]:
                    raise FileChangedError(CHANGED)
            if not left:
                self.unchanged()
            yield piece


def wire_bytes(text: str) -> bytes:
    """The bytes that stand for a request's head, or for what of it is signed.

    Values of other tools are kept as bytes that nobody interprets, one character for each (RFC 9110, 5.5).
    ValueError, which shows nothing of it, for text that is more than that.
    """
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("a header value holds a character that HTTP cannot carry") from None


RequestBody = Buffer | FileSlice


def body_size(body: RequestBody) -> int:
    """Bytes that `body` has."""
    if isinstance(body, FileSlice):
        return body.stop - body.start
    return len(body) if isinstance(body, (bytes, bytearray)) else body.nbytes


def body_chunks(body: RequestBody) -> Iterator[Buffer]:
    """`body` in pieces; memory is not copied and comes as one."""
    if isinstance(body, FileSlice):
        yield from body.chunks()
    elif body:
        yield body
