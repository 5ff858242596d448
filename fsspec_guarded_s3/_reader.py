"""The file object of `open(..., "rb")`: fsspec's buffered file over pinned ranges.

Invariant: all bytes of one reader belong to one ETag, after pickling too.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from fsspec.caching import MMapCache
from fsspec.spec import AbstractBufferedFile

from ._attributes import Attributes
from ._blocks import PinnedBlocks
from ._client import S3Client
from ._download import read_range
from ._models import ObjectInfo
from ._paths import S3Path
from ._prefetch import PrefetchCache


class PinnedReader(AbstractBufferedFile):
    """A readable file pinned to the version that was there when it was opened.

    A read raises ObjectChangedError once the object has been replaced.
    """

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
        return {name.replace("_", "-"): value for name, value in self._pin.metadata.items()}

    def getxattr(self, attr_name: str) -> str | None:
        """One name of it, None where there is none."""
        return self.metadata().get(attr_name.replace("_", "-").lower())

    def setxattr(self, copy_kwargs: Mapping[str, Any] | None = None, **kw_args: str | None) -> None:
        """`fs.setxattr`. It writes the object anew: this reader goes on only where versions are kept."""
        self.fs.setxattr(self.path, copy_kwargs, **kw_args)

    def url(self, **kwargs: Any) -> str:
        """`fs.url` of the object."""
        return str(self.fs.url(self.path, **kwargs))

    @property
    def cache(self) -> Any:
        """fsspec's cache of this file, None when it is closed."""
        return self._cache

    @cache.setter
    def cache(self, cache: Any) -> None:
        if isinstance(cache, MMapCache):  # `blockcache::` brings its own
            cache = PinnedBlocks(cache.blocksize, self._fetch_range, cache.size, cache.location, cache.blocks)
        if isinstance(cache, PrefetchCache):
            cache.is_distant = self._client.is_distant
        self._cache = cache

    def close(self) -> None:
        """Drop what was read; the file cannot be read any more."""
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
