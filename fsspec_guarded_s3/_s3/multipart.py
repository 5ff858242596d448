"""Multipart uploads: their parts, and those that were neither completed nor aborted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from .._values.bodies import RequestBody, body_size
from .._values.checksums import combined_crc
from .._values.conditions import Condition
from .._values.models import ByteRange, Part, PendingUpload, Request, Response, Written, http_time
from .._values.paths import S3Path, is_directory_bucket
from ..errors import (
    AccessDeniedError,
    EncryptionUnsupportedError,
    GuardedS3Error,
    InvalidRequestError,
    ObjectNotFoundError,
    ProtocolError,
)
from . import xml_answers, xml_bodies, xml_listings
from .checks import Checks
from .exchange import Exchange
from .generations import Generations
from .headers import copy_source, etag_of_answer, written
from .pages import Markers
from .store import Store
from .xml_listings import decoded_key


class Multipart:
    """The operations of multipart uploads. Thread-safe."""

    def __init__(self, store: Store, exchange: Exchange, checks: Checks, generations: Generations) -> None:
        self._store = store
        self._exchange = exchange
        self._checks = checks
        self._generations = generations

    def create_multipart_upload(self, path: S3Path, headers: Mapping[str, str]) -> str:
        """CreateMultipartUpload; returns the upload id."""
        request = Request(
            "CreateMultipartUpload",
            "POST",
            path.bucket,
            path.key,
            (("uploads", ""),),
            {**headers, **self._checks.of_upload(path.bucket)},
            idempotent=False,
        )

        def parse(answer: Response) -> tuple[str, Mapping[str, str]]:
            self._checks.learn(path.bucket, answer.headers.get("x-amz-checksum-type", ""))
            return xml_answers.parse_upload_id(answer.body), answer.headers

        upload_id, answer_headers = self._exchange.ask(request, parse)
        try:
            self._exchange.confirm(request, answer_headers)
        except EncryptionUnsupportedError:  # before a byte of it is sent
            with suppress(GuardedS3Error):
                self.abort_multipart_upload(path, upload_id)
            raise
        return upload_id

    def upload_part(
        self, path: S3Path, upload_id: str, number: int, data: RequestBody, *, by_md5: bool = False
    ) -> Part:
        """UploadPart, with its CRC; `by_md5` with Content-MD5 instead, where that is known and enough."""
        crc, checked = self._checks.of_body("UploadPart", path.bucket, data, by_md5=by_md5)
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        request = Request("UploadPart", "PUT", path.bucket, path.key, query, checked, body=data)
        etag = self._exchange.ask(
            request, lambda answer: etag_of_answer(answer.headers, answer.body, "UploadPart")
        )
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
        request = Request("UploadPartCopy", "PUT", path.bucket, path.key, query, headers, slow_answer=True)
        # rclone answers 200, says nothing and stores an empty part: ProtocolError
        wanted = self._checks.algorithm
        copied, crc, is_whole = self._exchange.ask(
            request, lambda answer: xml_answers.parse_copied_part(answer.body, wanted)
        )
        if is_whole:  # versitygw, of a range that is all of a source that was uploaded in parts
            raise ProtocolError(
                f"the store knows the {wanted} of no copied part: it has that of the source's own parts"
            )
        if crc is not None and crc.algorithm != wanted:  # that of the source, not of the upload
            crc = None
        return Part(number, copied, part.stop - part.start, crc)

    def complete_multipart_upload(
        self, path: S3Path, upload_id: str, parts: Sequence[Part], condition: Condition
    ) -> Written:
        """CompleteMultipartUpload, with the size and, where it is known and compared, the CRC."""
        condition = self._generations.pinned(path, condition)
        ordered = sorted(parts, key=lambda part: part.number)
        headers = {
            **condition.headers(),
            "content-type": "application/xml",
            "x-amz-mp-object-size": str(sum(part.size for part in ordered)),
        }
        crcs = [(part.crc, part.size) for part in ordered if part.crc is not None]
        crc = combined_crc(crcs) if len(crcs) == len(ordered) else None
        headers |= self._checks.of_complete(path.bucket, crc)
        request = Request(
            "CompleteMultipartUpload",
            "POST",
            path.bucket,
            path.key,
            (("uploadId", upload_id),),
            headers,
            xml_bodies.complete_body(ordered),
            idempotent=False,
            slow_answer=True,
            condition=condition,
        )

        def parse(answer: Response) -> Written:
            return written(answer.headers, xml_answers.parse_etag(answer.body, request.operation))

        with self._generations.explained(path, condition):
            return self._exchange.ask(request, parse)

    def abort_multipart_upload(self, path: S3Path, upload_id: str) -> None:
        """AbortMultipartUpload."""
        query = (("uploadId", upload_id),)
        self._exchange.send(Request("AbortMultipartUpload", "DELETE", path.bucket, path.key, query))

    def list_parts(self, path: S3Path, upload_id: str) -> list[Part]:
        """ListParts, all pages."""
        parts: list[Part] = []
        marker: str | None = "0"
        markers = Markers("the list of parts")
        while marker is not None:
            markers.check(marker)
            query = (("part-number-marker", marker), ("uploadId", upload_id))
            request = Request("ListParts", "GET", path.bucket, path.key, query)
            page, marker, checksum_type = self._exchange.ask(
                request, lambda answer: xml_listings.parse_parts(answer.body)
            )
            parts += page
            if checksum_type:  # of an upload that another process began
                self._checks.learn(path.bucket, checksum_type)
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
            try:
                page, following = self._page_of_uploads(bucket, asked, *markers)
            except InvalidRequestError:
                if not markers[1]:
                    raise
                # versitygw refuses its own marker of an upload; that of a key leaves out all uploads to it.
                page, following = self._rest_of_uploads(bucket, markers[0], uploads), (markers[0], "")
            markers = following
            uploads += [upload for upload in page if upload.key.startswith(prefix)]
        return uploads

    def _page_of_uploads(
        self, bucket: str, prefix: str, key_marker: str, upload_marker: str
    ) -> tuple[list[PendingUpload], tuple[str, str] | None]:
        """One page of ListMultipartUploads, and the markers of the next."""
        query = [("uploads", ""), ("prefix", prefix), ("encoding-type", "url")]
        query += [("key-marker", key_marker)] if key_marker else []
        if upload_marker and not is_directory_bucket(bucket):
            query += [("upload-id-marker", upload_marker)]
        request = Request("ListMultipartUploads", "GET", bucket, query=tuple(query))
        (page, following, said), now = self._exchange.ask(request, _parse_uploads)
        if self._are_encoded(bucket, page, said):
            page = [upload._replace(key=decoded_key(upload.key)) for upload in page]
            following = (decoded_key(following[0]), following[1]) if following else None
        if following is not None and not following[0]:
            raise ProtocolError("the list of uploads is truncated and its marker leads nowhere")
        return [upload._replace(listed=now) for upload in page], following

    def _rest_of_uploads(self, bucket: str, key: str, known: Sequence[PendingUpload]) -> list[PendingUpload]:
        """The uploads to `key` that are not among those that are `known`."""
        ids = {upload.upload_id for upload in known}
        page, following = self._page_of_uploads(bucket, key, "", "")
        if following is not None and following[0] == key:
            raise ProtocolError(f"the store lists no more than {len(page)} of the uploads to one key")
        return [upload for upload in page if upload.key == key and upload.upload_id not in ids]

    def _are_encoded(self, bucket: str, page: Sequence[PendingUpload], said: bool) -> bool:
        """Whether keys are encoded. Of a store other than AWS the uploads tell, whatever it `said`.

        Ceph RGW encodes keys and does not say so; LocalStack says so and does not. Asked by the key that is
        likely first: moto finds uploads by their ids, whatever the key.
        """
        if said and self._store.is_aws(bucket):
            return True
        for upload in page:
            decoded = decoded_key(upload.key)
            likely = (decoded, upload.key) if said else (upload.key, decoded)
            for key in likely if decoded != upload.key else ():
                try:
                    self.list_parts(S3Path(bucket, key), upload.upload_id)
                except ObjectNotFoundError:
                    continue  # a wrong key, or completed since
                except AccessDeniedError:
                    return said
                return key == decoded
        return said


def _parse_uploads(answer: Response) -> tuple[xml_listings.UploadPage, datetime | None]:
    """A page of uploads, and when the store sent it."""
    return xml_listings.parse_uploads(answer.body), http_time(answer.headers.get("date", ""))
