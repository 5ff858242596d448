"""The bytes of a file that seeks: they are in a local temporary file, and are published whole."""

from __future__ import annotations

import io

from .._s3.client import S3Client
from .._values.keywords import check_integer
from .._values.models import Written
from ..errors import RangeNotSatisfiableError
from .parts import no_progress
from .sources import upload_slices
from .spool import TemporaryFile
from .upload import Upload

_LINE = 8192  # bytes to look for the end of a line in
_MOST = 2**63 - 1  # bytes: what a file can have on any system


def destination(offset: int, whence: int, position: int, size: int) -> int:
    """Where a `seek` leads in a file of `size` bytes, from `position`. Raises TypeError, ValueError.

    A place before the beginning is an OSError too, as of local files: `zipfile` looks for the end of an
    archive in this way, in a file that may be shorter.
    """
    check_integer("offset", offset)
    bases = {io.SEEK_SET: 0, io.SEEK_CUR: position, io.SEEK_END: size}
    if whence not in bases:
        raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
    found = bases[whence] + offset
    if found < 0:
        raise RangeNotSatisfiableError(f"offset leads to {found}, which is before the beginning of the file")
    return check_size("offset", found)


def check_size(name: str, size: int) -> int:
    """`size`, to which the argument `name` leads. TypeError, ValueError for what no file can have."""
    if check_integer(name, size, 0) > _MOST:
        raise ValueError(f"{name} leads to {size}, and a file has at most {_MOST} bytes")
    return size


class LocalContents:
    """The bytes, and the position among them."""

    def __init__(
        self, client: S3Client, upload: Upload, file: TemporaryFile, *, appends: bool, is_changed: bool
    ) -> None:
        """`file` has what was loaded. With `appends` all is written at its end."""
        self._client = client
        self._upload = upload
        self._appends = appends
        self._file: TemporaryFile | None = file
        self._is_sending = False
        self._let_go: TemporaryFile | None = None  # while it was sent
        self._left = 0  # bytes that it had when it was let go
        self.position = file.size if appends else 0
        self.is_changed = is_changed

    @property
    def file(self) -> TemporaryFile:
        """The local file. Raises ValueError when it was let go."""
        file = self._file  # once: whoever gives up lets it go, and waits for nobody
        if file is None:
            raise ValueError("the file is closed")
        return file

    @property
    def size(self) -> int:
        """Bytes that there are, or were."""
        file = self._file
        return self._left if file is None else file.size

    def release(self) -> None:
        """Let the local file go. It takes room on the disk until what is still sent of it is sent, too."""
        self._left = self.size
        file, self._file = self._file, None
        if self._is_sending:
            self._let_go = file
        elif file is not None:
            file.release()

    def seek(self, offset: int, whence: int) -> None:
        """Go there; errors as of `destination`."""
        self.position = destination(offset, whence, self.position, self.size)

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
        self._is_sending = True
        try:
            return upload_slices(self._client, self._upload, self.size, self.file.slice, no_progress)
        finally:
            self._is_sending = False
            file, self._let_go = self._let_go, None
            if file is not None:
                file.release()
