"""The keywords of the verbs in the names of S3's API, for type checkers and editors.

`s3_parameters.PARAMETERS` says what becomes of each parameter and checks its value; a test holds
the two together. None is the same as leaving a parameter out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from os import PathLike
from typing import IO, Any, Literal, TypedDict

Path = str | PathLike[str]  # bucket/key, or a URL of it
Paths = Path | Sequence[Path]
Mode = Literal["overwrite", "create"]
BucketAcl = Literal["private", "public-read", "public-read-write", "authenticated-read"]
CannedAcl = BucketAcl | Literal["aws-exec-read", "bucket-owner-read", "bucket-owner-full-control"]


class NoMore(TypedDict):
    """The keywords of a verb that takes no other ones than those it names."""


ChecksumAlgorithm = Literal[
    "CRC32",
    "CRC32C",
    "CRC64NVME",
    "SHA1",
    "SHA256",
    "SHA512",
    "MD5",
    "XXHASH64",
    "XXHASH3",
    "XXHASH128",
]
AttributeName = Literal["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


class Reading(TypedDict, total=False):
    """What gives access to an object."""

    SSECustomerKey: bytes | str | None
    SSECustomerAlgorithm: Literal["AES256"] | None
    SSECustomerKeyMD5: str | None
    RequestPayer: Literal["requester"] | None
    ExpectedBucketOwner: str | None


class Writing(Reading, total=False):
    """The attributes of an object that is written."""

    CacheControl: str | None
    ContentDisposition: str | None
    ContentEncoding: str | None
    ContentLanguage: str | None
    ContentType: str | None
    Expires: datetime | str | None
    WebsiteRedirectLocation: str | None
    Metadata: Mapping[str, str] | None
    Tagging: Mapping[str, str] | str | None
    ACL: CannedAcl | None
    GrantFullControl: str | None
    GrantRead: str | None
    GrantReadACP: str | None
    GrantWriteACP: str | None
    StorageClass: str | None
    ServerSideEncryption: Literal["AES256", "aws:kms", "aws:kms:dsse", "aws:fsx"] | None
    SSEKMSKeyId: str | None
    SSEKMSEncryptionContext: Mapping[str, str] | str | None
    BucketKeyEnabled: bool | None
    ObjectLockMode: Literal["GOVERNANCE", "COMPLIANCE"] | None
    ObjectLockRetainUntilDate: datetime | str | None
    ObjectLockLegalHoldStatus: Literal["ON", "OFF"] | None
    ChecksumAlgorithm: ChecksumAlgorithm | None


class Copying(Writing, total=False):
    """The attributes of a copy, and what gives access to its source."""

    CopySourceSSECustomerKey: bytes | str | None
    CopySourceSSECustomerAlgorithm: Literal["AES256"] | None
    CopySourceSSECustomerKeyMD5: str | None
    ExpectedSourceBucketOwner: str | None
    MetadataDirective: Literal["COPY", "REPLACE"] | None
    TaggingDirective: Literal["COPY", "REPLACE"] | None
    AnnotationDirective: Literal["COPY", "EXCLUDE"] | None


# --- what verbs for many objects hand on to the verb for one ---


class CatEach(Reading, total=False):
    """What `cat` hands on to `cat_file`."""

    start: int | None
    end: int | None
    version_id: str | None
    chunksize: int | None
    max_concurrency: int | None


class GetEach(Reading, total=False):
    """What `get` hands on to `get_file`."""

    outfile: IO[bytes] | None
    version_id: str | None
    chunksize: int | None
    max_concurrency: int | None


class PipeEach(Writing, total=False):
    """What `pipe` hands on to `pipe_file`."""

    mode: Mode
    if_match: str | None
    chunksize: int | None
    max_concurrency: int | None


class PutEach(PipeEach, total=False):
    """What `put` hands on to `put_file`."""

    resume: str | None


class CopyEach(Copying, total=False):
    """What `copy` and `mv` hand on to `cp_file`."""

    mode: Mode
    if_match: str | None


# --- what `open` takes beside them ---


class OpenReading(Reading, total=False):
    """What `open` takes for reading."""

    cache_type: str | None
    if_match: str | None
    version_id: str | None
    size: int | None
    fill_cache: bool | None
    default_cache: Any
    requester_pays: bool | None


class OpenWriting(Writing, total=False):
    """What `open` takes for writing."""

    autocommit: bool
    if_match: str | None
    acl: CannedAcl | Literal[""] | None
    requester_pays: bool | None


class OpenText(OpenWriting, total=False):
    """What `open` takes for writing text."""

    encoding: str | None
    errors: str | None
    newline: str | None


class OpenTextReading(OpenReading, total=False):
    """What `open` takes for reading text."""

    encoding: str | None
    errors: str | None
    newline: str | None


class OpenAny(Reading, total=False):
    """What `open` takes for reading and for writing alike, bytes and text."""

    if_match: str | None
    requester_pays: bool | None
    encoding: str | None
    errors: str | None
    newline: str | None
