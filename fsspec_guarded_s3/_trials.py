"""One trial for each guard: whether the store honours it, tried on fresh keys beside the one to be written.

Each trial stands alone and has two controls: what must be refused is refused, and what must be allowed is
allowed. What it made is removed whatever happens, and what cannot be removed is named.
"""

from __future__ import annotations

import enum
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from ._client import S3Client
from ._errors import (
    AccessDeniedError,
    ConfigurationError,
    ConflictError,
    GuardedS3Error,
    ObjectNotFoundError,
    PreconditionFailedError,
    PreconditionUnsupportedError,
    ProtocolError,
    ResponseError,
    ServerError,
    ThrottledError,
    TransportError,
)
from ._models import WRITE_TOKEN, Body, ByteRange, Condition, ObjectInfo, Written
from ._paths import S3Path
from ._reads import Cursor

logger = logging.getLogger("fsspec_guarded_s3")
_DATA = b"probe"
_WRONG = '"00000000000000000000000000000000"'
_ALWAYS = Condition()
_CREATE = Condition(create=True)
# What passes, or is the fault of a configuration: it says nothing about the store.
_PASSING = (ConfigurationError, TransportError, ServerError, ThrottledError, ConflictError)
# What a store says without an error code where it does not know a request: a proxy's 407, a redirect and the
# like are said by who stands before it.
_BARE_REFUSALS = frozenset({400, 404, 405, 412, 501})


