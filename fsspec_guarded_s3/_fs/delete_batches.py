"""Which deletes go together into one request.

DeleteObjects takes 1,000 keys of one bucket. It names them in XML 1.0, which has no control characters and
rewrites line ends: a key with one of those is deleted by a request of its own. So is one with U+FFFD,
by which some stores show what they cannot write in a listing: it may be no key at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .._values.paths import S3Path

BATCH = 1000  # keys, or versions, of one DeleteObjects
REPLACEMENT = "\ufffd"  # Unicode 3.9, U+FFFD Substitution


class Batches(NamedTuple):
    """What is to be deleted: `together` in batches of one bucket each, and `alone`."""

    together: list[list[S3Path]]
    alone: list[S3Path]


def batched(paths: Iterable[S3Path]) -> Batches:
    """Divide objects, or versions of objects, into batches; keys that are near each other stay together."""
    buckets: dict[str, list[S3Path]] = {}
    alone: list[S3Path] = []
    for path in paths:
        if path.key.isprintable() and REPLACEMENT not in path.key:
            buckets.setdefault(path.bucket, []).append(path)
        else:
            alone.append(path)
    return Batches([batch for found in buckets.values() for batch in _cut(found)], alone)


def _cut(paths: list[S3Path]) -> Iterator[list[S3Path]]:
    paths = sorted(paths, key=lambda path: path.key)
    for start in range(0, len(paths), BATCH):
        yield paths[start : start + BATCH]
