"""fsspec's verbs that remove: objects, trees, buckets; every key that stayed is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from . import _probe
from ._errors import (
    DeleteObjectsError,
    DirectoryNotEmptyError,
    GuardedS3Error,
    ObjectNotFoundError,
    WriteOutcomeUnknownError,
)
from ._exact_delete import batches, delete_versions
from ._keywords import check_depth, flag
from ._listing import nothing_at
from ._models import Condition, same_etag
from ._parameters import Path
from ._paths import S3Path
from ._selection import MAGIC, Selection, Source

_VERSIONS_LEFT = (
    "the bucket still holds old versions or delete markers: rm(bucket, recursive=True, versions=True) "
    "deletes them for good, and the bucket"
)


class Removal(Selection):
    """The part of the filesystem that removes. Use `GuardedS3FileSystem`."""

    def rm_file(self, path: Path, if_match: str | None = None, version_id: str | None = None) -> None:
        """DeleteObject; FileNotFoundError when there is none, as far as the credentials may look.

        A version that is named is deleted for good, and so is a delete marker, which brings the object back.
        With `if_match` only the version that has this ETag: ObjectChangedError for another one,
        WriteOutcomeUnknownError when the answer was lost and the object is gone or another one by now.
        """
        location = self._object(path, version_id)
        if location.version_id is not None:
            if if_match is not None:
                raise ValueError("if_match is for the current version: a version is named by its id alone")
            self._rm_version(location)
        elif if_match is None:
            self._look(location)
            self._client.deletions.delete_object(location)
        else:
            self._delete_version(location, if_match)

    def _delete_version(self, location: S3Path, if_match: str) -> None:
        Condition(if_match=if_match)  # refuses what is no ETag
        _probe.require(self._client, location, "delete")
        try:
            self._client.deletions.delete_object(location, if_match)
        except GuardedS3Error as error:
            if not error.maybe_applied or self._is_version(location, if_match):
                raise
            raise WriteOutcomeUnknownError(
                "the answer to the delete was lost; the version that was to be deleted is gone, and nothing "
                "proves who removed it",
                bucket=location.bucket,
                key=location.key,
                operation=error.operation,
                status=error.status,
                maybe_applied=True,
            ) from error

    def _is_version(self, location: S3Path, etag: str) -> bool:
        """Whether this version is there still, so that the delete was not applied (yet)."""
        try:
            return same_etag(self._client.reads.head_object(location).etag, etag)
        except GuardedS3Error:
            return False

    _rm = rm_file

    def rm(
        self,
        path: Path | Iterable[Path],
        recursive: bool = False,
        maxdepth: int | None = None,
        versions: bool = False,
    ) -> None:
        """Delete objects, a list of them, or what a glob matches; with `recursive` what is below, and the
        buckets that `path` names. ValueError for a pattern in the place of a bucket.

        DeleteObjects, 1,000 keys per request. All are looked for before the first is deleted:
        FileNotFoundError when one is not there, IsADirectoryError for a directory without `recursive` (a glob
        leaves those alone). DeleteObjectsError says which keys could not be deleted, and why.

        In a bucket with versioning every version stays behind a delete marker, unless `versions` asks to
        delete all versions and delete markers, for good.
        """
        path = self._in_named_buckets(path, "rm")
        recursive = flag("recursive", recursive)
        if versions:
            self._rm_all_versions(path, recursive, maxdepth)
        else:
            self._rm_current(path, recursive, maxdepth)
        if recursive and maxdepth is None:
            # A pattern such as "bucket/**" matches the bucket, and does not name it.
            for name in dict.fromkeys(map(self._strip_protocol, path if isinstance(path, list) else [path])):
                if not MAGIC.search(name) and not self._location(name)[0].key:
                    self.rmdir(name)

    def _rm_current(self, path: Any, recursive: bool, maxdepth: int | None) -> None:
        check_depth(maxdepth)
        sources = self._roots(path, recursive)
        calls = [partial(self._keys_of, source, recursive, maxdepth) for source in sources]
        found = self._gather(calls, raising=True)
        locations = [location for some in found for location in some]
        for location in locations:
            if location.version_id is not None:
                self._rm_version(location)
        keys = dict.fromkeys(location for location in locations if location.version_id is None)
        if not locations and not recursive:
            raise IsADirectoryError(f"{path} matches directories alone: pass recursive=True")
        self._delete_all(keys)

    def _keys_of(self, source: Source, recursive: bool, maxdepth: int | None) -> list[S3Path]:
        location = self._location(source.name)[0]
        if source.kind == "file" or location.version_id is not None:
            return [location]
        if not recursive:
            if source.kind == "directory":  # that a glob matched
                return []
            if location.key and self._is_object(location):
                return [location]
            self.info(source.name + "/")  # FileNotFoundError when there is nothing
            raise IsADirectoryError(f"{source.name} is a directory: pass recursive=True")
        found = self._keys_below(location, maxdepth)
        if not source.kind and location.key and self._is_object(location):
            found.append(location)
        if not found and location.key and not self._has_children(location):
            raise FileNotFoundError(f"there is nothing at {location}")
        return found

    def _keys_below(self, location: S3Path, maxdepth: int | None) -> list[S3Path]:
        """The keys in a directory, markers included: its own, and those of directories."""
        base = len(location.prefix)
        keys = [
            key
            for page in self._client.listings.list_tree(location.bucket, location.prefix)
            for key in page.keys
            if maxdepth is None or key.removesuffix("/").count("/", base) < maxdepth
        ]
        return [location.child(key) for key in keys]

    def _delete_all(self, locations: Iterable[S3Path]) -> None:
        """Delete the objects, whatever they are by now; raises with those that stayed."""
        buckets: dict[str, list[str]] = {}
        for location in locations:
            buckets.setdefault(location.bucket, []).append(location.key)
        failed: dict[S3Path, GuardedS3Error] = {}
        calls: list[Callable[[], None]] = []
        for bucket, keys in buckets.items():
            calls += [partial(self._delete_many, bucket, batch, failed) for batch in batches(iter(keys))]
            others = [S3Path(bucket, key) for key in keys if not key.isprintable()]
            calls += [partial(self._delete_one, other, failed) for other in others]
        self._client.scheduler.run(calls)
        _raise_failed(failed, sum(map(len, buckets.values())))

    def _delete_many(self, bucket: str, keys: list[str], failed: dict[S3Path, GuardedS3Error]) -> None:
        try:
            errors = self._client.deletions.delete_objects(bucket, dict.fromkeys(keys))
        except GuardedS3Error as error:
            errors = dict.fromkeys(keys, error)
        failed.update({S3Path(bucket, key): error for key, error in errors.items() if not _is_missing(error)})

    def _delete_one(self, location: S3Path, failed: dict[S3Path, GuardedS3Error]) -> None:
        try:
            self._client.deletions.delete_object(location)
        except GuardedS3Error as error:
            if not _is_missing(error):
                failed[location] = error

    def _delete_copied(self, etags: Mapping[S3Path, str]) -> None:
        """Delete the versions that have these ETags, and nothing newer; raises with those that stayed."""
        _raise_failed(delete_versions(self._client, etags), len(etags))

    def rmdir(self, path: Path) -> None:
        """Delete an empty bucket, or the marker of a directory that has no other key.

        DirectoryNotEmptyError when there is more; FileNotFoundError when there is nothing.
        """
        location = self._location(path)[0]
        if location.key:
            page = next(self._client.listings.list_objects(location.bucket, location.prefix, max_keys=2))
            if list(page.keys) == [location.prefix]:
                self._client.deletions.delete_object(location.child(location.prefix))
            elif page.keys:
                raise DirectoryNotEmptyError(
                    "the directory is not empty", bucket=location.bucket, key=location.key
                )
            else:
                raise nothing_at(location)
            return
        try:
            self._client.buckets.delete_bucket(location.bucket)
        except DirectoryNotEmptyError as error:
            if not self._only_versions_left(location.bucket):
                raise
            raise DirectoryNotEmptyError(_VERSIONS_LEFT, bucket=location.bucket, status=409) from error


def _is_missing(error: GuardedS3Error) -> bool:
    return isinstance(error, ObjectNotFoundError) and error.code != "NoSuchBucket"


def _raise_failed(failed: Mapping[S3Path, GuardedS3Error], count: int) -> None:
    if not failed:
        return
    first = next(iter(failed.values()))
    if all(error is first for error in failed.values()):
        raise first
    raise DeleteObjectsError(
        f"{len(failed)} of {count} objects could not be deleted, the first because: {first.message}",
        bucket=first.bucket,
        key=first.key,
        operation="DeleteObjects",
        code=first.code,
        errors={str(location): error for location, error in failed.items()},
    ) from first
