"""CreateMultipartUpload that goes on when whoever asked for it is interrupted.

The answer alone tells the id of an upload. Who gives it up while it is on its way leaves an upload behind
that nobody can abort. So a thread of its own makes the request, and the caller waits: an interrupt ends the
wait, and whoever aborts the upload waits on, in the background, for an id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError

from .._threads import start_thread
from .._work import TURN, Work, check, working_for
from ..errors import GuardedS3Error


class Beginning:
    """The request that begins a multipart upload, under way or answered."""

    def __init__(self, create: Callable[[], str]) -> None:
        """`create` makes the request and returns the id."""
        self._create = create
        self._work = Work()  # of nobody's call: it outlives that which began it
        self._upload_id = ""
        self._error: BaseException | None = None
        self._ended = False
        self._lock = threading.Lock()  # taken until it has ended
        self._lock.acquire()

    def __repr__(self) -> str:
        return f"<Beginning {'ended' if self._ended else 'under way'}>"

    @property
    def has_failed(self) -> bool:
        """Whether it has ended, with an error."""
        return self._error is not None

    def begin(self) -> None:
        """Send the request, once."""
        try:
            start_thread(self._run)
        except RuntimeError:  # the interpreter is going down, or the system has no more threads
            self._run()

    def _run(self) -> None:
        try:
            with working_for(self._work):
                self._upload_id = self._create()
        except BaseException as error:
            self._error = error
        finally:
            self._ended = True
            self._lock.release()
            del self  # the frame is in the error's traceback: a cycle otherwise

    def wait(self) -> str:
        """The id; raises what the request raised, CancelledError when nobody waits any more."""
        try:
            while not self._ended:
                check()
                if self._lock.acquire(timeout=TURN):
                    self._lock.release()
            if self._error is not None:
                raise self._error
            return self._upload_id
        finally:
            del self  # as in `_run`

    def settle(self) -> str:
        """The id of the upload that is to be aborted, "" where none was made.

        A request on its way is waited for, and not made again: each attempt may make another upload. Raises
        the error of one that may have made one, and CancelledError when the time of this thread's work is
        over: then the request is over, too.
        """
        self._work.is_last_attempt = True
        try:
            return self.wait()
        except CancelledError:
            self._work.end()
            raise
        except GuardedS3Error as error:
            if error.maybe_applied:
                raise
            return ""
