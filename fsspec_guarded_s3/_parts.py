"""What an upload is fed from: a stream, bytes at hand, a local file. Another object: `_copying`.

Invariants: memory is bounded whatever the size; what was sent in parts can be sent again from bytes and
from files, so there a 409 on Complete starts the upload anew.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from functools import partial

from ._bodies import Buffer, FileChangedError, FileSlice, RequestBody, body_chunks
from ._checksums import Crc, algorithms, body_crc
from ._client import S3Client
from ._errors import ConflictError
from ._models import Part, Written
from ._options import MAX_PART_SIZE, MAX_PARTS, Options, part_size_for
from ._paths import S3Path
from ._source_file import SourceFile
from ._spool import Gathered
from ._upload import Upload

logger = logging.getLogger("fsspec_guarded_s3")
Progress = Callable[[int], None]
# Parts of a stream that are under way, and kept meanwhile: it cannot be read again.
_IN_MEMORY = 4
_IN_FILES = 2
_DOUBLES = 500


class PartBuffer:
    """Cuts a stream of unknown length into parts and uploads them in the background.

    Memory is bounded: parts of more than `_spool.IN_MEMORY` bytes are gathered in temporary files and sent
    from there, and few parts are under way. Part sizes double every `_DOUBLES` parts up to 5 GiB, so that
    10,000 suffice for some 30 TiB, unless the store wants all of one size.
    """

    def __init__(self, upload: Upload, options: Options) -> None:
        self._upload = upload
        self._options = options
        self._gathered = Gathered()
        self._number = 0

    def _part_size(self) -> int:
        doubled = 0 if self._options.fixed_upload_size else self._number // _DOUBLES
        return min(self._options.part_size << doubled, MAX_PART_SIZE)

    def follow(self, parts: int) -> None:
        """Go on after `parts` parts that are there already."""
        self._number = parts

    def write(self, data: memoryview) -> None:
        """Take `data`; sends every part that is full."""
        while data.nbytes:
            full = self._part_size()
            if self._upload.may_start:
                full = max(full, self._options.multipart_threshold)
            room = full - self._gathered.size
            self._gathered.write(data[:room])
            data = data[room:]
            if self._gathered.size == full:
                self._cut()

    def _cut(self) -> None:
        """Send what was gathered, but for a rest that is no whole part."""
        gathered, self._gathered = self._gathered, Gathered()
        start = 0
        while gathered.size - start >= self._part_size():
            stop = start + self._part_size()
            self._send(gathered.body(start, stop))
            start = stop
        for piece in body_chunks(gathered.body(start)):
            self._gathered.write(piece)

    def _send(self, part: RequestBody) -> None:
        if self._upload.may_start:
            self._upload.start()
        self._number += 1
        if self._number > MAX_PARTS:
            raise ValueError(
                f"the object needs more than {MAX_PARTS} parts, which is all that S3 takes: with a larger "
                "part_size more would go in"
            )
        at_once = _IN_FILES if isinstance(part, FileSlice) else _IN_MEMORY
        self._upload.send_part_in_background(self._number, part, min(at_once, self._options.max_concurrency))

    def finish(self) -> Written:
        """Publish: by one PUT when no part has been sent yet."""
        rest, self._gathered = self._gathered, Gathered()
        if self._upload.may_start:
            return self._upload.put_object(rest.body())
        if rest.size:
            self._send(rest.body())
        try:
            return self._upload.complete()
        except ConflictError as error:
            if self._upload.may_start:
                self._upload.abort()
                error.message += ": the parts that were sent are gone, so write the object again"
            raise


def upload_bytes(client: S3Client, upload: Upload, data: Buffer) -> Written:
    """Publish `data`, which is at hand as a whole; parts are slices, not copies."""
    view = memoryview(data).cast("B")
    return _upload_slices(client, upload, view.nbytes, lambda start, stop: view[start:stop], _no_progress)


def upload_file(client: S3Client, upload: Upload, file: SourceFile, progress: Progress) -> Written:
    """Publish an open local file; it is read as it is sent.

    Raises FileChangedError when the file became shorter or was rewritten meanwhile. A file that grows is
    fine (a log): what it had at the beginning is published. One whose size is not what can be read (/proc,
    some FUSE mounts) is read once, up to its end.
    """
    if not file.tells_its_size:
        return _upload_contents(client, upload, file, progress)
    with file.watched():
        if file.size < client.options.multipart_threshold:
            written = upload.put_object(file.whole())
            progress(file.size)
            return written
        return _upload_slices(
            client, upload, file.size, file.piece, progress, lambda: _check_unchanged(file, upload.parts)
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
    if not file.tells_its_size:
        for data in file.contents():
            progress(write(data))
        return
    crc, update = 0, algorithms()["crc32"].update
    for chunk in file.piece(0, file.size).chunks():
        crc = update(chunk, crc)
        progress(write(chunk))
    _check_unchanged(file, [Part(1, "", file.size, Crc("crc32", crc))])


def _check_unchanged(file: SourceFile, parts: list[Part]) -> None:
    """Raises FileChangedError unless `parts` together are one content of the file.

    One that is longer by now may have been written anew from its start: its bytes are compared.
    """
    if not file.grew():
        return
    start = 0
    for part in sorted(parts, key=lambda part: part.number):
        if _same_bytes(part, file.piece(start, start + part.size)) is False:
            raise FileChangedError("the local file was written anew while it was uploaded: upload it again")
        start += part.size


def _upload_slices(
    client: S3Client,
    upload: Upload,
    size: int,
    piece: Callable[[int, int], RequestBody],
    progress: Progress,
    check: Callable[[], None] = lambda: None,
) -> Written:
    options = client.options
    if size < options.multipart_threshold:
        written = upload.put_object(piece(0, size))
        progress(size)
        return written
    part_size = part_size_for(size, options.part_size)
    count = -(-size // part_size)

    def once() -> Written:
        upload.start()
        numbers = range(1, count + 1)
        _send_parts(client, upload, numbers, size, part_size, piece, progress)
        try:
            check()
        except BaseException:
            upload.abort()
            raise
        try:
            return upload.complete()
        except ConflictError:
            progress(-size)
            raise

    return client.repeat_while(lambda error: _may_start_anew(error, upload), once, client.attempts())


def _may_start_anew(error: BaseException, upload: Upload) -> bool:
    return isinstance(error, ConflictError) and upload.may_start


def _send_parts(
    client: S3Client,
    upload: Upload,
    numbers: range | list[int],
    size: int,
    part_size: int,
    piece: Callable[[int, int], RequestBody],
    progress: Progress,
) -> None:
    def send(number: int) -> None:
        start = (number - 1) * part_size
        stop = min(start + part_size, size)
        upload.send_part(number, piece(start, stop))
        progress(stop - start)

    try:
        client.side_by_side(partial(send, number) for number in numbers)
    except BaseException:
        upload.abort()
        raise


# --- an upload that was begun before ---------------------------------------------------------------


def resume_file(
    client: S3Client, upload: Upload, path: S3Path, upload_id: str, file: SourceFile, progress: Progress
) -> Written:
    """Finish the multipart upload `upload_id` of a local file, sending only what is missing.

    Every part that is there is compared with the file before it is trusted. Raises ValueError when one
    differs (the upload is kept), FileNotFoundError when there is no such upload.
    """
    size = file.size
    parts = client.list_parts(path, upload_id)
    part_size = _part_size_of(parts, size, client.options)
    trusted = []
    for part in parts:
        start = (part.number - 1) * part_size
        stop = min(start + part_size, size)
        same = _same_bytes(part, file.piece(start, stop)) if 0 <= start < stop else False
        if same is False:
            raise ValueError(
                f"resume: part {part.number} of upload {upload_id} does not match the local file. Nothing "
                "was sent, the upload is kept; abort_uploads removes it, a put without resume starts anew"
            )
        if same:
            trusted.append(part)
            progress(stop - start)
    there = {part.number for part in trusted}
    missing = [number for number in range(1, max(1, -(-size // part_size)) + 1) if number not in there]
    upload.resume(upload_id, trusted)
    with file.watched():
        _send_parts(client, upload, missing, size, part_size, file.piece, progress)
    try:
        _check_unchanged(file, upload.parts)
    except BaseException:
        upload.abort()
        raise
    try:
        return upload.complete()
    except ConflictError as error:
        if not _may_start_anew(error, upload):
            raise
        progress(-size)
        return upload_file(client, upload, file, progress)


def _part_size_of(parts: list[Part], size: int, options: Options) -> int:
    """The part size of the process that began: that of any part but the last."""
    full = [part.size for part in parts if part.number < max(p.number for p in parts)]
    if not full and parts:  # one part alone may be the last one, which is shorter
        only = parts[0]
        full = [only.size] if only.number == 1 and only.size < size else []
    return full[0] if full else part_size_for(size, options.part_size)


def _same_bytes(part: Part, piece: FileSlice) -> bool | None:
    """Whether the part holds these bytes; None where the store tells no checksum that could prove it."""
    if part.size != piece.stop - piece.start:
        return False
    if part.crc is not None and part.crc.algorithm in algorithms():
        return part.crc == body_crc(piece, part.crc.algorithm)
    etag = part.etag.strip('"')
    if len(etag) != 32:
        return None
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in piece.chunks():
        digest.update(chunk)
    return digest.hexdigest() == etag


def _no_progress(count: int) -> None:
    """Nobody asked."""
