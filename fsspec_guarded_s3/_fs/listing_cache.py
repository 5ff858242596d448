"""Directory listings that are kept, in fsspec's `DirCache`; off unless `use_listings_cache` is set.

Invariants: what is not in a listing counts as unknown, never as absent. A write of this process, by whichever
filesystem and whatever became of it, drops the listings that could show it; a listing that was under way
meanwhile is not kept. No read is pinned to an ETag from here: `open` and its like ask the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from fsspec.dircache import DirCache

from .._forks import renew_after_fork
from .._values import paths
from .._values.paths import S3Path
from .._work import Living
from .rows import Row


class Forgetful(Protocol):
    """Something that keeps what listings told."""

    def forget(self, bucket: str, key: str) -> None:
        """Drop what may show a key, or with "" for a key all of a bucket."""


_caches: Living[Forgetful] = Living()


def tell_of_writes(cache: Forgetful) -> None:
    """Have `cache.forget` called after each write of this process, for as long as it lives."""
    _caches.add(cache)


class ListingCache:
    """The listings of one filesystem, by the names of their directories."""

    def __init__(self, listings: DirCache) -> None:
        self._listings = listings
        self._epoch = object()  # another one after each write
        if self.enabled:
            tell_of_writes(self)
            renew_after_fork(self.clear)  # nobody tells a child what its parent writes

    def __repr__(self) -> str:
        return f"<ListingCache {len(self._listings) if self.enabled else 'off'}>"

    @property
    def enabled(self) -> bool:
        """Whether anything is kept at all."""
        return bool(self._listings.use_listings_cache)

    # --- what is known ---

    def directory(self, location: S3Path) -> list[Row] | None:
        """What is directly in a directory; None when that is not known."""
        rows = self._rows(location.directory(location.prefix)) if location.version_id is None else None
        return rows and [dict(row) for row in rows]

    def entry(self, location: S3Path, only_directory: bool = False) -> Row | None:
        """What the listing of its directory says of a name: the file, or else the directory."""
        if not self.enabled:
            return None
        name = str(location)
        rows = self._rows(paths.parent(name)) if location.version_id is None else None
        found = {row["type"]: row for row in rows or () if row["name"] == name}
        row = found.get("directory") if only_directory else found.get("file", found.get("directory"))
        return row and dict(row)

    def tree(self, location: S3Path, maxdepth: int | None) -> list[Row] | None:
        """All that is below a directory; None unless every listing of it is known."""
        rows = self.directory(location)
        if rows is None or maxdepth == 1:
            return rows
        found = list(rows)
        for row in rows:
            if row["type"] == "directory":
                deeper = None if maxdepth is None else maxdepth - 1
                below = self.tree(paths.parse(row["name"]), deeper)
                if below is None:
                    return None
                found += below
        return found

    def _rows(self, name: str) -> list[Row] | None:
        try:
            return self._listings[name]  # type: ignore[no-any-return]
        except KeyError:
            return None

    # --- what is kept ---

    def begin(self) -> object:
        """Taken before a listing is asked for, and given back with it."""
        return self._epoch

    def keep(self, name: str, rows: Iterable[Row], began: object) -> None:
        """Keep the listing of a directory, unless something was written since `began`."""
        self._listings[name] = [dict(row) for row in rows]
        if self._epoch is not began:  # asked afterwards: a write in between drops what it finds
            self._drop(name)

    def keep_tree(self, name: str, rows: Iterable[Row], began: object) -> None:
        """Keep the listings of a directory and of all below it, which `rows` are."""
        rows = list(rows)
        found: dict[str, list[Row]] = {row["name"]: [] for row in rows if row["type"] == "directory"}
        found[name] = []
        for row in rows:
            found[paths.parent(row["name"])].append(row)
        for directory, entries in found.items():
            self.keep(directory, sorted(entries, key=lambda row: str(row["name"])), began)

    def forget(self, bucket: str, key: str) -> None:
        """Drop the listings that may show a key, or with "" for a key all of a bucket."""
        self._epoch = object()
        if not self._listings:
            return
        if not key:
            for name in list(self._listings):
                if name == bucket or name.startswith(bucket + "/"):
                    self._drop(name)
        name = paths.without_slash(str(S3Path(bucket, key)))
        while name:
            self._drop(name)
            name = paths.parent(name)
        self._drop("")

    def invalidate(self, location: S3Path | None) -> None:
        """Drop the listings that may show a key or bucket, or with None all."""
        if location is None:
            self.clear()
        else:
            self.forget(location.bucket, location.key)

    def clear(self) -> None:
        """Drop all."""
        self._epoch = object()
        self._listings.clear()

    def _drop(self, name: str) -> None:
        with suppress(KeyError):
            del self._listings[name]


def forget(bucket: str, key: str) -> None:
    """Tell all that keeps listings in this process of a write: each thread has filesystems of its own."""
    for cache in _caches:
        cache.forget(bucket, key)
