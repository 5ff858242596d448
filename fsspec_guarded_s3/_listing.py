"""fsspec's verbs for what is there: info, listings, sizes; no HTTP, no XML.

Directories, by the one rule of docs/paths.md: a prefix that has keys is a directory; a key that ends with a
slash is a marker, which makes a directory and is never shown. A file and a directory may have the same name:
then the name is the file's, with a slash behind it the directory's. 403 never means "absent".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from fsspec import AbstractFileSystem
from fsspec.utils import stringify_path, tokenize

from . import _paths
from ._client import S3Client
from ._errors import AccessDeniedError, CredentialsError, InvalidRequestError, ObjectNotFoundError
from ._keywords import check_depth, check_type, refuse
from ._listing_cache import ListingCache
from ._models import ObjectInfo
from ._options import Options
from ._parameters import NoMore, Path
from ._paths import S3Path
from ._rows import Info, ListedInfo, by_name, directory_row, listed_row, object_row

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Listing(AbstractFileSystem):
    """The part of the filesystem that looks. Use `GuardedS3FileSystem`."""

    protocol: str | tuple[str, ...] = _paths.PROTOCOLS
    root_marker = ""
    _options: Options
    _client: S3Client
    _listings: ListingCache

    # --- paths ---

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(p) for p in path]
        return _paths.without_slash(cls._without_protocol(path))

    @classmethod
    def _without_protocol(cls, path: Any) -> str:
        protocols = (cls.protocol,) if isinstance(cls.protocol, str) else cls.protocol
        return _paths.strip_protocol(stringify_path(path), protocols)

    @classmethod
    def _parent(cls, path: Any) -> str:
        return _paths.parent(cls._strip_protocol(path))

    def _object(self, path: Any, version_id: str | None = None) -> S3Path:
        """The object that `path` names, or a version of it; with a slash at its end it names none."""
        location = _paths.parse_object(self._without_protocol(path), self._options.version_aware)
        return _at_version(location, version_id)

    def _target(self, path: Any) -> S3Path:
        """Where something is to be written: an object, never a version of it."""
        location = self._object(path)
        self._refuse_version(location)
        return location

    @staticmethod
    def _refuse_version(location: S3Path) -> None:
        if location.version_id is not None:
            raise ValueError(f"{location} is a version: versions are read, copied and deleted, never written")

    def _location(self, path: Any, version_id: str | None = None) -> tuple[S3Path, bool]:
        """The bucket, object or directory that `path` names, and whether it can only be a directory."""
        location = _paths.parse(self._strip_protocol(path), self._options.version_aware)
        return _at_version(location, version_id), self._without_protocol(path).endswith("/")

    def _is_object(self, location: S3Path) -> bool:
        try:
            self._client.reads.head_object(location)
        except ObjectNotFoundError:
            return False
        return True

    def _look(self, location: S3Path) -> ObjectInfo | None:
        """What is there before a write that does not depend on it; None where it is not shown.

        Credentials that may write need not be allowed to look, and an object with a customer's key is shown
        to nobody without it (400). Raises ObjectNotFoundError.
        """
        try:
            return self._client.reads.head_object(location)
        except CredentialsError:
            raise
        except (AccessDeniedError, InvalidRequestError):
            return None

    def split_path(self, path: Path) -> tuple[str, str, str | None]:
        """(bucket, key, version id) of a path or URL; only a `version_aware` filesystem sees a version."""
        location = _paths.parse(self._without_protocol(path), self._options.version_aware)
        return location.bucket, location.key, location.version_id

    # --- what is there ---

    def info(
        self, path: Path, version_id: str | None = None, refresh: bool = False, **kwargs: Unpack[NoMore]
    ) -> Info:
        """Name, size, type; for objects ETag, time, content type and metadata too. Or FileNotFoundError.

        `version_id` names an older version, as "?versionId=" at the end of `path` does when the filesystem is
        `version_aware`. A delete marker is not found, as current version or by its id. With a listing cache
        what the listing of its directory said, so without content type and metadata, if that is known;
        `refresh` asks the store.
        """
        refuse(self.info, kwargs)
        return cast("Info", self._info(path, version_id, refresh))

    def _info(self, path: Path, version_id: str | None, refresh: bool) -> dict[str, Any]:
        if not self._strip_protocol(path):
            return directory_row("")
        location, only_directory = self._location(path, version_id)
        known = None if refresh else self._listings.entry(location, only_directory)
        if known is not None:
            return known
        if not location.key:
            try:
                self._client.buckets.head_bucket(location.bucket)
            except ObjectNotFoundError:
                self._client.listings.check_welcome(location.bucket)
                raise
            return directory_row(location.bucket)
        missing = nothing_at(location)
        if not only_directory:
            try:
                return object_row(location, self._client.reads.head_object(location))
            except ObjectNotFoundError as error:
                missing = error
        if location.version_id is None and self._has_children(location):
            return directory_row(str(location))
        raise missing

    def _has_children(self, location: S3Path) -> bool:
        pages = self._client.listings.list_objects(location.bucket, location.prefix, max_keys=1)
        return any(page.keys or page.prefixes for page in pages)

    def exists(
        self, path: Path, version_id: str | None = None, refresh: bool = False, **kwargs: Unpack[NoMore]
    ) -> bool:
        """Whether there is an object or directory; errors other than "not found" are raised."""
        refuse(self.exists, kwargs)
        try:
            self.info(path, version_id=version_id, refresh=refresh)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: Path) -> bool:
        """Whether `path` is an object."""
        try:
            location = self._object(path)
        except (IsADirectoryError, ValueError):  # no valid path is no file; a 400 of the store is an error
            return False
        found = self._is_object(location)
        if not found:
            self._client.listings.check_welcome(location.bucket)
        return found

    def isdir(self, path: Path) -> bool:
        """Whether `path` is a bucket or a prefix of keys."""
        try:
            location = self._location(path)[0] if self._strip_protocol(path) else None
        except ValueError:
            return False
        try:
            if location is not None and self._listings.entry(location, only_directory=True) is not None:
                return True
            if location is not None and location.key:
                return location.version_id is None and self._has_children(location)
            return bool(self.info(path)["type"] == "directory")
        except FileNotFoundError:
            return False

    def _ls(self, path: Path, detail: bool, refresh: bool) -> list[Any]:
        """The entries directly below `path`, or the object itself; buckets for the root."""
        if not self._strip_protocol(path):
            buckets = self._client.listings.list_buckets()
            rows = [
                directory_row(name) | {"StorageClass": "BUCKET", "CreationDate": made}
                for name, made in buckets
            ]
        else:
            location, only_directory = self._location(path)
            current = location.version_id is None
            entries = self._entries(location, refresh=refresh) if current else None
            if entries is None and only_directory:
                raise nothing_at(location)
            if entries is None:
                entries = [object_row(location, self._client.reads.head_object(location))]
            rows = entries
        return rows if detail else [row["name"] for row in rows]

    def _entries(
        self, location: S3Path, prefix: str = "", refresh: bool = False
    ) -> list[dict[str, Any]] | None:
        """What is directly in a directory and begins with `prefix`; None when there is no such directory."""
        known = None if refresh else self._listings.directory(location)
        if known is not None:
            return _beginning(known, location, prefix)
        began = self._listings.begin()
        rows: dict[str, dict[str, Any]] = {}
        found = not location.key
        for page in self._client.listings.list_objects(location.bucket, location.prefix + prefix, "/"):
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

    @overload
    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: Literal[False] = False,
        prefix: str | None = None,
        refresh: bool = False,
    ) -> list[str]: ...

    @overload
    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        *,
        detail: Literal[True],
        prefix: str | None = None,
        refresh: bool = False,
    ) -> dict[str, ListedInfo]: ...

    @overload
    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str | None = None,
        refresh: bool = False,
    ) -> list[str] | dict[str, ListedInfo]: ...

    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str | None = None,
        refresh: bool = False,
        **kwargs: Any,
    ) -> Any:
        """All objects below `path`, or `path` itself when it is one; with their directories when `withdirs`.

        In one flat listing; level by level only for `maxdepth=1`. `prefix` is what the names below `path`
        begin with; `path` itself is none of them. With a listing cache as they were when they were listed;
        `refresh` asks the store. ValueError for the root, which is all of S3, unless `maxdepth` is 1.
        """
        refuse(self.find, kwargs)
        check_depth(maxdepth)
        prefix = "" if prefix is None else prefix
        check_type("prefix", prefix, str)
        if not self._strip_protocol(path):
            refuse_everything("", maxdepth)
            rows = by_name(row for row in self._ls("", True, False) if row["name"].startswith(prefix))
            found = dict(rows if withdirs else {})
            return found if detail else list(found)
        location, only_directory = self._location(path)
        if location.version_id is not None:
            row = object_row(location, self._client.reads.head_object(location))
            return {row["name"]: row} if detail else [row["name"]]
        if maxdepth is None and not withdirs and not detail and not self._listings.enabled:
            names = self._names_below(location, prefix)
        else:
            below = self._below(location, maxdepth, withdirs, prefix, refresh)
            rows = by_name(below or ())
            if withdirs and not prefix and below is not None and (below or location.key):
                rows = {str(location): directory_row(str(location)), **rows}
            if detail and rows:
                return rows
            names = list(rows)
        if not names and location.key and not prefix and not only_directory:
            with suppress(ObjectNotFoundError):
                row = object_row(location, self._client.reads.head_object(location))
                return {row["name"]: row} if detail else [row["name"]]
        return {} if detail else names

    def _names_below(self, location: S3Path, prefix: str) -> list[str]:
        root = location.bucket + "/"
        pages = self._client.listings.list_tree(location.bucket, location.prefix + prefix)
        return sorted({root + key for page in pages for key in page.keys if key[-1:] != "/"})

    def _below(
        self,
        location: S3Path,
        maxdepth: int | None,
        withdirs: bool,
        prefix: str = "",
        refresh: bool = False,
    ) -> list[dict[str, Any]] | None:
        """What is below a directory, up to `maxdepth` levels: files and, when `withdirs`, directories.

        None when there is no such directory; empty when it has a marker alone.
        """
        if maxdepth == 1:
            rows = self._entries(location, prefix, refresh)
        elif self._listings.enabled:
            rows = self._kept_tree(location, maxdepth, prefix, refresh)
        else:
            return self._listed_tree(location, maxdepth, withdirs, prefix)
        return rows and [row for row in rows if withdirs or row["type"] == "file"]

    def _kept_tree(
        self, location: S3Path, maxdepth: int | None, prefix: str, refresh: bool
    ) -> list[dict[str, Any]] | None:
        """`_listed_tree` from the listing cache, or for it."""
        known = None if refresh else self._listings.tree(location, maxdepth)
        if known is not None:
            return _beginning(known, location, prefix)
        began = self._listings.begin()
        rows = self._listed_tree(location, maxdepth, True, prefix)
        if rows is not None and maxdepth is None and not prefix:
            self._listings.keep_tree(location.directory(location.prefix), rows, began)
        return rows

    def _listed_tree(
        self, location: S3Path, maxdepth: int | None, withdirs: bool, prefix: str
    ) -> list[dict[str, Any]] | None:
        """In one flat listing."""
        rows: list[dict[str, Any]] = []
        directories: dict[str, None] = {}
        base = len(location.prefix)
        found = not location.key
        for page in self._client.listings.list_tree(location.bucket, location.prefix + prefix):
            found = found or bool(page.keys)
            if withdirs:
                for key in page.keys:
                    directories.update(dict.fromkeys(_directories(key, base, maxdepth)))
            for item in page.objects():
                deep = maxdepth is not None and item.key.count("/", base) >= maxdepth
                if not deep and item.key[-1:] != "/":
                    rows.append(listed_row(location.bucket, item))
        return rows + [directory_row(location.directory(name)) for name in directories] if found else None

    @overload
    def du(
        self,
        path: Path,
        total: Literal[True] = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        refresh: bool = False,
    ) -> int: ...

    @overload
    def du(
        self,
        path: Path,
        total: Literal[False],
        maxdepth: int | None = None,
        withdirs: bool = False,
        refresh: bool = False,
    ) -> dict[str, int]: ...

    @overload
    def du(
        self,
        path: Path,
        total: bool,
        maxdepth: int | None = None,
        withdirs: bool = False,
        refresh: bool = False,
    ) -> int | dict[str, int]: ...

    def du(
        self,
        path: Path,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        refresh: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Bytes used below `path`, from the listing alone; by name when `total` is False."""
        refuse(self.du, kwargs)
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, refresh=refresh)
        sizes = {name: row["size"] for name, row in found.items()}
        return sum(sizes.values()) if total else sizes

    # --- facts about an object ---

    def modified(self, path: Path, version_id: str | None = None, refresh: bool = False) -> datetime:
        """When the current version, or the one named, was written, in UTC.

        It is asked for each time, so `refresh` changes nothing.
        """
        found = self.info(path, version_id=version_id, refresh=True).get("LastModified")
        if found is None:
            raise IsADirectoryError(f"{path} is a directory and has no time")
        return found

    created = modified

    def checksum(self, path: Path, refresh: bool = False) -> int:
        """A number that changes with the content. It is asked for each time, so `refresh` changes nothing."""
        return int(self.ukey(path), 16)

    def ukey(self, path: Path) -> str:
        """A hash of name, ETag and size: changes when the object does."""
        info = self.info(path, refresh=True)
        return str(tokenize(info["name"], info.get("ETag"), info["size"]))

    def invalidate_cache(self, path: Path | None = None) -> None:
        """Drop the listings that may show `path`, or all; own writes have done so already."""
        if path is None:
            self._listings.clear()
        else:
            location = _paths.parse(self._strip_protocol(path))
            self._listings.forget(location.bucket, location.key)
        super().invalidate_cache(path)


