"""Turns at an event loop: how many small requests it has under way at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

_SHARE = 0.000125  # seconds that a call which others waited for pays for a further connection
_LOOP_SECONDS = 0.0001  # that a loop spends on a small request, at least
_LOOK_SECONDS = 0.01  # after which is looked whether the first answer is still on its way


class Turns:
    """Of the calls of one filesystem that one loop makes, some have one. In order.

    `limit` calls have one at a time, and more, up to `most`, where others wait for so many round trips that
    connections for them take less time: k connections, of which each takes c seconds, make n requests in n/k
    round trips of r seconds, and n r / k + k c is least where k is the root of n r / c. At first nobody knows
    r: it is no less than the time for which the first answer has not come. A connection serves later requests
    as well, so with time there are more, as many as keep the loop busy.
    """

    __slots__ = (
        "_busy",
        "_connection_seconds",
        "_is_watched",
        "_limit",
        "_most",
        "_others",
        "_round_trip",
        "_waited_for",
        "_waiting",
        "since",
    )

    def __init__(
        self, limit: int, most: int, round_trip: Callable[[], float], connection_seconds: float
    ) -> None:
        """`round_trip` tells the seconds of one to the store; infinite while nobody knows.

        A further connection takes `connection_seconds`.
        """
        self._limit = limit
        self._most = most
        self._round_trip = round_trip
        self._connection_seconds = connection_seconds
        self._busy = 0
        self._waiting: deque[Future[None]] = deque()
        self._waited_for = 0  # calls that have ended while others waited
        self.since = float("inf")  # when the first request was sent
        self._is_watched = False  # whether it is looked at that again
        self._others: list[Future[None]] | None = None  # who wait for what another call finds out

    async def take(self, loop: AbstractEventLoop) -> None:
        """Wait for a turn, which `give_back` ends."""
        if self._busy < self._limit and not self._waiting:
            self._busy += 1
            return
        turn: Future[None] = loop.create_future()
        self._waiting.append(turn)
        self._go_on(loop)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give_back(loop)
            raise

    def give_back(self, loop: AbstractEventLoop) -> None:
        """Let the next have it."""
        self._busy -= 1
        self._waited_for += bool(self._waiting)
        self._go_on(loop)

    async def once(self, loop: AbstractEventLoop, find_out: Callable[[], Awaitable[None]]) -> bool:
        """Have one of the calls that come here at a time wait for `find_out`, and the others for that one.

        Returns whether it was this one.
        """
        if self._others is not None:
            other: Future[None] = loop.create_future()
            self._others.append(other)
            await other
            return False
        others = self._others = []
        try:
            await find_out()
        finally:
            self._others = None
            for other in others if not loop.is_closed() else ():
                if not other.done():
                    other.set_result(None)
        return True

    def _go_on(self, loop: AbstractEventLoop) -> None:
        if loop.is_closed():  # those that wait are garbage, and would keep the loop alive
            self._waiting.clear()
            return
        at_once = self._at_once(loop)
        while self._waiting and self._busy < at_once:
            turn = self._waiting.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)

    def _at_once(self, loop: AbstractEventLoop) -> int:
        if not self._waiting or self._most == self._limit:
            return self._limit
        seconds, later = self._round_trip(), 0.0
        if seconds != float("inf"):
            later = self._limit + self._waited_for * _SHARE / self._connection_seconds
            later = min(later, seconds / _LOOP_SECONDS)
        else:
            seconds = max(0.0, loop.time() - self.since)
            if not self._is_watched:
                self._is_watched = True
                loop.call_later(_LOOK_SECONDS, self._look_again, loop)
        wanted = len(self._waiting) + self._busy
        now = math.sqrt(wanted * seconds / self._connection_seconds)
        return max(self._limit, min(self._most, int(max(now, later))))

    def _look_again(self, loop: AbstractEventLoop) -> None:
        self._is_watched = False
        self._go_on(loop)
