"""PutObject, CopyObject and RenameObject: an object is written, or gets another key, by one request."""

from __future__ import annotations

from collections.abc import Mapping

from .._values.bodies import RequestBody, WatchedSlice
from .._values.checksums import algorithm_of, body_crc, is_digest, md5_header
from .._values.conditions import UNCONDITIONAL, Condition
from .._values.models import Request, Response, Written
from .._values.paths import S3Path, is_directory_bucket
from . import xml_answers
from .checks import Checks
from .early import Early
from .exchange import Exchange
from .generations import Generations
from .headers import copy_source, etag_of_answer, rename_source, written
from .store import Store


class Writes:
    """PutObject, CopyObject and RenameObject. Thread-safe."""

    def __init__(self, store: Store, exchange: Exchange, checks: Checks, generations: Generations) -> None:
        self._store = store
        self._exchange = exchange
        self._checks = checks
        self._generations = generations

    def put_object(
        self,
        path: S3Path,
        data: RequestBody,
        condition: Condition,
        headers: Mapping[str, str],
        early: Early | None = None,
    ) -> Written:
        """PutObject, with its CRC; of an empty object too, as a bucket with Object Lock may want it.

        `early` is its first attempt, where that was sent before.
        """
        if early is not None:
            request = early.request
        else:
            condition = self._generations.pinned(path, condition)
            request = self._put_request(path, data, condition, headers)
        with self._generations.explained(path, condition):
            return self._exchange.ask(
                request,
                lambda answer: written(
                    answer.headers, etag_of_answer(answer.headers, answer.body, "PutObject")
                ),
                early,
            )

    def append_object(self, path: S3Path, data: RequestBody, offset: int, condition: Condition) -> Written:
        """PutObject of bytes that are to follow the `offset` bytes of what is there, in a directory bucket.

        What describes the object stays as it is. The CRC is that of `data`.
        """
        request = self._put_request(path, data, condition, {"x-amz-write-offset-bytes": str(offset)})
        return self._exchange.ask(
            request,
            lambda answer: written(answer.headers, etag_of_answer(answer.headers, answer.body, "PutObject")),
        )

    def send_put_object(self, path: S3Path, data: RequestBody, headers: Mapping[str, str]) -> Early:
        """Send the request of a `put_object` without a condition now."""
        return self._exchange.ahead(self._put_request(path, data, UNCONDITIONAL, headers))

    def _put_request(
        self, path: S3Path, data: RequestBody, condition: Condition, headers: Mapping[str, str]
    ) -> Request:
        crc, checked = self._checks.of_body("PutObject", path.bucket, data)
        if isinstance(data, WatchedSlice):
            crc = crc or body_crc(data, self._checks.algorithm)
            if is_digest(crc.algorithm):  # the slice compares a CRC as it goes
                crc = body_crc(data)
            data = data.expecting(algorithm_of(crc.algorithm).update, crc.value)
        return Request(
            "PutObject",
            "PUT",
            path.bucket,
            path.key,
            headers={**headers, **condition.headers(), **checked},
            body=data,
            idempotent=not condition,
            retry_on_conflict=True,
            condition=condition,
        )

    def copy_object(
        self,
        source: S3Path,
        path: S3Path,
        etag: str,
        condition: Condition = UNCONDITIONAL,
        attributes: Mapping[str, str] | None = None,
        *,
        replace: bool = False,
        as_rgw: bool | None = None,
    ) -> Written:
        """CopyObject from the version `etag` of `source`, with its tags, unless `attributes` have others.

        Content headers and metadata go along, or are those of `attributes` when these are to `replace` them.
        `as_rgw` pins the source as Ceph RGW has it, too; by default where a trial found that it has to be.
        """
        condition = self._generations.pinned(path, condition)
        as_rgw = self._store.facts(path.bucket).pins_as_rgw if as_rgw is None else as_rgw
        headers = {**copy_source(source, etag, as_rgw=as_rgw), **condition.headers(), **(attributes or {})}
        if replace:
            headers["x-amz-metadata-directive"] = "REPLACE"
        if "x-amz-tagging" in headers:
            headers["x-amz-tagging-directive"] = "REPLACE"
        if not is_directory_bucket(path.bucket):  # for buckets with Object Lock; the others know no MD5
            headers |= md5_header(b"")
        request = Request(
            "CopyObject",
            "PUT",
            path.bucket,
            path.key,
            headers=headers,
            idempotent=not condition,
            retry_on_conflict=True,
            slow_answer=True,
            condition=condition,
        )

        def parse(answer: Response) -> Written:
            return written(answer.headers, xml_answers.parse_etag(answer.body, request.operation))

        with self._generations.explained(path, condition):
            return self._exchange.ask(request, parse)

    def rename_object(
        self, source: S3Path, path: S3Path, etag: str, token: str, condition: Condition = UNCONDITIONAL
    ) -> None:
        """RenameObject of the version `etag` of `source` to `path`, in the same directory bucket.

        `condition` is on what is at `path`. Requests with one `token` rename once, however many arrive.
        """
        request = Request(
            "RenameObject",
            "PUT",
            path.bucket,
            path.key,
            query=(("renameObject", ""),),
            headers={**rename_source(source, etag), "x-amz-client-token": token, **condition.headers()},
            retry_on_conflict=True,
            condition=condition,
        )
        try:
            self._exchange.send(request)
        finally:
            if self._store.changed is not None:  # the exchange says so of `path` alone
                self._store.changed(source.bucket, source.key)
