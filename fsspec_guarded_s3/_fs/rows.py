"""What `info` and the listings tell, as dicts; name and size in the words of fsspec and in those of s3fs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, TypedDict

from .._values.answer_fields import fields_of_answer
from .._values.attribute_values import decoded, decoded_metadata
from .._values.models import ListedObject, ObjectInfo, ObjectVersion
from .._values.paths import S3Path

Row = dict[str, Any]


class _OfBuckets(TypedDict, total=False):
    CreationDate: datetime | None


class ListedInfo(_OfBuckets):
    """What a listing tells of an entry; times are in UTC, sizes in bytes.

    A directory has `name`, `size`, `type`, `Key`, `Size` and `StorageClass` alone;
    a bucket has `CreationDate` too.
    """

    name: str
    size: int
    type: Literal["file", "directory", "other"]
    Key: str
    Size: int
    StorageClass: str
    ETag: str
    LastModified: datetime
    mtime: datetime


class VersionInfo(ListedInfo):
    """What a listing tells of one version of an object, or of a delete marker, whose type is "other"."""

    VersionId: str
    IsLatest: bool
    DeleteMarker: bool


class _OfObject(ListedInfo, total=False):
    """What S3 tells of some objects."""

    CacheControl: str
    ContentDisposition: str
    ContentEncoding: str
    ContentLanguage: str
    Expires: str
    WebsiteRedirectLocation: str
    ServerSideEncryption: str
    SSEKMSKeyId: str
    BucketKeyEnabled: bool
    ObjectLockMode: str
    ObjectLockRetainUntilDate: str
    ObjectLockLegalHoldStatus: str
    SSECustomerAlgorithm: str
    SSECustomerKeyMD5: str
    ArchiveStatus: str
    Expiration: str
    PartsCount: int
    ReplicationStatus: str
    RequestCharged: str
    Restore: str
    TagCount: int


class Info(_OfObject):
    """What `info` tells of an object. A directory has what `ListedInfo` says."""

    ContentType: str
    VersionId: str | None
    metadata: dict[str, str]


class ObjectPart(TypedDict, total=False):
    """A part of an object, in S3's names: its size in bytes, and the checksum that it has, in base64."""

    PartNumber: int
    Size: int
    ChecksumCRC32: str
    ChecksumCRC32C: str
    ChecksumCRC64NVME: str
    ChecksumSHA1: str
    ChecksumSHA256: str
    ChecksumSHA512: str
    ChecksumMD5: str
    ChecksumXXHASH64: str
    ChecksumXXHASH3: str
    ChecksumXXHASH128: str


class ObjectParts(TypedDict):
    """The parts of an object: how many, and those that S3 tells of."""

    TotalPartsCount: int
    Parts: list[ObjectPart]


class ObjectAttributes(TypedDict, total=False):
    """What `object_attributes` tells of an object, in S3's names; what was not asked for is not there.

    `Checksum` has the checksum of the object by its name, such as ChecksumCRC32, and ChecksumType, which is
    FULL_OBJECT or COMPOSITE. `ObjectParts` is there for an object that was written in parts.
    """

    ETag: str
    VersionId: str | None
    LastModified: datetime | None
    StorageClass: str
    ObjectSize: int
    Checksum: dict[str, str]
    ObjectParts: ObjectParts


class Answer(TypedDict, total=False):
    """What S3 answered to a write, in its names; nothing in a transaction, which writes at its end."""

    ETag: str
    VersionId: str | None


class VersionDetails(TypedDict):
    """What `object_version_info` tells of a version or delete marker, in S3's names."""

    Key: str
    VersionId: str
    IsLatest: bool
    DeleteMarker: bool
    Size: int
    ETag: str
    LastModified: datetime
    StorageClass: str


class UploadInfo(TypedDict):
    """What is known of a multipart upload that was neither completed nor aborted.

    `age` is in seconds, `size` in bytes; `initiated` and `age` are None where the store does not tell.
    """

    name: str
    upload_id: str
    initiated: datetime | None
    age: float | None
    size: int
    parts: int
    live: bool


def directory_row(name: str) -> Row:
    """A directory, which S3 tells nothing of but its name."""
    return {
        "name": name,
        "size": 0,
        "type": "directory",
        "Key": name,
        "Size": 0,
        "StorageClass": "DIRECTORY",
    }


def listed_row(bucket: str, item: ListedObject) -> Row:
    """An object, as ListObjectsV2 told of it."""
    name = f"{bucket}/{item.key}"
    return {
        "name": name,
        "size": item.size,
        "type": "file",
        "Key": name,
        "Size": item.size,
        "ETag": item.etag,
        "LastModified": item.last_modified,
        "mtime": item.last_modified,
        "StorageClass": item.storage_class,
    }


def object_row(location: S3Path, info: ObjectInfo) -> Row:
    """An object, as HeadObject told of it."""
    name = str(location)
    return {
        "name": name,
        "size": info.size,
        "type": "file",
        "Key": name,
        "Size": info.size,
        "ETag": info.etag,
        "LastModified": info.last_modified,
        "mtime": info.last_modified,
        "StorageClass": info.storage_class,
        "ContentType": decoded(info.content_type),
        "VersionId": info.version_id,
        "metadata": decoded_metadata(info.metadata),
        **fields_of_answer(info.headers),
    }


def version_row(bucket: str, version: ObjectVersion) -> Row:
    """A version or delete marker, as ListObjectVersions told of it."""
    name = str(S3Path(bucket, version.key, version.version_id))
    return {
        "name": name,
        "size": version.size,
        "Key": name,
        "Size": version.size,
        "type": "other" if version.delete_marker else "file",
        "ETag": version.etag,
        "LastModified": version.last_modified,
        "mtime": version.last_modified,
        "StorageClass": version.storage_class,
        "VersionId": version.version_id,
        "IsLatest": version.is_latest,
        "DeleteMarker": version.delete_marker,
    }


def by_name(rows: Iterable[Row]) -> dict[str, Row]:
    """The rows in the order of their names; of a file and a directory of the same name the file's."""
    return {row["name"]: row for row in sorted(rows, key=lambda row: (row["name"], row["type"] == "file"))}
