"""A guarded upload: a state machine that publishes once, or not at all.

Invariants:

- the states move by the table below; any other move is a bug and raises;
- an upload id that exists is aborted unless Complete succeeded;
- a write whose answer was lost is decided by proof - one HEAD and our write token, or an upload that is
  still open and therefore was not completed - and never guessed;
- the first error wins: an abort that fails is logged and does not hide it.
"""

from __future__ import annotations

import atexit
import enum
import hashlib
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import parse_qsl

from ._aborting import Removal, finish, in_background, wait_a_moment
from ._attribute_values import MAX_METADATA, META
from ._attributes import described, undescribed
from ._bodies import FileChangedError, RequestBody, body_chunks
from ._client import S3Client
from ._errors import (
    ConflictError,
    EncryptionUnsupportedError,
    GuardedS3Error,
    ObjectChangedError,
    ObjectNotFoundError,
    PreconditionFailedError,
    WriteOutcomeUnknownError,
)
from ._models import WRITE_TOKEN, ByteRange, Condition, ObjectInfo, Part, Written, same_etag
from ._paths import S3Path
from ._probe import keeps_tokens, require_guard
from ._threads import Task
from ._work import Living

logger = logging.getLogger("fsspec_guarded_s3")


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
    # NEW again: `restart`, or a 409 on Complete; that upload is removed, and a new one may be started.
    State.OPEN: frozenset({State.COMPLETING, State.ABORTED, State.NEW}),
    State.COMPLETING: frozenset({State.COMPLETED, State.ABORTED, State.UNKNOWN, State.NEW}),
    State.COMPLETED: frozenset(),
    State.ABORTED: frozenset(),
    State.UNKNOWN: frozenset(),
}

_live: Living[Upload] = Living()


def live_upload_ids() -> set[str]:
    """The multipart uploads that writers of this process hold open."""
    return {upload.upload_id for upload in _live}


def is_starting(path: S3Path) -> bool:
    """Whether a writer of this process waits for the id of a new upload to `path`."""
    return any(upload.starts(path) for upload in _live)


