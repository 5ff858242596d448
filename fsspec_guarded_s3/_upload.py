"""A guarded upload: a state machine that publishes once, or not at all.

Invariants:

- the states move by the table below; any other move is a bug and raises;
- an upload id that exists is aborted unless Complete succeeded;
- a conditional write whose answer was lost is decided by proof (one HEAD and our write token), never guessed;
- the first error wins: an abort that fails is logged and does not hide it.
"""

from __future__ import annotations

import atexit
import enum
import hashlib
import logging
import os
import secrets
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from ._client import S3Client
from ._errors import (
    GuardedS3Error,
    ObjectNotFoundError,
    PreconditionFailedError,
    TransportError,
    WriteOutcomeUnknownError,
)
from ._models import WRITE_TOKEN, Condition, ObjectInfo, Part, same_etag
from ._options import MAX_PART_SIZE, MAX_PARTS, Options, part_size_for
from ._paths import S3Path
from ._threads import Task, run_all

logger = logging.getLogger("fsspec_guarded_s3")
Buffer = bytes | bytearray | memoryview


class State(enum.Enum):
    """Where an upload is. COMPLETED, ABORTED and UNKNOWN are final."""

    NEW = "NEW"
    OPEN = "OPEN"
    COMPLETING = "COMPLETING"
    COMPLETED = "COMPLETED"
    ABORTED = "ABORTED"
    UNKNOWN = "UNKNOWN"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.OPEN, State.COMPLETING, State.ABORTED}),
    State.OPEN: frozenset({State.COMPLETING, State.ABORTED}),
    State.COMPLETING: frozenset({State.COMPLETED, State.ABORTED, State.UNKNOWN}),
    State.COMPLETED: frozenset(),
    State.ABORTED: frozenset(),
    State.UNKNOWN: frozenset(),
}

_live: weakref.WeakSet[Upload] = weakref.WeakSet()


class Upload:
    """One logical write to one key: by a single PUT (`put`), or `send_part`s and `complete`."""

    def __init__(
        self, client: S3Client, path: S3Path, condition: Condition, headers: Mapping[str, str] | None = None
    ) -> None:
        self._client = client
        self._path = path
        self._condition = condition
        self._headers = dict(headers or {})
        self._token = secrets.token_hex(16) if condition else ""
        if self._token:
            self._headers[f"x-amz-meta-{WRITE_TOKEN}"] = self._token
        self._upload_id = ""
        self._tasks: deque[Task] = deque()
        self._parts: list[Part] = []
        self._pid = os.getpid()
        self.state = State.NEW
        self.etag = ""

    def __repr__(self) -> str:
        return f"<Upload {self._path} {self.state.value} parts={len(self._parts)}>"

    def _move(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            raise RuntimeError(f"an upload cannot go from {self.state.value} to {state.value}")
        self.state = state

    # --- single PUT ---

    def put(self, data: Buffer) -> str:
        """Publish `data` by one PutObject; returns the ETag."""
        self._move(State.COMPLETING)
        try:
            self.etag = self._client.put_object(self._path, data, self._condition, self._headers)
        except GuardedS3Error as error:
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            return self._resolve(error, digest)
        self._move(State.COMPLETED)
        return self.etag

    # --- multipart ---

    def start(self) -> None:
        """CreateMultipartUpload."""
        self._move(State.OPEN)
        try:
            self._upload_id = self._client.create_multipart_upload(self._path, self._headers)
        except BaseException:
            self._move(State.ABORTED)
            raise
        _live.add(self)

    def send_part(self, number: int, data: Buffer) -> None:
        """UploadPart in this thread."""
        self._parts.append(self._client.upload_part(self._path, self._upload_id, number, data))

    def copy_part(self, part: Part) -> None:
        """Take note of a part that UploadPartCopy made."""
        self._parts.append(part)

    @property
    def upload_id(self) -> str:
        """The id of the multipart upload, "" before `start`."""
        return self._upload_id

    def send_part_in_background(self, number: int, data: Buffer, concurrency: int) -> None:
        """UploadPart in a thread; waits while `concurrency` parts are under way; raises their errors."""
        while len(self._tasks) >= concurrency:
            self._tasks.popleft().wait()
        self._tasks.append(Task(lambda: self.send_part(number, data)))

    def complete(self) -> str:
        """Wait for the parts and publish; returns the ETag. A failure leaves no upload behind."""
        try:
            while self._tasks:
                self._tasks.popleft().wait()
        except BaseException:
            self.abort()
            raise
        self._move(State.COMPLETING)
        try:
            self.etag = self._client.complete_multipart_upload(
                self._path, self._upload_id, self._parts, self._condition
            )
        except GuardedS3Error as error:
            return self._resolve(error, _multipart_digest(self._parts))
        except BaseException:
            self.abort()
            raise
        self._move(State.COMPLETED)
        _live.discard(self)
        if not self.etag:  # some Ceph releases answer Complete with an empty ETag
            with suppress(GuardedS3Error):
                self.etag = self._client.head_object(self._path).etag
        return self.etag

    def abort(self) -> None:
        """Publish nothing and leave no upload behind. Never raises; does nothing in a final state."""
        if self.state in (State.COMPLETED, State.ABORTED, State.UNKNOWN) or os.getpid() != self._pid:
            return
        self._move(State.ABORTED)
        _live.discard(self)
        self._remove_parts()

    def _remove_parts(self) -> None:
        if not self._upload_id:
            return
        while self._tasks:  # a part that arrives after the abort would stay
            self._tasks.popleft().cancel()
        for _ in range(2):
            try:
                self._client.abort_multipart_upload(self._path, self._upload_id)
                if not self._client.list_parts(self._path, self._upload_id):
                    return
            except ObjectNotFoundError:
                return  # NoSuchUpload: it is gone
            except GuardedS3Error as error:
                logger.warning("could not abort upload %s of %s: %s", self._upload_id, self._path, error)
                return

    # --- an answer that was lost ---

    def _resolve(self, error: GuardedS3Error, digest: str) -> str:
        """Decide a failed publication: success with proof, the error, or WriteOutcomeUnknownError."""
        if not error.maybe_applied:
            self.abort()
            raise error
        found: ObjectInfo | None = None
        try:
            found = self._client.head_object(self._path)
        except GuardedS3Error as head_error:
            logger.info("could not look for the written object: %s", head_error)
        if found is not None and self._is_ours(found, digest):
            self.etag = found.etag
            self._move(State.COMPLETED)
            _live.discard(self)
            return self.etag
        refused = isinstance(error, (PreconditionFailedError, ObjectNotFoundError))
        if found is not None and self._condition.create:
            self.abort()
            raise self._condition.failure(
                "the key was taken by another writer",
                bucket=self._path.bucket,
                key=self._path.key,
                operation=error.operation,
            ) from error
        if found is not None and refused and self._condition:
            self.abort()
            raise error
        self._move(State.UNKNOWN)
        _live.discard(self)
        self._remove_parts()  # harmless if Complete was applied: there is no such upload then
        raise WriteOutcomeUnknownError(
            "the answer to the write was lost and nothing proves whether it was applied: "
            + ("another version is there" if found else "no version is there, or it could not be looked at"),
            bucket=self._path.bucket,
            key=self._path.key,
            operation=error.operation,
            status=error.status,
            maybe_applied=True,
        ) from error

    def _is_ours(self, found: ObjectInfo, digest: str) -> bool:
        """A conditional write is proved by its token, a plain one by equal content: its effect is there."""
        if self._token:
            return found.write_token == self._token
        return same_etag(found.etag, digest)


def _multipart_digest(parts: list[Part]) -> str:
    """The ETag of a multipart object where part ETags are MD5s: md5 of the md5s, and the count."""
    ordered = sorted(parts, key=lambda part: part.number)
    try:
        joined = b"".join(bytes.fromhex(part.etag.strip('"')) for part in ordered)
    except ValueError:
        return ""
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(ordered)}"


