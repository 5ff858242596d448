"""fsspec URL <-> `S3Path(bucket, key, version_id)`, and what S3 accepts as a bucket or a key.

Invariant: a key is kept to the byte. No normalisation of slashes, dots or percent signs; only the
leading slash and, in directory verbs, a trailing one are fsspec's and not the key's.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

PROTOCOLS = ("gs3", "guarded-s3")

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
# Old us-east-1 buckets may have upper case and underscores and are still reachable by path style.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_ARN = re.compile(
    r"(arn:[a-z0-9-]+:s3[a-z0-9-]*:[a-z0-9-]*:\d*:(?:accesspoint|outpost)[/:][^/]+)(?:/(.*))?", re.S
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class S3Path:
    """A bucket, a key in it ("" for the bucket itself), and a version id (None: the current one)."""

    bucket: str
    key: str = ""
    version_id: str | None = None

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    def child(self, key: str) -> S3Path:
        """The same bucket with another key."""
        return S3Path(self.bucket, key)


def strip_protocol(path: str, protocols: tuple[str, ...] = PROTOCOLS) -> str:
    """Remove `protocol://` or `protocol::` and the leading slashes; keep the rest to the byte."""
    for protocol in protocols:
        for mark in ("://", "::"):
            if path.startswith(protocol + mark):
                path = path[len(protocol) + len(mark) :]
                return path.lstrip("/")
    return path.lstrip("/")


def parse(path: str) -> S3Path:
    """Split a stripped path ("bucket/key") into its parts.

    Raises
    ------
    ValueError
        For a URL of another protocol, a bucket name that S3 refuses, or a key over 1,024 bytes.
    """
    if not isinstance(path, str):
        raise TypeError(f"path must be a str, not {type(path).__name__}")
    if _SCHEME.match(path):
        raise ValueError(f"path {path!r} is a URL of another protocol: use one of {', '.join(PROTOCOLS)}")
    arn = _ARN.fullmatch(path)
    if arn:
        bucket, key = arn.group(1), arn.group(2) or ""
    else:
        bucket, _, key = path.lstrip("/").partition("/")
    check_bucket(bucket)
    check_key(key)
    return S3Path(bucket, key)


def parse_object(path: str) -> S3Path:
    """Like `parse`, but the path must name a key and not only a bucket."""
    parsed = parse(path)
    if not parsed.key:
        raise IsADirectoryError(f"path {path!r} names a bucket; an object needs bucket/key")
    return parsed


@lru_cache(maxsize=256)
def check_bucket(bucket: str) -> None:
    """Raise ValueError when S3 refuses `bucket` as a name (ARNs of access points are accepted)."""
    if not bucket:
        raise ValueError("path is empty: it must begin with a bucket name")
    if bucket.startswith("arn:"):
        return
    if not _BUCKET.fullmatch(bucket) or ".." in bucket or _is_ip_address(bucket):
        raise ValueError(
            f"bucket name {bucket!r} is not valid: 3 to 63 lower-case letters, digits, dots and hyphens, "
            "starting and ending with a letter or digit, not an IP address"
        )


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine: localhost or a loopback address, not a name like 127.example.com."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_ip_address(bucket: str) -> bool:
    try:
        ipaddress.IPv4Address(bucket)
    except ValueError:
        return False
    return True


def check_key(key: str) -> None:
    """Raise ValueError when `key` is longer than 1,024 bytes of UTF-8 or is not valid Unicode."""
    if len(key) * 4 <= MAX_KEY_BYTES:
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"key {key!r} is not valid Unicode and cannot be sent to S3") from error
        return
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"key {key[:80]!r}... is not valid Unicode and cannot be sent to S3") from error
    if size > MAX_KEY_BYTES:
        raise ValueError(f"key {key[:80]!r}... has {size} bytes of UTF-8; S3 holds at most {MAX_KEY_BYTES}")
