"""The operations of multipart uploads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import _xml
from ._bodies import RequestBody, body_size
from ._checksums import body_crc, combined_crc
from ._errors import InvalidRequestError, ProtocolError
from ._exchange import Exchange
from ._headers import copy_source, told_etag, written
from ._models import ByteRange, Condition, Part, PendingUpload, Request, Response, Written
from ._options import Options
from ._pages import Markers
from ._paths import S3Path, is_directory_bucket


class MultipartOperations(Exchange):
    """CreateMultipartUpload, UploadPart, UploadPartCopy, Complete, Abort, and what is under way."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._whole_checked: set[str] = set()  # buckets whose store compares the CRC of whole objects

    def create_multipart_upload(self, path: S3Path, headers: Mapping[str, str]) -> str:
        """CreateMultipartUpload; returns the upload id.

        It asks for the CRC of the whole object to be compared on Complete. AWS says in its answer that it
        will; other stores take that CRC for one of CRCs (MinIO #20944), or refuse to be asked.
        """
        asked = {"x-amz-checksum-algorithm": self._algorithm.upper(), "x-amz-checksum-type": "FULL_OBJECT"}
        try:
            return self._create(path, {**headers, **asked})
        except InvalidRequestError as error:
            if error.code not in ("InvalidArgument", "InvalidRequest", "NotImplemented"):
                raise
            return self._create(path, headers)

    def _create(self, path: S3Path, headers: Mapping[str, str]) -> str:
        request = Request(
            "CreateMultipartUpload",
            "POST",
            path.bucket,
            path.key,
            (("uploads", ""),),
            headers,
            idempotent=False,
        )

        def parse(answer: Response) -> str:
            self._learn(path.bucket, answer.headers.get("x-amz-checksum-type", ""))
            return _xml.parse_upload_id(answer.body)

        return self._ask(request, parse)

    def _learn(self, bucket: str, checksum_type: str) -> None:
        if checksum_type == "FULL_OBJECT":
            self._whole_checked.add(bucket)
        else:
            self._whole_checked.discard(bucket)

    def upload_part(self, path: S3Path, upload_id: str, number: int, data: RequestBody) -> Part:
        """UploadPart, with its CRC."""
        crc = body_crc(data, self._algorithm)
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        request = Request("UploadPart", "PUT", path.bucket, path.key, query, crc.headers(), body=data)
        etag = self._ask(request, lambda answer: told_etag(answer.headers, "UploadPart"))
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
            page, following = self._ask(request, lambda answer: _xml.parse_uploads(answer.body))
            if following is not None and not following[0]:
                raise ProtocolError("the list of uploads is truncated and its marker leads nowhere")
            markers = following
            uploads += [upload for upload in page if upload.key.startswith(prefix)]
        return uploads
