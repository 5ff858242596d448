"""What a stream gathers for a part, bounded in memory: what is more goes to a temporary file.

A part can be sent again, so its bytes are kept until the store has them. The file has no name (none that is
seen, on Windows) and is gone with its last user. It lies where `tempfile` says: TMPDIR, else /tmp.
"""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass

from .._values.bodies import Buffer, FileSlice, RequestBody
from .._values.descriptors import opened
from .._values.local_files import NO_ROOM, read_at, write_at
from ..errors import ConfigurationError, ConnectError
from ..options import MIB

IN_MEMORY = 64 * MIB


def unusable(error: OSError) -> Exception:
    """`error` of the temporary folder, which says what the folder is for and what to do.

    A folder that is missing is a ConfigurationError: FileNotFoundError would say that there is no object.
    """
    folder = _folder()
    why = f"{error.strerror or error}: what is written is kept in {folder} until it is sent"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return ConfigurationError(f"{why}. Set TMPDIR to a folder that is there, before Python starts")
    if error.errno in NO_ROOM:
        return OSError(error.errno, f"{why}. Make room there, or set TMPDIR to a larger folder", folder)
    return OSError(error.errno, f"{why}. Set TMPDIR to a folder where this program may write", folder)


def _folder() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return "the temporary folder"


class TemporaryFile:
    """An open file that ends with this object."""

    def __init__(self) -> None:
        try:
            self.descriptor = opened(_nameless)
        except OSError as error:
            if error.errno is None or isinstance(error, ConnectError):
                raise
            raise unusable(error) from error
        self.size = 0
        self._pid = os.getpid()

    def write(self, data: Buffer, position: int | None = None) -> None:
        """Write at `position`, by default the end. Raises OSError when the disk is full."""
        if os.getpid() != self._pid:  # the bytes are those of both
            raise ValueError("a writer of a large stream belongs to the process that began it")
        view, position = memoryview(data), self.size if position is None else position
        while view.nbytes:
            try:
                count = write_at(self.descriptor, view, position)
            except OSError as error:
                raise unusable(error) from error
            position += count
            self.size = max(self.size, position)
            view = view[count:]

    def readinto(self, view: memoryview, position: int) -> int:
        """Fill `view` from `position` on; returns the bytes read, fewer only at the end."""
        done = 0
        while done < view.nbytes and (count := read_at(self.descriptor, view[done:], position + done)):
            done += count
        return done

    def truncate(self, size: int) -> None:
        """Have it be `size` bytes long; what is added is zeros. Raises OSError."""
        try:
            os.ftruncate(self.descriptor, size)
        except OSError as error:
            raise unusable(error) from error
        self.size = size

    def release(self) -> None:
        """Give the room on the disk back now: a traceback may hold this object for as long as it likes.

        Nothing of it may be on its way any more.
        """
        if os.getpid() == self._pid:  # otherwise the bytes are the parent's, too
            with suppress(OSError):
                os.ftruncate(self.descriptor, 0)

    def slice(self, start: int, stop: int) -> FileSlice:
        """The bytes [start, stop), not copied. Nothing may be written there after that."""
        return _SpooledSlice(self.descriptor, start, stop, self)

    def __del__(self) -> None:
        if os is not None and hasattr(self, "descriptor"):  # not at the end of the interpreter
            os.close(self.descriptor)


def _nameless() -> int:
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


@dataclass(frozen=True, slots=True)
class _SpooledSlice(FileSlice):
    """Bytes of a temporary file, which lives as long as this does."""

    file: TemporaryFile


class Gathered:
    """Bytes that come one after the other: at most `IN_MEMORY` of them in memory, or all in a file."""

    def __init__(self) -> None:
        self._memory = bytearray()
        self._file: TemporaryFile | None = None

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return len(self._memory) if self._file is None else self._file.size

    def write(self, data: Buffer) -> None:
        """Append. Raises OSError when there is no room for a temporary file."""
        if self._file is None and len(self._memory) + len(data) > IN_MEMORY:
            self._file, memory = TemporaryFile(), self._memory
            self._memory = bytearray()
            self._file.write(memory)
        if self._file is None:
            self._memory += data
        else:
            self._file.write(data)

    def body(self, start: int = 0, stop: int | None = None) -> RequestBody:
        """The bytes [start, stop), not copied. Nothing may be written after that."""
        stop = self.size if stop is None else stop
        if self._file is not None:
            return self._file.slice(start, stop)
        return memoryview(self._memory)[start:stop]
