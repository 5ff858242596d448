"""One version of a table, to be read: which objects it has, and their bytes.

Invariant: what a snapshot gives out are the bytes that were published with it. Each object is named with its
ETag and size, and every read is pinned to them: ObjectChangedError or FileNotFoundError otherwise.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, cast

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK

from .._fs.downloads import get_placed, is_local_directory
from .._fs.patterns import MAGIC
from .._fs.placement import check_paths, local_path, placed, say_passed_over
from .._fs.selection import Source, is_one, without_directories
from .._fs.transfer import callback_of
from .._read.pinned_file import PinnedFile
from .._read.target_file import TargetFile, write_all
from .._values.conditions import same_etag
from .._values.fsspec_rules import absolute, is_file_like, token_of
from .._values.keywords import Verb
from .._values.local_files import extended
from .._values.local_names import refusal_of_key
from .._values.models import ObjectInfo, within
from .._values.tracebacks import short_tracebacks
from ..errors import ObjectChangedError, ObjectNotFoundError
from ..filesystem import GuardedS3FileSystem
from .commit_manifest import Manifest, Row

_STEP = 16 * 2**20  # bytes of one request
_NEVER_CHANGES = "a snapshot never changes: write in a transaction of the table"


class DataObject(NamedTuple):
    """An object of a snapshot: its `path` in the store, its `etag`, and its `size` in bytes."""

    path: str
    etag: str
    size: int


class Snapshot(Mapping[str, DataObject]):
    """The objects of one version of a table: a mapping of their names to where their bytes are.

    It never changes, and what it gives out are the bytes of this version. It can be pickled, and shared by
    threads. `version` is the number of the commit, `path` that of the table.
    """

    def __init__(self, fs: GuardedS3FileSystem, path: str, version: int, manifest: Manifest) -> None:
        self.fs = fs
        self.path = path
        self.version = version
        self.manifest = manifest

    @property
    def rows(self) -> Mapping[str, Row]:
        """The place below the table, the ETag and the size of each object."""
        return self.manifest.rows

    def __repr__(self) -> str:
        return f"<Snapshot {self.version} of {self.path}: {len(self.rows)} objects>"

    def __getitem__(self, name: str) -> DataObject:
        place, etag, size = self.rows[name]
        return DataObject(f"{self.path}/{place}", etag, size)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return (self.fs, self.path, self.version) == (other.fs, other.path, other.version)

    def __hash__(self) -> int:
        return hash((self.path, self.version))

    def object(self, name: str) -> DataObject:
        """Where the bytes of `name` are. FileNotFoundError if this version has no such object."""
        if name not in self.rows:
            bucket, key, _ = self.fs.split_path(self.path)
            raise ObjectNotFoundError(
                f"version {self.version} of the table has no object {name!r}", bucket=bucket, key=key
            )
        return self[name]

    @short_tracebacks
    def open(self, name: str, mode: str = "rb", **kwargs: Any) -> Any:
        """Open an object for reading: `mode` is "rb", or "r" for text.

        Further arguments are those of `fs.open`; `size` changes nothing, since it is known.
        Raises FileNotFoundError if this version has no such object, or if `vacuum` has removed it since; and
        ObjectChangedError if somebody replaced it. GetObject.
        """
        if mode not in ("rb", "r", "rt"):
            raise ValueError(f"mode must be 'rb' or 'r', not {mode!r}: a snapshot never changes")
        if "if_match" in kwargs:
            raise TypeError(
                "open of a snapshot does not take if_match: each read has the ETag of its version"
            )
        kwargs.pop("size", None)  # fsspec's caches pass on what `info` told
        found, opening = self.object(name), cast("Verb", self.fs.open)
        with self._gone(name):
            file = opening(found.path, mode, if_match=found.etag, size=found.size, **kwargs)
        pinned = getattr(file, "buffer", file)  # below text
        if isinstance(pinned, PinnedFile):
            pinned.when_gone = self._when_gone(name)
            pinned.why_read_only = _NEVER_CHANGES
        return file

    @short_tracebacks
    def cat_file(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of an object, or its slice [start, end), counted as slices of Python are.

        Raises what `open` raises. GetObject; large objects are read in parallel.
        """
        found = self.object(name)
        first, stop = within(start, end, found.size)
        if first >= stop:
            return b""
        slices = [(at, min(at + _STEP, stop)) for at in range(first, stop, _STEP)]
        pin = ObjectInfo(found.etag, found.size)
        with self._gone(name):
            _, pieces = self.fs._reader.slices_of_version(found.path, slices, pin, 0)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @short_tracebacks
    def verify(self) -> None:
        """Look whether all objects are there, with their ETags and sizes.

        Raises FileNotFoundError or ObjectChangedError for the first that is not. HeadObject of each.
        """
        for name in self.rows:
            found = self.object(name)
            with self._gone(name):
                row = self.fs.info(found.path, refresh=True)
            if not same_etag(row["ETag"] or "", found.etag) or row["size"] != found.size:
                bucket, key, _ = self.fs.split_path(found.path)
                raise ObjectChangedError(f"{name} was replaced", bucket=bucket, key=key)

    @contextmanager
    def _gone(self, name: str) -> Iterator[None]:
        """Within, the error about an object that is not there says why."""
        try:
            yield
        except ObjectNotFoundError as error:
            if error.code != "NoSuchBucket":
                error.message = self._when_gone(name)
            raise

    def _when_gone(self, name: str) -> str:
        return (
            f"{name!r} of version {self.version} is there no longer: vacuum has removed it, or somebody has "
            "deleted it. vacuum removes what no newer version has, once the table's grace has passed: read "
            "the newest version, Table(fs, path).snapshot()"
        )

    def filesystem(self) -> SnapshotFileSystem:
        """The same as a filesystem of fsspec, for libraries that take one. It only reads."""
        return SnapshotFileSystem(self)


