"""What `mode` and `if_match` ask of an object: the condition of a write, and an early look at it.

The early look saves work. The store decides, at the moment of the write; `_s3` makes an exception of its 412.
"""

from __future__ import annotations

from .._values.conditions import Condition, same_etag
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from ..errors import ObjectChangedError


def write_condition(mode: str, if_match: str | None) -> Condition:
    """The condition that `mode` ("overwrite" or "create") and `if_match` (an ETag) ask for."""
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode must be 'overwrite' or 'create', not {mode!r}")
    return Condition(create=mode == "create", if_match=if_match)


def check_if_match(if_match: str | None) -> None:
    """Raise TypeError or ValueError for an `if_match` that is no ETag."""
    Condition(if_match=if_match)


def check_version(location: S3Path, info: ObjectInfo | None, if_match: str | None) -> None:
    """Raise ObjectChangedError unless the object (None: it is deleted) is the version `if_match` names."""
    if if_match is None or (info is not None and same_etag(info.etag, if_match)):
        return
    raise ObjectChangedError(
        f"the object has ETag {info.etag}" if info is not None else "the object is deleted",
        bucket=location.bucket,
        key=location.key,
    )
