"""An append-only log: entries with the numbers 1, 2, 3 ..., each an object that one writer creates.

Theory of operation. The entry with the number n is the object `00000000000000000042.json` for n = 42. It is
made by a conditional create, so of several writers one has the number, and the store decides which. Three
invariants follow, as long as nobody else writes below the path, and nothing there is deleted:

- *There is no gap.* A writer asks for n + 1 after it has seen n, or has written it.
- *An entry does not change.* So whoever has read one need not read it again.
- *A lost answer can be settled.* Each entry has a random token of its writer. With ours, it is ours.
  With another one, ours is not there and never will be, whatever is still on its way to the store: the
  number is taken. If there is no entry, the same request is sent again, with the same token. Should both
  arrive, they are one entry.

The newest number is found by a listing behind the last one that is known. In a directory bucket, whose
listings have no order, it is searched for by HeadObject. Each hundredth entry is noted in `latest.json`, so
that a new process need not look at all. That is a hint: nothing depends on it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._fs.transaction import outside
from .._values.keywords import check_function, check_integer
from .._values.paths import S3Path, is_directory_bucket
from .._values.tracebacks import short_tracebacks, short_tracebacks_of_steps
from ..errors import CommitConflictError, GuardedS3Error, ObjectNotFoundError, WriteOutcomeUnknownError
from ..filesystem import GuardedS3FileSystem
from .commit_records import ATTRIBUTES, check_keys, name_of, new_token, parsed, record

logger = logging.getLogger("fsspec_guarded_s3")
_ENTRY = re.compile(r"(\d{20})\.json")
_NOTED_EVERY = 100
_TRIES = 3  # creates of one entry whose answers are lost; each has the attempts of the filesystem
_TOGETHER = 64  # entries that are read in parallel


@dataclass(frozen=True)
class LogEntry:
    """An entry of a log: its number `version`, the random `token` of its writer, and the `data`."""

    version: int
    token: str
    data: Any


class CommitLog:
    """An append-only log below `path`. Any number of processes may append, and each number is given once.

    `fs` is a GuardedS3FileSystem. Nothing is sent before the first call. A log can be pickled, shared between
    threads, and used after a fork. Nobody else may write below `path`, and no entry may be deleted.
    """

    def __init__(self, fs: GuardedS3FileSystem, path: str) -> None:
        self.path = name_of(fs, path)
        self.fs = fs
        self._known = 0  # there is an entry of this number; 0 where that is not known

    def __repr__(self) -> str:
        return f"<CommitLog {self.path}>"

    def name(self, version: int) -> str:
        """The name of the object that has, or would have, the entry `version`."""
        return f"{self.path}/{version:020}.json"

    # --- reading ---

    @short_tracebacks
    def latest(self) -> int:
        """The number of the newest entry, 0 of an empty log.

        ListObjectsV2, in a directory bucket HeadObject; at first GetObject of a hint.
        """
        known = self._known or self._noted()
        newest = self._newest_from(known)
        if newest < known:  # the hint is of a log that was here before
            newest = self._newest_from(0)
        self._saw(newest)
        return newest

    def _newest_from(self, version: int) -> int:
        """The newest number from `version` on, 0 without one."""
        if self._is_listed_whole and version > 1 and self._has(version):
            return self._newest_after(version)
        return max((found for found, _ in self._listed(version)), default=0)

    @property
    def _is_listed_whole(self) -> bool:
        """Whether no listing begins behind a name, so that each takes longer the more entries there are."""
        return is_directory_bucket(self.path.partition("/")[0])

    def _newest_after(self, version: int) -> int:
        """The newest number, where `version` is there. Since there is no gap, some looks tell."""
        step = 1
        while self._has(version + step):
            version, step = version + step, 2 * step
        missing = version + step
        while missing - version > 1:
            middle = (version + missing) // 2
            version, missing = (middle, missing) if self._has(middle) else (version, middle)
        return version

    def _has(self, version: int) -> bool:
        try:
            self.fs._client.reads.head_object(S3Path(*self.fs.split_path(self.name(version))))
        except ObjectNotFoundError:
            return False
        return True

    def _listed(self, version: int) -> Iterator[tuple[int, Any]]:
        """The numbers of the entries from `version` on, each with the row of its object."""
        behind = self.name(version - 1) if version > 1 and not self._is_listed_whole else None
        for row in self.fs.iter_find(self.path, start_after=behind, detail=True):
            found = _ENTRY.fullmatch(row["name"].rpartition("/")[2])
            if found and int(found[1]) >= version and row["name"] == self.name(int(found[1])):
                yield int(found[1]), row

    @short_tracebacks
    def times(self) -> dict[int, datetime | None]:
        """When each entry was appended, by the clock of the store: {version: datetime in UTC}.

        None where the store's listings have no time. ListObjectsV2, a request for 1,000 entries.
        """
        return {version: row.get("LastModified") for version, row in self._listed(1)}

    def _noted(self) -> int:
        try:
            noted = parsed("hint", self._hint, self.fs.cat_file(self._hint))["version"]
        except (FileNotFoundError, ValueError, KeyError):
            return 0
        return noted if isinstance(noted, int) and noted > 0 else 0

    @property
    def _hint(self) -> str:
        return f"{self.path}/latest.json"

    def _saw(self, version: int) -> None:
        self._known = max(self._known, version)

    @short_tracebacks
    def read(self, version: int) -> LogEntry:
        """The entry with this number. FileNotFoundError if there is none. GetObject."""
        name = self.name(check_integer("version", version, 1))
        try:
            body = self.fs.cat_file(name)
        except ObjectNotFoundError as error:
            if error.code == "NoSuchKey":  # and not that there is no bucket
                error.message = f"there is no version {version}"
            raise
        entry = _entry(name, version, body)
        self._saw(version)
        return entry

    def entries(self, start: int = 1, end: int | None = None) -> Iterator[LogEntry]:
        """Yield the entries from `start` up to, and without, `end`, in order; None: to the newest one.

        They are read in parallel, some at a time. ListObjectsV2, GetObject.
        """
        check_integer("start", start, 1)
        return self._entries(start, None if end is None else check_integer("end", end, 1))

    @short_tracebacks_of_steps
    def _entries(self, start: int, end: int | None) -> Iterator[LogEntry]:
        if end is None or end > self._known + 1:
            newest = self.latest()
            end = newest + 1 if end is None else min(end, newest + 1)
        for first in range(start, end, _TOGETHER):
            names = {self.name(n): n for n in range(first, min(first + _TOGETHER, end))}
            if len(names) == 1:
                yield self.read(first)
                continue
            found = self.fs.cat(list(names))
            for name, version in names.items():
                yield _entry(name, version, found[name])

    # --- appending ---

    @short_tracebacks
    def append(
        self, data: Any, *, expected: int | None = None, check: Callable[[LogEntry], object] | None = None
    ) -> LogEntry:
        """Append an entry with `data`, which is anything that JSON can hold. Returns the entry.

        Without `expected` it gets the next free number. `expected` is the newest number that `data` was made
        for, 0 of an empty log. If others have appended since, `check` is called with each of their entries:
        what it raises ends the call, and nothing is appended; otherwise the entry gets the number after
        theirs. Without `check`, any such entry is a CommitConflictError. `check` may be called for entries
        that come while the call runs, so it should be quick. In a transaction of the filesystem it is done at
        once, too.

        Raises FileNotFoundError if there is no entry `expected`, or the store says that a number is taken and
        has no such entry; WriteOutcomeUnknownError if answers were
        lost and the entry could not be looked at: its `version` and `token` say where to look for it; and
        PreconditionUnsupportedError, before anything is sent, if the store ignores conditions. PutObject;
        after a conflict ListObjectsV2 and GetObject.
        """
        if check is not None and expected is None:
            raise ValueError("check needs expected: the number of the newest entry that data was made for")
        check_function("check", check)
        token = new_token()
        check_keys("data", data)
        record("entry", data=data)  # what cannot be written is told before anything is asked
        version = 1 + (self._known or self.latest() if expected is None else self._expected(expected))
        while not self.claim(version, token, data):
            newest = self.latest()
            if newest < version:  # the number is taken, and the listing does not show by what
                newest = self.read(version).version
            if check is not None:
                for entry in self.entries(version, newest + 1):
                    check(entry)
            elif expected is not None:
                raise self._conflict(version)
            version = newest + 1
        return _entry(self.name(version), version, _body(version, token, data))

    def _expected(self, version: int) -> int:
        """`version`, which is there: an entry behind a gap would not be found."""
        if check_integer("expected", version, 0) > self._known:
            self.read(version)
        return version

    def _conflict(self, version: int) -> CommitConflictError:
        bucket, key, _ = self.fs.split_path(self.name(version))
        return CommitConflictError(
            f"another writer has appended entry {version}: read it, and decide what to append after it",
            bucket=bucket,
            key=key,
            version=version,
        )

    def claim(self, version: int, token: str, data: Any) -> bool:
        """Create the entry `version`. True: it is that of `token`. False: it is another's, for ever.

        For `append`, which makes sure that there is no gap. Raises WriteOutcomeUnknownError as it does.
        """
        doubt: GuardedS3Error | None = None
        for _ in range(_TRIES):
            try:
                is_new = self.fs.put_if_absent(self.name(version), _body(version, token, data), **ATTRIBUTES)
                if is_new or doubt is None:
                    return self._taken(version, is_new)
            except GuardedS3Error as error:
                if not error.maybe_applied and doubt is None:
                    raise
                doubt = doubt or error
            try:
                return self._taken(version, self.read(version).token == token)
            except FileNotFoundError:
                continue  # the request may still arrive: it is sent again, with the same token
            except GuardedS3Error:
                break
        raise self._unknown(version, token) from doubt

    def _taken(self, version: int, is_ours: bool) -> bool:
        if is_ours:
            self._saw(version)
        if is_ours and version % _NOTED_EVERY == 0:
            # Nothing depends on it, and the next one comes soon.
            with outside(), suppress(GuardedS3Error):
                self.fs.pipe_file(self._hint, record("hint", version=version), **ATTRIBUTES)
        return is_ours

    def _unknown(self, version: int, token: str) -> WriteOutcomeUnknownError:
        bucket, key, _ = self.fs.split_path(self.name(version))
        return WriteOutcomeUnknownError(
            f"answers were lost, and entry {version} could not be looked at: it is yours if its token is "
            f"{token}, or if it is not there yet and appears with it later",
            bucket=bucket,
            key=key,
            maybe_applied=True,
            version=version,
            token=token,
        )


def _body(version: int, token: str, data: Any) -> bytes:
    return record("entry", version=version, token=token, data=data)


def _entry(name: str, version: int, body: bytes) -> LogEntry:
    fields = parsed("entry", name, body)
    if fields.get("version") != version or "token" not in fields or "data" not in fields:
        raise ValueError(f"{name} is not entry {version} of a log: something else has written it")
    return LogEntry(version, str(fields["token"]), fields["data"])
