"""One number for what a work returned: equal for equal results, whatever objects a peer hands out."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def digest(value: Any, crc: int = 0) -> int:
    """The CRC32 of bytes, text, numbers, arrays and frames, and of lists and mappings of them.

    Bytes in pieces count as the bytes put together, since a `read` may return less than was asked for.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return zlib.crc32(value, crc)
    if isinstance(value, str):
        return zlib.crc32(value.encode(), crc)
    if isinstance(value, Mapping):
        for key in sorted(value):
            crc = digest(value[key], digest(str(key), crc))
        return crc
    if isinstance(value, (list, tuple)):
        for part in value:
            crc = digest(part, crc)
        return crc
    if isinstance(value, BaseException):  # what `cat_ranges` returns in place of bytes
        raise value
    if value is None or isinstance(value, (bool, int, float)):
        return zlib.crc32(repr(value).encode(), crc)
    return _foreign(value, crc)


def _foreign(value: Any, crc: int) -> int:
    if hasattr(value, "columns") and hasattr(value, "dtypes"):  # a frame of pandas
        from ..frames import checksum_of

        return zlib.crc32(str(checksum_of(value)).encode(), crc)
    if hasattr(value, "to_pandas"):  # a table of pyarrow
        return _foreign(value.to_pandas(), crc)
    if hasattr(value, "dtype"):
        import numpy as np

        array = np.ascontiguousarray(value)
        return zlib.crc32(array.tobytes(), zlib.crc32(f"{array.dtype}{array.shape}".encode(), crc))
    return zlib.crc32(memoryview(value), crc)  # obstore's Bytes


def folder(path: str) -> dict[str, bytes]:
    """All files below a local folder."""
    root = Path(path)
    found = (file for file in root.rglob("*") if file.is_file())
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in found}
