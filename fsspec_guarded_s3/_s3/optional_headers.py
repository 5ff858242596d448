"""Headers that a request can do without, left out for stores that do not implement them.

Invariant: what a user asked for is not left out (tags, encryption, ACL, an algorithm that was named), and a
body that was checked stays checked: Content-MD5 takes the place of a CRC. Directory buckets take no MD5, so
there a CRC stays: https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-data-protection.html
"""

from __future__ import annotations

from collections.abc import Mapping

from .._values.checksums import md5_header
from .._values.models import Request
from .._values.paths import is_directory_bucket
from ..errors import InvalidRequestError

_CRCS = frozenset(f"x-amz-checksum-{name}" for name in ("crc32", "crc32c", "crc64nvme"))
_SENT_WITH_BODY = (frozenset({"x-amz-sdk-checksum-algorithm"}), _CRCS | {"x-amz-sdk-checksum-algorithm"})
_ASKED = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-type"})
_MODE = frozenset({"x-amz-checksum-mode"})
# By operation, in the order in which they are left out where the store does not say which it means; those of
# a set make no sense without each other.
_GROUPS: Mapping[str, tuple[frozenset[str], ...]] = {
    "PutObject": _SENT_WITH_BODY,
    "UploadPart": _SENT_WITH_BODY,
    "CopyObject": (frozenset({"content-md5"}),),
    "CreateMultipartUpload": (_ASKED,),
    "CompleteMultipartUpload": (
        frozenset({"x-amz-mp-object-size"}),
        _CRCS | {"x-amz-checksum-type"},
    ),
    "HeadObject": (_MODE,),
    "GetObject": (_MODE,),
}
_OF_BODIES = ("PutObject", "UploadPart")
# What a request is for. Where the store may mean this header, nothing else is tried without the others.
_ESSENTIAL = frozenset({"x-amz-write-offset-bytes"})
_UNCLEAR = ("InvalidArgument", "InvalidRequest", "UnsupportedArgument")


def refused_headers(request: Request, error: InvalidRequestError, named: bool) -> frozenset[str]:
    """The optional headers that `request` may be sent without, now that it was refused by `error`.

    501 and NotImplemented mean them even where the text names none; other codes only where it does. `named`
    says that the user chose the algorithm of the checksums.
    """
    kept = _CRCS if is_directory_bucket(request.bucket) and request.operation in _OF_BODIES else frozenset()
    groups = [group - kept for group in _GROUPS.get(request.operation, ())]
    sent = [group & request.headers.keys() for group in groups]
    sent = [group for group in sent if group and not (named and any("checksum" in name for name in group))]
    text = f"{error.message} {error.argument}".lower()
    suspects = [group for group in sent if any(name in text for name in group)]
    if not suspects and _ESSENTIAL & request.headers.keys():
        return frozenset()
    if error.status == 501 or error.code == "NotImplemented":
        return next(iter(suspects or sent), frozenset())
    # On Complete InvalidRequest may mean that size or CRC do not fit: no reason to do without.
    if error.code not in _UNCLEAR or request.operation == "CompleteMultipartUpload":
        return frozenset()
    if request.operation == "CreateMultipartUpload":  # MinIO #20944; nothing is compared here
        suspects = sent
    return frozenset().union(*suspects)


def leave_out(request: Request, names: frozenset[str]) -> None:
    """Take the headers `names` from `request`."""
    left = {name: value for name, value in request.headers.items() if name not in names}
    if request.method == "PUT" and _CRCS & names & request.headers.keys():
        left |= md5_header(request.body)
    request.headers = left
