"""fsspec's verbs for the versions of objects and the versioning of buckets; no HTTP, no XML.

A version is named by `version_id=`, or in the path by "?versionId=..." when the filesystem is
`version_aware`: without that option such text is part of the key. Versions are read, copied and deleted,
never written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Literal, cast, overload

from ._attributes import NONE
from ._errors import DeleteObjectsError, GuardedS3Error, ObjectChangedError, ObjectNotFoundError
from ._keywords import check_type, refuse
from ._models import Condition, ObjectVersion, same_etag
from ._parameters import Path
from ._paths import S3Path
from ._properties import Properties
from ._rows import ListedInfo, VersionDetails, VersionInfo, directory_row, version_row

_BATCH = 1000  # versions of one DeleteObjects


class Versions(Properties):
    """The part of the filesystem that knows of versions. Use `GuardedS3FileSystem`."""

    # --- listing ---

    def object_version_info(self, path: Path) -> list[VersionDetails]:
        """All versions and delete markers of the object `path`, the newest first. ListObjectVersions.

        Each with Key, VersionId, IsLatest, DeleteMarker, Size (bytes), ETag, LastModified (UTC) and
        StorageClass. FileNotFoundError when there are none; an object of a bucket that never had versions has
        the one version "null".
        """
        location = self._target(path)
        found = [version.details() for version in _newest_first(self._versions_of(location))]
        if not found:
            raise ObjectNotFoundError(
                "the object has no versions and no delete markers", bucket=location.bucket, key=location.key
            )
        return cast("list[VersionDetails]", found)

    def _versions_of(self, location: S3Path) -> Iterator[ObjectVersion]:
        ordered = True
        for page in self._client.listings.list_object_versions(location.bucket, location.key):
            yield from (version for version in page.versions if version.key == location.key)
            keys = [version.key for version in page.versions]
            ordered = ordered and keys == sorted(keys)
            if ordered and page.next_markers and page.next_markers[0] != location.key:
                return  # what follows are keys that this one is a prefix of

    def _versions_below(self, location: S3Path) -> Iterator[ObjectVersion]:
        """Every version of the object itself and of all keys below it, markers of directories included."""
        if location.key and location.key != location.prefix:
            yield from self._versions_of(location)
        for page in self._client.listings.list_object_versions(location.bucket, location.prefix):
            yield from page.versions

    @overload
    def ls(
        self, path: Path, detail: Literal[False] = False, refresh: bool = False, versions: bool = False
    ) -> list[str]: ...

    @overload
    def ls(
        self, path: Path, detail: Literal[True], refresh: bool = False, versions: Literal[False] = False
    ) -> list[ListedInfo]: ...

    @overload
    def ls(
        self, path: Path, detail: Literal[True], refresh: bool = False, *, versions: Literal[True]
    ) -> list[VersionInfo]: ...

    @overload
    def ls(
        self, path: Path, detail: bool, refresh: bool = False, versions: bool = False
    ) -> list[str] | list[ListedInfo] | list[VersionInfo]: ...

    def ls(
        self, path: Path, detail: bool = False, refresh: bool = False, versions: bool = False, **kwargs: Any
    ) -> Any:
        """The entries directly below `path`, or the object itself; buckets for the root.

        Their names; with `detail` what `info` tells of them, or the listing cache if there is one.
        With `versions` every version of each object, its name with "?versionId=..."; delete markers have the
        type "other" and `DeleteMarker`. ValueError when the filesystem is not `version_aware`, since it would
        not understand these names.
        """
        refuse(self.ls, kwargs)
        if not versions or not self._strip_protocol(path):
            return self._ls(path, detail, refresh)
        if not self._options.version_aware:
            raise ValueError("versions=True needs a filesystem with version_aware=True")
        location = self._location(path)[0]
        rows = self._list_versions(location)
        if not rows and location.key:
            versions_of = _newest_first(self._versions_of(location))
            rows = [version_row(location.bucket, version) for version in versions_of]
        if not rows and location.key:
            raise ObjectNotFoundError("there is nothing", bucket=location.bucket, key=location.key)
        return rows if detail else [row["name"] for row in rows]

    def _list_versions(self, location: S3Path) -> list[dict[str, Any]]:
        found: list[ObjectVersion] = []
        folders: list[dict[str, Any]] = []
        for page in self._client.listings.list_object_versions(location.bucket, location.prefix, "/"):
            found += [item for item in page.versions if item.key[-1:] != "/"]
            folders += [directory_row(location.directory(child)) for child in page.prefixes]
        files = [version_row(location.bucket, item) for item in _newest_first(found)]
        return sorted(files + folders, key=lambda row: str(row["name"]).partition("?versionId=")[0])

    # --- changing ---

    def restore_version(
        self, path: Path, version_id: str | None = None, if_match: str | None = None
    ) -> str | None:
        """Make an old version the current one again: a copy of it onto its key, which becomes a new version.

        The copy is made inside S3, pinned to the version, with its metadata and tags. Returns the id of the
        new version, or of the old one when it is the current one still and nothing had to be done. `if_match`
        is the ETag that the current version must have: ObjectChangedError otherwise. CopyObject,
        UploadPartCopy above 5 GiB.
        """
        location = self._object(path, version_id)
        if location.version_id is None:
            raise ValueError("restore_version needs version_id, or a path that names a version")
        condition = Condition(if_match=if_match)
        info = self._client.reads.head_object(location)
        target = S3Path(location.bucket, location.key)
        current = self._current(target)
        if if_match is not None and (current is None or not same_etag(current[1], if_match)):
            raise ObjectChangedError(
                "the current version is another one", bucket=target.bucket, key=target.key
            )
        if current is not None and current[0] == location.version_id:
            return location.version_id
        return self._copy_version(location, info, target, condition, NONE).version_id

    def _current(self, location: S3Path) -> tuple[str | None, str] | None:
        """(version id, ETag) of the current version; None when the object is deleted."""
        try:
            info = self._client.reads.head_object(location)
        except ObjectNotFoundError:
            return None
        return info.version_id, info.etag

    def _rm_version(self, location: S3Path) -> None:
        """DeleteObject of one version, or delete marker, for good."""
        try:
            # A store without versions would ignore the id and delete the object.
            self._client.reads.head_object(location)
        except ObjectNotFoundError as error:
            if error.status != 405:  # which says that it is a delete marker
                raise
        self._client.deletions.delete_object(location)

    def _rm_all_versions(self, path: Any, recursive: bool, maxdepth: int | None) -> None:
        """Delete every version and delete marker; with `recursive` of what is below too."""
        if maxdepth is not None:
            raise ValueError("versions and maxdepth exclude each other")
        roots = [self._location(name)[0] for name in self.expand_path(path)]
        found = [self._all_versions(location, recursive) for location in roots]
        for location, versions in zip(roots, found, strict=True):
            self._delete_versions(location.bucket, versions)

    def _all_versions(self, location: S3Path, recursive: bool) -> list[tuple[str, str]]:
        if location.version_id is not None:
            raise ValueError(f"{location} is one version: leave out versions=True")
        found = self._versions_below(location) if recursive else self._versions_of(location)
        rows = [(version.key, version.version_id) for version in found]
        if not rows and (location.key or not recursive):
            raise ObjectNotFoundError("there is no version", bucket=location.bucket, key=location.key)
        return rows

    def _delete_versions(self, bucket: str, versions: list[tuple[str, str]]) -> None:
        """DeleteObjects, 1,000 versions per request; those that it cannot name one by one."""
        plain = [item for item in versions if item[0].isprintable()]
        batches = [plain[start : start + _BATCH] for start in range(0, len(plain), _BATCH)]
        failed: list[GuardedS3Error] = []

        def batch(items: list[tuple[str, str]]) -> None:
            failed.extend(self._client.deletions.delete_versions(bucket, items))

        def one(key: str, version_id: str) -> None:
            self._client.deletions.delete_object(S3Path(bucket, key, version_id))

        calls: list[Callable[[], None]] = [partial(batch, items) for items in batches]
        calls += [partial(one, *item) for item in versions if not item[0].isprintable()]
        self._client.scheduler.run(calls)
        if failed:
            raise DeleteObjectsError(
                f"{len(failed)} of {len(versions)} versions could not be deleted, the first because: "
                + failed[0].message,
                bucket=bucket,
                key=failed[0].key,
                operation="DeleteObjects",
                code=failed[0].code,
                errors={str(S3Path(bucket, error.key)): error for error in failed},
            ) from failed[0]

    def _only_versions_left(self, bucket: str) -> bool:
        """Whether a bucket that is not empty looks as if it were."""
        try:
            page = next(self._client.listings.list_objects(bucket, max_keys=1))
            return not page.keys and any(
                page.versions for page in self._client.listings.list_object_versions(bucket)
            )
        except GuardedS3Error:  # it was asked for to explain another error
            return False

    # --- buckets ---

    def is_bucket_versioned(self, bucket: str) -> bool:
        """Whether versioning is on; False when it was suspended. GetBucketVersioning."""
        return self._client.buckets.get_bucket_versioning(self._bucket(bucket)) == "Enabled"

    def make_bucket_versioned(self, bucket: str, versioned: bool = True) -> None:
        """Switch versioning on, or suspend it: versions that are there stay. PutBucketVersioning."""
        check_type("versioned", versioned, bool)
        self._client.buckets.put_bucket_versioning(
            self._bucket(bucket), "Enabled" if versioned else "Suspended"
        )

    def bucket_region(self, bucket: str) -> str:
        """The region of a bucket, wherever it is. HeadBucket; FileNotFoundError without such a bucket."""
        return self._client.buckets.head_bucket(self._bucket(bucket))

    def _bucket(self, path: str) -> str:
        location = self._location(path)[0]
        if location.key:
            raise ValueError(f"bucket must be the name of a bucket, not of the object {location}")
        return location.bucket


def _newest_first(versions: Iterable[ObjectVersion]) -> list[ObjectVersion]:
    """S3's order is that already; some stores send delete markers apart. Times are whole seconds."""

    def age(version: ObjectVersion) -> tuple[bool, float]:
        made = version.last_modified
        return not version.is_latest, -made.timestamp() if made else 0.0

    return sorted(versions, key=age)
