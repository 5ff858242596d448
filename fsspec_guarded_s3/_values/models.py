"""Values that the layers pass to each other. Invariant: frozen, no I/O, no credentials in a repr."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from itertools import compress
from typing import NamedTuple, Protocol

from .bodies import RequestBody
from .checksums import Crc
from .conditions import UNCONDITIONAL, Condition

META = "x-amz-meta-"  # begins the header of each name of the user's metadata
# One random value per logical conditional write; it tells our own object from a rival's.
WRITE_TOKEN = "gs3-write-token"
META = "x-amz-meta-"  # what the headers of user metadata begin with

# What a copy has to name again: S3 drops these, or, where the metadata is replaced, drops all.
_KEPT = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-amz-website-redirect-location",
)
_SSE = "x-amz-server-side-encryption"
SSE_S3 = (_SSE, "AES256")
_KEPT_KMS = (*_KEPT, _SSE, _SSE + "-aws-kms-key-id", _SSE + "-bucket-key-enabled")
# Storage classes of a kind of bucket, which another bucket does not have; STANDARD needs no naming.
_PLACES = ("STANDARD", "EXPRESS_ONEZONE", "OUTPOSTS", "SNOW", "FSX_OPENZFS", "FSX_ONTAP")


def within(start: int | None, end: int | None, size: int) -> tuple[int, int]:
    """The bytes [first, stop) that `size` bytes have of the slice [start, end), as of a Python sequence."""
    first, stop, _ = slice(start, end).indices(size)
    return first, stop


def range_header(start: int, stop: int) -> str:
    """The value of a Range header (RFC 9110, 14.1.2) for the bytes [start, stop)."""
    return f"bytes={start}-{stop - 1}"


class Arrival(enum.Enum):
    """What has come of an answer."""

    NOTHING = "nothing, or less than belongs into the buffer"
    PART = "a part of it, or what is to be looked into"
    WHOLE = "all of it: what was asked for was granted"


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` up to but not including `stop`, such as those of one part of a copy.

    How far a read of a range has come is a `Cursor`; a range with its place in a result is a `Wanted`.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"range {self.start}..{self.stop} is empty, backwards or negative")

    def header(self) -> str:
        """The value of a Range header."""
        return range_header(self.start, self.stop)


@dataclass(slots=True)  # frozen, it would take three times as long to make
class Request:
    """One S3 operation, before it is signed. It says itself what a repetition would mean."""

    operation: str
    method: str
    bucket: str = ""
    key: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a customer's key
    body: RequestBody = b""
    idempotent: bool = True  # a repetition cannot change the outcome
    retry_on_conflict: bool = False  # a 409 proves nothing and may be tried again
    slow_answer: bool = False  # S3 may say nothing, or send white space, for minutes: half of the deadline
    condition: Condition = UNCONDITIONAL  # what a 412 says did not hold
    # Headers that the signature leaves out, so that requests can share it: only such whose effect shows in
    # the answer, where it is checked.
    unsigned: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class WireRequest:
    """A signed request, ready to be sent. Headers hold the signature: never in a repr."""

    method: str
    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: RequestBody = field(repr=False)
    fresh_connection: bool = False
    slow_answer: bool = False


class Response(NamedTuple):
    """A response whose body has been read. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Body(Protocol):
    """A response whose body is still to come; `length` is that of the body where the head tells it."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def length(self) -> int | None: ...

    def readinto(self, view: memoryview, /) -> int:
        """Fill `view`; returns the bytes read, 0 at the end."""

    def take(self, count: int, /) -> bytes:
        """The next `count` bytes, fewer where the rest is not there yet; none at the end."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What S3 told about one version of an object.

    `headers` are those of the answer, and `metadata` is among them: as bytes, one character for each, so that
    what is written again is what was there (`attribute_values.said` makes text of them).
    `checksum` is the stored checksum of the whole object as (algorithm, base64 text), where S3 has one
    and was asked for it.
    """

    etag: str
    size: int
    modified: str = ""
    content_type: str = ""
    version_id: str | None = None
    storage_class: str = "STANDARD"
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    tag_count: int = 0
    checksum: tuple[str, str] | None = None
    write_token: str = ""

    @property
    def last_modified(self) -> datetime | None:
        """Last-Modified in UTC. Parsed when asked for: that would take a tenth of a small GET."""
        return http_time(self.modified)

    def write_headers(self) -> dict[str, str]:
        """The headers that give another object the same content type, metadata, encryption and so on."""
        headers = {META + name: value for name, value in self.metadata.items()}
        if self.content_type:
            headers["content-type"] = self.content_type
        if self.storage_class not in _PLACES:
            headers["x-amz-storage-class"] = self.storage_class
        kept = _KEPT_KMS if self.headers.get(_SSE, "").startswith("aws:kms") else (*_KEPT, _SSE)
        return headers | {name: self.headers[name] for name in kept if name in self.headers}


@dataclass(frozen=True, slots=True)
class SessionCredentials:
    """What CreateSession gave: credentials for one directory bucket, and how many seconds they live."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    lifetime: float


