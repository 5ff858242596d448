"""fsspec's verbs for what is there: info, listings, sizes; no HTTP, no XML.

Directories: a prefix that has keys is a directory, `k/` is a marker and shown as one, never as a file.
403 never means "absent".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.utils import stringify_path, tokenize

from . import _paths
from ._client import S3Client
from ._errors import ObjectNotFoundError
from ._models import ListedObject, ObjectInfo
from ._options import Options
from ._paths import S3Path


class Listing(AbstractFileSystem):
    """The part of the filesystem that looks. Use `GuardedS3FileSystem`."""

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

    def invalidate_cache(self, path: str | None = None) -> None:
        """Nothing is cached yet; kept for fsspec's transactions."""
        super().invalidate_cache(path)


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
