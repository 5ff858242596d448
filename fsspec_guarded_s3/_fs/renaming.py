"""Moving an object in a directory bucket by one request: RenameObject, instead of a copy and a delete.

Theory of operation. The rename is pinned to the version of the source that was looked at, and may carry a
condition on the target. S3 does it in one step: at any time the object is at one of the two keys, with its
ETag, times and metadata. All attempts have one client token, so S3 renames once, however many arrive.

If no attempt was answered clearly, two looks can prove what happened:

- the source is gone, or another version, and the target has the ETag that the source had: RENAMED. Directory
  buckets give each version an ETag of its own, so a target with it can only be our object. Where ETags may be
  MD5s, another writer's object could have the same one. Then that proves a rename only if it has no condition
  on the target: what it is for has been done.
- the source is another version, and the target is not ours: no attempt that is still on its way can succeed,
  but ours may have been there in between. ObjectChangedError, which may be applied.
- a condition on the target does not hold: the same, by the exception of the condition.

In all other cases nothing is proved: WriteOutcomeUnknownError.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-buckets-objects-rename.html: what it keeps,
and that it does not succeed for keys that end with a slash.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-differences.html: what ETags are there.
"""

from __future__ import annotations

import secrets
from typing import NoReturn

from .._s3.client import S3Client
from .._values.conditions import UNCONDITIONAL, Condition, same_etag
from .._values.models import ObjectInfo
from .._values.paths import S3Path, check_new_key, is_directory_bucket
from .._write.guards import has_operation, learn_missing
from .._write.outcome import (
    Content,
    PendingWrite,
    source_changed_error,
    taken_error,
    unknown_error,
)
from ..errors import (
    GuardedS3Error,
    ObjectChangedError,
    ObjectNotFoundError,
    OperationNotImplementedError,
    PreconditionFailedError,
)
from .directories import look_at
from .object_headers import ObjectHeaders
from .rows import Row

_OPERATION = "RenameObject"


class Renamer:
    """Renames objects where the store can do so."""

    def __init__(self, client: S3Client, headers: ObjectHeaders) -> None:
        self._client = client
        self._headers = headers

    def can(self, source: S3Path, target: S3Path) -> bool:
        """Whether `source` can be renamed to `target`. Outside of AWS a trial finds out, once.

        Not where the options name encryption, storage class or the like, which a copy would have.
        """
        return (
            source.bucket == target.bucket
            and is_directory_bucket(source.bucket)
            and source.version_id is None
            and bool(source.key and target.key)
            and not source.key.endswith("/")
            and not target.key.endswith("/")
            and self._headers.are_plain
            and has_operation(self._client, target, _OPERATION)
        )

    def rename_listed(self, source: S3Path, target: S3Path, row: Row, condition: Condition) -> bool:
        """Rename what a listing told of, or what has replaced it. False where the store cannot rename."""
        try:
            return self.rename(source, target, ObjectInfo(row["ETag"], row["size"]), condition)
        except ObjectChangedError as error:
            if error.maybe_applied or error.key != source.key:
                raise
        return self.look_and_rename(source, target, condition)

    def look_and_rename(self, source: S3Path, target: S3Path, condition: Condition) -> bool:
        """Rename what is there now. FileNotFoundError where nothing is."""
        return self.rename(source, target, look_at(self._client, source), condition)

    def rename(
        self, source: S3Path, target: S3Path, info: ObjectInfo, condition: Condition = UNCONDITIONAL
    ) -> bool:
        """Rename the version `info` of `source`. False where the store says that it has no such operation.

        Raises ObjectChangedError where the source is another version by now, and by `condition`.
        """
        check_new_key(target.key)
        token = secrets.token_hex(16)
        try:
            self._client.writes.rename_object(source, target, info.etag, token, condition)
        except OperationNotImplementedError as error:
            if error.maybe_applied:
                raise
            learn_missing(self._client, target, _OPERATION)
            return False
        except GuardedS3Error as error:
            if error.maybe_applied:
                self._settle(source, target, info, condition, error)
            else:
                self._refuse(source, target, info, condition, error)
        return True

    def _refuse(
        self, source: S3Path, target: S3Path, info: ObjectInfo, condition: Condition, error: GuardedS3Error
    ) -> NoReturn:
        """Raise what a definite refusal means. A 412 does not say whether it is about source or target.

        FileNotFoundError where there is no source any more.
        """
        is_failed = isinstance(error, PreconditionFailedError)
        is_missing = isinstance(error, ObjectNotFoundError) and error.code != "NoSuchBucket"
        if not (is_failed or is_missing):
            raise error
        is_same = same_etag(look_at(self._client, source).etag, info.etag)
        # Otherwise it was the source, although the same content may be there again.
        if is_same and (is_missing or _defeats(self._found(target), condition)):
            raise error
        raise source_changed_error(source, error, "moved") from error

    def _settle(
        self,
        source: S3Path,
        target: S3Path,
        info: ObjectInfo,
        condition: Condition,
        error: GuardedS3Error,
    ) -> None:
        """Return if the object was renamed; raise what else is known."""
        write = PendingWrite(target, condition, "", Content(info.etag, info.size), etag_proves=not condition)
        try:
            found = self._found(target)
            left = self._found(source)  # behind the other look: what is at the target has left its place
        except GuardedS3Error as failed:
            evidence = f"the objects could not be looked at ({failed.message})"
            raise unknown_error(write, error, evidence) from error
        is_there = found is not None and same_etag(found.etag, info.etag)
        if left is not None and same_etag(left.etag, info.etag):
            if not is_there and _defeats(found, condition):
                raise taken_error(write, error, maybe_applied=True) from error
            raise unknown_error(write, error, f"{source} is still there, and may be renamed later") from error
        if is_there and (not condition or self._client.store.is_aws(target.bucket)):
            return
        if left is not None:
            changed = source_changed_error(source, error, "moved")
            changed.maybe_applied = True
            raise changed from error
        raise unknown_error(write, error, f"{source} is gone, and nothing shows where it went") from error

    def _found(self, path: S3Path) -> ObjectInfo | None:
        try:
            return self._client.reads.head_object(path)
        except ObjectNotFoundError:
            return None


def _defeats(found: ObjectInfo | None, condition: Condition) -> bool:
    """Whether `found`, which is not ours, proves that a condition on the target does not hold any more."""
    if condition.create:
        return found is not None
    wanted = condition.if_match
    return wanted is not None and (found is None or not same_etag(found.etag, wanted))
