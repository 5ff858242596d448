"""The versions of objects: listed, the newest first, delete markers among them.

A version is named by `version_id=`, or in the path by "?versionId=..." when the filesystem is
`version_aware`: without that option such text is part of the key. Versions are read, copied and deleted,
never written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from .._s3.client import S3Client
from .._values.models import ObjectVersion
from .._values.parameters import Path
from .._values.paths import S3Path
from ..errors import GuardedS3Error, ObjectNotFoundError
from .path_rules import PathRules
from .rows import Row, VersionDetails, directory_row, version_row


class Versions:
    """Lists versions. ListObjectVersions."""

    def __init__(self, client: S3Client, paths: PathRules) -> None:
        self._client = client
        self._paths = paths

    def object_version_info(self, path: Path) -> list[VersionDetails]:
        """Each version and delete marker of the object `path`, the newest first, in S3's names.

        ObjectNotFoundError when there are none.
        """
        location = self._paths.target(path)
        found = [version.details() for version in newest_first(self.of(location))]
        if not found:
            raise ObjectNotFoundError(
                "the object has no versions and no delete markers", bucket=location.bucket, key=location.key
            )
        return cast("list[VersionDetails]", found)

    def ls(self, path: Path) -> list[Row]:
        """Each version of each object directly below `path`, or of the object itself, and its directories.

        ValueError when the filesystem is not `version_aware`, since it would not understand these names;
        ObjectNotFoundError where there is nothing.
        """
        if not self._paths.version_aware:
            raise ValueError("versions=True needs a filesystem with version_aware=True")
        location = self._paths.location(path)[0]
        rows = self._directory(location)
        if not rows and location.key:
            rows = [version_row(location.bucket, version) for version in newest_first(self.of(location))]
        if not rows and location.key:
            raise ObjectNotFoundError("there is nothing", bucket=location.bucket, key=location.key)
        return rows

    def _directory(self, location: S3Path) -> list[Row]:
        found: list[ObjectVersion] = []
        folders: list[Row] = []
        for page in self._client.listings.list_object_versions(location.bucket, location.prefix, "/"):
            found += [item for item in page.versions if item.key[-1:] != "/"]
            folders += [directory_row(location.directory(child)) for child in page.prefixes]
        files = [version_row(location.bucket, item) for item in newest_first(found)]
        return sorted(files + folders, key=lambda row: str(row["name"]).partition("?versionId=")[0])

    def of(self, location: S3Path) -> Iterator[ObjectVersion]:
        """The versions and delete markers of one object, as the store has them."""
        ordered = True
        for page in self._client.listings.list_object_versions(location.bucket, location.key):
            yield from (version for version in page.versions if version.key == location.key)
            keys = [version.key for version in page.versions]
            ordered = ordered and keys == sorted(keys)
            if ordered and page.next_markers and page.next_markers[0] != location.key:
                return  # what follows are keys that this one is a prefix of

    def of_all_below(self, location: S3Path) -> Iterator[ObjectVersion]:
        """The versions of an object and of all keys below its name, markers of directories included."""
        if location.key and location.key != location.prefix:
            yield from self.of(location)
        for page in self._client.listings.list_object_versions(location.bucket, location.prefix):
            yield from page.versions

    def are_all_that_is_left(self, bucket: str) -> bool:
        """Whether a bucket that is not empty looks as if it were. False where that cannot be found out."""
        try:
            page = next(self._client.listings.list_objects(bucket, max_keys=1))
            return not page.keys and any(
                page.versions for page in self._client.listings.list_object_versions(bucket)
            )
        except GuardedS3Error:  # it was asked for to explain another error
            return False


def newest_first(versions: Iterable[ObjectVersion]) -> list[ObjectVersion]:
    """Versions of one object, or of several, those that are current first, and then by their times.

    S3's order is that already; some stores send delete markers apart. Times are whole seconds."""

    def age(version: ObjectVersion) -> tuple[bool, float]:
        made = version.last_modified
        return not version.is_latest, -made.timestamp() if made else 0.0

    return sorted(versions, key=age)