def _at_version(location: S3Path, version_id: str | None) -> S3Path:
    if version_id is None:
        return location
    check_type("version_id", version_id, str)
    if not version_id:
        raise ValueError("version_id is empty: None means the current version")
    if not location.key:
        raise ValueError(f"version_id {version_id!r} needs the path of an object, not of bucket {location}")
    if location.version_id not in (None, version_id):
        raise ValueError(f"version_id {version_id!r} and {location} name two versions: pass one of them")
    return S3Path(location.bucket, location.key, version_id)


def refuse_everything(name: str, maxdepth: int | None) -> None:
    """Raise ValueError where `name` is the root: who has an empty name does not mean the whole account."""
    if not name and maxdepth != 1:
        raise ValueError(
            "the path is empty, which would be all of S3: name a bucket; ls('') lists the buckets"
        )


def nothing_at(location: S3Path) -> ObjectNotFoundError:
    return ObjectNotFoundError("there is no such directory", bucket=location.bucket, key=location.key)


def _beginning(rows: list[dict[str, Any]], location: S3Path, prefix: str) -> list[dict[str, Any]]:
    start = f"{location.bucket}/{location.prefix}{prefix}"
    return [row for row in rows if row["name"].startswith(start)] if prefix else rows


def _directories(key: str, base: int, maxdepth: int | None) -> Iterator[str]:
    """The prefixes of the directories that `key` is in, below the first `base` characters."""
    end = key.find("/", base)
    depth = 0
    while end >= 0 and (maxdepth is None or depth < maxdepth):
        yield key[: end + 1]
        end = key.find("/", end + 1)
        depth += 1
