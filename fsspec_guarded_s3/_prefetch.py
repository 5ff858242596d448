"""The read cache "prefetch": reads ahead in the background while a file is read from front to back.

Who reads here and there gets what is asked for and little more. Who goes on where the last read ended gets a
window that doubles whenever half of it is used, however small the reads are, up to a few blocks that are on
their way at the same time: a distant store is then read as fast as the network brings it, and memory stays
bounded. Reads of more than a block from a near store come as they are asked for: putting them together from
blocks would take longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from fsspec.caching import BaseCache, register_cache

from ._forks import PerProcess
from ._threads import Task
from ._work import Lock

LEAST = 64 * 1024  # bytes that are asked for at once, since fewer cost as much
_BLOCKS = 4  # on their way, or waiting to be read


class _Block:
    """The bytes [start, stop), on their way or there."""

    def __init__(self, start: int, stop: int, fetch: Callable[[], bytes]) -> None:
        self.start = start
        self.stop = stop
        self._task: Task[bytes] | None = Task.in_background(fetch)
        self._data = b""

    def data(self) -> bytes:
        """The bytes; waits for them, and raises what kept them from coming."""
        if self._task is not None:
            self._data = self._task.wait()
            self._task = None
        return self._data

    def cancel(self) -> None:
        """Nobody wants it any more."""
        if self._task is not None:
            self._task.cancel()


class PrefetchCache(BaseCache):
    """fsspec's interface of a read cache over `fetcher(start, stop)`, for a file of `size` bytes.

    Holds at most six blocks of `blocksize` bytes, beside what one read asks for. An error of a block that
    nobody asked for yet is raised when its bytes are read. Threads may share it.
    """

    name = "prefetch"
    is_distant: Callable[[], bool] = staticmethod(lambda: True)

    def __init__(self, blocksize: int, fetcher: Callable[[int, int], bytes], size: int) -> None:
        super().__init__(blocksize, fetcher, size)
        self._blocks: deque[_Block] = deque()
        self._window = 0
        self._next = 0  # where a reader goes on that reads from front to back
        self._lock = PerProcess(Lock)

    def _fetch(self, start: int | None, end: int | None) -> bytes:
        begin = start or 0
        stop = self.size if end is None else min(end, self.size)
        if begin >= stop:
            return b""
        with self._lock():
            try:
                self._plan(begin, stop)
                return self._take(begin, stop)
            except BaseException:
                self._blocks.clear()
                raise

    def block(self, start: int) -> tuple[bytes, int]:
        """The block that has the byte `start`, and where it begins; nothing at the end of the file."""
        if start >= self.size:
            return b"", start
        with self._lock():
            try:
                self._plan(start, start + 1)
                found = next(block for block in self._blocks if block.stop > start)
                return found.data(), found.start
            except BaseException:
                self._blocks.clear()
                raise

    def read_until(self, position: int) -> None:
        """How far the reader has come, which may have read on in a block that it was given."""
        self._next = position

    def _plan(self, start: int, stop: int) -> None:
        """Have blocks for [start, stop) on their way, and those of the window behind it."""
        at_once = stop - start > self.blocksize and not self.is_distant()
        goes_on = 0 < start == self._next and not at_once
        self._next = stop
        while self._blocks and self._blocks[0].stop <= start:
            self._blocks.popleft()
        if self._blocks and self._blocks[0].start > start:
            self._blocks.clear()
        if not goes_on:
            self._window = 0
        ahead = self._blocks[-1].stop - stop if self._blocks else 0
        if not self._blocks:
            self._ask(start, max(stop, start + min(LEAST, self.blocksize)))
        if goes_on and ahead <= self._window // 2:
            most = _BLOCKS * self.blocksize
            self._window = min(max(2 * self._window, stop - start, LEAST), most)
            piece = min(max(self._window // 2, LEAST), self.blocksize)
            while (end := self._blocks[-1].stop) < min(stop + self._window, self.size):
                self._ask(end, end + piece)
        if self._blocks[-1].stop < min(stop, self.size):
            self._ask(self._blocks[-1].stop, stop)

    def _ask(self, start: int, stop: int) -> None:
        stop = min(stop, self.size)
        self.total_requested_bytes += stop - start
        self._blocks.append(_Block(start, stop, partial(self.fetcher, start, stop)))

    def _take(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop), which the blocks cover; waits for those that are on their way."""
        pieces = []
        for block in self._blocks:
            if block.start >= stop:
                break
            pieces.append(block.data()[max(start - block.start, 0) : stop - block.start])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Forget what was read ahead, and end what is on its way."""
        for block in tuple(self._blocks):  # no lock: one who reads holds it, and this may be a destructor
            block.cancel()


register_cache(PrefetchCache, clobber=True)
