"""How many calls are made in parallel, and how much each of them moves: by the distance of the store.

A near store keeps the processor busy with two threads, and more would be in each other's way. A distant one
gets many requests at once, since each of them waits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from .._http.descriptors import within_limit
from .._runs import Question, ask_all, run_all
from .._threads import MAX_THREADS
from ..options import Options
from .events import tell_given_up
from .store import Store

DISTANT = 0.005  # seconds of a round trip
_CONNECTION_SECONDS = 0.0005
_TLS_SECONDS = 0.002
_THREADS_FOR_NEAR_STORE = 2
_AHEAD = 8  # requests that one thread has under way
_RATE = 80e6  # bytes a second that S3 gives to one connection
_LEAST_WORTH, _MOST_WORTH = 2**20, 4 * 2**20  # bytes


def _takes_turns() -> bool:
    """Whether the threads of this Python take turns at one lock, as in all but those of PEP 703."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


class Scheduler:
    """Runs calls in parallel, within `max_concurrency` of the options. Thread-safe."""

    def __init__(self, store: Store, options: Options) -> None:
        self._store = store
        self._options = options

    def __repr__(self) -> str:
        return f"<Scheduler {'distant' if self.is_distant() else 'near'}>"

    def run(self, calls: Iterable[Callable[[], None]], limit: int | None = None) -> None:
        """Make all calls, up to `limit` (else `max_concurrency`) at a time. The first error stops all."""
        todo = list(calls)
        limit = self._at_once(todo, limit)
        run_all(todo, limit, limit if self.is_distant() else _THREADS_FOR_NEAR_STORE)

    def ask(self, questions: Iterable[Question]) -> None:
        """Ask many small questions and take their answers. The first error stops all.

        A near store is asked by one thread, which sends ahead of the answers that it reads: two threads would
        spend half of their time on taking turns. On a free-threaded Python there are two. A distant one is
        asked by as many threads as there may be, which send ahead where `max_concurrency` is more than that.
        """
        todo = list(questions)
        limit = self._at_once(todo)
        try:
            if self.is_distant():
                ahead = -(-limit // MAX_THREADS)
                ask_all(todo, limit, limit // ahead, ahead)
            else:
                threads = 1 if _takes_turns() else min(limit, _THREADS_FOR_NEAR_STORE)
                ask_all(todo, limit, threads, min(_AHEAD, limit // threads))
        finally:
            tell_given_up()

    def _at_once(self, todo: Sequence[object], limit: int | None = None) -> int:
        return within_limit(max(1, min(limit or self._options.max_concurrency, len(todo))))

    @staticmethod
    def within_limit(calls: int) -> int:
        """`calls` in parallel, or as many as this process has file descriptors for."""
        return within_limit(calls)

    def range_size(self) -> int:
        """Bytes of each of many ranges: the option, or fewer on a line that was found to be slow."""
        return self._store.lanes.piece(self._options.range_size)

    def worth_of_round_trip(self) -> int:
        """How many bytes take as long as one more request, within bounds: what nobody may want has a cost."""
        return int(min(_MOST_WORTH, max(_LEAST_WORTH, self.round_trip() * _RATE)))

    def round_trip(self) -> float:
        """Seconds of the way to the store and back; infinite while nobody knows."""
        return self._store.transport.round_trip

    def connection_seconds(self) -> float:
        """What one more connection costs in time, here and at a near store, beside the way there."""
        url = self._options.endpoint_url or ""
        return _CONNECTION_SECONDS if url.startswith("http://") else _TLS_SECONDS

    def is_distant(self) -> bool:
        """Whether the way to the store takes most of the time of a small request."""
        return self.round_trip() > DISTANT
