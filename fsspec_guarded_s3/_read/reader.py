"""The file object of `open(..., "rb")`: fsspec's buffered file over pinned ranges.

Invariant: all bytes of one reader belong to one ETag, after pickling too.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from fsspec.caching import MMapCache
from fsspec.spec import AbstractBufferedFile

from .._s3.client import S3Client
from .._values.attribute_values import decoded
from .._values.attributes import Attributes
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from .block_cache import PinnedBlocks
from .download import read_range
from .read_ahead import MIN_REQUEST, PrefetchCache

_PEEK_SIZE = 8192  # bytes, as of a buffered file of Python


if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    class _BufferedFile(AbstractBufferedFile, BinaryIO):
        """What fsspec's class has, which says nothing of types; a `BinaryIO` as Python's own files are."""

        fs: Any
        path: str
        mode: str
        size: int
        blocksize: int
        details: dict[str, Any]
        closed: bool

        def __enter__(self) -> Self: ...
        def __iter__(self) -> Iterator[bytes]: ...
        def seek(self, loc: int, whence: int = 0) -> int: ...
        def tell(self) -> int: ...
        def read(self, length: int | None = -1) -> bytes: ...
        def readable(self) -> bool: ...
        def seekable(self) -> bool: ...
        def writable(self) -> bool: ...
        def readinto(self, b: Buffer) -> int: ...
        def info(self) -> dict[str, Any]: ...
else:
    _BufferedFile = AbstractBufferedFile


class PinnedReader(_BufferedFile):
    """A readable file pinned to the version that was there when it was opened.

    A read raises ObjectChangedError once the object has been replaced. Lines and small reads come out of the
    block that was read last: its bytes are those of one version, so a `seek` leaves them true.
    """

    loc: int  # where the next read begins
    _block = b""  # that was read last
    _block_start = 0
    _last_stop = 0  # where the last read ended

    def __init__(
        self,
        fs: Any,
        path: str,
        client: S3Client,
        location: S3Path,
        pin: ObjectInfo,
        details: dict[str, Any],
        block_size: int,
        cache_type: str = "prefetch",
        cache_options: dict[str, Any] | None = None,
        first: bytes = b"",
    ) -> None:
        self._client = client
        self._location = location
        self._pin = pin
        self._details = details
        self._cache_options = cache_options
        # Not a method: the cache that holds it would hold the reader, and its connections, in a cycle.
        self._fetch_range = partial(_fetch, first, client, location, pin)
        super().__init__(
            fs,
            path,
            "rb",
            block_size,
            cache_type=cache_type,
            cache_options=deepcopy(cache_options),  # the cache "parts" empties it
            size=pin.size,
        )

    def __repr__(self) -> str:
        return f"<PinnedReader {self.path} etag={self._pin.etag} size={self.size}>"

    @property
    def etag(self) -> str:
        """The ETag that every read is pinned to."""
        return self._pin.etag

    @property
    def version_id(self) -> str | None:
        """The version that was opened, None where the bucket has none."""
        return self._pin.version_id

    def metadata(self) -> dict[str, str]:
        """The user metadata of the version that was opened, as `fs.metadata` has it; no request."""
        return {name.replace("_", "-"): decoded(value) for name, value in self._pin.metadata.items()}

    def getxattr(self, attr_name: str) -> str | None:
        """The value of one name of the user metadata, None where there is none. No request."""
        return self.metadata().get(attr_name.replace("_", "-").lower())

    def setxattr(self, copy_kwargs: Mapping[str, Any] | None = None, **kw_args: str | None) -> None:
        """`fs.setxattr`. It writes the object anew: this reader goes on only where versions are kept."""
        self.fs.setxattr(self.path, copy_kwargs, **kw_args)

    def url(self, **kwargs: Any) -> str:
        """`fs.url` of the object."""
        return str(self.fs.url(self.path, **kwargs))

    # --- reading; fsspec's own methods for lines ask for a whole block per line ---

    def read(self, length: int | None = -1) -> bytes:
        """The next `length` bytes, fewer only at the end of the file; all that are left if None or -1."""
        if length is not None and 0 < length <= min(MIN_REQUEST, self.blocksize):
            begin = self.loc - self._block_start
            if not 0 <= begin < len(self._block) and isinstance(self.cache, PrefetchCache):
                self._load_block()
                begin = self.loc - self._block_start
            data = self._block[begin : begin + length] if begin >= 0 else b""
            if len(data) == length:
                self.loc = self._last_stop = self.loc + length
                return data
        self._report_position()
        found: bytes = super().read(length)
        self._last_stop = self.loc
        return found

    def read1(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, as many as can be had without a second request."""
        if size == 0 or not (self._is_in_block(self.loc) or self._load_block()):
            return b""
        begin = self.loc - self._block_start
        stop = None if size is None or size < 0 else begin + size
        return self._advance(self._block[begin:stop])

    def peek(self, size: int = 0) -> bytes:
        """Bytes from here on, without moving: at least one, except at the end of the file."""
        if not (self._is_in_block(self.loc) or self._load_block()):
            return b""
        begin = self.loc - self._block_start
        return self._block[begin : begin + min(max(size, _PEEK_SIZE), MIN_REQUEST)]

    def readline(self, size: int | None = -1) -> bytes:
        """The next line with its line feed, at most `size` bytes of it."""
        left = sys.maxsize if size is None or size < 0 else size
        pieces: list[bytes] = []
        while left > 0 and (self._is_in_block(self.loc) or self._load_block()):
            begin = self.loc - self._block_start
            end = self._block.find(b"\n", begin, begin + left) + 1
            piece = self._advance(self._block[begin : end or begin + left])
            if end:
                return b"".join([*pieces, piece]) if pieces else piece
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def __next__(self) -> bytes:
        begin = self.loc - self._block_start
        end = self._block.find(b"\n", begin) + 1 if begin >= 0 else 0
        if end:
            self.loc = self._last_stop = self._block_start + end
            return self._block[begin:end]
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """The lines from here on; no more once they have `hint` bytes, if that is positive."""
        return io.IOBase.readlines(self, -1 if hint is None else hint)

    def readuntil(self, char: bytes = b"\n", blocks: int | None = None) -> bytes:
        """What is before the next `char`, and that; `blocks` is how many bytes are looked at in one go."""
        found: bytes = super().readuntil(char, blocks or MIN_REQUEST)
        return found

    def _is_in_block(self, position: int) -> bool:
        return 0 <= position - self._block_start < len(self._block)

    def _load_block(self) -> bool:
        """Have the block that has the next byte in `_block`; False at the end of the file."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if self.loc >= self.size:
            return False
        self._report_position()
        cache = self.cache
        if isinstance(cache, PrefetchCache):
            self._block, self._block_start = cache.block(self.loc)
        else:
            self._block = cache._fetch(self.loc, min(self.loc + MIN_REQUEST, self.size))
            self._block_start = self.loc
        return bool(self._block)

    def _report_position(self) -> None:
        if isinstance(self.cache, PrefetchCache):
            self.cache.read_until(self._last_stop)

    def _advance(self, data: bytes) -> bytes:
        self.loc = self._last_stop = self.loc + len(data)
        return data

    @property
    def cache(self) -> Any:
        """fsspec's cache of this file, None when it is closed."""
        return self._cache

    @cache.setter
    def cache(self, cache: Any) -> None:
        if isinstance(cache, MMapCache):  # `blockcache::` brings its own
            cache = PinnedBlocks(cache.blocksize, self._fetch_range, cache.size, cache.location, cache.blocks)
        if isinstance(cache, PrefetchCache):
            cache.is_distant = self._client.scheduler.is_distant
        self._cache = cache

    def close(self) -> None:
        """Drop what was read; the file cannot be read any more."""
        self._block = b""
        cache = getattr(self, "_cache", None)
        if isinstance(cache, (PinnedBlocks, PrefetchCache)):
            cache.close()
        if cache is not None:
            cache.fetcher = None  # some caches of fsspec are cycles: they must not keep connections
        super().close()

    def __reduce__(self) -> tuple[Any, ...]:
        # AbstractBufferedFile would open the path anew, and lose the pin.
        cache = getattr(self.cache, "name", "prefetch")
        return _reopen, (
            self.fs,
            self.path,
            self._location,
            self._pin,
            self._details,
            self.blocksize,
            cache,
            self._cache_options,
            self.loc,
            self._client.attributes,
        )


def _fetch(first: bytes, client: S3Client, location: S3Path, pin: ObjectInfo, start: int, stop: int) -> bytes:
    """The bytes [start, stop): from `first`, which came when the file was opened, where that has them."""
    return first[start:stop] if stop <= len(first) else read_range(client, location, pin, start, stop)


def _reopen(
    fs: Any,
    path: str,
    location: S3Path,
    pin: ObjectInfo,
    details: dict[str, Any],
    block_size: int,
    cache_type: str,
    cache_options: dict[str, Any] | None,
    position: int,
    attributes: Attributes,
) -> PinnedReader:
    client = fs._client.carrying(attributes)
    reader = PinnedReader(fs, path, client, location, pin, details, block_size, cache_type, cache_options)
    reader.loc = position
    return reader
