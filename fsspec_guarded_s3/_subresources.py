"""The operations on what S3 calls subresources of an object or a bucket: tags and access control lists."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from . import _xml
from ._exchange import Exchange
from ._models import Request
from ._paths import S3Path


class SubresourceOperations(Exchange):
    """GetObjectTagging, PutObjectTagging, DeleteObjectTagging, PutObjectAcl, PutBucketAcl."""

    def object_tags(self, path: S3Path) -> list[tuple[str, str]]:
        """GetObjectTagging."""
        request = Request("GetObjectTagging", "GET", path.bucket, path.key, _query("tagging", path))
        return self._ask(request, lambda answer: _xml.parse_tags(answer.body))

    def put_object_tags(self, path: S3Path, tags: Mapping[str, str]) -> None:
        """PutObjectTagging: these tags and no others; DeleteObjectTagging when there are none."""
        if not tags:
            query = _query("tagging", path)
            self._send(Request("DeleteObjectTagging", "DELETE", path.bucket, path.key, query))
            return
        body = _xml.tags_body(tags)
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"content-md5": digest, "content-type": "application/xml"}
        query = _query("tagging", path)
        self._send(
            Request(
                "PutObjectTagging",
                "PUT",
                path.bucket,
                path.key,
                query,
                headers,
                body,
                retry_on_conflict=True,
            )
        )

    def put_object_acl(self, path: S3Path, acl: str) -> None:
        """PutObjectAcl with a canned ACL."""
        query = _query("acl", path)
        self._send(Request("PutObjectAcl", "PUT", path.bucket, path.key, query, {"x-amz-acl": acl}))

    def put_bucket_acl(self, bucket: str, acl: str) -> None:
        """PutBucketAcl with a canned ACL."""
        self._send(Request("PutBucketAcl", "PUT", bucket, "", (("acl", ""),), {"x-amz-acl": acl}))


def _query(name: str, path: S3Path) -> tuple[tuple[str, str], ...]:
    version = (("versionId", path.version_id),) if path.version_id else ()
    return ((name, ""), *version)
