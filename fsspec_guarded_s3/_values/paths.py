"""fsspec URL <-> `S3Path(bucket, key, version_id)`, and what S3 accepts as a bucket or a key.

Invariant: a key is kept to the byte. No normalisation of slashes, dots or percent signs. What is fsspec's and
not the key's: slashes before the bucket, and one slash at the end, which says "directory". A second one is a
directory with an empty name, so `b/a//` is the directory "" in `b/a`. docs/paths.md has the rule for users.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

# How bytes of a key that are no UTF-8 stand in a str: PEP 383, as in names of local files.
NOT_TEXT = "surrogateescape"
PROTOCOLS = ("gs3", "guarded-s3")

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
# Old us-east-1 buckets may have upper case and underscores and are still reachable by path style.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_ARN = re.compile(
    r"(arn:[a-z0-9-]+:s3[a-z0-9-]*:[a-z0-9-]*:\d*:"
    r"(?:(?:outpost[/:][^/:]+[/:])?accesspoint|outpost[/:][^/:]+[/:]bucket)[/:][^/]+)(?:/(.*))?",
    re.S,
)
_VERSION = re.compile(r"(.+)\?versionId=([^/?]+)", re.S)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class S3Path:
    """A bucket, a key in it ("" for the bucket itself), and a version id (None: the current one)."""

    bucket: str
    key: str = ""
    version_id: str | None = None

    def __str__(self) -> str:
        version = f"?versionId={self.version_id}" if self.version_id else ""
        return f"{self.bucket}/{self.key}{version}" if self.key else self.bucket

    @property
    def prefix(self) -> str:
        """What the keys in the directory of this name begin with; "" for the bucket."""
        return self.key if not self.key or self.key.endswith("/") else self.key + "/"

    @property
    def version_query(self) -> tuple[tuple[str, str], ...]:
        """The query of a request that is about this version."""
        return (("versionId", self.version_id),) if self.version_id else ()

    def child(self, key: str) -> S3Path:
        """Another key of this bucket, in its current version."""
        return S3Path(self.bucket, key)

    def directory(self, prefix: str) -> str:
        """The name of the directory in this bucket whose keys begin with `prefix`."""
        return without_slash(f"{self.bucket}/{prefix}")


def strip_protocol(path: str, protocols: tuple[str, ...] = PROTOCOLS) -> str:
    """Remove `protocol://` or `protocol::` and the leading slashes; keep the rest to the byte."""
    if not isinstance(path, str):
        raise TypeError(f"path must be a str or os.PathLike, not {type(path).__name__}")
    for mark in ("://", "::"):
        before, found, after = path.partition(mark)
        if found and before in protocols:
            return after.lstrip("/")
    return path.lstrip("/")


def without_slash(path: str) -> str:
    """The path without the one slash at its end that only says "directory"."""
    return path[:-1] if path.endswith("/") and not path.endswith("//") else path


def parent(path: str) -> str:
    """The directory that holds `path`, which is stripped; "" for a bucket."""
    bucket, key = _split(path)
    head, slash, _ = key.removesuffix("/").rpartition("/")
    return without_slash(f"{bucket}/{head}{slash}") if key else ""


def parse(path: str, versions: bool = False) -> S3Path:
    """Split a stripped path ("bucket/key") into its parts.

    With `versions` a "?versionId=..." at the end names a version; else it belongs to the key, which may hold
    such text as any other.

    Raises
    ------
    ValueError
        For a URL of another protocol, a bucket name that S3 refuses, or a key over 1,024 bytes.
    """
    if not isinstance(path, str):
        raise TypeError(f"path must be a str, not {type(path).__name__}")
    scheme = _SCHEME.match(path) if "://" in path else None
    if "@" in path and "@" in path[scheme.end() if scheme else 0 :].partition("/")[0]:
        raise ValueError("'@' in the bucket's name: credentials do not go into URLs: pass key and secret")
    if scheme:
        raise ValueError(
            f"path {path!r} is a URL of another protocol: use one of {', '.join(PROTOCOLS)}, or one that "
            "fsspec_guarded_s3.register took over"
        )
    bucket, key = _split(path)
    check_bucket(bucket)
    found = _VERSION.fullmatch(key) if versions else None
    key, version_id = found.groups() if found else (key, None)
    check_key(key)
    return S3Path(bucket, key, version_id)


def _split(path: str) -> tuple[str, str]:
    arn = _ARN.fullmatch(path) if path.startswith("arn:") else None
    if arn:
        return arn.group(1), arn.group(2) or ""
    bucket, _, key = path.lstrip("/").partition("/")
    return bucket, key


def parse_object(path: str, versions: bool = False) -> S3Path:
    """Like `parse`, but the path must name an object: a key, and none that ends with a slash."""
    parsed = parse(path, versions)
    if not parsed.key:
        raise IsADirectoryError(f"path {path!r} names a bucket; an object needs bucket/key")
    if parsed.key.endswith("/"):
        raise IsADirectoryError(f"path {path!r} names a directory: leave out the slash at its end")
    return parsed


@lru_cache(maxsize=256)
def check_bucket(bucket: str) -> None:
    """Raise ValueError when S3 refuses `bucket` as a name (ARNs of access points are accepted)."""
    if not bucket:
        raise ValueError("path is empty: it must begin with a bucket name")
    if bucket.startswith("arn:"):
        return
    if bucket.endswith(":"):
        raise ValueError(
            f"path begins with '{bucket}/', but a URL begins with '{bucket}//': pathlib.Path takes one slash "
            "away; use a str, or UPath of universal_pathlib"
        )
    if not _BUCKET.fullmatch(bucket) or ".." in bucket or _is_ip_address(bucket):
        raise ValueError(
            f"bucket name {bucket!r} is not valid: 3 to 63 lower-case letters, digits, dots and hyphens, "
            "starting and ending with a letter or digit, not an IP address"
        )


def is_directory_bucket(bucket: str) -> bool:
    """Whether it is a directory bucket of S3 Express, or an access point of one."""
    return bucket.endswith(("--x-s3", "--xa-s3"))


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine: localhost, a loopback address or the unspecified one, by which a server
    that listens everywhere is often named. Not a name like 127.example.com.
    """
    name = host.strip("[]").removesuffix(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def _is_ip_address(bucket: str) -> bool:
    try:
        ipaddress.IPv4Address(bucket)
    except ValueError:
        return False
    return True


def check_new_key(key: str) -> None:
    """Raise ValueError when `key` has bytes that are no UTF-8: S3's keys are UTF-8.

    What another tool wrote is read and removed; a store on a file system may not list what has such a name.
    """
    if not key.isascii():
        _check_text(key, "strict")


def _check_text(key: str, errors: str) -> int:
    """The bytes that `key` has in UTF-8. ValueError where it is not valid Unicode."""
    try:
        return len(key.encode("utf-8", errors))
    except UnicodeEncodeError as error:
        shown = repr(key) if len(key) <= 80 else f"{key[:80]!r}..."
        raise ValueError(f"key {shown} is not valid Unicode and cannot be sent to S3") from error


def check_key(key: str) -> None:
    """Raise ValueError when `key` is longer than 1,024 bytes of UTF-8 or is not valid Unicode.

    It may have bytes that are no UTF-8, as listings show them (`NOT_TEXT`): some stores hold such keys.
    """
    size = _check_text(key, NOT_TEXT)
    if size > MAX_KEY_BYTES:
        raise ValueError(f"key {key[:80]!r}... has {size} bytes of UTF-8; S3 holds at most {MAX_KEY_BYTES}")
