"""fsspec's verbs for many objects: side by side, in the order asked for, every failure told."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.implementations.local import LocalFileSystem, make_path_posix

from ._attributes import Attributes, check_names
from ._client import S3Client
from ._download import ask_whole
from ._errors import HOPELESS, ObjectNotFoundError
from ._keywords import span, whole
from ._models import ObjectInfo
from ._namespace import Namespace
from ._parameters import CatEach, CopyEach, GetEach, Path, Paths, PipeEach, PutEach, Reading
from ._paths import S3Path
from ._pinned import check_etag
from ._placement import (
    check_apart,
    check_distinct,
    check_inside,
    check_local,
    check_paths,
    is_one,
    local_sources,
    placed,
    without_directories,
)
from ._ranges import Wanted, ask_merged, merged
from ._selection import Source
from ._source_file import refuse_special
from ._target_file import refuse_stream

if TYPE_CHECKING:
    from typing_extensions import Buffer, Unpack


_MAX_GAP = 128 * 1024  # bytes that are cheaper to read than to ask around


class Bulk(Namespace):
    """The part of the filesystem that deals with many objects. Use `GuardedS3FileSystem`."""

    # --- reading ---

    @overload
    def cat(
        self,
        path: Path,
        recursive: Literal[False] = False,
        on_error: Literal["raise", "return", "omit"] = "raise",
        **kwargs: Unpack[CatEach],
    ) -> Any: ...

    @overload
    def cat(
        self,
        path: Path | Iterable[Path],
        recursive: bool = False,
        on_error: Literal["raise", "omit"] = "raise",
        **kwargs: Unpack[CatEach],
    ) -> dict[str, bytes]: ...

    @overload
    def cat(
        self,
        path: Path | Iterable[Path],
        recursive: bool = False,
        *,
        on_error: Literal["return"],
        **kwargs: Unpack[CatEach],
    ) -> dict[str, bytes | Exception]: ...

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """One object's bytes, or {path: bytes} for a list, a glob or a tree; side by side.

        `on_error` is "raise", "return" (the exception stands for the bytes) or "omit", which leaves out
        what is not there; what cannot be read is an error then. A wrong configuration is always raised.
        """
        check_names(kwargs, self.cat, self.cat_file)
        _one_of("on_error", on_error, ("raise", "return", "omit"))
        sources = self._select(path, recursive)
        if sources == [Source(self._strip_protocol(path) if isinstance(path, str) else path, "")]:
            return self.cat_file(path, **kwargs)
        paths = [source.name for source in sources if source.kind != "directory"]
        if not paths:
            raise FileNotFoundError(errno.ENOENT, "only directories, and no file", str(path))
        raising = on_error == "raise"
        if kwargs or self._has_own("cat_file"):
            found = self._gather([partial(self.cat_file, p, **kwargs) for p in paths], raising=raising)
        else:
            found = self._gather_asked([partial(self._ask_whole, p) for p in paths], raising=raising)
        rows = dict(zip(paths, found, strict=True))
        for failed in found:
            is_omitted = on_error == "omit" and isinstance(failed, FileNotFoundError)
            if isinstance(failed, HOPELESS if on_error == "return" else Exception) and not is_omitted:
                raise failed
        if on_error == "omit":
            return {p: data for p, data in rows.items() if not isinstance(data, Exception)}
        return rows

    @overload
    def cat_ranges(
        self,
        paths: list[str],
        starts: int | Iterable[int | None] | None,
        ends: int | Iterable[int | None] | None,
        max_gap: int | None = None,
        on_error: Literal["return"] = "return",
        **kwargs: Unpack[Reading],
    ) -> list[bytes | Exception]: ...

    @overload
    def cat_ranges(
        self,
        paths: list[str],
        starts: int | Iterable[int | None] | None,
        ends: int | Iterable[int | None] | None,
        max_gap: int | None = None,
        *,
        on_error: Literal["raise"],
        **kwargs: Unpack[Reading],
    ) -> list[bytes]: ...

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Slices of many objects, side by side and in the order asked for; one HEAD per object pins it.

        Ranges of one object that are at most `max_gap` bytes apart (128 KiB if None) are read by one request.
        With `on_error="return"` an exception stands for the bytes of a range that failed. Further keywords
        are what a read needs, such as `SSECustomerKey`.
        """
        client = self._client_for(Attributes.parse_reading(kwargs, self.cat_ranges))
        _one_of("on_error", on_error, ("raise", "return"))
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        gap = _MAX_GAP if max_gap is None else whole("max_gap", max_gap, 0)
        starts = list(starts) if isinstance(starts, Iterable) else [starts] * len(paths)
        ends = list(ends) if isinstance(ends, Iterable) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("paths, starts and ends must have the same length")
        names = list(dict.fromkeys(paths))
        raising = on_error == "raise"
        if self._has_own("cat_file"):
            slices = zip(paths, starts, ends, strict=True)
            return self._gather([partial(self.cat_file, *one, **kwargs) for one in slices], raising=raising)
        heads = self._gather_asked([partial(self._ask_head, client, name) for name in names], raising=raising)
        infos = dict(zip(names, heads, strict=True))
        results: list[Any] = [b""] * len(paths)
        wanted: dict[str, list[Wanted]] = {}
        for index, (path, start, end) in enumerate(zip(paths, starts, ends, strict=True)):
            info = infos[path]
            if isinstance(info, Exception):
                results[index] = info
                continue
            first, stop, _ = span(start, end, ("starts", "ends")).indices(info.size)
            if first < stop:
                wanted.setdefault(path, []).append(Wanted(first, stop, index))
        groups, calls = [], []
        for path, ranges in wanted.items():
            location, info = self._object(path), infos[path]
            for group in merged(ranges, gap, self._options.range_size):
                groups.append(group)
                calls.append(partial(ask_merged, client, location, info, group, results))
        failed = self._gather_asked(calls, raising=raising)
        for group, error in zip(groups, failed, strict=True):
            for item in group if error is not None else ():
                results[item.place] = error
        return results

    def _ask_head(self, client: S3Client, path: str) -> Callable[[], ObjectInfo]:
        location = self._object(path)
        early = client.reads.ask_head(location)

        def pin() -> ObjectInfo:
            info = client.reads.head_object(location, early)
            check_etag(info.etag)
            return info

        return pin

    def _ask_whole(self, path: str) -> Callable[[], bytes]:
        return ask_whole(self._client, self._object(path))

    # --- between here and there ---

    def get(
        self,
        rpath: Paths,
        lpath: Paths,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Unpack[GetEach],
    ) -> None:
        """Download files, globs or trees; side by side. `callback` counts files, its branches bytes.

        Folders are made as they are needed. ValueError, before anything is written, when a key would be
        placed outside of `lpath`, by its name or by a link that is there, or two at the same place;
        SpecialFileError (an OSError) where a pipe, a socket or a device is.
        """
        check_names(kwargs, self.get, self.get_file)
        check_paths("lpath", lpath)
        if isinstance(rpath, list) and isinstance(lpath, list):
            sources = [Source(os.fspath(p), "") for p in rpath]
        else:
            sources = self._sources(rpath, recursive, maxdepth)
        place = make_path_posix(os.fspath(lpath)) if isinstance(lpath, (str, os.PathLike)) else lpath
        into = partial(_is_local_directory, place)
        pairs = placed(rpath, self._strip_protocol, sources, place, into)
        files = [(source.name, target) for source, target in pairs if source.kind != "directory"]
        check_inside([target for _, target in pairs], place)
        check_local([target for _, target in files])
        for _, target in files:
            refuse_stream(target)
        for source, target in pairs:
            if source.kind == "directory":
                os.makedirs(target, exist_ok=True)
        each = self._get_object if is_one(rpath) and not self._has_own("get_file") else self.get_file
        self._transfer(files, each, callback, kwargs)

    def put(
        self,
        lpath: Paths,
        rpath: Paths,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Unpack[PutEach],
    ) -> None:
        """Upload files, globs or trees; side by side. `callback` counts files, its branches bytes.

        ValueError, before anything is sent, when two files would become the same object; SpecialFileError
        (an OSError) for pipes, sockets and devices.
        """
        check_names(kwargs, self.put, self.put_file)
        check_paths("lpath", lpath)
        check_paths("rpath", rpath)
        if isinstance(lpath, list) and isinstance(rpath, list):
            sources = [Source(os.fspath(p), "") for p in lpath]
        else:
            found = local_sources(lpath, recursive, maxdepth)
            sources = without_directories(lpath, found, recursive and maxdepth is None)
        into = partial(self._is_directory, rpath)
        stripped = self._strip_protocol(rpath) if is_one(rpath) else rpath
        pairs = placed(lpath, LocalFileSystem._strip_protocol, sources, stripped, into)
        files = [(source.name, target) for source, target in pairs if source.kind != "directory"]
        check_distinct(self._strip_protocol(target) for _, target in files)
        for source, _ in files:
            refuse_special(source)
        self._transfer(files, self.put_file, callback, kwargs)

    def _sources(self, path: Any, recursive: bool, maxdepth: int | None) -> list[Source]:
        return without_directories(
            path, self._select(path, recursive, maxdepth), recursive and maxdepth is None
        )

    def _is_directory(self, path: Any) -> bool:
        return self._location(path)[1] or self.isdir(path)

    def _transfer(
        self,
        pairs: Sequence[tuple[str, str]],
        verb: Callable[..., Any],
        callback: Any,
        kwargs: Mapping[str, Any],
    ) -> None:
        callback.set_size(len(pairs))
        lock = threading.Lock()  # callbacks are not made for threads

        def one(source: str, target: str) -> None:
            with lock:
                branch = callback.branched(source, target)
            with branch as child:
                verb(source, target, callback=child, **kwargs)
            with lock:
                callback.relative_update(1)

        self._client.scheduler.run(partial(one, *pair) for pair in pairs)

    @overload
    def pipe(self, path: Path, value: Buffer, **kwargs: Unpack[PipeEach]) -> None: ...

    @overload
    def pipe(self, path: Mapping[str, Buffer], value: None = None, **kwargs: Unpack[PipeEach]) -> None: ...

    def pipe(self, path: Any, value: Any = None, **kwargs: Any) -> None:
        """Write bytes to one path, or each value of a dict to its path; side by side."""
        check_names(kwargs, self.pipe, self.pipe_file)
        if not isinstance(path, dict):
            super().pipe(path, value, **kwargs)
            return
        calls = [partial(self.pipe_file, name, data, **kwargs) for name, data in path.items()]
        self._gather(calls, raising=True)

    # --- from one key to another ---

    def copy(
        self,
        path1: Paths,
        path2: Paths,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: Literal["raise", "ignore"] | None = None,
        **kwargs: Unpack[CopyEach],
    ) -> None:
        """Copy files, globs or trees inside S3; side by side.

        `on_error` is "raise", or "ignore" for sources that vanished meanwhile (the default of trees).
        """
        check_names(kwargs, self.copy, self.cp_file)
        on_error = on_error or ("ignore" if recursive else "raise")
        _one_of("on_error", on_error, ("raise", "ignore"))
        self._copy(self._copy_pairs(path1, path2, recursive, maxdepth), on_error, kwargs)

    def _copy_pairs(
        self, path1: Any, path2: Any, recursive: bool, maxdepth: int | None
    ) -> list[tuple[str, str]]:
        check_paths("path2", path2)
        if isinstance(path1, list) and isinstance(path2, list):
            sources = [Source(os.fspath(p), "") for p in path1]
        else:
            sources = self._sources(path1, recursive, maxdepth)
        stripped = self._strip_protocol(path2) if is_one(path2) else path2
        into = partial(self._is_directory, path2)
        pairs = placed(path1, self._strip_protocol, sources, stripped, into)
        files = [(source.name, target) for source, target in pairs if source.kind != "directory"]
        names = [(self._strip_protocol(source), self._strip_protocol(target)) for source, target in files]
        check_distinct(target for _, target in names)
        check_apart(names)
        return files

    def _copy(
        self, pairs: Sequence[tuple[str, str]], on_error: str, kwargs: Mapping[str, Any]
    ) -> dict[str, ObjectInfo | None]:
        """Copy side by side; returns what each source was when it was copied, None for a directory."""
        copied: dict[str, ObjectInfo | None] = {}
        copy = self._copy_by_own_verb if self._has_own("cp_file") else self._copy_one

        def one(source: str, target: str) -> None:
            try:
                copied[source] = copy(source, target, **kwargs)
            except FileNotFoundError:
                if on_error == "raise":
                    raise

        self._client.scheduler.run(partial(one, *pair) for pair in pairs)
        return copied

    def _copy_by_own_verb(self, source: str, target: str, **kwargs: Any) -> ObjectInfo | None:
        """A subclass's `cp_file`; returns what the source was before, so that `mv` deletes nothing newer."""
        location, only_directory = self._location(source)
        parameters = {name: value for name, value in kwargs.items() if name[:1].isupper()}
        client = self._client_for(Attributes.parse(parameters, self.cp_file).of_source())
        info = None
        if not only_directory and location.key:
            try:
                info = client.reads.head_object(location)
            except ObjectNotFoundError:
                if not self.isdir(source):
                    raise
        self.cp_file(source, target, **kwargs)
        return info

    def mv(
        self,
        path1: Paths,
        path2: Paths,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Unpack[CopyEach],
    ) -> None:
        """Copy, then delete the versions that were copied, and nothing newer. A failed copy deletes nothing.

        An object that somebody replaced after it was copied stays, and is ObjectChangedError, or one of
        DeleteObjectsError's `errors` when there are several: by the condition of the delete where the store
        honours one, else by a look right before the delete. IsADirectoryError for a directory without
        `recursive`, ValueError for a pattern in the place of a bucket.
        """
        check_names(kwargs, self.mv, self.cp_file)
        path1 = self._in_named_buckets(path1, "mv")
        pairs = self._copy_pairs(path1, path2, recursive, maxdepth)
        if path1 and not pairs and not recursive:
            raise IsADirectoryError(errno.EISDIR, "a directory is moved with recursive=True", str(path1))
        moved = [pair for pair in pairs if self._strip_protocol(pair[0]) != self._strip_protocol(pair[1])]
        for source, _ in moved:
            self._refuse_version(self._location(source)[0])
        etags: dict[S3Path, str] = {}
        for source, info in self._copy(moved, "raise", kwargs).items():
            if info is None:
                raise IsADirectoryError(errno.EISDIR, "a directory is moved with recursive=True", source)
            etags[self._object(source)] = info.etag
        self._delete_copied(etags)

    move = AbstractFileSystem.move


def _is_local_directory(path: Any) -> bool:
    return path.endswith("/") or os.path.isdir(path)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
