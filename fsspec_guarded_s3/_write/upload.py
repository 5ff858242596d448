"""A guarded upload: one write of one object, published once or not at all.

Theory of operation. An upload is a state machine. Only the moves of `TRANSITIONS` exist; any other is a bug
and raises.

    NEW -> OPEN -> COMPLETING -> COMPLETED | ABORTED | UNKNOWN

- NEW: the store has nothing of it. `put_object` and `copy_object` go straight to COMPLETING, since one
  request is the whole write. `start` (CreateMultipartUpload) and `resume` go to OPEN.
- OPEN: there is a multipart upload, or it is being created. `send_part` and `send_part_in_background` send
  parts, which no reader sees. `abort` leads from here to ABORTED.
- COMPLETING: the request that publishes is under way: PutObject, CopyObject or CompleteMultipartUpload.
- COMPLETED: the object is there; `written` tells its ETag and version.
- ABORTED: nothing was published, and the multipart upload is removed, in the background if that takes long.
  If another thread discards it in COMPLETING, the request may still succeed: then its caller gets an error
  that says so.
- UNKNOWN: the answer was lost and nothing proves what happened. The upload is left as it is: its parts may be
  becoming the object. The caller gets WriteOutcomeUnknownError.
- Three moves lead back to NEW: `restart` from OPEN, and from COMPLETING a 409 on Complete, after which S3
  wants a new upload, and a refused append. In the first two the old upload has been removed with its parts.

What follows from this:

- a multipart upload is aborted unless Complete succeeded, its outcome is unknown, or the upload was resumed
  (you can resume it again);
- a lost answer is settled by proof (`outcome`), never guessed;
- before the first request that needs it, the store is known to honour the condition (`guards`);
- the first error wins: an abort that fails is logged and does not hide it;
- after a fork the child neither publishes nor aborts what its parent began.
"""

from __future__ import annotations

import atexit
import enum
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from .._s3.client import S3Client
from .._s3.early import Asked
from .._threads import Task
from .._values.answer_fields import described, undescribed
from .._values.bodies import RequestBody, body_size
from .._values.conditions import Condition
from .._values.models import META, WRITE_TOKEN, ByteRange, ObjectInfo, Part, Written
from .._values.paths import S3Path, check_new_key
from .._work import Living
from ..errors import (
    ConflictError,
    EncryptionUnsupportedError,
    FileChangedError,
    GuardedS3Error,
    InvalidRequestError,
    PreconditionFailedError,
)
from .aborting import Removal, abort_upload, finish, in_background, wait_briefly
from .append_outcome import settle_append
from .beginning import Beginning
from .dropped import check_kept
from .guards import require_guard
from .outcome import (
    Content,
    Outcome,
    PendingWrite,
    Settled,
    content_of,
    content_of_parts,
    echoed,
    has_room_for_token,
    settle,
    source_changed_error,
    taken_error,
    unknown_error,
    was_replaced,
    with_etag,
)

logger = logging.getLogger("fsspec_guarded_s3")


FindOut = Callable[[PendingWrite, GuardedS3Error], Settled]


class _RefusedAppendError(Exception):
    """The store does not append to this object."""


class State(enum.Enum):
    """Where an upload is. COMPLETED, ABORTED and UNKNOWN are final."""

    NEW = "NEW"
    OPEN = "OPEN"
    COMPLETING = "COMPLETING"
    COMPLETED = "COMPLETED"
    ABORTED = "ABORTED"
    UNKNOWN = "UNKNOWN"

    __hash__ = object.__hash__  # there is one object of each; until Python 3.12 enum's own is not in C


TRANSITIONS: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.OPEN, State.COMPLETING, State.ABORTED}),
    State.OPEN: frozenset({State.COMPLETING, State.ABORTED, State.NEW}),
    State.COMPLETING: frozenset({State.COMPLETED, State.ABORTED, State.UNKNOWN, State.NEW}),
    **dict.fromkeys((State.COMPLETED, State.ABORTED, State.UNKNOWN), frozenset[State]()),
}

_live: Living[Upload] = Living()


def live_upload_ids() -> set[str]:
    """The multipart uploads that writers of this process hold open."""
    return {upload.upload_id for upload in _live}


def is_starting(path: S3Path) -> bool:
    """Whether a writer of this process waits for the id of a new upload to `path`."""
    return any(upload.starts(path) for upload in _live)


