"""Headers of objects, as answers have them: their names in S3's API, and which of them a copy takes along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import attribute_values as values
from .models import META
from .s3_parameters import CUSTOMER, PARAMETERS

# What MetadataDirective decides about: S3 takes it from the source, or from the request.
_DESCRIBING = (
    META,
    *(PARAMETERS[name].header for name in ("CacheControl", "ContentDisposition", "ContentEncoding")),
    *(PARAMETERS[name].header for name in ("ContentLanguage", "ContentType", "Expires")),
)


def described(headers: Mapping[str, str]) -> dict[str, str]:
    """The part of `headers` that a copy takes from its source unless MetadataDirective is REPLACE."""
    return {name: value for name, value in headers.items() if name.startswith(_DESCRIBING)}


def undescribed(headers: Mapping[str, str]) -> dict[str, str]:
    """The part of `headers` that a copy does not take from its source with MetadataDirective COPY."""
    return {name: value for name, value in headers.items() if not name.startswith(_DESCRIBING)}


ANSWER_HEADERS = {
    parameter.header: name
    for name, parameter in PARAMETERS.items()
    if parameter.kind in ("content", "place")
    and name not in ("ContentType", "Metadata", "Tagging", "ACL", "StorageClass", "SSEKMSEncryptionContext")
    and not name.startswith("Grant")
} | {
    CUSTOMER + "algorithm": "SSECustomerAlgorithm",
    CUSTOMER + "key-md5": "SSECustomerKeyMD5",
    "x-amz-archive-status": "ArchiveStatus",
    "x-amz-expiration": "Expiration",
    "x-amz-mp-parts-count": "PartsCount",
    "x-amz-replication-status": "ReplicationStatus",
    "x-amz-request-charged": "RequestCharged",
    "x-amz-restore": "Restore",
    "x-amz-tagging-count": "TagCount",
}


def fields_of_answer(headers: Mapping[str, str]) -> dict[str, Any]:
    """The fields of an answer to HeadObject or GetObject beside size and ETag, in S3's names, as text.

    BucketKeyEnabled is a bool, TagCount and PartsCount are numbers.
    """
    found: dict[str, Any] = {
        name: values.decoded(headers[header]) for header, name in ANSWER_HEADERS.items() if header in headers
    }
    if "BucketKeyEnabled" in found:
        found["BucketKeyEnabled"] = found["BucketKeyEnabled"] == "true"
    for name in ("TagCount", "PartsCount"):
        if str(found.get(name, "")).isdecimal():
            found[name] = int(found[name])
    return found
