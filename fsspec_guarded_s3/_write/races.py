"""A small race: do conditions hold between writers that come at the same time?

A trial (`trials`) asks one request after the other, and so cannot see a store that compares first and writes
then. Here several writers put different bytes under one condition at once. No more than one may be told that
it succeeded. For the doctor: no verb waits for this, and a race that was won proves nothing for ever.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from .._s3.client import S3Client
from .._values.conditions import Condition
from .._values.paths import S3Path
from ..errors import GuardedS3Error
from .temporary_objects import TemporaryObjects

ROUNDS, WRITERS = 20, 8
_ENOUGH = 3  # rounds that were lost
_SIZE = 16 * 1024  # bytes, which take the store a moment
_SECONDS = 10.0  # after which no other round begins
_PATIENCE = 10.0  # seconds that a writer waits for the others


class Race(NamedTuple):
    """What came of it: in `lost` of so many rounds several writers were told that they had succeeded.

    A round in which an answer was lost or refused for another reason is not among the `rounds`.
    """

    rounds: int
    lost: int


def race(client: S3Client, path: S3Path, *, create: bool, unquoted: bool = False) -> Race:
    """Let writers race for keys beside `path`: to create one, or to replace the version that is there.

    `unquoted` says that the store knows ETags without quotes only. Raises errors of what it writes before.
    """
    objects = TemporaryObjects(client, path)
    rounds = told = lost = 0
    try:
        with ThreadPoolExecutor(WRITERS) as threads:
            until = time.monotonic() + _SECONDS
            while rounds < ROUNDS and lost < _ENOUGH and time.monotonic() < until:
                rounds += 1
                key = objects.fresh()
                etag = None if create else objects.put(key).etag
                condition = Condition(create=create, if_match=etag, unquoted=unquoted)
                winners = _round(objects, threads, key, condition)
                told += winners is not None
                lost += (winners or 0) > 1
    finally:
        objects.remove()
    return Race(told, lost)


def _round(
    objects: TemporaryObjects, threads: ThreadPoolExecutor, key: S3Path, condition: Condition
) -> int | None:
    """How many writers were told that they had succeeded; None where somebody was told nothing certain."""
    barrier = threading.Barrier(WRITERS)

    def write(number: int) -> bool | None:
        try:
            barrier.wait(_PATIENCE)
        except threading.BrokenBarrierError:
            return None
        try:
            objects.put(key, condition, data=b"%d" % number * _SIZE)
        except GuardedS3Error as error:
            return None if error.maybe_applied else False
        return True

    outcomes = list(threads.map(write, range(WRITERS)))
    return None if None in outcomes else sum(map(bool, outcomes))
