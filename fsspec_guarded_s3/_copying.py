"""Publishing a version of another object: by the store where it keeps the pin, else read here and sent.

Invariants:

- what is published is the one version that was looked at. A store that ignores the pin of a copy would copy
  whatever is there by then, so there the bytes are read under the pin and sent;
- a condition on the target is one that the store keeps, on the request that is used;
- memory is bounded whatever the size.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from ._client import S3Client
from ._download import read_range
from ._errors import ConflictError, InvalidRequestError, PreconditionUnsupportedError, ProtocolError
from ._models import ByteRange, Condition, ObjectInfo, Written
from ._options import MAX_PART_SIZE, MAX_SINGLE_PUT, MIB, MIN_PART_SIZE, part_size_for
from ._parts import PartBuffer
from ._paths import S3Path
from ._probe import honours
from ._spool import Gathered
from ._upload import Upload

logger = logging.getLogger("fsspec_guarded_s3")
_COPY_PART = 128 * MIB  # that the store copies
_SENT_PART = 32 * MIB
_AT_ONCE = 4  # of these, in memory
_COPIED = 1000  # parts that the old bytes take of the 10,000, so that there is room for what is appended


def is_single(info: ObjectInfo) -> bool:
    """Whether one CopyObject is enough; above 5 GiB S3 copies in parts only."""
    return info.size <= MAX_SINGLE_PUT


def copies_inside(client: S3Client, target: S3Path, condition: Condition, info: ObjectInfo) -> bool:
    """Whether the store itself can copy the version `info` to `target`: it keeps the pin, and `condition`.

    False also where the credentials may not find out.
    """
    if not is_single(info):
        return bool(honours(client, target, "copy_source_parts"))
    on_target = "copy_create" if condition.create else "copy_swap"
    names = ("copy_source", on_target) if condition else ("copy_source",)
    return all(honours(client, target, name) for name in names)


def condition_onto_itself(client: S3Client, location: S3Path, info: ObjectInfo) -> Condition:
    """The condition of a copy of the version `info` onto itself: nothing newer may be overwritten.

    None where the store keeps the pin of CopyObject alone: source and target are one object.
    """
    pinned = is_single(info) and honours(client, location, "copy_source")
    if pinned and not honours(client, location, "copy_swap"):
        return Condition()
    return Condition(if_match=info.etag)


def copy_object(client: S3Client, upload: Upload, source: S3Path, info: ObjectInfo, inside: bool) -> Written:
    """Publish the version `info` of `source` at the place of `upload`; `inside` is what `copies_inside` said.

    CopyObject, or UploadPartCopy above 5 GiB; else GetObject and PutObject, or UploadPart. `client` reads the
    source. Raises ObjectChangedError when the source is another version by now.
    """
    if not info.etag:
        raise PreconditionUnsupportedError(
            "the store tells no ETag: a copy could be of any version", bucket=source.bucket, key=source.key
        )
    if inside and is_single(info):
        return upload.copy_object(source, info)
    if not inside and info.size < client.options.multipart_threshold:
        return upload.put_object(read_range(client, source, info, 0, info.size))

    def once() -> Written:
        upload.start()
        try:
            fill(client, upload, source, info)
        except BaseException:
            upload.abort()
            raise
        return upload.complete()

    fill = _copy_parts if inside else _send_parts
    return client.repeat_while(lambda error: _may_start_anew(error, upload), once, client.attempts())


def _may_start_anew(error: BaseException, upload: Upload) -> bool:
    return isinstance(error, ConflictError) and upload.may_start


def prepare_append(
    client: S3Client, upload: Upload, source: S3Path, info: ObjectInfo, buffer: PartBuffer
) -> None:
    """Put the version `info` of `source` in front of what `buffer` will get, which replaces it.

    Where it is too small for a part of its own it is read into the buffer, else copied by the store.
    """
    if info.size < MIN_PART_SIZE:
        with memoryview(read_range(client, source, info, 0, info.size)) as old:
            buffer.write(old)
        return
    inside = honours(client, source, "copy_source_parts")
    upload.start()
    buffer.follow((_copy_parts if inside else _send_parts)(client, upload, source, info))


def _copy_parts(client: S3Client, upload: Upload, source: S3Path, info: ObjectInfo) -> int:
    """Copy the version `info` of `source` into the first parts of `upload`; returns how many they are.

    By UploadPartCopy. Where the store has none the bytes are sent, in a new upload: rclone stores an empty
    part instead, which cannot be replaced.
    """
    bounds = _bounds(info.size, min(MAX_PART_SIZE, max(_COPY_PART, -(-info.size // _COPIED))))

    def copy(number: int) -> None:
        upload.copy_part(number, source, ByteRange(*bounds[number - 1]), info.etag)

    try:
        client.side_by_side(_numbered(copy, bounds))
    except (ProtocolError, InvalidRequestError) as error:
        logger.info("the store has no UploadPartCopy (%s): the bytes are sent instead", error)
        upload.restart()
        return _send_parts(client, upload, source, info)
    return len(bounds)


def _send_parts(client: S3Client, upload: Upload, source: S3Path, info: ObjectInfo) -> int:
    """Read the version `info` of `source` under its pin, and send it as the first parts of `upload`."""
    bounds = _bounds(info.size, min(MAX_PART_SIZE, max(_SENT_PART, -(-info.size // _COPIED))))

    def send(number: int) -> None:
        gathered = Gathered()
        begin, end = bounds[number - 1]
        for start in range(begin, end, _SENT_PART):
            gathered.write(read_range(client, source, info, start, min(start + _SENT_PART, end)))
        upload.send_part(number, gathered.body())

    client.side_by_side(_numbered(send, bounds), _AT_ONCE)
    return len(bounds)


def _numbered(call: Callable[[int], None], bounds: list[tuple[int, int]]) -> list[Callable[[], None]]:
    return [partial(call, number) for number in range(1, len(bounds) + 1)]


def _bounds(size: int, most: int) -> list[tuple[int, int]]:
    """Where parts of up to `most` bytes begin and end. All have one size: none but the last is smaller."""
    count = max(1, -(-size // part_size_for(size, most)))
    step = -(-size // count)
    return [(start, min(start + step, size)) for start in range(0, size, step)]