class Written(NamedTuple):
    """What S3 answered to a write: the new ETag ("" where it does not tell) and the version, if any.

    `encryption` is AES256, aws:kms or the like, "" where the store does not tell.
    """

    etag: str
    version_id: str | None = None
    encryption: str = ""


class Part(NamedTuple):
    """One uploaded part: its number from 1, ETag, size in bytes, and CRC where that is known."""

    number: int
    etag: str
    size: int
    crc: Crc | None = None


class ListedObject(NamedTuple):
    """One key of a listing; a tuple, since a frozen dataclass takes four times as long to make."""

    key: str
    size: int
    etag: str
    last_modified: datetime | None
    storage_class: str


class ListPage(NamedTuple):
    """One page of ListObjectsV2: the keys, and the other fields of each as S3 wrote them."""

    keys: Sequence[str]
    prefixes: tuple[str, ...] = ()
    next_token: str | None = None
    modified: Sequence[str] = ()
    etags: Sequence[str] = ()
    sizes: Sequence[str] = ()
    storage: Sequence[str] = ()

    def beginning_with(self, prefix: str) -> ListPage:
        """The page without what does not begin with `prefix`."""
        prefixes = tuple(name for name in self.prefixes if name.startswith(prefix))
        return self._with([key.startswith(prefix) for key in self.keys], prefixes)

    def without(self, keys: Set[str]) -> ListPage:
        """The page without `keys`, and without prefixes."""
        return self._with([key not in keys for key in self.keys], ())

    def only(self, kept: list[bool]) -> ListPage:
        """The page with the keys at whose index `kept` is true."""
        return self._with(kept, self.prefixes)

    def _with(self, kept: list[bool], prefixes: tuple[str, ...]) -> ListPage:
        columns = (self.keys, self.modified, self.etags, self.sizes, self.storage)
        keys, modified, etags, sizes, storage = (list(compress(column, kept)) for column in columns)
        return ListPage(keys, prefixes, self.next_token, modified, etags, sizes, storage)

    def object(self, at: int) -> ListedObject:
        """The entry at an index of `keys`."""
        modified, storage = s3_time(self.modified[at]), self.storage[at] or "STANDARD"
        return ListedObject(self.keys[at], int(self.sizes[at]), self.etags[at], modified, storage)

    def objects(self) -> Iterator[ListedObject]:
        """The entries; made when they are asked for, since many callers want the keys alone."""
        storage = (name or "STANDARD" for name in self.storage)
        rows = zip(
            self.keys, map(int, self.sizes), self.etags, map(s3_time, self.modified), storage, strict=True
        )
        return map(ListedObject._make, rows)


class ObjectVersion(NamedTuple):
    """One version of a key, or a delete marker, which has no size and no ETag."""

    key: str
    version_id: str
    is_latest: bool
    size: int
    etag: str
    last_modified: datetime | None
    storage_class: str
    delete_marker: bool

    def details(self) -> dict[str, object]:
        """The fields by their names in S3."""
        return {
            "Key": self.key,
            "VersionId": self.version_id,
            "IsLatest": self.is_latest,
            "DeleteMarker": self.delete_marker,
            "Size": self.size,
            "ETag": self.etag,
            "LastModified": self.last_modified,
            "StorageClass": self.storage_class,
        }


@dataclass(frozen=True, slots=True)
class VersionPage:
    """One page of ListObjectVersions, and the (key, version id) markers of the next one."""

    versions: Sequence[ObjectVersion]
    prefixes: tuple[str, ...] = ()
    next_markers: tuple[str, str] | None = None


class PendingUpload(NamedTuple):
    """A multipart upload that was neither completed nor aborted.

    `initiated` and `listed`, when it was seen, are times of the store; None where it did not tell.
    """

    key: str
    upload_id: str
    initiated: datetime | None
    listed: datetime | None = None


def s3_time(text: str) -> datetime | None:
    """A time as S3's XML has it, in UTC; None where there is none, or none that can be read."""
    try:
        if text.endswith("Z"):
            return datetime.fromisoformat(text[:-1] + "+00:00")
        return datetime.fromisoformat(text).astimezone(timezone.utc)
    except ValueError:
        return None


def http_time(text: str) -> datetime | None:
    """A time as HTTP's headers have it (RFC 9110, 5.6.7), in UTC; None where there is none."""
    try:
        return parsedate_to_datetime(text).astimezone(timezone.utc) if text else None
    except (TypeError, ValueError):  # as in listings, where a time that cannot be read is none
        return None
