"""Aborting multipart uploads that nobody wants any more: in the background, and soon.

Whoever gives some up waits for at most `PATIENCE`, however many they are, and a destructor not at all: it
starts a thread, takes no lock and makes no request. What is left when the program ends has `AT_EXIT`
together. What could not be aborted is said in a warning: it stays, and is paid for, until `abort_uploads` or
a lifecycle rule of the bucket removes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from contextlib import suppress

from .._forks import renew_after_fork
from .._s3.client import S3Client
from .._threads import Task, end_background, start_thread
from .._values.paths import S3Path
from .._work import Work, working_for
from ..errors import GuardedS3Error, ObjectNotFoundError

logger = logging.getLogger("fsspec_guarded_s3")
PATIENCE = 0.5  # seconds
SECONDS = 60.0  # that the abort of one upload may take, with its repetitions
AT_EXIT = 3.0  # seconds
TO_WARN = 3.0  # seconds that a handler of the log may take at the end of the program
_POLL_SECONDS = 0.02  # seconds


def abort_upload(client: S3Client, path: S3Path, upload_id: str) -> bool:
    """AbortMultipartUpload, again where a part that was on its way stayed. An error is logged.

    Returns whether the store said that it did so, for some stores also where there was no such upload.
    """
    was_aborted = False
    for _ in range(2):
        try:
            client.multipart.abort_multipart_upload(path, upload_id)
            was_aborted = True
            if not client.multipart.list_parts(path, upload_id):
                break
        except ObjectNotFoundError:  # NoSuchUpload
            break
        except GuardedS3Error as error:
            logger.warning("could not abort upload %s of %s: %s", upload_id, path, error)
            break
    return was_aborted


class Removal:
    """The abort of one upload, or the like. It is made once, by whichever thread comes first."""

    def __init__(self, remove: Callable[[], object], task: str) -> None:
        """`task` says what `remove` does, as in "could not abort the upload"."""
        self.task = task
        self._remove = remove
        self._work = Work(limit=SECONDS)
        self._claim = threading.Lock()  # never waited for
        self._voice = threading.Lock()  # never waited for: whoever has it warns
        self._has_warned = False
        self.ended = False

    def __repr__(self) -> str:
        return f"<Removal: {self.task}, {'ended' if self.ended else 'under way'}>"

    def run(self) -> None:
        """Abort the upload in this thread, unless another does."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            with working_for(self._work):
                self._remove()
        except CancelledError:
            self._warn("the store did not answer in time")
        except Exception as error:
            self._warn(f"{type(error).__name__}: {error}")
        finally:
            self.ended = True
            _under_way.discard(self)

    def limit(self, seconds: float) -> None:
        """End the abort when it takes longer than this from now on."""
        self._work.limit(seconds)

    def give_up(self) -> None:
        """Warn that the upload is left behind, unless it was aborted.

        The program ends right behind this. If the thread whose time was over is about to warn, wait for it.
        """
        self._work.end()
        if not self.ended:
            self._warn("the program ends before the store has answered")
            _wait(lambda: self._has_warned, TO_WARN)

    def _warn(self, why: str) -> None:
        if not self._voice.acquire(blocking=False):
            return
        try:
            logger.warning("could not %s: %s", self.task, why)
        finally:
            self._has_warned = True


_under_way: set[Removal] = set()
renew_after_fork(_under_way.clear)  # they are the parent's


def in_background(remove: Callable[[], object], task: str) -> Removal:
    """Have `remove`, which does `task`, called in a thread of its own. Safe in a destructor."""
    removal = Removal(remove, task)
    _under_way.add(removal)
    with suppress(RuntimeError):  # the interpreter is going down: `finish` makes the call
        start_thread(removal.run)
    return removal


def wait_briefly(client: S3Client, removal: Removal) -> None:
    """Return when `removal` has ended, or when callers have waited for the store for long enough."""
    client.store.patience.wait_for(lambda: removal.ended, PATIENCE, _POLL_SECONDS)


def finish(begin_others: Iterable[Callable[[], object]] = ()) -> None:
    """The program ends: wait for all removals, those that `begin_others` begins too, and say what is left."""
    end_background()
    until = time.monotonic() + AT_EXIT
    for begin in begin_others:
        begin()
    left = list(_under_way)
    tasks = [Task(removal.run) for removal in left]  # by idle threads: there may be no new ones
    for removal in left:
        removal.limit(AT_EXIT)
        if time.monotonic() < until:
            removal.run()
    _wait(lambda: all([removal.ended for removal in left]), until - time.monotonic())
    for removal in left:
        removal.give_up()
    del tasks


def _wait(happened: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not happened() and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
