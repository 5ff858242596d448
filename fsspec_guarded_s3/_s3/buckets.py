"""Buckets: whether and where they are, making and removing them, versioning and access control."""

from __future__ import annotations

from collections.abc import Mapping

from .._values.checksums import md5_header
from .._values.models import Request
from .._values.paths import is_directory_bucket
from ..errors import ObjectNotFoundError, OperationNotImplementedError, ProtocolError
from . import xml_answers, xml_bodies
from .exchange import Exchange
from .headers import is_named
from .store import Store


class Buckets:
    """HeadBucket, CreateBucket, DeleteBucket, and what is set for a whole bucket. Thread-safe."""

    def __init__(self, store: Store, exchange: Exchange) -> None:
        self._store = store
        self._exchange = exchange

    def head_bucket(self, bucket: str) -> str:
        """HeadBucket; the region, as the store or else the endpoint tells. Raises ObjectNotFoundError.

        ProtocolError where a portal or a gateway answers in the place of a store.
        """
        try:
            headers = self.bucket_headers(bucket)
        except ObjectNotFoundError as error:
            self._exchange.doubt(error)
            raise
        return headers.get("x-amz-bucket-region") or self._store.signer.endpoint(bucket).region

    def check_store(self, bucket: str, headers: Mapping[str, str]) -> None:
        """Raises GuardedS3Error unless a store gave the answer with `headers`, or answers a listing now."""
        if not is_named(headers) and not self._exchange.check_store(bucket):
            raise ProtocolError("something that is no store answers there: a portal or a gateway")

    def bucket_headers(self, bucket: str) -> Mapping[str, str]:
        """HeadBucket; the headers of the answer, which tell the store's time and the bucket's region."""
        return self._exchange.send(Request("HeadBucket", "HEAD", bucket)).headers

    def create_bucket(self, bucket: str, region: str | None = None, acl: str | None = None) -> None:
        """CreateBucket in `region`, by default that of the options; `acl` is a canned one."""
        _no_directory_bucket(bucket)
        if region:
            self._store.signer.learn_region(bucket, region)  # only the endpoint there takes the request
        there = self._store.endpoint(bucket)
        # What a dialect is signed for is no place: Google knows no location "auto".
        body = b"" if there.region == there.dialect.region else xml_bodies.bucket_body(there.region)
        headers = {"x-amz-acl": acl} if acl else {}
        request = Request("CreateBucket", "PUT", bucket, headers=headers, body=body, idempotent=False)
        is_there = False
        try:
            self._exchange.send(request)
            is_there = True
        finally:
            if region:
                self._store.signer.settle_region(bucket, region, is_there)

    def delete_bucket(self, bucket: str) -> None:
        """DeleteBucket, which must be empty."""
        _no_directory_bucket(bucket)
        self._exchange.send(Request("DeleteBucket", "DELETE", bucket))

    def get_bucket_versioning(self, bucket: str) -> str:
        """GetBucketVersioning: "Enabled", "Suspended", or "" for a bucket that never had versions.

        "" too where the store says that it does not have the operation: then it has no versions.
        """
        request = Request("GetBucketVersioning", "GET", bucket, query=(("versioning", ""),))
        try:
            return self._exchange.ask(request, lambda answer: xml_answers.parse_versioning(answer.body))
        except OperationNotImplementedError:
            return ""

    def put_bucket_versioning(self, bucket: str, status: str) -> None:
        """PutBucketVersioning; `status` is "Enabled" or "Suspended"."""
        body = xml_bodies.versioning_body(status)
        headers = {**md5_header(body), "content-type": "application/xml"}
        query = (("versioning", ""),)
        try:
            self._exchange.send(
                Request("PutBucketVersioning", "PUT", bucket, query=query, headers=headers, body=body)
            )
        finally:
            self._store.facts(bucket).change()

    def get_bucket_acl(self, bucket: str) -> None:
        """GetBucketAcl; raises ProtocolError unless the answer is an access control list."""
        request = Request("GetBucketAcl", "GET", bucket, query=(("acl", ""),))
        self._exchange.ask(request, lambda answer: xml_answers.check_acl(answer.body))

    def put_bucket_acl(self, bucket: str, acl: str) -> None:
        """PutBucketAcl with a canned ACL."""
        self._exchange.send(Request("PutBucketAcl", "PUT", bucket, "", (("acl", ""),), {"x-amz-acl": acl}))


def _no_directory_bucket(bucket: str) -> None:
    if is_directory_bucket(bucket):
        raise ValueError(
            f"{bucket} has the name of a directory bucket (--x-s3), which is created and deleted with AWS's "
            "console or command line only: in another store, take another name"
        )
