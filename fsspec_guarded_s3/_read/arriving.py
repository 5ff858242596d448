"""A range that is on its way: its bytes can be taken as they come, before it is whole.

Theory of operation. A thread of the pool brings the range (`_threads.Task`), piece by piece. It waits for
nobody: so no connection stands still while the reader does something else, and memory is bounded by how many
ranges are asked for. The range and its task are apart: the thread knows the pieces alone, so whoever drops
the range gives the task up, and the thread ends within a second.

Each piece is added in one step, with its place. So a child process, in which the thread is not there, goes on
behind the last piece that it finds; so does a second attempt.

Who reads on by the same number of bytes gets each read as one piece, which is handed out as it is: pieces end
where such reads end (`Cut`). A copy of what was received would take as long as receiving it did.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from .._s3.client import S3Client
from .._s3.reads import Cursor
from .._threads import Task
from .._values.models import Body, ObjectInfo
from .._values.paths import S3Path
from .._work import TURN, check
from ..errors import IncompleteBodyError

Take = Callable[[bytes], None]
_SHORTEST_CUT, _LONGEST_CUT = 16 * 1024, 4 * 2**20  # bytes
_FIRST_PIECE = 64 * 1024  # bytes: the first pieces are small, since somebody waits for them
_LARGEST_PIECE = 512 * 1024
_SOON = 0.02  # seconds that a piece may take for the next one to be larger
_GRACE = 0.05  # seconds that a thread of the pool has for its start


class Piece(NamedTuple):
    """The bytes [start, stop) of a file."""

    start: int
    stop: int
    data: bytes


class Cut:
    """Where the reads of a file end, as far as that can be told: threads that bring pieces look at it."""

    def __init__(self) -> None:
        self._last = 0  # bytes of the read before
        self._grid: tuple[int, int] | None = None  # where a read began, and how many bytes each of them has

    def note(self, start: int, stop: int) -> None:
        """[start, stop) is read: what follows is taken to be as long, unless the read before was not.

        Not where it is short, as the rest of a file is that was read from its end: a piece has its price.
        """
        count, last = stop - start, self._last
        self._last = count
        is_worth_it = _SHORTEST_CUT <= count <= _LONGEST_CUT
        self._grid = (start, count) if is_worth_it and last in (0, count) else None

    def after(self, position: int) -> int | None:
        """Where the read ends that has the byte `position`; None where that is not known."""
        grid = self._grid  # once: another thread sets it
        if grid is None:
            return None
        start, count = grid
        return position + count - (position - start) % count

    def before(self, position: int, stop: int) -> int:
        """The last end of a read in (position, stop], `stop` where there is none."""
        if self._grid is None:
            return stop
        start, count = self._grid
        end = stop - (stop - start) % count
        return end if end > position else stop


Stream = Callable[[int, int, Take, Cut], None]  # brings the bytes [start, stop), in pieces


class _Pieces:
    """What has come of a range, in order and without gaps; and who waits for more."""

    def __init__(self, start: int) -> None:
        self._start = start
        self.found: list[Piece] = []
        self.is_over = False  # no more will come, whatever the reason
        self._waiting: list[threading.Lock] = []

    @property
    def stop(self) -> int:
        return self.found[-1].stop if self.found else self._start

    def add(self, data: bytes) -> None:
        start = self.stop
        self.found.append(Piece(start, start + len(data), data))
        self.tell()

    def tell(self) -> None:
        """Wake who waits."""
        while self._waiting:
            self._waiting.pop().release()

    def wait(self, stop: int, seconds: float) -> bool:
        """Wait up to `seconds` for news; whether there are any."""
        lock = threading.Lock()
        lock.acquire()
        self._waiting.append(lock)
        # Only now: what comes from here on will tell.
        return self.stop >= stop or self.is_over or lock.acquire(timeout=seconds)


class Arriving:
    """The bytes [start, stop), on their way or there. Who drops it, ends what brings it."""

    def __init__(self, start: int, stop: int, stream: Stream, cut: Cut) -> None:
        self.start = start
        self.stop = stop
        self._pieces = _Pieces(start)
        self._task = Task.in_background(partial(_bring, stream, self._pieces, stop, cut))

    def __repr__(self) -> str:
        return f"<Arriving {self.start}-{self.stop} until={self._pieces.stop}>"

    def piece(self, position: int) -> Piece:
        """The piece that has the byte `position`, as soon as it is there; or what kept it from coming."""
        pieces = self._pieces
        while pieces.stop <= position:
            if pieces.is_over or not (pieces.wait(position + 1, _GRACE) or self._task.is_begun()):
                self._task.wait()  # makes the call, if no thread does
                if pieces.stop <= position:
                    raise IncompleteBodyError("the range ended before its last byte")
            elif not pieces.wait(position + 1, TURN):
                check()
        return pieces.found[bisect_right(pieces.found, position, key=_start_of) - 1]

    @property
    def come(self) -> list[Piece]:
        """The pieces that are there."""
        return list(self._pieces.found)

    def cancel(self) -> None:
        """End what brings it. Returns at once."""
        self._task.cancel()


def _start_of(piece: Piece) -> int:
    return piece.start


def _bring(stream: Stream, pieces: _Pieces, stop: int, cut: Cut) -> None:
    try:
        stream(pieces.stop, stop, pieces.add, cut)
    finally:
        pieces.is_over = True
        pieces.tell()


def stream_range(
    client: S3Client, path: S3Path, pin: ObjectInfo, start: int, stop: int, take: Take, cut: Cut
) -> None:
    """Give `take` the bytes [start, stop) of the version `pin` as they come, by one request.

    A body that breaks is resumed behind the last piece.
    """
    size, since = _FIRST_PIECE, time.monotonic()

    def drain(body: Body, cursor: Cursor) -> None:
        nonlocal size, since
        while cursor.position < cursor.stop:
            end = min(cut.after(cursor.position) or cursor.position + size, cursor.stop)
            data = body.take(end - cursor.position)
            if not data:
                return
            cursor.position += len(data)
            take(data)
            now = time.monotonic()
            if now - since < _SOON:
                size = min(2 * size, _LARGEST_PIECE)
            since = now

    client.reads.get_range(path, Cursor(start, stop), pin, drain)
