"""A local file that is uploaded: a regular file, and found out when it is changed meanwhile.

Invariant: what is published was in the file. The bytes of a request are read twice, for their CRC and to be
sent: a store refuses what changed in between. A file that goes in one request is compared as it is sent,
before its last bytes, whatever the store does. What changed between two requests is seen by size and time of
the file. Not seen there are writes that leave its time as it was: after it was set back, or through a
mapping.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import SpecialFileError
from types import TracebackType

from .._s3.error_codes import OTHER_BYTES
from .._values.bodies import CHANGED, CHUNK, FileSlice, Meter, WatchedSlice
from .._values.checksums import body_crc, body_md5, is_at_hand
from .._values.descriptors import opened
from .._values.local_files import BINARY, extended, is_special, read_at
from .._values.models import Part
from .._values.parameters import Path
from ..errors import FileChangedError, ResponseError


def refuse_special(path: Path) -> None:
    """Raises SpecialFileError, an OSError, for what `is_special`."""
    if is_special(path):
        raise SpecialFileError(
            errno.EINVAL,
            "lpath is a pipe, a socket or a device: open it, and copy it to fs.open(rpath, 'wb')",
            path,
        )


class SourceFile:
    """An open local file, and what it was when its upload began."""

    def __init__(self, path: Path) -> None:
        refuse_special(path)  # before it is opened: a pipe would wait for somebody who writes
        self._descriptor = opened(lambda: os.open(extended(path), os.O_RDONLY | BINARY))
        self._before = os.fstat(self._descriptor)

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @property
    def size(self) -> int:
        """Bytes that it had at the beginning; what it got later (a log) is not published."""
        return self._before.st_size

    def piece(self, start: int, stop: int) -> FileSlice:
        """The bytes [start, stop), read when they are sent."""
        return FileSlice(self._descriptor, start, stop)

    def watched_body(self, meter: Meter) -> WatchedSlice:
        """All of it, for one request; its last piece is not given once `grew` raises."""
        return WatchedSlice(self._descriptor, 0, self.size, self.grew, meter)

    @property
    def has_reliable_size(self) -> bool:
        """Whether it ends where it says so: files of /proc, /sys and of some FUSE mounts do not."""
        last = memoryview(bytearray(2))
        if read_at(self._descriptor, last, max(0, self.size - 1)) == min(self.size, 1):
            return True
        now = os.fstat(self._descriptor).st_size
        return now != self.size  # it was changed since, which is another matter

    def contents(self) -> Iterator[bytes]:
        """What reading brings up to its end, whatever its size is said to be."""
        with open(self._descriptor, "rb", buffering=0, closefd=False) as file:
            file.seek(0)
            while data := file.read(CHUNK):
                yield data

    def grew(self) -> bool:
        """Whether there is more by now. Raises FileChangedError when it is shorter or was rewritten.

        By time only: a file that has another name by now, as logs get, is still the same.
        """
        now = os.fstat(self._descriptor)
        if now.st_size < self.size or (now.st_size == self.size and self._was_written(now)):
            raise FileChangedError(CHANGED)
        return now.st_size > self.size

    def _was_written(self, now: os.stat_result) -> bool:
        return now.st_mtime_ns != self._before.st_mtime_ns

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Bytes that the store refuses, because they are not those of the CRC, are FileChangedError where
        the file was written to.
        """
        try:
            yield
        except ResponseError as error:
            now = os.fstat(self._descriptor)
            if error.code in OTHER_BYTES and (self._was_written(now) or now.st_size != self.size):
                raise FileChangedError(CHANGED) from error
            raise


def check_unchanged(file: SourceFile, parts: list[Part]) -> None:
    """Raises FileChangedError unless `parts` together are one content of the file.

    One that is longer by now may have been written anew from its start: its bytes are compared.
    """
    if not file.grew():
        return
    start = 0
    for part in sorted(parts, key=lambda part: part.number):
        if is_equal(part, file.piece(start, start + part.size)) is False:
            raise FileChangedError("the local file was written anew while it was uploaded: upload it again")
        start += part.size


def is_equal(part: Part, piece: FileSlice) -> bool | None:
    """Whether `part` holds the bytes of `piece`; None where it has no CRC or MD5 that could prove it."""
    if part.size != piece.stop - piece.start:
        return False
    if part.crc is not None and is_at_hand(part.crc.algorithm):
        return part.crc == body_crc(piece, part.crc.algorithm)
    etag = part.etag.strip('"')
    if len(etag) != 32:
        return None
    return body_md5(piece).hex() == etag
