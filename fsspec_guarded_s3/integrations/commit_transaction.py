"""A transaction of a table: its objects are written where nobody sees them, and published by one entry."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NoReturn

from .._fs.transaction import outside
from .._values.bodies import bytes_of
from .._values.paths import S3Path
from .._values.tracebacks import short_tracebacks
from .._write.endings import UNSEEN, being_handled, is_success
from .._write.guards import honours
from .._write.upload import State
from ..errors import (
    CommitConflictError,
    GuardedS3Error,
    ObjectExistsError,
    ObjectNotFoundError,
    TransactionError,
)
from ..filesystem import GuardedS3FileSystem
from .commit_log import CommitLog
from .commit_manifest import Row, following
from .commit_records import new_token
from .commit_snapshot import Snapshot

logger = logging.getLogger("fsspec_guarded_s3")


@dataclass
class _Change:
    """One object that is written, or a name that is removed (`place` is "")."""

    name: str
    place: str = ""
    file: Any = None  # that writes it
    row: Row | None = None  # where that is known
    is_running: bool = False  # the call that writes it, or opens its file
    is_void: bool = False  # that call has failed


class TableTransaction:
    """Changes of a table that are published together: `with table.transaction() as t: ...`.

    What it writes is seen by nobody before the end of the block, and never after an exception. Threads may
    share it. It belongs to the process that began it.
    """

    def __init__(
        self,
        log: CommitLog,
        base: Snapshot,
        newest: Callable[[int], Snapshot],
        *,
        is_alone: bool,
        check: Callable[[Snapshot], object] | None,
    ) -> None:
        """`newest` returns the newest snapshot, of at least a version. Without `check`, others are a conflict
        if it `is_alone`."""
        self.base = base
        self.published: Snapshot | None = None
        self._log = log
        self._newest = newest
        self._is_alone = is_alone
        self._check = check
        self._token = new_token()
        self._numbers = itertools.count(1)
        # What is changed, and whether it is open. Held while nothing is sent. A signal handler may come in.
        self._lock = threading.RLock()
        self._changes: list[_Change] = []
        self._of_name: dict[str, list[_Change]] = {}  # the same
        self._known = being_handled()
        self._pid = os.getpid()
        self._began = time.monotonic(), time.time()
        self._state = "open"
        self._turns = [None]  # whoever pops it ends the transaction
        self._is_claiming = False  # an entry, which may be there whatever happens now

    def __repr__(self) -> str:
        return f"<TableTransaction of {self.base.path} {self._state}: {len(self._changes)} changes>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a transaction belongs to the process that began it, and cannot be pickled or copied")

    def __enter__(self) -> TableTransaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._state != "open":
            return
        if error is None or (is_success(error, self._known) and self._pid == os.getpid()):
            self.commit()
            return
        if self._pid != os.getpid():  # nothing of it is lost, as long as the parent goes on
            return
        if isinstance(error, UNSEEN) and self._changes:
            logger.warning(
                "a transaction of %s ended while %s was being handled: nothing was published",
                self.base.path,
                type(error).__name__,
            )
        self.discard()

    @property
    def _fs(self) -> GuardedS3FileSystem:
        return self.base.fs

    # --- what is changed ---

    @short_tracebacks
    def open(self, name: str, mode: str = "wb", **kwargs: Any) -> Any:
        """Open a file that becomes the object `name` of the table. Close it before the transaction ends.

        `mode` is "w" for an object that may replace the one of this name, or "x" for a new one; with "b" for
        bytes, and "+" for a file that seeks. Further arguments are those of `fs.open`. Raises
        FileExistsError for "x" if there is one. What the file raises, it raises as files of `fs.open` do; a
        file that is discarded changes nothing.
        """
        purpose = mode.replace("b", "").replace("t", "").replace("+", "") if isinstance(mode, str) else mode
        if purpose not in ("w", "x"):
            raise ValueError(
                f"mode must be of the kind 'w' or 'x', not {mode!r}: an object is written as a whole"
            )
        _check_condition("open", kwargs)
        with self._writing(name, is_new=purpose == "x") as change:
            kind = "x" if self._condition(change) == "create" else "w"
            change.file = self._fs.open(self._path(change), mode.replace(purpose, kind), **kwargs)
        return change.file

    @short_tracebacks
    def pipe_file(self, name: str, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        """Write bytes that become the object `name` of the table. PutObject.

        `mode="create"` raises FileExistsError if there is one. Further arguments are those of `fs.pipe_file`.
        """
        _check_condition("pipe_file", kwargs)
        with self._writing(name, is_new=_is_create(mode)) as change:
            size = bytes_of(value).nbytes
            condition = self._condition(change, None if "chunksize" in kwargs else size)
            answer = self._fs.pipe_file(self._path(change), value, mode=condition, **kwargs)
            if answer["ETag"]:
                change.row = change.place, answer["ETag"], size

    @short_tracebacks
    def put_file(self, lpath: Any, name: str, mode: str = "overwrite", **kwargs: Any) -> None:
        """Upload the local file `lpath`, which becomes the object `name` of the table.

        `mode="create"` raises FileExistsError if there is one. Further arguments are those of `fs.put_file`.
        IsADirectoryError for a directory.
        """
        if os.path.isdir(lpath):
            raise IsADirectoryError(
                errno.EISDIR, "put_file takes one file, and this is a directory", str(lpath)
            )
        _check_condition("put_file", kwargs)
        with self._writing(name, is_new=_is_create(mode)) as change:
            self._fs.put_file(lpath, self._path(change), mode=self._condition(change), **kwargs)

    def rm_file(self, name: str) -> None:
        """Remove `name` from the table. FileNotFoundError if it has no such object. Nothing is sent yet."""
        self._check_process()
        with self._lock:
            self._check_open()
            if not self._has(name):
                self.base.object(name)
                raise self._missing(name)
            self._add(_Change(name))

    def _missing(self, name: str) -> ObjectNotFoundError:
        bucket, key, _ = self._fs.split_path(self.base.path)
        return ObjectNotFoundError(f"{name!r} is removed already", bucket=bucket, key=key)

    @contextmanager
    def _writing(self, name: str, *, is_new: bool) -> Iterator[_Change]:
        """A change that is known before it is written, so that whoever ends the transaction knows of it."""
        self._check_process()
        with self._lock:
            self._check_open()
            _check_name(name)
            if is_new and self._has(name):
                bucket, key, _ = self._fs.split_path(self.base.path)
                raise ObjectExistsError(f"the table has an object {name!r}", bucket=bucket, key=key)
            folder = f"{self._folder}/{next(self._numbers)}"
            change = _Change(name, f"{folder}/{name}", is_running=True)
            self._add(change)
        try:
            with outside():
                yield change
        except BaseException:
            change.is_void = True
            raise
        finally:
            with self._lock:
                change.is_running = False
                is_late = self._state != "open"
            if is_late:  # it may have been written after what is there was removed
                self._remove([change], folder)
        if is_late:
            raise ValueError(f"{name} is not published: the transaction was ended meanwhile")

    def _add(self, change: _Change) -> None:
        self._changes.append(change)
        self._of_name.setdefault(change.name, []).append(change)

    def _has(self, name: str) -> bool:
        last = [change for change in self._of_name.get(name, []) if not _is_discarded(change)]
        return bool(last[-1].place) if last else name in self.base

    @property
    def _folder(self) -> str:
        return f"data/{self._token}"

    def _path(self, change: _Change) -> str:
        return f"{self.base.path}/{change.place}"

    def _condition(self, change: _Change, size: int | None = None) -> Literal["create", "overwrite"]:
        """How an object of `size` bytes is written; None: of any size.

        Nobody else has its name. But a PutObject that arrives twice may give it another ETag, if it is
        encrypted, and the condition keeps the second one out. An upload in parts is completed once, so it can
        do without where the store does not have the condition.
        """
        client = self._fs._client
        if size is not None and size < client.options.multipart_threshold:
            return "create"
        path = S3Path(*self._fs.split_path(self._path(change)))
        return "overwrite" if honours(client, path, "create_on_complete") is False else "create"

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise RuntimeError(
                f"the transaction belongs to process {self._pid}, which began it: a child of that neither "
                "writes in it nor publishes it"
            )

    def _check_open(self) -> None:
        if not self._turns:
            raise self._ended()

    def _ended(self) -> ValueError:
        return ValueError(f"the transaction is {self._state}: begin another one")

    # --- the end ---

    @short_tracebacks
    def commit(self) -> Snapshot:
        """Publish all changes as one version, and return it; the present one if nothing was changed.

        Raises CommitConflictError if another writer has published since, and both changed an object of the
        same name, or the transaction was to be alone; nothing is published then, nor after any other error
        but WriteOutcomeUnknownError. ListObjectsV2 if files were opened; PutObject; after a conflict
        GetObject.
        """
        self._check_process()
        with self._lock:
            if not self._ends("being committed"):
                raise self._ended()
            running = next((change.name for change in self._changes if change.is_running), "")
        try:
            if running:
                raise ValueError(f"nothing was published: another thread was still writing {running}")
            rows = self._rows()
            self._check_time()
            self.published = self._publish(rows) if rows else self.base
        except BaseException as error:
            if self._is_claiming and not (isinstance(error, GuardedS3Error) and not error.maybe_applied):
                self._state = "of unknown outcome"
            else:
                self._give_up()
            raise
        self._state = "committed"
        return self.published

    def discard(self) -> None:
        """Publish nothing, and remove what was written. Nothing happens after `commit`, or while it runs.

        Objects that cannot be removed now are removed by `Table.vacuum`. ListObjectsV2, DeleteObjects.
        """
        if self._state != "open":
            return
        self._check_process()
        with self._lock:
            is_ended = self._ends("discarded")
        if is_ended:
            self._give_up()

    def _ends(self, state: str) -> bool:
        """Whether this call ends the transaction, which one does; it is in `state` then."""
        try:
            self._turns.pop()  # in one step: a signal handler may come in between any two
        except IndexError:
            return False
        self._state = state
        return True

    def _give_up(self) -> None:
        self._state = "discarded"
        self._remove([change for change in self._changes if change.place], self._folder)

    def _remove(self, written: list[_Change], folder: str) -> None:
        """Remove what was written and not published: all below `folder`, which nobody else has."""
        for change in written:
            if change.file is not None:
                change.file.discard()  # does nothing to those that are published
        if not written:
            return
        try:
            listed = self._listed(folder)
            etags = {S3Path(*self._fs.split_path(name)): row["ETag"] for name, row in listed.items()}
            if etags:
                self._fs._remover.delete_exactly(etags)
        except GuardedS3Error as error:
            logger.info("a transaction left objects of %s to vacuum: %s", self.base.path, error)

    def _listed(self, folder: str) -> dict[str, Any]:
        """The objects that it has written, by their names in the store."""
        found = self._fs.iter_find(f"{self.base.path}/{folder}", detail=True)
        return {row["name"]: row for row in found}

    # --- what is published ---

    def _rows(self) -> dict[str, Row | None]:
        """The row of each name that is changed, None of one that is removed."""
        for change in self._changes:
            _check_written(change)
        last = {change.name: change for change in self._changes if not _is_discarded(change)}
        unknown = [change for change in last.values() if change.place and change.row is None]
        listed = self._listed(self._folder) if unknown else {}
        for change in unknown:
            path = self._path(change)
            row = listed.get(path) or self._fs.info(path, refresh=True)
            change.row = change.place, row["ETag"], row["size"]
        return {name: change.row for name, change in last.items()}

    def _check_time(self) -> None:
        """Refuse what `vacuum` may take for left behind. A clock may stand still while a machine sleeps."""
        began, began_by_calendar = self._began
        elapsed = max(time.monotonic() - began, time.time() - began_by_calendar)
        if elapsed > self.base.manifest.grace / 2:
            raise TransactionError(
                f"nothing was published: the transaction began {elapsed:.0f} seconds ago, which is more than "
                f"half of the table's grace of {self.base.manifest.grace:.0f} seconds",
                unpublished=tuple(self._path(change) for change in self._changes if change.place),
            )

    def _publish(self, rows: dict[str, Row | None]) -> Snapshot:
        """Append the entry; after the newest one, where others have published since."""
        now = self.base
        while True:
            self._check_time()
            changed = {name: row for name, row in {**now.rows, **rows}.items() if row is not None}
            version, next_one = now.version + 1, following(now.manifest, changed)
            self._is_claiming = True
            if self._log.claim(version, self._token, next_one.data):
                return Snapshot(self._fs, self.base.path, version, next_one.manifest(version))
            self._is_claiming = False
            now = self._newest(version)
            self._refuse_conflict(now, rows)

    def _refuse_conflict(self, now: Snapshot, rows: dict[str, Row | None]) -> None:
        """Raise if what others have published since keeps this from being published after it."""
        if self._check is not None:
            self._check(now)
        elif self._is_alone:
            raise self._conflict(now, "another writer has published version")
        names = [name for name in rows if now.rows.get(name) != self.base.rows.get(name)]
        if names:
            raise self._conflict(now, f"another writer has changed {', '.join(names[:5])} too, up to version")

    def _conflict(self, now: Snapshot, said: str) -> CommitConflictError:
        bucket, key, _ = self._fs.split_path(self.base.path)
        return CommitConflictError(
            f"{said} {now.version}: nothing was published, begin again with that",
            bucket=bucket,
            key=key,
            version=now.version,
        )


def _guarded(file: Any) -> Any:
    """The file that publishes: below text, and below what compresses."""
    return getattr(file, "buffer", file).guarded


def _is_discarded(change: _Change) -> bool:
    return change.is_void or (change.file is not None and _guarded(change.file).state == State.ABORTED.value)


def _check_written(change: _Change) -> None:
    """Raise if the file is neither published nor discarded."""
    if change.file is None:
        return
    file = _guarded(change.file)
    if file.failure is not None:
        raise file.failure
    if file.state == State.UNKNOWN.value:
        raise TransactionError(f"nothing was published: nobody knows whether {change.name} was written")
    if not change.file.closed or file.state not in (State.COMPLETED.value, State.ABORTED.value):
        raise ValueError(f"nothing was published: {change.name} was not closed at the end of the transaction")


def _is_create(mode: str) -> bool:
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode must be 'overwrite' or 'create', not {mode!r}")
    return mode == "create"


def _check_condition(verb: str, kwargs: dict[str, Any]) -> None:
    """Raise for `if_match`, which can only be about the new object that nobody else has."""
    if "if_match" in kwargs:
        raise TypeError(
            f"{verb} of a transaction does not take if_match: the commit finds out whether others have "
            "changed the same name"
        )


def _check_name(name: Any) -> None:
    """Raise for what cannot be the name of an object of a table."""
    if not isinstance(name, str):
        raise TypeError(f"name must be str, not {type(name).__name__}")
    if not name or any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError(f"name must be a relative path such as 'a/b.parquet', not {name!r}")
