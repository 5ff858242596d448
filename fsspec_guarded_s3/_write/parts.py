"""How bytes are cut into parts. `Upload` sends each part, by `_s3.multipart`.

Theory of operation. What is at hand and can be read again (memory, a local file, another object) has a known
size: `send_slices` cuts it into parts of one size and sends several at a time. A stream can be read once only
and has no known size: `PartBuffer` gathers it, sends each part in the background, and keeps the bytes of a
part until the store has them, so that a lost request can be repeated. Both bound what is held in memory.

CompleteMultipartUpload may answer 409 (ConditionalRequestConflict), after which S3 wants the upload to be
started again. `publish_in_parts` does so where the bytes can be read again; the writer of a stream raises
ConflictError.

S3 takes 10,000 parts of 5 MiB to 5 GiB, the last may be smaller:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from .._s3.client import S3Client
from .._values.bodies import FileSlice, RequestBody, body_chunks
from .._values.models import Written
from ..errors import ConflictError
from ..options import MAX_PART_SIZE, MAX_PARTS, Options
from .appending import Appending
from .spool import Gathered
from .upload import Upload

Progress = Callable[[int], None]  # gets bytes that were sent; a negative number takes some back
# Parts of a stream that are under way, and kept meanwhile.
_PARTS_IN_MEMORY = 4
_PARTS_IN_FILES = 2
_PARTS_OF_ONE_SIZE = 500


def no_progress(count: int) -> None:
    """A `Progress` for callers that show none."""


def publish_in_parts(
    client: S3Client, upload: Upload, send: Callable[[], object], on_conflict: Callable[[], None]
) -> Written:
    """Start `upload`, have `send` send its parts, and complete it.

    All that once more after a 409 on Complete, up to `max_attempts` times, each after `on_conflict`. The
    upload is aborted when `send` raises.
    """

    def publish() -> Written:
        upload.start()
        try:
            send()
        except BaseException:
            upload.abort()
            raise
        try:
            return upload.complete()
        except ConflictError:
            on_conflict()
            raise

    return client.store.retry.repeat_while(lambda error: may_start_again(error, upload), publish)


def may_start_again(error: BaseException, upload: Upload) -> bool:
    """Whether `error` is a 409 on Complete, and `upload` may be started again."""
    return isinstance(error, ConflictError) and upload.may_start


def send_slices(
    client: S3Client,
    upload: Upload,
    numbers: Iterable[int],
    size: int,
    part_size: int,
    piece: Callable[[int, int], RequestBody],
    progress: Progress,
) -> None:
    """Send the parts `numbers` of `size` bytes, of which `piece(start, stop)` gives some, in parallel.

    Each part has `part_size` bytes, the last what is left. The first error stops all.
    """

    def send(number: int) -> None:
        start = (number - 1) * part_size
        stop = min(start + part_size, size)
        upload.send_part(number, piece(start, stop))
        progress(stop - start)

    client.scheduler.run(partial(send, number) for number in numbers)


class PartBuffer:
    """Cuts a stream of unknown length into parts and uploads them in the background.

    Memory is bounded: parts of more than `spool.IN_MEMORY` bytes are gathered in temporary files and sent
    from there, and few parts are under way. Part sizes double every 500 parts up to 5 GiB, so that 10,000
    suffice for some 30 TiB, unless the store wants all of one size.
    """

    def __init__(self, upload: Upload, options: Options) -> None:
        self._upload = upload
        self._options = options
        self._gathered = Gathered()
        self._number = 0
        self._appending: Appending | None = None

    def follow_object(self, appending: Appending) -> None:
        """Have what is written be appended to an object, unless it becomes more than one request takes."""
        self._appending = appending

    def _copy_old(self, gathered: Gathered) -> None:
        """Put the old bytes in front of what was `gathered`, which is not going to be appended."""
        appending, self._appending = self._appending, None
        assert appending is not None
        appending.copy_old()
        for piece in body_chunks(gathered.body()):
            self.write(memoryview(piece))

    def fixed_part_size(self) -> int | None:
        """The size of all parts but the last, where the store wants them to have one size."""
        is_fixed = self._options.fixed_upload_size or self._upload.dialect().one_part_size
        return self._options.part_size if is_fixed else None

    def _part_size(self) -> int:
        if self._number < _PARTS_OF_ONE_SIZE or self.fixed_part_size():
            return self._options.part_size
        return min(self._options.part_size << self._number // _PARTS_OF_ONE_SIZE, MAX_PART_SIZE)

    def hand_over(self, take: Callable[[memoryview], None]) -> None:
        """Give `take` all that was gathered, of which nothing was sent."""
        gathered, self._gathered = self._gathered, Gathered()
        for piece in body_chunks(gathered.body()):
            take(memoryview(piece))

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
        """Send what was gathered in whole parts, and keep the rest."""
        gathered, self._gathered = self._gathered, Gathered()
        if self._appending is not None:
            self._copy_old(gathered)
            return
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
        kept = _PARTS_IN_FILES if isinstance(part, FileSlice) else _PARTS_IN_MEMORY
        self._upload.send_part_in_background(self._number, part, min(kept, self._options.max_concurrency))

    def finish(self) -> Written:
        """Publish: by one PUT when no part has been sent yet."""
        if self._appending is not None:
            gathered, self._gathered = self._gathered, Gathered()
            written = self._appending.publish(gathered.body())
            if written is not None:
                return written
            self._copy_old(gathered)
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
