"""What a store dropped of a new object, although it answered 200.

Tags are put again, a lock is an error, and of what else describes an object the log tells.
Some stores drop the x-amz-tagging header of CreateMultipartUpload, and that of a CopyObject with other
metadata; some do so with those of Object Lock. S3 has no condition for PutObjectTagging, so it names the
version where there is one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import parse_qsl

from .._s3.client import S3Client
from .._values.conditions import same_etag
from .._values.models import ObjectInfo, Written
from .._values.paths import S3Path
from ..errors import AccessDeniedError, GuardedS3Error, OperationUnsupportedError
from .setting import put_tags, tags_of

logger = logging.getLogger("fsspec_guarded_s3")
# By the header that asks for it: its name in S3's API, and that of what tells it, as in ?retention.
_LOCKS = {
    "x-amz-object-lock-mode": ("ObjectLockMode", "retention"),
    "x-amz-object-lock-legal-hold": ("ObjectLockLegalHoldStatus", "legal-hold"),
}


# What describes an object, by its header: its name in S3's API. Not the content type, which is guessed, nor
# metadata: `fs.probe` tells whether a store keeps it.
_DESCRIPTIONS = {
    "x-amz-storage-class": "StorageClass",
    "expires": "Expires",
    "content-language": "ContentLanguage",
    "content-encoding": "ContentEncoding",
    "content-disposition": "ContentDisposition",
    "cache-control": "CacheControl",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
}


def check_kept(
    client: S3Client, path: S3Path, way: str, headers: Mapping[str, str], written: Written, token: str
) -> None:
    """Look whether an object that was `written` has what `headers` of its write say of it.

    `way` is the operation that published it, `token` the write token, "" without. No request to AWS, and none
    where the headers name neither tags, nor a lock, nor what nobody has looked for there yet. Tags that are
    not there are put again; other descriptions that are missing are logged, as is a look that fails. Raises
    the error of PutObjectTagging, and OperationUnsupportedError for a lock that is not there; both say that
    the object was written.
    """
    tagging = headers.get("x-amz-tagging")
    tags = dict(parse_qsl(tagging, keep_blank_values=True)) if tagging else {}
    locks = {name: headers[name] for name in _LOCKS if headers.get(name, "OFF") != "OFF"}
    named = _DESCRIPTIONS.keys() & headers.keys()
    if not (tags or locks or named) or client.store.is_aws(path.bucket):
        return
    looked_for = client.store.facts(path.bucket).looked_for
    new = [name for name in _DESCRIPTIONS if name in named and (way, name) not in looked_for]
    if not (tags or locks or new):
        return
    looked_for.update((way, name) for name in new)
    try:
        found = client.reads.head_object(path)
    except GuardedS3Error as error:
        level = logging.WARNING if locks else logging.INFO
        logger.log(level, "could not look whether %s has its tags and locks: %s", path, error)
        return
    # rclone shows another ETag than it told on Complete.
    is_ours = same_etag(found.etag, written.etag) or (token and found.write_token == token)
    if not is_ours:
        logger.info("%s was replaced before anybody could look at its tags and locks", path)
        return
    _tell_missing(path, way, {name: headers[name] for name in new}, found)
    _check_locks(client, S3Path(path.bucket, path.key, written.version_id), locks, found)
    if found.tag_count < len(tags):
        _put_tags_again(client, path, tags, written, found)


def _tell_missing(path: S3Path, way: str, asked: Mapping[str, str], found: ObjectInfo) -> None:
    """Log which descriptions the object has not, once for each way of writing to its bucket."""
    told = {"x-amz-storage-class": found.storage_class, **found.headers}
    missing = [_DESCRIPTIONS[name] for name in asked if not told.get(name)]
    if asked.get("x-amz-storage-class", found.storage_class).upper() != found.storage_class.upper():
        missing.append("StorageClass")
    if missing:
        logger.warning(
            "%s was written without its %s, which the store dropped; it may do so with each %s to bucket %s",
            path,
            " and ".join(missing),
            way,
            path.bucket,
        )


def _check_locks(client: S3Client, path: S3Path, locks: Mapping[str, str], found: ObjectInfo) -> None:
    """Raise OperationUnsupportedError unless the object has its locks.

    Some stores show them by a HEAD to those alone who may ask for them.
    """
    dropped = []
    for header, asked in locks.items():
        name, subresource = _LOCKS[header]
        told = found.headers.get(header, "")
        if told.upper() != asked:
            try:
                told = client.subresources.get_object_lock(path, subresource)
            except AccessDeniedError as error:
                logger.warning("could not look whether %s has its %s: %s", path, name, error)
                continue
            except GuardedS3Error as error:
                logger.info("the store does not tell the %s of %s: %s", name, path, error)
        if told.upper() != asked:
            dropped.append(name)
    if dropped:
        raise OperationUnsupportedError(
            f"the object was written, but the store dropped its {' and '.join(dropped)}: it is not locked",
            bucket=path.bucket,
            key=path.key,
            maybe_applied=True,
        )


def _put_tags_again(
    client: S3Client, path: S3Path, tags: Mapping[str, str], written: Written, found: ObjectInfo
) -> None:
    try:
        if dict(tags_of(client, path, found)) == tags:
            return
        put_tags(client, S3Path(path.bucket, path.key, written.version_id), tags)
    except GuardedS3Error as error:
        error.message = (
            "the object was written, but the store dropped its tags, and they could not be put again: "
            f"{error.message}"
        )
        error.maybe_applied = True
        raise
