"""What the store has just told, kept for the questions that are sent right behind it.

Whoever lists a folder (`ls`, `find`, `glob`, `walk`) asks about the files in it next: dask asks `isdir`,
`info` and `ukey` of each match of a pattern, pyarrow and DuckDB `isfile` or `info` of each file that they
open. The listing has told all that. So the last listings are kept for the seconds of the option
`recent_listings`, and `lookups` answers these questions from here.

Rules. A row is what the listing told; a writer elsewhere may have replaced the object since. So none is used
that is older than that, and none that a write of this process, by whichever filesystem, may have changed; a
listing that was under way during such a write is not kept. Only what is there is answered: that a name is
absent is always asked. `info` or `exists` of one name answers `isfile` and `isdir`, never its like: who
looks again and again sees what changes. The version that a look told of is read by the next `open` or
`cat_ranges`, within a second and once: pyarrow and pandas look right before they open, and who opens a file
again sees what changed. Only questions of callers are answered: what a verb decides by (`cp`,
`mv`, `rm`, conditions) is asked. A read that takes an ETag from here sends it as its condition, and compares
it with that of the answer.

No lock: each step is one operation of a dict or a set. A write marks the listings under way before it drops
kept ones, and a listing is kept before it looks for that mark: one of the two sees the other.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import NamedTuple

from .._forks import renew_after_fork
from .._values.conditions import is_weak, quoted, same_etag
from .._values.models import ListedObject, ListPage, ObjectInfo
from .._values.paths import S3Path
from .directories import directories_of
from .listing_cache import tell_of_writes
from .rows import Row

MAX_ROWS = 20_000  # of all listings that are kept, some 8 MB
MAX_LISTINGS = 256
MAX_LOOKS = 1_000  # names that `info` told about
_SOON = 1.0  # seconds after a look within which a file is opened under what it told

_NOWHERE = None, 0

clock = time.monotonic


class _Look(NamedTuple):
    """What was told of one name, and when; `pins` has the version of an object until somebody opens it.

    `is_directory` is None where `isfile` asked: its answer is no answer to the next `isfile`.
    """

    is_directory: bool | None
    told: float
    pins: list[ObjectInfo]


class _Listing:
    """The pages of one listing, as they came. They are looked into when somebody asks."""

    def __init__(self, bucket: str, prefix: str, *, flat: bool) -> None:
        self.place = (bucket, prefix)
        self.pages: list[ListPage] = []
        self.rows = 0
        self.is_dropped = False
        self.told = 0.0  # when its last page had come
        self._flat = flat

    def __repr__(self) -> str:
        return f"<_Listing {'/'.join(self.place)} {self.rows}>"

    def add(self, page: ListPage) -> None:
        """Keep a page, unless there are too many rows."""
        self.rows += len(page.keys) + len(page.prefixes)
        if self.rows > MAX_ROWS:
            self.is_dropped = True
            self.pages.clear()
        else:
            self.pages.append(page)

    def covers(self, key: str) -> bool:
        """Whether it would show `key`, which begins with its prefix; "a/b/" is the directory "a/b"."""
        return self._flat or "/" not in key[len(self.place[1]) :].removesuffix("/")

    @cached_property
    def _places(self) -> dict[str, tuple[ListPage | None, int]]:
        return {key: (page, at) for page in self.pages for at, key in enumerate(page.keys) if key[-1:] != "/"}

    @cached_property
    def _directories(self) -> set[str]:
        base = len(self.place[1])
        found = {prefix for page in self.pages for prefix in page.prefixes}
        if self._flat:
            found.update(
                up for page in self.pages for key in page.keys for up in directories_of(key, base, None)
            )
        return found

    def has_object(self, key: str) -> bool:
        """Whether it shows an object of this key."""
        return key in self._places

    def has_version(self, key: str) -> bool:
        """Whether it shows an object of this key, and an ETag of it."""
        page, at = self._places.get(key, _NOWHERE)
        return page is not None and bool(page.etags[at].strip('"'))

    def object(self, key: str) -> ListedObject | None:
        """The row of an object; None where it shows none, or no ETag of it."""
        page, at = self._places.get(key, _NOWHERE)
        if page is None or not page.etags[at].strip('"'):
            return None
        _, size, etag, modified, storage = page.object(at)
        modified = modified and modified.replace(microsecond=0)  # as HeadObject has it
        etag = etag if is_weak(etag) else quoted(etag)
        return ListedObject(key, size, etag, modified, storage)

    def directories(self) -> set[str]:
        """The prefixes of the directories that it shows all of; "" for the bucket."""
        own = {self.place[1]} if not self.place[1] or self.place[1][-1] == "/" else set()
        return own | self._directories if self._flat else own

    def directory(self, prefix: str) -> tuple[list[ListedObject], list[str]]:
        """The objects and the prefixes that are directly in one of these."""
        base = len(prefix)
        keys = [key for key in self._places if key.startswith(prefix) and "/" not in key[base:]]
        below = (name for name in self._directories if name.startswith(prefix) and name != prefix)
        found = map(self.object, keys)
        return [item for item in found if item], [name for name in below if "/" not in name[base:-1]]

    def has_directory(self, prefix: str) -> bool:
        """Whether it shows that there are keys that begin with `prefix`, which ends with a slash."""
        return prefix in self._directories or (prefix == self.place[1] and (not prefix or self.rows > 0))


class RecentRows:
    """What the listings and looks of one filesystem told during the last `seconds`; nothing if that is 0."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._listings: dict[tuple[str, str], _Listing] = {}  # the one that came last is the last
        self._under_way: set[_Listing] = set()
        self._looks: dict[tuple[str, str], _Look] = {}
        self._epoch = object()  # another one after each write
        if seconds:
            tell_of_writes(self)
            renew_after_fork(self.clear)  # nobody tells a child what its parent writes

    def __repr__(self) -> str:
        kept = sum(listing.rows for listing in list(self._listings.values()))
        return f"<RecentRows {kept if self._seconds else 'off'}>"

    # --- what is kept ---

    def keeping(
        self, bucket: str, prefix: str, pages: Iterable[ListPage], *, flat: bool
    ) -> Generator[ListPage, None, None]:
        """`pages`, which are kept once the last has come: of all keys that begin with `prefix` if `flat`,
        else of those up to the next slash."""
        if not self._seconds:
            yield from pages
            return
        listing = _Listing(bucket, prefix, flat=flat)
        self._under_way.add(listing)
        try:
            for page in pages:
                listing.add(page)
                yield page
            if not listing.is_dropped:
                self._keep(listing)
        finally:
            self._under_way.discard(listing)

    def _keep(self, listing: _Listing) -> None:
        listing.told = clock()
        self._listings.pop(listing.place, None)
        self._listings[listing.place] = listing
        if listing.is_dropped:  # asked afterwards: a write in between drops what it finds
            self._listings.pop(listing.place, None)
        self._drop_old()

    def _drop_old(self) -> None:
        """Drop what is too old, and the oldest of what is too much."""
        rows = count = 0
        for listing in reversed(list(self._listings.values())):
            rows, count = rows + listing.rows, count + 1
            if rows > MAX_ROWS or count > MAX_LISTINGS or not self._is_recent(listing.told):
                self._listings.pop(listing.place, None)

    def begin_look(self) -> object:
        """Taken before the store is asked about one name, and given back with the answer."""
        return self._epoch

    def saw(self, location: S3Path, row: Row | None, began: object, *, answers: bool = True) -> None:
        """The store told this row of a name, or with None that there is nothing.

        It `answers` the `isfile` and `isdir` behind it, or only opens the object.
        What was told of it before is dropped if it was something else.
        """
        if not self._seconds:
            return
        place = (location.bucket, location.key)
        if row is None:
            self._looks.pop(place, None)
        kind, listed = self.kind(location), self.listed(location)
        is_other = row is None or kind != row["type"] or (listed and not same_etag(listed.etag, row["ETag"]))
        if kind and is_other:
            self.forget(location.bucket, location.key)
        elif row is not None:
            if len(self._looks) >= MAX_LOOKS:
                self._looks.clear()
            is_directory = row["type"] == "directory"
            has_version = not is_directory and bool(row.get("ETag", "").strip('"'))
            pins = [ObjectInfo(row["ETag"], row["size"])] if has_version else []
            self._looks[place] = _Look(is_directory if answers else None, clock(), pins)
            if self._epoch is not began:
                self._looks.pop(place, None)

    def forget(self, bucket: str, key: str) -> None:
        """Drop what may show a key, or with "" for a key all of a bucket."""
        self._epoch = object()
        self._looks.clear()
        if not (self._listings or self._under_way):
            return
        for listing in list(self._under_way):
            if listing.place[0] == bucket and (not key or key.startswith(listing.place[1])):
                listing.is_dropped = True
        places = (
            _prefixes(bucket, key) if key else [place for place in list(self._listings) if place[0] == bucket]
        )
        for place in places:
            self._listings.pop(place, None)

    def clear(self) -> None:
        """Drop all."""
        self._epoch = object()
        self._looks.clear()
        for listing in list(self._under_way):
            listing.is_dropped = True
        self._listings.clear()

    # --- what is known ---

    def listed(self, location: S3Path) -> ListedObject | None:
        """An object, as the newest listing that would show it told; None where that is not known."""
        listing = self._newest(location, location.key) if location.key else None
        return listing.object(location.key) if listing is not None else None

    def shown(self, location: S3Path, since: float) -> tuple[bool, bool] | None:
        """Whether there were an object and a directory of this name, by a listing made after `since`.

        None where there is no such listing.
        """
        listing = self._newest(location, location.key) if location.key else None
        if listing is None or listing.told < since:
            return None
        return listing.has_object(location.key), listing.has_directory(location.prefix)

    def pin(self, location: S3Path) -> ObjectInfo | None:
        """The version of an object by which it can be read, None where none is known.

        That of a listing, or once that of a look.
        """
        listed = self.listed(location)
        if listed is not None:
            return ObjectInfo(listed.etag, listed.size)
        look = self._look(location)
        if look is None or clock() - look.told >= _SOON:
            return None
        with suppress(IndexError):
            return look.pins.pop()
        return None

    def kind(self, location: S3Path) -> str | None:
        """Whether the name is that of a "file" or of a "directory", by listings; None where they do not tell.

        Of a name that has both it is the file.
        """
        listing = self._newest(location, location.key)
        if listing is None:
            return None
        if location.key and listing.has_version(location.key):
            return "file"
        return "directory" if listing.has_directory(location.prefix) else None

    def is_file(self, location: S3Path) -> bool:
        """Whether it is known that there is an object of this name."""
        look = self._look(location)
        if look is None or look.is_directory is None:
            return self.kind(location) == "file"
        return not look.is_directory

    def lists_directory(self, location: S3Path) -> bool:
        """Whether a listing told that there is a directory of this name, beside an object of it or alone."""
        listing = self._newest(location, location.prefix)
        return listing is not None and listing.has_directory(location.prefix)

    def is_directory(self, location: S3Path) -> bool | None:
        """Whether there is a directory of this name; False for a name that is that of an object alone."""
        look = self._look(location)
        if look is not None and look.is_directory:
            return True
        listing = self._newest(location, location.prefix)
        if listing is None:
            return None
        if listing.has_directory(location.prefix):
            return True
        return False if location.key and listing.has_version(location.key) else None

    def directory(self, location: S3Path) -> tuple[list[ListedObject], list[str]] | None:
        """What is directly in a directory, by the listing that came last of those that show all of it."""
        recent = [one for one in list(self._listings.values()) if self._is_recent(one.told)]
        for listing in reversed(recent):
            if listing.place[0] == location.bucket and location.prefix in listing.directories():
                return listing.directory(location.prefix)
        return None

    def directories(self) -> list[str]:
        """The names of the directories of which `directory` tells."""
        recent = [one for one in list(self._listings.values()) if self._is_recent(one.told)]
        found = {f"{one.place[0]}/{prefix}".rstrip("/") for one in recent for prefix in one.directories()}
        return sorted(found)

    def _look(self, location: S3Path) -> _Look | None:
        """What `info` or the like found under this name; None where that is not known."""
        found = self._looks.get((location.bucket, location.key)) if location.version_id is None else None
        return found if found is not None and self._is_recent(found.told) else None

    def _newest(self, location: S3Path, key: str) -> _Listing | None:
        """The listing that came last of those that would show `key`."""
        if not self._listings or location.version_id is not None:
            return None
        newest: _Listing | None = None
        for listing in self._that_begin(location.bucket, key):
            if listing.covers(key) and (newest is None or listing.told > newest.told):
                newest = listing
        return newest if newest is not None and self._is_recent(newest.told) else None

    def _that_begin(self, bucket: str, key: str) -> list[_Listing]:
        """The listings whose prefix `key` begins with."""
        kept = self._listings
        if len(kept) < len(key):  # mostly
            every = kept.copy().values()
            return [one for one in every if one.place[0] == bucket and key.startswith(one.place[1])]
        found = (kept.get(place) for place in _prefixes(bucket, key))
        return [one for one in found if one is not None]

    def _is_recent(self, told: float) -> bool:
        return clock() - told < self._seconds


def _prefixes(bucket: str, key: str) -> Iterator[tuple[str, str]]:
    """The places of the listings that may show `key`: it begins with their prefix."""
    return ((bucket, key[:end]) for end in range(len(key) + 1))
