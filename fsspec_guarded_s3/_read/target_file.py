"""A local file that appears at once under its name, whole.

Invariants: what is there is the old file, or none, until it is the new one; links are followed, and stay;
what is no regular file is never replaced. Linux has files without a name (O_TMPFILE in open(2)): there a
process that is killed leaves nothing behind. Elsewhere the new file is first a sibling that ends in ".part".
"""

from __future__ import annotations

import errno
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from shutil import SpecialFileError
from types import TracebackType
from typing import Any

from .._values.bodies import Buffer
from .._values.descriptors import opened
from .._values.local_files import BINARY, NO_ROOM, WINDOWS, extended, is_special, real_path, replace

_DEVICES = ("/dev", "/dev/fd", "/proc/self/fd")  # /dev/stdout may lead to a file that others write to as well


def is_stream(path: str) -> bool:
    """What is written to, and not replaced: a pipe, a socket, a device, an open file by its number."""
    return os.path.dirname(os.path.abspath(path)) in _DEVICES or is_special(path)


def refuse_stream(path: str) -> None:
    """Raises SpecialFileError, an OSError, for what `is_stream`."""
    if is_stream(path):
        raise SpecialFileError(
            errno.EINVAL, "lpath is a pipe, a socket or a device: open it, and pass that as outfile", path
        )


def write_all(file: Any, data: Buffer) -> None:
    """Write all of `data` to an open binary file, which may be a raw one and take a part at a time.

    BlockingIOError where a raw file is in non-blocking mode and takes nothing.
    """
    count = file.write(data)
    raw = getattr(file, "file", file)  # that of a temporary file
    if not isinstance(raw, io.RawIOBase):
        return
    view = memoryview(data).cast("B")
    while count is not None and count < view.nbytes:
        view = view[count:]
        count = file.write(view)
    if count is None:
        raise BlockingIOError(errno.EAGAIN, f"the file takes no more now: {view.nbytes} bytes are left")


class TargetFile:
    """A file to write to by its `descriptor`. Without `publish` nothing of it remains after the `with`."""

    def __init__(self, path: str) -> None:
        refuse_stream(path)
        self._told = path
        self._path = extended(real_path(path))
        self._folder, name = os.path.split(self._path)
        self._prefix = f".{name[:40]}."  # characters have up to 4 bytes, names up to 255
        self._temporary = ""
        self._mode = _mode_of(self._path)
        if self._mode is None:
            self._mode = _mode_of_new_files()
        self.descriptor = self._open_nameless()
        if self.descriptor < 0:
            with self._naming():
                self._open_sibling()

    def _open_nameless(self) -> int:
        """-1 where the system, or this file system, has no such files, and on other errors."""
        flags = getattr(os, "O_TMPFILE", 0)
        # Kernels before 5.19 do not apply the umask to these files: the mode has to be known.
        if flags and self._mode is not None and os.path.isdir("/proc/self/fd"):
            with suppress(OSError):
                return os.open(self._folder, flags | os.O_RDWR, 0o600)
        return -1

    def _open_sibling(self) -> None:
        path = self._new_name()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | BINARY
        # Where the mode is not known, the system makes it what a plain `open` would, umask and all.
        self.descriptor = opened(lambda: os.open(path, flags, 0o666 if self._mode is None else 0o600))
        self._temporary = path

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Have errors name the target, and none of the files and descriptors that stand for it."""
        try:
            yield
        except OSError as error:
            error.filename = self._told
            del error.filename2  # which is shown behind an arrow
            raise

    def _new_name(self) -> str:
        return os.path.join(self._folder, f"{self._prefix}{secrets.token_hex(8)}.part")

    def __enter__(self) -> TargetFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and error.errno in NO_ROOM and error.filename is None:
            error.filename = self._told  # whoever writes by the descriptor knows no name
        with suppress(OSError):
            self._close()
        if self._temporary:
            with suppress(OSError):
                os.unlink(self._temporary)

    def publish(self, fsync: bool) -> None:
        """Give it the name, and the mode of the file that has it now. With `fsync` after a flush to disk."""
        with self._naming():
            self._publish(fsync)

    def _publish(self, fsync: bool) -> None:
        there = _mode_of(self._path)
        mode = self._mode if there is None else there
        # Windows has only "read-only", and what is so cannot be replaced.
        if mode is not None and not WINDOWS and hasattr(os, "fchmod"):
            os.fchmod(self.descriptor, mode)
        if fsync:
            os.fsync(self.descriptor)
        if not self._temporary:
            self._link()
        self._close()  # some file systems tell only now that there was no space
        replace(self._temporary, self._path)
        self._temporary = ""
        if fsync:
            _sync_folder(self._folder)

    def _link(self) -> None:
        """Name it beside the target, since no link replaces a file."""
        temporary = self._new_name()
        # A src_dir_fd, which means nothing to an absolute path, makes Python call linkat(2): link(2) would
        # link the entry of /proc, and not the file.
        own = f"/proc/self/fd/{self.descriptor}"
        os.link(own, temporary, src_dir_fd=self.descriptor, follow_symlinks=True)
        self._temporary = temporary

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _mode_of(path: str) -> int | None:
    """The permissions of the file that is there, None where there is none.

    Not set-user-ID, set-group-ID and sticky: what they allow was meant for other content, of another owner.
    """
    try:
        return os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        return None


def _mode_of_new_files() -> int | None:
    """The permissions that a plain `open` gives to a new file now.

    None where the system does not tell the umask: asking by os.umask() would change it for all threads.
    """
    with suppress(OSError, ValueError), open("/proc/self/status", "rb") as status:  # Linux 4.7
        for line in status:
            if line.startswith(b"Umask:"):
                return 0o666 & ~int(line.split()[1], 8)
    return None


def _sync_folder(folder: str) -> None:
    """Make the rename durable; Windows cannot open folders and needs none of it."""
    if os.name == "posix":
        descriptor = opened(lambda: os.open(folder, os.O_RDONLY))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
