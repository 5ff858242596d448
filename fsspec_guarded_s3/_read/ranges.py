"""The range planner: which ranges of one object are read by one request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .._s3.client import S3Client
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from .download import ask_range


class Wanted(NamedTuple):
    """The bytes [start, stop), and their place in the results."""

    start: int
    stop: int
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


def ask_merged(
    client: S3Client, path: S3Path, info: ObjectInfo, group: list[Wanted], results: list[Any]
) -> Callable[[], None]:
    """Send the request for a group, one pinned range; the result reads the answer into `results`."""
    start, stop = group[0].start, max(item.stop for item in group)
    read = ask_range(client, path, info, start, stop)

    def take() -> None:
        data = read()
        # A slice of all of it is `data` itself, any other a copy that does not hold it.
        for item in group:
            results[item.place] = data[item.start - start : item.stop - start]

    return take
