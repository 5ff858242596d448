"""A table: objects below one path that change together. Each commit is one entry of a log.

Theory of operation. Below the path of a table are `data/`, where each object is written once under a name
that nobody else has, and `_log/`, a `CommitLog`. An entry says which objects its version has: name, place,
ETag and size (`commit_manifest`). So what is published is published by one conditional create, and a reader
who has read an entry has all of that version, and nothing of another one. An object that no entry names is
seen by nobody.

A writer begins with a version, writes its objects, and asks for the next number (`commit_transaction`). If
another writer has it, the changes are made to the newest version instead, unless both changed an object of
the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from .._values.keywords import check_function, check_integer, check_type, flag
from .._values.tracebacks import short_tracebacks
from ..errors import ObjectExistsError, ObjectNotFoundError
from ..filesystem import GuardedS3FileSystem
from .commit_log import CommitLog
from .commit_manifest import manifest_of, whole
from .commit_records import name_of, new_token
from .commit_snapshot import Snapshot
from .commit_transaction import TableTransaction
from .commit_vacuum import vacuumed

LEAST_GRACE = 86_400.0  # seconds
_MOST = 36_500 * 86_400.0  # seconds, which a date has room for


class Table:
    """Objects below `path` that change together. Readers see all of a commit, or nothing of it.

    `fs` is a GuardedS3FileSystem. `Table.create` makes a table; this opens one, and sends nothing yet. It can
    be pickled, shared by threads, and used after a fork. Nobody else may write or delete below `path`.
    """

    def __init__(self, fs: GuardedS3FileSystem, path: str) -> None:
        self.path = name_of(fs, path)
        self.fs = fs
        self.log = CommitLog(fs, f"{self.path}/_log")

    def __repr__(self) -> str:
        return f"<Table {self.path}>"

    @classmethod
    @short_tracebacks
    def create(
        cls,
        fs: GuardedS3FileSystem,
        path: str,
        *,
        grace: float | timedelta = timedelta(days=7),
        exist_ok: bool = False,
    ) -> Table:
        """Make an empty table, as its version 1. FileExistsError if there is one, unless `exist_ok`.

        `grace`, in seconds or as a timedelta, is how long objects stay that no version needs any more, or no
        version needs yet: at least a day. A transaction has half of that time, and a reader all of it. It
        cannot be changed later. PutObject.
        """
        seconds = _seconds("grace", grace, LEAST_GRACE)
        table = cls(fs, path)
        if not table.log.claim(1, new_token(), whole({}, seconds)) and not exist_ok:
            bucket, key, _ = fs.split_path(table.path)
            raise ObjectExistsError(
                "there is a table already: Table(fs, path) opens it", bucket=bucket, key=key
            )
        return table

    # --- reading ---

    @short_tracebacks
    def snapshot(self, version: int | None = None) -> Snapshot:
        """The objects of the newest version, or of `version`. FileNotFoundError without a table, or version.

        The objects of an old version may be gone, which reading them tells. ListObjectsV2, GetObject.
        """
        if version is None:
            version = self.log.latest()
            if not version:
                bucket, key, _ = self.fs.split_path(self.path)
                raise ObjectNotFoundError("there is no table: Table.create makes one", bucket=bucket, key=key)
        entry = self.log.read(check_integer("version", version, 1))
        return Snapshot(self.fs, self.path, entry.version, manifest_of(self.log, entry))

    def _newest(self, at_least: int) -> Snapshot:
        return self.snapshot(max(at_least, self.log.latest()))

    # --- writing ---

    @short_tracebacks
    def transaction(
        self, expected: Snapshot | None = None, check: Callable[[Snapshot], object] | None = None
    ) -> TableTransaction:
        """Begin changes that are published together: `with table.transaction() as t: ...`.

        Without `expected` they begin with the newest snapshot. If others publish meanwhile, the changes come
        after theirs, unless both changed an object of the same name: then it is a CommitConflictError.
        `expected` is the snapshot that your changes are made for. Then whatever others have published since
        is a conflict; or, with `check`, that is called with the newest snapshot: what it raises ends the
        transaction, and nothing is published. FileNotFoundError if there is no table. ListObjectsV2 and
        GetObject; GetObject for a snapshot that was read with another filesystem, and none for another one.
        """
        if check is not None and expected is None:
            raise ValueError("check needs expected: the snapshot that the changes are made for")
        check_function("check", check)
        if expected is not None:
            check_type("expected", expected, Snapshot)
            if expected.path != self.path:
                raise ValueError(f"expected is a snapshot of {expected.path}, and not of {self.path}")
            if expected.fs != self.fs:
                expected = self._here(expected)
        base = self.snapshot() if expected is None else expected
        return TableTransaction(self.log, base, self._newest, is_alone=expected is not None, check=check)

    def _here(self, snapshot: Snapshot) -> Snapshot:
        """The same version of this table: the other filesystem may have a store with another table there."""
        found = self.snapshot(snapshot.version)
        if found.rows != snapshot.rows:
            raise ValueError(
                f"expected is not version {found.version} of this table, but one of another store"
            )
        return found

    # --- cleaning up ---

    @short_tracebacks
    def vacuum(self, older_than: float | timedelta | None = None, *, dry_run: bool = False) -> list[str]:
        """Remove objects that no version needs, and return their paths; with `dry_run`, only return them.

        An object is removed if it is older than `older_than`, in seconds or as a timedelta, and if every
        version that has it was followed by another one longer ago than that. None stands for the table's
        grace, which is also the least. So readers can read a version for that time after it was replaced,
        and transactions that run are not disturbed. The log stays. The time is that of the store.

        Raises DeleteObjectsError for objects that could not be removed. PutObject and DeleteObject of an
        object that shows the time, ListObjectsV2, GetObject, DeleteObjects.
        """
        grace = self.snapshot().manifest.grace
        seconds = grace if older_than is None else _seconds("older_than", older_than, grace)
        return vacuumed(self.log, self.path, seconds, is_trial=flag("dry_run", dry_run))


def _seconds(name: str, value: float | timedelta, least: float) -> float:
    """The argument `name` in seconds. TypeError, and ValueError for less than `least`."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or a timedelta, not {type(value).__name__}")
    if not least <= seconds <= _MOST:
        raise ValueError(f"{name} must be {least:.0f} to {_MOST:.0f} seconds, not {seconds}")
    return float(seconds)
