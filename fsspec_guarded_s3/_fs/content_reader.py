"""Reading objects as a whole or in slices: `cat_file`, `cat`, `cat_ranges`.

Many objects are read in parallel, in the order asked for, and every failure is told.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from .._read.download import ask_object, read_object, read_slice, span_of
from .._read.ranges import ObjectSlices, Sliced
from .._s3.client import S3Client
from .._s3.early import Asked
from .._values.attributes import Attributes, check_names
from .._values.keywords import Verb, check_choice, check_integer, check_slice
from .._values.models import ObjectInfo
from .._values.parameters import Path
from ..errors import HOPELESS
from .gathering import gather, gather_asked
from .object_headers import ObjectHeaders
from .path_rules import PathRules
from .recent_rows import RecentRows
from .selection import Selector, Source

_SMALL = 2**20  # bytes of a slice that waits for no others
_MAX_GAP = 128 * 1024  # bytes that are cheaper to read than to ask around


class ContentReader:
    """Reads the bytes of objects. `own` is the `cat_file` of a subclass, which is called for each object."""

    def __init__(
        self,
        client: S3Client,
        paths: PathRules,
        selector: Selector,
        recent: RecentRows,
        headers: ObjectHeaders,
    ) -> None:
        self._client = client
        self._paths = paths
        self._selector = selector
        self._recent = recent
        self._headers = headers

    def cat_file(
        self,
        path: Path,
        start: int | None = None,
        end: int | None = None,
        version_id: str | None = None,
        *,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Any,
    ) -> bytes:
        """The bytes of one version of an object, or of its slice [start, end). GetObject."""
        location = self._paths.object(path, version_id)
        client = self._client
        if kwargs:
            client = self._headers.client_for(Attributes.parse_reading(kwargs, self.cat_file))
        client = client.in_pieces(chunksize, max_concurrency)
        if start in (None, 0) and end is None:
            return read_object(client, location)
        check_slice(start, end)
        return read_slice(client, location, start, end)

    def ask_file(
        self,
        path: Path,
        start: int | None = None,
        end: int | None = None,
        version_id: str | None = None,
        **others: Any,
    ) -> Asked[bytes] | None:
        """As `cat_file`: its request is sent now, by a connection that is idle.

        None where there is none, where somebody listens, and where it does not begin with a GET of few bytes.
        """
        if others:
            return None
        location, client = self._paths.object(path, version_id), self._client
        if not client.store.is_at_hand(location.bucket):
            return None
        if start in (None, 0) and end is None:
            early = client.reads.send_get_object(location)
            return Asked(early, partial(read_object, client, location, early))
        check_slice(start, end)
        span = span_of(start, end, client.options.range_size)
        if span is None or span.longest > _SMALL:
            return None
        early = client.slices.send(location, span)
        return Asked(early, partial(read_slice, client, location, start, end, early))

    def cat(
        self,
        own: Verb | None,
        /,
        path: Any,
        recursive: bool = False,
        on_error: str = "raise",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """One object's bytes, or {path: bytes} for a list, a glob or a tree; in parallel."""
        client = self._client.in_batches(batch_size)
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
            found = gather(client, calls, raising=raising)
        else:
            found = gather_asked(client, [partial(self._ask_whole, p) for p in paths], raising=raising)
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
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Slices of many objects, in the order asked for; those of one are of one version. GetObject."""
        client = self._headers.client_for(Attributes.parse_reading(kwargs, self.cat_ranges))
        client = client.in_batches(batch_size)
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
            return gather(client, calls, raising=raising)
        return self._merged_slices(client, slices, gap, raising)

    def slices_of_version(
        self,
        path: Path,
        slices: Sequence[tuple[int | None, int | None]],
        version: ObjectInfo | None = None,
        max_gap: int | None = None,
    ) -> tuple[ObjectInfo, list[bytes]]:
        """Slices [start, end) of one object, all of `version`, or of what is there now; and which that is.

        Raises ObjectChangedError when it is another one by now, FileNotFoundError.
        """
        results: list[bytes] = [b""] * len(slices)
        gap = _MAX_GAP if max_gap is None else max_gap
        location = self._paths.object(path)
        found = ObjectSlices(self._client, location, gap, results, version, is_listed=False)
        for place, (start, end) in enumerate(slices):
            check_slice(start, end)
            found.want(Sliced(start, end, place))
        self._read(self._client, [found], results, True)
        assert found.version is not None, "what was read is of some version"
        return found.version, results

    def _merged_slices(
        self, client: S3Client, slices: Sequence[tuple[str, Any, Any]], gap: int, raising: bool
    ) -> list[Any]:
        """The bytes of each slice (path, start, end); near ones of an object are read by one request."""
        results: list[Any] = [b""] * len(slices)
        objects: dict[str, ObjectSlices] = {}
        for place, (path, start, end) in enumerate(slices):
            check_slice(start, end, ("starts", "ends"))
            found = objects.get(path)
            if found is None:
                try:
                    found = objects[path] = self._object_slices(client, path, gap, results)
                except (OSError, ValueError) as error:
                    if raising:
                        raise
                    results[place] = error
                    continue
            found.want(Sliced(start, end, place))
        for one in objects.values():
            one.forget_unseen()
        self._read(client, list(objects.values()), results, raising)
        changed = [one for one in objects.values() if one.is_changed]
        for one in changed:
            self._recent.forget(one.path.bucket, one.path.key)
            one.begin_anew()
        self._read(client, changed, results, raising)
        return results

    def _object_slices(self, client: S3Client, path: str, gap: int, results: list[Any]) -> ObjectSlices:
        location = self._paths.object(path)
        return ObjectSlices(client, location, gap, results, self._recent.pin(location))

    def _read(
        self, client: S3Client, objects: Sequence[ObjectSlices], results: list[Any], raising: bool
    ) -> None:
        """First what tells the version of each object, then the rest of it."""
        unknown = [one for one in objects if not one.is_pinned]
        errors = gather_asked(client, [one.ask_first for one in unknown], raising=raising)
        for one, error in zip(unknown, errors, strict=True):
            if error is not None:
                one.fail(error)
        rest = [group for one in objects for group in one.ask_rest()]
        errors = gather_asked(client, [ask for _, ask in rest], raising=raising)
        for (places, _), error in zip(rest, errors, strict=True):
            for place in places if error is not None else ():
                results[place] = error
