r"""Keys that a store may take for one and the same: a move between them would delete what it has moved.

To S3 every key is a name of its own, but an access point is a second name for a bucket. Stores on file
systems resolve `a//b`, `./a` and `a/../b`, take `\` for `/`, or do not know upper from lower case, or one way
of writing an accent from another.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable
from functools import partial

from .._s3.client import S3Client
from .._values.models import ObjectInfo
from .._values.paths import S3Path
from ..errors import ObjectNotFoundError, OperationUnsupportedError

_ALIASES = ("-s3alias", "--ol-s3", ".mrap")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def refuse_one_object(client: S3Client, pairs: Iterable[tuple[S3Path, S3Path]]) -> None:
    """Raise OperationUnsupportedError for a source and a target that may be one object.

    No request but for keys that differ in such a way alone, and for access points: HeadObject.
    """
    alike = [
        (source, target)
        for source, target in pairs
        if _plain(source.key) == _plain(target.key)
        and _may_be_one_bucket(client, source.bucket, target.bucket)
    ]
    client.scheduler.run(partial(_refuse, client, *pair) for pair in alike)


def _may_be_one_bucket(client: S3Client, one: str, other: str) -> bool:
    """AWS has several names for a bucket, and no two for a key."""
    if one == other:
        return not client.store.is_aws(one)
    return any(bucket.startswith("arn:") or bucket.endswith(_ALIASES) for bucket in (one, other))


def _plain(key: str) -> str:
    """What is left of a key on the least precise of stores."""
    text = unicodedata.normalize("NFKC", _CONTROL.sub("\ufffd", key)).casefold().replace("\\", "/")
    steps = [step.rstrip(". ") or step for step in text.split("/")]
    return posixpath.normpath("/" + "/".join(steps)).lstrip("/")


def _refuse(client: S3Client, source: S3Path, target: S3Path) -> None:
    try:
        before = _shown(client.reads.head_object(target))
        other = _shown(client.reads.head_object(source))
        after = _shown(client.reads.head_object(target))
    except ObjectNotFoundError:
        return  # one of them is not there, as they would be both
    if other != before == after:
        return
    raise OperationUnsupportedError(
        f"{source} and {target} may be one object to this store, and moving it would delete it: nothing was "
        "moved. Move it by way of a third name",
        bucket=source.bucket,
        key=source.key,
    )


def _shown(info: ObjectInfo) -> tuple[object, ...]:
    return info.etag, info.size, info.modified, info.version_id, sorted(info.metadata.items())
