"""Removing the objects of a table that no reader and no writer can need any more.

Theory of operation. An object is removed if its age is more than `older_than` seconds (at least the table's
grace), and no version has it that was the newest one within that time. Why nobody misses it:

- *Readers.* A reader of a version has `older_than` seconds from the moment when the next one was published.
- *Writers at work.* What they have written is in no version yet. A transaction publishes nothing once half of
  the grace has passed since it began. So an object that is older than the grace was published before now, if
  it ever will be; and the log is read after the time was taken. That holds as long as no request is on its
  way to the store for longer than the other half, which is half a day at least.

The time is that of the store, by which it also says how old objects are: an object is written, and its
LastModified read. The clock of this machine may be wrong by days.

Objects whose names are not of the kind that transactions give stay: a table may have been made where
somebody had a folder `data` before.

What is deleted is what was listed: a delete is bound to the ETag by the strongest means that the store has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from .._values.paths import S3Path
from ..filesystem import GuardedS3FileSystem
from .commit_log import CommitLog
from .commit_manifest import Row, manifest_of
from .commit_records import ATTRIBUTES, new_token, record

_WRITTEN = re.compile(r"data/[0-9a-f]{32}/(\d+/|clock$)")  # the names of transactions, and of `_now`


def vacuumed(log: CommitLog, path: str, older_than: float, *, is_trial: bool) -> list[str]:
    """Remove what nobody needs, and return the names in the store; of a trial, what would be removed."""
    fs = log.fs
    before = _now(fs, path) - timedelta(seconds=older_than)
    needed = _needed(log, before)
    etags = {}
    for row in fs.iter_find(f"{path}/data", detail=True):
        place = row["name"].removeprefix(f"{path}/")
        if _WRITTEN.match(place) and place not in needed and _is_older(row.get("LastModified"), before):
            etags[S3Path(*fs.split_path(row["name"]))] = row["ETag"]
    if etags and not is_trial:
        fs._remover.delete_exactly(etags)
    return sorted(map(str, etags))


def _now(fs: GuardedS3FileSystem, path: str) -> datetime:
    """The time of the store."""
    name = f"{path}/data/{new_token()}/clock"
    fs.put_if_absent(name, record("clock"), **ATTRIBUTES)
    try:
        return fs.modified(name, refresh=True)
    finally:
        fs.rm_file(name)


def _needed(log: CommitLog, before: datetime) -> set[str]:
    """The places of the objects of the newest version, and of those that others replaced after `before`."""
    times = log.times()
    first = max(times, default=1)
    while first > 1 and not _is_older(times.get(first), before):
        first -= 1
    known: dict[int, Mapping[str, Row]] = {}  # what many entries are based on is read once
    return {
        place for entry in log.entries(first) for place, _, _ in manifest_of(log, entry, known).rows.values()
    }


def _is_older(modified: datetime | None, before: datetime) -> bool:
    """Whether an object is old. One of unknown age is not."""
    return modified is not None and modified < before
