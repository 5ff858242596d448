"""Removing objects, versions, trees and buckets: `rm_file`, `rm`, `rmdir`. Every key that stayed is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from .._s3.client import S3Client
from .._values.conditions import Condition, same_etag
from .._values.keywords import check_depth, flag
from .._values.models import ObjectVersion
from .._values.parameters import Path
from .._values.paths import S3Path
from .._write import guards
from ..errors import (
    AccessDeniedError,
    DeleteObjectsError,
    DirectoryNotEmptyError,
    GuardedS3Error,
    ObjectNotFoundError,
    WriteOutcomeUnknownError,
)
from .conditions import check_if_match
from .delete_batches import REPLACEMENT, batched
from .directories import has_children, is_object, look_before_write, nothing_at
from .exact_delete import Failed, delete_versions, is_missing
from .gathering import gather
from .kept_directories import is_kept, kept_levels
from .listed_names import ListedNames
from .listing import Lister
from .named_tree import NamedTree, NamedTrees
from .path_rules import PathRules
from .patterns import MAGIC
from .selection import Selector, Source
from .versions import Versions, newest_first

_VERSIONS_LEFT = (
    "the bucket still holds old versions or delete markers: rm(bucket, recursive=True, versions=True) "
    "deletes them for good, and the bucket"
)


class Remover:
    """Removes objects, versions of them, directories and buckets."""

    def __init__(
        self,
        client: S3Client,
        paths: PathRules,
        lister: Lister,
        named: NamedTrees,
        selector: Selector,
        versions: Versions,
    ) -> None:
        self._client = client
        self._paths = paths
        self._lister = lister
        self._named = named
        self._listed_names = ListedNames(client)
        self._selector = selector
        self._versions = versions

    # --- one object ---

    def rm_file(self, path: Path, if_match: str | None = None, version_id: str | None = None) -> None:
        """DeleteObject of an object, of the version with an ETag, or of a version by its id for good.

        FileNotFoundError when there is none.
        """
        location = self._paths.object(path, version_id)
        if location.version_id is not None:
            if if_match is not None:
                raise ValueError("if_match is for the current version: a version is named by its id alone")
            self._rm_version(location)
        elif if_match is None:
            look_before_write(self._client, location, is_needed=True)
            self._client.deletions.delete_object(location)
        else:
            self._rm_matching(location, if_match)

    def _rm_matching(self, location: S3Path, if_match: str) -> None:
        check_if_match(if_match)
        guards.require(self._client, location, "delete")
        try:
            self._client.deletions.delete_object(location, Condition(if_match=if_match))
        except GuardedS3Error as error:
            if not error.maybe_applied or self._is_there(location, if_match):
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

    def _is_there(self, location: S3Path, etag: str) -> bool:
        """Whether the version with this ETag is there still, so that a delete was not applied (yet)."""
        try:
            return same_etag(self._client.reads.head_object(location).etag, etag)
        except GuardedS3Error:
            return False

    def _rm_version(self, location: S3Path) -> None:
        """DeleteObject of one version, or delete marker, for good."""
        try:
            # A store without versions would ignore the id and delete the object.
            self._client.reads.head_object(location)
        except ObjectNotFoundError as error:
            # 405 says that it is a delete marker; Ceph RGW answers 404 for one.
            if error.status != 405 and not self._is_marker(location):
                raise
        self._client.deletions.delete_object(location)

    def _is_marker(self, location: S3Path) -> bool:
        """Whether a listing shows this version as a delete marker. False where it may not be listed."""
        with suppress(GuardedS3Error):
            for page in self._client.listings.list_object_versions(location.bucket, location.key):
                for row in page.versions:
                    if row.key != location.key:  # the key itself comes first
                        return False
                    if row.version_id == location.version_id:
                        return row.delete_marker
        return False

    # --- many objects ---

    def rm(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, versions: bool = False
    ) -> list[str]:
        """Delete objects, what a glob matches, or trees and the buckets that `path` names; returns the names.

        DeleteObjects, 1,000 keys per request; DeleteObjectsError has those that stayed.
        """
        path = self._selector.in_named_buckets(path, "rm")
        recursive = flag("recursive", recursive)
        if versions:
            gone = self._rm_all_versions(path, recursive, maxdepth)
        else:
            gone = self._rm_current(path, recursive, maxdepth)
        if recursive and maxdepth is None:
            # A pattern such as "bucket/**" matches the bucket, and does not name it.
            for name in dict.fromkeys(map(self._paths.name, path if isinstance(path, list) else [path])):
                if not MAGIC.search(name) and not self._paths.location(name)[0].key:
                    self.rmdir(name)
        return [str(location) for location in gone]

    def _rm_current(self, path: Any, recursive: bool, maxdepth: int | None) -> list[S3Path]:
        check_depth(maxdepth)
        sources = self._selector.roots(path, recursive)
        named = [] if recursive else [self._paths.location(one.name)[0] for one in sources if not one.kind]
        there = self._listed_names.of(named)
        calls = [partial(self._keys_of, source, recursive, maxdepth, there) for source in sources]
        locations = [location for some in gather(self._client, calls) for location in some]
        for location in locations:
            if location.version_id is not None:
                self._rm_version(location)
        keys = [location for location in locations if location.version_id is None]
        if not locations and not recursive:
            raise IsADirectoryError(f"{path} matches directories alone: pass recursive=True")
        self._delete(keys)
        if recursive and maxdepth is None:
            for source in sources:
                if source.kind != "file":
                    self.remove_kept(self._paths.location(source.name)[0])
        return list(dict.fromkeys(locations))

    def remove_kept(self, location: S3Path) -> None:
        """Remove what is left of a directory where its keys are gone, and the store keeps it all the same."""
        for level in kept_levels(self._client, location):
            self._delete(level)

    def _keys_of(
        self, source: Source, recursive: bool, maxdepth: int | None, there: Set[S3Path]
    ) -> list[S3Path]:
        """The keys that a source stands for; `there` are objects that a listing showed."""
        location = self._paths.location(source.name)[0]
        if source.kind == "file" or location.version_id is not None:
            return [location]
        if not source.kind and location in there:
            return [location]
        if not recursive:
            if source.kind == "directory":  # that a glob matched
                return []
            if location.key and is_object(self._client, location):
                return [location]
            try:
                self._lister.info(source.name + "/")
            except ObjectNotFoundError as error:
                if error.code:  # the bucket is missing
                    raise
                raise nothing_at(location, or_object=bool(location.key)) from None
            raise IsADirectoryError(f"{source.name} is a directory: pass recursive=True")
        if not source.kind and location.key and maxdepth is None:
            named = self._named.of(location)
            if named is not None:
                return self._keys_of_named(location, named)
        calls: list[Callable[[], Any]] = [partial(self._keys_below, location, maxdepth)]
        if not source.kind and location.key:
            calls.append(partial(is_object, self._client, location))
        listed, *are_files = gather(self._client, calls)
        found: list[S3Path] = listed
        if True in are_files:
            found.append(location)
        if not found and location.key and not has_children(self._client, location):
            self._require_kept(location)
        return found

    def _require_kept(self, location: S3Path) -> None:
        """Raise FileNotFoundError, unless the store keeps a directory there that has no keys."""
        if not is_kept(self._client, location):
            raise FileNotFoundError(f"there is nothing at {location}")

    def _keys_of_named(self, location: S3Path, named: NamedTree) -> list[S3Path]:
        """The object of a name and the keys in its directory. FileNotFoundError when there is neither."""
        found = [location.child(key) for page in named.pages for key in page.keys]
        if named.item is not None:
            found.append(location)
        if not found:
            self._require_kept(location)
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

    def _rm_all_versions(self, path: Any, recursive: bool, maxdepth: int | None) -> list[S3Path]:
        """Delete every version and delete marker; with `recursive` of what is below too.

        The newest version, or the marker, of an object goes last, and stays where another one stays: at no
        time, and after no failure, is an old version the current one again.
        """
        if maxdepth is not None:
            raise ValueError("versions and maxdepth exclude each other")
        roots = [self._paths.location(name)[0] for name in self._selector.expand_path(path)]
        found: dict[S3Path, dict[S3Path, None]] = {}  # of each object, the newest first
        for location in roots:
            for version in newest_first(self._all_versions(location, recursive)):
                whole = S3Path(location.bucket, version.key)
                found.setdefault(whole, {})[replace(whole, version_id=version.version_id)] = None
        count = sum(map(len, found.values()))
        failed = self._failed([path for of_one in found.values() for path in list(of_one)[1:]])
        stayed = {replace(path, version_id=None): error for path, error in failed.items()}
        newest = {whole: next(iter(of_one)) for whole, of_one in found.items()}
        failed |= self._failed([path for whole, path in newest.items() if whole not in stayed])
        failed |= {newest[whole]: error for whole, error in stayed.items()}
        _raise_failed(failed, count)
        return [path for of_one in found.values() for path in of_one]

    def _all_versions(self, location: S3Path, recursive: bool) -> list[ObjectVersion]:
        if location.version_id is not None:
            raise ValueError(f"{location} is one version: leave out versions=True")
        found = list(self._versions.of_all_below(location) if recursive else self._versions.of(location))
        if not found and (location.key or not recursive):
            raise ObjectNotFoundError("there is no version", bucket=location.bucket, key=location.key)
        return found

    # --- the requests ---

    def _delete(self, paths: Iterable[S3Path]) -> None:
        """Delete what is at these paths, whatever it is by now; raises with those that stayed."""
        paths = list(dict.fromkeys(paths))
        _raise_failed(self._failed(paths), len(paths))

    def _failed(self, paths: Iterable[S3Path]) -> Failed:
        """Delete what is at these paths, in batches, and return the errors of those that stayed."""
        found = batched(paths)
        failed: Failed = {}

        def many(batch: list[S3Path]) -> None:
            try:
                errors = self._delete_batch(batch)
            except GuardedS3Error as error:
                errors = dict.fromkeys(batch, error)
            failed.update({path: error for path, error in errors.items() if not is_missing(error)})

        def one(path: S3Path) -> None:
            try:
                if REPLACEMENT in path.key and not path.version_id and not is_object(self._client, path):
                    failed[path] = _shown_otherwise(path)
                    return
                self._client.deletions.delete_object(path)
            except GuardedS3Error as error:
                if not is_missing(error):
                    failed[path] = error

        calls: list[Callable[[], None]] = [partial(many, batch) for batch in found.together]
        self._client.scheduler.run([*calls, *(partial(one, path) for path in found.alone)])
        return failed

    def _delete_batch(self, batch: list[S3Path]) -> Failed:
        """DeleteObjects, of objects or of versions."""
        bucket, deletions = batch[0].bucket, self._client.deletions
        if batch[0].version_id is None:
            errors = deletions.delete_objects(bucket, dict.fromkeys(path.key for path in batch))
            return {S3Path(bucket, key): error for key, error in errors.items()}
        versions = [(path.key, path.version_id or "") for path in batch]
        return {S3Path(bucket, error.key): error for error in deletions.delete_versions(bucket, versions)}

    def delete_exactly(self, etags: Mapping[S3Path, str]) -> None:
        """Delete the versions that have these ETags, and nothing newer; raises with those that stayed."""
        _raise_failed(delete_versions(self._client, etags), len(etags))

    # --- directories and buckets ---

    def rmdir(self, path: Path) -> None:
        """Delete an empty bucket (DeleteBucket), or the marker of a directory that has no other key."""
        location = self._paths.location(path)[0]
        if location.key:
            self._rm_marker(location)
            return
        self._refuse_full(location)
        try:
            self._client.buckets.delete_bucket(location.bucket)
        except DirectoryNotEmptyError as error:
            if not self._versions.are_all_that_is_left(location.bucket):
                raise
            raise DirectoryNotEmptyError(_VERSIONS_LEFT, bucket=location.bucket, status=409) from error

    def _refuse_full(self, bucket: S3Path) -> None:
        """s3s-fs deletes a bucket with all that is in it. Who may not list relies on the store."""
        with suppress(AccessDeniedError):
            if has_children(self._client, bucket):
                raise DirectoryNotEmptyError("the bucket is not empty", bucket=bucket.bucket)

    def _rm_marker(self, location: S3Path) -> None:
        page = next(self._client.listings.list_objects(location.bucket, location.prefix, max_keys=2))
        if list(page.keys) == [location.prefix]:
            self._client.deletions.delete_object(location.child(location.prefix))
        elif page.keys:
            raise DirectoryNotEmptyError(
                "the directory is not empty", bucket=location.bucket, key=location.key
            )
        elif is_kept(self._client, location):
            levels = kept_levels(self._client, location)
            if len(levels) > 1:
                raise DirectoryNotEmptyError(
                    "the directory is not empty", bucket=location.bucket, key=location.key
                )
            self._delete(levels[0])
        else:
            raise nothing_at(location)


def _raise_failed(failed: Mapping[S3Path, GuardedS3Error], count: int) -> None:
    if not failed:
        return
    first = next(iter(failed.values()))
    if all(error is first for error in failed.values()):
        raise first
    raise DeleteObjectsError(
        f"{len(failed)} of {count} objects or versions could not be deleted, the first because: "
        + first.message,
        bucket=first.bucket,
        key=first.key,
        operation="DeleteObjects",
        code=first.code,
        errors={str(location): error for location, error in failed.items()},
    ) from first


def _shown_otherwise(path: S3Path) -> ObjectNotFoundError:
    """The error for a key that a listing shows and the store has not: a delete would say that it was done."""
    return ObjectNotFoundError(
        "a listing shows the name with U+FFFD, in the place of something that the store does not show: "
        "remove it by the name that it was written by",
        bucket=path.bucket,
        key=path.key,
    )
