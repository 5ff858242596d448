"""fsspec's verbs for many objects: side by side, in the order asked for, every failure told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.core import has_magic
from fsspec.implementations.local import trailing_sep
from fsspec.utils import other_paths

from ._models import ObjectInfo
from ._namespace import Namespace
from ._ranges import Wanted, merged, read_merged
from ._threads import run_all

_MAX_GAP = 128 * 1024  # bytes that are cheaper to read than to ask around


class _Pairs(Callback):
    """Takes the pairs of paths that fsspec worked out, instead of letting it go through them one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[str, str]] = []

    def wrap(self, iterable: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        self.pairs = list(iterable)
        return iter(())


class Bulk(Namespace):
    """The part of the filesystem that deals with many objects. Use `GuardedS3FileSystem`."""

    # --- reading ---

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """One object's bytes, or {path: bytes} for a list, a glob or a tree; side by side.

        `on_error` is "raise", "return" (the exception stands for the bytes) or "omit".
        """
        _one_of("on_error", on_error, ("raise", "return", "omit"))
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
        With `on_error="return"` an exception stands for the bytes of a range that failed.
        """
        _one_of("on_error", on_error, ("raise", "return"))
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        if max_gap is not None and max_gap < 0:
            raise ValueError(f"max_gap must be 0 or more bytes, not {max_gap}")
        starts = list(starts) if isinstance(starts, Iterable) else [starts] * len(paths)
        ends = list(ends) if isinstance(ends, Iterable) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("paths, starts and ends must have the same length")
        names = list(dict.fromkeys(paths))
        raising = on_error == "raise"
        heads = self._gather([partial(self._head, name) for name in names], raising=raising)
        infos = dict(zip(names, heads, strict=True))
        results: list[Any] = [b""] * len(paths)
        wanted: dict[str, list[Wanted]] = {}
        for index, (path, start, end) in enumerate(zip(paths, starts, ends, strict=True)):
            info = infos[path]
            if isinstance(info, Exception):
                results[index] = info
                continue
            first, stop, _ = slice(start, end).indices(info.size)
            if first < stop:
                wanted.setdefault(path, []).append(Wanted(first, stop, index))
        gap = _MAX_GAP if max_gap is None else max_gap
        groups = [
            (path, group)
            for path, ranges in wanted.items()
            for group in merged(ranges, gap, self._options.range_size)
        ]
        calls = [
            partial(read_merged, self._client, self._object(path), infos[path], group, results)
            for path, group in groups
        ]
        failed = self._gather(calls, raising=raising)
        for (_, group), error in zip(groups, failed, strict=True):
            for item in group if error is not None else ():
                results[item.place] = error
        return results

    def _head(self, path: str) -> ObjectInfo:
        return self._client.head_object(self._object(path))

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

    # --- between here and there ---

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Download files, globs or trees; side by side. `callback` counts files, its branches bytes."""
        pairs = _Pairs()
        super().get(rpath, lpath, recursive=recursive, callback=pairs, maxdepth=maxdepth, **kwargs)
        self._transfer([(remote, local) for local, remote in pairs.pairs], self.get_file, callback, kwargs)

    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Upload files, globs or trees; side by side. `callback` counts files, its branches bytes."""
        pairs = _Pairs()
        super().put(lpath, rpath, recursive=recursive, callback=pairs, maxdepth=maxdepth, **kwargs)
        self._transfer(pairs.pairs, self.put_file, callback, kwargs)

    def _transfer(
        self,
        pairs: Sequence[tuple[str, str]],
        verb: Callable[..., None],
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

        run_all((partial(one, *pair) for pair in pairs), self._options.max_concurrency)

    def pipe(self, path: Any, value: Any = None, **kwargs: Any) -> None:
        """Write bytes to one path, or each value of a dict to its path; side by side."""
        if not isinstance(path, dict):
            super().pipe(path, value, **kwargs)
            return
        calls = [partial(self.pipe_file, name, data, **kwargs) for name, data in path.items()]
        self._gather(calls, raising=True)

    # --- from one key to another ---

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy files, globs or trees inside S3; side by side.

        `on_error` is "raise", or "ignore" for sources that vanished meanwhile (the default of trees).
        """
        on_error = on_error or ("ignore" if recursive else "raise")
        _one_of("on_error", on_error, ("raise", "ignore"))
        self._copy(self._copy_pairs(path1, path2, recursive, maxdepth), on_error, kwargs)

    def _copy(self, pairs: Sequence[tuple[str, str]], on_error: str, kwargs: Mapping[str, Any]) -> None:
        def one(source: str, target: str) -> None:
            try:
                self.cp_file(source, target, **kwargs)
            except FileNotFoundError:
                if on_error == "raise":
                    raise

        run_all((partial(one, *pair) for pair in pairs), self._options.max_concurrency)

    def _copy_pairs(
        self, path1: Any, path2: Any, recursive: bool, maxdepth: int | None
    ) -> list[tuple[str, str]]:
        """Which key goes where, by fsspec's rules for copies (its documentation, "Copying files ...")."""
        if isinstance(path1, list) and isinstance(path2, list):
            return list(zip(path1, path2, strict=True))
        single = isinstance(path1, str)
        sources = self.expand_path(path1, recursive=recursive, maxdepth=maxdepth)
        if single and (not recursive or maxdepth is not None):
            sources = [p for p in sources if not (trailing_sep(p) or self._is_only_directory(p))]
            if not sources:
                return []
        inside = isinstance(path2, str) and (trailing_sep(path2) or self.isdir(path2))
        exists = single and (
            (has_magic(path1) and len(sources) == 1)
            or (not has_magic(path1) and inside and not trailing_sep(path1))
        )
        targets = other_paths(sources, path2, exists=exists, flatten=not single)
        return list(zip(sources, targets, strict=True))

    def mv(
        self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
    ) -> None:
        """Copy, then delete what was copied and nothing else. A failed copy deletes nothing."""
        if path1 == path2:
            return
        pairs = self._copy_pairs(path1, path2, recursive, maxdepth)
        # Directories come without their keys in the way.
        files = [(source, target) for source, target in pairs if not self._is_only_directory(source)]
        self._copy(files, "raise", kwargs)
        self._delete_names([source for source, _ in files])

    move = AbstractFileSystem.move

    def _is_only_directory(self, path: str) -> bool:
        return self.isdir(path) and not self.isfile(path)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
