"""The operations of multipart uploads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from urllib.parse import unquote_plus

from . import _xml
from ._bodies import RequestBody, body_size
from ._checksums import Crc, body_crc, combined_crc
from ._encryption import confirm
from ._errors import EncryptionUnsupportedError, GuardedS3Error, ObjectNotFoundError, ProtocolError
from ._exchange import Exchange
from ._headers import copy_source, told_etag, written
from ._models import ByteRange, Condition, Part, PendingUpload, Request, Response, Written, http_time
from ._optional_headers import md5_header
from ._options import Options
from ._pages import Markers
from ._paths import S3Path, is_directory_bucket
from ._store_facts import is_any_refusing


class MultipartOperations(Exchange):
    """CreateMultipartUpload, UploadPart, UploadPartCopy, Complete, Abort, and what is under way."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._whole_checked: set[str] = set()  # buckets whose store compares the CRC of whole objects

    @cached_property
    def _verifies(self) -> bool:
        """Whether what is read is compared with the stored checksum."""
        wanted = self.options.verify_checksums
        return not self._signer.is_when_required("response_checksum_validation") if wanted is None else wanted

    @cached_property
    def _md5_instead(self) -> bool:
        """Whether Content-MD5 is to take the place of the CRCs, for stores that refuse these."""
        wanted = self.options.request_checksum_calculation
        if wanted is None:
            return self._signer.is_when_required("request_checksum_calculation")
        return wanted == "when_required"

    def _body_checks(
        self, operation: str, bucket: str, data: RequestBody
    ) -> tuple[Crc | None, dict[str, str]]:
        """The CRC of a body and the headers by which the store compares it."""
        if not is_directory_bucket(bucket) and self._has_no_crc(operation, bucket):
            return None, md5_header(data)
        crc = body_crc(data, self._algorithm)
        headers = crc.headers()
        if (
            operation == "PutObject"
        ):  # by this name buckets with Object Lock look for it, as botocore sends it
            headers["x-amz-sdk-checksum-algorithm"] = self._algorithm.upper()
        return crc, headers

    def _has_no_crc(self, operation: str, bucket: str) -> bool:
        """Whether the store takes no CRC with a body, as it is configured or was found out."""
        if self._algorithm_named or self._md5_instead:
            return not self._algorithm_named
        refused = self.facts(bucket).refused.get(operation, ()) if is_any_refusing() else ()
        return f"x-amz-checksum-{self._algorithm}" in refused

    def create_multipart_upload(self, path: S3Path, headers: Mapping[str, str]) -> str:
        """CreateMultipartUpload; returns the upload id.

        It asks for the CRC of the whole object to be compared on Complete. AWS says in its answer that it
        will; other stores take that CRC for one of CRCs (MinIO #20944), or refuse to be asked.
        """
        if self._algorithm_named or not self._md5_instead:
            algorithm = self._algorithm.upper()
            headers = {
                **headers,
                "x-amz-checksum-algorithm": algorithm,
                "x-amz-checksum-type": "FULL_OBJECT",
            }
        request = Request(
            "CreateMultipartUpload",
            "POST",
            path.bucket,
            path.key,
            (("uploads", ""),),
            headers,
            idempotent=False,
        )

        def parse(answer: Response) -> tuple[str, Mapping[str, str]]:
            self._learn(path.bucket, answer.headers.get("x-amz-checksum-type", ""))
            return _xml.parse_upload_id(answer.body), answer.headers

        upload_id, told = self._ask(request, parse)
        try:
            confirm(request, self._key_md5, told)
        except EncryptionUnsupportedError:  # before a byte of it is sent
            with suppress(GuardedS3Error):
                self.abort_multipart_upload(path, upload_id)
            raise
        return upload_id

    def _learn(self, bucket: str, checksum_type: str) -> None:
        if checksum_type == "FULL_OBJECT":
            self._whole_checked.add(bucket)
        else:
            self._whole_checked.discard(bucket)

    def upload_part(self, path: S3Path, upload_id: str, number: int, data: RequestBody) -> Part:
        """UploadPart, with its CRC."""
        crc, checked = self._body_checks("UploadPart", path.bucket, data)
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        request = Request("UploadPart", "PUT", path.bucket, path.key, query, checked, body=data)
        etag = self._ask(request, lambda answer: told_etag(answer.headers, "UploadPart"))
        if crc is not None and not crc.headers().keys() <= request.headers.keys():
            crc = None  # the store took none, and must not be told of one on Complete
        return Part(number, etag, body_size(data), crc)

    def upload_part_copy(
        self, path: S3Path, upload_id: str, number: int, source: S3Path, part: ByteRange, etag: str
    ) -> Part:
        """UploadPartCopy of a range of `source`, pinned to its `etag`; the CRC is the store's own.

        Some stores (versitygw, S3Proxy) want the CRC of every part on Complete, of copied ones too.
        """
        headers = copy_source(source, etag)
        headers["x-amz-copy-source-range"] = part.header()
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        request = Request("UploadPartCopy", "PUT", path.bucket, path.key, query, headers, patient=True)
        # rclone answers 200, says nothing and stores an empty part: ProtocolError
        copied, crc = self._ask(request, lambda answer: _xml.parse_copied_part(answer.body))
        if crc is not None and crc.algorithm != self._algorithm:  # that of the source, not of the upload
            crc = None
        return Part(number, copied, part.stop - part.start, crc)

    def complete_multipart_upload(
        self, path: S3Path, upload_id: str, parts: Sequence[Part], condition: Condition
    ) -> Written:
        """CompleteMultipartUpload, with the size and, where it is known and compared, the CRC."""
        ordered = sorted(parts, key=lambda part: part.number)
        headers = {
            **condition.headers(),
            "content-type": "application/xml",
            "x-amz-mp-object-size": str(sum(part.size for part in ordered)),
        }
        crcs = [(part.crc, part.size) for part in ordered if part.crc is not None]
        whole = combined_crc(crcs) if len(crcs) == len(ordered) else None
        if whole is not None and path.bucket in self._whole_checked:
            headers |= {**whole.headers(), "x-amz-checksum-type": "FULL_OBJECT"}
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

        def parse(answer: Response) -> Written:
            return written(answer.headers, _xml.parse_etag(answer.body, request.operation))

        return self._ask(request, parse)

    def abort_multipart_upload(self, path: S3Path, upload_id: str) -> None:
        """AbortMultipartUpload."""
        query = (("uploadId", upload_id),)
        self._send(Request("AbortMultipartUpload", "DELETE", path.bucket, path.key, query))

    def list_parts(self, path: S3Path, upload_id: str) -> list[Part]:
        """ListParts, all pages."""
        parts: list[Part] = []
        marker: str | None = "0"
        markers = Markers("the list of parts")
        while marker is not None:
            markers.check(marker)
            query = (("part-number-marker", marker), ("uploadId", upload_id))
            request = Request("ListParts", "GET", path.bucket, path.key, query)
            page, marker, checksum_type = self._ask(request, lambda answer: _xml.parse_parts(answer.body))
            parts += page
            if checksum_type:  # of an upload that another process began
                self._learn(path.bucket, checksum_type)
        return parts

    def list_multipart_uploads(self, bucket: str, prefix: str) -> list[PendingUpload]:
        """ListMultipartUploads, all pages."""
        # A directory bucket takes prefixes that end with a slash only.
        asked = prefix[: prefix.rfind("/") + 1] if is_directory_bucket(bucket) else prefix
        uploads: list[PendingUpload] = []
        markers: tuple[str, str] | None = ("", "")
        came = Markers("the list of uploads")
        while markers is not None:
            came.check(markers)
            query = [("uploads", ""), ("prefix", asked), ("encoding-type", "url")]
            if markers[0]:
                query += [("key-marker", markers[0])]
                query += [] if is_directory_bucket(bucket) else [("upload-id-marker", markers[1])]
            request = Request("ListMultipartUploads", "GET", bucket, query=tuple(query))
            (page, following, told), now = self._ask(request, _parse_uploads)
            if not told and self._are_encoded(bucket, page):
                page = [upload._replace(key=unquote_plus(upload.key)) for upload in page]
                following = (unquote_plus(following[0]), following[1]) if following else None
            if following is not None and not following[0]:
                raise ProtocolError("the list of uploads is truncated and its marker leads nowhere")
            markers = following
            uploads += [upload._replace(listed=now) for upload in page if upload.key.startswith(prefix)]
        return uploads

    def _are_encoded(self, bucket: str, page: Sequence[PendingUpload]) -> bool:
        """Whether keys are encoded although the answer does not say so, as Ceph RGW's: the uploads tell.

        Asked by the key as it stands first: moto finds uploads by their ids, whatever the key.
        """
        for upload in page:
            decoded = unquote_plus(upload.key)
            for key in (upload.key, decoded) if decoded != upload.key else ():
                try:
                    self.list_parts(S3Path(bucket, key), upload.upload_id)
                except ObjectNotFoundError:
                    continue  # a wrong key, or completed since
                return key != upload.key
        return False


def _parse_uploads(answer: Response) -> tuple[_xml.UploadPage, datetime | None]:
    """A page of uploads, and when the store sent it."""
    return _xml.parse_uploads(answer.body), http_time(answer.headers.get("date", ""))
