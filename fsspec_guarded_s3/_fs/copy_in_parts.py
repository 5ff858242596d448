"""Copying one version of an object into the first parts of an upload.

By UploadPartCopy, under the ETag of the source, where the store keeps that condition. Else the bytes are read
under that ETag and sent. Memory is bounded whatever the size.
"""

from __future__ import annotations

import logging
from functools import partial

from .._read.download import read_range
from .._s3.client import S3Client
from .._values.models import ByteRange, ObjectInfo
from .._values.paths import S3Path
from .._write.spool import Gathered
from .._write.upload import Upload
from ..errors import InvalidRequestError, ProtocolError
from ..options import MAX_PART_SIZE, MIB, part_size_for

logger = logging.getLogger("fsspec_guarded_s3")
_COPY_PART = 128 * MIB  # of parts that the store copies
_SENT_PART = 32 * MIB  # of parts that are sent
_PARTS_IN_MEMORY = 4
_PARTS_FOR_COPY = 1000  # of the 10,000 that S3 takes, so that there is room for what is appended


def copy_in_parts(
    client: S3Client,
    upload: Upload,
    source: S3Path,
    info: ObjectInfo,
    by_store: bool,
    part_size: int | None = None,
) -> int:
    """Copy the version `info` of `source` into the first parts of `upload`; returns how many they are.

    `by_store` says whether the store keeps the pin of UploadPartCopy. `client` reads the source. Given
    `part_size` all parts have that size, and what is left of the source is not copied. Raises
    ObjectChangedError when the source is another version by now.
    """
    return (_copy_parts if by_store else _send_parts)(client, upload, source, info, part_size)


def _copy_parts(
    client: S3Client, upload: Upload, source: S3Path, info: ObjectInfo, part_size: int | None
) -> int:
    """Copy the version `info` of `source` into the first parts of `upload`; returns how many they are.

    By UploadPartCopy. Where the store has none the bytes are sent, in a new upload: rclone stores an empty
    part instead, which cannot be replaced.
    """
    parts = ranges(info.size, _COPY_PART, part_size)
    calls = [
        partial(upload.copy_part, number, source, part, info.etag) for number, part in enumerate(parts, 1)
    ]
    try:
        client.scheduler.run(calls)
    except (ProtocolError, InvalidRequestError) as error:
        logger.info("the store has no UploadPartCopy (%s): the bytes are sent instead", error)
        upload.restart()
        return _send_parts(client, upload, source, info, part_size)
    return len(parts)


def _send_parts(
    client: S3Client, upload: Upload, source: S3Path, info: ObjectInfo, part_size: int | None
) -> int:
    """Read the version `info` of `source` under its pin, and send it as the first parts of `upload`."""

    def send(number: int, part: ByteRange) -> None:
        gathered = Gathered()
        for start in range(part.start, part.stop, _SENT_PART):
            gathered.write(read_range(client, source, info, start, min(start + _SENT_PART, part.stop)))
        upload.send_part(number, gathered.body())

    parts = ranges(info.size, _SENT_PART, part_size)
    calls = [partial(send, number, part) for number, part in enumerate(parts, 1)]
    client.scheduler.run(calls, _PARTS_IN_MEMORY)
    return len(parts)


def ranges(size: int, part_size: int, fixed: int | None = None) -> list[ByteRange]:
    """`size` bytes in parts of about `part_size`, or more where they would be too many.

    All have one size, except that the last may be smaller. With `fixed` that is their size, and what is left
    in none of them.
    """
    if fixed:
        return [ByteRange(start, start + fixed) for start in range(0, size - size % fixed, fixed)]
    most = min(MAX_PART_SIZE, max(part_size, -(-size // _PARTS_FOR_COPY)))
    count = max(1, -(-size // part_size_for(size, most)))
    step = -(-size // count)
    return [ByteRange(start, min(start + step, size)) for start in range(0, size, step)]
