"""What stands at a local path, and what is done to files in a way of its own on each system."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time

from .._forks import PerProcess
from .._work import pause
from .parameters import Path

WINDOWS = os.name == "nt"
BINARY = getattr(os, "O_BINARY", 0)  # Windows: without it `os.read` changes line ends, and stops at Ctrl-Z
NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_LONG = 240  # characters of a path that all calls of Windows take: 260, less those of a temporary name
_PATIENCE = 2.0  # seconds
# For systems without pread(2) and pwrite(2): there an open file has one position, which threads share.
_position = PerProcess(threading.Lock)


def is_special(path: Path) -> bool:
    """A pipe, a socket or a device: it has no size, and cannot be read again. Links are followed."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def read_at(descriptor: int, view: memoryview, position: int) -> int:
    """Read from `position` of an open file into `view`; returns the bytes read, 0 at its end."""
    if hasattr(os, "preadv"):  # macOS before 11 has none
        read: int = os.preadv(descriptor, [view], position)
        return read
    if hasattr(os, "pread"):
        data = os.pread(descriptor, view.nbytes, position)
    else:
        with _position():
            os.lseek(descriptor, position, os.SEEK_SET)
            data = os.read(descriptor, view.nbytes)
    view[: len(data)] = data
    return len(data)


def write_at(descriptor: int, view: memoryview, position: int) -> int:
    """Write to `position` of an open file; returns how many bytes of `view` it took."""
    if hasattr(os, "pwrite"):
        written: int = os.pwrite(descriptor, view, position)
        return written
    with _position():
        os.lseek(descriptor, position, os.SEEK_SET)
        return os.write(descriptor, view)


def replace(source: str, target: str) -> None:
    """Give `source` the name `target`. Raises OSError, which names `target`.

    Windows refuses for as long as a program has `target` open. A virus scanner or an indexer lets go of it
    soon.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError as error:
            if not WINDOWS or os.path.isdir(target):
                raise
            if time.monotonic() > until:
                message = f"{error.strerror}: it is read-only, or a program has it open. It is as it was"
                raise PermissionError(error.errno or errno.EACCES, message, target) from error
        pause(0.05)


def real_path(path: str) -> str:
    """The absolute path without links."""
    try:
        return os.path.realpath(path)
    except OSError:  # of a file system of Windows that does not tell
        return os.path.abspath(path)


def extended(path: Path) -> str:
    """`path` as Windows takes it where it is longer than its old limit of 260 characters."""
    path = os.fsdecode(path)
    if not WINDOWS or len(path) < _LONG or path.startswith("\\\\?\\"):
        return path
    path = os.path.abspath(path)
    return f"\\\\?\\UNC{path[1:]}" if path.startswith("\\\\") else f"\\\\?\\{path}"
