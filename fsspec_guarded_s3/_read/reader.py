"""The file object of `open(..., "rb")`: fsspec's buffered file over pinned ranges.

Invariant: all bytes of one reader belong to one ETag, after pickling too.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any, TypeGuard, TypeVar

from fsspec.caching import BaseCache, MMapCache

from .._s3.client import S3Client
from .._values.annotations import Buffer, Writable
from .._values.attributes import Attributes
from .._values.buffers import writable
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from .._values.tracebacks import short_tracebacks
from .arriving import stream_range
from .block_cache import PinnedBlocks
from .download import read_range
from .into_buffers import Gate, read_into
from .pinned_file import PinnedFile, PutOff, before_beginning
from .read_ahead import MIN_REQUEST, PrefetchCache, caches

T = TypeVar("T")
_SKIPPED = 4096  # bytes that may be passed over by who reads from front to back: padding, a small header
_PEEK_SIZE = 8192  # bytes, as of a buffered file of Python


class PinnedReader(PinnedFile):
    """A readable file pinned to the version that was there when it was opened.

    A read raises ObjectChangedError once the object has been replaced. Lines and small reads come out of the
    block that was read last: its bytes are those of one version, so a `seek` leaves them true.
    """

    loc: int  # where the next read begins
    _block = b"", 0  # what was read last, and where it begins; set in one step, whoever interrupts
    _began = 0  # where the reads began that go on without a gap

    def __init__(
        self,
        fs: Any,
        path: str,
        client: S3Client,
        location: S3Path,
        pin: ObjectInfo,
        details: dict[str, Any] | None,
        block_size: int,
        cache_type: str = "prefetch",
        cache_options: dict[str, Any] | None = None,
        first: bytes = b"",
        put_off: PutOff | None = None,
        fill_cache: bool = True,
    ) -> None:
        """`first` is what was read of it already. `put_off` is there where nothing but `pin` is known."""
        self._put_off: PutOff | None = None
        self.fill_cache = fill_cache
        self._client = client
        self._location = location
        self._pin = pin
        self._details = details
        self._cache_options = cache_options
        # Not a method: the cache that holds it would hold the reader, and its connections, in a cycle.
        self._fetch_range = partial(read_range, client, location, pin)
        super().__init__(
            fs,
            path,
            "rb",
            block_size,
            cache_type="none",  # fsspec looks up others in a registry that nobody promises
            size=pin.size,
        )
        self._cache_type = cache_type
        self._begin_cache(first)
        self._put_off = put_off

    def _begin_cache(self, first: bytes) -> None:
        is_own = self._cache_type == PrefetchCache.name
        kind = PrefetchCache if is_own else caches()[self._cache_type]
        options = deepcopy(self._cache_options) or {}  # the cache "parts" empties it
        self.cache = kind(self.blocksize, self._fetch_range, self._pin.size, **options)
        if isinstance(self.cache, PrefetchCache):
            self.cache.keep(first)

    def _take(self, pin: ObjectInfo, first: bytes, *, is_other: bool) -> None:
        self._pin = pin
        if is_other:
            self._block = b"", 0
            self._fetch_range = partial(read_range, self._client, self._location, pin)
            self._begin_cache(first)
        elif isinstance(self.cache, PrefetchCache):
            self.cache.keep(first)

    def __repr__(self) -> str:
        return f"<PinnedReader {self.path} etag={self._pin.etag} size={self._pin.size}>"

    __str__ = __repr__  # fsspec's files have one of their own, which tells less

    # --- reading; fsspec's own methods for lines ask for a whole block per line ---

    def seek(self, loc: int, whence: int = 0) -> int:
        """Go to `loc`, counted from the beginning, from here (1) or the end (2); returns where that is.

        Before the beginning it is an error that is an OSError, as of local files, and a ValueError.
        """
        before = self.loc
        if whence == 0:
            place = int(loc)
        elif whence == 1:
            place = before + int(loc)
        elif whence == 2:
            place = self.size + int(loc)
        else:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
        if place < 0:
            raise before_beginning(self.bucket, self.key)
        if not before <= place <= before + _SKIPPED:
            self._began = place
        self.loc = place
        return place

    def read(self, length: int | None = -1) -> bytes:
        """The next `length` bytes, fewer only at the end of the file; all that are left if None or -1."""
        position = self.loc
        block, start = self._block
        begin = position - start
        if length is not None and begin >= 0 < length and begin + length <= len(block):
            self.loc = position + length
            return block[begin : begin + length]
        return self._joined(length, position)

    def readinto(self, b: Writable) -> int:
        """Fill `b` with the next bytes, as far as there are any; returns how many.

        `b` is a bytearray, an array of numpy, a tensor of torch on the CPU, a mutable buffer of pyarrow or
        any other writable memory without gaps. What is neither kept nor on its way goes from the socket into
        it, without a copy. Afterwards, also after an interrupt, nothing writes into it any more.

        Raises TypeError for what is no writable buffer, ValueError for one with gaps or on another device.
        GetObject.
        """
        position = self.loc
        view = memoryview(b) if _is_plain(b) else writable("b", b).view
        try:
            block, start = self._block
            begin = position - start
            stop = begin + len(view)
            if begin >= 0 and stop <= len(block):
                view[:] = memoryview(block)[begin:stop]
                done = len(view)
            else:
                done = self._filled(view, position)
        finally:
            view.release()  # an error keeps it, and a bytearray that is exported keeps its size
        self.loc = position + done
        return done

    def readinto1(self, b: Writable) -> int:
        """Fill a part of `b` with what can be had without a second request; returns how many bytes."""
        view = memoryview(b) if _is_plain(b) else writable("b", b).view
        try:
            data = self.read1(len(view))
            view[: len(data)] = data
        finally:
            view.release()
        return len(data)

    def read1(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, as many as can be had without a second request."""
        position = self.loc
        if size == 0:
            return b""
        block, start = self._block_of(position)
        begin = position - start
        data = block[begin:] if size is None or size < 0 else block[begin : begin + size]
        self.loc = position + len(data)
        return data

    def peek(self, size: int = 0) -> bytes:
        """Bytes from here on, without moving: at least one, except at the end of the file."""
        position = self.loc
        block, start = self._block_of(position)
        begin = position - start
        return block[begin : begin + min(max(size, _PEEK_SIZE), MIN_REQUEST)]

    def readline(self, size: int | None = -1) -> bytes:
        """The next line with its line feed, at most `size` bytes of it."""
        left = sys.maxsize if size is None or size < 0 else size
        pieces: list[bytes] = []
        position = self.loc
        while left > 0:
            block, start = self._block_of(position)
            begin = position - start
            end = block.find(b"\n", begin, begin + left) + 1
            piece = block[begin : end or begin + left]
            self.loc = position = position + len(piece)
            if end:
                return b"".join([*pieces, piece]) if pieces else piece
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def __iter__(self) -> Iterator[bytes]:
        """The lines from here on. Between two of them the file may be moved, read and closed."""
        while True:
            held = block, start = self._block
            position = self.loc
            if 0 <= position - start < len(block):
                lines = io.BytesIO(block)  # which shares its bytes, and finds lines in a third of the time
                lines.seek(position - start)
                for line in lines:
                    if self.loc != position or self._block is not held or not line.endswith(b"\n"):
                        break
                    self.loc = position = position + len(line)
                    yield line
            if not (line := self.readline()):
                return
            yield line

    def __next__(self) -> bytes:
        block, start = self._block
        begin = self.loc - start
        end = block.find(b"\n", begin) + 1 if begin >= 0 else 0
        if end:
            self.loc = start + end
            return block[begin:end]
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

    @short_tracebacks
    def _joined(self, length: int | None, position: int) -> bytes:
        """What `read` returns when not all of it is in the block."""
        cache = self.cache
        if not isinstance(cache, PrefetchCache):
            data = self._asked(partial(self._of_cache, length, position), position)
            self.loc = position + len(data)
            return data
        pieces = list(self._pieces(sys.maxsize if length is None or length < 0 else length, position))
        only = pieces[0] if len(pieces) == 1 else None
        data = only if isinstance(only, bytes) else b"".join(pieces)
        self.loc = position + len(data)
        return data

    def _of_cache(self, length: int | None, start: int) -> bytes:
        """`length` bytes from `start` on by a cache of fsspec, all if None or negative. It moves nothing."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        size = self._pin.size
        stop = size if length is None or length < 0 else min(start + length, size)
        cache: BaseCache = self.cache
        found: bytes = cache._fetch(start, stop) if start < stop else b""
        return found

    # Each of these is told where it reads. Threads may share a file, each of which seeks and reads in one go,
    # as DuckDB's do: while a read waits for the store, another thread has moved the file.

    def _filled(self, view: memoryview, position: int) -> int:
        """How many bytes have gone into `view`, of which not all were in the block. It moves nothing."""
        cache = self.cache
        if not self.closed and len(view) > min(MIN_REQUEST, self.blocksize):
            if isinstance(cache, PrefetchCache):
                large = partial(self._large_into, view, position, self._began)
                return self._asked(large, position, len(view))
            if type(cache) is BaseCache and cache.fetcher is self._fetch_range:  # "none", which keeps nothing
                return self._asked(partial(self._receive, view, position), position)
        return _copied(self._pieces(len(view), position), view)

    @short_tracebacks
    def _large_into(self, view: memoryview, position: int, began: int) -> int:
        stop = min(position + len(view), self._pin.size)
        cache: PrefetchCache = self.cache
        receive = partial(self._receive, view, position)
        if position < stop and cache.is_passed(position, stop, began, receive):
            return stop - position
        return _copied(cache.pieces(position, stop, began), view)

    @short_tracebacks
    def _receive(self, view: memoryview, position: int) -> int:
        """Have the bytes from `position` on, as many as go into it, go from the socket into `view`."""
        count = min(len(view), max(0, self._pin.size - position))
        gate = Gate()
        try:
            with view[:count] as part:
                read_into(self._client, self._location, self._pin, position, part, gate)
        finally:
            gate.close()
        return count

    def _pieces(self, count: int, position: int) -> Iterable[bytes | memoryview]:
        """`count` bytes from `position` on, fewer at the end of the file. It moves nothing."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if not count:
            return []
        cache = self.cache
        if not isinstance(cache, PrefetchCache):
            return [self._asked(partial(self._of_cache, count, position), position)]
        if count > min(MIN_REQUEST, self.blocksize):
            return self._asked(partial(self._large_pieces, count, position, self._began), position, count)
        return self._small_pieces(self._block_of(position), position, count)

    @short_tracebacks
    def _large_pieces(self, count: int, position: int, began: int) -> list[bytes | memoryview]:
        stop = min(position + count, self._pin.size)
        cache: PrefetchCache = self.cache
        return cache.pieces(position, stop, began)

    def _small_pieces(self, found: tuple[bytes, int], position: int, count: int) -> Iterator[memoryview]:
        """`count` bytes from `position` on, which `found` has; what comes behind them is then the block."""
        stop = min(position + count, self._pin.size)
        while position < stop:
            block, start = found
            piece = memoryview(block)[position - start : stop - start]
            yield piece
            position += len(piece)
            if position < stop:
                found = self._block_of(position)

    def _block_of(self, position: int) -> tuple[bytes, int]:
        """Bytes, among them the one at `position`, and where they begin; none at the end of the file."""
        found = block, start = self._block
        return found if 0 <= position - start < len(block) else self._load_block(position)

    @short_tracebacks
    def _load_block(self, position: int) -> tuple[bytes, int]:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        return self._asked(partial(self._ask_block, position, self._began), position)

    def _ask_block(self, position: int, began: int) -> tuple[bytes, int]:
        size, cache = self._pin.size, self.cache
        if position >= size:
            return b"", position
        if isinstance(cache, PrefetchCache):
            piece = cache.piece(position, began)
            found = piece.data, piece.start
        else:
            found = cache._fetch(position, min(position + MIN_REQUEST, size)), position
        self._block = found
        return found

    @property
    def cache(self) -> Any:
        """fsspec's cache of this file, None when it is closed."""
        return self._cache

    @cache.setter
    def cache(self, cache: Any) -> None:
        if isinstance(cache, MMapCache):  # `blockcache::` brings its own
            cache = PinnedBlocks(cache.blocksize, self._fetch_range, cache.size, cache.location, cache.blocks)
        if isinstance(cache, PrefetchCache):
            scheduler = self._client.scheduler
            cache.is_distant, cache.worth_of_round_trip = scheduler.is_distant, scheduler.worth_of_round_trip
            cache.stream = partial(stream_range, self._client, self._location, self._pin)
        self._cache = cache

    def close(self) -> None:
        """Drop what was read; the file cannot be read any more."""
        self._block = b"", 0
        cache = getattr(self, "_cache", None)
        if isinstance(cache, (PinnedBlocks, PrefetchCache)):
            cache.close()
        if cache is not None:
            cache.fetcher = None  # some caches of fsspec are cycles: they must not keep connections
        super().close()

    def __reduce__(self) -> tuple[Any, ...]:
        # AbstractBufferedFile would open the path anew, and lose the pin.
        self._open_now()
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
            self.when_gone,
            self.why_read_only,
        )


def _is_plain(b: Any) -> TypeGuard[Buffer]:
    """Whether it is bytes without gaps that can be written: what callers have that read often."""
    if type(b) is bytearray:
        return True
    is_view = type(b) is memoryview and b.format == "B" and b.ndim == 1
    return is_view and b.c_contiguous and not b.readonly


def _copied(pieces: Iterable[bytes | memoryview], view: memoryview) -> int:
    done = 0
    for piece in pieces:
        view[done : done + len(piece)] = piece
        done += len(piece)
    return done


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
    when_gone: str | None,
    why_read_only: str | None,
) -> PinnedReader:
    client = fs._client.carrying(attributes)
    reader = PinnedReader(fs, path, client, location, pin, details, block_size, cache_type, cache_options)
    reader.when_gone, reader.why_read_only = when_gone, why_read_only
    reader.seek(position)
    return reader
