"""Read-ahead: the cache "prefetch", for files that are read from front to back, and what random readers need.

Theory of operation. `reader.PinnedReader` keeps the piece that was read last, and serves small reads and
lines from it. For other bytes it asks this cache, under the pin of the file. It says where the run of reads
that it is in began, which is where the file was opened or the last `seek` went. One that passes over a little
goes on with the run: padding between tensors, a header that is not needed.

- *Who goes on* is sequential, and is read ahead for: what will be read next is asked for before, in blocks of
  up to `blocksize` bytes (`arriving.Arriving`), of which each byte can be read as soon as it has come. Who
  came from the beginning of the file gets 4 MiB at first, or twice that from a distant store, and then eight
  times as much as was read, up to four blocks. Who came from elsewhere may be a random reader of records that
  are a little longer: there it is four times as much as was read in one go, and 256 KiB at least.
- *Who goes forward by short jumps* (the headers of a tar file, some bytes of each row) is read ahead for like
  that, with all that lies between, from the third of them on. A jump is short where the bytes that it passes
  over come much sooner than an answer: a quarter of what a distant store sends during a round trip, and
  64 KiB of a near one.
- *A random read* gets its bytes and little more: 64 KiB at least, since fewer bytes take as long, and all of
  a small object. What is small for a distant store grows with each request that a file has cost, its opening
  and its random reads, by what comes during a round trip, 1 to 4 MiB, up to six blocks: so a reader never
  loses more by it than these took. A few such pieces are kept, since random readers come back to a header or
  a footer.
- *A file of up to six blocks* keeps all that has come of it, until it is closed: who reads it twice, or scans
  it first and then goes to some places, asks for no byte twice. It takes no more memory than others may.
- *Random reads of one neighbourhood* of a distant store: the third small one within what comes during half a
  round trip brings twice what they span, within what comes during one, and at most a block. Who went forward
  or backward gets what is new of it on that side. It stands for those before it from then on: the next such
  piece comes with the second read after it. So at most every second request brings one, and each of them
  costs no more than a round trip.
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
from .arriving import Arriving, Cut, Piece, Stream, Take
from .held import Held

MIN_REQUEST = 64 * 1024  # bytes
_FROM_THE_FRONT = 4 * 2**20  # bytes: the first block of who reads a file from its beginning
_FROM_ELSEWHERE = 256 * 1024
_WINDOW_BLOCKS = 4
_WHOLE_BLOCKS = 6  # of a file that is kept as a whole
_KEPT = 2**20  # bytes of pieces that random reads brought
_NEIGHBOURS = 2  # small random reads that another is near to, which then brings their neighbourhood
_PLACES = 32  # of random reads that are remembered
_WIDE_BLOCKS = 2  # of neighbourhoods that are kept
_NEAR_JUMP = 64 * 1024  # bytes that come sooner than the answer to one more request, from a near store
_JUMPS = 2  # that were forward and short: from the next one on, what lies between is read too


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
        self._cut = Cut()
        self._kept: list[Piece] = []  # of a larger file, the newest one last
        self._held = Held()  # of a file that is kept as a whole
        self._is_held = size <= max(SMALL_OBJECT, _WHOLE_BLOCKS * blocksize)
        self._places: deque[int] = deque(maxlen=_PLACES)  # where small random reads were, the newest one last
        self._began = self._expected = 0
        self._reached = 0  # where the bytes end that were given out last
        self._jumps = self._jumps_began = 0  # how many were forward and short, and where they began
        self._round_trips = 0  # of its opening, and of the reads that were random
        self._lock = PerProcess(Lock)

    def keep(self, data: bytes) -> None:
        """Take the first bytes of the file, which came when it was opened."""
        if data:
            self._round_trips += 1
            first = Piece(0, len(data), data)
            if self._is_held:
                self._held.add(first)
            else:
                self._kept.append(first)

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
                piece = self._piece(position, position, position + 1, began)
                self._reached = piece.stop
                return piece
            except BaseException:
                self._ahead.clear()
                raise

    def pieces(self, start: int, stop: int, began: int) -> list[bytes | memoryview]:
        """The bytes [start, stop), which the file must have, in pieces."""
        if start >= stop:
            return []
        with self._lock():
            self._cut.note(start, stop)
            try:
                if self._is_read_at_once(start, stop):
                    self._drop_ahead()
                    self._reached = stop
                    return [self._bring(start, stop)]
                found: list[bytes | memoryview] = []
                position = start
                while position < stop:
                    piece = self._piece(position, start, stop, began)
                    if piece.start == position and piece.stop <= stop:
                        found.append(piece.data)  # as it is: one that is all of the read is not copied
                    else:
                        found.append(memoryview(piece.data)[position - piece.start : stop - piece.start])
                    position = piece.stop
                self._reached = stop
                return found
            except BaseException:
                self._ahead.clear()
                raise

    def is_passed(self, start: int, stop: int, began: int, receive: Callable[[], object]) -> bool:
        """Whether `receive` was called to bring [start, stop), of which nothing is kept or on its way.

        Where a read of these bytes would be one of exactly these, none of which are kept: then they need not
        pass through here.
        """
        with self._lock():
            try:
                if self._is_read_at_once(start, stop):
                    self._drop_ahead()
                elif self._is_random(start, stop, began):
                    self._note_jump(start)
                    self._round_trips += 1
                    self._drop_ahead()
                else:
                    return False
                self._cut.note(start, stop)
                self.total_requested_bytes += stop - start
                receive()
                self._reached = stop
                return True
            except BaseException:
                self._ahead.clear()
                raise

    def _is_random(self, start: int, stop: int, began: int) -> bool:
        """Whether `_random` would bring exactly [start, stop), and keep nothing of it."""
        if stop - start <= MIN_REQUEST or self._is_ahead(start) or self._window(start, start, began)[0]:
            return False
        return not (self._is_small(1) or self._known(start))

    def _is_read_at_once(self, start: int, stop: int) -> bool:
        count = stop - start
        is_all = count == self.size > SMALL_OBJECT
        known = self._known(start)
        if (count <= self.blocksize and not is_all) or (known and stop <= known.stop):
            return False
        for block in self._ahead:
            self._take_over(block)
        if self._held.covers(start, stop):
            return False
        if is_all or not self.is_distant() or count > _WINDOW_BLOCKS * self.blocksize:
            return True
        return stop == self.size and not self._is_ahead(start)

    def _known(self, position: int) -> Piece | None:
        """The piece with the byte `position` that was there before."""
        if self._is_held:
            return self._held.at(position)
        return next((piece for piece in self._kept if piece.start <= position < piece.stop), None)

    def _drop_ahead(self) -> None:
        """End what is on its way, and keep what has come of it where the file is kept."""
        while self._ahead:
            self._take_over(self._ahead.popleft())

    def _take_over(self, block: Arriving) -> None:
        """Keep what has come of `block`, where the file is kept."""
        for piece in block.come if self._is_held else ():
            self._held.add(piece)

    def _is_ahead(self, position: int) -> bool:
        return bool(self._ahead) and self._ahead[0].start <= position < self._ahead[-1].stop

    def _piece(self, position: int, start: int, stop: int, began: int) -> Piece:
        """The piece that has the byte `position`, which a read of [start, stop) has come to."""
        if position == start and not self._jumps_to(position):
            self._jumps = 0
        if known := self._known(position):
            return known
        while self._ahead and self._ahead[0].stop <= position:
            self._take_over(self._ahead.popleft())
        is_ahead = self._is_ahead(position)
        window, least = self._window(position, start, began)
        if not is_ahead:
            self._drop_ahead()
            if position == start:
                self._note_jump(position)
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
            return min(window, _WINDOW_BLOCKS * self.blocksize), least
        if self._jumps_to(start) > _JUMPS:
            run = start - min(began, self._jumps_began)
        if run < smallest // 2:
            return 0, 0
        least = min(_FROM_ELSEWHERE, self.blocksize)
        return min(max(4 * run, least), _WINDOW_BLOCKS * self.blocksize), least

    def _jumps_to(self, position: int) -> int:
        """How many jumps there are with one to `position`, one after the other, forward and short."""
        passed = position - self._reached
        longest = self.worth_of_round_trip() // 4 if self.is_distant() else _NEAR_JUMP
        return self._jumps + 1 if 0 <= passed <= longest else 0

    def _note_jump(self, position: int) -> None:
        """A read of what is neither kept nor on its way begins at `position`."""
        self._jumps = self._jumps_to(position)
        if self._jumps <= 1:
            self._jumps_began = position

    def _ask_ahead(self, position: int, stop: int, window: int, least: int) -> None:
        """Have [position, stop) asked for, and the window behind it in requests that are worth it."""
        count = min(self.blocksize, max(least, window // 2))
        target = min(stop + window, self.size)
        end = self._ahead[-1].stop if self._ahead else position
        while end < target and (end < stop or target - end >= count or target == self.size):
            if (known := self._held.at(end)) is not None:
                end = known.stop
                continue
            following = self._held.next(end, min(self._cut.before(end, end + count), self.size))
            self.total_requested_bytes += following - end
            self._ahead.append(Arriving(end, following, self.stream, self._cut))
            end = following

    def _random(self, position: int, stop: int) -> Piece:
        """What a random reader gets: its bytes and little more, or all that is missing of a small file."""
        self._round_trips += 1
        start, stop = position, min(max(stop, position + min(MIN_REQUEST, self.blocksize)), self.size)
        is_small = self._is_small()
        if is_small:
            start, stop = self._held.missing(position, self.size, self.worth_of_round_trip())
        elif stop == self.size:  # a footer is read backwards
            start = max(0, min(position, stop - min(MIN_REQUEST, self.blocksize)))
        is_little = stop - start <= MIN_REQUEST
        if is_little and not is_small and self.is_distant():
            start, stop = self._around(start, stop)
        start, stop = self._held.trimmed(start, stop)
        piece = Piece(start, stop, self._bring(start, stop))
        if self._is_held:
            self._held.add(piece)
        elif is_little:
            self._keep_some(piece)
        return piece

    def _around(self, start: int, stop: int) -> tuple[int, int]:
        """What a random read of [start, stop) brings: more where it is one of several in a neighbourhood."""
        worth = self.worth_of_round_trip()
        near = [place for place in self._places if abs(place - start) <= worth // 2]
        if len(near) < _NEIGHBOURS:
            self._places.append(start)
            return start, stop
        kept = [place for place in self._places if place not in near]
        self._places = deque([*kept, start], _PLACES)
        low, high, most = min(near), max(near), min(worth, self.blocksize)
        span = max(high, stop) - min(low, start)
        ordered = sorted(near)
        if near == ordered and start > high:
            stop = max(stop, min(low + 2 * span, start + most))
        elif near == ordered[::-1] and start < low:
            start = min(start, max(high - 2 * span, stop - most))
        elif span < most:
            more = min(span, most - span) // 2
            start, stop = min(low, start) - more, max(high, stop) + more
        return max(0, start), min(stop, self.size)

    def _keep_some(self, newest: Piece) -> None:
        """Keep `newest`, and of the others the first bytes of the file and as many as there is room for."""
        left = {False: _KEPT + MIN_REQUEST, True: _WIDE_BLOCKS * self.blocksize}
        left[newest.stop - newest.start > MIN_REQUEST] -= newest.stop - newest.start
        kept = [newest]
        for piece in reversed(self._kept):
            if newest.start <= piece.start and piece.stop <= newest.stop:
                continue
            count = piece.stop - piece.start
            is_wide = count > MIN_REQUEST
            left[is_wide] -= count
            if left[is_wide] >= 0 or (piece.start == 0 and not is_wide):
                kept.append(piece)
        self._kept = kept[::-1]

    def _is_small(self, more: int = 0) -> bool:
        """Whether all of the file is a good answer to a random read: it takes no longer than what it cost.

        And than `more` round trips, which it is about to cost.
        """
        if self.size <= SMALL_OBJECT:
            return True
        if self.size > _WHOLE_BLOCKS * self.blocksize or not self.is_distant():
            return False
        return self.size <= (self._round_trips + more) * self.worth_of_round_trip()

    def _bring(self, start: int, stop: int) -> bytes:
        self.total_requested_bytes += stop - start
        return self.fetcher(start, stop)

    def close(self) -> None:
        """End what is on its way. The cache cannot be read any more."""
        for block in tuple(self._ahead):  # without the lock: this may be a destructor
            block.cancel()
        self._held = Held()


def _at_once(fetcher: Callable[[int, int], bytes], start: int, stop: int, take: Take, cut: Cut) -> None:
    take(fetcher(start, stop))


def caches() -> dict[str, type[BaseCache]]:
    """fsspec's read caches, those of programs, and ours, by the name that each has as a `cache_type`."""
    found, left = {}, [BaseCache]
    for kind in left:
        left += kind.__subclasses__()
        if vars(kind).get("name"):
            found[kind.name] = kind
    return found
