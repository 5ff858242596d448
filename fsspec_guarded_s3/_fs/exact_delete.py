"""Deleting exactly the versions that are meant, by the strongest condition that the store honours.

1. DeleteObjects with the ETag of each key, 1,000 keys per request;
2. else DeleteObject under If-Match, one request per key;
3. else a look (HeadObject) right before each DeleteObject. What was written before the look stays; what is
   written between the look and the delete is removed, and nothing could tell. That is said once in the log.

S3 DeleteObjects, DeleteObject; docs/stores.md has which store honours what.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from .._s3.client import S3Client
from .._values.conditions import UNCONDITIONAL, Condition, same_etag
from .._values.paths import S3Path
from .._write.guards import honours
from ..errors import GuardedS3Error, ObjectChangedError, ObjectNotFoundError
from .delete_batches import Batches, batched

logger = logging.getLogger("fsspec_guarded_s3")
Failed = dict[S3Path, GuardedS3Error]
_warned: set[str] = set()  # buckets


def delete_versions(client: S3Client, etags: Mapping[S3Path, str]) -> Failed:
    """Delete each object that still has the ETag given; returns the error of each that was not deleted.

    One that is gone by now is none. ObjectChangedError for one that has another ETag: it stays.
    """
    buckets: dict[str, dict[S3Path, str]] = {}
    for path, etag in etags.items():
        buckets.setdefault(path.bucket, {})[path] = etag
    failed: Failed = {}
    calls = [call for found in buckets.values() for call in _calls(client, found, failed)]
    client.scheduler.run(calls)
    return failed


def _calls(client: S3Client, etags: Mapping[S3Path, str], failed: Failed) -> Iterator[Callable[[], None]]:
    """The requests for keys of one bucket."""
    some = next(iter(etags))
    many = honours(client, some, "delete_many")
    found = batched(etags) if many else Batches([], list(etags))
    for batch in found.together:
        yield partial(_delete_batch, client, some.bucket, {path.key: etags[path] for path in batch}, failed)
    if not found.alone:
        return
    guarded = honours(client, some, "delete")
    if not guarded:
        _warn(some.bucket)
    for path in found.alone:
        # Where nobody may find out, the condition is sent as well: it may be honoured.
        conditional = guarded is not False
        yield partial(
            _delete_single, client, path, etags[path], failed, look_first=not guarded, conditional=conditional
        )


def _delete_batch(client: S3Client, bucket: str, etags: Mapping[str, str], failed: Failed) -> None:
    try:
        errors = client.deletions.delete_objects(bucket, etags)
    except GuardedS3Error as error:
        errors = dict.fromkeys(etags, error)
    for key, refusal in errors.items():
        _record(client, S3Path(bucket, key), refusal, failed)


def _delete_single(
    client: S3Client, path: S3Path, etag: str, failed: Failed, *, look_first: bool, conditional: bool
) -> None:
    try:
        found = client.reads.head_object(path).etag if look_first else etag
        if not same_etag(found, etag):
            raise ObjectChangedError(f"it had ETag {etag} and has {found} now")
        client.deletions.delete_object(path, Condition(if_match=etag) if conditional else UNCONDITIONAL)
    except GuardedS3Error as error:
        _record(client, path, error, failed)


def _record(client: S3Client, path: S3Path, error: GuardedS3Error, failed: Failed) -> None:
    """Remember why an object was not deleted, unless there is nothing to delete any more."""
    if is_missing(error):
        return
    if isinstance(error, ObjectChangedError):
        if _is_gone(client, path):  # after a lost answer a delete marker, or no object, may say so too
            return
        error = ObjectChangedError(
            "the object was replaced meanwhile: this version of another writer stays",
            bucket=path.bucket,
            key=path.key,
            operation=error.operation,
            status=error.status,
            code=error.code,
            request_id=error.request_id,
            maybe_applied=error.maybe_applied,
        )
    failed[path] = error


def is_missing(error: GuardedS3Error) -> bool:
    """Whether a delete failed because there is no such object any more, so that nothing is left to do."""
    return isinstance(error, ObjectNotFoundError) and error.code != "NoSuchBucket"


def _is_gone(client: S3Client, path: S3Path) -> bool:
    try:
        client.reads.head_object(path)
    except ObjectNotFoundError:
        return True
    except GuardedS3Error as error:
        logger.info("could not look at %s: %s", path, error)
    return False


def _warn(bucket: str) -> None:
    if bucket not in _warned:
        _warned.add(bucket)
        logger.warning(
            "the store of bucket %s honours no condition of a delete, as far as was found out: each object "
            "is looked at right before it is deleted, and what somebody writes to it in between is lost",
            bucket,
        )