class _Outcome(enum.Enum):
    """What became of a request: `REFUSED` by its condition, `FAILED` by anything else that is definite."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(slots=True)
class _Left:
    """What a trial wrote at one key. `unsure`: an answer was lost, or did not tell the version."""

    versions: list[str] = field(default_factory=list)
    unsure: bool = False


class Trial:
    """Trials of guards in the folder of `path`, a context manager that removes what they made.

    `age` is that of the bucket's facts when the last trial had written its first object: what it found holds
    while that is so.
    """

    def __init__(self, client: S3Client, path: S3Path) -> None:
        self._client = client
        folder = path.key.rpartition("/")[0]
        name = f".gs3-probe-{secrets.token_hex(8)}"
        self.key = path.child(f"{folder}/{name}" if folder else name)
        self._count = 0
        self._made: dict[S3Path, _Left] = {}
        self._uploads: dict[str, S3Path] = {}
        self._may_delete = False
        self._facts = client.store.facts(path.bucket)
        self.age = -1
        self.unquoted = False

    def __repr__(self) -> str:
        return f"<Trial {self.key} objects={len(self._made)}>"

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean()

    def run(self, name: str) -> bool:
        """Whether the store honours the guard `name`.

        Raises AccessDeniedError when the credentials may not find out, and the errors of requests that may
        fare better later; those are no answer.
        """
        self.age, self.unquoted = -1, False
        self._ask_to_delete()
        return _TRIALS[name](self)

    # --- what is tried ---

    def create(self) -> bool:
        key = self._fresh()
        return self._accepts(lambda: self._put(key, _CREATE)) and self._refuses(
            lambda: self._put(key, _CREATE)
        )

    def swap(self) -> bool:
        key = self._fresh()
        if self._outcome(lambda: self._put(key, Condition(if_match=_WRONG))) is _Outcome.ACCEPTED:
            return False  # it would bring back an object that somebody deleted
        etag = self._put(key).etag
        return self._swaps(etag, lambda condition: self._put(key, condition))

    def create_on_complete(self) -> bool:
        key = self._fresh()
        return self._accepts(lambda: self._complete(key, _CREATE)) and self._refuses(
            lambda: self._complete(key, _CREATE)
        )

    def swap_on_complete(self) -> bool:
        key = self._fresh()
        etag = self._put(key).etag
        return self._swaps(etag, lambda condition: self._complete(key, condition))

    def copy_create(self) -> bool:
        source, target = self._fresh(), self._fresh()
        etag = self._put(source).etag
        return self._accepts(lambda: self._copy(source, etag, target, _CREATE)) and self._refuses(
            lambda: self._copy(source, etag, target, _CREATE)
        )

    def copy_swap(self) -> bool:
        source, target = self._fresh(), self._fresh()
        pin, etag = self._put(source).etag, self._put(target, data=_DATA * 2).etag
        return self._swaps(etag, lambda condition: self._copy(source, pin, target, condition))

    def copy_source(self) -> bool:
        source, target = self._fresh(), self._fresh()
        etag = self._put(source).etag
        return self._refuses(lambda: self._copy(source, _WRONG, target)) and self._accepts(
            lambda: self._copy(source, etag, target)
        )

    def copy_source_parts(self) -> bool:
        source, target = self._fresh(), self._fresh()
        etag = self._put(source).etag
        upload_id = self._start(target)

        def copy(pin: str) -> None:
            with _SilenceMeansNo("UploadPartCopy"):
                whole = ByteRange(0, len(_DATA))
                self._client.multipart.upload_part_copy(target, upload_id, 1, source, whole, pin)

        return self._refuses(lambda: copy(_WRONG)) and self._accepts(lambda: copy(etag))

    def delete(self) -> bool:
        key = self._fresh()
        etag = self._put(key).etag
        return self._refuses(lambda: self._delete(key, _WRONG)) and self._accepts(
            lambda: self._delete(key, etag)
        )

    def delete_many(self) -> bool:
        key = self._fresh()
        etag = self._put(key).etag

        def delete(pin: str) -> None:
            self._made[key].unsure = self._facts.has_versions  # the answer does not tell the marker
            error = self._client.deletions.delete_objects(key.bucket, {key.key: pin}).get(key.key)
            if error is not None:
                raise error

        return self._refuses(lambda: delete(_WRONG)) and self._accepts(lambda: delete(etag))

    def pinned_get(self) -> bool:
        key = self._fresh()
        etag = self._put(key).etag
        return self._refuses(lambda: self._get(key, _WRONG)) and self._accepts(lambda: self._get(key, etag))

    def token(self) -> bool:
        key, token = self._fresh(), secrets.token_hex(8)
        self._put(key, headers={f"x-amz-meta-{WRITE_TOKEN}": token})
        return self._client.reads.head_object(key).write_token == token

    # An object that was changed has other bytes: those of the tags, or none.

    def put_object_tagging(self) -> bool:
        return self._spares(lambda key: self._client.subresources.put_object_tagging(key, {"gs3": "probe"}))

    def delete_object_tagging(self) -> bool:
        return self._spares(lambda key: self._client.subresources.put_object_tagging(key, {}))

    def put_object_acl(self) -> bool:
        return self._spares(lambda key: self._client.subresources.put_object_acl(key, "private"))

    def _spares(self, change: Callable[[S3Path], None]) -> bool:
        """Whether an object has its bytes after a `change` of what is beside them, refused or not."""
        key = self._fresh()
        self._put(key)
        self._made[key].unsure = True
        self._outcome(lambda: change(key))
        try:
            spared = self._client.reads.head_object(key).size == len(_DATA)
        except ObjectNotFoundError:
            return False
        self._made[key].unsure = not spared
        return spared

    def _swaps(self, etag: str, write: Callable[[Condition], object]) -> bool:
        """Whether `write` needs the right ETag; RGW knows it without its quotes only."""
        for unquoted in (False, True):
            wrong = Condition(if_match=_WRONG, unquoted=unquoted)
            if not self._refuses(lambda wrong=wrong: write(wrong)):  # type: ignore[misc]
                return False
            right = Condition(if_match=etag, unquoted=unquoted)
            if self._accepts(lambda right=right: write(right)):  # type: ignore[misc]
                self.unquoted = unquoted
                return True
        return False

    # --- what an answer means ---

    def _accepts(self, call: Callable[[], object]) -> bool:
        return self._outcome(call) is _Outcome.ACCEPTED

    def _refuses(self, call: Callable[[], object]) -> bool:
        return self._outcome(call) is _Outcome.REFUSED

    def _outcome(self, call: Callable[[], object]) -> _Outcome:
        try:
            call()
        except PreconditionFailedError as error:
            if error.maybe_applied:  # perhaps an attempt before was accepted, and this is its doing
                raise TransportError("an answer was lost", operation=error.operation) from error
            return _Outcome.REFUSED
        except (AccessDeniedError, *_PASSING):
            raise
        except GuardedS3Error as error:
            if isinstance(error, ObjectNotFoundError) and error.code == "NoSuchBucket":
                raise
            if isinstance(error, ResponseError) and not error.code and error.status not in _BARE_REFUSALS:
                raise
            logger.info("the store failed a request of a probe: %s", error)
            return _Outcome.FAILED
        return _Outcome.ACCEPTED

    # --- requests ---

    def _fresh(self) -> S3Path:
        self._count += 1
        return self.key.child(f"{self.key.key}-{self._count}")

    def _ask_to_delete(self) -> None:
        """Ask before anything is written that could not be removed again; there is no such key."""
        if self._may_delete:
            return
        try:
            self._delete(self._fresh(), _WRONG)
        except (AccessDeniedError, *_PASSING):
            raise
        except GuardedS3Error as error:
            logger.debug("deleting a key that is not there: %s", error)
        self._may_delete = True

    def _put(
        self,
        key: S3Path,
        condition: Condition = _ALWAYS,
        headers: dict[str, str] | None = None,
        data: bytes = _DATA,
    ) -> Written:
        return self._making(key, lambda: self._client.writes.put_object(key, data, condition, headers or {}))

    def _copy(self, source: S3Path, etag: str, target: S3Path, condition: Condition = _ALWAYS) -> None:
        with _SilenceMeansNo("CopyObject"):
            self._making(target, lambda: self._client.writes.copy_object(source, target, etag, condition))

    def _complete(self, key: S3Path, condition: Condition) -> None:
        upload_id = self._start(key)
        part = self._client.multipart.upload_part(key, upload_id, 1, _DATA)
        complete = self._client.multipart.complete_multipart_upload
        self._making(key, lambda: complete(key, upload_id, [part], condition))
        del self._uploads[upload_id]

    def _start(self, key: S3Path) -> str:
        try:
            upload_id = self._client.multipart.create_multipart_upload(key, {})
        except GuardedS3Error as error:
            if error.maybe_applied:  # the key is ours alone, so are the uploads to it
                with suppress(GuardedS3Error):
                    for item in self._client.multipart.list_multipart_uploads(key.bucket, key.key):
                        self._uploads[item.upload_id] = key.child(item.key)
            raise
        self._uploads[upload_id] = key
        return upload_id

    def _delete(self, key: S3Path, etag: str) -> None:
        left = self._made.get(key)
        try:
            marker = self._client.deletions.delete_object(key, if_match=etag)
        except GuardedS3Error as error:
            if error.maybe_applied and self._facts.has_versions:
                self._made.setdefault(key, _Left()).unsure = True  # perhaps of a delete marker
            raise
        if marker:
            self._made.setdefault(key, _Left()).versions.append(marker)
        elif left is not None and not left.versions:
            del self._made[key]

    def _get(self, key: S3Path, etag: str) -> None:
        """A pinned read; the client compares ETags itself, so the status decides here."""

        def drain(body: Body, cursor: Cursor) -> None:
            cursor.position += body.readinto(memoryview(bytearray(8)))

        try:
            self._client.reads.get_range(key, Cursor(0, 1), ObjectInfo(etag, len(_DATA)), drain)
        except PreconditionFailedError as error:
            if error.status != 412:
                raise PreconditionUnsupportedError("If-Match was ignored by a GET") from error
            raise

    def _making(self, key: S3Path, call: Callable[[], Written]) -> Written:
        """Make a write, and note what it left at `key`."""
        try:
            written = call()
        except BaseException as error:
            refused = isinstance(error, GuardedS3Error) and not error.maybe_applied
            if not refused or isinstance(error, ProtocolError):
                self._made.setdefault(key, _Left()).unsure = True
            raise
        left = self._made.setdefault(key, _Left())
        if written.version_id:
            left.versions.append(written.version_id)
        if self.age < 0:
            self.age = self._facts.age
        return written

    # --- leaving nothing ---

    def _clean(self) -> None:
        for upload_id, key in self._uploads.items():
            try:
                self._client.multipart.abort_multipart_upload(key, upload_id)
            except ObjectNotFoundError:
                continue
            except GuardedS3Error as error:
                logger.warning("a probe left the upload %s of %s: %s", upload_id, key, error.message)
        for key, left in self._made.items():
            try:
                self._remove(key, left)
            except GuardedS3Error as error:
                logger.warning("a probe left %s: %s", key, error.message)

    def _remove(self, key: S3Path, left: _Left) -> None:
        """Delete the versions that are known, look, and hide what cannot be deleted."""
        kept = self._remove_versions(key, left.versions)
        if not left.versions or left.unsure or self._is_there(key, bool(kept)):
            marker = self._client.deletions.delete_object(key)
            if marker and not kept:  # there are versions that no answer told of, as CopyObject of RGW
                kept = self._remove_versions(key, self._listed(key) or [marker])
        if kept:
            logger.warning(
                "a probe left %d version(s) of %s under a delete marker: deleting versions takes "
                "s3:DeleteObjectVersion, and in a bucket with Object Lock the end of their retention",
                kept,
                key,
            )

    def _listed(self, key: S3Path) -> list[str]:
        pages = self._client.listings.list_object_versions(key.bucket, key.key)
        return [row.version_id for page in pages for row in page.versions if row.key == key.key]

    def _remove_versions(self, key: S3Path, versions: list[str]) -> int:
        """Delete versions by their ids; returns how many may not be deleted."""
        kept = 0
        for version in dict.fromkeys(versions):
            try:
                self._client.deletions.delete_object(S3Path(key.bucket, key.key, version))
            except ObjectNotFoundError:
                continue
            except AccessDeniedError:
                kept += 1
        return kept

    def _is_there(self, key: S3Path, unless_told: bool) -> bool:
        """Whether the key shows an object still: gofakes3 tells versions that it does not have."""
        try:
            self._client.reads.head_object(key)
        except ObjectNotFoundError:
            return False
        except AccessDeniedError:
            return unless_told
        return True


class _SilenceMeansNo:
    """A copy that is answered 200 and with nothing, each time, is none: rclone does so."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ProtocolError):
            raise PreconditionUnsupportedError(f"{self._operation} was answered with nothing") from error


_TRIALS: dict[str, Callable[[Trial], bool]] = {
    "create": Trial.create,
    "swap": Trial.swap,
    "create_on_complete": Trial.create_on_complete,
    "swap_on_complete": Trial.swap_on_complete,
    "delete": Trial.delete,
    "delete_many": Trial.delete_many,
    "pinned_get": Trial.pinned_get,
    "copy_source": Trial.copy_source,
    "copy_source_parts": Trial.copy_source_parts,
    "copy_create": Trial.copy_create,
    "copy_swap": Trial.copy_swap,
    "token": Trial.token,
    "PutObjectTagging": Trial.put_object_tagging,
    "DeleteObjectTagging": Trial.delete_object_tagging,
    "PutObjectAcl": Trial.put_object_acl,
}
