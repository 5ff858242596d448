"""One method per S3 operation on an object; all of them go through one crossing point, `_exchange`.

What came back is verified, not only its status: a pinned read compares the ETag of every response, because
some stores ignore If-Match.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from . import _xml
from ._bodies import RequestBody, WatchedSlice
from ._buckets import BucketOperations
from ._checksums import algorithms, body_crc
from ._deadline import Deadline
from ._errors import (
    GuardedS3Error,
    IncompleteBodyError,
    ObjectNotFoundError,
    ProtocolError,
    RangeNotSatisfiableError,
    ServerError,
    ThrottledError,
)
from ._exchange import Early
from ._headers import content_range, copy_source, object_info, told_etag, whole_checksum, written
from ._http import HTTPBody
from ._models import Body, Condition, ObjectInfo, Request, Response, Written, quoted, same_etag
from ._multipart import MultipartOperations
from ._optional_headers import md5_header
from ._paths import S3Path, is_directory_bucket
from ._pinned import check_etag, check_head, check_pin, check_range, check_version, replaced, told_size
from ._subresources import SubresourceOperations

T = TypeVar("T")
_CHECKSUM_MODE = {"x-amz-checksum-mode": "ENABLED"}
_NO_CONDITION = Condition()


@dataclass(slots=True)
class Cursor:
    """How far a ranged read has come: the next byte wanted, and where to stop."""

    position: int
    stop: int


class S3Client(MultipartOperations, BucketOperations, SubresourceOperations):
    """The operations of S3 that a filesystem needs. Thread-safe."""

    # --- reading ---

    def head_object(self, path: S3Path, early: Early | None = None) -> ObjectInfo:
        """HeadObject. Raises ObjectNotFoundError, AccessDeniedError and the transport's errors."""

        def parse(answer: Response) -> ObjectInfo:
            check_head(answer.headers)
            check_version(path, answer.headers)
            return self._info(answer.headers, told_size(answer.headers))

        return self._ask(self._head_request(path), parse, early)

    def ask_head(self, path: S3Path) -> Early:
        """Send the request of `head_object` now."""
        return self._ahead(self._head_request(path))

    def _head_request(self, path: S3Path) -> Request:
        return Request("HeadObject", "HEAD", path.bucket, path.key, _version(path), self._checksum_mode())

    def pinned(self, path: S3Path, info: ObjectInfo) -> S3Path:
        """`path` at the version `info`, where the option `version_aware` asks for that and there are any.

        A version can be read after it was replaced. Without the option its ETag alone is the pin, since
        reading by version takes a permission of its own (s3:GetObjectVersion).
        """
        if self.options.version_aware and info.version_id:
            return S3Path(path.bucket, path.key, info.version_id)
        return path

    def _info(self, headers: Mapping[str, str], size: int) -> ObjectInfo:
        info = object_info(headers, size)
        return info if self._verifies else replace(info, checksum=None)

    def version_of(self, body: Body) -> ObjectInfo:
        """What the answer of `read_object` tells about the object."""
        return self._info(body.headers, body.length or 0)

    def stored_checksum(self, body: Body) -> tuple[str, str] | None:
        """The checksum of the whole object that `read_object` was told, where it is to be checked."""
        return whole_checksum(body.headers) if self._verifies else None

    def _checksum_mode(self) -> Mapping[str, str]:
        return _CHECKSUM_MODE if self._verifies else {}

    def read_object(
        self, path: S3Path, receive: Callable[[Body, Deadline], T], early: Early | None = None
    ) -> T:
        """GetObject without knowing the size: `receive` gets the body and the deadline.

        Asked for as a whole, since only then S3 tells the stored checksum; `receive` may stop early.
        """
        request = self._object_request(path)

        def attempt(deadline: Deadline) -> T:
            with self._exchange(request, deadline, early) as body:
                check_etag(body.headers.get("etag", ""))
                check_version(path, body.headers)
                if body.status != 200 or "content-range" in body.headers:
                    raise ProtocolError("the store answered a part where the whole object was asked for")
                if body.length is None:  # it comes in chunks, or ends with the connection
                    body.promise(self._size_of(path, body.headers["etag"], deadline))
                return receive(body, deadline)

        return self._repeat(request, attempt)

    def _size_of(self, path: S3Path, etag: str, deadline: Deadline) -> int:
        """What HeadObject tells, by one attempt, of the version that is on its way."""
        with self._exchange(self._head_request(path), deadline) as head:
            if not same_etag(head.headers.get("etag", ""), etag):
                raise IncompleteBodyError("the object was replaced before its size was known")
            return told_size(head.headers)

    def ask_object(self, path: S3Path) -> Early:
        """Send the request of `read_object` now."""
        return self._ahead(self._object_request(path))

    def _object_request(self, path: S3Path) -> Request:
        return Request("GetObject", "GET", path.bucket, path.key, _version(path), self._checksum_mode())

    def read_range(
        self,
        path: S3Path,
        cursor: Cursor,
        pin: ObjectInfo,
        drain: Callable[[HTTPBody, Cursor], None],
        deadline: Deadline | None = None,
        early: Early | None = None,
        failed: GuardedS3Error | None = None,
    ) -> None:
        """GetObject of a range, pinned to the version `pin`. `drain` moves the cursor as bytes come.

        A body that breaks is resumed at the cursor, under the same pin. `failed` is how the first attempt
        ended, where another request was it.
        Raises ObjectChangedError when the object is another version by now.
        """
        path = self.pinned(path, pin)
        begin = cursor.position
        asked = early.request if early is not None else _range_request(path, begin, cursor.stop, pin)

        def attempt(deadline: Deadline) -> None:
            start, stop, request = cursor.position, cursor.stop, asked
            if start > begin:
                request = _range_request(path, start, stop, pin)
            with self._exchange(request, deadline, early) as body:
                check_pin(body, pin.etag, path)
                check_range(body, start, stop, pin)
                body.promise(stop - start)
                drain(body, cursor)
                if cursor.position < stop:
                    raise IncompleteBodyError("the body ended before the range did")

        try:
            with self._lane(cursor.stop - begin, lambda: cursor.position - begin):
                self._repeat(asked, attempt, deadline, failed)
        except RangeNotSatisfiableError:  # the version that is pinned has this range
            self._check_unchanged(path, pin)
            raise

    def ask_range(self, path: S3Path, cursor: Cursor, pin: ObjectInfo) -> Early:
        """Send the request of `read_range` now."""
        return self._ahead(_range_request(self.pinned(path, pin), cursor.position, cursor.stop, pin))

    def ask_first(self, path: S3Path, size: int) -> Early | None:
        """Send a GetObject of the first `size` bytes beside a HeadObject, which will tell their version.

        None on a near store, where that saves little time and costs a request.
        """
        return self._ahead(_range_request(path, 0, size)) if self._is_surely_distant() else None

    def take_first(self, path: S3Path, size: int, early: Early, pin: ObjectInfo) -> bytes:
        """What `ask_first` brought if it is of the version `pin`; nothing when anything is amiss.

        It is not asked for again: whoever needs the bytes does so, under the pin.
        """
        wanted = (0, min(size, pin.size), pin.size)
        data = bytearray(wanted[1])
        try:
            deadline = Deadline(self.options.request_deadline)
            with self._exchange(early.request, deadline, early) as body:
                check_pin(body, pin.etag, path)
                if content_range(body.headers) == wanted and body.readinto(memoryview(data)) == len(data):
                    return bytes(data)
        except GuardedS3Error:
            pass
        return b""

    def _check_unchanged(self, path: S3Path, pin: ObjectInfo) -> None:
        """Raises ObjectChangedError, or ObjectNotFoundError, unless the object is the version `pin` still."""
        try:
            now = self.head_object(path)
        except ObjectNotFoundError:
            raise
        except GuardedS3Error:
            return
        if not same_etag(now.etag, pin.etag):
            raise replaced(path, pin.etag, now.etag, 416)

    # --- writing ---

    def put_object(
        self, path: S3Path, data: RequestBody, condition: Condition, headers: Mapping[str, str]
    ) -> Written:
        """PutObject, with its CRC; of an empty object too, as a bucket with Object Lock may want it."""
        crc, checked = self._body_checks("PutObject", path.bucket, data)
        if isinstance(data, WatchedSlice):
            crc = crc or body_crc(data, self._algorithm)
            data = data.expecting(algorithms()[crc.algorithm].update, crc.value)
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
        return self._ask(
            request, lambda answer: written(answer.headers, told_etag(answer.headers, "PutObject"))
        )

    def copy_object(
        self,
        source: S3Path,
        path: S3Path,
        etag: str,
        condition: Condition = _NO_CONDITION,
        attributes: Mapping[str, str] | None = None,
        *,
        replace: bool = False,
    ) -> Written:
        """CopyObject from the version `etag` of `source`, with its tags, unless `attributes` have others.

        Content headers and metadata go along, or are those of `attributes` when these are to `replace` them.
        """
        headers = {**copy_source(source, etag), **condition.headers(), **(attributes or {})}
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
            patient=True,
            precondition_error=condition.failure,
        )

        def parse(answer: Response) -> Written:
            return written(answer.headers, _xml.parse_etag(answer.body, request.operation))

        return self._ask(request, parse)

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

    def delete_objects(self, bucket: str, etags: Mapping[str, str | None]) -> dict[str, GuardedS3Error]:
        """DeleteObjects of up to 1,000 keys; where an ETag is given only of that version, if the store
        honours it.

        Returns the error of each key that was not deleted; those that may pass are tried again before.
        """
        left, failed = dict(etags), dict[str, GuardedS3Error]()

        def once() -> None:
            errors = self._delete_once(bucket, left)
            for key in left:
                before = failed.pop(key, None)
                if before is not None and key in errors:
                    errors[key].maybe_applied = True
            failed.update(errors)
            passing = [
                key for key, error in errors.items() if isinstance(error, (ServerError, ThrottledError))
            ]
            for key in left.keys() - set(passing):
                del left[key]
            if passing:
                raise errors[passing[0]]

        try:
            self.repeat_while(lambda error: error in failed.values(), once, self.attempts())
        except GuardedS3Error:
            if not failed:  # the request itself, the first time
                raise
        return failed

    def _delete_once(self, bucket: str, etags: Mapping[str, str | None]) -> dict[str, GuardedS3Error]:
        rows = self._delete(bucket, _xml.delete_body(etags))
        return {error.key: error for error in rows}

    def delete_versions(self, bucket: str, versions: Sequence[tuple[str, str]]) -> list[GuardedS3Error]:
        """DeleteObjects of up to 1,000 (key, version id), for good; returns the error of each that stayed."""
        return self._delete(bucket, _xml.delete_versions_body(versions))

    def _delete(self, bucket: str, body: bytes) -> list[GuardedS3Error]:
        headers = {"content-type": "application/xml"}
        if is_directory_bucket(bucket):  # which knows no MD5
            headers |= body_crc(body).headers()
        else:
            headers |= md5_header(body)
        request = Request(
            "DeleteObjects", "POST", bucket, query=(("delete", ""),), headers=headers, body=body
        )
        attempts: list[Deadline] = []

        def attempt(deadline: Deadline) -> list[tuple[str, str, str]]:
            attempts.append(deadline)
            return self._once(request, lambda answer: _xml.parse_deleted(answer.body), deadline)

        rows = self._repeat(request, attempt)
        errors = [
            self._build_error(replace(request, key=key), 200, {"Code": code, "Message": said}, {})
            for key, code, said in rows
        ]
        for error in errors:  # an attempt before may have deleted it, and somebody written it again
            error.maybe_applied = len(attempts) > 1
        return list(errors)

    def presigned_url(self, method: str, path: S3Path, expires: int, parameters: Mapping[str, Any]) -> str:
        """A presigned URL of an operation, both named as botocore does; valid for `expires` seconds."""
        request = self._signer.request_of(method, path, parameters)
        if self.options.requester_pays:
            request = replace(request, query=(*request.query, ("x-amz-request-payer", "requester")))
        return self.presign(request, expires)


def _range_request(path: S3Path, start: int, stop: int, pin: ObjectInfo | None = None) -> Request:
    """GetObject of the bytes [start, stop). The answer tells which bytes it has, and of which version."""
    headers = {"range": f"bytes={start}-{stop - 1}"}
    if pin is not None:
        headers["if-match"] = quoted(pin.etag)
    return Request("GetObject", "GET", path.bucket, path.key, _version(path), unsigned=headers)


def _version(path: S3Path) -> tuple[tuple[str, str], ...]:
    return (("versionId", path.version_id),) if path.version_id else ()