class SnapshotFileSystem(AbstractFileSystem):
    """A filesystem that reads one snapshot. Its paths are the names of the objects. It can be pickled.

    It writes and deletes nothing: OSError with `errno` EROFS.
    """

    cachable = False
    protocol = "snapshot"
    root_marker = ""

    def __init__(self, snapshot: Snapshot, **storage_options: Any) -> None:
        super().__init__(snapshot, **storage_options)
        self.snapshot = snapshot
        self._folders: dict[str, dict[tuple[str, str], dict[str, Any]]] | None = None  # what is in each

    def __repr__(self) -> str:
        return f"<SnapshotFileSystem {self.snapshot!r}>"

    @property
    def _fs_token(self) -> str:
        # fsspec's own holds what `repr` shows, which two stores may have in common, and a thread's id.
        of = self.snapshot
        return token_of(type(self).__name__, hash(of.fs), of.path, of.version)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """The name that a path stands for. A slash before it is none of its own: dask writes "/folder"."""
        found = super()._strip_protocol(path)
        return found.lstrip("/") if isinstance(found, str) else found

    def _tree(self) -> dict[str, dict[tuple[str, str], dict[str, Any]]]:
        """What is in each folder: {folder: {(name, type): row}}. A name may be an object and a folder too."""
        if self._folders is None:
            folders: dict[str, dict[tuple[str, str], dict[str, Any]]] = {"": {}}
            for name, found in self.snapshot.items():
                row: dict[str, Any] = {"name": name, "size": found.size, "type": "file", "ETag": found.etag}
                while True:
                    parent = name.rpartition("/")[0]
                    is_new = parent not in folders
                    folders.setdefault(parent, {})[name, row["type"]] = row
                    if not is_new:
                        break
                    name, row = parent, _folder(parent)
            self._folders = folders
        return self._folders

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """The row of an object or a directory: name, size in bytes, type, and ETag of an object."""
        name = self._strip_protocol(path)
        if name not in self.snapshot and name in self._tree():
            return _folder(name)
        found = self.snapshot.object(name)
        return {"name": name, "size": found.size, "type": "file", "ETag": found.etag}

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """What is directly below `path`, or `path` itself: rows, or names with `detail=False`."""
        name = self._strip_protocol(path)
        rows = self._tree().get(name)
        found = [self.info(name)] if rows is None else [dict(rows[key]) for key in sorted(rows)]
        return found if detail else [row["name"] for row in found]

    def isdir(self, path: str) -> bool:
        """Whether there are objects below `path`, which may be the name of an object too."""
        return self._strip_protocol(path) in self._tree()

    def expand_path(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
    ) -> list[str]:
        """What a path, a pattern, or a list of them stands for. What the snapshot has is no pattern."""
        found: set[str] = set()
        patterns = []
        for each in [path] if is_one(path) else path:
            name = self._strip_protocol(each)
            if not MAGIC.search(name) or not (name in self.snapshot or self.isdir(name)):
                patterns.append(each)
                continue
            found.add(name)
            if recursive:
                found.update(self._below(name, maxdepth))
        if patterns or not found:
            found.update(super().expand_path(patterns, recursive, maxdepth, **kwargs))
        return sorted(found)

    def _below(self, name: str, maxdepth: int | None) -> list[str]:
        """The objects and folders below a folder, down to `maxdepth` levels."""
        base = len(name) + 1
        names = {*self.snapshot, *self._tree()}
        below = [each for each in names if each.startswith(f"{name}/")]
        return [each for each in below if maxdepth is None or each.count("/", base) < maxdepth]

    def ukey(self, path: str) -> str:
        """What changes when the object does: its ETag."""
        return self.snapshot.object(self._strip_protocol(path)).etag

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """As `Snapshot.cat_file`."""
        return self.snapshot.cat_file(self._strip_protocol(path), start, end)

    def get_file(
        self,
        rpath: str,
        lpath: Any = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        **kwargs: Any,
    ) -> None:
        """Download an object to the local file `lpath`, which is as it was until it is the whole object.

        So the caches of fsspec that keep whole files never keep half of one. Raises ValueError for a name
        that no file can have here.
        """
        outfile = lpath if outfile is None and is_file_like(lpath) else outfile
        if outfile is not None:
            self._copy(rpath, outfile, callback, **kwargs)
            return
        local = os.fsdecode(local_path(lpath))
        if self._strip_protocol(rpath) not in self.snapshot and self.isdir(rpath):
            os.makedirs(extended(local), exist_ok=True)
            return
        why = refusal_of_key(self._strip_protocol(rpath))
        if why:
            raise ValueError(f"{rpath!r} cannot become a file: {why}")
        os.makedirs(extended(os.path.dirname(os.path.abspath(local))), exist_ok=True)
        with TargetFile(local) as target:
            with open(target.descriptor, "wb", closefd=False) as file:
                self._copy(rpath, file, callback, **kwargs)
            target.publish(self.snapshot.fs.storage_options.get("fsync", False))

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Download files, globs or trees, in parallel. All places are checked before the first is written.

        ValueError where two names would become one file here, as in a folder that does not distinguish
        capitals, and for a name that no file can have, or that leads out of `lpath`.
        """
        check_paths("lpath", lpath)
        sources = self._sources(rpath, lpath, recursive, maxdepth)
        if not (sources or recursive or not is_one(rpath)):
            say_passed_over(rpath)
        if is_one(lpath):
            lpath = absolute(local_path(lpath))
        # With a slash before each name: no part of it is a bucket, whose own name goes nowhere.
        rooted = [Source(f"/{source.name}", source.kind) for source in sources]
        pairs = placed(rpath, self._rooted, rooted, lpath, partial(is_local_directory, lpath))
        places = zip(sources, (target for _, target in pairs), strict=True)
        get_placed(
            self.snapshot.fs._client, list(places), lpath, self.get_file, callback_of(callback), kwargs
        )

    def _rooted(self, path: Any) -> str:
        return f"/{self._strip_protocol(path)}"

    def _sources(self, path: Any, target: Any, recursive: bool, maxdepth: int | None) -> list[Source]:
        """The objects and folders that a path, a glob or a list stands for; some names are both."""
        if isinstance(path, list) and isinstance(target, list):
            return [Source(self._strip_protocol(os.fspath(p)), "") for p in path]
        names = sorted(set(self.expand_path(path, recursive=recursive, maxdepth=maxdepth)))
        found = [Source(name, "directory") for name in names if self.isdir(name)]
        found += [Source(name, "file") for name in names if name in self.snapshot or not self.isdir(name)]
        return without_directories(path, found, recursive and maxdepth is None)

    def _copy(self, path: str, target: Any, callback: Any, **kwargs: Any) -> None:
        with self.open(path, "rb", **kwargs) as source:
            callback.set_size(source.size)
            while data := source.read(_STEP):
                write_all(target, data)
                callback.relative_update(len(data))

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        if mode != "rb":
            raise _read_only(path)
        file = self.snapshot.open(path, block_size=block_size, cache_options=cache_options, **kwargs)
        file.path = path  # by which `blockcache` knows it
        return file

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """TypeError, and so has `to_json`: what a snapshot has is in the store."""
        raise TypeError(
            "the filesystem of a snapshot cannot be written as JSON: pickle it, or keep the table's path and "
            "the version, and open it by Table(fs, path).snapshot(version).filesystem()"
        )

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """OSError: a snapshot never changes."""
        raise _read_only(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """OSError: a snapshot never changes. Nothing if `path` is a directory and `exist_ok`."""
        if not (exist_ok and self.isdir(path)):
            raise _read_only(path)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """OSError: a snapshot never changes."""
        raise _read_only(path)

    def rmdir(self, path: str) -> None:
        """OSError: a snapshot never changes."""
        raise _read_only(path)

    def _rm(self, path: str) -> None:
        raise _read_only(path)

    def rm_file(self, path: str) -> None:
        """OSError: a snapshot never changes."""
        raise _read_only(path)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """OSError: a snapshot never changes."""
        raise _read_only(path2)


def _folder(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _read_only(path: str) -> OSError:
    return OSError(errno.EROFS, _NEVER_CHANGES, path)
