"""Objects that are there from the start: the files of a folder, served from memory."""

from __future__ import annotations

import hashlib
import mmap
import zlib
from pathlib import Path

from .content import Stored, row

ROOT = "every/"
_EMPTY = memoryview(b"")


class Given:
    """The files below `folder`, as objects below `ROOT`. Made before the workers are forked."""

    def __init__(self, folder: Path) -> None:
        self._objects: dict[str, tuple[memoryview, str, int]] = {}
        self.listing = Stored()
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        for name in sorted(files):
            content = _content(files[name])
            tag = hashlib.md5(content, usedforsecurity=False).hexdigest()
            self._objects[ROOT + name] = content, tag, zlib.crc32(content)
            self.listing.append((ROOT + name, row(ROOT + name, "00:00:00", tag, len(content))))

    def find(self, key: str) -> tuple[memoryview, str, int] | None:
        """An object's bytes, ETag and CRC32; None when there is none."""
        return self._objects.get(key)


def _content(path: Path) -> memoryview:
    if not path.stat().st_size:
        return _EMPTY
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
