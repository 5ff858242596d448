"""The file objects of modes with "+": they read, write and seek in a local file, which is published whole.

S3 changes no object in place. So the bytes are in a temporary file without a name, from `open` to `close`,
and then replace the object in one step, under a condition: that it is still the version that was opened
("r+b", "a+b"), that there is none ("x+b"), or none at all ("w+b"). What is not changed is not written.

Invariants: those of `GuardedWriter`. Positions are kept here and not by the system, since a file that a child
process inherits has one position for both.
"""

from __future__ import annotations

from .._values.annotations import Buffer
from ..options import Options
from .local_contents import LocalContents
from .upload import Upload
from .writer import GuardedWriter


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
        super().__init__(
            upload, options, fs=fs, path=path, mode=mode, autocommit=autocommit, contents=contents
        )
        self._local = contents
        self.gathers = False  # what is read has to have what was written before

    def __repr__(self) -> str:
        return f"<GuardedFile {self.path} {self.state} bytes={self._local.size}>"

    def readable(self) -> bool:
        return True

    @property
    def writes(self) -> bool:
        """Whether publishing it changes the object."""
        return self._local.is_changed

    @property
    def size(self) -> int:
        """Bytes that the file has now."""
        return self._local.size

    def tell(self) -> int:
        """The position, from the beginning, in bytes."""
        with self.lock:
            self._check_use()
            return self._local.position

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes from the position on; None or a negative number: all that there are."""
        with self.lock:
            self._check_use()
            return self._local.read(self._limit(size))

    def read1(self, size: int = -1, /) -> bytes:
        """What `read` does: all bytes are at hand."""
        return self.read(size)

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer` from the position on; returns the bytes read, fewer only at the end."""
        with self.lock, memoryview(buffer) as view, view.cast("B") as target:
            self._check_use()
            count = self._local.file.readinto(target, self._local.position)
            self._local.position += count
            return count

    def readinto1(self, buffer: Buffer, /) -> int:
        """What `readinto` does: all bytes are at hand."""
        return self.readinto(buffer)

    def readline(self, size: int | None = -1, /) -> bytes:
        """The bytes up to and with the next line feed, at most `size`."""
        with self.lock:
            self._check_use()
            return self._local.read_line(self._limit(size))

    def _limit(self, size: int | None) -> int:
        return self._local.size if size is None or size < 0 else size

    def _check_use(self) -> None:
        self.check_process()
        self._check_open()

    def _publish(self) -> None:
        if not self.writes and self._failure is None:  # the object has these bytes
            self.discard()
            return
        super()._publish()

    def _warn_dropped(self, what: str) -> None:
        if self.writes:  # else nothing is lost
            super()._warn_dropped(what)
