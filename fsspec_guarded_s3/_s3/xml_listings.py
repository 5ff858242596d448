"""Pages of S3's listings: XML -> models.

botocore's list parser takes about 80 ms for 1,000 keys, `xml.etree` 6 ms, one regular expression a quarter of
that. A truncated page without a token or marker is an error: stopping there would lose keys silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from .._values.models import (
    ListPage,
    ObjectVersion,
    Part,
    PendingUpload,
    VersionPage,
    s3_time,
)
from ..errors import ProtocolError
from .xml import another_than, decoded, number_of, parsed, result, root_of, size_of, text_of, unescaped
from .xml_answers import crc_of

if TYPE_CHECKING:
    from xml.etree import ElementTree

# The shape in which S3 and most stores send an entry. One pass of the regular expression takes a quarter of
# the time of a tree; a page with an entry of another shape goes through the tree as a whole.
_ENTRY = re.compile(
    r"<Contents>\s*<Key>([^<]*)</Key>\s*<LastModified>([^<]*)</LastModified>\s*<ETag>([^<]*)</ETag>\s*"
    r"(?:<Checksum\w+>[^<]*</Checksum\w+>\s*)*<Size>([0-9]+)</Size>\s*"
    r"(?:<Owner>(?:\s*<\w+>[^<]*</\w+>)*\s*</Owner>\s*)?<StorageClass>([^<]*)</StorageClass>\s*</Contents>"
)
_FIELDS = ("Key", "LastModified", "ETag", "Size", "StorageClass")
_TOKEN = re.compile(rb"<(?:[\w.-]+:)?NextContinuationToken>([^<]+)</")


def next_token(body: bytes) -> str | None:
    """The continuation token of a page, found without parsing the page."""
    found = _TOKEN.search(body)
    return unescaped(found[1].decode("utf-8", "replace")) if found else None


def decoded_key(text: str) -> str:
    """The key that `encoding-type=url` wrote as `text`.

    Bytes that are no UTF-8 stand in it as Python's names of files have them (PEP 383), and are sent again as
    they were: no two keys become one.
    """
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


def parse_list(body: bytes) -> ListPage:
    """A page of ListObjectsV2 that was asked for with `encoding-type=url`."""
    text = decoded(body)
    pieces = _ENTRY.split(text)  # what is between the entries, and five fields of each
    columns = [pieces[n::6] for n in range(1, 6)]
    rest = "".join(pieces[::6])
    if "Contents" not in rest and "<!" not in rest:
        root = _list_root(rest)
        columns = [
            [unescaped(value) for value in column] if _escaped(column) else column for column in columns
        ]
    else:
        root = _list_root(text)
        columns = _columns(root)
    encoded = text_of(root, "EncodingType") == "url"
    keys, modified, etags, sizes, storage = columns
    if encoded:
        keys = [decoded_key(key) if "%" in key or "+" in key else key for key in keys]
    found = [prefix.text or "" for item in root.iterfind("CommonPrefixes") for prefix in item.iter("Prefix")]
    prefixes = tuple(decoded_key(prefix) if encoded else prefix for prefix in found)
    token = text_of(root, "NextContinuationToken") or None
    truncated = _is_truncated(root, token)
    if truncated and token is None:
        raise ProtocolError("the listing is truncated and has no continuation token: keys would be lost")
    return ListPage(keys, prefixes, token if truncated else None, modified, etags, sizes, storage)


def _list_root(text: str) -> ElementTree.Element:
    root = parsed(text)
    if root.tag != "ListBucketResult":
        raise ProtocolError(f"the store answered a listing with <{root.tag}>, not with <ListBucketResult>")
    return root


def _columns(root: ElementTree.Element) -> list[list[str]]:
    """The fields of all entries, from a tree."""
    rows = [[text_of(item, name) for name in _FIELDS] for item in root.iterfind("Contents")]
    columns = [[row[n] for row in rows] for n in range(len(_FIELDS))]
    for size in columns[3]:
        size_of(size)
    return columns


def _is_truncated(root: ElementTree.Element, marker: str | None = None) -> bool:
    """Whether there is another page. Where the store does not say so, the marker of that page does."""
    value = text_of(root, "IsTruncated").strip().lower()
    return value == "true" or (value != "false" and bool(marker))


def _escaped(column: list[str]) -> bool:
    return any("&" in value for value in column)


def parse_versions(body: bytes) -> VersionPage:
    """A page of ListObjectVersions: versions and delete markers of each key, the newest first."""
    root = _versions_root(body)
    decode = decoded_key if text_of(root, "EncodingType") == "url" else str
    rows = [_version(item, decode) for item in root if item.tag in ("Version", "DeleteMarker")]
    prefixes = tuple(decode(text_of(item, "Prefix")) for item in root.findall("CommonPrefixes"))
    if not _is_truncated(root):
        return VersionPage(rows, prefixes)
    key = decode(text_of(root, "NextKeyMarker"))
    if not key:
        raise ProtocolError("the listing of versions is truncated and has no marker: versions would be lost")
    return VersionPage(rows, prefixes, (key, text_of(root, "NextVersionIdMarker")))


def _versions_root(body: bytes) -> ElementTree.Element:
    """The document, whose name differs: <ListBucketVersionsResult> of gofakes3, <ListBucketResult> of S3Mock.

    One with <Contents> is of a store that does not know the question, and lists objects.
    """
    root = root_of(body)
    known = ("ListVersionsResult", "ListBucketVersionsResult", "ListBucketResult")
    if root.tag not in known or root.find("Contents") is not None:
        raise another_than(root, "ListVersionsResult")
    return root


def _version(item: ElementTree.Element, decode: Callable[[str], str]) -> ObjectVersion:
    marker = item.tag == "DeleteMarker"
    return ObjectVersion(
        decode(text_of(item, "Key")),
        text_of(item, "VersionId") or "null",
        text_of(item, "IsLatest") == "true",
        0 if marker else number_of(item, "Size"),
        text_of(item, "ETag"),
        s3_time(text_of(item, "LastModified")),
        "" if marker else text_of(item, "StorageClass") or "STANDARD",
        marker,
    )


def parse_buckets(body: bytes) -> tuple[list[tuple[str, datetime | None]], str | None]:
    """ListBuckets: names and creation times, and the token of the next page."""
    root = result(body, "ListAllMyBuckets")
    rows = [(text_of(item, "Name"), s3_time(text_of(item, "CreationDate"))) for item in root.iter("Bucket")]
    return rows, text_of(root, "ContinuationToken") or None


def parse_parts(body: bytes) -> tuple[list[Part], str | None, str]:
    """ListParts: the parts of a page, the marker of the next one, and the checksum type of the upload."""
    root = result(body, "ListParts")
    parts = [
        Part(
            number_of(item, "PartNumber"),
            text_of(item, "ETag"),
            number_of(item, "Size"),
            crc_of(item),
        )
        for item in root.findall("Part")
    ]
    kind = text_of(root, "ChecksumType")
    if not _is_truncated(root):
        return parts, None, kind
    marker = text_of(root, "NextPartNumberMarker")
    if not marker:
        raise ProtocolError("the list of parts is truncated and has no marker: parts would be lost")
    return parts, marker, kind


UploadPage = tuple[list[PendingUpload], tuple[str, str] | None, bool]


def parse_uploads(body: bytes) -> UploadPage:
    """ListMultipartUploads: the uploads of a page and the (key, upload id) markers of the next one.

    Keys are as they stand there. The third says whether the store says that they are encoded.
    """
    root = result(body, "ListMultipartUploads")
    is_encoded = text_of(root, "EncodingType") == "url"
    uploads = [
        PendingUpload(text_of(item, "Key"), text_of(item, "UploadId"), s3_time(text_of(item, "Initiated")))
        for item in root.findall("Upload")
    ]
    if not _is_truncated(root):
        return uploads, None, is_encoded
    return uploads, (text_of(root, "NextKeyMarker"), text_of(root, "NextUploadIdMarker")), is_encoded
