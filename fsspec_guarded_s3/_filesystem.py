"""fsspec's verbs on top of the layers below; no HTTP, no XML.

Directories: a prefix that has keys is a directory, `k/` is a marker and shown as one, never as a file.
403 never means "absent".
"""

from __future__ import annotations

import io
import mimetypes
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike, stringify_path, tokenize

from . import _paths
from ._client import S3Client
from ._download import download, read_range, read_whole
from ._errors import (
    ConflictError,
    DirectoryNotEmptyError,
    ObjectExistsError,
    ObjectNotFoundError,
)
from ._models import ByteRange, Condition, ListedObject, ObjectInfo
from ._options import FSSPEC_OPTIONS, MAX_SINGLE_PUT, Options, part_size_for
from ._paths import S3Path
from ._reader import PinnedReader
from ._threads import run_all
from ._upload import Upload, upload_bytes, upload_file
from ._writer import CompressedWriter, GuardedWriter

_READ_MODES = ("rb", "r", "rt")
_DELETE_BATCH = 1000


class GuardedS3FileSystem(AbstractFileSystem):
    """S3 with conditional create, pinned reads and guarded writers.

    Parameters
    ----------
    key, secret, token, profile, anon
        Credentials; without them botocore's chain (environment, profile, SSO, container, IMDS).
    endpoint_url, region
        Where to go; without them botocore's configuration.
    **storage_options
        All others are fields of `Options`; an unknown one is a ValueError.
    """

    protocol: str | tuple[str, ...] = _paths.PROTOCOLS
    root_marker = ""

    def __init__(self, **storage_options: Any) -> None:
        if self._cached:
            return
        self._options = Options.parse(storage_options)
        super().__init__(
            **{name: storage_options[name] for name in storage_options if name in FSSPEC_OPTIONS}
        )
        self.blocksize = self._options.block_size
        self._client = S3Client(self._options)

    @property
    def _fs_token(self) -> str:
        # fsspec's own holds pid and thread id, so dask's tokens would differ between processes.
        return str(tokenize(type(self).__name__, self.storage_options))

    def __repr__(self) -> str:
        return f"<GuardedS3FileSystem {self._options.endpoint_url or 'AWS'}>"

    def to_json(self, *, include_password: bool = True) -> str:
        """fsspec's JSON; without `secret` and `token` when `include_password` is False."""
        if include_password:
            return str(super().to_json())
        kept = {k: v for k, v in self.storage_options.items() if k not in ("key", "secret", "token")}
        clone = object.__new__(type(self))
        clone.storage_args, clone.storage_options = (), kept
        return str(AbstractFileSystem.to_json(clone, include_password=False))

    # --- paths ---

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(p) for p in path]
        protocols = (cls.protocol,) if isinstance(cls.protocol, str) else cls.protocol
        return _paths.strip_protocol(stringify_path(path), protocols).rstrip("/")

    def _object(self, path: str) -> S3Path:
        return _paths.parse_object(self._strip_protocol(path))

    # --- reading ---

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """The bytes of one version of `path`, or of its slice [start, end) by Python's rules.

        Raises FileNotFoundError, ObjectChangedError.
        """
        location = self._object(path)
        if start in (None, 0) and end is None:
            return read_whole(self._client, location)
        info = self._client.head_object(location)
        first, stop, _ = slice(start, end).indices(info.size)
        return read_range(self._client, location, info, first, stop)

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Slices of many objects, side by side and in the order asked for; one HEAD per object pins it."""
        if max_gap is not None:
            raise NotImplementedError("max_gap is not supported yet: leave it out")
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("paths, starts and ends must have the same length")
        heads: dict[str, ObjectInfo] = {}
        lock = threading.Lock()

        def one(path: str, start: int | None, end: int | None) -> bytes:
            location = self._object(path)
            with lock:
                info = heads.get(path)
            if info is None:
                info = self._client.head_object(location)
                with lock:
                    info = heads.setdefault(path, info)
            first, stop, _ = slice(start, end).indices(info.size)
            return read_range(self._client, location, info, first, stop)

        calls = [partial(one, *row) for row in zip(paths, starts, ends, strict=True)]
        return self._gather(calls, raising=on_error != "return")

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """One object's bytes, or {path: bytes} for a list, a glob or a tree; side by side."""
        paths = self.expand_path(path)
        if recursive:
            paths = sorted({name for root in paths for name in self.find(root)})
            if not paths:
                raise FileNotFoundError(f"there is nothing below {path}")
        if len(paths) == 1 and not isinstance(path, list) and paths[0] == self._strip_protocol(path):
            return self.cat_file(paths[0], **kwargs)
        calls = [partial(self.cat_file, p, **kwargs) for p in paths]
        found = self._gather(calls, raising=on_error == "raise")
        rows = dict(zip(paths, found, strict=True))
        if on_error == "omit":
            return {p: data for p, data in rows.items() if not isinstance(data, Exception)}
        return rows

    def _gather(self, calls: Sequence[Callable[[], Any]], *, raising: bool) -> list[Any]:
        results: list[Any] = [None] * len(calls)

        def run(index: int) -> None:
            try:
                results[index] = calls[index]()
            except Exception as error:
                if raising:
                    raise
                results[index] = error

        run_all((partial(run, index) for index in range(len(calls))), self._options.max_concurrency)
        return results

    def head(self, path: str, size: int = 1024) -> bytes:
        """The first `size` bytes."""
        return self.cat_file(path, 0, size)

    def tail(self, path: str, size: int = 1024) -> bytes:
        """The last `size` bytes."""
        return self.cat_file(path, -size, None) if size else b""

    def get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **kwargs: Any
    ) -> None:
        """Download to a sibling temporary file, then rename: `lpath` is old or new, never half."""
        outfile = lpath if outfile is None and isfilelike(lpath) else outfile
        if outfile is not None:
            outfile.write(self.cat_file(rpath))
            return
        lpath = os.fspath(lpath)
        folder = os.path.dirname(os.path.abspath(lpath))
        try:
            location = self._object(rpath)
            os.makedirs(folder, exist_ok=True)
            download(self._client, location, lpath, callback.set_size, _progress(callback))
        except (FileNotFoundError, IsADirectoryError):
            if not self.isdir(rpath):
                raise
            os.makedirs(lpath, exist_ok=True)

    # --- opening ---

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """A file: "r" pinned, "w" guarded, "x" guarded and conditional; `if_match=` swaps by ETag."""
        plain = mode.replace("b", "").replace("t", "")
        if plain not in ("r", "w", "x"):
            raise ValueError(f"mode {mode!r} is not supported: use r, w or x, with b or t")
        if compression is None or plain == "r":
            return super().open(path, mode, block_size, cache_options, compression, **kwargs)
        text = {name: kwargs.pop(name) for name in ("encoding", "errors", "newline") if name in kwargs}
        file = super().open(path, plain + "b", block_size, cache_options, **kwargs)
        from fsspec.compression import compr
        from fsspec.core import get_compression

        name = get_compression(self._strip_protocol(path), compression)
        if name is not None:
            file = CompressedWriter(compr[name](file, mode="w"), file)
        return file if "b" in mode else io.TextIOWrapper(file, **text)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        cache_type: str = "readahead",
        if_match: str | None = None,
        **kwargs: Any,
    ) -> Any:
        if mode in _READ_MODES:
            location = self._object(path)
            try:
                pin = self._client.head_object(location)
            except ObjectNotFoundError:
                if self.isdir(path):
                    raise IsADirectoryError(f"{path} is a directory and cannot be read") from None
                raise
            details = self._details(location, pin)
            size = block_size if isinstance(block_size, int) else self._options.block_size
            return PinnedReader(
                self, str(location), self._client, location, pin, details, size, cache_type, cache_options
            )
        condition = Condition(create=mode == "xb", if_match=if_match)
        location = self._object(path)
        if condition.create and self._is_object(location):
            raise ObjectExistsError("the key is taken", bucket=location.bucket, key=location.key)
        return GuardedWriter(
            self._new_upload(location, condition),
            self._options,
            path=str(location),
            mode=mode,
            autocommit=autocommit,
            published=partial(self.invalidate_cache, str(location)),
        )

    def _is_object(self, location: S3Path) -> bool:
        try:
            self._client.head_object(location)
        except ObjectNotFoundError:
            return False
        return True

    def _new_upload(self, location: S3Path, condition: Condition) -> Upload:
        kind = mimetypes.guess_type(location.key)[0] or "application/octet-stream"
        return Upload(self._client, location, condition, {"content-type": kind})

    # --- writing ---

    def pipe_file(
        self, path: str, value: Any, mode: str = "overwrite", if_match: str | None = None, **kwargs: Any
    ) -> None:
        """Write bytes; "create" raises FileExistsError when the key is taken, `if_match` swaps by ETag."""
        if mode not in ("overwrite", "create"):
            raise ValueError(f"mode must be 'overwrite' or 'create', not {mode!r}")
        location = self._object(path)
        condition = Condition(create=mode == "create", if_match=if_match)
        upload_bytes(self._new_upload(location, condition), value, self._options)
        self.invalidate_cache(str(location))

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Create the object with `data`. True when it was created, False when the key was taken.

        Raises WriteOutcomeUnknownError when the answer was lost and nothing proves either.
        """
        try:
            self.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def put_file(
        self,
        lpath: Any,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        if_match: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Upload a local file; `mode` and `if_match` as in `pipe_file`."""
        if mode not in ("overwrite", "create"):
            raise ValueError(f"mode must be 'overwrite' or 'create', not {mode!r}")
        if os.path.isdir(lpath):
            return
        location = self._object(rpath)
        condition = Condition(create=mode == "create", if_match=if_match)
        with open(lpath, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            callback.set_size(size)
            upload = self._new_upload(location, condition)
            upload_file(upload, file.fileno(), size, self._options, _progress(callback))
        self.invalidate_cache(str(location))

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """An empty object. With truncate=False only when there is none, which is checked by the store."""
        if kwargs:
            raise TypeError(f"touch does not take {', '.join(kwargs)}")
        if truncate:
            self.pipe_file(path, b"")
        elif not self.put_if_absent(path, b""):
            raise NotImplementedError("S3 cannot change the time of an object: truncate=True replaces it")

    # --- namespace ---

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
        return bool(page.objects or page.prefixes)

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
            for item in page.objects:
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
        rows: dict[str, dict[str, Any]] = {}
        for page in self._client.list_objects(location.bucket, base + prefix):
            if maxdepth is None and not withdirs:
                rows.update(_files(location.bucket, page.objects))
                continue
            for item in page.objects:
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

    def rm_file(self, path: str) -> None:
        """DeleteObject; FileNotFoundError when there is none."""
        location = self._object(path)
        self._client.head_object(location)
        self._client.delete_object(location)
        self.invalidate_cache(str(location))

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

    def _tree(self, location: S3Path, maxdepth: int | None) -> list[str]:
        """The keys at and below `location`, markers of directories included."""
        prefix = location.key + "/" if location.key else ""
        pages = self._client.list_objects(location.bucket, prefix)
        listed = [item.key for page in pages for item in page.objects]
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

        calls: list[Callable[[], None]] = [partial(batch, names) for names in batches]
        calls += [
            partial(self._client.delete_object, S3Path(bucket, key)) for key in keys if not key.isprintable()
        ]
        run_all(calls, self._options.max_concurrency)
        if failed:
            rows = "; ".join(f"{key}: {code} {said}" for key, code, said in failed[:10])
            raise OSError(f"{len(failed)} keys of {bucket} could not be deleted: {rows}")

    def cp_file(
        self, path1: str, path2: str, mode: str = "overwrite", if_match: str | None = None, **kwargs: Any
    ) -> None:
        """Copy inside S3, pinned to the source's version; metadata and content type go along."""
        if mode not in ("overwrite", "create"):
            raise ValueError(f"mode must be 'overwrite' or 'create', not {mode!r}")
        if self.isdir(path1) and not self.isfile(path1):
            return
        source, target = self._object(path1), self._object(path2)
        info = self._client.head_object(source)
        condition = Condition(create=mode == "create", if_match=if_match)
        if info.size <= MAX_SINGLE_PUT:
            self._client.copy_object(source, target, info.etag, condition, {})
        else:
            self._copy_parts(source, target, info, condition)
        self.invalidate_cache(str(target))

    def _copy_parts(self, source: S3Path, target: S3Path, info: ObjectInfo, condition: Condition) -> None:
        headers = {f"x-amz-meta-{name}": value for name, value in info.metadata.items()}
        if info.content_type:
            headers["content-type"] = info.content_type
        upload = Upload(self._client, target, condition, headers)
        size = part_size_for(info.size, max(self._options.part_size, 128 * 2**20))
        upload.start()

        def copy(number: int, start: int) -> None:
            part = ByteRange(start, min(start + size, info.size))
            upload.copy_part(
                self._client.upload_part_copy(target, upload.upload_id, number, source, part, info.etag)
            )

        try:
            starts = enumerate(range(0, info.size, size), start=1)
            run_all((partial(copy, *row) for row in starts), self._options.max_concurrency)
        except BaseException:
            upload.abort()
            raise
        upload.complete()

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


def _progress(callback: Any) -> Callable[[int], None]:
    """Tell fsspec's callback, which is not thread-safe, of bytes that arrive in several threads."""
    lock = threading.Lock()

    def progress(count: int) -> None:
        with lock:
            callback.relative_update(count)

    return progress


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
