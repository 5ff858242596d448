"""One method per S3 operation; all of them go through one crossing point, `_exchange`.

Per attempt: sign -> send -> check the status. Around it: the retry policy. Each operation says in its
`Request` what a repetition would mean. What came back is verified, not only its status: a pinned read
compares the ETag of every response, because some stores ignore If-Match.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from . import _xml
from ._bodies import RequestBody, body_size
from ._checksums import body_crc32, combined_crc32, encoded
from ._errors import (
    GuardedS3Error,
    IncompleteBodyError,
    ObjectChangedError,
    PreconditionFailedError,
    PreconditionUnsupportedError,
    ProtocolError,
    ResponseError,
    error_class,
    error_message,
)
from ._headers import content_range, copy_source, object_info, seconds, written
from ._models import (
    ByteRange,
    Condition,
    ListPage,
    ObjectInfo,
    Part,
    PendingUpload,
    Request,
    Response,
    Written,
    quoted,
    same_etag,
)
from ._options import Options
from ._paths import S3Path
from ._retry import RetryPolicy
from ._signing import Signer
from ._threads import Task
from ._transport import HTTPBody, shared_transport

T = TypeVar("T")
_CHECKSUM_MODE = {"x-amz-checksum-mode": "ENABLED"}
_NO_CONDITION = Condition()
MAX_KEYS = 1000  # of one page of a listing


@dataclass(slots=True)
class Cursor:
    """How far a ranged read has come: the next byte wanted, and where to stop."""

    position: int
    stop: int


class S3Client:
    """The operations of S3 that a filesystem needs. Thread-safe."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._transport = shared_transport(options)
        self._signer = Signer(options)
        self._retry = RetryPolicy(options.max_attempts)

    def __repr__(self) -> str:
        return f"<S3Client {self.options.endpoint_url or 'AWS'}>"

    def is_aws(self, bucket: str) -> bool:
        """Whether `bucket` is on AWS itself, which honours every condition."""
        return self._signer.endpoint(bucket).host.endswith((".amazonaws.com", ".amazonaws.com.cn"))

    def repeat_while(self, holds: Callable[[BaseException], bool], call: Callable[[], T], attempts: int) -> T:
        """Make `call` up to `attempts` times, with pauses, while `holds(error)` says that it is worth it."""
        return self._retry.repeat(call, holds, attempts)

    # --- the crossing point ---

    @contextmanager
    def _exchange(self, request: Request, deadline: float) -> Iterator[HTTPBody]:
        """One attempt. Every request of this package passes here."""
        wire = self._signer.sign(request)
        try:
            with self._transport.exchange(wire, deadline) as body:
                if body.status >= 300:
                    raise self._error(request, body)
                yield body
        except GuardedS3Error as error:
            error.operation = error.operation or request.operation
            error.bucket = error.bucket or request.bucket
            error.key = error.key or request.key
            raise

    def _send(self, request: Request) -> Response:
        """An operation whose answer is small: sent, retried, and its body read."""
        return self._ask(request, lambda answer: answer)

    def _ask(self, request: Request, parse: Callable[[Response], T]) -> T:
        """The same, and parsed: an answer that cannot be understood is one that got lost."""

        def attempt(deadline: float) -> T:
            with self._exchange(request, deadline) as body:
                answer = Response(body.status, body.headers, body.read())
                # Complete and the copies may answer 200 and then an error (S3 CopyObject, "200 OK" note).
                fields = _xml.parse_error(answer.body)
                if fields:
                    status = 500 if fields.get("Code") == "InternalError" else 200
                    raise self._build_error(request, status, fields, {})
                return parse(answer)

        return self._repeat(request, attempt)

    def _repeat(self, request: Request, attempt: Callable[[float], T], deadline: float | None = None) -> T:
        """Run `attempt` under the retry policy; a wrong region or clock is corrected once."""
        deadline = deadline or time.monotonic() + self.options.request_deadline
        corrected = ambiguous = False
        while True:
            try:
                return self._retry.call(
                    lambda: attempt(deadline), deadline=deadline, retry_on_conflict=request.retry_on_conflict
                )
            except GuardedS3Error as error:
                ambiguous = error.maybe_applied = error.maybe_applied or ambiguous
                if corrected or not (isinstance(error, ResponseError) and self._correct(request, error)):
                    raise
                corrected = True

    def _correct(self, request: Request, error: ResponseError) -> bool:
        if error.code == "RequestTimeTooSkewed":
            return self._signer.learn_clock(error.server_date)
        wrong_region = error.status in (301, 307, 400, 403) and error.region
        return bool(wrong_region) and self._signer.learn_region(request.bucket, error.region)

    def _error(self, request: Request, body: HTTPBody) -> ResponseError:
        data = b"" if request.method == "HEAD" else body.read(2**20)
        return self._build_error(request, body.status, _xml.parse_error(data), body.headers)

    def _build_error(
        self, request: Request, status: int, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> ResponseError:
        code = fields.get("Code", "")
        cls = error_class(status, code)
        if cls is PreconditionFailedError:
            cls = request.precondition_error
        return cls(
            error_message(status, code, fields.get("Message", "")),
            bucket=request.bucket,
            key=request.key,
            operation=request.operation,
            status=status,
            code=code,
            request_id=fields.get("RequestId") or headers.get("x-amz-request-id", ""),
            region=headers.get("x-amz-bucket-region") or fields.get("Region", ""),
            server_date=headers.get("date", ""),
            retry_after=seconds(headers.get("x-amz-retry-after") or headers.get("retry-after", "")),
        )

    # --- reading ---

    def head_object(self, path: S3Path) -> ObjectInfo:
        """HeadObject. Raises ObjectNotFoundError, AccessDeniedError and the transport's errors."""
        request = Request("HeadObject", "HEAD", path.bucket, path.key, _version(path), self._checksum_mode())
        return self._ask(request, lambda answer: self._info(answer.headers, _size(answer.headers)))

    def _info(self, headers: Mapping[str, str], size: int) -> ObjectInfo:
        info = object_info(headers, size)
        return info if self.options.verify_checksums else replace(info, checksum=None)

    def _checksum_mode(self) -> Mapping[str, str]:
        return _CHECKSUM_MODE if self.options.verify_checksums else {}

    def read_object(self, path: S3Path, receive: Callable[[HTTPBody, ObjectInfo, float], T]) -> T:
        """GetObject without knowing the size: `receive` gets the body, the facts and the deadline.

        Asked for as a whole, since only then S3 tells the stored checksum; `receive` may stop early.
        """
        request = Request("GetObject", "GET", path.bucket, path.key, _version(path), self._checksum_mode())

        def attempt(deadline: float) -> T:
            with self._exchange(request, deadline) as body:
                if body.length is None:
                    raise ProtocolError("GetObject was answered without a length")
                if not body.headers.get("etag"):
                    raise PreconditionUnsupportedError("the store sent no ETag: the read cannot be pinned")
                if body.status != 200 or "content-range" in body.headers:
                    raise ProtocolError("the store answered a part where the whole object was asked for")
                return receive(body, self._info(body.headers, body.length), deadline)

        return self._repeat(request, attempt)

    def read_range(
        self,
        path: S3Path,
        cursor: Cursor,
        pin: ObjectInfo,
        drain: Callable[[HTTPBody, Cursor], None],
        deadline: float | None = None,
    ) -> None:
        """GetObject of a range, pinned to the version `pin`. `drain` moves the cursor as bytes come.

        A body that breaks is resumed at the cursor, under the same pin.
        Raises ObjectChangedError when the object is another version by now.
        """

        def attempt(deadline: float) -> None:
            wanted = ByteRange(cursor.position, cursor.stop)
            headers = {"range": wanted.header(), "if-match": quoted(pin.etag)}
            request = Request("GetObject", "GET", path.bucket, path.key, _version(path), headers)
            with self._exchange(request, deadline) as body:
                self._check_pin(body, pin.etag, path)
                # rclone answers a range with 200 and a right Content-Range: the header decides.
                if body.status == 206 or "content-range" in body.headers:
                    start, stop, size = content_range(body.headers)
                    answered = (start, stop) == (wanted.start, wanted.stop) and size in (None, pin.size)
                else:
                    answered = wanted.start == 0 and body.length == wanted.stop == pin.size
                if not answered:
                    raise ProtocolError(f"the store did not answer the range {wanted.header()}")
                if body.length not in (None, wanted.stop - wanted.start):
                    raise ProtocolError("the length of the body is not that of the range")
                drain(body, cursor)
                if cursor.position < cursor.stop:
                    raise IncompleteBodyError("the body ended before the range did")

        self._repeat(Request("GetObject", "GET", path.bucket, path.key), attempt, deadline)

    @staticmethod
    def _check_pin(body: HTTPBody, etag: str, path: S3Path) -> None:
        found = body.headers.get("etag", "")
        if not found:
            raise PreconditionUnsupportedError("the store sent no ETag: the read cannot be pinned")
        if not same_etag(found, etag):
            raise ObjectChangedError(
                f"the object was replaced while it was read: it had ETag {etag} and has {found} now",
                bucket=path.bucket,
                key=path.key,
                status=body.status,
            )

    # --- writing ---

    def put_object(
        self, path: S3Path, data: RequestBody, condition: Condition, headers: Mapping[str, str]
    ) -> Written:
        """PutObject, with its CRC32."""
        checked = {"x-amz-checksum-crc32": encoded(body_crc32(data))} if body_size(data) else {}
        request = Request(
            "PutObject",
            "PUT",
            path.bucket,
            path.key,
            headers={**headers, **condition.headers(), **checked},
            body=data,
            idempotent=not condition,
            retry_on_conflict=True,
            precondition_error=condition.failure,
        )
        headers = self._send(request).headers
        return written(headers, headers.get("etag", ""))

    def create_multipart_upload(self, path: S3Path, headers: Mapping[str, str]) -> str:
        """CreateMultipartUpload; returns the upload id."""
        query = (("uploads", ""),)
        checked = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}
        request = Request(
            "CreateMultipartUpload",
            "POST",
            path.bucket,
            path.key,
            query,
            {**headers, **checked},
            idempotent=False,
        )
        return self._ask(request, lambda answer: _xml.parse_upload_id(answer.body))

    def upload_part(self, path: S3Path, upload_id: str, number: int, data: RequestBody) -> Part:
        """UploadPart, with its CRC32."""
        crc = body_crc32(data)
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        headers = {"x-amz-checksum-crc32": encoded(crc)}
        response = self._send(Request("UploadPart", "PUT", path.bucket, path.key, query, headers, body=data))
        etag = response.headers.get("etag", "")
        if not etag:
            raise ProtocolError("UploadPart was answered without an ETag")
        return Part(number, etag, body_size(data), crc)

    def upload_part_copy(
        self, path: S3Path, upload_id: str, number: int, source: S3Path, part: ByteRange, etag: str
    ) -> Part:
        """UploadPartCopy of a range of `source`, pinned to its `etag`."""
        headers = copy_source(source, etag)
        headers["x-amz-copy-source-range"] = part.header()
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        request = Request("UploadPartCopy", "PUT", path.bucket, path.key, query, headers, patient=True)
        copied = self._ask(request, lambda answer: _xml.parse_etag(answer.body))
        if not copied:  # rclone answers 200, says nothing and stores an empty part
            raise ProtocolError("UploadPartCopy was answered without an ETag: the store may not support it")
        return Part(number, copied, part.stop - part.start)

    def complete_multipart_upload(
        self, path: S3Path, upload_id: str, parts: Sequence[Part], condition: Condition
    ) -> Written:
        """CompleteMultipartUpload, with the size and, where those of all parts are known, the CRC32."""
        ordered = sorted(parts, key=lambda part: part.number)
        headers = {
            **condition.headers(),
            "content-type": "application/xml",
            "x-amz-mp-object-size": str(sum(part.size for part in ordered)),
        }
        crcs = [(part.crc32, part.size) for part in ordered if part.crc32 is not None]
        if len(crcs) == len(ordered):
            headers |= {
                "x-amz-checksum-crc32": encoded(combined_crc32(crcs)),
                "x-amz-checksum-type": "FULL_OBJECT",
            }
        request = Request(
            "CompleteMultipartUpload",
            "POST",
            path.bucket,
            path.key,
            (("uploadId", upload_id),),
            headers,
            _xml.complete_body(ordered),
            idempotent=False,
            patient=True,
            precondition_error=condition.failure,
        )
        return self._ask(request, lambda answer: written(answer.headers, _xml.parse_etag(answer.body)))

    def abort_multipart_upload(self, path: S3Path, upload_id: str) -> None:
        """AbortMultipartUpload."""
        query = (("uploadId", upload_id),)
        self._send(Request("AbortMultipartUpload", "DELETE", path.bucket, path.key, query))

    def list_parts(self, path: S3Path, upload_id: str) -> list[Part]:
        """ListParts, all pages."""
        parts: list[Part] = []
        marker: str | None = "0"
        while marker is not None:
            query = (("part-number-marker", marker), ("uploadId", upload_id))
            request = Request("ListParts", "GET", path.bucket, path.key, query)
            page, marker = self._ask(request, lambda answer: _xml.parse_parts(answer.body))
            parts += page
        return parts

    def list_multipart_uploads(self, bucket: str, prefix: str) -> list[PendingUpload]:
        """ListMultipartUploads, all pages."""
        uploads: list[PendingUpload] = []
        markers: tuple[str, str] | None = ("", "")
        while markers is not None:
            query = [("uploads", ""), ("prefix", prefix), ("encoding-type", "url")]
            if markers[0]:
                query += [("key-marker", markers[0]), ("upload-id-marker", markers[1])]
            request = Request("ListMultipartUploads", "GET", bucket, query=tuple(query))
            page, following = self._ask(request, lambda answer: _xml.parse_uploads(answer.body))
            if following is not None and (not following[0] or following == markers):
                raise ProtocolError("the list of uploads is truncated and its marker leads nowhere")
            markers = following
            uploads += page
        return uploads

    def copy_object(
        self,
        source: S3Path,
        path: S3Path,
        etag: str,
        condition: Condition = _NO_CONDITION,
        replace: Mapping[str, str] | None = None,
    ) -> Written:
        """CopyObject from the version `etag` of `source`, with its tags.

        Its metadata goes along, unless `replace` holds the headers that the copy is to have instead.
        """
        headers = {**copy_source(source, etag), **condition.headers()}
        if replace is not None:
            headers |= {**replace, "x-amz-metadata-directive": "REPLACE"}
        request = Request(
            "CopyObject",
            "PUT",
            path.bucket,
            path.key,
            headers=headers,
            idempotent=not condition,
            retry_on_conflict=True,
            patient=True,
            precondition_error=condition.failure,
        )
        return self._ask(request, lambda answer: written(answer.headers, _xml.parse_etag(answer.body)))

    def delete_object(self, path: S3Path, if_match: str | None = None) -> str | None:
        """DeleteObject; a key that is not there is no error to S3, unless `if_match` names its ETag.

        Returns the version id of the delete marker or of the version that was deleted, where there is one.
        """
        headers = {"if-match": quoted(if_match)} if if_match else {}
        request = Request(
            "DeleteObject",
            "DELETE",
            path.bucket,
            path.key,
            _version(path),
            headers,
            idempotent=not if_match,
            retry_on_conflict=True,
        )
        return self._send(request).headers.get("x-amz-version-id")

    def delete_objects(self, bucket: str, keys: Sequence[str]) -> list[tuple[str, str, str]]:
        """DeleteObjects of up to 1,000 keys; returns (key, code, message) of what was not deleted."""
        body = _xml.delete_body(keys)
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"content-md5": digest, "content-type": "application/xml"}
        request = Request(
            "DeleteObjects", "POST", bucket, query=(("delete", ""),), headers=headers, body=body
        )
        return self._ask(request, lambda answer: _xml.parse_deleted(answer.body))

    def object_tags(self, path: S3Path) -> list[tuple[str, str]]:
        """GetObjectTagging."""
        query = (("tagging", ""), *_version(path))
        request = Request("GetObjectTagging", "GET", path.bucket, path.key, query)
        return self._ask(request, lambda answer: _xml.parse_tags(answer.body))

    # --- listing and buckets ---

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

    def presign(self, method: str, path: S3Path, expires: int) -> str:
        """A presigned URL for GET or PUT, valid for `expires` seconds."""
        return self._signer.presign(
            Request("presign", method, path.bucket, path.key, _version(path)), expires
        )


def _size(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "")
    if not text.isdecimal():
        raise ProtocolError("HeadObject was answered without a size")
    return int(text)


def _version(path: S3Path) -> tuple[tuple[str, str], ...]:
    return (("versionId", path.version_id),) if path.version_id else ()
