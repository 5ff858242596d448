"""One method per S3 operation; all of them go through one crossing point, `_exchange`.

Per attempt: sign -> send -> check the status. Around it: the retry policy. Each operation says in its
`Request` what a repetition would mean. What came back is verified, not only its status: a pinned read
compares the ETag of every response, because some stores ignore If-Match.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import quote

from . import _xml
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
from ._models import (
    WRITE_TOKEN,
    ByteRange,
    Condition,
    ListPage,
    ObjectInfo,
    Part,
    PendingUpload,
    Request,
    Response,
    quoted,
    same_etag,
)
from ._options import Options
from ._paths import S3Path
from ._retry import RetryPolicy
from ._signing import Signer
from ._transport import HTTPBody, shared_transport

T = TypeVar("T")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_META = "x-amz-meta-"


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

        def attempt(deadline: float) -> Response:
            with self._exchange(request, deadline) as body:
                response = Response(body.status, body.headers, body.read())
                # Complete and the copies may answer 200 and then an error (S3 CopyObject, "200 OK" note).
                fields = _xml.parse_error(response.body) if request.patient else {}
                if fields:
                    code = fields.get("Code", "")
                    error = self._build_error(request, 500 if code == "InternalError" else 200, fields, {})
                    raise error
                return response

        return self._repeat(request, attempt)

    def _repeat(self, request: Request, attempt: Callable[[float], T]) -> T:
        """Run `attempt` under the retry policy; a wrong region or clock is corrected once."""
        deadline = time.monotonic() + self.options.request_deadline
        corrected = False
        while True:
            try:
                return self._retry.call(
                    lambda: attempt(deadline), deadline=deadline, retry_on_conflict=request.retry_on_conflict
                )
            except ResponseError as error:
                if corrected or not self._correct(request, error):
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
            retry_after=_seconds(headers.get("x-amz-retry-after") or headers.get("retry-after", "")),
            content_range=headers.get("content-range", ""),
        )

    # --- reading ---

    def head_object(self, path: S3Path) -> ObjectInfo:
        """HeadObject. Raises ObjectNotFoundError, AccessDeniedError and the transport's errors."""
        response = self._send(Request("HeadObject", "HEAD", path.bucket, path.key, _version(path)))
        return _object_info(response.headers, int(response.headers.get("content-length", 0)))

    def read_object(self, path: S3Path, first: int, receive: Callable[[HTTPBody, ObjectInfo], T]) -> T:
        """GetObject from the start without knowing the size: `receive` gets the body and the facts.

        Asks for the bytes below `first` only, unless `first` is 0. Retried whole when the body breaks.
        """
        headers = {"range": ByteRange(0, first).header()} if first else {}
        request = Request("GetObject", "GET", path.bucket, path.key, _version(path), headers)

        def attempt(deadline: float) -> T:
            with self._exchange(request, deadline) as body:
                size = body.length
                if "content-range" in body.headers:
                    start, stop, size = _content_range(body)
                    if size is not None and (start, stop) != (0, min(first or size, size)):
                        raise ProtocolError(f"the store did not answer the first {first} bytes")
                if size is None:
                    raise ProtocolError("GetObject was answered without a length")
                return receive(body, _object_info(body.headers, size))

        return self._repeat(request, attempt)

    def read_range(
        self, path: S3Path, cursor: Cursor, etag: str, drain: Callable[[HTTPBody, Cursor], None]
    ) -> None:
        """GetObject of a range, pinned to `etag`. `drain` moves the cursor as bytes reach their place.

        A body that breaks is resumed at the cursor, under the same pin.
        Raises ObjectChangedError when the object is another version by now.
        """

        def attempt(deadline: float) -> None:
            wanted = ByteRange(cursor.position, cursor.stop)
            headers = {"range": wanted.header(), "if-match": quoted(etag)}
            request = Request("GetObject", "GET", path.bucket, path.key, _version(path), headers)
            with self._exchange(request, deadline) as body:
                self._check_pin(body, etag, path)
                # rclone answers a range with 200 and a right Content-Range: the header decides.
                if body.status == 206 or "content-range" in body.headers:
                    answered = _content_range(body)[:2] == (wanted.start, wanted.stop)
                else:
                    answered = wanted.start == 0 and body.length == wanted.stop
                if not answered:
                    raise ProtocolError(f"the store did not answer the range {wanted.header()}")
                if body.length not in (None, wanted.stop - wanted.start):
                    raise ProtocolError("the length of the body is not that of the range")
                drain(body, cursor)
                if cursor.position < cursor.stop:
                    raise IncompleteBodyError("the body ended before the range did")

        self._repeat(Request("GetObject", "GET", path.bucket, path.key), attempt)

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
        self,
        path: S3Path,
        data: bytes | bytearray | memoryview,
        condition: Condition,
        headers: Mapping[str, str],
    ) -> str:
        """PutObject; returns the new ETag."""
        response = self._send(
            Request(
                "PutObject",
                "PUT",
                path.bucket,
                path.key,
                headers={**headers, **condition.headers()},
                body=data,
                idempotent=not condition,
                retry_on_conflict=True,
                precondition_error=condition.failure,
            )
        )
        return response.headers.get("etag", "")

    def create_multipart_upload(self, path: S3Path, headers: Mapping[str, str]) -> str:
        """CreateMultipartUpload; returns the upload id."""
        query = (("uploads", ""),)
        sent = {**headers, "x-amz-checksum-algorithm": "CRC32"}
        request = Request(
            "CreateMultipartUpload", "POST", path.bucket, path.key, query, sent, idempotent=False
        )
        return _xml.parse_upload_id(self._send(request).body)

    def upload_part(
        self, path: S3Path, upload_id: str, number: int, data: bytes | bytearray | memoryview
    ) -> Part:
        """UploadPart."""
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        response = self._send(Request("UploadPart", "PUT", path.bucket, path.key, query, body=data))
        etag = response.headers.get("etag", "")
        if not etag:
            raise ProtocolError("UploadPart was answered without an ETag")
        crc = response.headers.get("x-amz-checksum-crc32", "")
        return Part(number, etag, memoryview(data).nbytes, crc)

    def upload_part_copy(
        self, path: S3Path, upload_id: str, number: int, source: S3Path, part: ByteRange, etag: str
    ) -> Part:
        """UploadPartCopy of a range of `source`, pinned to its `etag`."""
        headers = _copy_source(source, etag)
        headers["x-amz-copy-source-range"] = part.header()
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        request = Request("UploadPartCopy", "PUT", path.bucket, path.key, query, headers, patient=True)
        copied = _xml.parse_etag(self._send(request).body)
        if not copied:  # rclone answers 200, says nothing and stores an empty part
            raise ProtocolError("UploadPartCopy was answered without an ETag: the store may not support it")
        return Part(number, copied, part.stop - part.start)

    def complete_multipart_upload(
        self, path: S3Path, upload_id: str, parts: Sequence[Part], condition: Condition
    ) -> str:
        """CompleteMultipartUpload; returns the new ETag, "" where the store does not tell."""
        request = Request(
            "CompleteMultipartUpload",
            "POST",
            path.bucket,
            path.key,
            (("uploadId", upload_id),),
            {
                **condition.headers(),
                "content-type": "application/xml",
                "x-amz-mp-object-size": str(sum(part.size for part in parts)),
            },
            _xml.complete_body(parts),
            idempotent=False,
            patient=True,
            precondition_error=condition.failure,
        )
        return _xml.parse_etag(self._send(request).body)

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
            body = self._send(Request("ListParts", "GET", path.bucket, path.key, query)).body
            page, marker = _xml.parse_parts(body)
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
            body = self._send(Request("ListMultipartUploads", "GET", bucket, query=tuple(query))).body
            page, markers = _xml.parse_uploads(body)
            uploads += page
        return uploads

    def copy_object(
        self, source: S3Path, path: S3Path, etag: str, condition: Condition, headers: Mapping[str, str]
    ) -> str:
        """CopyObject from the version `etag` of `source`; metadata goes along. Returns the new ETag."""
        sent = {**_copy_source(source, etag), **headers, **condition.headers()}
        request = Request(
            "CopyObject",
            "PUT",
            path.bucket,
            path.key,
            headers=sent,
            idempotent=not condition,
            retry_on_conflict=True,
            patient=True,
            precondition_error=condition.failure,
        )
        return _xml.parse_etag(self._send(request).body)

    def delete_object(self, path: S3Path, if_match: str | None = None) -> None:
        """DeleteObject; a key that is not there is no error to S3."""
        headers = {"if-match": quoted(if_match)} if if_match else {}
        self._send(
            Request(
                "DeleteObject",
                "DELETE",
                path.bucket,
                path.key,
                _version(path),
                headers,
                idempotent=not if_match,
            )
        )

    def delete_objects(self, bucket: str, keys: Sequence[str]) -> list[tuple[str, str, str]]:
        """DeleteObjects of up to 1,000 keys; returns (key, code, message) of what was not deleted."""
        body = _xml.delete_body(keys)
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"content-md5": digest, "content-type": "application/xml"}
        request = Request(
            "DeleteObjects", "POST", bucket, query=(("delete", ""),), headers=headers, body=body
        )
        return _xml.parse_deleted(self._send(request).body)

    # --- listing and buckets ---

    def list_objects(
        self, bucket: str, prefix: str = "", delimiter: str = "", max_keys: int = 1000
    ) -> Iterator[ListPage]:
        """ListObjectsV2, page by page."""
        token: str | None = None
        while True:
            query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url")]
            query += [("max-keys", str(max_keys))]
            query += [("delimiter", delimiter)] if delimiter else []
            query += [("continuation-token", token)] if token else []
            page = _xml.parse_list(
                self._send(Request("ListObjectsV2", "GET", bucket, query=tuple(query))).body
            )
            yield page
            if page.next_token is None:
                return
            if page.next_token == token:
                raise ProtocolError("the listing goes round in circles: the same token came twice")
            token = page.next_token

    def list_buckets(self) -> list[tuple[str, datetime | None]]:
        """ListBuckets."""
        return _xml.parse_buckets(self._send(Request("ListBuckets", "GET")).body)

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


