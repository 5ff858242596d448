"""Read-ahead: the cache "prefetch", for files that are read from front to back, and what random readers need.

Theory of operation. `reader.PinnedReader` keeps the piece that was read last, and serves small reads and
lines from it. For other bytes it asks this cache, under the pin of the file. It says where the run of reads
that it is in began, which is where the file was opened or the last `seek` went.

- *Who goes on* is sequential, and is read ahead for: what will be read next is asked for before, in blocks of
  up to `blocksize` bytes (`arriving.Arriving`), of which each byte can be read as soon as it has come. Who
  came from the beginning of the file gets 4 MiB at first, or twice that from a distant store, and then eight
  times as much as was read, up to four blocks. Who came from elsewhere may be a random reader of records that
  are a little longer: there it is four times as much as was read in one go, and 256 KiB at least.
- *A random read* gets its bytes and little more: 64 KiB at least, since fewer bytes take as long, and all of
  a small object. What is small for a distant store grows with each request that a file has cost, its opening
  and its random reads, by what comes during a round trip, 1 to 4 MiB, up to a block: so a reader never loses
  more by it than these took. A few such pieces are kept, since random readers come back to a header or a
  footer.
- *A read of more than a block from a near store*, or of all that is left, is one read of exactly these bytes:
  joining them from blocks would take longer than the request.

An error of a block is raised when the bytes that did not come are read; all blocks are dropped then, and a
later read asks again. `close` ends what is on its way and takes no lock, since it may run in a destructor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from fsspec.caching import BaseCache

from .._forks import PerProcess
from .._s3.pinned import SMALL_OBJECT
from .._work import Lock
from .arriving import Arriving, Piece, Stream, Take

MIN_REQUEST = 64 * 1024  # bytes
_FROM_THE_FRONT = 4 * 2**20  # bytes: the first block of who reads a file from its beginning
_FROM_ELSEWHERE = 256 * 1024
_WINDOW_BLOCKS = 4
_KEPT = 2**20  # bytes of pieces that random reads brought


class PrefetchCache(BaseCache):
    """fsspec's interface of a read cache over `fetcher(start, stop)`, for a file of `size` bytes.

    Holds at most six blocks of `blocksize` bytes and 1 MiB, beside what one read asks for. Threads may share
    it. `stream`, where it is set, brings a range in pieces.
    """

    name = "prefetch"
    is_distant: Callable[[], bool] = staticmethod(lambda: True)
    worth_of_round_trip: Callable[[], int] = staticmethod(lambda: SMALL_OBJECT)

    def __init__(self, blocksize: int, fetcher: Callable[[int, int], bytes], size: int) -> None:
        super().__init__(blocksize, fetcher, size)
        self.stream: Stream = partial(_at_once, fetcher)
        self._ahead: deque[Arriving] = deque()  # in order, without gaps
        self._kept: list[Piece] = []  # the newest one last
        self._began = self._expected = 0
        self._round_trips = 0  # of its opening, and of the reads that were random
        self._lock = PerProcess(Lock)

    def keep(self, data: bytes) -> None:
        """Take the first bytes of the file, which came when it was opened."""
        if data:
            self._round_trips += 1
            self._kept.append(Piece(0, len(data), data))

    def _fetch(self, start: int | None, end: int | None) -> bytes:
        begin = start or 0
        stop = self.size if end is None else min(end, self.size)
        if begin != self._expected:
            self._began = begin
        self._expected = stop
        return b"".join(self.pieces(begin, stop, self._began))

    def piece(self, position: int, began: int) -> Piece:
        """The piece that has the byte `position`, for a run of reads that began at `began`."""
        with self._lock():
            try:
                return self._piece(position, position, position + 1, began)
            except BaseException:
                self._ahead.clear()
                raise

    def pieces(self, start: int, stop: int, began: int) -> list[bytes | memoryview]:
        """The bytes [start, stop), which the file must have, in pieces."""
        if start >= stop:
            return []
        with self._lock():
            try:
                if self._is_read_at_once(start, stop):
                    self._ahead.clear()
                    return [self._bring(start, stop)]
                found: list[bytes | memoryview] = []
                position = start
                while position < stop:
                    piece = self._piece(position, start, stop, began)
                    found.append(memoryview(piece.data)[position - piece.start : stop - piece.start])
                    position = piece.stop
                return found
            except BaseException:
                self._ahead.clear()
                raise

    def _is_read_at_once(self, start: int, stop: int) -> bool:
        count = stop - start
        if any(piece.start <= start and stop <= piece.stop for piece in self._kept):
            return False
        if count == self.size > SMALL_OBJECT:
            return True
        if count <= self.blocksize:
            return False
        if not self.is_distant() or count > _WINDOW_BLOCKS * self.blocksize:
            return True
        return stop == self.size and not self._is_ahead(start)

    def _is_ahead(self, position: int) -> bool:
        return bool(self._ahead) and self._ahead[0].start <= position < self._ahead[-1].stop

    def _piece(self, position: int, start: int, stop: int, began: int) -> Piece:
        """The piece that has the byte `position`, which a read of [start, stop) has come to."""
        for piece in self._kept:
            if piece.start <= position < piece.stop:
                return piece
        while self._ahead and self._ahead[0].stop <= position:
            self._ahead.popleft()
        if not self._is_ahead(position):
            self._ahead.clear()
        window, least = self._window(position, start, began)
        if window:
            self._ask_ahead(position, stop, window, least)
        if not self._ahead:
            return self._random(position, stop)
        block = next(block for block in self._ahead if block.stop > position)
        return block.piece(position)

    def _window(self, position: int, start: int, began: int) -> tuple[int, int]:
        """How many bytes to have asked for ahead, and the least to ask for; nothing for a random read."""
        smallest = min(MIN_REQUEST, self.blocksize)
        run = start - began
        if began == 0 and position >= smallest:
            least = min(_FROM_THE_FRONT, self.blocksize)
            window = max(8 * run, 2 * least if self.is_distant() else least)
        elif run >= smallest // 2:
            least = min(_FROM_ELSEWHERE, self.blocksize)
            window = max(4 * run, least)
        else:
            return 0, 0
        return min(window, _WINDOW_BLOCKS * self.blocksize), least

    def _ask_ahead(self, position: int, stop: int, window: int, least: int) -> None:
        """Have [position, stop) asked for, and the window behind it in requests that are worth it."""
        count = min(self.blocksize, max(least, window // 2))
        target = min(stop + window, self.size)
        end = self._ahead[-1].stop if self._ahead else position
        while end < target and (end < stop or target - end >= count or target == self.size):
            following = min(end + count, self.size)
            self.total_requested_bytes += following - end
            self._ahead.append(Arriving(end, following, self.stream))
            end = following

    def _random(self, position: int, stop: int) -> Piece:
        """What a random reader gets: its bytes and little more, or all that is missing of a small file."""
        self._round_trips += 1
        start, stop = position, min(max(stop, position + min(MIN_REQUEST, self.blocksize)), self.size)
        is_small = self._is_small()
        if is_small:
            self._kept = [piece for piece in self._kept if piece.start == 0]
            start, stop = max((piece.stop for piece in self._kept), default=0), self.size
        elif stop == self.size:  # a footer is read backwards
            start = max(0, min(position, stop - min(MIN_REQUEST, self.blocksize)))
        piece = Piece(start, stop, self._bring(start, stop))
        if is_small or stop - start <= MIN_REQUEST:
            self._kept.append(piece)
        while not is_small and sum(len(kept.data) for kept in self._kept) > _KEPT + MIN_REQUEST:
            del self._kept[1 if self._kept[0].start == 0 else 0]
        return piece

    def _is_small(self) -> bool:
        """Whether all of the file is a good answer to a random read: it takes no longer than what it cost."""
        if self.size <= SMALL_OBJECT:
            return True
        if self.size > self.blocksize or not self.is_distant():
            return False
        return self.size <= self._round_trips * self.worth_of_round_trip()

    def _bring(self, start: int, stop: int) -> bytes:
        self.total_requested_bytes += stop - start
        return self.fetcher(start, stop)

    def close(self) -> None:
        """End what is on its way. The cache cannot be read any more."""
        for block in tuple(self._ahead):  # without the lock: this may be a destructor
            block.cancel()


def _at_once(fetcher: Callable[[int, int], bytes], start: int, stop: int, take: Take) -> None:
    take(fetcher(start, stop))


def caches() -> dict[str, type[BaseCache]]:
    """fsspec's read caches, those of programs, and ours, by the name that each has as a `cache_type`."""
    found, left = {}, [BaseCache]
    for kind in left:
        left += kind.__subclasses__()
        if vars(kind).get("name"):
            found[kind.name] = kind
    return found
