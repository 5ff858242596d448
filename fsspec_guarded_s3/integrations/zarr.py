"""A store for zarr 3: an array or a group in S3, with the guards of the filesystem.

zarr's own `FsspecStore` takes the URL and is as fast. What this one has beside it:

- what a task reads of one shard is of one version: its index, and the chunks that it finds by that. Where the
  shard is replaced in between, `ObjectChangedError`, and no chunk that is cut out of the wrong bytes;
- `set_if_not_exists` is one conditional create, which the store decides, and not a look and then a write;
- the ranges of one shard are planned together, and small deletes and sizes take one listing.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from ..filesystem import GuardedS3FileSystem

if TYPE_CHECKING:
    from typing_extensions import Self
    from zarr.core.buffer import Buffer, BufferPrototype

    from .._values.models import ObjectInfo

__all__ = ["GuardedS3Store"]

_MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


@dataclass(frozen=True)
class _ShardRead:
    """What a task has read of a shard: its index, and after that chunks of the same version."""

    key: str
    version: ObjectInfo
    index_at_end: bool  # of the shard: a read from its beginning is one of its first chunk then

    def is_ended_by(self, byte_ranges: Sequence[ByteRequest | None]) -> bool:
        """Whether these are the index once more: a new read of the shard begins."""
        if len(byte_ranges) != 1:
            return False
        (byte_range,) = byte_ranges
        if isinstance(byte_range, SuffixByteRequest):
            return True
        return not self.index_at_end and _slice(byte_range)[0] == 0


class GuardedS3Store(Store):
    """The objects below `path`, a bucket or a prefix, as a store of zarr.

    `GuardedS3Store.from_url("gs3://bucket/a.zarr", storage_options=...)` makes the filesystem, too.
    """

    supports_writes: bool = True
    supports_deletes: bool = True
    supports_listing: bool = True
    fs: GuardedS3FileSystem
    path: str

    def __init__(self, fs: GuardedS3FileSystem, path: str, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self.fs = fs
        self.path = str(fs._strip_protocol(path)).rstrip("/")
        if not self.path:
            raise ValueError("path must name a bucket, or a prefix in one")
        self._read_by: WeakKeyDictionary[asyncio.Task[Any], _ShardRead] = WeakKeyDictionary()

    @classmethod
    def from_url(
        cls, url: str, *, storage_options: dict[str, Any] | None = None, read_only: bool = False
    ) -> Self:
        """The store at a URL; `storage_options` are those of the filesystem."""
        options: dict[str, Any] = storage_options or {}
        return cls(GuardedS3FileSystem(**options), url, read_only=read_only)

    def with_read_only(self, read_only: bool = False) -> Self:
        """The same objects, to be read only or not."""
        return type(self)(self.fs, self.path, read_only=read_only)

    def __repr__(self) -> str:
        return f"GuardedS3Store('{self}')"

    def __str__(self) -> str:
        return f"gs3://{self.path}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GuardedS3Store):
            return NotImplemented
        return (self.fs, self.path, self.read_only) == (other.fs, other.path, other.read_only)

    def __hash__(self) -> int:
        return hash((self.path, self.read_only))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_read_by"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _read_by=WeakKeyDictionary())

    def _name(self, key: str) -> str:
        return f"{self.path}/{key}" if key else self.path

    # --- reading ---

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The value of `key`, or a part of it; None where there is none. GetObject."""
        await self._ensure_open()
        try:
            if byte_range is None:
                data = await self.fs._cat_file(self._name(key))
            else:
                (data,) = await self._slices(key, [byte_range])
        except _MISSING as error:
            _check_bucket(error)
            return None
        return prototype.buffer.from_bytes(data)

    async def get_ranges(
        self,
        key: str,
        byte_ranges: Sequence[ByteRequest | None],
        *,
        prototype: BufferPrototype,
        max_concurrency: int = 10,
        max_gap_bytes: int = 2**20,
        max_coalesced_bytes: int = 2**24,
    ) -> AsyncIterator[Sequence[tuple[int, Buffer | None]]]:
        """Parts of the value of `key`, all of one version, each with its index in `byte_ranges`.

        Those at most `max_gap_bytes` apart are read by one request. The options `max_concurrency` and
        `range_size` of the filesystem bound the requests, and not the arguments that are called alike.
        FileNotFoundError in a group where there is no such key, as zarr has it.
        """
        await self._ensure_open()
        try:
            found = await self._slices(key, byte_ranges, max_gap=max_gap_bytes)
        except _MISSING as error:
            raise builtins.BaseExceptionGroup("no such key", [FileNotFoundError(key)]) from error
        yield [(index, prototype.buffer.from_bytes(data)) for index, data in enumerate(found)]

    async def _slices(
        self, key: str, byte_ranges: Sequence[ByteRequest | None], *, max_gap: int | None = None
    ) -> Sequence[bytes]:
        """Parts of one version: of that whose index this task has read, if it was the last it read."""
        task = asyncio.current_task()
        last = self._read_by.pop(task, None) if task is not None else None
        if last is not None and (last.key != key or last.is_ended_by(byte_ranges)):
            last = None
        version = None if last is None else last.version
        wanted = self._name(key), list(map(_slice, byte_ranges)), version
        reader = self.fs._reader
        now, found = await self.fs._awaited.make_asked(
            partial(reader.ask_slices_of_version, *wanted),
            partial(reader.slices_of_version, *wanted, max_gap),
        )
        if task is not None:
            at_end = isinstance(byte_ranges[0], SuffixByteRequest) if last is None else last.index_at_end
            self._read_by[task] = _ShardRead(key, now, at_end)
        return found

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> builtins.list[Buffer | None]:
        """Parts of values, in the order asked for; those of one key are of one version."""
        await self._ensure_open()
        wanted = [(self._name(key), *_slice(byte_range)) for key, byte_range in key_ranges]
        if not wanted:
            return []
        paths, starts, ends = map(list, zip(*wanted, strict=True))
        found = await self.fs._cat_ranges(paths, starts, ends, on_error="return")
        for data in found:
            if isinstance(data, _MISSING):
                _check_bucket(data)
            elif isinstance(data, Exception):
                raise data
        values = prototype.buffer
        return [None if isinstance(data, Exception) else values.from_bytes(data) for data in found]

    async def exists(self, key: str) -> bool:
        """Whether there is a value. HeadObject."""
        await self._ensure_open()
        return await self.fs._isfile(self._name(key))

    async def getsize(self, key: str) -> int:
        """The size of a value in bytes. FileNotFoundError without one."""
        info = await self.fs._awaited.make(partial(self.fs.info, self._name(key)))  # no more than is asked
        if info["type"] != "file":
            raise FileNotFoundError(key)
        return info["size"]

    async def getsize_prefix(self, prefix: str) -> int:
        """The sizes of all values below `prefix`, in bytes, as a listing has them."""
        found = await self.fs._find(self._name(prefix.rstrip("/")), detail=True)
        return sum(row["size"] for row in found.values())

    # --- writing ---

    async def set(self, key: str, value: Buffer) -> None:
        """Replace the value of `key`, or add it. PutObject."""
        await self._ensure_open()
        self._check_writable()
        await self.fs._pipe_file(self._name(key), _bytes_of(value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Add a value, and leave one that is there. PutObject under If-None-Match: of several one is kept.

        WriteOutcomeUnknownError where an answer was lost and another's value may have replaced ours.
        """
        await self._ensure_open()
        self._check_writable()
        await self.fs._put_if_absent(self._name(key), _bytes_of(value))

    async def delete(self, key: str) -> None:
        """Delete a value, if there is one."""
        await self._ensure_open()
        self._check_writable()
        await self._delete(self._name(key))

    async def delete_dir(self, prefix: str) -> None:
        """Delete all values below `prefix`. ListObjectsV2, DeleteObjects."""
        await self._ensure_open()
        self._check_writable()
        names = await self.fs._find(self._name(prefix.rstrip("/")))
        if not names:
            return
        try:
            await self.fs._rm(names)
        except _MISSING:  # others delete here, too
            await asyncio.gather(*map(self._delete, names))

    async def _delete(self, name: str) -> None:
        with suppress(*_MISSING):
            await self.fs._rm_file(name)

    # --- listing ---

    def list(self) -> AsyncIterator[str]:
        """All keys."""
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """The keys that begin with `prefix`."""
        for name in await self.fs._find(self.path, prefix=prefix or None):
            yield name.removeprefix(f"{self.path}/")

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names directly below `prefix`."""
        folder = self._name(prefix.rstrip("/"))
        try:
            names = await self.fs._ls(folder)
        except _MISSING:
            return
        for name in names:
            if name != folder:
                yield name.removeprefix(f"{folder}/")

    async def is_empty(self, prefix: str) -> bool:
        """Whether no key is below `prefix`."""
        async for _ in self.list_dir(prefix):
            return False
        return True


def _check_bucket(error: Exception) -> None:
    """Raise the error if the bucket is gone: zarr would take each chunk for one that was never written."""
    if getattr(error, "code", "") == "NoSuchBucket":
        raise error


def _slice(byte_range: ByteRequest | None) -> tuple[int | None, int | None]:
    """A part of a value as the slice of a sequence."""
    match byte_range:
        case None:
            return None, None
        case RangeByteRequest(start, end):
            return start, end
        case OffsetByteRequest(offset):
            return offset, None
        case SuffixByteRequest(0):
            return 0, 0
        case SuffixByteRequest(suffix):
            return -suffix, None
    raise ValueError(f"Unexpected byte_range, got {byte_range}.")


def _bytes_of(value: Buffer) -> memoryview:
    """The bytes of a value, which are not copied where they are in main memory."""
    if not hasattr(value, "as_numpy_array"):
        raise TypeError(f"`value` must be a Buffer instance. Got an instance of {type(value)} instead.")
    array: Any = value.as_numpy_array()
    return memoryview(array).cast("B")