class Upload:
    """One write to one key: by `put_object`, by `copy_object`, or by parts and `complete`."""

    def __init__(
        self,
        client: S3Client,
        path: S3Path,
        condition: Condition,
        headers: Mapping[str, str] | None = None,
        *,
        same_content: bool = False,
    ) -> None:
        """`headers` are those of the object. `same_content` says that its bytes are there already.

        ValueError for a key that is none of S3's.
        """
        check_new_key(path.key)
        self._client = client
        self.dialect = partial(client.store.dialect, path.bucket)
        self._path = path
        self._condition = condition
        self._headers = dict(headers or {})
        self._etag_proves = not condition and not same_content  # `outcome` has the reasons
        self._token = ""
        if not self._etag_proves:
            self._add_token()
        self._upload_id = ""
        self._way = "PutObject"
        self._beginning: Beginning | None = None
        self._resumed = False
        self._tasks: deque[Task[None]] = deque()
        self._parts: list[Part] = []
        self._pid = os.getpid()
        self.state = State.NEW
        self.written = Written("")

    def __repr__(self) -> str:
        return f"<Upload {self._path} {self.state.value} parts={len(self._parts)}>"

    def _add_token(self) -> None:
        """Have the object carry a write token, unless it does already."""
        self._token = self._token or secrets.token_hex(16)
        self._headers[META + WRITE_TOKEN] = self._token

    @property
    def upload_id(self) -> str:
        """The id of the multipart upload, "" where there is none."""
        return self._upload_id

    @property
    def is_conditional(self) -> bool:
        """Whether it is published only if the key is free, or holds an ETag."""
        return bool(self._condition)

    @property
    def may_start(self) -> bool:
        """Whether nothing was sent yet, or nothing of it is left."""
        return self.state is State.NEW

    @property
    def parts(self) -> list[Part]:
        """The parts that are there, as they arrived."""
        return list(self._parts)

    def starts(self, path: S3Path) -> bool:
        """Whether CreateMultipartUpload for `path` is under way."""
        return self.state is State.OPEN and not self._upload_id and self._path == path

    def _move(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            raise RuntimeError(f"an upload cannot go from {self.state.value} to {state.value}")
        self.state = state
        (_live.add if state in (State.OPEN, State.COMPLETING) else _live.discard)(self)

    # --- in one request ---

    def put_object(self, data: RequestBody) -> Written:
        """Publish `data` by PutObject."""
        self._condition = require_guard(self._client, self._path, self._condition, multipart=False)
        self._move(State.COMPLETING)
        return self._publish(
            lambda: self._client.writes.put_object(self._path, data, self._condition, self._headers),
            lambda: content_of(data),
        )

    def append_object(self, data: RequestBody, info: ObjectInfo) -> Written | None:
        """Append `data` to the version `info` by one PutObject with an offset, as directory buckets have it.

        None where the store refuses that, for another reason than the condition: nothing was written, and the
        object can be published in another way.
        """
        self._condition = require_guard(self._client, self._path, self._condition, multipart=False)
        self._move(State.COMPLETING)
        headers, self._headers = self._headers, {}  # those of the object stay as they are

        def append() -> Written:
            try:
                return self._client.writes.append_object(self._path, data, info.size, self._condition)
            except InvalidRequestError as error:
                if error.maybe_applied:
                    raise
                raise _RefusedAppendError from error

        content = Content("", info.size + body_size(data))
        try:
            return self._publish(append, lambda: content, partial(settle_append, self._client, info))
        except _RefusedAppendError as refused:
            logger.info("%s is appended to by a copy: %s", self._path, refused.__cause__)
            self._headers = headers
            self._move(State.NEW)
            return None

    def ask_put_object(self, data: RequestBody) -> Asked[Written]:
        """Send `data` by PutObject now, without a condition; what is returned publishes it."""
        if self._condition:
            raise ValueError("a condition may have to be tried first")
        self._move(State.COMPLETING)
        early = self._client.writes.send_put_object(self._path, data, self._headers)

        def publish() -> Written:
            put = self._client.writes.put_object
            return self._publish(
                lambda: put(self._path, data, self._condition, self._headers, early),
                lambda: content_of(data),
            )

        return Asked(early, publish)

    def copy_object(self, source: S3Path, info: ObjectInfo) -> Written:
        """Publish the version `info` of `source` by CopyObject.

        Metadata is replaced only where it has to be: to change it, to carry our token, or to drop the
        source's.
        """
        self._condition = require_guard(self._client, self._path, self._condition, multipart=False, copy=True)
        self._way = "CopyObject"
        self._move(State.COMPLETING)
        same = described(self._headers) == described(info.write_headers())
        headers = self._headers if not same or info.write_token else undescribed(self._headers)
        replace = headers is self._headers
        try:
            return self._publish(
                lambda: self._client.writes.copy_object(
                    source, self._path, info.etag, self._condition, headers, replace=replace
                ),
                lambda: Content(info.etag, info.size, info.checksum),
            )
        except PreconditionFailedError as error:
            if error.maybe_applied:
                raise
            # Without a condition on the target only the pin of the source can have failed.
            if not self._condition or was_replaced(self._client, source, info.etag):
                raise source_changed_error(source, error) from error
            raise

    # --- in parts ---

    def start(self) -> None:
        """CreateMultipartUpload."""
        self._condition = require_guard(self._client, self._path, self._condition, multipart=True)
        # A plain write too: its ETag proves nothing where ETags of parts are no MD5s.
        if has_room_for_token(self._headers):
            self._add_token()
        self._move(State.OPEN)
        create = self._client.multipart.create_multipart_upload
        self._beginning = Beginning(lambda: create(self._path, self._headers))
        try:
            self._beginning.begin()
            self._upload_id = self._beginning.wait()
        except BaseException:
            self.abort()
            raise

    def restart(self) -> None:
        """Remove the upload with its parts, and start another."""
        self._remove_upload()
        self._upload_id, self._beginning, self._parts = "", None, []
        self._move(State.NEW)
        self.start()

    def resume(self, upload_id: str, parts: list[Part]) -> None:
        """Go on with an upload that was started before; its write token is not known any more."""
        self._condition = require_guard(self._client, self._path, self._condition, multipart=True)
        self._upload_id, self._parts, self._token = upload_id, list(parts), ""
        self._resumed = True
        self._move(State.OPEN)

    def send_part(self, number: int, data: RequestBody) -> None:
        """UploadPart in this thread."""
        # Who began an upload without an algorithm may get no part with a CRC (S3, Garage: 400).
        by_md5 = self._resumed and any(part.crc is None for part in self._parts)
        part = self._client.multipart.upload_part(self._path, self._upload_id, number, data, by_md5=by_md5)
        self._parts.append(part)

    def copy_part(self, number: int, source: S3Path, part: ByteRange, etag: str) -> None:
        """UploadPartCopy of a range of `source`, pinned to its `etag`."""
        try:
            copied = self._client.multipart.upload_part_copy(
                self._path, self._upload_id, number, source, part, etag
            )
        except PreconditionFailedError as error:
            raise source_changed_error(source, error) from error
        self._parts.append(copied)

    def send_part_in_background(self, number: int, data: RequestBody, concurrency: int) -> None:
        """UploadPart in a thread; waits while `concurrency` parts are under way; raises their errors."""
        while len(self._tasks) >= concurrency:
            self._await_part()
        if self.state is not State.OPEN:  # another thread gave it up meanwhile
            raise ValueError(f"{self._path} was discarded and cannot be written any more")
        self._tasks.append(Task.in_background(lambda: self.send_part(number, data)))

    def _await_part(self) -> None:
        """Wait for the oldest part, which whoever gives the upload up can end meanwhile."""
        task = self._tasks[0]
        task.wait()
        with suppress(ValueError):  # it was drained
            self._tasks.remove(task)

    def complete(self) -> Written:
        """Wait for the parts and publish. A failure leaves no upload behind.

        After a 409 the state is NEW again: the upload may be started and its parts sent once more.
        """
        try:
            while self._tasks:
                self._await_part()
        except BaseException:
            self.abort()
            raise
        self._move(State.COMPLETING)

        def complete() -> Written:
            written = self._client.multipart.complete_multipart_upload(
                self._path, self._upload_id, self._parts, self._condition
            )
            return with_etag(self._client, self._path, written, self._token)

        return self._publish(complete, lambda: content_of_parts(self._parts))

    def abort(self) -> None:
        """Publish nothing and leave no upload behind. Never raises; does nothing in a final state.

        Waits for the store for a moment only: the upload is aborted in the background then. A resumed upload
        is left as it is, so that it can be resumed again.
        """
        if (removal := self.abandon()) is not None:
            wait_briefly(self._client, removal)

    def abandon(self) -> Removal | None:
        """What `abort` does, without waiting at all: for destructors."""
        if self.state in (State.COMPLETED, State.ABORTED, State.UNKNOWN) or os.getpid() != self._pid:
            return None
        self._move(State.ABORTED)
        for task in tuple(self._tasks):
            task.cancel()
        name = self._upload_id or ("(its id is on its way)" if self._beginning else "")
        if self._resumed or not name or (self._beginning and self._beginning.has_failed):
            return in_background(self._drain, f"end the parts of {self._path}") if self._tasks else None
        doing = f"abort upload {name} of {self._path}, which abort_uploads removes"
        return in_background(self._remove_upload, doing)

    def __del__(self) -> None:
        """Abort what an interrupt (Ctrl-C) left: it comes between any two steps, also before a `try`."""
        if getattr(self, "state", None) in (State.OPEN, State.COMPLETING):
            self.abandon()

    def _drain(self) -> None:
        while self._tasks:
            self._tasks.popleft().end()

    def _remove_upload(self) -> None:
        self._drain()  # a part that arrives after the abort would stay
        if upload_id := self._beginning.settle() if self._beginning else self._upload_id:
            abort_upload(self._client, self._path, upload_id)

    # --- publishing ---

    def _publish(
        self, call: Callable[[], Written], content: Callable[[], Content], find_out: FindOut | None = None
    ) -> Written:
        """Make the request that publishes; `content` works out what is known of it where that is needed.

        `find_out` is what settles a lost answer, by default `settle`.
        """
        try:
            written = call()
        except EncryptionUnsupportedError:  # it is there, but not as it was to be
            self._lose()
            raise
        except GuardedS3Error as error:
            return self._settle(error, content, find_out)
        except _RefusedAppendError:
            raise
        except (FileChangedError, OSError) as error:  # of the local file
            if isinstance(error.__cause__, GuardedS3Error):  # an attempt before may have been applied
                return self._settle(error.__cause__, content, find_out)
            self.abort()
            raise
        except BaseException:
            self.abort()
            raise
        return self._completed(written)

    def _settle(
        self, error: GuardedS3Error, content: Callable[[], Content], find_out: FindOut | None = None
    ) -> Written:
        """The request that publishes failed: success with proof, a definite error, or UNKNOWN."""
        if not error.maybe_applied:
            written = echoed(self._client, self._path, self._token, error, content)
            if written is None:
                raise self._failed(error)
            return self._completed(written)
        write = PendingWrite(
            self._path,
            self._condition,
            self._token,
            content(),
            self._etag_proves,
            self._upload_id,
            self._resumed,
        )
        settled = (find_out or partial(settle, self._client))(write, error)
        if settled.outcome is Outcome.APPLIED:
            return self._completed(settled.written)
        if settled.outcome is Outcome.TAKEN:
            taken = taken_error(write, error, maybe_applied=settled.maybe_applied)
            raise self._failed(taken) from error
        if settled.outcome is Outcome.NOT_APPLIED:
            error.maybe_applied = False
            raise self._failed(error)
        self._lose()
        raise unknown_error(write, error, settled.evidence) from error

    def _lose(self) -> None:
        """Nobody knows what became of it. What another thread has discarded meanwhile is final already."""
        if self.state is not State.ABORTED:
            self._move(State.UNKNOWN)

    def _completed(self, written: Written) -> Written:
        if self.state is State.ABORTED:  # another thread did so while the request was on its way
            raise ValueError(
                f"{self._path} was discarded while it was being published: it is there all the same"
            )
        self._move(State.COMPLETED)
        self.written = written
        way = "CompleteMultipartUpload" if self._upload_id else self._way
        check_kept(self._client, self._path, way, self._headers, written, self._token)
        return written

    def _failed(self, error: GuardedS3Error) -> GuardedS3Error:
        """Nothing was published: clean up, and say what may be done next."""
        if isinstance(error, ConflictError) and self._upload_id and self.state is not State.ABORTED:
            self._remove_upload()
            self._upload_id, self._beginning, self._parts, self._resumed = "", None, [], False
            self._move(State.NEW)
        else:
            # What was resumed stays for a later attempt, unless none could publish it.
            self._resumed &= not isinstance(error, PreconditionFailedError)
            self.abort()
        return error


@atexit.register
def _abort_live() -> None:
    finish(upload.abandon for upload in _live)
