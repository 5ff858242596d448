"""Publishing a version of another object: by the store where it keeps the pin, else read here and sent.

Invariants:

- what is published is the one version that was looked at. A store that ignores the pin of a copy would copy
  whatever is there by then, so there the bytes are read under the pin and sent;
- a condition on the target is one that the store keeps, on the request that is used;
- memory is bounded whatever the size.
"""

from __future__ import annotations

from functools import partial

from .._read.download import read_range
from .._s3.client import S3Client
from .._values.conditions import Condition
from .._values.models import ObjectInfo, Written
from .._values.paths import S3Path
from .._write.appending import Appending
from .._write.guards import honours
from .._write.parts import PartBuffer, publish_in_parts
from .._write.spool import IN_MEMORY
from .._write.upload import Upload
from ..errors import PreconditionUnsupportedError
from ..options import MAX_SINGLE_PUT, MIN_PART_SIZE
from .copy_in_parts import copy_in_parts


def is_single(info: ObjectInfo) -> bool:
    """Whether one CopyObject is enough; above 5 GiB S3 copies in parts only."""
    return info.size <= MAX_SINGLE_PUT


def store_can_copy(client: S3Client, target: S3Path, condition: Condition, info: ObjectInfo) -> bool:
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

    None where the store keeps the pin of CopyObject alone: source and target are one object. Not so where it
    is Ceph RGW's own pin: nobody knows whether that holds until it writes.
    """
    pinned = is_single(info) and honours(client, location, "copy_source")
    pinned = pinned and not client.store.facts(location.bucket).pins_as_rgw
    if pinned and not honours(client, location, "copy_swap"):
        return Condition()
    return Condition(if_match=info.etag)


def copy_version(
    client: S3Client, upload: Upload, source: S3Path, info: ObjectInfo, by_store: bool
) -> Written:
    """Publish the version `info` of `source` by `upload`; `by_store` is what `store_can_copy` said.

    CopyObject, or UploadPartCopy above 5 GiB; else GetObject and PutObject, or UploadPart. `client` reads the
    source. Raises ObjectChangedError when the source is another version by now.
    """
    if not info.etag:
        raise PreconditionUnsupportedError(
            "the store tells no ETag: a copy could be of any version", bucket=source.bucket, key=source.key
        )
    if by_store and is_single(info):
        return upload.copy_object(source, info)
    if not by_store and info.size < client.options.multipart_threshold:
        return upload.put_object(read_range(client, source, info, 0, info.size))
    send = partial(copy_in_parts, client, upload, source, info, by_store)
    return publish_in_parts(client, upload, send, lambda: None)


def prepare_at_end(
    client: S3Client, upload: Upload, source: S3Path, info: ObjectInfo, buffer: PartBuffer
) -> None:
    """Have what `buffer` gets be appended to the version `info` itself, or else go behind a copy of it."""
    copy_old = partial(prepare_append, client, upload, source, info, buffer)
    buffer.follow_object(Appending(client, upload, source, info, copy_old))


def prepare_append(
    client: S3Client, upload: Upload, source: S3Path, info: ObjectInfo, buffer: PartBuffer
) -> None:
    """Put the version `info` of `source` in front of what `buffer` will get, which replaces it.

    Where it is too small for a part of its own it is read into the buffer, else copied by the store. Where
    all parts have to be of one size, what is left behind those is read, too. And so is all of it where one
    request is enough for it and the store has the condition on that alone.
    """
    part_size = buffer.fixed_part_size()
    copied = info.size - info.size % part_size if part_size else info.size
    if copied >= MIN_PART_SIZE and not _has_to_be_single(client, source, info):
        by_store = honours(client, source, "copy_source_parts")
        upload.start()
        buffer.follow(copy_in_parts(client, upload, source, info, bool(by_store), part_size))
    else:
        copied = 0
    for start in range(copied, info.size, IN_MEMORY):
        with memoryview(read_range(client, source, info, start, min(start + IN_MEMORY, info.size))) as old:
            buffer.write(old)


def _has_to_be_single(client: S3Client, source: S3Path, info: ObjectInfo) -> bool:
    """Whether only one PutObject can replace the version `info`, and is allowed to have so many bytes."""
    return (
        info.size < client.options.multipart_threshold
        and honours(client, source, "swap_on_complete") is False
        and bool(honours(client, source, "swap"))
    )
