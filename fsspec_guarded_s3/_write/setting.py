"""Telling and changing what S3 addresses by a name in the query: tags, access control lists, versioning.

A store that does not know such a name ignores it. PUT key?tagging is a PutObject to it then, and the tags
become the object; DELETE key?tagging deletes it, and PUT bucket?versioning creates a bucket. So the store has
to show before that it knows the operation: for an object by a trial on a temporary key, for a bucket by the
document that it tells. Stores of which nothing is tried (AWS; the option `probe`) are trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from .._s3.client import S3Client
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from ..errors import OperationNotImplementedError, OperationUnsupportedError, ProtocolError
from .guards import honours, require_operation, trusts

T = TypeVar("T")


def tags_of(client: S3Client, path: S3Path, info: ObjectInfo) -> list[tuple[str, str]]:
    """The tags of an object of which HeadObject told `info`.

    GetObjectTagging, where there are some, or where the store does not tell by a HEAD (ministack).
    """
    if not info.tag_count and (
        client.store.is_aws(path.bucket)
        or honours(client, S3Path(path.bucket, path.key), "tag_count") is not False
    ):
        return []
    return client.subresources.get_object_tagging(path)


def put_tags(client: S3Client, path: S3Path, tags: Mapping[str, str]) -> None:
    """Give an object these tags and no others. PutObjectTagging, or DeleteObjectTagging for none."""
    require_operation(client, path, "PutObjectTagging" if tags else "DeleteObjectTagging")
    client.subresources.put_object_tagging(path, tags)


def put_object_acls(client: S3Client, paths: Sequence[S3Path], acl: str) -> None:
    """Give the objects, which are of one bucket, a canned ACL. PutObjectAcl."""
    require_operation(client, paths[0], "PutObjectAcl")
    client.scheduler.run([partial(client.subresources.put_object_acl, path, acl) for path in paths])


def put_bucket_acl(client: S3Client, bucket: str, acl: str) -> None:
    """Give a bucket a canned ACL. PutBucketAcl."""
    if not trusts(client, bucket):
        _shown(bucket, "PutBucketAcl", lambda: client.buckets.get_bucket_acl(bucket))
    client.buckets.put_bucket_acl(bucket, acl)


def put_versioning(client: S3Client, bucket: str, status: str) -> None:
    """Set the versioning of a bucket to "Enabled" or "Suspended". PutBucketVersioning."""
    trusted = trusts(client, bucket)
    if not trusted:
        _shown(bucket, "PutBucketVersioning", lambda: client.buckets.get_bucket_versioning(bucket))
    client.buckets.put_bucket_versioning(bucket, status)
    if not trusted and client.buckets.get_bucket_versioning(bucket) != status:
        raise OperationUnsupportedError(
            f"the store accepted the versioning {status!r} and did not keep it",
            bucket=bucket,
            operation="PutBucketVersioning",
        )


def _shown(bucket: str, operation: str, ask: Callable[[], T]) -> T:
    """What `ask` returns, or OperationUnsupportedError if the store answers with another document."""
    try:
        return ask()
    except OperationNotImplementedError:  # the store says so itself
        raise
    except (ProtocolError, OperationUnsupportedError) as error:
        raise OperationUnsupportedError(
            f"the store does not know {operation}, and nothing was sent: {error.message}",
            bucket=bucket,
            operation=operation,
        ) from error
