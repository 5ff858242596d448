"""How many large bodies are under way at a time: as many as the line moves in some minutes.

On a slow line more of them only share it: the first ends as late as the last, and an error costs a part of
each. Nothing is known of a line at first; then it is measured while several bodies share it. Invariant: what
is begun goes on; a few are always let in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from .._forks import renew_after_fork
from .._work import Living, pause

LARGE = 2**20  # bytes: smaller bodies are not counted
AT_FIRST = 16
LEAST = 4
AHEAD = 300.0  # seconds that the bodies under way may take together
_POLL_SECONDS = 0.05  # seconds, until the line has been measured
_SLOW_POLL_SECONDS = 0.2  # seconds: on a slow line, where a body takes many
_NOTHING = nullcontext()


class _Lane:
    """One body: its bytes, and how many of them are known to have crossed the line."""

    __slots__ = ("__weakref__", "moved", "size")

    def __init__(self, size: int, moved: Callable[[], int]) -> None:
        self.size = size
        self.moved = moved


class Lanes:
    """What the large bodies of one transport wait for before they begin. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.rate: float | None = None  # bytes a second; None until it was measured
        self._renew()
        renew_after_fork(self._renew)

    def __repr__(self) -> str:
        return f"<Lanes under way={len(list(self._under_way))} rate={self.rate}>"

    def _renew(self) -> None:
        # Never held while anything is waited for; again by a destructor: who is interrupted may leave late.
        self._lock = threading.RLock()
        # Weak: whoever was interrupted while it left has left when its frames are gone.
        self._under_way: Living[_Lane] = Living()
        self._waiting: Living[_Lane] = Living()
        self._began: float | None = None  # when enough of them shared the line to measure it
        self._ended = 0  # bytes of bodies that have ended since

    def enter(self, size: int, moved: Callable[[], int] = lambda: 0) -> AbstractContextManager[None]:
        """Wait until a body of `size` bytes may begin, and count it until it has ended.

        `moved` tells how much of it has arrived. Of what is sent only the end is known, since the kernel
        takes much at once. A signal's handler may raise anywhere in here: a body that nobody transfers is
        not counted.
        """
        return _NOTHING if size < LARGE else self._entered(size, moved)

    @contextmanager
    def _entered(self, size: int, moved: Callable[[], int]) -> Iterator[None]:
        lane = _Lane(size, moved)
        try:
            while not self._is_let_in(lane):
                pause(_POLL_SECONDS if self.rate is None else _SLOW_POLL_SECONDS)
            yield
        except BaseException:
            self._leave(lane, moved())
            raise
        self._leave(lane, size)

    def _is_let_in(self, lane: _Lane) -> bool:
        with self._lock:
            if lane in self._waiting:
                self._measure()
            if not self._may_begin(lane.size):
                self._waiting.add(lane)
                return False
            self._under_way.add(lane)
            self._waiting.discard(lane)
            if self._began is None and len(list(self._under_way)) >= LEAST:
                self._begin()
            return True

    def _may_begin(self, size: int) -> bool:
        under_way = list(self._under_way)
        if len(under_way) < LEAST:
            return True
        if self.rate is None:
            return len(under_way) < AT_FIRST
        return sum(lane.size for lane in under_way) + size <= self.rate * AHEAD

    def _leave(self, lane: _Lane, moved: int) -> None:
        with self._lock:
            self._waiting.discard(lane)
            if lane not in self._under_way:  # of the parent of this process, or it never began
                return
            self._under_way.discard(lane)
            self._ended += moved
            self._measure()
            if len(list(self._under_way)) < LEAST and not list(self._waiting):
                self._began = None

    def _begin(self) -> None:
        """What moves from now on is measured."""
        self._began = self._clock()
        self._ended = -sum(lane.moved() for lane in self._under_way)

    def _measure(self) -> None:
        if self._began is None:
            return
        seconds = self._clock() - self._began
        moved = self._ended + sum(lane.moved() for lane in self._under_way)
        if moved <= 0 or seconds <= 0:
            return
        self.rate = moved / seconds
        if seconds > 2 * AHEAD and self._ended > 0:  # a line may change
            self._begin()

    def piece(self, most: int) -> int:
        """The bytes of one of many ranges: `most`, or fewer where that many at a time would take too long."""
        if self.rate is None:
            return most
        return min(most, max(LARGE, int(self.rate * AHEAD) // AT_FIRST))
