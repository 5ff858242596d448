"""Temporary objects of a probe: requests on fresh keys, what each left there, and its removal.

Each request notes what it may have left: the versions that it was told, whether an answer was lost, and
multipart uploads. `remove` removes all that, also where the answer to a delete is a delete marker.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from .._s3.client import S3Client
from .._s3.reads import Cursor
from .._values.conditions import Condition, same_etag
from .._values.models import Body, ByteRange, ObjectInfo, Written
from .._values.paths import S3Path
from ..errors import (
    AccessDeniedError,
    GuardedS3Error,
    ObjectNotFoundError,
    PreconditionFailedError,
    PreconditionUnsupportedError,
    ProtocolError,
)

logger = logging.getLogger("fsspec_guarded_s3")
DATA = b"probe"
_NO_CONDITION = Condition()


@dataclass(slots=True)
class _Remains:
    """What was written at one key. `unsure`: an answer was lost, or did not tell the version."""

    versions: list[str] = field(default_factory=list)
    unsure: bool = False


class TemporaryObjects:
    """Objects in the folder of `path`.

    `age` is that of the bucket's facts when the first object had been written after `begin`, -1 before.
    """

    def __init__(self, client: S3Client, path: S3Path) -> None:
        self._client = client
        folder = path.key.rpartition("/")[0]
        name = f".gs3-probe-{secrets.token_hex(8)}"
        self.key = path.child(f"{folder}/{name}" if folder else name)
        self._count = 0
        self._made: dict[S3Path, _Remains] = {}
        self._uploads: dict[str, S3Path] = {}
        self._unanswered: S3Path | None = None  # where an upload may have begun whose id nobody told
        self._facts = client.store.facts(path.bucket)
        self.age = -1

    def __repr__(self) -> str:
        return f"<TemporaryObjects {self.key} objects={len(self._made)}>"

    def begin(self) -> None:
        """Forget the age: another trial begins."""
        self.age = -1

    def fresh(self) -> S3Path:
        """A key that nobody has used."""
        self._count += 1
        return self.key.child(f"{self.key.key}-{self._count}")

    def put(
        self,
        key: S3Path,
        condition: Condition = _NO_CONDITION,
        headers: dict[str, str] | None = None,
        data: bytes = DATA,
    ) -> Written:
        """PutObject."""
        put = self._client.writes.put_object
        return self._write(key, lambda: put(key, data, condition, headers or {}), condition)

    def copy(
        self,
        source: S3Path,
        etag: str,
        target: S3Path,
        condition: Condition = _NO_CONDITION,
        as_rgw: bool | None = None,
    ) -> None:
        """CopyObject. Raises PreconditionUnsupportedError where it is answered with nothing."""
        with _SilenceMeansNo("CopyObject"):
            copy = self._client.writes.copy_object
            self._write(target, lambda: copy(source, target, etag, condition, as_rgw=as_rgw), condition)

    def rename(self, source: S3Path, etag: str, target: S3Path, condition: Condition = _NO_CONDITION) -> None:
        """RenameObject, which leaves something at both keys where it is taken for another operation."""

        def rename() -> Written:
            token = secrets.token_hex(16)
            self._client.writes.rename_object(source, target, etag, token, condition)
            return Written("")

        self._write(target, rename, condition)

    def append(self, key: S3Path, offset: int, condition: Condition) -> None:
        """PutObject at an offset, which replaces the object where that is ignored."""
        append = self._client.writes.append_object
        self._write(key, lambda: append(key, DATA, offset, condition), condition)

    def size(self, key: S3Path) -> int:
        """Bytes of the object at `key`. HeadObject."""
        return self._client.reads.head_object(key).size

    def is_version(self, key: S3Path, etag: str) -> bool:
        """Whether the object at `key` has this ETag; "" asks whether there is none."""
        try:
            return same_etag(self._client.reads.head_object(key).etag, etag)
        except ObjectNotFoundError:
            return not etag

    def complete(self, key: S3Path, condition: Condition) -> None:
        """An upload of one part, up to CompleteMultipartUpload under `condition`."""
        upload_id = self.start(key)
        part = self._client.multipart.upload_part(key, upload_id, 1, DATA)
        complete = self._client.multipart.complete_multipart_upload
        self._write(key, lambda: complete(key, upload_id, [part], condition), condition)
        del self._uploads[upload_id]

    def start(self, key: S3Path) -> str:
        """CreateMultipartUpload; returns the id."""
        try:
            upload_id = self._client.multipart.create_multipart_upload(key, {})
        except BaseException as error:
            if not isinstance(error, GuardedS3Error) or error.maybe_applied:
                self._unanswered = key
            raise
        self._uploads[upload_id] = key
        return upload_id

    def survives_abort(self, key: S3Path) -> bool:
        """Whether the object is there after the abort of the uploads to its key: S3Mock deletes it."""
        for upload_id in [upload_id for upload_id, path in self._uploads.items() if path == key]:
            try:
                self._client.multipart.abort_multipart_upload(key, upload_id)
            except AccessDeniedError:
                return True  # so nothing is ever aborted
            except ObjectNotFoundError:
                pass
            del self._uploads[upload_id]
        there = self._is_there(key, True)
        self._made[key].unsure |= not there
        return there

    def delete(self, key: S3Path, condition: Condition) -> None:
        """DeleteObject under `condition`."""
        remains = self._made.get(key)
        try:
            marker = self._client.deletions.delete_object(key, condition)
        except GuardedS3Error as error:
            if error.maybe_applied and self._facts.has_versions:
                self._made.setdefault(key, _Remains()).unsure = True  # perhaps of a delete marker
            raise
        if marker:
            self._made.setdefault(key, _Remains()).versions.append(marker)
        elif remains is not None and not remains.versions:
            del self._made[key]

    def delete_many(self, key: S3Path, etag: str) -> None:
        """DeleteObjects of one key with its ETag."""
        self._made[key].unsure = self._facts.has_versions  # the answer does not name the delete marker
        error = self._client.deletions.delete_objects(key.bucket, {key.key: etag}).get(key.key)
        if error is not None:
            raise error

    def copy_part(self, source: S3Path, etag: str, target: S3Path, upload_id: str) -> None:
        """UploadPartCopy. Raises PreconditionUnsupportedError where it is answered with nothing."""
        with _SilenceMeansNo("UploadPartCopy"):
            part = ByteRange(0, len(DATA))
            self._client.multipart.upload_part_copy(target, upload_id, 1, source, part, etag)

    def set_unsure(self, key: S3Path, unsure: bool) -> None:
        """Note whether another request may have left something at `key`."""
        self._made[key].unsure = unsure

    def get(self, key: S3Path, etag: str) -> None:
        """GetObject under If-Match; the client compares ETags itself, so the status decides here."""

        def drain(body: Body, cursor: Cursor) -> None:
            cursor.position += body.readinto(memoryview(bytearray(8)))

        try:
            self._client.reads.get_range(key, Cursor(0, 1), ObjectInfo(etag, len(DATA)), drain)
        except PreconditionFailedError as error:
            if error.status != 412:
                raise PreconditionUnsupportedError("If-Match was ignored by a GET") from error
            raise

    def holds(self, key: S3Path, etag: str, data: bytes) -> bool:
        """Whether the object at `key` has this ETag still, and a read of it gives `data`. GetObject."""
        kept = bytearray(len(data))

        def drain(body: Body, cursor: Cursor) -> None:
            while count := body.readinto(memoryview(kept)[cursor.position :]):
                cursor.position += count

        try:
            self._client.reads.get_range(key, Cursor(0, len(data)), ObjectInfo(etag, len(data)), drain)
        except (PreconditionFailedError, ProtocolError):
            return False
        return kept == data

    def _write(self, key: S3Path, call: Callable[[], Written], condition: Condition) -> Written:
        """Make a request that writes, and note what it left at `key`."""
        try:
            written = call()
        except BaseException as error:
            refused = isinstance(error, GuardedS3Error) and not error.maybe_applied
            # A fresh key that is taken, an upload that is gone: a front end may have sent the request twice.
            taken = condition.create and isinstance(error, PreconditionFailedError)
            echo = (taken or isinstance(error, ObjectNotFoundError)) and key not in self._made
            if not refused or echo or isinstance(error, ProtocolError):
                self._made.setdefault(key, _Remains()).unsure = True
            raise
        remains = self._made.setdefault(key, _Remains())
        if written.version_id:
            remains.versions.append(written.version_id)
        if self.age < 0:
            self.age = self._facts.age
        return written

    # --- removal ---

    def remove(self) -> None:
        """Remove what is left. What cannot be removed is named in a warning."""
        if self._unanswered is not None:  # the key is ours alone, so are the uploads to it
            bucket, prefix = self._unanswered.bucket, self._unanswered.key
            with suppress(GuardedS3Error):
                for item in self._client.multipart.list_multipart_uploads(bucket, prefix):
                    self._uploads[item.upload_id] = self._unanswered.child(item.key)
        for upload_id, key in self._uploads.items():
            try:
                self._client.multipart.abort_multipart_upload(key, upload_id)
            except ObjectNotFoundError:
                continue
            except GuardedS3Error as error:
                logger.warning("a probe left the upload %s of %s: %s", upload_id, key, error.message)
        for key, remains in self._made.items():
            try:
                self._delete_all(key, remains)
            except ObjectNotFoundError:  # there is no bucket, so nothing was left
                continue
            except GuardedS3Error as error:
                logger.warning("a probe left %s: %s", key, error.message)

    def _delete_all(self, key: S3Path, remains: _Remains) -> None:
        """Delete the versions that are known, look, and hide what cannot be deleted."""
        kept = self._delete_versions(key, remains.versions)
        if not remains.versions or remains.unsure or self._is_there(key, bool(kept)):
            marker = self._client.deletions.delete_object(key)
            if marker and not kept:  # there are versions that no answer told of, as CopyObject of RGW
                kept = self._delete_versions(key, self._list_versions(key) or [marker])
        if kept:
            logger.warning(
                "a probe left %d version(s) of %s under a delete marker: deleting versions takes "
                "s3:DeleteObjectVersion, and in a bucket with Object Lock the end of their retention",
                kept,
                key,
            )

    def _list_versions(self, key: S3Path) -> list[str]:
        pages = self._client.listings.list_object_versions(key.bucket, key.key)
        return [row.version_id for page in pages for row in page.versions if row.key == key.key]

    def _delete_versions(self, key: S3Path, versions: list[str]) -> int:
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

    def _is_there(self, key: S3Path, if_forbidden: bool) -> bool:
        """Whether the key still shows an object: gofakes3 answers version ids that it does not have.

        Returns `if_forbidden` where the credentials may not look.
        """
        try:
            self._client.reads.head_object(key)
        except ObjectNotFoundError:
            return False
        except AccessDeniedError:
            return if_forbidden
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
