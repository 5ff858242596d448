"""What S3 calls subresources of an object: attributes, tags, access control list and lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._values.checksums import md5_header
from .._values.models import Request, Response, http_time
from .._values.paths import S3Path
from . import about_objects, xml_answers, xml_bodies
from .exchange import Exchange


class Subresources:
    """GetObjectAttributes, GetObjectTagging, PutObjectTagging, DeleteObjectTagging, PutObjectAcl,
    GetObjectRetention and GetObjectLegalHold. Thread-safe.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def get_object_tagging(self, path: S3Path) -> list[tuple[str, str]]:
        """GetObjectTagging."""
        request = Request(
            "GetObjectTagging", "GET", path.bucket, path.key, (("tagging", ""), *path.version_query)
        )
        return about_objects.ask(self._exchange, request, lambda answer: xml_answers.parse_tags(answer.body))

    def get_object_attributes(
        self, path: S3Path, names: Sequence[str], marker: str = ""
    ) -> tuple[dict[str, Any], str]:
        """GetObjectAttributes: the attributes `names`, in S3's names, and the marker of more parts, or "".

        `marker` is that of the page before.
        """
        headers = {"x-amz-object-attributes": ",".join(names)}
        if marker:
            headers["x-amz-part-number-marker"] = marker
        query = (("attributes", ""), *path.version_query)
        request = Request("GetObjectAttributes", "GET", path.bucket, path.key, query, headers)

        def parse(answer: Response) -> tuple[dict[str, Any], str]:
            found, more = xml_answers.parse_object_attributes(answer.body)
            found["VersionId"] = answer.headers.get("x-amz-version-id")
            found["LastModified"] = http_time(answer.headers.get("last-modified", ""))
            return found, more

        return about_objects.ask(self._exchange, request, parse)

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
        return about_objects.ask(self._exchange, request, lambda answer: xml_answers.parse_lock(answer.body))

    def put_object_acl(self, path: S3Path, acl: str) -> None:
        """PutObjectAcl with a canned ACL."""
        query = (("acl", ""), *path.version_query)
        self._exchange.send(Request("PutObjectAcl", "PUT", path.bucket, path.key, query, {"x-amz-acl": acl}))
