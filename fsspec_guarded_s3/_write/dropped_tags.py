"""Tags of a new object that the store dropped: they are put again.

Some stores drop the x-amz-tagging header of CreateMultipartUpload, and that of a CopyObject with other
metadata. S3 has no condition for PutObjectTagging, so it names the version where there is one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import parse_qsl

from .._s3.client import S3Client
from .._values.conditions import same_etag
from .._values.models import Written
from .._values.paths import S3Path
from ..errors import GuardedS3Error
from .setting import put_tags, tags_of

logger = logging.getLogger("fsspec_guarded_s3")


def put_dropped_tags(client: S3Client, path: S3Path, headers: Mapping[str, str], written: Written) -> None:
    """Give the object its tags, which `headers` of its write name, unless it has them.

    No request where there are none, and to AWS. A look that fails is logged. Raises the error of
    PutObjectTagging, with a message that says that the object was written.
    """
    wanted = dict(parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True))
    if not wanted or client.store.is_aws(path.bucket):
        return
    try:
        found = client.reads.head_object(path)
    except GuardedS3Error as error:
        logger.info("could not look whether %s has its tags: %s", path, error)
        return
    if found.tag_count >= len(wanted) or not same_etag(found.etag, written.etag):
        return
    try:
        if dict(tags_of(client, path, found)) == wanted:
            return
        put_tags(client, S3Path(path.bucket, path.key, written.version_id), wanted)
    except GuardedS3Error as error:
        error.message = (
            "the object was written, but the store dropped its tags, and they could not be put again: "
            f"{error.message}"
        )
        error.maybe_applied = True
        raise