class Upload:
    """One logical write to one key: by `put`, by `copy`, or by parts and `complete`."""

    def __init__(
        self,
        client: S3Client,
        path: S3Path,
        condition: Condition,
        headers: Mapping[str, str] | None = None,
        *,
        same_content: bool = False,
    ) -> None:
        """`same_content` says that the bytes are those that are there, which then prove nothing."""
        self._client = client
        self._path = path
        self._condition = condition
        self._headers = dict(headers or {})
        self._shows = not condition and not same_content  # equal content proves a write: it is its effect
        self._token = ""
        if not self._shows:
            self._mark()
        self._upload_id = ""
        self._resumed = False
        self._seen_open = False  # after an answer of Complete was lost
        self._tasks: deque[Task[None]] = deque()
        self._parts: list[Part] = []
        self._pid = os.getpid()
        self.state = State.NEW
        self.written = Written("")

    def __repr__(self) -> str:
        return f"<Upload {self._path} {self.state.value} parts={len(self._parts)}>"

    def _mark(self) -> None:
        """Give the write a token, by which its object is known again."""
        self._token = self._token or secrets.token_hex(16)
        self._headers[f"{META}{WRITE_TOKEN}"] = self._token

    def _has_room(self) -> bool:
        """Whether a token goes into the metadata beside what is there."""
        there = {
            name.removeprefix(META): text for name, text in self._headers.items() if name.startswith(META)
        }
        return sum(map(len, (*there, *there.values()))) <= MAX_METADATA - len(WRITE_TOKEN) - 32

    @property
    def upload_id(self) -> str:
        """The id of the multipart upload, "" where there is none."""
        return self._upload_id

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

    def put(self, data: RequestBody) -> Written:
        """Publish `data` by one PutObject."""
        self._condition = require_guard(self._client, self._path, self._condition, multipart=False)
        self._move(State.COMPLETING)
        written = self._publish(
            lambda: self._client.put_object(self._path, data, self._condition, self._headers),
            lambda: _md5(data),
        )
        self._keep_tags()
        return written

    def copy(self, source: S3Path, info: ObjectInfo) -> Written:
        """Publish the version `info` of `source` by one CopyObject.

        Metadata is replaced only where it has to be: to change it, to carry our token, or to drop the
        source's.
        """
        self._condition = require_guard(self._client, self._path, self._condition, multipart=False, copy=True)
        self._move(State.COMPLETING)
        same = described(self._headers) == described(info.write_headers())
        headers = self._headers if not same or info.write_token else undescribed(self._headers)
        replace = headers is self._headers
        try:
            written = self._publish(
                lambda: self._client.copy_object(
                    source, self._path, info.etag, self._condition, headers, replace=replace
                ),
                lambda: info.etag,
            )
        except PreconditionFailedError as error:
            # Without a condition on the target only the pin can have failed.
            if not error.maybe_applied and (not self._condition or self._was_replaced(source, info)):
                raise _source_changed(source, error) from error
            raise
        self._keep_tags()
        return written

    def _was_replaced(self, source: S3Path, info: ObjectInfo) -> bool:
        """Whether the 412 of a copy may have come from its source and not from the condition.

        Raises the error of a look that was not answered: then nobody knows which of the two it was.
        """
        try:
            return not same_etag(self._client.head_object(source).etag, info.etag)
        except ObjectNotFoundError:
            return True

    # --- in parts ---

    def start(self) -> None:
        """CreateMultipartUpload."""
        self._condition = require_guard(self._client, self._path, self._condition, multipart=True)
        if self._has_room():  # a plain one too: its ETag proves nothing where ETags of parts are no MD5s
            self._mark()
        self._move(State.OPEN)
        try:
            self._upload_id = self._client.create_multipart_upload(self._path, self._headers)
        except BaseException:
            self._move(State.ABORTED)
            raise

    def restart(self) -> None:
        """Remove the upload with its parts, and start another."""
        self._remove_upload()
        self._upload_id, self._parts = "", []
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
        self._parts.append(self._client.upload_part(self._path, self._upload_id, number, data))

    def copy_part(self, number: int, source: S3Path, part: ByteRange, etag: str) -> None:
        """UploadPartCopy of a range of `source`, pinned to its `etag`."""
        try:
            copied = self._client.upload_part_copy(self._path, self._upload_id, number, source, part, etag)
        except PreconditionFailedError as error:
            raise _source_changed(source, error) from error
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
        written = self._publish(
            lambda: self._client.complete_multipart_upload(
                self._path, self._upload_id, self._parts, self._condition
            ),
            lambda: _multipart_digest(self._parts),
        )
        if not written.etag:  # some Ceph releases answer Complete with an empty ETag
            with suppress(GuardedS3Error):
                found = self._client.head_object(self._path)
                self.written = Written(found.etag, found.version_id)
        self._keep_tags()
        return self.written

    def abort(self) -> None:
        """Publish nothing and leave no upload behind. Never raises; does nothing in a final state.

        Waits for the store for a moment only: the upload is aborted in the background then. A resumed upload
        is left as it is, so that it can be resumed again.
        """
        removal = self.abandon()
        if removal is not None:
            wait_a_moment(removal)

    def abandon(self) -> Removal | None:
        """What `abort` does, without waiting at all: for destructors."""
        if self.state in (State.COMPLETED, State.ABORTED, State.UNKNOWN) or os.getpid() != self._pid:
            return None
        self._move(State.ABORTED)
        for task in tuple(self._tasks):
            task.cancel()
        if self._resumed or not self._upload_id:
            return in_background(self._drain, f"the parts of {self._path}") if self._tasks else None
        return in_background(self._remove_upload, f"upload {self._upload_id} of {self._path}")

    def _drain(self) -> None:
        while self._tasks:
            self._tasks.popleft().end()

    def _remove_upload(self) -> bool:
        """Abort the multipart upload. True when that proves that it was not completed."""
        self._drain()  # a part that arrives after the abort would stay
        if not self._upload_id:
            return False
        was_open = False
        for _ in range(2):
            try:
                self._client.abort_multipart_upload(self._path, self._upload_id)
                was_open = True
                if not self._client.list_parts(self._path, self._upload_id):
                    break
            except ObjectNotFoundError:
                break  # NoSuchUpload: it is gone
            except GuardedS3Error as error:
                logger.warning("could not abort upload %s of %s: %s", self._upload_id, self._path, error)
                break
        return was_open

    # --- publishing, and an answer that was lost ---

    def _publish(self, call: Callable[[], Written], digest: Callable[[], str]) -> Written:
        try:
            written = call()
        except EncryptionUnsupportedError:  # it is there, but not as it was to be
            self._move(State.UNKNOWN)
            raise
        except GuardedS3Error as error:
            return self._resolve(error, digest)
        except (FileChangedError, OSError) as error:  # of the local file
            if isinstance(error.__cause__, GuardedS3Error):  # an attempt before may have been applied
                return self._resolve(error.__cause__, digest)
            self.abort()
            raise
        except BaseException:
            self.abort()
            raise
        return self._completed(written)

    def _keep_tags(self) -> None:
        """Give the new object its tags once more where the store dropped them.

        Some do so for uploads in parts, and for copies with other metadata. S3 has no condition for it.
        """
        wanted = dict(parse_qsl(self._headers.get("x-amz-tagging", ""), keep_blank_values=True))
        if not wanted or self._client.is_aws(self._path.bucket):
            return
        try:
            found = self._client.head_object(self._path)
        except GuardedS3Error as error:
            logger.info("could not look whether %s has its tags: %s", self._path, error)
            return
        if found.tag_count >= len(wanted) or not same_etag(found.etag, self.written.etag):
            return
        place = S3Path(self._path.bucket, self._path.key, self.written.version_id)
        try:
            self._client.put_object_tags(place, wanted)
        except GuardedS3Error as error:
            error.message = f"the object was written, but the store dropped its tags: {error.message}"
            error.maybe_applied = True
            raise

    def _completed(self, written: Written) -> Written:
        self._move(State.COMPLETED)
        self.written = written
        return written

    def _resolve(self, error: GuardedS3Error, content: Callable[[], str]) -> Written:
        """Decide a failed publication: success with proof, a definite error, or WriteOutcomeUnknownError."""
        if not error.maybe_applied:
            raise self._failed(error)
        digest = content()
        found, looked = self._look()
        another = found
        settled = ""
        for _ in range(2 if self._upload_id else 0):
            if self._is_ours(found, digest):
                break
            settled = self._settle_upload()
            found, looked = self._look()  # a Complete that was on its way may have landed meanwhile
            another = found or another
            if settled != "unclear":
                break
        if found is not None and self._is_ours(found, digest):
            gone = isinstance(error, ObjectNotFoundError)  # NoSuchUpload
            if not (self._token and found.write_token == self._token) and not gone:
                self._remove_upload()  # equal content may be another writer's, and our upload still open
            return self._completed(Written(found.etag, found.version_id))
        if settled == "open":
            error.maybe_applied = False
            if another is not None and self._condition.create:
                raise self._failed(self._taken(error, maybe_applied=False)) from error
            raise self._failed(error)
        if another is not None and self._is_anothers(another, digest):
            raise self._failed(self._taken(error, maybe_applied=True)) from error
        if settled == "kept":
            looked += "; the upload is still open: resume it again"
        self._move(State.UNKNOWN)
        raise WriteOutcomeUnknownError(
            f"no attempt to write was answered clearly (the last one: {error.message}), and nothing proves "
            f"whether one was applied: {looked}",
            bucket=self._path.bucket,
            key=self._path.key,
            operation=error.operation,
            status=error.status,
            maybe_applied=True,
        ) from error

    def _failed(self, error: GuardedS3Error) -> GuardedS3Error:
        """Nothing was published: clean up, and say what may be done next."""
        if isinstance(error, ConflictError) and self._upload_id:
            self._remove_upload()
            self._upload_id, self._parts, self._resumed = "", [], False
            self._move(State.NEW)
        else:
            if isinstance(error, PreconditionFailedError):
                self._resumed = False  # no later attempt could publish it
            self.abort()
        return error

    def _look(self) -> tuple[ObjectInfo | None, str]:
        """The object that is there now, and what was seen in words."""
        try:
            found = self._client.head_object(self._path)
        except ObjectNotFoundError:
            return None, "there is no object now"
        except GuardedS3Error as error:
            return None, f"the object could not be looked at ({error.message})"
        if not found.etag:  # as on a portal's login page
            return None, "the object could not be looked at (HeadObject was answered without an ETag)"
        return found, f"an object with ETag {found.etag} is there, which may be another writer's"

    def _is_ours(self, found: ObjectInfo | None, digest: str) -> bool:
        """A write is proved by its token, a plain one by equal content too: its effect is there."""
        if found is None:
            return False
        if self._token and found.write_token == self._token:
            return True
        return self._shows and same_etag(found.etag, digest)

    def _is_anothers(self, found: ObjectInfo, digest: str) -> bool:
        """Whether `found` proves that the condition does not hold any more."""
        if not self._condition or same_etag(found.etag, self._condition.if_match or ""):
            return False
        if not self._token:
            return not same_etag(found.etag, digest)
        return bool(found.write_token) or keeps_tokens(self._client, self._path)

    def _taken(self, error: GuardedS3Error, *, maybe_applied: bool) -> GuardedS3Error:
        said = "the key was taken by" if self._condition.create else "the object was replaced by"
        return self._condition.failure(
            f"{said} another writer",
            bucket=self._path.bucket,
            key=self._path.key,
            operation=error.operation,
            status=error.status,
            maybe_applied=maybe_applied,
        )

    def _settle_upload(self) -> str:
        """Abort the multipart upload, and say what that proves.

        "open": it was not completed, and never can be now. "gone": it was completed, or aborted by another.
        "unclear": the store did not tell; a request that is on its way may complete it still. "kept": the
        same of one that is open, but was resumed, and is not given up for a proof.
        """
        try:
            self._client.list_parts(self._path, self._upload_id)
            self._seen_open = True  # some stores answer 204 to the abort of an upload that is not there
        except ObjectNotFoundError:
            return "gone"
        except GuardedS3Error as error:
            logger.info("could not look at upload %s of %s: %s", self._upload_id, self._path, error)
        if self._resumed:
            return "kept" if self._seen_open else "unclear"
        return "open" if self._remove_upload() and self._seen_open else "unclear"


def _source_changed(source: S3Path, error: PreconditionFailedError) -> ObjectChangedError:
    return ObjectChangedError(
        "the source was replaced before it was copied",
        bucket=source.bucket,
        key=source.key,
        operation=error.operation,
        status=error.status,
        code=error.code,
        request_id=error.request_id,
    )


def _md5(data: RequestBody) -> str:
    """What S3 makes the ETag of, "" for a file that does not have the bytes any more."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        for chunk in body_chunks(data):
            digest.update(chunk)
    except FileChangedError:
        return ""
    return digest.hexdigest()


def _multipart_digest(parts: list[Part]) -> str:
    """The ETag of a multipart object where part ETags are MD5s: md5 of the md5s, and the count."""
    ordered = sorted(parts, key=lambda part: part.number)
    try:
        joined = b"".join(bytes.fromhex(part.etag.strip('"')) for part in ordered)
    except ValueError:
        return ""
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(ordered)}"


@atexit.register
def _abort_live() -> None:
    finish(upload.abandon for upload in _live)
