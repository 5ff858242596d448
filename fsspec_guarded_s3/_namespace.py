"""fsspec's verbs that change names: removing and copying, buckets, uploads left behind; no HTTP, no XML."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from . import _janitor, _paths, _probe
from ._errors import (
    ConflictError,
    DirectoryNotEmptyError,
    GuardedS3Error,
    ObjectNotFoundError,
    WriteOutcomeUnknownError,
)
from ._listing import Listing
from ._models import Condition, ObjectInfo, same_etag
from ._options import MAX_SINGLE_PUT
from ._parts import copy_object
from ._paths import S3Path
from ._threads import run_all
from ._upload import Upload

_DELETE_BATCH = 1000


class Namespace(Listing):
    """The part of the filesystem that changes names. Use `GuardedS3FileSystem`."""

    # --- removing, copying ---

    def rm_file(self, path: str, if_match: str | None = None) -> None:
        """DeleteObject; FileNotFoundError when there is none.

        With `if_match` only the version that has this ETag: ObjectChangedError for another one,
        WriteOutcomeUnknownError when the answer was lost and the object is gone or another one by now.
        """
        location = self._object(path)
        if if_match is None:
            self._client.head_object(location)
            self._client.delete_object(location)
        else:
            self._delete_version(location, if_match)
        self.invalidate_cache(str(location))

    def _delete_version(self, location: S3Path, if_match: str) -> None:
        Condition(if_match=if_match)  # refuses what is no ETag
        _probe.require(self._client, location, "delete")
        try:
            self._client.delete_object(location, if_match)
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
            return same_etag(self._client.head_object(location).etag, etag)
        except GuardedS3Error:
            return False

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects, 1,000 per request. Raises with the keys that could not be deleted."""
        roots = self.expand_path(path)
        keys: dict[str, set[str]] = {}
        for name in roots:
            location = _paths.parse(name)
            if recursive:
                found = self._tree(location, maxdepth)
            elif self.info(name)["type"] == "directory":  # FileNotFoundError when there is nothing
                raise IsADirectoryError(f"{name} is a directory: pass recursive=True")
            else:
                found = [location.key]
            keys.setdefault(location.bucket, set()).update(found)
        for bucket, names in keys.items():
            self._delete(bucket, sorted(names))
        buckets = [name for name in roots if not _paths.parse(name).key and maxdepth is None]
        for bucket in buckets:
            self.rmdir(bucket)
        self.invalidate_cache()

    def _delete_names(self, names: Iterable[str]) -> None:
        keys: dict[str, list[str]] = {}
        for name in names:
            location = self._object(name)
            keys.setdefault(location.bucket, []).append(location.key)
        for bucket, found in keys.items():
            self._delete(bucket, sorted(found))
        self.invalidate_cache()

    def _tree(self, location: S3Path, maxdepth: int | None) -> list[str]:
        """The keys at and below `location`, markers of directories included."""
        prefix = location.key + "/" if location.key else ""
        pages = self._client.list_objects(location.bucket, prefix)
        listed = [key for page in pages for key in page.keys]
        found = [
            key for key in listed if maxdepth is None or key.rstrip("/").count("/", len(prefix)) < maxdepth
        ]
        if location.key and self._is_object(location):
            found.append(location.key)
        if location.key and not found and not listed:
            raise FileNotFoundError(f"there is nothing at {location}")
        return found

    def _delete(self, bucket: str, keys: list[str]) -> None:
        # XML cannot carry control characters: those keys go one by one.
        plain = [key for key in keys if key.isprintable()]
        batches = [plain[i : i + _DELETE_BATCH] for i in range(0, len(plain), _DELETE_BATCH)]
        failed: list[tuple[str, str, str]] = []

        def batch(names: list[str]) -> None:
            failed.extend(self._client.delete_objects(bucket, names))

        def one(key: str) -> None:
            self._client.delete_object(S3Path(bucket, key))

        calls: list[Callable[[], None]] = [partial(batch, names) for names in batches]
        calls += [partial(one, key) for key in keys if not key.isprintable()]
        run_all(calls, self._options.max_concurrency)
        if failed:
            rows = "; ".join(f"{key}: {code} {said}" for key, code, said in failed[:10])
            raise OSError(f"{len(failed)} keys of {bucket} could not be deleted: {rows}")

    def cp_file(
        self, path1: str, path2: str, mode: str = "overwrite", if_match: str | None = None, **kwargs: Any
    ) -> None:
        """Copy inside S3, pinned to the source's version; metadata, content type and tags go along.

        `mode="create"` and `if_match` are conditions on `path2`, as in `pipe_file`. Raises
        ObjectChangedError when the source is replaced meanwhile.
        """
        condition = write_condition(mode, if_match)
        if not _paths.parse(self._strip_protocol(path1)).key:
            return  # fsspec's trees name directories too
        source, target = self._object(path1), self._object(path2)
        try:
            info = self._client.head_object(source)
        except ObjectNotFoundError:
            if self.isdir(path1):
                return
            raise
        if source == target and not condition:
            return  # S3 refuses a copy that changes nothing
        headers = info.write_headers()
        if info.size > MAX_SINGLE_PUT:
            headers |= self._tagging(source, info)
        copy_object(self._client, Upload(self._client, target, condition, headers), source, info)
        self.invalidate_cache(str(target))

    def _tagging(self, location: S3Path, info: ObjectInfo) -> dict[str, str]:
        """The header that gives another object the same tags."""
        if not info.tag_count:
            return {}
        return {"x-amz-tagging": urlencode(self._client.object_tags(location))}

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Create a bucket when `path` names one; directories below need no creating."""
        location = _paths.parse(self._strip_protocol(path))
        if not location.key:
            self._client.create_bucket(location.bucket)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing to do below a bucket, and never a request there; a bucket is created by `mkdir` only."""
        location = _paths.parse(self._strip_protocol(path))
        if not location.key and not exist_ok:
            self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Delete an empty bucket; below a bucket there is nothing to remove."""
        location = _paths.parse(self._strip_protocol(path))
        if location.key:
            if self._has_children(location):
                raise OSError(DirectoryNotEmptyError.default_errno, f"directory {location} is not empty")
            return
        try:
            self._client.delete_bucket(location.bucket)
        except ConflictError as error:
            raise DirectoryNotEmptyError(error.message, bucket=location.bucket, status=409) from error

    # --- uploads that were left behind, and what the store honours ---

    def list_uploads(self, path: str) -> list[dict[str, Any]]:
        """Multipart uploads to `path` and below that are neither completed nor aborted, oldest first.

        Each with name, upload_id, initiated (UTC), age (seconds), size (bytes), parts, and `live`: whether a
        writer of this process holds it. ListMultipartUploads and ListParts.
        """
        location = _paths.parse(self._strip_protocol(path))
        return [upload.details() for upload in _janitor.list_uploads(self._client, location)]

    def abort_uploads(self, path: str, older_than: float | timedelta) -> list[dict[str, Any]]:
        """Abort the uploads at and below `path` that are older than `older_than` (seconds, or a timedelta).

        Never one of a live writer of this process. Returns those that were aborted; ListParts proved that
        nothing of them is left. ValueError for a negative age.
        """
        limit = older_than if isinstance(older_than, timedelta) else timedelta(seconds=older_than)
        location = _paths.parse(self._strip_protocol(path))
        return [upload.details() for upload in _janitor.abort_uploads(self._client, location, limit)]

    def probe(self, path: str) -> _probe.Guards:
        """Find out which guards the store honours, by trying them on temporary keys beside `path`.

        Nothing is left of these keys. Raises AccessDeniedError when they may not be written or deleted.
        """
        return _probe.probe(self._client, _paths.parse(self._strip_protocol(path)))

    def sign(self, path: str, expiration: int = 100, method: str = "GET", **kwargs: Any) -> str:
        """A presigned URL for GET or PUT, valid for `expiration` seconds (1 to 604,800)."""
        if method not in ("GET", "PUT"):
            raise ValueError(f"method must be GET or PUT, not {method!r}")
        return self._client.presign(method, self._object(path), expiration)


def write_condition(mode: str, if_match: str | None) -> Condition:
    """The condition that `mode` ("overwrite" or "create") and `if_match` (an ETag) ask for."""
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode must be 'overwrite' or 'create', not {mode!r}")
    if if_match is not None and not isinstance(if_match, str):
        raise TypeError(f"if_match must be an ETag as info() gives it, not {type(if_match).__name__}")
    return Condition(create=mode == "create", if_match=if_match)
