"""The operations on buckets and their listings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from . import _xml
from ._errors import ProtocolError
from ._exchange import Exchange
from ._models import ListPage, Request
from ._threads import Task

MAX_KEYS = 1000  # of one page of a listing


class BucketOperations(Exchange):
    """ListObjectsV2, ListBuckets, and making and removing buckets."""

    def list_objects(
        self, bucket: str, prefix: str = "", delimiter: str = "", max_keys: int = MAX_KEYS
    ) -> Iterator[ListPage]:
        """ListObjectsV2, page by page. A caller that may stop early asks for fewer than `MAX_KEYS`."""
        query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url")]
        query += [("max-keys", str(max_keys))]
        query += [("delimiter", delimiter)] if delimiter else []

        def request(token: str | None) -> Request:
            more = [("continuation-token", token)] if token else []
            return Request("ListObjectsV2", "GET", bucket, query=(*query, *more))

        def fetch(token: str | None) -> bytes:
            return self._send(request(token)).body

        body, token = fetch(None), None
        while True:
            # The next page is on its way while this one is parsed and used.
            ahead = _xml.next_token(body) if max_keys == MAX_KEYS else None
            task = Task(partial(fetch, ahead)) if ahead else None
            try:
                try:
                    page = _xml.parse_list(body)
                except ProtocolError:  # damaged on its way: ask again, as for any answer that got lost
                    page = self._ask(request(token), lambda answer: _xml.parse_list(answer.body))
                yield page
                if page.next_token is None:
                    return
                if page.next_token == token:
                    raise ProtocolError("the listing goes round in circles: the same token came twice")
                token = page.next_token
                body = task.wait() if task is not None and ahead == token else fetch(token)
            finally:
                if task is not None:
                    task.cancel()

    def list_buckets(self) -> list[tuple[str, datetime | None]]:
        """ListBuckets."""
        return self._ask(Request("ListBuckets", "GET"), lambda answer: _xml.parse_buckets(answer.body))

    def head_bucket(self, bucket: str) -> None:
        """HeadBucket. Raises ObjectNotFoundError when there is no such bucket."""
        self._send(Request("HeadBucket", "HEAD", bucket))

    def create_bucket(self, bucket: str) -> None:
        """CreateBucket in the region of the options."""
        body = _xml.bucket_body(self._signer.endpoint(bucket).region)
        self._send(Request("CreateBucket", "PUT", bucket, body=body, idempotent=False))

    def delete_bucket(self, bucket: str) -> None:
        """DeleteBucket, which must be empty."""
        self._send(Request("DeleteBucket", "DELETE", bucket))
