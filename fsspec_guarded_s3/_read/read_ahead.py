"""Read-ahead: the cache "prefetch", for files that are read from front to back.

Theory of operation. `reader.PinnedReader` keeps the block that was read last, and serves small reads and
lines from it. For other bytes it asks this cache for a range [start, stop). What this cache does not have
it reads from the store by `download.read_range`, under the pin of the file.

- *A random read* gets its bytes and little more: 64 KiB at least, since fewer bytes take as long.
- *A read that begins where the last one ended* is sequential, however small, and gets a window of bytes
  behind it that are on their way before they are read. The window doubles whenever half of it is used, from
  64 KiB up to four blocks, and is asked for in pieces of half of it, up to one block. So some pieces are on
  their way while others are read, a distant store is read as fast as the network brings it, and memory
  stays bounded. The reader calls `read_until` to tell how far it has come in a block that it was given.
- *A read of more than a block from a near store* is one read of exactly these bytes: joining them from blocks
  would take longer than the request.

Blocks arrive in order of their start, without gaps. Each is a task in the background (`_threads.Task`), which
outlives the call that began it. An error of a block is raised when its bytes are read; all blocks are dropped
then, and a later read asks again. `close` ends what is on its way and takes no lock, since it may run in a
destructor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from fsspec.caching import BaseCache, register_cache

from .._forks import PerProcess
from .._threads import Task
from .._work import Lock

MIN_REQUEST = 64 * 1024  # bytes
_WINDOW_BLOCKS = 4


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
        """End the task that brings it, if it is under way."""
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
        self._expected = 0  # where a sequential read begins
        self._lock = PerProcess(Lock)

    def _fetch(self, start: int | None, end: int | None) -> bytes:
        begin = start or 0
        stop = self.size if end is None else min(end, self.size)
        if begin >= stop:
            return b""
        with self._lock():
            try:
                self._plan(begin, stop)
                return self._read(begin, stop)
            except BaseException:
                self._blocks.clear()
                raise

    def block(self, start: int) -> tuple[bytes, int]:
        """The block that has the byte `start`, and where it begins; b"" at the end of the file."""
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
        """Tell how far the reader has come in the block that it was given."""
        self._expected = position

    def _plan(self, start: int, stop: int) -> None:
        """Ask for the blocks of [start, stop) that are missing, and for those of the window behind it."""
        is_large = stop - start > self.blocksize and not self.is_distant()
        is_sequential = 0 < start == self._expected and not is_large
        self._expected = stop
        while self._blocks and self._blocks[0].stop <= start:
            self._blocks.popleft()
        if self._blocks and self._blocks[0].start > start:
            self._blocks.clear()
        if not is_sequential:
            self._window = 0
        ahead = self._blocks[-1].stop - stop if self._blocks else 0
        if not self._blocks:
            self._request(start, max(stop, start + min(MIN_REQUEST, self.blocksize)))
        if is_sequential and ahead <= self._window // 2:
            largest = _WINDOW_BLOCKS * self.blocksize
            self._window = min(max(2 * self._window, stop - start, MIN_REQUEST), largest)
            piece = min(max(self._window // 2, MIN_REQUEST), self.blocksize)
            while (end := self._blocks[-1].stop) < min(stop + self._window, self.size):
                self._request(end, end + piece)
        if self._blocks[-1].stop < min(stop, self.size):
            self._request(self._blocks[-1].stop, stop)

    def _request(self, start: int, stop: int) -> None:
        stop = min(stop, self.size)
        self.total_requested_bytes += stop - start
        self._blocks.append(_Block(start, stop, partial(self.fetcher, start, stop)))

    def _read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop), which the blocks cover; waits for those that are on their way."""
        pieces = []
        for block in self._blocks:
            if block.start >= stop:
                break
            pieces.append(block.data()[max(start - block.start, 0) : stop - block.start])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """End what is on its way. The cache cannot be read any more."""
        for block in tuple(self._blocks):  # without the lock: this may be a destructor
            block.cancel()


register_cache(PrefetchCache, clobber=True)
