"""The answers of S3 that are no pages of listings: XML -> models."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from .._values.checksums import DIGESTS, Crc
from .._values.conditions import quoted
from .._values.models import SessionCredentials, s3_time
from ..errors import ProtocolError
from .xml import another_than, named, number_of, result, root_of, size_of, text_of

if TYPE_CHECKING:
    from xml.etree import ElementTree


def parse_session(body: bytes, server_date: str) -> SessionCredentials:
    """CreateSession; the life of the session is counted from the Date of the answer, or is S3's 5 minutes."""
    root = result(body, "CreateSession")
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    key, secret, token = (root.findtext(f"Credentials/{name}") or "" for name in names)
    if not (key and secret and token):
        raise ProtocolError("CreateSession was answered without credentials")
    ends = s3_time(root.findtext("Credentials/Expiration") or "")
    try:
        lifetime = (ends - parsedate_to_datetime(server_date)).total_seconds() if ends else 300.0
    except (TypeError, ValueError):
        lifetime = 300.0
    return SessionCredentials(key, secret, token, lifetime)


def parse_versioning(body: bytes) -> str:
    """GetBucketVersioning: "Enabled", "Suspended", or "" for a bucket that never had versions."""
    root = root_of(body)
    if root.tag not in ("VersioningConfiguration", "GetBucketVersioningResponse"):  # the latter is moto's
        raise another_than(root, "VersioningConfiguration")
    return text_of(root, "Status")


def check_acl(body: bytes) -> None:
    """GetBucketAcl: raises ProtocolError for any other document."""
    root = root_of(body)
    if root.tag not in ("AccessControlPolicy", "GetBucketAclResponse"):
        raise another_than(root, "AccessControlPolicy")


def parse_upload_id(body: bytes) -> str:
    """CreateMultipartUpload: the id. Raises ProtocolError when there is none."""
    upload_id = text_of(root_of(body), "UploadId")
    if not upload_id:
        raise ProtocolError("CreateMultipartUpload was answered without an UploadId")
    return upload_id


def parse_etag(body: bytes, operation: str) -> str:
    """The ETag that CompleteMultipartUpload, CopyObject or UploadPartCopy tells.

    Some Ceph releases tell none on Complete: "" then. ProtocolError for any other answer without one.
    """
    root = root_of(body)
    etag = text_of(root, "ETag") or text_of(named(root, operation), "ETag")
    if not etag and operation != "CompleteMultipartUpload":
        raise ProtocolError(f"{operation} was answered without an ETag: the store may not support it")
    return etag


def parse_copied_part(body: bytes, algorithm: str) -> tuple[str, Crc | None, bool]:
    """UploadPartCopy: the ETag of the part, and its CRC where the store tells it.

    And whether the one by `algorithm` is none of a part, but that of an object in parts (`...-3`).
    """
    root = root_of(body)
    is_of_parts = "-" in text_of(root, f"Checksum{algorithm.upper()}")
    return parse_etag(body, "CopyPart"), crc_of(root), is_of_parts


# Bytes that a checksum has.
_SIZES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, **{name: bits // 8 for name, bits in DIGESTS.items()}}


def crc_of(item: ElementTree.Element) -> Crc | None:
    """The CRC or the digest of a part; None where there is none, or none that can be read."""
    for name, size in _SIZES.items():
        with suppress(ValueError):
            data = base64.b64decode(text_of(item, f"Checksum{name.upper()}"), validate=True)
            if len(data) == size:
                return Crc(name, int.from_bytes(data, "big"))
    return None


def parse_tags(body: bytes) -> list[tuple[str, str]]:
    """GetObjectTagging: (key, value) of every tag; S3Mock answers nothing at all where there are none."""
    if not body.strip():
        return []
    return [(text_of(item, "Key"), text_of(item, "Value")) for item in result(body, "Tagging").iter("Tag")]


def parse_object_attributes(body: bytes) -> tuple[dict[str, Any], str]:
    """GetObjectAttributes: what it tells, in S3's names, and the marker of the next page of parts.

    The marker is "" on the last page.
    """
    root = root_of(body)
    if not root.tag.startswith("GetObjectAttributes"):  # AWS: Response; its documentation: Output
        raise ProtocolError(f"the store answered <{root.tag}> where <GetObjectAttributesResponse> belongs")
    found: dict[str, Any] = {}
    for name in ("ETag", "StorageClass"):
        if text := text_of(root, name):
            found[name] = quoted(text) if name == "ETag" else text
    if root.find("ObjectSize") is not None:
        found["ObjectSize"] = number_of(root, "ObjectSize")
    checksum, parts = root.find("Checksum"), root.find("ObjectParts")
    if checksum is not None:
        found["Checksum"] = _checksums(checksum)
    if parts is None:
        return found, ""
    rows = [
        {"PartNumber": number_of(part, "PartNumber"), "Size": number_of(part, "Size"), **_checksums(part)}
        for part in parts.findall("Part")
    ]
    said = text_of(parts, "PartsCount") or text_of(parts, "TotalPartsCount") or str(len(rows))
    count = size_of(said, "PartsCount")
    if not count:  # ministack says so of an object that was not written in parts
        return found, ""
    found["ObjectParts"] = {"TotalPartsCount": count, "Parts": rows}
    is_last = text_of(parts, "IsTruncated").lower() != "true"
    return found, "" if is_last else text_of(parts, "NextPartNumberMarker")


def _checksums(element: ElementTree.Element) -> dict[str, str]:
    return {child.tag: child.text for child in element if child.tag.startswith("Checksum") and child.text}


def parse_annotations(body: bytes) -> tuple[list[tuple[str, int, str, datetime | None]], str]:
    """ListObjectAnnotations: (name, size, ETag, time) of each, and the token of the next page, or ""."""
    root = root_of(body)
    if not root.tag.startswith("ListObjectAnnotations"):
        raise ProtocolError(f"the store answered <{root.tag}> where <ListObjectAnnotationsResult> belongs")
    rows = [
        (
            text_of(item, "AnnotationName"),
            number_of(item, "Size"),
            quoted(text_of(item, "ETag")),
            s3_time(text_of(item, "LastModified")),
        )
        for item in root.iter("AnnotationEntry")
    ]
    return rows, text_of(root, "NextContinuationToken")


def parse_lock(body: bytes) -> str:
    """GetObjectRetention: the mode; GetObjectLegalHold: the status. "" where there is none."""
    root = root_of(body)
    return text_of(root, "Mode") or text_of(root, "Status")


def parse_deleted(body: bytes) -> list[tuple[str, str, str]]:
    """DeleteObjects: (key, code, message) of every key that was not deleted."""
    return [
        (text_of(item, "Key"), text_of(item, "Code"), text_of(item, "Message"))
        for item in result(body, "Delete").findall("Error")
    ]
