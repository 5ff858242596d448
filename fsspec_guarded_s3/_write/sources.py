"""What an upload is fed from: bytes in memory or a local file.

A stream feeds it by `parts`, another object by `_fs.copy_version`.

Invariants: memory is bounded whatever the size; what of a file is published was its content at one time. What
was sent can be read again, so a 409 on Complete starts the upload again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .._s3.client import S3Client
from .._s3.early import Asked
from .._values.bodies import Buffer, Meter, RequestBody, bytes_of
from .._values.checksums import Crc, algorithm_of
from .._values.models import Part, Written
from ..options import part_size_for
from .parts import PartBuffer, Progress, no_progress, publish_in_parts, send_slices
from .source_file import SourceFile, check_unchanged
from .upload import Upload

if TYPE_CHECKING:
    import typing_extensions

_SMALL = 64 * 1024  # bytes that one call of the system sends


def upload_bytes(client: S3Client, upload: Upload, data: typing_extensions.Buffer) -> Written:
    """Publish `data`, which is in memory as a whole; parts are slices, not copies."""
    view = bytes_of(data)
    return upload_slices(client, upload, view.nbytes, lambda start, stop: view[start:stop], no_progress)


def ask_bytes(client: S3Client, upload: Upload, data: typing_extensions.Buffer) -> Asked[Written] | None:
    """As `upload_bytes`, of an upload without a condition: its request is sent now, if it is a small one."""
    view = bytes_of(data)
    if view.nbytes > _SMALL or view.nbytes >= client.options.multipart_threshold:
        return None
    return upload.ask_put_object(view)


def upload_file(client: S3Client, upload: Upload, file: SourceFile, progress: Progress) -> Written:
    """Publish an open local file; it is read as it is sent.

    Raises FileChangedError when the file became shorter or was rewritten meanwhile. A file that grows is
    fine (a log): what it had at the beginning is published. One whose size is not what can be read (/proc,
    some FUSE mounts) is read once, up to its end.
    """
    if not file.has_reliable_size:
        return _upload_contents(client, upload, file, progress)
    with file.watched():
        if file.size < client.options.multipart_threshold:
            meter = Meter(progress, file.size)
            written = upload.put_object(file.watched_body(meter))
            progress(file.size - meter.sent)
            return written
        return upload_slices(
            client, upload, file.size, file.piece, progress, lambda: check_unchanged(file, upload.parts)
        )


def _upload_contents(client: S3Client, upload: Upload, file: SourceFile, progress: Progress) -> Written:
    buffer = PartBuffer(upload, client.options)
    try:
        for data in file.contents():
            buffer.write(memoryview(data))
            progress(len(data))
        return buffer.finish()
    except BaseException:
        upload.abort()
        raise


def copy_file(file: SourceFile, write: Callable[[Buffer], int], progress: Progress) -> None:
    """Hand an open local file to `write`, in small pieces and once; errors as in `upload_file`."""
    if not file.has_reliable_size:
        for data in file.contents():
            progress(write(data))
        return
    crc, update = 0, algorithm_of("crc32").update
    for chunk in file.piece(0, file.size).chunks():
        crc = update(chunk, crc)
        progress(write(chunk))
    check_unchanged(file, [Part(1, "", file.size, Crc("crc32", crc))])


def upload_slices(
    client: S3Client,
    upload: Upload,
    size: int,
    piece: Callable[[int, int], RequestBody],
    progress: Progress,
    check: Callable[[], None] = lambda: None,
) -> Written:
    """Publish `size` bytes, of which `piece(start, stop)` gives some; `check` may refuse before Complete.

    They can be read again: a 409 on Complete starts the upload again.
    """
    options = client.options
    if size < options.multipart_threshold:
        written = upload.put_object(piece(0, size))
        progress(size)
        return written
    part_size = part_size_for(size, options.part_size)
    count = -(-size // part_size)

    def send() -> None:
        send_slices(client, upload, range(1, count + 1), size, part_size, piece, progress)
        check()

    return publish_in_parts(client, upload, send, lambda: progress(-size))
