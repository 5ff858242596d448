"""Annotations of an object: named texts beside it, which can be changed without writing the object anew.

A store that does not know `?annotation` takes PUT for a PutObject and DELETE for a DeleteObject. So outside
of AWS a trial on temporary keys finds out before anything is changed, and a list before anything is read.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAnnotation.html
"""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from .._s3.client import S3Client
from .._values.keywords import check_type
from .._values.parameters import Path
from .._values.paths import S3Path, is_directory_bucket
from .._write.guards import require_operation, trusts
from ..errors import OperationUnsupportedError
from .conditions import check_if_match
from .path_rules import PathRules

MAX_NAME = 512  # bytes of UTF-8
MAX_TEXT = 2**20  # bytes of UTF-8
_RESERVED = ("aws", "s3")


class AnnotationInfo(TypedDict):
    """What is known of an annotation, in S3's names; `Size` is in bytes."""

    AnnotationName: str
    Size: int
    ETag: str
    LastModified: datetime | None


class Annotations:
    """Reads and changes annotations."""

    def __init__(self, client: S3Client, paths: PathRules) -> None:
        self._client = client
        self._paths = paths

    def get(self, path: Path, name: str, version_id: str | None) -> str:
        """The text of an annotation. FileNotFoundError where there is none of this name, or no object."""
        location = self._location(path, version_id, "GetObjectAnnotation")
        _check_name(name)
        if not trusts(self._client, location.bucket):  # else the text could be the object
            self._client.annotations.list_object_annotations(location, name)
        return self._client.annotations.get_object_annotation(location, name)

    def list(self, path: Path, prefix: str, version_id: str | None) -> list[AnnotationInfo]:
        """The annotations whose name begins with `prefix`."""
        location = self._location(path, version_id, "ListObjectAnnotations")
        check_type("prefix", prefix, str)
        rows = self._client.annotations.list_object_annotations(location, prefix)
        return [
            AnnotationInfo(AnnotationName=name, Size=size, ETag=etag, LastModified=modified)
            for name, size, etag, modified in rows
        ]

    def put(self, path: Path, name: str, text: str, if_match: str | None, version_id: str | None) -> None:
        """Give an object an annotation, in place of that of the same name."""
        location = self._location(path, version_id, "PutObjectAnnotation")
        _check_name(name)
        check_type("text", text, str)
        data = text.encode()
        if not 1 <= len(data) <= MAX_TEXT:
            raise ValueError(f"text must have 1 to {MAX_TEXT} bytes of UTF-8, not {len(data)}")
        check_if_match(if_match)
        require_operation(self._client, location, "PutObjectAnnotation")
        self._client.annotations.put_object_annotation(location, name, data, if_match)

    def delete(self, path: Path, name: str, if_match: str | None, version_id: str | None) -> None:
        """Remove an annotation."""
        location = self._location(path, version_id, "DeleteObjectAnnotation")
        _check_name(name)
        check_if_match(if_match)
        require_operation(self._client, location, "DeleteObjectAnnotation")
        self._client.annotations.delete_object_annotation(location, name, if_match)

    def _location(self, path: Path, version_id: str | None, operation: str) -> S3Path:
        location = self._paths.object(path, version_id)
        if is_directory_bucket(location.bucket):
            raise OperationUnsupportedError(
                "objects of directory buckets have no annotations",
                bucket=location.bucket,
                key=location.key,
                operation=operation,
            )
        return location


def _check_name(name: str) -> None:
    check_type("name", name, str)
    if not 1 <= len(name.encode()) <= MAX_NAME:
        raise ValueError(f"name must have 1 to {MAX_NAME} bytes of UTF-8, not {len(name.encode())}")
    if name.lower().startswith(_RESERVED):
        raise ValueError(f"name must not begin with 'aws' or 's3', which S3 keeps for itself: {name!r}")
