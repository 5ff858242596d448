"""One name, or the entries of one directory: `info`, `isfile`, `ls` and what is read off them.

With a listing cache as it was when it was listed. `lookups` answers callers from what was just listed, and
`directories` says what a directory is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .._s3.client import S3Client
from .._values.keywords import refuse
from .._values.parameters import Path
from .._values.paths import S3Path
from ..errors import ObjectNotFoundError
from .directories import has_children, nothing_at
from .listing_cache import ListingCache
from .path_rules import PathRules
from .recent_rows import RecentRows
from .rows import Row, directory_row, listed_row, object_row
from .versions import Versions


class Lister:
    """Tells what is there, from the listing cache or from the store."""

    def __init__(
        self,
        client: S3Client,
        paths: PathRules,
        listings: ListingCache,
        recent: RecentRows,
        versions: Versions,
    ) -> None:
        self._client = client
        self._paths = paths
        self._listings = listings
        self._recent = recent
        self._versions = versions

    def info(self, path: Path, version_id: str | None = None, refresh: bool = False, **kwargs: Any) -> Row:
        """The row of one name: of a bucket (HeadBucket), an object (HeadObject), or a directory.

        FileNotFoundError where there is neither.
        """
        refuse(self.info, kwargs)
        if not self._paths.name(path):
            return directory_row("")
        location, only_directory = self._paths.location(path, version_id)
        known = None if refresh else self.kept(location, only_directory)
        if known is not None:
            return known
        if not location.key:
            self._client.buckets.head_bucket(location.bucket)
            return directory_row(location.bucket) | {"VersionId": None}
        missing = nothing_at(location)
        if not only_directory:
            try:
                return object_row(location, self._client.reads.head_object(location))
            except ObjectNotFoundError as error:
                if error.code:  # an answer to HEAD has none: it was found out that the bucket is missing
                    raise
                missing = error
        if location.version_id is None and has_children(self._client, location):
            return directory_row(str(location))
        raise missing

    def kept(self, location: S3Path, only_directory: bool) -> Row | None:
        """What the listing cache has of a name."""
        return self._listings.entry(location, only_directory)

    def isfile(self, path: Path) -> bool:
        """Whether `path` is an object. HeadObject."""
        try:
            location = self._paths.object(path)
        except (IsADirectoryError, ValueError):  # no valid path is no file; a 400 of the store is an error
            return False
        return self.object(location) is not None

    def object(self, location: S3Path) -> Row | None:
        """The row of an object, None where there is none. HeadObject."""
        try:
            return object_row(location, self._client.reads.head_object(location))
        except ObjectNotFoundError:
            return None

    def isdir(self, path: Path) -> bool:
        """Whether `path` is a bucket (HeadBucket) or a prefix of keys (ListObjectsV2)."""
        try:
            location = self._paths.location(path)[0] if self._paths.name(path) else None
        except ValueError:
            return False
        try:
            if location is not None and self._listings.entry(location, only_directory=True) is not None:
                return True
            if location is not None and location.key:
                return location.version_id is None and has_children(self._client, location)
            return bool(self.info(path)["type"] == "directory")
        except FileNotFoundError:
            return False

    def markers(self, location: S3Path) -> list[S3Path]:
        """The keys at and below a directory that end with a slash. ListObjectsV2."""
        pages = self._client.listings.list_tree(location.bucket, location.prefix)
        return [location.child(key) for page in pages for key in page.keys if key.endswith("/")]

    def is_directory(self, path: Path) -> bool:
        """Whether `path` says by a slash at its end that it is a directory, or is one."""
        return self._paths.location(path)[1] or self.isdir(path)

    def ls(
        self, path: Path, detail: bool = False, refresh: bool = False, versions: bool = False, **kwargs: Any
    ) -> list[Any]:
        """The names directly below `path`, or with `detail` their rows. ListObjectsV2, ListBuckets.

        With `versions` every version of each object. FileNotFoundError where there is nothing.
        """
        refuse(self.ls, kwargs)
        if not self._paths.name(path):
            rows = self.buckets()
        elif versions:
            rows = self._versions.ls(path)
        else:
            rows = self._directory_or_object(path, refresh)
        return rows if detail else [row["name"] for row in rows]

    def buckets(self) -> list[Row]:
        """The buckets of the account. ListBuckets."""
        return [
            directory_row(name) | {"StorageClass": "BUCKET", "CreationDate": made}
            for name, made in self._client.listings.list_buckets()
        ]

    def _directory_or_object(self, path: Path, refresh: bool) -> list[Row]:
        location, only_directory = self._paths.location(path)
        entries = None if location.version_id is not None else self.entries(location, refresh=refresh)
        if entries is not None:
            return entries
        if only_directory:
            raise nothing_at(location)
        return [object_row(location, self._client.reads.head_object(location))]

    def entries(self, location: S3Path, prefix: str = "", refresh: bool = False) -> list[Row] | None:
        """What is directly in a directory and begins with `prefix`; None when there is no such directory."""
        known = None if refresh else self._listings.directory(location)
        if known is not None:
            return beginning(known, location, prefix)
        began = self._listings.begin()
        rows: dict[str, Row] = {}
        found = not location.key
        start = location.prefix + prefix
        pages = self._client.listings.list_objects(location.bucket, start, "/")
        for page in self._recent.keeping(location.bucket, start, pages, flat=False):
            found = found or bool(page.keys or page.prefixes)
            for item in page.objects():
                if not item.key.endswith("/"):
                    rows[item.key] = listed_row(location.bucket, item)
            for child in page.prefixes:
                rows[child] = directory_row(location.directory(child))
        entries = [rows[name] for name in sorted(rows)]
        if self._listings.enabled and found and not prefix:
            self._listings.keep(location.directory(location.prefix), entries, began)
        return entries if found else None

    def modified(self, path: Path, version_id: str | None = None, refresh: bool = False) -> datetime:
        """When a version was written, in UTC. HeadObject; IsADirectoryError for a directory."""
        found = self.info(path, version_id=version_id, refresh=True).get("LastModified")
        if not isinstance(found, datetime):
            raise IsADirectoryError(f"{path} is a directory and has no time")
        return found


def beginning(rows: list[Row], location: S3Path, prefix: str) -> list[Row]:
    """The rows of what is in a directory, whose names in it begin with `prefix`."""
    start = f"{location.bucket}/{location.prefix}{prefix}"
    return [row for row in rows if row["name"].startswith(start)] if prefix else rows
