"""What the entry of a commit says: which objects a version of a table has.

An entry of a large table does not list all of them. It says what is different from an earlier entry that
does, its base. So a version is read by one or two requests. What is different grows with each commit, until
its square is twice the number of objects: then all are listed again. That is where the sum of what the
commits write is least: of n objects that change one by one, each commit writes about the square root of 2 n
rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .commit_log import CommitLog, LogEntry

Row = tuple[str, str, int]  # place below the table, ETag, size in bytes
_WHOLE = 512  # objects that an entry always lists


@dataclass(frozen=True)
class Manifest:
    """The rows of a version by name; those of its base, and its number; and the grace of the table."""

    rows: Mapping[str, Row]
    base: int
    base_rows: Mapping[str, Row]
    grace: float  # seconds


@dataclass(frozen=True)
class Following:
    """What comes after a version: the `data` of its entry, and its rows."""

    data: Mapping[str, Any]
    now: Manifest
    rows: Mapping[str, Row]

    def manifest(self, version: int) -> Manifest:
        """What the entry says once it has the number `version`."""
        if self.data["base"] is None:
            return Manifest(self.rows, version, self.rows, self.now.grace)
        return Manifest(self.rows, self.now.base, self.now.base_rows, self.now.grace)


def whole(rows: Mapping[str, Row], grace: float) -> dict[str, Any]:
    """The data of an entry that lists all rows."""
    return {"base": None, "objects": rows, "removed": [], "grace": grace}


def following(now: Manifest, rows: Mapping[str, Row]) -> Following:
    """What comes after `now`, in a version that has `rows`."""
    changed = {name: row for name, row in rows.items() if now.base_rows.get(name) != row}
    removed = [name for name in now.base_rows if name not in rows]
    if len(rows) <= _WHOLE or (len(changed) + len(removed)) ** 2 > 2 * len(rows):
        return Following(whole(rows, now.grace), now, rows)
    data = {"base": now.base, "objects": changed, "removed": removed, "grace": now.grace}
    return Following(data, now, rows)


def manifest_of(
    log: CommitLog, entry: LogEntry, known: dict[int, Mapping[str, Row]] | None = None
) -> Manifest:
    """What `entry` says. ValueError if it is not of a table. GetObject if it has a base.

    `known` has the rows of bases that were read, and gets those that are.
    """
    base, rows, removed, grace = _parsed(log, entry)
    if base is None:
        return Manifest(rows, entry.version, rows, grace)
    known = {} if known is None else known
    if base not in known:
        known[base] = _parsed(log, log.read(base))[1]
    kept = {name: row for name, row in known[base].items() if name not in removed}
    return Manifest({**kept, **rows}, base, known[base], grace)


def _parsed(log: CommitLog, entry: LogEntry) -> tuple[int | None, dict[str, Row], set[str], float]:
    try:
        data = entry.data
        base = None if data["base"] is None else int(data["base"])
        rows = {
            name: (str(place), str(etag), int(size)) for name, (place, etag, size) in data["objects"].items()
        }
        return base, rows, set(data["removed"]), float(data["grace"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError(f"{log.name(entry.version)} is not an entry of a table") from None
