"""A request that is sent before its turn, so that the store works on it while other answers are read."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from .._auth.signer import Outset
from .._http.transport import FRESH_SECONDS, OnItsWay
from .._values.models import Arrival, Request
from .._work import is_of_a_handler

if TYPE_CHECKING:
    from .watched import WatchedAttempt

T = TypeVar("T")


class Early:
    """The first attempt of a request, already sent.

    What went wrong with it is raised when its answer is wanted. Dropped, it closes its connection.
    """

    _sent: OnItsWay | None = None  # of the class, for the destructor of one whose making was interrupted

    def __init__(
        self,
        request: Request,
        outset: Outset,
        send: Callable[[], OnItsWay | None],
        watched: WatchedAttempt | None = None,
    ) -> None:
        """`outset` is the state in which it was signed, which another request may correct meanwhile.

        Where `send` returns None it is sent when its answer is wanted. `watched` tells of it where its answer
        is not taken.
        """
        self._watched = watched
        self.request = request
        self.outset = outset
        self._failed: Exception | None = None
        try:
            self._sent = send()
        except (OSError, CancelledError) as error:  # others are of a signal's handler: raised at once
            if is_of_a_handler(error):
                raise
            if not (isinstance(error, OSError) and error.errno == errno.EMFILE):  # else it has its turn later
                self._failed = error

    def __repr__(self) -> str:
        return f"<Early {self.request.operation}{'' if self._sent else ' taken or failed'}>"

    def take(self) -> OnItsWay | None:
        """What was sent, the first time.

        None when it was not sent, for want of a file descriptor or of a turn (`rates`), and when nobody asked
        for so long that the store hung up on a read.
        """
        sent, failed = self._sent, self._failed
        self._sent = self._failed = None
        if failed is not None:
            raise failed
        is_old = sent is not None and time.monotonic() - sent.since > FRESH_SECONDS
        if sent is not None and is_old and self.request.method in ("GET", "HEAD") and sent.is_lost():
            self._give_up(sent)
            return None
        return sent

    def descriptor(self) -> int | None:
        """What an event loop can wait for until something of the answer is there; None where nothing is."""
        return None if self._sent is None else self._sent.descriptor()

    def arrival(self) -> Arrival:
        """Receive what has come of the answer, if that is no longer than a MiB. It does not wait."""
        return Arrival.PART if self._sent is None else self._sent.arrival()

    def close(self) -> None:
        """Give the answer up, unless it was taken."""
        sent, self._sent = self._sent, None
        if sent is not None:
            self._give_up(sent)

    def _give_up(self, sent: OnItsWay) -> None:
        sent.close()
        if self._watched is not None:
            self._watched.give_up()

    def __del__(self) -> None:
        self.close()  # where another error came first, and nobody wants the answer any more


@dataclass(frozen=True)
class Asked(Generic[T]):
    """A call whose first request was sent: `take` waits for the answer, and goes on from there."""

    early: Early
    take: Callable[[], T]
