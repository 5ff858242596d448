"""The range planner: slices of objects, and which of them are read by one request.

All slices of one object are of one version. Its pin is that of a listing where that is known, else the answer
to the first request for some of its bytes, else, where a slice needs the size before, HeadObject. So one
slice is one GET, and n of one object that are far apart are n, of which n - 1 wait for the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from .._s3.client import S3Client
from .._s3.early import Early
from .._s3.pinned import check_etag
from .._s3.slices import Span
from .._values.models import ObjectInfo, within
from .._values.paths import S3Path
from ..errors import ObjectChangedError, RangeNotSatisfiableError
from .download import ask_range, ask_slice, read_into_memory, span_of


class Wanted(NamedTuple):
    """The bytes [start, stop), and their place in the results."""

    start: int
    stop: int
    place: int


class Sliced(NamedTuple):
    """A slice [start, end) as of a Python sequence, and its place in the results."""

    start: int | None
    end: int | None
    place: int


def merged(ranges: Iterable[Wanted], gap: int, limit: int) -> Iterator[list[Wanted]]:
    """Groups of ranges at most `gap` bytes apart, that together span at most `limit` bytes."""
    group: list[Wanted] = []
    stop = 0
    for item in sorted(ranges):
        if group and item.start - stop <= gap and max(stop, item.stop) - group[0].start <= limit:
            group.append(item)
            stop = max(stop, item.stop)
            continue
        if group:
            yield group
        group, stop = [item], item.stop
    if group:
        yield group


class Destination(Protocol):
    """Where slices go, each to its place."""

    results: list[Any]  # for each place what is told of its slice: its bytes, their number, or an error

    def most(self, place: int, longest: int) -> int:
        """How many bytes to ask for where the length of a slice is not known, `longest` at most."""

    def admits(self, place: int, count: int) -> bool:
        """Whether the `count` bytes that a slice has are to be read. If not, its result is set."""

    def ask_first(
        self, client: S3Client, path: S3Path, span: Span, end: int | None, group: Sequence[Sliced]
    ) -> Callable[[], ObjectInfo]:
        """Send the request for `span`, which brings `group`; the result reads the answer."""

    def ask_group(
        self, client: S3Client, path: S3Path, pin: ObjectInfo, group: Sequence[Wanted]
    ) -> Callable[[], None]:
        """Send the request for a group, one pinned range; the result reads the answer."""


class InBytes:
    """Where slices go whose bytes are the results."""

    def __init__(self, count: int) -> None:
        self.results: list[Any] = [b""] * count

    def most(self, place: int, longest: int) -> int:
        """There is room for any."""
        return longest

    def admits(self, place: int, count: int) -> bool:
        """All that are there."""
        self.results[place] = b""
        return count > 0

    def ask_first(
        self, client: S3Client, path: S3Path, span: Span, end: int | None, group: Sequence[Sliced]
    ) -> Callable[[], ObjectInfo]:
        """Send the request for `span`, which brings `group`; the result reads the answer."""
        read = ask_slice(client, path, span, end)

        def take() -> ObjectInfo:
            piece = read()
            for one in group:
                self.results[one.place] = piece.of(one.start, one.end)
            return piece.info

        return take

    def ask_group(
        self, client: S3Client, path: S3Path, pin: ObjectInfo, group: Sequence[Wanted]
    ) -> Callable[[], None]:
        """Send the request for a group, one pinned range; the result reads the answer."""
        start, stop = group[0].start, max(item.stop for item in group)
        fill = ask_range(client, path, pin, start, stop)

        def take() -> None:
            data = read_into_memory(start, stop, fill)
            # A slice of all of it is `data` itself, any other a copy that does not hold it.
            for item in group:
                self.results[item.place] = data[item.start - start : item.stop - start]

        return take


class ObjectSlices:
    """The slices of one object that are wanted. What is read goes to its place in `into`."""

    def __init__(
        self,
        client: S3Client,
        path: S3Path,
        gap: int,
        into: Destination,
        pin: ObjectInfo | None = None,
        *,
        is_listed: bool = True,
    ) -> None:
        """`pin` is what is known of the object; if a listing told that, another version will do as well."""
        self._client = client
        self._path = path
        self._gap = gap
        self._into = into
        self._wanted: list[Sliced] = []
        self._done: set[int] = set()
        self._pin = pin
        self._is_listed = pin is not None and is_listed
        self.is_changed = False

    def __repr__(self) -> str:
        return f"<ObjectSlices {self._path} {len(self._wanted)}>"

    @property
    def path(self) -> S3Path:
        """The object."""
        return self._path

    @property
    def is_pinned(self) -> bool:
        """Whether it is known which version is to be read."""
        return self._pin is not None

    @property
    def version(self) -> ObjectInfo | None:
        """Which version is read, None before that is known."""
        return self._pin

    def want(self, one: Sliced) -> None:
        """Add a slice."""
        self._wanted.append(one)

    def forget_unseen(self) -> None:
        """Forget what a listing told where no slice has bytes of it: no request would show it again."""
        pin = self._pin
        if pin is None or not self._is_listed:
            return
        if not any(
            first < stop for first, stop in (within(one.start, one.end, pin.size) for one in self._wanted)
        ):
            self.begin_anew()

    def begin_anew(self) -> None:
        """Nothing is read, and no version known."""
        self._done.clear()
        self._pin = None
        self._is_listed = self.is_changed = False

    def fail(self, error: Exception) -> None:
        """The object cannot be read."""
        for one in self._wanted:
            self._into.results[one.place] = error

    # --- the first request, which tells the version ---

    def ask_first(self) -> Callable[[], None]:
        """Send a request that tells the version, and brings some of the slices where that is possible."""
        group, span, end = self._first()
        if span is None:
            early = self._client.reads.send_head_object(self._path)
            return partial(self._look, early)
        read = self._into.ask_first(self._client, self._path, span, end, group)
        return partial(self._take_first, read, group)

    def _first(self) -> tuple[list[Sliced], Span | None, int | None]:
        """Slices that one request brings although the size is not known, that request, and their end."""
        longest = self._client.options.range_size
        closed = [
            Wanted(one.start or 0, one.end, at)
            for at, one in enumerate(self._wanted)
            if one.end is not None and 0 <= (one.start or 0) < one.end
        ]
        for group in merged(closed, self._gap, longest):
            end = max(item.stop for item in group)
            span = span_of(group[0].start, end, longest)
            return [self._wanted[item.place] for item in group], span, end
        for one in self._wanted:
            span = span_of(one.start, one.end, self._into.most(one.place, longest))
            if span is not None:
                return [one], span, one.end
        return [], None, None

    def _take_first(self, read: Callable[[], ObjectInfo], group: list[Sliced]) -> None:
        try:
            self._pin = read()
        except RangeNotSatisfiableError:  # the object has none of these bytes
            self._look()
            return
        self._done.update(one.place for one in group)

    def _look(self, early: Early | None = None) -> None:
        info = self._client.reads.head_object(self._path, early)
        check_etag(info.etag)
        self._pin = info

    # --- the others, of the same version ---

    def ask_rest(self) -> list[tuple[list[int], Callable[[], Callable[[], None]]]]:
        """Questions for the slices that are left, each with their places in the results."""
        pin = self._pin
        if pin is None:
            return []
        ranges = []
        for one in self._wanted:
            if one.place not in self._done:
                first, stop = within(one.start, one.end, pin.size)
                if self._into.admits(one.place, max(0, stop - first)):
                    ranges.append(Wanted(first, stop, one.place))
        groups = merged(ranges, self._gap, self._client.options.range_size)
        return [([item.place for item in group], partial(self._ask_group, pin, group)) for group in groups]

    def _ask_group(self, pin: ObjectInfo, group: list[Wanted]) -> Callable[[], None]:
        read = self._into.ask_group(self._client, self._path, pin, group)

        def take() -> None:
            try:
                read()
            except ObjectChangedError:
                if not self._is_listed:
                    raise
                self.is_changed = True  # since it was listed: it is read anew

        return take
