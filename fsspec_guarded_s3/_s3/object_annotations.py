"""PutObjectAnnotation, GetObjectAnnotation, ListObjectAnnotations and DeleteObjectAnnotation."""

from __future__ import annotations

from datetime import datetime

from .._values.checksums import body_crc
from .._values.conditions import Condition, quoted
from .._values.models import Request, Response
from .._values.paths import S3Path
from ..errors import ProtocolError
from . import about_objects, xml_answers
from .checks import Checks
from .exchange import Exchange

_CRC = "x-amz-checksum-crc32"
Listed = tuple[str, int, str, datetime | None]  # name, size, ETag, time


class ObjectAnnotations:
    """Annotations of objects. Thread-safe."""

    def __init__(self, exchange: Exchange, checks: Checks) -> None:
        self._exchange = exchange
        self._checks = checks

    def put_object_annotation(self, path: S3Path, name: str, text: bytes, if_match: str | None) -> None:
        """PutObjectAnnotation; `if_match` is the ETag that the object must have."""
        _, headers = self._checks.of_body("PutObjectAnnotation", path.bucket, text)
        self._exchange.send(self._request("PutObjectAnnotation", "PUT", path, name, headers, text, if_match))

    def get_object_annotation(self, path: S3Path, name: str) -> str:
        """GetObjectAnnotation: the text. Raises ProtocolError for bytes that are not what S3 has stored."""
        headers = {"x-amz-checksum-mode": "ENABLED"}
        request = self._request("GetObjectAnnotation", "GET", path, name, headers)

        def parse(answer: Response) -> str:
            stored = answer.headers.get(_CRC)
            if stored and stored != body_crc(answer.body).text():
                raise ProtocolError("the text that arrived does not have the checksum of the annotation")
            try:
                return answer.body.decode()
            except UnicodeDecodeError as error:
                raise ProtocolError("the annotation is not UTF-8") from error

        return about_objects.ask(self._exchange, request, parse, of_document=False)

    def list_object_annotations(self, path: S3Path, prefix: str) -> list[Listed]:
        """ListObjectAnnotations: those whose name begins with `prefix`; of all pages."""
        found: list[Listed] = []
        token = ""
        while True:
            request = self._request("ListObjectAnnotations", "GET", path, "")
            more = {"annotation-prefix": prefix, "continuation-token": token}
            request.query = (*request.query, *((name, text) for name, text in more.items() if text))
            rows, token = about_objects.ask(
                self._exchange, request, lambda answer: xml_answers.parse_annotations(answer.body)
            )
            found += rows
            if not token:
                return found

    def delete_object_annotation(self, path: S3Path, name: str, if_match: str | None) -> None:
        """DeleteObjectAnnotation; `if_match` is the ETag that the object must have."""
        self._exchange.send(self._request("DeleteObjectAnnotation", "DELETE", path, name, if_match=if_match))

    @staticmethod
    def _request(
        operation: str,
        method: str,
        path: S3Path,
        name: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        if_match: str | None = None,
    ) -> Request:
        query = (("annotation", ""), *((("annotationName", name),) if name else ()), *path.version_query)
        on_object = {"x-amz-object-if-match": quoted(if_match)} if if_match is not None else {}
        return Request(
            operation,
            method,
            path.bucket,
            path.key,
            query,
            {**(headers or {}), **on_object},
            body,
            retry_on_conflict=method != "GET",
            condition=Condition(if_match=if_match),
        )
