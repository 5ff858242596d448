"""What S3 calls subresources of an object: its tags, its access control list and its lock."""

from __future__ import annotations

from collections.abc import Mapping

from .._values.checksums import body_md5, md5_header
from .._values.conditions import same_etag
from .._values.models import Request, Response
from .._values.paths import S3Path
from ..errors import OperationUnsupportedError, ProtocolError
from . import xml_answers, xml_bodies
from .exchange import Exchange


class Subresources:
    """GetObjectTagging, PutObjectTagging, DeleteObjectTagging, PutObjectAcl, GetObjectRetention and
    GetObjectLegalHold. Thread-safe.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def get_object_tagging(self, path: S3Path) -> list[tuple[str, str]]:
        """GetObjectTagging."""
        request = Request(
            "GetObjectTagging", "GET", path.bucket, path.key, (("tagging", ""), *path.version_query)
        )
        return self._exchange.ask(request, _tags)

    def put_object_tagging(self, path: S3Path, tags: Mapping[str, str]) -> None:
        """PutObjectTagging: these tags and no others; DeleteObjectTagging when there are none."""
        if not tags:
            query = (("tagging", ""), *path.version_query)
            self._exchange.send(Request("DeleteObjectTagging", "DELETE", path.bucket, path.key, query))
            return
        body = xml_bodies.tags_body(tags)
        headers = {**md5_header(body), "content-type": "application/xml"}
        query = (("tagging", ""), *path.version_query)
        self._exchange.send(
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

    def get_object_lock(self, path: S3Path, subresource: str) -> str:
        """The mode of the "retention" of an object, or the status of its "legal-hold", "" for none.

        GetObjectRetention, GetObjectLegalHold.
        """
        operation = {"retention": "GetObjectRetention", "legal-hold": "GetObjectLegalHold"}[subresource]
        request = Request(operation, "GET", path.bucket, path.key, ((subresource, ""), *path.version_query))
        return self._exchange.ask(request, lambda answer: xml_answers.parse_lock(answer.body))

    def put_object_acl(self, path: S3Path, acl: str) -> None:
        """PutObjectAcl with a canned ACL."""
        query = (("acl", ""), *path.version_query)
        self._exchange.send(Request("PutObjectAcl", "PUT", path.bucket, path.key, query, {"x-amz-acl": acl}))


def _tags(answer: Response) -> list[tuple[str, str]]:
    """The tags; OperationUnsupportedError where the answer is the object.

    S3Mock sends the ETag of the object with its tags too, so headers alone do not tell.
    """
    etag = answer.headers.get("etag", "") if "last-modified" in answer.headers else ""
    is_object = bool(answer.body) and same_etag(etag, body_md5(answer.body).hex())
    try:
        if not is_object:
            return xml_answers.parse_tags(answer.body)
    except ProtocolError:
        if not etag:
            raise
    raise OperationUnsupportedError("the store does not know GetObjectTagging: it answered with the object")
