"""Response and request headers <-> models, no I/O. Header names are lower-case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from .._values.checksums import DIGESTS
from .._values.conditions import quoted
from .._values.dialects import GENERATION, in_words_of_s3
from .._values.models import META, WRITE_TOKEN, ObjectInfo, Written
from .._values.paths import NOT_TEXT, S3Path
from ..errors import ProtocolError

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_SUMS = {f"x-amz-checksum-{name}": name for name in ("crc64nvme", "crc32", "crc32c", *DIGESTS)}


def copy_source(source: S3Path, etag: str, *, as_rgw: bool = False) -> dict[str, str]:
    """The headers of a copy from the version `etag` of `source`, with that of Ceph RGW `as_rgw`."""
    version = f"?versionId={quote(source.version_id)}" if source.version_id else ""
    bucket = f"{source.bucket}/object" if source.bucket.startswith("arn:") else f"/{source.bucket}"
    where = f"{quote(bucket, safe='/:')}/{quote(source.key, safe='/~', errors=NOT_TEXT)}{version}"
    pin = {"x-amz-copy-source-if-match": quoted(etag)}
    if as_rgw:  # as found with release 16.2, which ignores the other one
        pin["x-amz-copy-if-match"] = quoted(etag)
    return {"x-amz-copy-source": where, **pin}


def rename_source(source: S3Path, etag: str) -> dict[str, str]:
    """The headers of a rename of the version `etag` of `source`. The key alone names it, without a bucket."""
    return {
        "x-amz-rename-source": quote(source.key, safe="/~", errors=NOT_TEXT),
        "x-amz-rename-source-if-match": quoted(etag),
    }


def seconds(text: str) -> float:
    """Retry-After in seconds; the date form is not used by S3 and counts as none."""
    return float(text) if text.isdecimal() else 0.0


def content_range(headers: Mapping[str, str]) -> tuple[int, int, int | None]:
    """(start, stop, size) of a 206 (RFC 9110, 14.4); stop is exclusive.

    An empty object has no range that could be told. Some stores answer "bytes 0--1/0" or the like.
    """
    told = headers.get("content-range", "")
    if told.endswith("/0"):
        return 0, 0, 0
    match = _CONTENT_RANGE.fullmatch(told)
    if not match:
        raise ProtocolError("a 206 came without a usable Content-Range")
    size = None if match[3] == "*" else int(match[3])
    return int(match[1]), int(match[2]) + 1, size


def etag_of_answer(headers: Mapping[str, str], body: bytes, operation: str) -> str:
    """The ETag of the answer to a write. Raises ProtocolError for one without, and for a page."""
    etag = headers.get("etag", "")
    if not etag:
        raise ProtocolError(f"{operation} was answered without an ETag: that is no answer of a store")
    if body.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):  # frameworks give pages ETags
        raise ProtocolError(f"{operation} was answered with a page that no store sends")
    return etag


def is_named(headers: Mapping[str, str]) -> bool:
    """Whether an answer has a header by which a store names itself. Pages and gateways have none."""
    return any(name.startswith(("x-amz-", "x-goog-")) for name in headers)


def is_like_page(headers: Mapping[str, str], *, of_head: bool) -> bool:
    """Whether an answer may be a page. Frameworks give pages ETags, weak ones (RFC 9110, 8.8.1), S3 never.

    An answer to HeadObject without an ETag may be one too: a read has its own word for that.
    """
    etag, kind = headers.get("etag", ""), headers.get("content-type", "").lower()
    if etag.startswith("W/") or kind.startswith(("text/html", "application/xhtml")):
        return True
    return of_head and not etag.strip('"')


def written(headers: Mapping[str, str], etag: str) -> Written:
    """The answer to a write."""
    return Written(etag, headers.get("x-amz-version-id"), headers.get("x-amz-server-side-encryption", ""))


def object_info(headers: Mapping[str, str], size: int) -> ObjectInfo:
    """What HeadObject or GetObject told."""
    if GENERATION in headers:
        headers = in_words_of_s3(headers)
    # Some stores change the case of the names, so does HTTP.
    metadata = {name[len(META) :]: value for name, value in headers.items() if name.startswith(META)}
    token = metadata.pop(WRITE_TOKEN, "")
    tags = headers.get("x-amz-tagging-count", "")
    return ObjectInfo(
        etag=headers.get("etag", ""),
        size=size,
        modified=headers.get("last-modified", ""),
        content_type=headers.get("content-type", ""),
        version_id=headers.get("x-amz-version-id"),
        storage_class=headers.get("x-amz-storage-class", "STANDARD"),
        metadata=metadata,
        headers=headers,
        tag_count=int(tags) if tags.isdecimal() else 0,
        checksum=object_checksum(headers),
        write_token=token,
    )


def object_checksum(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """The checksum of the whole object; a COMPOSITE one ("...-3") is one of checksums, not of bytes."""
    if GENERATION in headers:
        headers = in_words_of_s3(headers)
    if _SUMS.keys().isdisjoint(headers) or headers.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    for name, algorithm in _SUMS.items():
        value = headers.get(name, "")
        if value and "-" not in value:
            return algorithm, value
    return None