# --- headers ---------------------------------------------------------------------------------------


def _version(path: S3Path) -> tuple[tuple[str, str], ...]:
    return (("versionId", path.version_id),) if path.version_id else ()


def _copy_source(source: S3Path, etag: str) -> dict[str, str]:
    version = f"?versionId={quote(source.version_id)}" if source.version_id else ""
    where = f"/{source.bucket}/{quote(source.key, safe='/~')}{version}"
    return {"x-amz-copy-source": where, "x-amz-copy-source-if-match": quoted(etag)}


def _seconds(text: str) -> float:
    """Retry-After in seconds; the date form is not used by S3 and counts as none."""
    return float(text) if text.isdecimal() else 0.0


def _content_range(body: HTTPBody) -> tuple[int, int, int | None]:
    """(start, stop, size) of a 206 (RFC 9110, 14.4); stop is exclusive."""
    match = _CONTENT_RANGE.fullmatch(body.headers.get("content-range", ""))
    if not match:
        raise ProtocolError("a 206 came without a usable Content-Range")
    size = None if match[3] == "*" else int(match[3])
    return int(match[1]), int(match[2]) + 1, size


def _object_info(headers: Mapping[str, str], size: int) -> ObjectInfo:
    modified = None
    if headers.get("last-modified"):
        modified = parsedate_to_datetime(headers["last-modified"]).astimezone(timezone.utc)
    metadata = {name[len(_META) :]: value for name, value in headers.items() if name.startswith(_META)}
    token = metadata.pop(WRITE_TOKEN, "")
    return ObjectInfo(
        etag=headers.get("etag", ""),
        size=size,
        last_modified=modified,
        content_type=headers.get("content-type", ""),
        version_id=headers.get("x-amz-version-id"),
        storage_class=headers.get("x-amz-storage-class", "STANDARD"),
        metadata=metadata,
        write_token=token,
    )
