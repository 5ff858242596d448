"""What callers ask about one name: `info`, `exists`, `isfile`, `isdir`, `ukey`, `modified`.

Answered from what the store has just told (`recent_rows`), else by the store (`listing`). Verbs that decide
by what is there ask `listing` themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

from .._s3.client import S3Client
from .._values.fsspec_rules import token_of
from .._values.keywords import Verb, refuse
from .._values.parameters import Path
from .._values.paths import S3Path
from .gathering import gather
from .known_row import KnownRow
from .listing import Lister
from .path_rules import PathRules
from .recent_rows import RecentRows
from .rows import Row, directory_row, listed_row
from .selection import is_one


class Lookups:
    """Answers questions about one name."""

    def __init__(self, paths: PathRules, lister: Lister, recent: RecentRows) -> None:
        self._paths = paths
        self._lister = lister
        self._recent = recent

    def info(self, path: Path, version_id: str | None = None, refresh: bool = False, **kwargs: Any) -> Row:
        """The row of one name; FileNotFoundError where there is nothing. `refresh` asks the store."""
        refuse(self.info, kwargs)
        known = None if refresh else self._known(path, version_id)
        return self._asked(path, version_id, refresh) if known is None else known

    def _asked(self, path: Path, version_id: str | None, refresh: bool) -> Row:
        """What the store tells of a name, which is kept."""
        location = self._location(path)
        if location is None or version_id is not None or self._paths.says_directory(path):
            return self._lister.info(path, version_id, refresh)
        began = self._recent.begin_look()
        row = None
        try:
            row = self._lister.info(path, refresh=True)  # what a listing cache has was looked for before
        finally:
            self._recent.saw(location, row, began)
        return row

    def _known(self, path: Path, version_id: str | None) -> Row | None:
        """The row that a listing has just told, or that the listing cache has."""
        location = self._location(path)
        if location is None or version_id is not None:
            return None
        only_directory = self._paths.says_directory(path)
        kept = self._lister.kept(location, only_directory)
        if kept is not None:
            return kept
        if only_directory:
            return directory_row(str(location)) if self._recent.is_directory(location) else None
        kind = self._recent.kind(location)
        if kind == "directory":
            return directory_row(str(location))
        listed = self._recent.listed(location) if kind == "file" else None
        if listed is None:
            return None
        return KnownRow(
            listed_row(location.bucket, listed), partial(self._lister.info, str(location), refresh=True)
        )

    def sizes(self, client: S3Client, size: Verb, paths: Iterable[Path]) -> list[int | None]:
        """What `size` returns of each path, in parallel as `client` has it. TypeError for a single path."""
        if is_one(paths) or isinstance(paths, bytes) or not isinstance(paths, Iterable):
            raise TypeError(f"paths must be a list of paths, not {type(paths).__name__}")
        return gather(client, [partial(size, path) for path in paths])

    def exists(self, path: Path, version_id: str | None = None, refresh: bool = False, **kwargs: Any) -> bool:
        """Whether there is anything; errors other than "not found" are raised."""
        refuse(self.exists, kwargs)
        location = self._location(path)
        if location is not None and version_id is None and not refresh:
            if not self._paths.says_directory(path) and self._recent.kind(location) == "file":
                return True
            if self._recent.lists_directory(location):
                return True
            if self._lister.kept(location, self._paths.says_directory(path)) is not None:
                return True
        try:
            self._asked(path, version_id, refresh)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: Path) -> bool:
        """Whether `path` is an object."""
        location = self._location(path)
        if location is None or not location.key or self._paths.says_directory(path):
            return self._lister.isfile(path)
        if self._recent.is_file(location):
            return True
        began = self._recent.begin_look()
        row = self._lister.object(location)
        if row is not None:
            self._recent.saw(location, row, began, answers=False)
        return row is not None

    def isdir(self, path: Path) -> bool:
        """Whether `path` is a bucket or a prefix of keys."""
        location = self._location(path)
        known = None if location is None else self._recent.is_directory(location)
        return self._lister.isdir(path) if known is None else known

    def ukey(self, path: Path, refresh: bool = False) -> str:
        """A hash of name, ETag and size; not of what the listing cache has, which may be old."""
        location = None if refresh else self._location(path)
        listed = None if location is None else self._recent.listed(location)
        if location is not None and listed is not None:
            return token_of(str(location), listed.etag, listed.size)
        info = self._asked(path, None, refresh=True)
        return token_of(info["name"], info.get("ETag"), info["size"])

    def modified(self, path: Path, version_id: str | None = None, refresh: bool = False) -> datetime:
        """When a version was written, in UTC; IsADirectoryError for a directory."""
        location = None if refresh or version_id is not None else self._location(path)
        listed = None if location is None else self._recent.listed(location)
        if listed is not None and listed.last_modified is not None and not self._paths.says_directory(path):
            return listed.last_modified
        return self._lister.modified(path, version_id, refresh)

    def _location(self, path: Path) -> S3Path | None:
        """The current version of what a path names; None for the root, a version or what is no valid path."""
        try:
            location = self._paths.location(path)[0] if self._paths.name(path) else None
        except ValueError:
            return None
        return None if location is None or location.version_id is not None else location
