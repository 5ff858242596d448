"""fsspec's verbs for names: what is there, where it is, removing and copying; no HTTP, no XML.

Directories: a prefix that has keys is a directory, `k/` is a marker and shown as one, never as a file.
403 never means "absent".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from fsspec import AbstractFileSystem
from fsspec.utils import stringify_path, tokenize

from . import _janitor, _paths, _probe
from ._client import S3Client
from ._errors import (
    ConflictError,
    DirectoryNotEmptyError,
    GuardedS3Error,
    ObjectNotFoundError,
    WriteOutcomeUnknownError,
)
from ._models import Condition, ListedObject, ObjectInfo, same_etag
from ._options import MAX_SINGLE_PUT, Options
from ._parts import copy_object
from ._paths import S3Path
from ._threads import run_all
from ._upload import Upload

_DELETE_BATCH = 1000


class Namespace(AbstractFileSystem):
    """The part of the filesystem that deals with names. Use `GuardedS3FileSystem`."""

    protocol: str | tuple[str, ...] = _paths.PROTOCOLS
    root_marker = ""
    _options: Options
    _client: S3Client

    # --- paths ---

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(p) for p in path]
        protocols = (cls.protocol,) if isinstance(cls.protocol, str) else cls.protocol
        return _paths.strip_protocol(stringify_path(path), protocols).rstrip("/")

    def _object(self, path: str) -> S3Path:
        return _paths.parse_object(self._strip_protocol(path))

    def _is_object(self, location: S3Path) -> bool:
        try:
            self._client.head_object(location)
        except ObjectNotFoundError:
            return False
        return True

    # --- what is there ---

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Name, size, type; for objects ETag, time, content type and metadata too. Or FileNotFoundError."""
        stripped = self._strip_protocol(path)
        if not stripped:
            return _directory("")
        location = _paths.parse(stripped)
        if not location.key:
            self._client.head_bucket(location.bucket)
            return _directory(location.bucket)
        try:
            return self._details(location, self._client.head_object(location))
        except ObjectNotFoundError as error:
            if self._has_children(location):
                return _directory(stripped)
            raise error

    def _has_children(self, location: S3Path) -> bool:
        page = next(self._client.list_objects(location.bucket, location.key + "/", max_keys=1))
        return bool(page.keys or page.prefixes)

    @staticmethod
    def _details(location: S3Path, info: ObjectInfo) -> dict[str, Any]:
        return {
            "name": str(location),
            "size": info.size,
            "type": "file",
            "ETag": info.etag,
            "LastModified": info.last_modified,
            "mtime": info.last_modified,
            "ContentType": info.content_type,
            "StorageClass": info.storage_class,
            "VersionId": info.version_id,
            "metadata": dict(info.metadata),
        }

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether there is an object or directory; errors other than "not found" are raised."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: str) -> bool:
        """Whether `path` is an object."""
        try:
            return bool(self.info(path)["type"] == "file")
        except FileNotFoundError:
            return False

    def isdir(self, path: str) -> bool:
        """Whether `path` is a bucket or a prefix of keys."""
        stripped = self._strip_protocol(path)
        try:
            location = _paths.parse(stripped) if stripped else None
        except ValueError:  # no valid path is no directory; a 400 of the store is an error
            return False
        try:
            if location is not None and location.key:
                return self._has_children(location)
            return bool(self.info(stripped)["type"] == "directory")
        except FileNotFoundError:
            return False

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """The entries directly below `path`, or the object itself; buckets for the root."""
        stripped = self._strip_protocol(path)
        if not stripped:
            rows = [_directory(name) | {"CreationDate": made} for name, made in self._client.list_buckets()]
        else:
            rows = self._list(_paths.parse(stripped))
            if not rows:
                rows = [self.info(stripped)]
                rows = [] if rows[0]["type"] == "directory" else rows
        return rows if detail else [row["name"] for row in rows]

    def _list(self, location: S3Path) -> list[dict[str, Any]]:
        prefix = location.key + "/" if location.key else ""
        rows: dict[str, dict[str, Any]] = {}
        for page in self._client.list_objects(location.bucket, prefix, "/"):
            for item in page.objects():
                if not item.key.endswith("/"):
                    rows[item.key] = _file(location.bucket, item)
            for child in page.prefixes:
                rows[child] = _directory(f"{location.bucket}/{child[:-1]}")
        return [rows[name] for name in sorted(rows)]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """All objects below `path`, in one flat listing; with their directories when `withdirs`."""
        stripped = self._strip_protocol(path)
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        if not stripped:
            found = super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
            return found if detail else sorted(found)
        location = _paths.parse(stripped)
        prefix = kwargs.pop("prefix", "")
        base = location.key + "/" if location.key else ""
        pages = self._client.list_objects(location.bucket, base + prefix)
        if maxdepth is None and not withdirs and not detail:
            root = location.bucket + "/"
            names = [root + key for page in pages for key in page.keys if key[-1:] != "/"]
            if names:
                return sorted(names)
            pages = iter(())
        rows: dict[str, dict[str, Any]] = {}
        for page in pages:
            if maxdepth is None and not withdirs:
                rows.update(_files(location.bucket, page.objects()))
                continue
            for item in page.objects():
                self._take(rows, location.bucket, base, item, maxdepth, withdirs)
        if withdirs and rows:
            rows[stripped] = _directory(stripped)
        if not rows and location.key and not prefix and self._is_object(location):
            rows[stripped] = self.info(stripped)
        return dict(sorted(rows.items())) if detail else sorted(rows)

    @staticmethod
    def _take(
        rows: dict[str, dict[str, Any]],
        bucket: str,
        base: str,
        item: ListedObject,
        maxdepth: int | None,
        withdirs: bool,
    ) -> None:
        marker = item.key.endswith("/")
        if withdirs:
            names = item.key[len(base) :].rstrip("/").split("/")
            names = names if marker else names[:-1]
            for depth in range(1, min(len(names), maxdepth or len(names)) + 1):
                name = f"{bucket}/{base}{'/'.join(names[:depth])}"
                if names[0]:
                    rows.setdefault(name, _directory(name))
        if not marker and (maxdepth is None or item.key.count("/", len(base)) < maxdepth):
            rows[f"{bucket}/{item.key}"] = _file(bucket, item)

    def du(
        self,
        path: str,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Bytes used below `path`, from the listing alone."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: row["size"] for name, row in found.items()}
        return sum(sizes.values()) if total else sizes

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

    # --- facts about an object ---

    def modified(self, path: str) -> datetime:
        """When the current version was written, in UTC."""
        found = self.info(path).get("LastModified")
        if found is None:
            raise IsADirectoryError(f"{path} is a directory and has no time")
        return found  # type: ignore[no-any-return]

    created = modified

    def checksum(self, path: str) -> int:
        """A number that changes with the content."""
        return int(self.ukey(path), 16)

    def ukey(self, path: str) -> str:
        """A hash of name, ETag and size: changes when the object does."""
        info = self.info(path)
        return str(tokenize(info["name"], info.get("ETag"), info["size"]))

    def sign(self, path: str, expiration: int = 100, method: str = "GET", **kwargs: Any) -> str:
        """A presigned URL for GET or PUT, valid for `expiration` seconds (1 to 604,800)."""
        if method not in ("GET", "PUT"):
            raise ValueError(f"method must be GET or PUT, not {method!r}")
        return self._client.presign(method, self._object(path), expiration)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Nothing is cached yet; kept for fsspec's transactions."""
        super().invalidate_cache(path)


def write_condition(mode: str, if_match: str | None) -> Condition:
    """The condition that `mode` ("overwrite" or "create") and `if_match` (an ETag) ask for."""
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode must be 'overwrite' or 'create', not {mode!r}")
    if if_match is not None and not isinstance(if_match, str):
        raise TypeError(f"if_match must be an ETag as info() gives it, not {type(if_match).__name__}")
    return Condition(create=mode == "create", if_match=if_match)


def _directory(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _files(bucket: str, items: Iterable[ListedObject]) -> dict[str, dict[str, Any]]:
    return {f"{bucket}/{item.key}": _file(bucket, item) for item in items if item.key[-1:] != "/"}


def _file(bucket: str, item: ListedObject) -> dict[str, Any]:
    return {
        "name": f"{bucket}/{item.key}",
        "size": item.size,
        "type": "file",
        "ETag": item.etag,
        "LastModified": item.last_modified,
        "mtime": item.last_modified,
        "StorageClass": item.storage_class,
    }
