"""The file objects of modes with "+": they read, write and seek in a local file, which is published whole.

S3 changes no object in place. So the bytes are in a temporary file without a name, from `open` to `close`,
and then replace the object in one step, under a condition: that it is still the version that was opened
("r+b", "a+b"), that there is none ("x+b"), or none at all ("w+b"). What is not changed is not written.

Invariants: those of `GuardedWriter`. Positions are kept here and not by the system, since a file that a child
process inherits has one position for both.
"""

from __future__ import annotations

import io

from .._s3.client import S3Client
from .._values.annotations import Buffer
from .._values.keywords import check_integer
from .._values.models import Written
from ..options import Options
from .parts import no_progress
from .sources import upload_slices
from .spool import TemporaryFile
from .upload import Upload
from .writer import GuardedWriter

_LINE = 8192  # bytes to look for the end of a line in


class LocalContents:
    """The bytes of a file that is open for reading and writing, and the position in it."""

    def __init__(
        self, client: S3Client, upload: Upload, file: TemporaryFile, *, appends: bool, is_changed: bool
    ) -> None:
        """`file` has what was loaded. With `appends` all is written at its end."""
        self._client = client
        self._upload = upload
        self._appends = appends
        self.file = file
        self.position = file.size if appends else 0
        self.is_changed = is_changed

    @property
    def size(self) -> int:
        """Bytes that there are."""
        return self.file.size

    def write(self, data: memoryview, /) -> None:
        """Write at the position, or with `appends` at the end. Raises OSError when the disk is full."""
        self.is_changed = True
        if self._appends:
            self.position = self.size
        self.file.write(data, self.position)
        self.position += data.nbytes

    def read(self, count: int) -> bytes:
        """At most `count` bytes from the position on."""
        buffer = bytearray(max(0, min(count, self.size - self.position)))
        with memoryview(buffer) as view:
            done = self.file.readinto(view, self.position)
        self.position += done
        return bytes(buffer[:done]) if done < len(buffer) else bytes(buffer)

    def read_line(self, limit: int) -> bytes:
        """Up to and with the next line feed, at most `limit` bytes."""
        begin, pieces = self.position, []
        while limit > 0 and (piece := self.read(min(limit, _LINE))):
            end = piece.find(b"\n") + 1
            pieces.append(piece[:end] if end else piece)
            limit -= len(pieces[-1])
            if end:
                break
        line = b"".join(pieces)
        self.position = begin + len(line)
        return line

    def truncate(self, size: int) -> None:
        """Have it be `size` bytes long. Raises OSError."""
        if size != self.size:
            self.is_changed = True
            self.file.truncate(size)

    def finish(self) -> Written:
        """Publish all bytes."""
        return upload_slices(self._client, self._upload, self.size, self.file.slice, no_progress)


class GuardedFile(GuardedWriter):
    """A binary file that reads, writes and seeks, and becomes the object when it is closed cleanly.

    As of `GuardedWriter`, an exception, `discard()`, garbage collection and interpreter exit publish nothing.
    What was opened with "r+b" or "a+b" and not changed is not written. The bytes are in a local temporary
    file, in the folder that `tempfile` chooses, so the disk must have room for it. Threads take turns.
    """

    def __init__(
        self,
        upload: Upload,
        options: Options,
        *,
        contents: LocalContents,
        fs: object = None,
        path: str,
        mode: str,
        autocommit: bool = True,
    ) -> None:
        super().__init__(upload, options, fs=fs, path=path, mode=mode, autocommit=autocommit, parts=contents)
        self._contents = contents
        self.gathers = False  # what is read has to have what was written before

    def __repr__(self) -> str:
        return f"<GuardedFile {self.path} {self.state} bytes={self._contents.size}>"

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    @property
    def size(self) -> int:
        """Bytes that the file has now."""
        return self._contents.size

    def tell(self) -> int:
        """The position, from the beginning, in bytes."""
        with self.lock:
            self._check_use()
            return self._contents.position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to `offset` bytes from the beginning, the position or the end; returns the new position.

        What is written behind the end has zeros before it, as in a local file. Raises ValueError.
        """
        check_integer("offset", offset)
        with self.lock:
            self._check_use()
            bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._contents.position, io.SEEK_END: self._contents.size}
            if whence not in bases:
                raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
            position = bases[whence] + offset
            if position < 0:
                raise ValueError(f"offset leads to {position}, which is before the beginning of the file")
            self._contents.position = position
            return position

    def truncate(self, size: int | None = None, /) -> int:
        """Have the file be `size` bytes long, by default up to the position. Returns the size."""
        if size is not None:
            check_integer("size", size, 0)
        with self.lock:
            self._check_use()
            size = self._contents.position if size is None else size
            self._contents.truncate(size)
            return size

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes from the position on; None or a negative number: all that there are."""
        with self.lock:
            self._check_use()
            return self._contents.read(self._limit(size))

    def read1(self, size: int = -1, /) -> bytes:
        """What `read` does: all bytes are at hand."""
        return self.read(size)

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer` from the position on; returns the bytes read, fewer only at the end."""
        with self.lock, memoryview(buffer) as view, view.cast("B") as target:
            self._check_use()
            count = self._contents.file.readinto(target, self._contents.position)
            self._contents.position += count
            return count

    def readinto1(self, buffer: Buffer, /) -> int:
        """What `readinto` does: all bytes are at hand."""
        return self.readinto(buffer)

    def readline(self, size: int | None = -1, /) -> bytes:
        """The bytes up to and with the next line feed, at most `size`."""
        with self.lock:
            self._check_use()
            return self._contents.read_line(self._limit(size))

    def _limit(self, size: int | None) -> int:
        return self._contents.size if size is None or size < 0 else size

    def _check_use(self) -> None:
        self.check_process()
        self._check_open()

    def _publish(self) -> None:
        if not self._contents.is_changed and self._failure is None:  # the object has these bytes
            self._mark_closed()
            self._upload.abort()
            return
        super()._publish()

    def _warn_dropped(self, what: str) -> None:
        if self._contents.is_changed:  # else nothing is lost
            super()._warn_dropped(what)
