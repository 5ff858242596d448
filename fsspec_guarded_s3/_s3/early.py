"""A request that is sent before its turn, so that the store works on it while other answers are read."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from concurrent.futures import CancelledError

from .._http.transport import FRESH_SECONDS, OnItsWay
from .._values.models import Request
from .._work import is_of_a_handler


class Early:
    """The first attempt of a request, already sent.

    What went wrong with it is raised when its answer is wanted. Dropped, it closes its connection.
    """

    _sent: OnItsWay | None = None  # of the class, for the destructor of one whose making was interrupted

    def __init__(self, request: Request, send: Callable[[], OnItsWay]) -> None:
        self.request = request
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

        None when it was not sent, for want of a file descriptor, and when nobody asked for so long that the
        store hung up.
        """
        sent, failed = self._sent, self._failed
        self._sent = self._failed = None
        if failed is not None:
            raise failed
        if sent is not None and time.monotonic() - sent.since > FRESH_SECONDS and sent.is_lost():
            sent.close()
            return None
        return sent

    def __del__(self) -> None:
        if self._sent is not None:  # another error came first, and nobody wants the answer any more
            self._sent.close()