# --- from a stream and from a file ------------------------------------------------------------------


class PartBuffer:
    """Cuts a stream of unknown length into parts and uploads them in the background.

    Holds at most `max_concurrency` + 1 parts. Part sizes double every 1,000 parts, so that 10,000 suffice.
    """

    def __init__(self, upload: Upload, options: Options) -> None:
        self._upload = upload
        self._options = options
        self._buffer = bytearray()
        self._number = 0

    def _part_size(self) -> int:
        return min(self._options.part_size << (self._number // 1000), MAX_PART_SIZE)

    def write(self, data: memoryview) -> None:
        """Take `data`; sends every part that is full."""
        limit = self._options.multipart_threshold if self._number == 0 else self._part_size()
        self._buffer += data
        if len(self._buffer) < limit:
            return
        while len(self._buffer) >= self._part_size():
            size = self._part_size()
            with memoryview(self._buffer) as view:
                part = bytes(view[:size])
            del self._buffer[:size]
            self._send(part)

    def _send(self, part: Buffer) -> None:
        if self._upload.state is State.NEW:
            self._upload.start()
        self._number += 1
        if self._number > MAX_PARTS:
            raise ValueError(f"the object needs more than {MAX_PARTS} parts: raise part_size")
        self._upload.send_part_in_background(self._number, part, self._options.max_concurrency)

    def finish(self) -> str:
        """Publish: by one PUT when no part has been sent yet; returns the ETag."""
        rest, self._buffer = self._buffer, bytearray()
        if self._upload.state is State.NEW:
            return self._upload.put(rest)
        if rest:
            self._send(rest)
        return self._upload.complete()


def upload_bytes(upload: Upload, data: Buffer, options: Options) -> str:
    """Publish `data`, which is at hand as a whole; parts are slices, not copies."""
    view = memoryview(data).cast("B")
    return _upload_slices(upload, view.nbytes, lambda start, stop: view[start:stop], options, _no_progress)


def upload_file(
    upload: Upload, descriptor: int, size: int, options: Options, progress: Callable[[int], None]
) -> str:
    """Publish the first `size` bytes of an open local file; `max_concurrency` parts are held in memory.

    Raises ValueError when the file turns out to be shorter by now: nothing is published then.
    """

    def read(start: int, stop: int) -> bytes:
        data = os.pread(descriptor, stop - start, start)
        while len(data) < stop - start:
            more = os.pread(descriptor, stop - start - len(data), start + len(data))
            if not more:
                raise ValueError("the local file became shorter while it was uploaded")
            data += more
        return data

    return _upload_slices(upload, size, read, options, progress)


def _upload_slices(
    upload: Upload,
    size: int,
    read: Callable[[int, int], Buffer],
    options: Options,
    progress: Callable[[int], None],
) -> str:
    part_size = part_size_for(size, options.part_size)
    if size < options.multipart_threshold:
        etag = upload.put(read(0, size))
        progress(size)
        return etag
    upload.start()

    def send(number: int, start: int, stop: int) -> None:
        upload.send_part(number, read(start, stop))
        progress(stop - start)

    try:
        starts = enumerate(range(0, size, part_size), start=1)
        run_all(
            (partial(send, number, start, min(start + part_size, size)) for number, start in starts),
            options.max_concurrency,
        )
    except BaseException:
        upload.abort()
        raise
    return upload.complete()


def _no_progress(count: int) -> None:
    """Nobody asked."""


def _abort_live() -> None:
    for upload in list(_live):
        with suppress(TransportError):
            upload.abort()


atexit.register(_abort_live)
