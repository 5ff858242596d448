"""What the answer to a read must be: of the version that was asked for, with the bytes that were asked for.

Nothing here trusts a store to honour a condition, a version id or a range.
"""

from __future__ import annotations

from collections.abc import Mapping

from .._http.response import ALTERED, HTTPBody
from .._values.conditions import same_etag
from .._values.dialects import is_decompressed
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from ..errors import ObjectChangedError, PreconditionUnsupportedError, ProtocolError
from .headers import content_range

SMALL_OBJECT = 2**20  # bytes: an object of no more is read whole where a part of it would take as long
_NO_ETAG = "the store sent no ETag: the read cannot be pinned"


def check_etag(etag: str) -> None:
    """Raises PreconditionUnsupportedError for an answer without an ETag, or with an empty one."""
    if not etag.strip('"'):
        raise PreconditionUnsupportedError(_NO_ETAG)


def check_head(headers: Mapping[str, str]) -> None:
    """Raises ProtocolError for a page of a portal or a proxy: S3 tells ETag and time of each object."""
    if "etag" not in headers and "last-modified" not in headers:
        raise ProtocolError("HeadObject was answered without ETag and Last-Modified: no store answered")


def check_pin(body: HTTPBody, etag: str, path: S3Path) -> None:
    """Raises ObjectChangedError for an answer of another version than that with `etag`."""
    check_version(path, body.headers)
    found = body.headers.get("etag", "")
    check_etag(found)
    if not same_etag(found, etag):
        raise replaced_error(path, etag, found, body.status)


def replaced_error(path: S3Path, etag: str, found: str, status: int) -> ObjectChangedError:
    """The exception for an object that had the ETag `etag` and has `found` now."""
    return ObjectChangedError(
        f"the object was replaced while it was read: it had ETag {etag} and has {found} now",
        bucket=path.bucket,
        key=path.key,
        status=status,
    )


def check_version(path: S3Path, headers: Mapping[str, str]) -> None:
    """A store without versions ignores `versionId` and answers for another one."""
    wanted, found = path.version_id, headers.get("x-amz-version-id")
    if wanted is None or found == wanted or (wanted == "null" and found is None):
        return
    raise PreconditionUnsupportedError(
        f"version {wanted} was asked for and the store answered for "
        + (f"version {found}" if found else "none: it does not know versions"),
        bucket=path.bucket,
        key=path.key,
    )


def check_range(body: HTTPBody, start: int, stop: int, pin: ObjectInfo) -> None:
    """Raises for an answer that is not the bytes [start, stop) of the version `pin`, as its head tells."""
    if is_part(body):
        first, end, size = content_range(body.headers)
        if first != start or end != stop or size not in (None, pin.size):
            raise ProtocolError(f"the store did not answer the range {start} to {stop}")
        if body.length not in (None, stop - start):
            raise ProtocolError("the length of the body is not that of the range")
    elif body.length not in (None, pin.size):
        raise PreconditionUnsupportedError(
            f"the store answered {body.length} bytes for an object of {pin.size}: {ALTERED}"
        )
    elif start != 0 or stop != pin.size:
        raise ProtocolError(f"the store did not answer the range {start} to {stop}, but the whole object")


def size_by_range(body: HTTPBody) -> int | None:
    """The size of the object, as the answer to a GetObject of a range tells it; None where it does not."""
    if is_part(body):
        return content_range(body.headers)[2]
    return body.length  # ranges are ignored: it is the whole object


def check_first(body: HTTPBody, count: int, size: int) -> int:
    """How many bytes from the first on to take of an answer to a GetObject of the first `count`.

    More of them where the whole of a small object comes. Raises ProtocolError for other bytes.
    """
    if not is_part(body):
        body.set_length(size)
        return min(size, max(count, SMALL_OBJECT))
    stop = min(count, size)
    if not size:
        body.set_length(0)
        return 0
    if content_range(body.headers)[:2] != (0, stop) or body.length not in (None, stop):
        raise ProtocolError(f"the store did not answer the range 0 to {count}")
    body.set_length(stop)
    return stop


def is_part(body: HTTPBody) -> bool:
    """Whether an answer to a GetObject of a range has a range. Else it has the whole object.

    Raises ProtocolError for one that has neither: 204, say, which is no empty object.
    """
    # rclone answers a range with 200 and a right Content-Range: the header decides.
    if body.status not in (200, 206):
        raise ProtocolError(f"GetObject was answered with {body.status}, which is neither 200 nor 206")
    return body.status == 206 or "content-range" in body.headers


def size_of_answer(headers: Mapping[str, str]) -> int | None:
    """The size of an object in bytes, as the answer to HeadObject tells it; None where it does not.

    A proxy that might compress a body leaves the length out, also where there is none. Of an object that it
    would decompress Google Cloud Storage tells the size that is stored.
    """
    if is_decompressed(headers):
        text = headers.get("x-goog-stored-content-length", "")
        if not text.isdecimal():
            raise PreconditionUnsupportedError(f"HeadObject was answered without a size: {ALTERED}")
        return int(text)
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def check_as_stored(headers: Mapping[str, str]) -> None:
    """Raises PreconditionUnsupportedError for an answer to GetObject that has other bytes than are stored."""
    if is_decompressed(headers):
        raise PreconditionUnsupportedError(f"not the bytes that are stored came: {ALTERED}")
