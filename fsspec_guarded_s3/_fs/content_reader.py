"""Reading objects as a whole or in slices: `cat_file`, `cat`, `cat_ranges`, `cat_ranges_into`.

Many objects are read in parallel, in the order asked for, and every failure is told.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from .._read.download import (
    Received,
    ask_object,
    asked_range,
    asked_slice,
    read_into_memory,
    read_object,
    read_slice,
    span_of,
)
from .._read.into_buffers import Gate, IntoBuffers
from .._read.ranges import Destination, InBytes, ObjectSlices, Sliced
from .._s3.client import S3Client
from .._s3.early import Asked
from .._values.attributes import Attributes, check_names
from .._values.buffers import Places, most_of
from .._values.keywords import Verb, check_choice, check_integer, check_slice
from .._values.models import ObjectInfo, within
from .._values.parameters import Path
from .._values.paths import S3Path
from ..errors import HOPELESS, RangeNotSatisfiableError
from .gathering import gather, gather_asked
from .object_headers import ObjectHeaders
from .path_rules import PathRules
from .recent_rows import RecentRows
from .selection import Selector, is_one

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
        """As `cat_file`: its request is sent now.

        None where somebody listens, and where it does not begin with a GET of few bytes.
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
        """One object's bytes, or {path: bytes} for a list, a glob or a tree; in parallel.

        Bytes too where `recursive` finds nothing but the object of this name, as in fsspec.
        """
        client = self._client.in_batches(batch_size)
        cat_file = own or self.cat_file
        check_names(kwargs, self.cat, cat_file)
        check_choice("on_error", on_error, ("raise", "return", "omit"))
        sources = self._selector.select(path, recursive)
        if is_one(path) and [(self._paths.name(path), True)] == [
            (source.name, source.kind != "directory") for source in sources
        ]:
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
        gap, raising = _how(max_gap, on_error)
        slices = _slices(paths, starts, ends)
        if own:
            calls = [partial(own, *one, **kwargs) for one in slices]
            return gather(client, calls, raising=raising)
        return self._merged_slices(client, slices, gap, InBytes(len(slices)), raising)

    def cat_ranges_into(
        self,
        own: Verb | None,
        /,
        paths: list[str],
        starts: Any,
        ends: Any,
        buffers: Any,
        max_gap: int | None = None,
        on_error: str = "raise",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """As `cat_ranges`, into memory of the caller: how many bytes each slice has. GetObject."""
        client = self._headers.client_for(Attributes.parse_reading(kwargs, self.cat_ranges_into))
        client = client.in_batches(batch_size)
        gap, raising = _how(max_gap, on_error)
        slices = _slices(paths, starts, ends)
        places, gate = Places(buffers, [most_of(start, end) for _, start, end in slices]), Gate()
        try:
            into = IntoBuffers(places.views, gate, raising=raising)
            if own:
                calls = [partial(_put, into, index, own, one, kwargs) for index, one in enumerate(slices)]
                failed = gather(client, calls, raising=raising)
                return [error or count for error, count in zip(failed, into.results, strict=True)]
            return self._merged_slices(client, slices, gap, into, raising)
        finally:
            try:
                gate.close()
            finally:  # also where an interrupt came while it was being closed
                places.release()

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
        into = InBytes(len(slices))
        gap = _MAX_GAP if max_gap is None else max_gap
        location = self._paths.object(path)
        found = ObjectSlices(self._client, location, gap, into, version, is_listed=False)
        for place, (start, end) in enumerate(slices):
            check_slice(start, end)
            found.want(Sliced(start, end, place))
        self._read(self._client, [found], into.results, True)
        assert found.version is not None, "what was read is of some version"
        return found.version, into.results

    def ask_slices_of_version(
        self,
        path: Path,
        slices: Sequence[tuple[int | None, int | None]],
        version: ObjectInfo | None = None,
    ) -> Asked[tuple[ObjectInfo, list[bytes]]] | None:
        """As `slices_of_version`, of one slice: its request is sent now. None as of `ask_file`."""
        if len(slices) != 1:
            return None
        ((start, end),) = slices
        location, client = self._paths.object(path), self._client
        check_slice(start, end)
        if not client.store.is_at_hand(location.bucket):
            return None
        if version is None:
            span = span_of(start, end, client.options.range_size)
            if span is None or not 0 < span.longest <= _SMALL:
                return None
            early, read = asked_slice(client, location, span, end)
            return Asked(early, partial(self._taken, read, path, slices))
        first, stop = within(start, end, version.size)
        if not 0 < stop - first <= _SMALL:
            return None
        early, fill = asked_range(client, location, version, first, stop)
        return Asked(early, lambda: (version, [read_into_memory(first, stop, fill)]))

    def _taken(
        self, read: Callable[[], Received], path: Path, slices: Sequence[tuple[int | None, int | None]]
    ) -> tuple[ObjectInfo, list[bytes]]:
        try:
            found = read()
        except RangeNotSatisfiableError:  # the object has none of these bytes
            return self.slices_of_version(path, slices)
        return found.info, [found.of(*slices[0])]

    def _merged_slices(
        self,
        client: S3Client,
        slices: Sequence[tuple[str, Any, Any]],
        gap: int,
        into: Destination,
        raising: bool,
    ) -> list[Any]:
        """What is told of each slice (path, start, end); near ones of an object are read by one request."""
        results = into.results
        named: dict[str, ObjectSlices] = {}
        objects: dict[S3Path, ObjectSlices] = {}  # of which some may be named in several ways
        for place, (path, start, end) in enumerate(slices):
            found = named.get(path)
            if found is None:
                try:
                    location = self._paths.object(path)
                    if location not in objects:
                        pin = self._recent.pin(location)
                        objects[location] = ObjectSlices(client, location, gap, into, pin)
                    found = named[path] = objects[location]
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


def _how(max_gap: int | None, on_error: str) -> tuple[int, bool]:
    """The largest gap between slices of one request, in bytes, and whether the first error is raised."""
    check_choice("on_error", on_error, ("raise", "return"))
    gap = _MAX_GAP if max_gap is None else check_integer("max_gap", max_gap, 0)
    return gap, on_error == "raise"


def _slices(paths: list[str], starts: Any, ends: Any) -> list[tuple[str, Any, Any]]:
    """Each path with its start and its end, of which one may stand for all."""
    if not isinstance(paths, list):
        raise TypeError("paths must be a list")
    starts = list(starts) if isinstance(starts, Iterable) else [starts] * len(paths)
    ends = list(ends) if isinstance(ends, Iterable) else [ends] * len(paths)
    if not len(paths) == len(starts) == len(ends):
        raise ValueError("paths, starts and ends must have the same length")
    found = []
    for path, start, end in zip(paths, starts, ends, strict=True):
        bounds = check_slice(start, end, ("starts", "ends"))  # ints of Python: those of numpy overflow
        found.append((path, bounds.start, bounds.stop))
    return found


def _put(into: IntoBuffers, index: int, own: Verb, one: tuple[str, Any, Any], kwargs: Any) -> None:
    into.put(index, own(*one, **kwargs))
