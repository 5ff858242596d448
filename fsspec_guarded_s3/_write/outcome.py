"""Was it applied? How to find out what became of a write when its answer was lost.

Theory of operation. One request publishes an object: PutObject, CopyObject or CompleteMultipartUpload. When
its answer is lost (a time-out, a reset, a 500), or when a repetition is refused for what the first attempt
itself may have done (412, NoSuchUpload), the error says `maybe_applied`. Until something else proves what
happened, the object may be there, may still come, or may never come. Proofs, strongest first:

1. *Write token.* Conditional writes and multipart uploads carry a random value as user metadata. An object
   that HeadObject shows with our token was written by us: APPLIED. If its size or checksum are others than
   ours, somebody has replaced it since and kept the metadata: APPLIED, and its ETag is not ours to tell.
2. *ETag.* A write without a condition has done what it is for once its content is there, whoever wrote it:
   an object with the ETag of our bytes means APPLIED. This proves nothing under a condition, where it matters
   who wrote, nor for content that was there before (a copy of an object onto itself).
3. *Upload still open.* An upload that ListParts finds was not completed; AbortMultipartUpload makes sure that
   it never will be. Then another HeadObject, since a Complete may have landed between those two: without our
   object there it is NOT_APPLIED. ListParts is needed because some stores answer 204 to the abort of an
   upload that does not exist. A resumed upload is not given up for a proof, so it proves nothing here.
4. *Somebody else's object.* Where the condition does not hold any more, no attempt of ours that is still on
   its way can succeed: TAKEN. Ours may have been there in between, so the error still says `maybe_applied`.
   An object without a token proves that another writer made it only where the store keeps user metadata.

A refusal of the only attempt is looked into as well where it is of the kind that a write causes itself: a
front end may send a request twice, and the answer to the second is the one that comes back (`echoed`). Our
token is the proof then, and without it the refusal counts.

Without any of these the outcome stays UNKNOWN, and nothing is guessed or repeated. `settle` asks the store.
It changes nothing, except that it aborts a multipart upload. By the outcome `upload` returns or raises.

S3: HeadObject, ListParts, AbortMultipartUpload; conditional writes:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .._s3.client import S3Client
from .._values.attribute_values import MAX_METADATA
from .._values.bodies import RequestBody, body_size
from .._values.checksums import Crc, body_crc, body_md5, combined_crc
from .._values.conditions import Condition, same_etag
from .._values.models import META, WRITE_TOKEN, ObjectInfo, Part, Written
from .._values.paths import S3Path
from ..errors import (
    FileChangedError,
    GuardedS3Error,
    ObjectChangedError,
    ObjectNotFoundError,
    PreconditionFailedError,
    WriteOutcomeUnknownError,
)
from .aborting import abort_upload
from .guards import keeps_tokens

logger = logging.getLogger("fsspec_guarded_s3")


class Outcome(enum.Enum):
    """What became of a write."""

    APPLIED = "applied"
    NOT_APPLIED = "not applied"  # and it never will be
    TAKEN = "taken"  # by another writer, against the condition
    UNKNOWN = "unknown"


class Settled(NamedTuple):
    """What is known of a write: `written` where it was applied, `evidence` in words where that is unknown.

    `maybe_applied` says whether it may have been there, although another writer's object is there now.
    """

    outcome: Outcome
    written: Written = Written("")
    evidence: str = ""
    maybe_applied: bool = False


class Content(NamedTuple):
    """What is known of the bytes of a write: ETag where ETags are MD5s ("": unknown), size and checksum.

    The `checksum` is (algorithm, base64 text), as in `ObjectInfo`, or None.
    """

    etag: str
    size: int
    checksum: tuple[str, str] | None = None

    def differs_from(self, found: ObjectInfo) -> bool:
        """Whether `found` certainly has other bytes."""
        if same_etag(found.etag, self.etag):
            return False
        if found.size != self.size:
            return True
        if self.checksum is None or found.checksum is None:
            return False
        return self.checksum[0] == found.checksum[0] and self.checksum != found.checksum


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """A write that waits for its answer, and by what its object would be recognised.

    `token` is "" where the write carries none; `etag_proves` says whether an object with the ETag of
    `content` proves the write. `upload_id` is "" for a write by one request; an upload that was `resumed` is
    never aborted for a proof.
    """

    path: S3Path
    condition: Condition
    token: str
    content: Content
    etag_proves: bool
    upload_id: str = ""
    resumed: bool = False

    def has_made(self, found: ObjectInfo | None) -> bool:
        """Whether `found` proves that this write was applied."""
        if found is None:
            return False
        return self.has_marked(found) or (self.etag_proves and same_etag(found.etag, self.content.etag))

    def has_marked(self, found: ObjectInfo) -> bool:
        """Whether `found` carries the token of this write."""
        return bool(self.token) and found.write_token == self.token


class _Upload(enum.Enum):
    """What ListParts and AbortMultipartUpload told about the multipart upload of a write."""

    NONE = enum.auto()  # there is none: the write is one request
    CLOSED = enum.auto()  # it was open, so not completed, and is aborted now
    GONE = enum.auto()  # it was completed, or aborted by somebody else
    KEPT = enum.auto()  # it is open, so not completed; a request on its way may still complete it
    UNCLEAR = enum.auto()  # the store did not answer


def settle(client: S3Client, write: PendingWrite, error: GuardedS3Error) -> Settled:
    """Find out what became of `write`, whose last attempt ended with `error`."""
    found, evidence = look(client, write.path)
    rival = found
    upload, was_open = _Upload.NONE, False
    for _ in range(2 if write.upload_id else 0):
        if write.has_made(found):
            break
        upload, was_open = _close_upload(client, write, was_open)
        found, evidence = look(client, write.path)  # a Complete that was on its way may have landed
        rival = found or rival
        if upload is not _Upload.UNCLEAR:
            break
    if found is not None and write.has_made(found):
        if write.upload_id and not write.has_marked(found) and not isinstance(error, ObjectNotFoundError):
            # Equal content may be another writer's, and our upload still open; NoSuchUpload says it is not.
            abort_upload(client, write.path, write.upload_id)
        if write.content.differs_from(found):  # who replaced ours kept its metadata, and with it the token
            return Settled(Outcome.APPLIED)
        return Settled(Outcome.APPLIED, Written(found.etag, found.version_id))
    if upload is _Upload.CLOSED:
        is_taken = rival is not None and write.condition.create
        return Settled(Outcome.TAKEN if is_taken else Outcome.NOT_APPLIED)
    if rival is not None and _defeats(client, rival, write):
        return Settled(Outcome.TAKEN, maybe_applied=True)
    if upload is _Upload.KEPT:
        evidence += "; the upload is still open: resume it again"
    return Settled(Outcome.UNKNOWN, evidence=evidence)


def echoed(
    client: S3Client, path: S3Path, token: str, error: GuardedS3Error, content: Callable[[], Content]
) -> Written | None:
    """What a write with `token` has made although its one attempt was refused; None without proof of that.

    A front end between here and the store may have sent it twice: the second finds the object of the first
    (412), or its upload gone (NoSuchUpload). There is none before AWS, so a 412 of AWS is believed.
    """
    is_refused = isinstance(error, PreconditionFailedError) and not client.store.is_aws(path.bucket)
    is_gone = isinstance(error, ObjectNotFoundError) and error.code == "NoSuchUpload"
    if not token or not (is_refused or is_gone):
        return None
    found, _ = look(client, path)
    if found is None or found.write_token != token:
        return None
    logger.info("%s was refused, and the object is ours: it was sent twice on its way", error.operation)
    return Written("") if content().differs_from(found) else Written(found.etag, found.version_id)


def look(client: S3Client, path: S3Path) -> tuple[ObjectInfo | None, str]:
    """The object that is there now, None where none was seen; and what was seen in words."""
    try:
        found = client.reads.head_object(path)
        client.buckets.check_store(path.bucket, found.headers)
    except ObjectNotFoundError:
        return None, "there is no object now"
    except GuardedS3Error as error:
        return None, f"the object could not be looked at ({error.message})"
    if not found.etag:  # as on a portal's login page
        return None, "the object could not be looked at (HeadObject was answered without an ETag)"
    return found, f"an object with ETag {found.etag} is there, which may be another writer's"


def with_etag(client: S3Client, path: S3Path, written: Written, token: str) -> Written:
    """`written` as Complete answered it, with the ETag of the object where the answer had an empty one.

    Some Ceph releases answer so; HeadObject tells then, unless an object without our `token` is there.
    """
    if written.etag:
        return written
    found, _ = look(client, path)
    is_ours = found is not None and token in ("", found.write_token)
    return Written(found.etag, found.version_id) if found is not None and is_ours else written


def _close_upload(client: S3Client, write: PendingWrite, was_open: bool) -> tuple[_Upload, bool]:
    """Abort the multipart upload, unless it was resumed.

    `was_open` says whether an earlier look saw it open. Returns what is known now, and `was_open` anew.
    """
    try:
        client.multipart.list_parts(write.path, write.upload_id)
        was_open = True
    except ObjectNotFoundError:
        return _Upload.GONE, was_open
    except GuardedS3Error as error:
        logger.info("could not look at upload %s of %s: %s", write.upload_id, write.path, error)
    if write.resumed:
        return (_Upload.KEPT if was_open else _Upload.UNCLEAR), was_open
    is_aborted = abort_upload(client, write.path, write.upload_id)
    return (_Upload.CLOSED if is_aborted and was_open else _Upload.UNCLEAR), was_open


def _defeats(client: S3Client, found: ObjectInfo, write: PendingWrite) -> bool:
    """Whether `found`, which is not of `write`, proves that the condition does not hold any more."""
    if not write.condition or same_etag(found.etag, write.condition.if_match or ""):
        return False
    if not write.token:
        return not same_etag(found.etag, write.content.etag)
    return bool(found.write_token) or keeps_tokens(client, write.path)


# --- a copy that was refused: by the condition on its target, or by the pin of its source? ------------


def was_replaced(client: S3Client, source: S3Path, etag: str) -> bool:
    """Whether the source of a copy has another ETag than `etag` now, or is gone.

    Raises the error of a HeadObject that failed otherwise: then nobody knows why the copy was refused.
    """
    try:
        return not same_etag(client.reads.head_object(source).etag, etag)
    except ObjectNotFoundError:
        return True


def source_changed_error(source: S3Path, error: GuardedS3Error, what: str = "copied") -> ObjectChangedError:
    """The exception for a copy that was refused because its source is another version by now.

    `what` would have been done with it.
    """
    return ObjectChangedError(
        f"the source was replaced before it was {what}",
        bucket=source.bucket,
        key=source.key,
        operation=error.operation,
        status=error.status,
        code=error.code,
        request_id=error.request_id,
    )


# --- the errors of a write that is settled ---------------------------------------------------------


def taken_error(
    write: PendingWrite, error: GuardedS3Error, *, maybe_applied: bool
) -> PreconditionFailedError:
    """The exception for TAKEN: ObjectExistsError for a create, else ObjectChangedError."""
    event = "the key was taken by" if write.condition.create else "the object was replaced by"
    return write.condition.failure(
        f"{event} another writer",
        bucket=write.path.bucket,
        key=write.path.key,
        operation=error.operation,
        status=error.status,
        maybe_applied=maybe_applied,
    )


def unknown_error(write: PendingWrite, error: GuardedS3Error, evidence: str) -> WriteOutcomeUnknownError:
    """The exception for UNKNOWN."""
    return WriteOutcomeUnknownError(
        f"no attempt to write was answered clearly (the last one: {error.message}), and nothing proves "
        f"whether one was applied: {evidence}",
        bucket=write.path.bucket,
        key=write.path.key,
        operation=error.operation,
        status=error.status,
        maybe_applied=True,
    )


# --- by what an object is recognised ---------------------------------------------------------------


def has_room_for_token(headers: Mapping[str, str]) -> bool:
    """Whether a write token of 32 characters fits into the user metadata of `headers`, which S3 limits."""
    metadata = {name.removeprefix(META): text for name, text in headers.items() if name.startswith(META)}
    return sum(map(len, (*metadata, *metadata.values()))) <= MAX_METADATA - len(WRITE_TOKEN) - 32


def content_of(data: RequestBody) -> Content:
    """What is known of an object of these bytes; nothing but its size of a file that has others by now."""
    size = body_size(data)
    try:
        return Content(body_md5(data).hex(), size, _told(body_crc(data)))
    except FileChangedError:
        return Content("", size)


def content_of_parts(parts: Sequence[Part]) -> Content:
    """What is known of an object of these parts. Its ETag is that of their MD5s, with their number."""
    ordered = sorted(parts, key=lambda part: part.number)
    size = sum(part.size for part in ordered)
    crcs = [(part.crc, part.size) for part in ordered if part.crc is not None]
    checksum = _told(combined_crc(crcs) if len(crcs) == len(ordered) else None)
    try:
        joined = b"".join(bytes.fromhex(part.etag.strip('"')) for part in ordered)
    except ValueError:
        return Content("", size, checksum)
    return Content(f"{body_md5(joined).hex()}-{len(ordered)}", size, checksum)


def _told(crc: Crc | None) -> tuple[str, str] | None:
    return (crc.algorithm, crc.text()) if crc is not None else None
