"""Request bodies of S3: models -> XML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .._values.conditions import strong
from .._values.models import Part


def escape(text: str) -> str:
    """The text of an element, as `html` and `xml.sax` have it, which take longer to import than a request."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _element(name: str, text: str) -> str:
    return f"<{name}>{text}</{name}>"


def complete_body(parts: Sequence[Part]) -> bytes:
    """The request body of CompleteMultipartUpload, parts in ascending order.

    It has the checksum of each part, or none: where one was sent without, the upload has no algorithm, and a
    store may know none of the others either (versitygw: InvalidPart).
    """
    all_have_one = all(part.crc is not None for part in parts)
    rows = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>{escape(strong(part.etag))}</ETag>"
        + (
            _element(f"Checksum{part.crc.algorithm.upper()}", part.crc.text())
            if part.crc and all_have_one
            else ""
        )
        + "</Part>"
        for part in sorted(parts, key=lambda part: part.number)
    )
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{space}">{rows}</CompleteMultipartUpload>'.encode()


def tags_body(tags: Mapping[str, str]) -> bytes:
    """The request body of PutObjectTagging."""
    rows = "".join(
        f"<Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>" for key, value in tags.items()
    )
    return f"<Tagging><TagSet>{rows}</TagSet></Tagging>".encode()


def delete_body(etags: Mapping[str, str | None]) -> bytes:
    """The request body of DeleteObjects, which then reports only what failed; an ETag is a condition."""
    rows = "".join(
        f"<Object><Key>{escape(key)}</Key>"
        + (f"<ETag>{escape(strong(etag))}</ETag>" if etag is not None else "")
        + "</Object>"
        for key, etag in etags.items()
    )
    return f"<Delete><Quiet>true</Quiet>{rows}</Delete>".encode()


def delete_versions_body(versions: Iterable[tuple[str, str]]) -> bytes:
    """The request body of DeleteObjects for (key, version id) pairs, which then reports only what failed."""
    rows = "".join(
        f"<Object><Key>{escape(key)}</Key><VersionId>{escape(version_id)}</VersionId></Object>"
        for key, version_id in versions
    )
    return f"<Delete><Quiet>true</Quiet>{rows}</Delete>".encode()


def bucket_body(region: str) -> bytes:
    """The request body of CreateBucket; us-east-1 takes none."""
    if region == "us-east-1":
        return b""
    row = f"<LocationConstraint>{escape(region)}</LocationConstraint>"
    return f"<CreateBucketConfiguration>{row}</CreateBucketConfiguration>".encode()


def versioning_body(status: str) -> bytes:
    """The request body of PutBucketVersioning; `status` is "Enabled" or "Suspended"."""
    row = f"<Status>{status}</Status>"
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<VersioningConfiguration xmlns="{space}">{row}</VersioningConfiguration>'.encode()
