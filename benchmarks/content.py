"""What the benchmark server serves: bytes without a period, and two large listings.

All of it is made before the workers are forked, so that they share one copy.
"""

from __future__ import annotations

import mmap
import random
import re
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

_SLICE = 2**20
_NAME = re.compile(r".*-[0-9]+", re.S)
HIGHEST = "\U0010ffff"  # sorts after every character of a key


def _size_of(key: str) -> int:
    return int(key.rpartition("-")[2])


class Bytes:
    """Random bytes in shared memory, and the synthetic objects cut from them.

    A synthetic object has its size in its name ("small/7-4096"). Where it begins depends on its name, so that
    objects of one size differ.
    """

    def __init__(self, large: Sequence[str]) -> None:
        self._size = size = max(map(_size_of, large))
        self._memory = mmap.mmap(-1, size)
        generator = random.Random(7)
        for begin in range(0, size, _SLICE):
            count = min(_SLICE, size - begin)
            self._memory[begin : begin + count] = generator.randbytes(count)
        self.view = memoryview(self._memory)
        # A server knows the checksum of what it stores. Here, since each worker would be slow the first time.
        self._sums = {key: zlib.crc32(self._content(key)) for key in large}

    def object(self, key: str) -> memoryview | None:
        """The content of the synthetic object `key`; None when its name holds no size that there is."""
        if not _NAME.fullmatch(key) or _size_of(key) > self._size:
            return None
        return self._content(key)

    def _content(self, key: str) -> memoryview:
        size = _size_of(key)
        begin = zlib.crc32(key.encode()) % (self._size - size + 1)
        return self.view[begin : begin + size]

    def checksum(self, key: str, content: memoryview) -> int:
        """The CRC32 of `content`, which is the object `key`; remembered."""
        if key not in self._sums:
            self._sums[key] = zlib.crc32(content)
        return self._sums[key]


class Keys(Sequence[str]):
    """`count` keys below `root`, in order, 10,000 in a folder, and their rows of a listing.

    All rows have one width, so a page is a slice and costs the server nothing.
    """

    def __init__(self, root: str, count: int) -> None:
        self._root = root
        self._count = count
        self._rows = "".join(map(self._row, range(count))).encode()
        self._width = len(self._row(0))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return f"{self._root}{index // 10_000:04d}/part-{index:08d}.parquet"

    def _row(self, n: int) -> str:
        etag = f"{(n + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"
        return row(self[n], f"{n // 3600 % 24:02d}:{n // 60 % 60:02d}:{n % 60:02d}", etag, 10**7 + n)

    def rows(self, first: int, stop: int) -> bytes:
        """The rows of the keys [first, stop)."""
        return self._rows[first * self._width : stop * self._width]


def row(key: str, time: str, etag: str, size: int) -> str:
    """One object of a listing, as S3 writes it."""
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-11-23T{time}.000Z</LastModified>"
        f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


class Stored(list[tuple[str, str]]):
    """(key, row) of uploaded objects, in order of keys: the same view as `Keys`."""

    def rows(self, first: int, stop: int) -> bytes:
        """The rows of the keys [first, stop)."""
        return "".join(text for _, text in self[first:stop]).encode()


@dataclass(frozen=True)
class Asked:
    """The parameters of a ListObjectsV2."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    token: str = ""
    most: int = 1000


def page(keys: Keys | Stored, asked: Asked) -> bytes:
    """One page of ListObjectsV2; the token is the index of the next key."""
    names: Sequence[str] = keys if isinstance(keys, Keys) else [key for key, _ in keys]
    stop = bisect_left(names, asked.prefix + HIGHEST)
    first = int(asked.token) if asked.token else bisect_left(names, asked.prefix)
    if asked.after and not asked.token:
        first = max(first, bisect_left(names, asked.after + "\0"))
    prefixes: list[str] = []
    body = b""
    count = 0
    if not asked.delimiter:
        count = max(0, min(asked.most, stop - first))
        body, first = keys.rows(first, first + count), first + count
    while asked.delimiter and first < stop and count < asked.most:
        folder, found, _ = names[first][len(asked.prefix) :].partition(asked.delimiter)
        if found:
            prefixes.append(asked.prefix + folder + asked.delimiter)
            first = bisect_left(names, prefixes[-1] + HIGHEST)
        else:
            body, first = body + keys.rows(first, first + 1), first + 1
        count += 1
    more = first < stop
    token = f"<NextContinuationToken>{first}</NextContinuationToken>" if more else ""
    common = "".join(f"<CommonPrefixes><Prefix>{p}</Prefix></CommonPrefixes>" for p in prefixes)
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>bench</Name><Prefix>{asked.prefix}</Prefix>{token}<KeyCount>{count}</KeyCount>"
        f"<MaxKeys>{asked.most}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
    )
    return b"".join((head.encode(), body, common.encode(), b"</ListBucketResult>"))
