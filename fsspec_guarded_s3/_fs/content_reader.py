"""Reading objects as a whole or in slices: `cat_file`, `cat`, `cat_ranges`.

Many objects are read in parallel, in the order asked for, and every failure is told.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from .._read.download import ask_object, read_object, read_range
from .._read.ranges import Wanted, ask_merged, merged
from .._s3.client import S3Client
from .._s3.pinned import check_etag
from .._values.attributes import Attributes, check_names
from .._values.keywords import Verb, check_choice, check_integer, check_slice
from .._values.models import ObjectInfo
from .._values.parameters import Path
from ..errors import HOPELESS
from .gathering import gather, gather_asked
from .object_headers import ObjectHeaders
from .path_rules import PathRules
from .selection import Selector, Source

_MAX_GAP = 128 * 1024  # bytes that are cheaper to read than to ask around


class ContentReader:
    """Reads the bytes of objects. `own` is the `cat_file` of a subclass, which is called for each object."""

    def __init__(
        self, client: S3Client, paths: PathRules, selector: Selector, headers: ObjectHeaders
    ) -> None:
        self._client = client
        self._paths = paths
        self._selector = selector
        self._headers = headers

    def cat_file(
        self,
        path: Path,
        start: int | None = None,
        end: int | None = None,
        version_id: str | None = None,
        **kwargs: Any,
    ) -> bytes:
        """The bytes of one version of an object, or of its slice [start, end). GetObject."""
        location = self._paths.object(path, version_id)
        client = self._client
        if kwargs:
            client = self._headers.client_for(Attributes.parse_reading(kwargs, self.cat_file))
        if start in (None, 0) and end is None:
            return read_object(client, location)
        info = client.reads.head_object(location)
        first, stop, _ = check_slice(start, end).indices(info.size)
        return read_range(client, location, info, first, stop)

    def cat(
        self,
        own: Verb | None,
        /,
        path: Any,
        recursive: bool = False,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> Any:
        """One object's bytes, or {path: bytes} for a list, a glob or a tree; in parallel."""
        cat_file = own or self.cat_file
        check_names(kwargs, self.cat, cat_file)
        check_choice("on_error", on_error, ("raise", "return", "omit"))
        sources = self._selector.select(path, recursive)
        if sources == [Source(self._paths.name(path) if isinstance(path, str) else path, "")]:
            return cat_file(path, **kwargs)
        paths = [source.name for source in sources if source.kind != "directory"]
        if not paths:
            raise FileNotFoundError(errno.ENOENT, "only directories, and no file", str(path))
        raising = on_error == "raise"
        if kwargs or own:
            calls = [partial(cat_file, p, **kwargs) for p in paths]
            found = gather(self._client, calls, raising=raising)
        else:
            found = gather_asked(self._client, [partial(self._ask_whole, p) for p in paths], raising=raising)
        rows = dict(zip(paths, found, strict=True))
        for failed in found:
            is_omitted = on_error == "omit" and isinstance(failed, FileNotFoundError)
            if isinstance(failed, HOPELESS if on_error == "return" else Exception) and not is_omitted:
                raise failed
        if on_error == "omit":
            return {p: data for p, data in rows.items() if not isinstance(data, Exception)}
        return rows

    def _ask_whole(self, path: Path) -> Callable[[], bytes]:
        return ask_object(self._client, self._paths.object(path))

    def cat_ranges(
        self,
        own: Verb | None,
        /,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Slices of many objects, in the order asked for; HeadObject pins each object, GetObject reads."""
        client = self._headers.client_for(Attributes.parse_reading(kwargs, self.cat_ranges))
        check_choice("on_error", on_error, ("raise", "return"))
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        gap = _MAX_GAP if max_gap is None else check_integer("max_gap", max_gap, 0)
        starts = list(starts) if isinstance(starts, Iterable) else [starts] * len(paths)
        ends = list(ends) if isinstance(ends, Iterable) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("paths, starts and ends must have the same length")
        slices = list(zip(paths, starts, ends, strict=True))
        raising = on_error == "raise"
        if own:
            calls = [partial(own, *one, **kwargs) for one in slices]
            return gather(self._client, calls, raising=raising)
        return self._merged_slices(client, slices, gap, raising)

    def _merged_slices(
        self, client: S3Client, slices: Sequence[tuple[str, Any, Any]], gap: int, raising: bool
    ) -> list[Any]:
        """The bytes of each slice (path, start, end); near ones of an object are read by one request."""
        names = list(dict.fromkeys(path for path, _, _ in slices))
        heads = gather_asked(
            self._client, [partial(self._ask_head, client, name) for name in names], raising=raising
        )
        infos = dict(zip(names, heads, strict=True))
        results: list[Any] = [b""] * len(slices)
        wanted: dict[str, list[Wanted]] = {}
        for index, (path, start, end) in enumerate(slices):
            info = infos[path]
            if isinstance(info, Exception):
                results[index] = info
                continue
            first, stop, _ = check_slice(start, end, ("starts", "ends")).indices(info.size)
            if first < stop:
                wanted.setdefault(path, []).append(Wanted(first, stop, index))
        groups, calls = [], []
        for path, ranges in wanted.items():
            location, info = self._paths.object(path), infos[path]
            for group in merged(ranges, gap, client.options.range_size):
                groups.append(group)
                calls.append(partial(ask_merged, client, location, info, group, results))
        failed = gather_asked(self._client, calls, raising=raising)
        for group, error in zip(groups, failed, strict=True):
            for item in group if error is not None else ():
                results[item.place] = error
        return results

    def _ask_head(self, client: S3Client, path: Path) -> Callable[[], ObjectInfo]:
        location = self._paths.object(path)
        early = client.reads.send_head_object(location)

        def pin() -> ObjectInfo:
            info = client.reads.head_object(location, early)
            check_etag(info.etag)
            return info

        return pin
