"""Values of S3's parameters: Python -> the text of a header. Each check names the parameter when it raises.

A value that HTTP or S3 would change on its way is refused: white space around it, line breaks, text that is
not ASCII.
"""

from __future__ import annotations

import base64
import binascii
import encodings.raw_unicode_escape  # noqa: F401 - email.header's; not by a thread: see `_http.connect`
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.errors import MessageError
from email.header import decode_header, make_header
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from .checksums import DIGESTS, is_at_hand
from .models import WRITE_TOKEN

Check = Callable[[str, Any], str]
MAX_METADATA = 2048  # bytes of names and values, https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
MAX_TAGS = 10
BUCKET_ACLS = ("private", "public-read", "public-read-write", "authenticated-read")
CANNED_ACLS = (*BUCKET_ACLS, "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control")
ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse", "aws:fsx")
_ENCODED = re.compile(r"(=\?[^? ]+\?[bBqQ]\?[^? ]*\?=\s*)+")  # RFC 2047, 2
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


def decoded(value: str) -> str:
    """The text of a header that another tool may have written: in UTF-8, or as S3 tells it, by RFC 2047.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    try:
        if not value.isascii():
            return value.encode("latin-1").decode()
        if _ENCODED.fullmatch(value):
            return str(make_header(decode_header(value)))
    except (ValueError, LookupError, MessageError):  # it is something else, then
        pass
    return value


def decoded_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """User metadata as text."""
    return {name: decoded(value) for name, value in metadata.items()}


def refuse(name: str, value: Any) -> str:
    """For what has no header of its own."""
    raise TypeError(f"{name} is not a single value")


def text(name: str, value: Any) -> str:
    """Text that arrives as it was sent."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be str, not {type(value).__name__}")
    if not value.isascii() or not value.isprintable():
        raise ValueError(
            f"{name} must be printable ASCII, since HTTP headers are: encode it, as urllib.parse.quote does"
        )
    if value != value.strip():
        raise ValueError(f"{name} begins or ends with white space, which HTTP removes")
    if not value:
        raise ValueError(f"{name} must not be empty")
    return value


def one_of(*allowed: str) -> Check:
    """One of a few words."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f"{name} must be str, not {type(value).__name__}")
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        return value

    return check


def flag(name: str, value: Any) -> str:
    """A bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be bool, not {type(value).__name__}")
    return "true" if value else "false"


def account(name: str, value: Any) -> str:
    """An AWS account id."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{12}", value):
        raise ValueError(f"{name} must be an account id: 12 digits as str")
    return value


def _time(name: str, value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            try:
                value = parsedate_to_datetime(value)
            except (TypeError, ValueError):
                raise ValueError(f"{name} must be a datetime or a date as ISO 8601 or HTTP has it") from None
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be datetime or str, not {type(value).__name__}")
    if value.tzinfo is None:
        raise ValueError(f"{name} must have a time zone")
    return value.astimezone(timezone.utc)


def http_date(name: str, value: Any) -> str:
    """A time as HTTP writes it."""
    return format_datetime(_time(name, value), usegmt=True)


def iso_date(name: str, value: Any) -> str:
    """A time as S3's object lock wants it."""
    return _time(name, value).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def context(name: str, value: Any) -> str:
    """KMS's encryption context: a dict, or base64 of its JSON as boto3 wants it."""
    if isinstance(value, Mapping):
        return base64.b64encode(json.dumps(dict(value)).encode()).decode()
    try:
        good = isinstance(json.loads(base64.b64decode(value, validate=True)), dict)
    except (TypeError, ValueError, binascii.Error):
        good = False
    if not good:
        raise ValueError(f"{name} must be a dict, or the base64 text of its JSON")
    return str(value)


LEFT_OUT = "left out: pass include_password=True to keep it"  # stands in place of a key that is not shown


def _key_bytes(name: str, value: Any) -> bytes:
    if value == LEFT_OUT:
        raise ValueError(f"{name} was {LEFT_OUT}; without it objects would be written without encryption")
    data = value.encode("latin-1", "replace") if isinstance(value, str) else value
    if not isinstance(data, bytes):
        raise TypeError(f"{name} must be bytes, not {type(value).__name__}")
    if len(data) != 32:
        raise ValueError(f"{name} must be the 32 bytes of an AES-256 key (not base64), not {len(data)} bytes")
    return data


def customer_key(name: str, value: Any) -> str:
    """A customer's key, in base64."""
    return base64.b64encode(_key_bytes(name, value)).decode()


def key_digest(name: str, value: Any) -> str:
    """The MD5 of a customer's key, in base64."""
    digest = hashlib.md5(_key_bytes(name, value), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def checksum_algorithm(name: str, value: Any) -> str:
    """An algorithm that is at hand."""
    digests = [digest.upper() for digest in DIGESTS]
    known = one_of("CRC32", "CRC32C", "CRC64NVME", *digests)(name, value)
    if not is_at_hand(known.lower()):
        if known.startswith("XXHASH"):
            raise ValueError(f"{name} {known} needs xxhash or awscrt: pip install xxhash")
        raise ValueError(f"{name} {known} needs awscrt: pip install awscrt")
    return known


def metadata(given: Any) -> dict[str, str]:
    """User metadata, with names as S3 keeps them: in lower case."""
    if not isinstance(given, Mapping):
        raise TypeError(f"Metadata must be a dict of str, not {type(given).__name__}")
    found: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ValueError(f"Metadata: {name!r} cannot be the name of a header")
        lower = name.lower()
        if lower == WRITE_TOKEN:
            raise ValueError(f"Metadata: {name} is how this package recognises its own writes")
        if lower in found:
            raise ValueError(f"Metadata: {name} is there twice; S3 knows no upper case in names")
        found[lower] = "" if value == "" else text(f"Metadata[{name!r}]", value)
    size = sum(len(name) + len(value) for name, value in found.items())
    if size > MAX_METADATA:
        raise ValueError(f"Metadata has {size} bytes in names and values; S3 holds at most {MAX_METADATA}")
    return found


def tagging(name: str, value: Any) -> str:
    """Tags: a dict, or text like "a=1&b=2"."""
    if isinstance(value, str):
        try:
            pairs = parse_qsl(value, keep_blank_values=True, strict_parsing=bool(value))
        except ValueError:
            raise ValueError(f'{name} must be a dict or text like "a=1&b=2"') from None
        value = dict(pairs)
        if len(value) != len(pairs):
            raise ValueError(f"{name} names a tag twice")
    return urlencode(tags(name, value), quote_via=quote)


def tags(name: str, given: Any) -> dict[str, str]:
    """Tags of an object, within S3's limits."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{name} must be a dict of str, not {type(given).__name__}")
    if len(given) > MAX_TAGS:
        raise ValueError(f"{name} has {len(given)} tags; S3 holds at most {MAX_TAGS} per object")
    for key, value in given.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"{name} must be a dict of str; {key!r} is not, or its value")
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise ValueError(
                f"{name}: a tag has a name of 1 to 128 and a value of up to 256 characters ({key[:40]!r})"
            )
    return dict(given)
